"""Hand-ins become pages and a table; what is collected of each is made up here."""

import csv
import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile

import pytest

from grading.__main__ import main
from grading.marking import evidence as evidences
from grading.marking import grade as grading
from grading.marking import register, shelf
from grading.marking.evidence import Course
from grading.marking.grade import grade
from grading.marking.releases import HERE, changes, is_of_here, read_release, release_of
from grading.marking.shelf import find_hand_ins
from grading.marking.table import COLUMNS, TableError
from grading.sandbox import NO_WALL
from grading.watched import LIMITS
from tests.records import another, changed, record, refused, write_files

COURSE = Course(NO_WALL)


@pytest.fixture
def collected(monkeypatch):
    """Collects made-up evidence of a student named in the file; gives who was collected."""
    names = []

    def collect(path, into, course, tell):
        name = path.read_text().strip()
        if name == "Broken":
            raise RuntimeError("no such thing")
        if name == "Stop":
            raise KeyboardInterrupt
        names.append(name)
        evidence = another(name)
        write_files(evidence, into)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        return {**evidence, "digest": digest, "problem": "refused" if name == "Refused" else ""}

    monkeypatch.setattr(evidences, "collect", collect)
    monkeypatch.setattr(grading, "read_reference", lambda shelf, course: {})
    monkeypatch.setattr(register.pages, "PARTS", ("Policy",))
    for module in (shelf, register, evidences):
        monkeypatch.setattr(module, "grader_version", lambda: "0123456789ab")
    return names


@pytest.fixture
def hand_ins(tmp_path):
    folder = tmp_path / "hand-ins"
    folder.mkdir()
    for name in ("Ada", "Grace"):
        (folder / f"{name}.zip").write_text(name)
    return folder


def table(out):
    with open(out / "grades.csv", encoding="utf-8-sig", newline="") as file:
        return {row["name"]: row for row in csv.DictReader(file)}


def test_grade_writes_a_page_a_student_one_of_the_class_and_a_table(collected, hand_ins, tmp_path):
    out, told = tmp_path / "out", []
    entries, left = grade([hand_ins], out, COURSE, tell=told.append)
    assert (len(entries), left, collected) == (2, [], ["Ada", "Grace"])
    assert told[0] == "2 hand-ins, 2 to be graded"
    assert told[1] == "[1/2] Ada.zip" and told[2].startswith("[2/2] Grace.zip, about 1 minute")
    assert [page.name.split("-")[0] for page in sorted((out / "students").iterdir())] == [
        "Ada",
        "Grace",
    ]
    assert "Grace" in (out / "index.html").read_text(encoding="utf-8")
    assert (out / "tasks" / "Policy.html").is_file()
    assert {name: row["points"] for name, row in table(out).items()} == {"Ada": "10", "Grace": "10"}
    assert [*table(out)["Ada"]] == COLUMNS


def test_grade_makes_the_pages_anew_in_another_language_and_collects_nothing(
    collected, hand_ins, tmp_path, monkeypatch
):
    out = tmp_path / "out"
    monkeypatch.setattr(register.pages, "languages", lambda: ["en", "xx"])
    for language in ("en", "xx", "en"):
        monkeypatch.setenv("A2C_LANGUAGE", language)
        grade([hand_ins], out, COURSE)
        texts = [page.read_text(encoding="utf-8") for page in (out / "students").iterdir()]
        assert [f'<html lang="{language}">' in text for text in texts] == [True, True]
    assert collected == ["Ada", "Grace"]


def test_grade_takes_what_has_not_changed_as_it_is(collected, hand_ins, tmp_path):
    out = tmp_path / "out"
    grade([hand_ins], out, COURSE)
    pages = {page: page.stat().st_mtime_ns for page in (out / "students").iterdir()}
    (hand_ins / "Hedy.zip").write_text("Hedy")
    grade([hand_ins], out, COURSE)
    assert collected == ["Ada", "Grace", "Hedy"]
    assert all(page.stat().st_mtime_ns == when for page, when in pages.items())


@pytest.mark.parametrize(
    "change",
    [
        lambda folder, patch: (folder / "Ada.zip").write_text("Ada Lovelace"),
        lambda folder, patch: patch.setattr(shelf, "grader_version", lambda: "ba9876543210"),
    ],
    ids=["the hand-in", "the grader"],
)
def test_grade_collects_again_what_has_changed(change, collected, hand_ins, tmp_path, monkeypatch):
    (hand_ins / "Grace.zip").unlink()
    grade([hand_ins], tmp_path / "out", COURSE)
    change(hand_ins, monkeypatch)
    grade([hand_ins], tmp_path / "out", COURSE)
    assert len(collected) == 2


def test_a_notebook_is_collected_again_where_a_module_beside_it_has_changed(
    collected, hand_ins, tmp_path
):
    (hand_ins / "Hedy.ipynb").write_text("Hedy")
    (hand_ins / "dangling.py").symlink_to(hand_ins / "nowhere")
    for source in ("x = 1", "x = 2", "x = 2"):
        (hand_ins / "runners.py").write_text(source)
        grade([hand_ins], tmp_path / "out", COURSE)
    assert collected == ["Ada", "Grace", "Hedy", "Hedy"]


def test_grade_with_other_settings_collects_again(collected, hand_ins, tmp_path):
    grade([hand_ins], tmp_path / "out", COURSE)
    grade([hand_ins], tmp_path / "out", COURSE._replace(games=16))
    assert len(collected) == 4


def test_grade_with_other_limits_collects_only_what_it_is_asked_for(collected, hand_ins, tmp_path):
    (hand_ins / "Bo.zip").write_text("Refused")
    grade([hand_ins], tmp_path / "out", COURSE)
    longer = COURSE._replace(limits=LIMITS._replace(total=LIMITS.total + 1))
    entries, left = grade([hand_ins], tmp_path / "out", longer, failed=True)
    assert (len(entries), left) == (3, [])
    assert collected == ["Ada", "Refused", "Grace", "Refused"]


def test_grade_makes_the_pages_of_tasks_anew_where_a_hand_in_was_graded(
    collected, hand_ins, tmp_path
):
    page, told = tmp_path / "out" / "tasks" / "Policy.html", []
    for names in (["Ada"], [], ["Hedy"]):
        for name in names:
            (hand_ins / f"{name}.zip").write_text(name)
        grade([hand_ins], tmp_path / "out", COURSE)
        told.append((page.stat().st_mtime_ns, page.read_text().count('class="entry"')))
    assert told[0] == told[1] and told[0][1] == 2 and told[2][1] == 3


def test_grade_that_was_stopped_goes_on(collected, hand_ins, tmp_path):
    out = tmp_path / "out"
    (hand_ins / "Grace.zip").write_text("Stop")
    with pytest.raises(KeyboardInterrupt):
        grade([hand_ins], out, COURSE)
    assert [*table(out)] == ["Ada"] and "Ada" in (out / "index.html").read_text(encoding="utf-8")
    (hand_ins / "Grace.zip").write_text("Grace")
    grade([hand_ins], out, COURSE)
    assert collected == ["Ada", "Grace"] and [*table(out)] == ["Ada", "Grace"]


def test_grade_does_not_stop_at_a_mistake_of_its_own(collected, hand_ins, tmp_path):
    (hand_ins / "Bo.zip").write_text("Broken")
    entries, _left = grade([hand_ins], tmp_path / "out", COURSE)
    assert collected == ["Ada", "Grace"]
    problem = entries[1].evidence["problem"]
    assert problem.startswith("this program failed at it") and "RuntimeError: no such" in problem
    assert table(tmp_path / "out")[""]["mark by the rules"] == "for the grader"


def test_grade_only_one_leaves_the_others(collected, hand_ins, tmp_path):
    out = tmp_path / "out"
    entries, left = grade([hand_ins], out, COURSE, only="grace")
    assert (collected, len(entries)) == (["Grace"], 1)
    assert [one.path.name for one in left] == ["Ada.zip"]
    grade([hand_ins], out, COURSE, only="ada")
    assert [*table(out)] == ["Ada", "Grace"]


def test_only_means_what_the_table_shows_and_no_folder_above(collected, hand_ins, tmp_path):
    export = hand_ins / "Grace Hopper_1234_assignsubmission_file"
    export.mkdir()
    (hand_ins / "Grace.zip").rename(export / "work.zip")
    shutil.move(hand_ins / "Ada.zip", export.with_name("Ada Lovelace_12_assignsubmission_file.zip"))
    for only in ("hand-ins", "1234"):
        grade([hand_ins], tmp_path / "out", COURSE, only=only)
    assert collected == ["Grace"]


def test_grade_failed_collects_only_what_has_a_problem(collected, hand_ins, tmp_path):
    (hand_ins / "Bo.zip").write_text("Refused")
    grade([hand_ins], tmp_path / "out", COURSE)
    grade([hand_ins], tmp_path / "out", COURSE, failed=True)
    assert collected == ["Ada", "Refused", "Grace", "Refused"]


@pytest.mark.parametrize(
    ("place", "again"),
    [
        ("checks.ended", True),
        ("replay.problem", True),
        ("videos.files.1.problem", True),
        ("videos.files.0.ended", True),
        ("manifest.name", False),
    ],
)
def test_grade_failed_collects_again_where_a_process_was_killed(place, again):
    """Evidence from before "ended" was kept lacks it."""
    assert not grading._has_problem(record()) and grading._has_problem(refused())
    killed = "ended the process (signal SIGKILL)"
    assert grading._has_problem(changed(record(), place, killed)) == again


def test_evidence_keeps_what_ended_the_checks(tmp_path, monkeypatch):
    monkeypatch.setattr(evidences, "check_unpacked", lambda *given: ({}, "killed"))
    told = evidences._checks(tmp_path / "a.ipynb", HERE(), COURSE, [1, 2])
    assert told == {"problem": "", "ended": "killed", "tasks": {}, "helpers": [], "seeds": [1, 2]}


def test_a_file_that_changes_while_it_waits_leaves_nothing_under_its_old_bytes(
    collected, hand_ins, tmp_path, monkeypatch
):
    """As does a folder of an export that is filled anew, or a student's newer file."""
    collect, out = evidences.collect, tmp_path / "out"

    def replace(path, *given):
        (hand_ins / "Grace.zip").write_text("Hedy")
        return collect(path, *given)

    with monkeypatch.context() as patch:
        patch.setattr(evidences, "collect", replace)
        entries, _left = grade([hand_ins], out, COURSE)
    told = "it changed while the class was graded: run this again with --failed"
    assert [entry.evidence["problem"] for entry in entries] == ["", told]
    for name in ("Hedy", "Grace"):
        (hand_ins / "Grace.zip").write_text(name)
        entries, _left = grade([hand_ins], out, COURSE, failed=True)
        assert [entry.evidence["manifest"]["name"] for entry in entries] == ["Ada", name]
    assert collected[-2:] == ["Hedy", "Grace"]


def test_pages_of_hand_ins_that_are_graded_again_side_by_side_are_whole(
    collected, hand_ins, tmp_path, monkeypatch
):
    """When the first ends, what is known of the other is old, and its folder is empty."""
    out, kept = tmp_path / "out", tmp_path / "kept"

    def side_by_side(work, tasks, jobs, begins, tell):
        folders = {path: work.keywords["folders"][path] for path in tasks}
        for folder in folders.values():
            without = shutil.ignore_patterns("page*")
            shutil.copytree(folder, kept / folder.name, ignore=without)
            shelf.clear(folder)
        for path, folder in folders.items():
            shutil.copytree(kept / folder.name, folder, dirs_exist_ok=True)
            yield path, ""

    grade([hand_ins], out, COURSE)
    pages = {page: page.read_text(encoding="utf-8") for page in out.glob("students/*")}
    monkeypatch.setattr(grading, "each", side_by_side)
    monkeypatch.setattr(grading, "_has_problem", lambda evidence: True)
    grade([hand_ins], out, COURSE, failed=True, jobs=2)
    assert len([*kept.iterdir()]) == 2
    assert pages == {page: page.read_text(encoding="utf-8") for page in pages}


def test_a_grader_overrules_in_the_table_and_everything_follows(collected, hand_ins, tmp_path):
    out = tmp_path / "out"
    grade([hand_ins], out, COURSE)
    text = (out / "grades.csv").read_text(encoding="utf-8-sig")
    rows = [*csv.reader(text.splitlines())]
    at = [COLUMNS.index(name) for name in ("overrule", "reason")]
    rows[1][at[0]], rows[1][at[1]] = "7.5", "talked to her"
    with open(out / "grades.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    entries, _left = grade([hand_ins], out, COURSE)
    assert collected == ["Ada", "Grace"] and entries[0].verdict.points == 7.5
    assert table(out)["Ada"]["points"] == "7.5" and table(out)["Ada"]["reason"] == "talked to her"
    page = next((out / "students").glob("Ada*")).read_text(encoding="utf-8")
    assert "talked to her" in page and "7.5" in page


def test_a_graders_words_stay_while_the_hand_in_moves_and_while_it_waits(
    collected, hand_ins, tmp_path, monkeypatch
):
    out = tmp_path / "out"
    grade([hand_ins], out, COURSE)
    write_cells(out, "Ada", overrule="7.5", reason="talked to her", notes="on Monday")
    write_cells(out, "Grace", notes="on Friday")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "Hedy.zip").write_text("Hedy")
    entries, _left = grade([hand_ins, tmp_path / "more"], out, COURSE)
    assert [entry.verdict.points for entry in entries] == [7.5, 10, 10]
    monkeypatch.setattr(shelf, "grader_version", lambda: "ba9876543210")
    grade([hand_ins, tmp_path / "more"], out, COURSE, only="hedy")
    told = {name: [row[c] for c in ("file", "notes", "flags")] for name, row in table(out).items()}
    assert told == {
        "Hedy": ["more/Hedy.zip", "", ""],
        "Ada": ["hand-ins/Ada.zip", "on Monday", "not graded yet"],
        "Grace": ["hand-ins/Grace.zip", "on Friday", "not graded yet"],
    }
    entries, _left = grade([hand_ins, tmp_path / "more"], out, COURSE)
    assert [entry.verdict.points for entry in entries] == [7.5, 10, 10]


def write_cells(out, name, **cells):
    """Writes into a row of the table, as a grader does."""
    rows = table(out)
    rows[name] |= cells
    with open(out / "grades.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [*rows[name]], restval="")
        writer.writeheader()
        writer.writerows(rows.values())


def test_a_mistake_in_the_table_is_told_once_and_ends_nothing_before_the_end(
    collected, hand_ins, tmp_path, monkeypatch
):
    out, told = tmp_path / "out", []
    monkeypatch.setattr(register, "AT_LEAST", 0)
    monkeypatch.setattr(register, "SELDOM", 0)
    grade([hand_ins], out, COURSE)
    for name in ("Hedy", "Mary"):
        (hand_ins / f"{name}.zip").write_text(name)

    def tell(line):
        if line.startswith("[1/"):
            write_cells(out, "Ada", overrule="ten")
        told.append(line)

    with pytest.raises(TableError, match="overrule of Ada.zip is 'ten'"):
        grade([hand_ins], out, COURSE, tell=tell)
    assert collected == ["Ada", "Grace", "Hedy", "Mary"]
    assert [line.split(":")[0] for line in told if "ten" in line] == ["grades.csv"]
    assert [line for line in told if line.endswith("(grading goes on meanwhile)")]


def test_pages_that_belong_to_no_hand_in_go_where_none_is_missing(
    collected, hand_ins, tmp_path, monkeypatch
):
    out = tmp_path / "out"
    monkeypatch.setattr(register.pages, "PER_PAGE", 1)
    grade([hand_ins], out, COURSE)
    before = {page.name for page in out.glob("*/*.html")}
    assert len(before) == 4 and "Policy-2.html" in before
    moved = hand_ins.rename(tmp_path / "moved")
    (moved / "Grace.zip").unlink()
    (moved / "Hedy.zip").write_text("Hedy")
    grade([moved], out, COURSE, only="nobody")
    assert before < {page.name for page in out.glob("*/*.html")}
    (moved / "Hedy.zip").unlink()
    entries, _left = grade([moved], out, COURSE)
    pages = {page.name for page in out.glob("*/*.html")}
    assert pages == {"Policy.html", f"{entries[0].slug}.html"} and pages != before


def test_of_two_hand_ins_that_name_one_student_the_older_asks(collected, hand_ins, tmp_path):
    (hand_ins / "again").mkdir()
    (hand_ins / "again" / "Ada.zip").write_text("Ada\n")
    entries, _left = grade([hand_ins], tmp_path / "out", COURSE)
    marks = {entry.evidence["file"]: entry.verdict.mark for entry in entries}
    assert marks == {"Ada.zip": "for the grader", "again/Ada.zip": "10", "Grace.zip": "10"}


def test_two_hand_ins_of_the_same_bytes_are_graded_once(collected, tmp_path):
    """Two students hand in their team's archive: each has a page, and both are told of."""
    for name in ("Ada Lovelace_1", "Grace Hopper_2"):
        folder = tmp_path / "in" / f"{name}_assignsubmission_file"
        folder.mkdir(parents=True)
        (folder / "a2c.zip").write_text("Team")
    out, told, written = tmp_path / "out", [], []
    for _time in range(2):
        entries, left = grade([tmp_path / "in"], out, COURSE, tell=told.append)
        written.append({page: page.stat().st_mtime_ns for page in out.glob("students/*")})
    assert collected == ["Team"] and not left and told[0] == "2 hand-ins, 1 to be graded"
    assert len(written[0]) == 2 and written[0] == written[1]
    assert [[one.part for one in entry.alike] for entry in entries] == [["archive"]] * 2


def test_a_twin_of_the_only_hand_in_that_is_graded_has_its_evidence_too(
    collected, hand_ins, tmp_path
):
    (hand_ins / "Grace.zip").write_text("Ada")
    entries, left = grade([hand_ins], tmp_path / "out", COURSE, only="grace")
    assert (collected, len(entries), left) == (["Ada"], 2, [])


@pytest.mark.skipif(not os.path.exists("/proc/self/mem"), reason="needs what cannot be read")
def test_hand_ins_that_cannot_be_read_are_named_and_end_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(grading, "read_reference", lambda shelf, course: {})
    for name, path in {"Ada": "/proc/self/mem", "Grace": "/proc/thread-self/mem"}.items():
        (tmp_path / f"{name}.zip").symlink_to(path)
    (tmp_path / "Linus.zip").write_text("no archive")
    entries, left = grade([tmp_path], tmp_path / "out", COURSE)
    told = sorted(reason.text for entry in entries for reason in entry.verdict.reasons)
    assert [line.startswith("The archive cannot be used: mem cannot be read") for line in told] == [
        *(False, True, True)
    ]
    assert "Linus.zip cannot be unpacked" in told[0] and not left


# what is drawn


def test_hidden_numbers_are_drawn_again_for_the_same_file_and_by_nobody_else(tmp_path):
    def drawn(digest, secret):
        lots = evidences._lots(digest, secret)
        return [lots.randrange(2**31) for _draw in range(3)]

    assert drawn("d", "s") == drawn("d", "s")
    assert not {*drawn("d", "s")} & {*drawn("e", "s"), *drawn("d", "t"), *drawn("d", "")}
    assert drawn("d", "") != drawn("d", "")


def test_the_secret_stays_on_the_shelf_and_is_the_graders_alone(tmp_path):
    secret = shelf.Shelf(tmp_path, COURSE).secret()
    assert len(secret) == 64 and secret == shelf.Shelf(tmp_path, COURSE).secret()
    assert secret != shelf.Shelf(tmp_path / "b", COURSE).secret()
    if os.name == "posix":
        assert (tmp_path / "evidence" / "secret").stat().st_mode & 0o777 == 0o600


def test_a_secret_that_a_crash_left_empty_is_made_anew(tmp_path, monkeypatch):
    def full(size=32):
        raise OSError("No space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError):
        patch.setattr(shelf.secrets, "token_hex", full)
        shelf.Shelf(tmp_path, COURSE).secret()
    assert len(made := shelf.Shelf(tmp_path, COURSE).secret()) == 64
    (tmp_path / "evidence" / "secret").write_text("")
    anew = shelf.Shelf(tmp_path, COURSE).secret()
    assert len(anew) == 64 and made != anew == shelf.Shelf(tmp_path, COURSE).secret()
    assert [path.name for path in (tmp_path / "evidence").iterdir()] == ["secret"]
    if os.name == "posix":
        assert (tmp_path / "evidence" / "secret").stat().st_mode & 0o777 == 0o600


def test_evidence_from_elsewhere_is_complete_or_not_there(tmp_path):
    files = {"evidence.json": b'{"a": 1}', "seconds.json": b'{"checks": 2.5}', "b.png": b"P"}
    shelf.take_in(tmp_path / "here", files | {"../c": b"C"})
    assert shelf.read_evidence(tmp_path / "here") == {"a": 1, "seconds": {"checks": 2.5}}
    assert sorted(path.name for path in tmp_path.rglob("*.*")) == [*sorted(files)]
    assert (tmp_path / "here" / "c").read_bytes() == b"C"
    (tmp_path / "here" / "seconds.json").unlink()
    assert shelf.read_evidence(tmp_path / "here") is None


def test_a_folder_for_evidence_that_cannot_be_removed_is_used_as_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(shelf.shutil, "rmtree", lambda *_, **__: None)
    shelf.clear(tmp_path)
    assert tmp_path.is_dir()


def test_evidence_that_is_nested_too_deeply_is_not_there(tmp_path):
    shelf.take_in(tmp_path / "here", {"evidence.json": b"[" * 100_000, "seconds.json": b"{}"})
    assert shelf.read_evidence(tmp_path / "here") is None


NESTED = '{"a": ' * 700 + "0" + "}" * 700


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        (json.dumps({"game": "Pong", "nenvs": 16, "lr": 7e-4, "network": "x" * 999}), ("Pong", 16)),
        (json.dumps({"game": "P" * 90_000, "nenvs": [16]}), ("P" * 200, None)),
        ('{"game": "Po\\ud800ng", "nenvs": true}', ("Po ng", None)),
        (f'{{"game": "Pong", "a": {NESTED}}}', ("Pong", None)),
        ("[]", None),
    ],
    ids=["the kit's", "large", "a lone surrogate", "nested", "no settings"],
)
def test_of_a_runs_settings_only_what_is_used_is_kept_and_bounded(settings, kept, tmp_path):
    named = '"name": "Ada", "group": "", "release": "", "run": ""'
    (tmp_path / "hand-in.json").write_text(f'{{{named}, "settings": {settings}}}')
    told = evidences._manifest(tmp_path)
    assert told["problem"] == "" and told["name"] == "Ada"
    game, nenvs = kept or ("", None)
    used = {"game": game} | ({"nenvs": nenvs} if nenvs else {})
    assert told["settings"] == (used if kept else None)
    register._small({"manifest": told})


# what a hand-in is


def test_find_hand_ins_finds_archives_and_notebooks_each_once_and_no_others(tmp_path):
    names = ["a.zip", "b/c.ZIP", "d.rar", "e.ipynb", "f.txt", "__MACOSX/g.zip", ".h/i.zip"]
    for name in [*names, "out/evidence/j.zip"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    found = find_hand_ins([tmp_path, tmp_path / "a.zip"], tmp_path / "out")
    expected = ["a.zip", "b/c.ZIP", "d.rar", "e.ipynb"]
    assert [path.relative_to(tmp_path).as_posix() for path in found] == expected


@pytest.mark.parametrize(
    ("path", "told"),
    [("nowhere", "nowhere is not there: name a hand-in or a folder"), ("", "holds no hand-in")],
)
def test_the_command_names_a_path_that_holds_nothing(path, told, tmp_path, capsys):
    with pytest.raises(SystemExit) as left:
        main(["grade", str(tmp_path / path), "--out", str(tmp_path / "out")])
    assert left.value.code == 2 and told in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_command_refuses_what_is_no_release(tmp_path, capsys):
    (tmp_path / "a2c.zip").write_text("no release")
    with pytest.raises(SystemExit) as left:
        main(["grade", str(tmp_path), "--out", "out", "--release", str(tmp_path / "a2c.zip")])
    assert left.value.code == 2 and "is no release (BadZipFile" in capsys.readouterr().err


@pytest.mark.parametrize(("names", "status"), [(["Ada"], 0), (["Ada", "Refused"], 1)])
def test_the_command_tells_how_it_ended(names, status, collected, tmp_path, capsys):
    folder = tmp_path / "hand-ins"
    folder.mkdir()
    for name in names:
        (folder / f"{name}.zip").write_text(name)
    assert (
        main(["grade", str(folder), "--out", str(tmp_path / "out"), "--jobs", "1", "--json"])
        == status
    )
    said = capsys.readouterr()
    assert [row["name"] for row in json.loads(said.out)] == names
    assert f"{len(names)} graded: 1 with a mark, {len(names) - 1} for the grader" in said.err


def test_the_command_prints_a_table_that_was_saved_with_semicolons(
    collected, hand_ins, tmp_path, capsys
):
    call = ["grade", str(hand_ins), "--out", str(tmp_path / "out"), "--jobs", "1", "--json"]
    main(call)
    first = capsys.readouterr().out
    path = tmp_path / "out" / "grades.csv"
    path.write_bytes(path.read_bytes().replace(b",", b";"))
    main(call)
    assert capsys.readouterr().out == first and b"name;group" in path.read_bytes()


HOLDS = """import sys
from pathlib import Path
from grading.marking.shelf import alone
with alone(Path(sys.argv[1])):
    print("here", flush=True)
    sys.stdin.read()
"""


def test_two_commands_do_not_grade_into_one_folder_and_one_that_is_killed_leaves_it(
    collected, hand_ins, tmp_path, capsys
):
    out = tmp_path / "out"
    call = [sys.executable, "-c", HOLDS, str(out)]
    pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=shelf.ROOT)
    with subprocess.Popen(call, **pipes) as other:
        assert other.stdout.readline().strip() == b"here"
        with pytest.raises(SystemExit) as left:
            main(["grade", str(hand_ins), "--out", str(out)])
        other.kill()
    told = f"another `grade` is working in {out}: wait until it ends, or stop it"
    assert left.value.code == 2 and told in capsys.readouterr().err and not collected
    assert main(["grade", str(hand_ins), "--out", str(out), "--jobs", "1"]) == 0


def test_pages_that_cannot_be_written_are_told_before_a_hand_in_is_graded(
    collected, hand_ins, tmp_path, capsys
):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(SystemExit) as left:
        main(["grade", str(hand_ins), "--out", str(tmp_path / "file" / "out")])
    told = capsys.readouterr().err
    assert left.value.code == 2 and "give another folder with --out" in told and not collected


def test_the_command_that_is_stopped_says_how_to_go_on(collected, tmp_path, capsys):
    (tmp_path / "Stop.zip").write_text("Stop")
    assert main(["grade", str(tmp_path), "--out", str(tmp_path / "out")]) == 130
    assert "stopped: the same command goes on from here" in capsys.readouterr().err


# releases


def test_a_release_brings_its_own_marks_and_modules(tmp_path):
    course = json.loads((shelf.ROOT / "assignment.json").read_text(encoding="utf-8"))
    course["marks"] = {"300": 5}
    with zipfile.ZipFile(tmp_path / "a2c.zip", "w") as archive:
        archive.writestr("a2c/manifest.json", json.dumps({"version": "0d1e5c0ffee5"}))
        archive.writestr("a2c/assignment.json", json.dumps(course))
        archive.writestr("a2c/runners.py", "x = 1\n")
    older = read_release(tmp_path / "a2c.zip")
    assert (older.version, older.assignment.marks) == ("0d1e5c0ffee5", {300: 5})
    assert release_of("0d1e5c0ffee5", [older]) is older
    assert release_of("another", [older]) is HERE() and release_of("", [older]) is HERE()
    (tmp_path / "runners.py").write_text("x = 1  \r\n", newline="")
    assert changes(tmp_path, older) == []
    (tmp_path / "runners.py").write_text("x = 2\n\x1b[2J")
    assert changes(tmp_path, older) == [
        {
            "name": "runners.py",
            "diff": "--- released/runners.py\n+++ runners.py\n@@ -1 +1,2 @@\n-x = 1\n+x = 2\n+[2J",
        }
    ]


def test_a_release_of_this_kit_is_known_by_its_manifest(tmp_path):
    names = ("assignment.json", "runners.py")
    files = {n: hashlib.sha256((shelf.ROOT / n).read_bytes()).hexdigest() for n in names}
    (tmp_path / "manifest.json").write_text(json.dumps({"files": files}))
    assert is_of_here(tmp_path)
    (tmp_path / "manifest.json").write_text(json.dumps({"files": {**files, "runners.py": "0"}}))
    assert not is_of_here(tmp_path)
    (tmp_path / "manifest.json").write_text("[" * 100_000)
    assert not is_of_here(tmp_path)
