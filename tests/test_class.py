"""A small class graded from end to end; whole games are played, two of each kind in place of 32."""

import csv
import os
import signal
import subprocess
import sys
import threading
import time
from collections import namedtuple
from pathlib import Path

import psutil
import pytest

from grading.marking import evidence, replay, verdict
from grading.marking.evidence import Course
from grading.marking.grade import grade
from grading.marking.releases import read_release
from grading.sandbox import NO_WALL, NoWall, find_wall
from tests import hand_ins

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
ASKS = "for the grader"
EXPECTED = {  # kind: (mark, flags, a piece of what its page says)
    "honest": ("10", [], "A justified score"),
    "russian": ("8", [], "Пётр Ёлкин"),
    "older": ("8", [], hand_ins.OLDER),
    "wrong": (ASKS, ["checks"], "the advantage is not detached"),
    "lazy": (ASKS, None, "The check of A2C was not reached: cell model-check raised NotImpl"),
    "reference copied": (ASKS, ["alike"], "The weights are those of the reference run"),
    "edited curves": (ASKS, ["curves", "alike"], "is not the mean of the games in"),
    "other network": (ASKS, ["weights"], "it has no value head, as Q-networks have none"),
    "player": (ASKS, ["replay"], "the actions are not drawn from the policy"),
    "foreign videos": (ASKS, ["videos"], "does not move as these weights would move it"),
    "copied": (ASKS, ["alike"], "of the code in the five classes is written as in another hand-in"),
    "hostile": (ASKS, ["weights"], "holds exec, which is more than weights"),
    "cut short": (ASKS, ["archive"], "cannot be unpacked"),
}


@pytest.fixture(scope="module", autouse=True)
def heard():
    """Lets Ctrl-C be heard, which a program that runs in a shell's background ignores."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


Graded = namedtuple("Graded", "out, entries, pages, rows, told, stopped, left_over, payload")


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """Grades the class: stopped in the middle of the third hand-in, then to its end, then again."""
    folder = tmp_path_factory.mktemp("class")
    (folder / "in").mkdir()
    paths = hand_ins.write_class(folder / "in", EXPECTED)
    release = read_release(hand_ins.older_release(folder / "older.zip"))
    out, payload, told = folder / "out", folder / "payload", []
    course = Course(wall(), releases=(release,), games=2)
    before = {*psutil.Process().children(recursive=True)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(hand_ins.PAYLOAD, str(payload))
        patch.setattr(verdict, "FEWEST_GAMES", 2)
        patch.setattr(evidence.replay, "replay", _with_seed)
        with pytest.raises(KeyboardInterrupt):
            grade([folder / "in"], out, course, tell=_stopping(told))
        stopped = len([*(out / "students").iterdir()]), (out / "index.html").is_file()
        left_over = {*psutil.Process().children(recursive=True)} - before
        grade([folder / "in"], out, course, tell=told.append)
        entries, left = grade([folder / "in"], out, course, tell=told.append)
        assert not left
    left_over |= {*psutil.Process().children(recursive=True)} - before
    named = {paths[kind].name: kind for kind in paths}
    entries = {named[entry.evidence["file"]]: entry for entry in entries}
    pages = {
        kind: (out / "students" / f"{entry.slug}.html").read_text("utf-8")
        for kind, entry in entries.items()
    }
    return Graded(out, entries, pages, _rows(out), told, stopped, left_over, payload)


def _with_seed(*arguments, play=replay.replay, **drawn):
    return play(*arguments, **{**drawn, "seed": 5})


def wall():
    try:
        return find_wall()
    except NoWall:
        return NO_WALL


def _stopping(told):
    """Returns a function that takes lines, and presses Ctrl-C while the third is being graded."""

    def tell(line):
        told.append(line)
        if line.startswith("[3/"):
            threading.Timer(3, os.kill, (os.getpid(), signal.SIGINT)).start()

    return tell


def _rows(out):
    with open(out / "grades.csv", encoding="utf-8-sig", newline="") as file:
        return {row["file"]: row for row in csv.DictReader(file)}


@pytest.mark.parametrize("kind", EXPECTED)
def test_a_hand_in_gets_its_mark_and_its_page_says_why(kind, graded):
    mark, flags, said = EXPECTED[kind]
    found = graded.entries[kind].verdict
    assert (found.mark, said in graded.pages[kind]) == (mark, True), found.reasons
    assert flags is None or found.flags == flags, found.reasons
    row = graded.rows[graded.entries[kind].evidence["file"]]
    assert row["points"] == ("" if mark == ASKS else mark)


def test_who_is_like_whom_stands_on_the_page_of_the_class_alone(graded):
    names = {
        kind: entry.evidence.get("manifest", {}).get("name")
        for kind, entry in graded.entries.items()
    }
    for kind, page in graded.pages.items():
        others = {name for other, name in names.items() if name and other != kind}
        assert not [name for name in others if name in page]
    index = (graded.out / "index.html").read_text("utf-8")
    assert "Eddie Edit" in index and "Connie Copy" in index
    assert "Connie Copy" in graded.rows["edited-curves.zip"]["alike with"]


def test_no_markup_of_a_student_is_on_any_page_and_their_weights_run_nothing(graded):
    pages = [*graded.out.rglob("*.html")]
    assert len(pages) > len(EXPECTED)
    for page in pages:
        text = page.read_text("utf-8")
        assert "<script>alert" not in text and "<img src=x" not in text, page.name
        assert "javascript:alert" not in text.replace("[a link](javascript:alert", ""), page.name
    assert not graded.payload.exists()


def test_grading_that_was_stopped_goes_on_and_then_grades_nothing_again(graded):
    n = len(EXPECTED)
    assert graded.stopped == (2, True)
    firsts = [line for line in graded.told if "hand-ins" in line]
    assert firsts == [f"{n} hand-ins, {k} to be graded" for k in (n, n - 2, 0)]
    assert len([line for line in graded.told if line.startswith("[")]) == 3 + (n - 2)


def test_grading_leaves_no_process(graded):
    assert not [process for process in graded.left_over if process.is_running()]


def test_the_command_is_stopped_by_ctrl_c_and_goes_on(tmp_path):
    (tmp_path / "in").mkdir()
    for k, kind in enumerate(("cut short", "lazy", "lazy", "rar")):
        path = hand_ins.KINDS[kind](tmp_path / "in" / f"{k}.zip")
        path.open("ab").write(bytes(k))  # two that are one file would be graded once
    command = [sys.executable, "-m", "grading", "grade", str(tmp_path / "in")]
    command += ["--out", str(tmp_path / "out"), "--jobs", "1"]
    command += ["--unsafe-no-sandbox"] * (wall() == NO_WALL)
    ways = dict(cwd=ROOT, text=True, stderr=subprocess.PIPE, start_new_session=True)
    with subprocess.Popen(command, **ways) as process:
        lines = []
        for line in process.stderr:
            lines.append(line)
            if line.startswith("[3/4]"):
                until = time.monotonic() + 60
                while not (family := psutil.Process(process.pid).children(recursive=True)):
                    assert time.monotonic() < until
                    time.sleep(0.05)
                time.sleep(0.5)  # its cells run meanwhile
                os.killpg(process.pid, signal.SIGINT)
    assert process.returncode == 130
    assert lines[-1] == "stopped: the same command goes on from here\n"
    assert [*_rows(tmp_path / "out")] == ["0.zip", "1.zip"]
    assert family and not psutil.wait_procs(family, timeout=20)[1]
    again = subprocess.run(command, **ways)
    assert again.returncode == 1 and "4 hand-ins, 2 to be graded" in again.stderr
    assert [*_rows(tmp_path / "out")] == ["0.zip", "1.zip", "2.zip", "3.rar"]
