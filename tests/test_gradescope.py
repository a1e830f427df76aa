"""Gradescope: what the autograder's .zip holds, what an instructor sets, and what students get."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from grading.__main__ import main
from grading.marking.autograder import games, grader
from grading.marking.autograder.results import Results
from grading.marking.autograder.settings import TASKS, TESTS, Settings, parse_settings
from grading.marking.gradescope import DESCRIPTION, write_autograder
from grading.verdicts import Verdict
from lesson.assignment import read_assignment
from release.students import stubbed
from tests import hand_in_parts, notebook
from tests.autograder import Container
from tests.test_grading import small, write

SETTINGS = {"games": 4, "marks": {"1": 8, "100000": 10}, "points": {"A2C": 3}, "leaderboard": True}
PLAYED = {"problem": "", "oddities": [], "instead": "", "mean": 450.0, "low": 400.0, "high": 500.0}
PLAYED |= {"scores": [400.0, 500.0], "lengths": [700, 800], "cut": 0}
TRIES = """
import os, socket
opened = []
def tries(what, reach):
    try:
        reach()
    except OSError:
        return
    opened.append(what)
base, own = "/autograder", "/autograder/source/kit/grading/marking/autograder"
for path in (f"{own}/hidden.npz", f"{own}/settings.json", f"{base}/submission_metadata.json",
             f"{base}/results/results.json", "/etc/shadow"):
    tries(path, lambda: open(path, "rb").read())
for path in (f"{base}/results/results.json", f"{base}/source/kit/grading/cells.py", f"{base}/mine"):
    tries(f"{path} to write", lambda: open(path, "w"))
tries("results replaced", lambda: os.rename(os.environ["A2C_OUT"], f"{base}/results"))
tries("submission", lambda: os.listdir(f"{base}/submission"))
tries("network", lambda: socket.socket())
tries("fork", os.fork)
tries("root", lambda: os.setuid(0))
if os.getuid() == 0:
    opened.append("root")
print('{"task": "MergeTimeBatch", "raised": ""}', flush=True)
"""
LARGE = """
import subprocess, sys
sys.path.insert(0, "source/kit")
from grading import watched
from grading.marking.autograder.student import AS_USER
held = [sys.executable, "-c", "x = b'x' * 2**27; print(1, flush=True); open(0).read()"]
ways = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE)
with subprocess.Popen([*AS_USER, "--", *held], **ways) as process:
    process.stdout.readline()
    print(*(watched._is_larger(process.pid, n * 2**20) for n in (64, 256)))
"""


# settings


def parsed(text):
    return parse_settings(text, "own.json", read_assignment())


def test_settings_are_those_of_the_assignment_where_the_file_says_nothing():
    settings = parsed("{}")
    assert settings.points == dict.fromkeys(TASKS, 1) and settings.marks == {}
    assert settings.visibility == dict.fromkeys(TESTS, "visible") and not settings.leaderboard


def test_settings_take_what_the_file_says():
    settings = parsed(
        '{"points": {"Policy": 2.5}, "marks": {"600": 10, "400": 8}, "minutes": 5, '
        '"visibility": {"score": "hidden"}}'
    )
    assert settings.points["Policy"] == 2.5 and settings.points["A2C"] == 1
    assert list(settings.marks.items()) == [(400, 8), (600, 10)] and settings.minutes == 5
    assert settings.visibility["score"] == "hidden" and settings.visibility["A2C"] == "visible"
    assert list(parsed('{"marks": {"5": 9, "-10": 5}}').marks) == [-10, 5]
    assert set(parsed('{"visibility": "after_due_date"}').visibility.values()) == {"after_due_date"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("no", "own.json: Expecting value: line 1 column 1 (char 0): this is no JSON"),
        ("[]", "own.json: {} is []: expected an object"),
        ('{"point": 1}', "point is no key of it: expected some of points, marks, visibility"),
        ('{"points": 5}', "points is 5: expected an object"),
        ('{"points": {"Polcy": 5}}', "points has Polcy: expected some of NatureModel, Policy"),
        ('{"points": {"Policy": -1}}', "points/Policy is -1: expected a number from 0 on"),
        ('{"marks": {"high": 8}}', 'marks is {"high": 8}: expected scores with their points'),
        ('{"marks": [400]}', "marks is [400]: expected scores with their points"),
        ('{"marks": {"400": "8"}}', 'marks/400 is "8": expected a number from 0 on'),
        ('{"visibility": "never"}', 'visibility is "never": expected visible, after_due_date'),
        ('{"visibility": {"score": 1}}', "visibility/score is 1: expected visible"),
        ('{"visibility": 3}', "visibility is 3: expected an object"),
        ('{"games": 1.5}', "games is 1.5: expected a number above 0, at most 1000"),
        ('{"minutes": 0}', "minutes is 0: expected a number above 0, at most 40"),
        ('{"memory_mb": true}', "memory_mb is true: expected a number above 0"),
        ('{"leaderboard": "yes"}', 'leaderboard is "yes": expected true, false'),
        (
            '{"leaderboard": true, "visibility": {"score": "hidden"}}',
            "leaderboard is true, and visibility/score is hidden: expected visible",
        ),
    ],
)
def test_settings_name_what_is_wrong_and_what_is_expected(text, told):
    with pytest.raises(ValueError) as caught:
        parsed(text)
    assert told in str(caught.value)


def test_the_example_of_the_help_can_be_set():
    example = DESCRIPTION[DESCRIPTION.index("{") :]
    assert set(json.loads(example)) == set(Settings._fields)
    assert parsed(example).marks == {400: 8, 600: 10}


# results


@pytest.fixture
def results(tmp_path):
    """Results, and a function that reads the file."""
    path = tmp_path / "results.json"
    made = Results(path, parsed(json.dumps(SETTINGS)))
    return made, lambda: json.loads(path.read_text("utf-8"))


def test_results_are_there_before_anything_is_known(results):
    made, read = results
    made.write()
    assert [test["name"] for test in read()["tests"]] == [*TASKS, "the score of whole games"]
    assert [test["max_score"] for test in read()["tests"]] == [1, 1, 1, 1, 3, 10]
    assert {test["status"] for test in read()["tests"]} == {"failed"}
    assert all("The time was over" in test["output"] for test in read()["tests"])
    assert read()["stdout_visibility"] == "hidden"


def test_results_keep_the_checks_where_the_games_are_never_over(results):
    made, read = results
    verdicts = {**dict.fromkeys(TASKS, Verdict("passed")), "Policy": Verdict("failed", "greedy")}
    made.set_checks(verdicts)
    tests = {test["name"]: test for test in read()["tests"]}
    assert (tests["A2C"]["score"], tests["A2C"]["status"]) == (3, "passed")
    assert tests["Policy"]["score"] == 0 and tests["Policy"]["output"] == "failed: greedy"
    assert "The time was over" in tests["the score of whole games"]["output"]


@pytest.mark.parametrize(
    ("changes", "passing", "score", "told"),
    [
        ({}, True, 8, "2 whole games: mean score 450; the 95% interval"),
        ({}, False, 0, "once the checks of all five tasks pass"),
        ({"oddities": ["act is odd."]}, True, 0, "The policy that plays is odd: act is odd."),
        ({"problem": "no weights"}, True, 0, "The weights could not play: no weights"),
        ({"instead": "it ended"}, True, 8, "your weights make played by itself: it ended"),
        ({"scores": [450.0]}, True, 8, "played one whole game: its score is 450.\n"),
    ],
)
def test_the_score_earns_points_where_all_is_sound(results, changes, passing, score, told):
    made, read = results
    made.set_checks(dict.fromkeys(TASKS, Verdict("passed" if passing else "failed")))
    made.set_score(PLAYED | changes)
    *_tasks, test = read()["tests"]
    assert test["score"] == score and told in test["output"]
    assert test["status"] == ("passed" if score else "failed")
    board = [{"name": "mean score", "value": 450.0}]
    assert read().get("leaderboard") == (board if score else None)


@pytest.mark.parametrize(
    ("visibility", "told"),
    [
        ({}, True),
        ({"score": "hidden"}, True),
        ({"A2C": "after_due_date", "score": "after_due_date"}, True),
        ({"A2C": "after_due_date"}, False),
    ],
    ids=str,
)
def test_a_score_tells_of_tasks_those_who_see_them(visibility, told, tmp_path):
    text = json.dumps({"visibility": visibility, "marks": {"400": 8}})
    made = Results(tmp_path / "results.json", parsed(text))
    made.set_score(PLAYED)
    output = json.loads((tmp_path / "results.json").read_text("utf-8"))["tests"][-1]["output"]
    assert ("once the checks of all five tasks pass" in output) == told


def test_a_score_that_is_disowned_leaves_the_leaderboard(results):
    made, read = results
    made.set_checks(dict.fromkeys(TASKS, Verdict("passed")))
    made.set_score(PLAYED)
    assert read()["leaderboard"][0]["value"] == 450.0
    made.set_score(PLAYED | {"oddities": ["act is odd."]})
    assert "leaderboard" not in read()


def test_a_mean_below_a_mark_is_not_shown_as_the_mark(tmp_path):
    made = Results(tmp_path / "results.json", parsed('{"marks": {"400": 8}, "leaderboard": true}'))
    made.set_checks(dict.fromkeys(TASKS, Verdict("passed")))
    made.set_score(PLAYED | {"mean": 399.97})
    told = json.loads((tmp_path / "results.json").read_text("utf-8"))
    assert "mean score 399;" in told["tests"][-1]["output"] and told["tests"][-1]["score"] == 0
    assert told["leaderboard"][0]["value"] == 399.9


def test_a_submission_that_cannot_be_used_is_told_so_in_each_test(results):
    made, read = results
    made.refuse("no notebook")
    assert {test["output"] for test in read()["tests"]} == {"no notebook"}


# games


@pytest.fixture
def untouched(monkeypatch):
    """Lets `games.play` take any weights, for the process that it asks stands in a test."""
    monkeypatch.setattr(games, "compare_actions", lambda network, game: None)
    monkeypatch.setattr(games, "read_network", lambda path: SimpleNamespace(n_actions=6))


@pytest.mark.parametrize(
    ("seconds", "answer", "problem"),
    [(0.5, 0.1, ""), (0.5, 0.4, "it stopped"), (60.0, 0.1, "it stopped")],
    ids=["cut off", "stalling", "ended"],
)
def test_games_that_no_time_is_left_for_take_nothing_from_those_before(
    seconds, answer, problem, untouched, monkeypatch
):
    rounds = [dict(scores=[400.0] * 4, lengths=[700] * 4, cut=0)]

    def run(self, ask, audit):
        if rounds:
            ask(0.1)
            return {"sampled": rounds.pop()}
        for _ in range(round(0.6 / answer)):
            ask(answer)
        raise games.NoAnswer("it stopped")

    monkeypatch.setattr(games.Play, "run", run)
    _clock, ask = clocked(monkeypatch)
    monkeypatch.setattr(games, "asked", lambda *ways: contextlib.nullcontext(ask))
    first, last = games.play(None, None, hand_in_parts.GAME, None, None, 32, seconds)
    assert first["scores"] == last["scores"] == [400.0] * 4
    assert (first["problem"], last["problem"]) == ("", problem)


def test_the_network_plays_by_itself_where_the_notebook_plays_nothing(untouched, monkeypatch):
    def asked(*ways):
        raise games.NoAnswer("cell run ended the process")
        yield

    def run(self, ask, audit):
        assert (ask, audit) == ("the network", None)
        return {"sampled": dict(scores=[400.0] * 4, lengths=[700] * 4, cut=0)}

    monkeypatch.setattr(games.Play, "run", run)
    monkeypatch.setattr(games, "asked", contextlib.contextmanager(asked))
    monkeypatch.setattr(games, "sampler", lambda network, seed: "the network")
    until = time.monotonic() + 60
    first, *_, last = games.play(None, None, hand_in_parts.GAME, None, None, 8, until)
    assert first["problem"] == last["instead"] == "cell run ended the process"
    assert first["scores"] == [] and last["scores"] == [400.0] * 8 and last["problem"] == ""


def clocked(monkeypatch):
    """Gives `games` a clock of its own; returns it, and what lets it go on by some seconds."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(games, "time", SimpleNamespace(monotonic=lambda: clock.now))

    def ask(seconds):
        clock.now += seconds

    return clock, ask


def paced(monkeypatch, rounds, played):
    """Returns the pace of some rounds, each of (answer, judge) seconds, by a clock of its own."""
    clock, ask = clocked(monkeypatch)
    pace = games._Pace()
    for k, (answer, judge) in enumerate(rounds):
        if k:
            pace.end_round()
        timed = pace.of(ask)
        for _ in range(played):
            timed(answer)
            clock.now += judge
    return pace


@pytest.mark.parametrize(
    ("last", "stalls"),
    [
        ((0.1, 0.05), False),
        ((0.3, 0.15), False),
        ((0.25, 0.05), True),
        ((0.9, 0.15), True),
        ((0.1, 0.01), False),
    ],
    ids=["as before", "a slow host", "slow answers", "both", "a quick judge"],
)
def test_answers_stall_where_the_judge_did_not_become_as_slow(last, stalls, monkeypatch):
    pace = paced(monkeypatch, [(0.1, 0.05), (0.1, 0.05), last], 9)
    assert pace.stalls() == stalls


# the .zip


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    folder = tmp_path_factory.mktemp("autograder")
    (folder / "own.json").write_text(json.dumps(SETTINGS))
    write_autograder(folder / "autograder.zip", folder / "own.json", pairs=1)
    return folder / "autograder.zip"


def test_the_zip_holds_the_programs_and_neither_reference_nor_solution(archive):
    with zipfile.ZipFile(archive) as packed:
        names = packed.namelist()
        modes = {one.filename: one.external_attr >> 16 & 0o777 for one in packed.infolist()}
        texts = [packed.read(name) for name in names if name.endswith((".py", ".ipynb"))]
    assert modes["setup.sh"] == modes["run_autograder"] == 0o755
    assert not [name for name in names if "grading/reference" in name or name.endswith(".ipynb")]
    assert not any(b"BEGIN SOLUTION" in text for text in texts)
    assert archive.stat().st_size < 2_000_000


def test_the_judge_loads_no_torch(archive, tmp_path):
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(tmp_path)
    source = (
        "from grading.marking.autograder.light import without_torch\nwithout_torch()\n"
        "import grading.marking.autograder.grader, sys, torch\n"
        "assert not hasattr(torch, '__file__') and 'tensorboard' not in sys.modules\n"
        "import grading.verdicts\nprint(grading.verdicts.__file__)"
    )
    command = [sys.executable, "-c", source]
    done = subprocess.run(command, cwd=tmp_path / "kit", capture_output=True, text=True)
    assert done.stdout.startswith(str(tmp_path)), done.stderr


def test_the_command_says_what_is_wrong_with_the_settings(tmp_path, capsys):
    (tmp_path / "own.json").write_text('{"games": 0}')
    with pytest.raises(SystemExit):
        main(["gradescope", "--out", str(tmp_path / "a.zip"), "--settings", f"{tmp_path}/own.json"])
    assert "own.json: games is 0: expected a number above 0" in capsys.readouterr().err
    assert not (tmp_path / "a.zip").exists()


# what was handed in


def test_what_a_system_lays_beside_a_hand_in_is_no_part_of_it(tmp_path):
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / "__MACOSX" / "._hand-in.zip").write_bytes(b"")
    with zipfile.ZipFile(tmp_path / "hand-in.zip", "w") as packed:
        packed.writestr("answer.ipynb", "{}")
    with grader._notebook(tmp_path) as found:
        assert found.name == "answer.ipynb"


def test_a_name_that_is_no_text_keeps_nothing_from_being_graded(tmp_path):
    (tmp_path / "answer.ipynb").write_text("{}")
    for name in (b"\xa2.mp4", b"\xa3.mp4"):
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(b"")
    with grader._notebook(tmp_path) as found:
        assert {path.name for path in found.parent.iterdir()} == {"answer.ipynb", "¢.mp4", "£.mp4"}


@pytest.mark.parametrize(
    ("files", "chosen"),
    [
        (["hand-in.zip", "loose.ipynb"], "answer.ipynb"),
        (["hand-in.zip", "loose.ipynb", "weights.pt"], "loose.ipynb"),
        (["hand-in.zip", "other.zip", "loose.ipynb"], "loose.ipynb"),
        (["videos.zip", "loose.ipynb"], "loose.ipynb"),
        (["broken.zip", "loose.ipynb"], "loose.ipynb"),
    ],
    ids=str,
)
def test_a_hand_in_beside_its_notebook_is_what_was_handed_in(files, chosen, tmp_path):
    for name in files:
        (tmp_path / name).write_text("{}")
    for name, inner in {"hand-in.zip": "answer.ipynb", "videos.zip": "a.mp4"}.items():
        if name in files:
            with zipfile.ZipFile(tmp_path / name, "w") as packed:
                packed.writestr(inner, "{}")
    with grader._notebook(tmp_path) as found:
        assert found.name == chosen


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(28, "No space left on device"), "The autograder itself failed"),
        (RuntimeError("can't start new thread"), "The autograder itself failed"),
        (subprocess.CalledProcessError(1, ["chown"]), "The autograder itself failed"),
        (ValueError("no notebook"), "The submission cannot be used: no notebook"),
    ],
    ids=["disk", "threads", "program", "submission"],
)
def test_who_failed_is_told(error, told, tmp_path, monkeypatch, capsys):
    def fails(*given):
        raise error

    (tmp_path / "settings.json").write_text(json.dumps(parsed("{}")._asdict()))
    (tmp_path / "submission").mkdir()
    (tmp_path / "submission" / "answer.ipynb").write_text("{}")
    (tmp_path / "results").mkdir()
    monkeypatch.setattr(grader, "HERE", tmp_path)
    monkeypatch.setattr(grader, "_grade", fails)
    monkeypatch.setattr(grader.student, "protect", lambda base, secret: None)
    grader.grade(tmp_path)
    results = json.loads((tmp_path / "results" / "results.json").read_text("utf-8"))
    assert all(told in test["output"] for test in results["tests"])
    assert ("Traceback" in capsys.readouterr().out) == ("itself" in told)


# in the layout of Gradescope

MAY = hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("bwrap")
in_layout = pytest.mark.skipif(not MAY, reason="the layout needs root and bubblewrap")


@pytest.fixture(scope="module")
def container(archive, tmp_path_factory):
    return Container(tmp_path_factory.mktemp("container"), archive)


@pytest.fixture(scope="module")
def sources():
    return {**notebook.cells(notebook.read()), "glue": notebook.GLUE}


def submission(folder, sources):
    """Returns the files of a small hand-in whose weights nobody trained."""
    weights = hand_in_parts.saved(hand_in_parts.untrained(1))
    return {"answer.ipynb": write(folder, sources).read_bytes(), "weights.pt": weights}


def laid_by_a_mac(files):
    """Returns files as a Mac packs their folder again."""
    beside = {"__MACOSX/hand-in/._answer.ipynb": b"", ".ipynb_checkpoints/a.ipynb": b""}
    return {f"hand-in/{name}": data for name, data in files.items()} | beside


def statuses(run):
    return {test["name"]: test["status"] for test in run.results["tests"]}


@in_layout
@pytest.mark.slow
def test_the_memory_of_a_students_process_is_seen(container):
    assert container.run(sys.executable, "-c", LARGE) == "True False\n"


@in_layout
@pytest.mark.slow
def test_a_right_submission_passes_and_plays_within_memory(container, sources, tmp_path):
    run = container.grade(laid_by_a_mac(submission(tmp_path, small(sources))))
    assert set(statuses(run).values()) == {"passed"}, run
    assert [test["score"] for test in run.results["tests"]] == [1, 1, 1, 1, 3, 8]
    assert "4 whole games" in run.results["tests"][-1]["output"]
    assert "as another user" in run.results["extra_data"]["wall"]
    assert run.memory < 700 and run.cpu < 120, run


@in_layout
@pytest.mark.slow
def test_a_wrong_submission_is_told_its_mistake(container, sources, tmp_path):
    greedy = sources["policy-class"].replace("distribution.sample()", "logits.argmax(-1)")
    files = submission(tmp_path, small(sources, **{"policy-class": greedy}))
    run = container.grade({name: data for name, data in files.items() if name != "weights.pt"})
    assert statuses(run) | {
        "Policy": "passed",
        "the score of whole games": "passed",
    } == dict.fromkeys(statuses(run), "passed")
    told = {test["name"]: test["output"] for test in run.results["tests"]}
    assert "the same action 1000 times: greedy" in told["Policy"]
    assert "weights.pt is not there" in told["the score of whole games"]


@in_layout
@pytest.mark.slow
@pytest.mark.parametrize("walls", ["(*WALLS, SECCOMP)", "(WALLS[2],)", "(SECCOMP,)"])
def test_a_hostile_submission_reaches_nothing(walls, container, sources, tmp_path):
    path = container.base / "source/kit/grading/marking/autograder/student.py"
    whole = path.read_text("utf-8")
    assert "(*WALLS, SECCOMP)" in whole
    path.write_text(whole.replace("(*WALLS, SECCOMP)", walls))
    policy = sources["policy-class"] + "\nif opened:\n    raise RuntimeError(str(opened))"
    merge = stubbed(sources["merge-class"], "code", "merge-class")
    cells = small(sources, **{"policy-class": policy, "merge-class": merge})
    files = submission(tmp_path, {"tries": TRIES, **cells})
    run = container.grade(files | {"weights.pt": b"no weights"})
    path.write_text(whole)
    told = {test["name"]: test for test in run.results["tests"]}
    assert told["Policy"]["status"] == "passed", (told["Policy"], run.results["extra_data"])
    assert told["MergeTimeBatch"]["status"] == "failed"
    assert told["the score of whole games"]["score"] == 0
    assert not (container.base / "mine").exists()


@in_layout
@pytest.mark.slow
def test_a_submission_without_a_notebook_is_told_so(container):
    run = container.grade({"notes.txt": b"none"})
    told = {test["output"] for test in run.results["tests"]}
    assert len(told) == 1 and "holds 0 notebooks" in told.pop()
