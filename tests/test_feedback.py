"""What goes back to students: a page each, and in no page what is not theirs to see."""

import csv
import hashlib
import io
import re
import zipfile

import pytest

from grading.__main__ import main
from grading.marking import evidence as evidences
from grading.marking import grade as grading
from grading.marking import pages, register, shelf
from grading.marking.evidence import Course
from grading.marking.exports import Delivered
from grading.marking.feedback import comment_on, hand_back, shown
from grading.marking.likeness import Alike
from grading.marking.sheets import SheetError
from grading.marking.verdict import decide
from grading.sandbox import NO_WALL
from lesson.assignment import read_assignment
from tests.records import another, changed, write_files

ASSIGNMENT = read_assignment()
COURSE = Course(NO_WALL)
COPY = Alike("weights", "Max Roe (max.zip)", "The weights are those of another hand-in.")
SEEDS = [123454321, 987656789]
SHEET = """Identifier,Full name,Status,Grade,Maximum grade,Last modified (grade),Feedback comments
Participant 12,Ada Lovelace,Submitted,,10.00,-,
Participant 7,Max Roe,Submitted,,10.00,-,
"""
GRADEBOOK = """Student,ID,SIS Login ID,Section,A2C (4711)
    Points Possible,,,,10
"Lovelace, Ada",12,ada,RL-1,
"Roe, Max",7,max,RL-1,EX
"""


def entry(path, name, number="12", system="Moodle", place="", alike=(), ruled=None, **changes):
    """Returns the Entry of a hand-in that a system delivered."""
    place = place or f"{name}_{number}_assignsubmission_file/hand-in.zip"
    told = another(name, file=place) | changes
    told["checks"]["seeds"] = SEEDS
    told["lms"] = dict(system=system, owner=number, name=name, late=False)
    verdict = decide(told, list(alike), ASSIGNMENT, ruled)
    delivered = Delivered(path / place, place, system, number, name)
    return pages.Entry(f"{name}-{number}", path, told, verdict, list(alike), delivered)


def sheet_in(tmp_path, text):
    path = tmp_path / "sheet.csv"
    path.write_text(text, encoding="utf-8")
    (tmp_path / "out").mkdir()
    return path


def held(tmp_path):
    """Returns {name: bytes} of feedback.zip."""
    with zipfile.ZipFile(tmp_path / "out" / "feedback.zip") as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_moodle_gets_a_page_under_each_students_number(tmp_path):
    sheet = sheet_in(tmp_path, SHEET.replace("Ada Lovelace", "Ada Lovelace_"))
    entries = [entry(tmp_path, "Ada Lovelace"), entry(tmp_path, "Max Roe", "7")]
    assert hand_back(entries, [], tmp_path / "out", COURSE, sheet) == []
    files = held(tmp_path)
    assert [*files] == [
        "Ada Lovelace_12_assignsubmission_file/feedback.html",
        "Max Roe_7_assignsubmission_file/feedback.html",
    ]
    ada, other = (page.decode() for page in files.values())
    assert "Ada Lovelace" in ada and "Max Roe" not in ada and "Max Roe" in other
    assert all(len(page) < 100_000 for page in files.values())


def test_moodle_gets_a_teams_page_once_for_each_member(tmp_path):
    text = SHEET.replace("Status", "Status,Group").replace("Submitted", "Submitted,Team A")
    sheet = sheet_in(tmp_path, text)
    hand_back([entry(tmp_path, "Team A", "7")], [], tmp_path / "out", COURSE, sheet)
    files = held(tmp_path)
    assert sorted(files) == [
        "Ada Lovelace_12_assignsubmission_file/feedback.html",
        "Max Roe_7_assignsubmission_file/feedback.html",
    ]
    assert len({*files.values()}) == 1


def test_moodle_gets_no_page_without_the_sheet_which_tells_teams_from_students(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "feedback.zip").write_bytes(b"of an earlier call")
    lines = hand_back([entry(tmp_path, "Ada Lovelace")], [], tmp_path / "out", COURSE)
    assert lines == [
        "feedback.zip holds no pages for Moodle: they need --sheet, which alone tells a student's "
        "number from a team's"
    ]
    assert not (tmp_path / "out" / "feedback.zip").exists()


def test_canvas_gets_a_page_under_the_name_of_what_was_handed_in(tmp_path):
    zipped, loose = "lovelaceada_12_5_hand-in.zip", "roemax_LATE_7_6_a2c.ipynb"
    entries = [
        entry(tmp_path, "lovelaceada", "12", "Canvas", zipped),
        entry(tmp_path, "roemax", "7", "Canvas", loose),
    ]
    (tmp_path / "out").mkdir()
    assert hand_back(entries, [], tmp_path / "out", COURSE) == []
    files = held(tmp_path)
    assert [*files] == [zipped, "roemax_LATE_7_6_a2c.ipynb.html"]
    with zipfile.ZipFile(io.BytesIO(files[zipped])) as inner:
        assert inner.namelist() == ["feedback.html"] and b"10 points" in inner.read("feedback.html")


def test_other_systems_get_a_page_beside_the_name_of_each_hand_in(tmp_path):
    entries = [
        entry(tmp_path, "Ada", "9", "Gradescope", "submission_5"),
        entry(tmp_path, "Bo", "1", "mapping", "bo.zip"),
        entry(tmp_path, "Cy", "2", "mapping", "bo.ipynb"),
        entry(tmp_path, "Dan", "", "", "dan.zip"),
    ]
    (tmp_path / "out").mkdir()
    hand_back(entries, [], tmp_path / "out", COURSE)
    assert [*held(tmp_path)] == ["submission_5.html", "bo.zip.html", "bo.ipynb.html"]


def test_a_page_goes_back_only_where_the_sheet_holds_its_points(tmp_path):
    sheet = sheet_in(tmp_path, GRADEBOOK)
    entries = [
        entry(tmp_path, "lovelaceada", "12", "Canvas", "lovelaceada_12_5_hand-in.zip"),
        entry(tmp_path, "roemax", "7", "Canvas", "roemax_7_6_hand-in.zip"),
    ]
    lines = hand_back(entries, [], tmp_path / "out", COURSE, sheet)
    assert lines == ["Roe, Max (7): points not written (10): excused there"]
    assert [*held(tmp_path)] == ["lovelaceada_12_5_hand-in.zip"]
    assert '"Lovelace, Ada",12,ada,RL-1,10\n' in (tmp_path / "out" / "sheet.csv").read_text()


def test_no_page_and_no_points_go_back_before_a_grader_has_judged(tmp_path):
    sheet = sheet_in(tmp_path, SHEET)
    waiting = entry(tmp_path, "Ada Lovelace", alike=[COPY])
    left = Delivered(tmp_path / "b.zip", "b.zip", "Moodle", "7", "Max Roe")
    lines = hand_back([waiting], [left], tmp_path / "out", COURSE, sheet)
    assert lines == [
        "2 rows are left, for their hand-ins have no points yet: Ada Lovelace (12); Max Roe (7)"
    ]
    assert (tmp_path / "out" / "sheet.csv").read_text() == SHEET
    assert not (tmp_path / "out" / "feedback.zip").exists()


def test_a_student_sees_neither_seeds_nor_likeness_nor_how_a_copy_is_found(tmp_path):
    (tmp_path / "out").mkdir()
    told = changed(another("lovelaceada"), "replay.sampled.high", 350)
    told = changed(told, "videos.files.0.follows", 0.2)
    told = changed(told, "curves.runs.0.oddities", ["the pace of two machines at once"])
    told = changed(told, "checks.tasks.A2C", {"result": "failed", "message": "no gradient"})
    told = changed(told, "replay.seed", 55443322)
    place, ruled = "lovelaceada_12_5_a.ipynb", (8, "I saw it run.")
    parts = {key: told[key] for key in ("replay", "videos", "curves", "checks")}
    made = entry(tmp_path, "lovelaceada", "12", "Canvas", place, [COPY], ruled, **parts)
    assert {"alike", "replay", "videos", "curves", "checks"} <= {*made.verdict.flags}
    hand_back([made], [], tmp_path / "out", COURSE)
    (page,) = held(tmp_path).values()
    page = page.decode()
    for hidden in ("Max Roe", "another hand-in", "cannon", "two machines", "upper end", "55443322"):
        assert hidden not in page
    assert not any(str(seed) in page for seed in SEEDS)
    assert "8 points" in page and "I saw it run." in page and "no gradient" in page
    assert not re.search(r"<(script|video|img|iframe|form)", page) and "default-src 'none'" in page


def test_shown_keeps_what_a_student_can_mend():
    asked = changed(another("Ada"), "checks.tasks.A2C", {"result": "failed", "message": "why"})
    parts = [one.part for one in shown(decide(asked, [COPY], ASSIGNMENT)) if one.kind == "asks"]
    assert parts == ["checks"]


def test_a_comment_is_one_line_of_html_with_points_and_what_holds():
    verdict = decide(another("Ada"), [], ASSIGNMENT, (1, "a <b>\n& so on"))
    comment = comment_on(verdict)
    assert comment.startswith(
        "1 point. A grader gave 1 point, whatever the rules say. a &lt;b&gt; &amp; so on A correct "
        "A2C: the checks of all five tasks passed, also on hidden numbers."
    )
    assert "\n" not in comment and "reward_mean_100 of the run first-run reached" in comment


def test_words_that_name_another_student_do_not_go_back(tmp_path):
    sheet = sheet_in(tmp_path, SHEET)
    entries = [
        entry(tmp_path, "Ada Lovelace", ruled=(3, "Copied from max roe.")),
        entry(tmp_path, "Max Roe", "7", ruled=(3, "Max Roe, well done")),
    ]
    lines = hand_back(entries, [], tmp_path / "out", COURSE, sheet)
    assert lines == [
        "Ada Lovelace (12): the reason in grades.csv names Max Roe; feedback was not written. "
        "Reword it, and run the command again."
    ]
    assert [*held(tmp_path)] == ["Max Roe_7_assignsubmission_file/feedback.html"]
    ada, other = csv.DictReader((tmp_path / "out" / "sheet.csv").open(encoding="utf-8"))
    assert (ada["Grade"], ada["Feedback comments"]) == ("3", "")
    assert other["Feedback comments"].startswith("3 points.")


@pytest.mark.parametrize("name", ["Grades.csv", "grades.csv", "feedback.zip"])
def test_a_sheet_does_not_take_the_place_of_a_file_of_ours(name, tmp_path):
    sheet = sheet_in(tmp_path, SHEET).rename(tmp_path / name)
    with pytest.raises(SheetError, match=f"{name} is called as a file of this command"):
        hand_back([], [], tmp_path / "out", COURSE, sheet)


# the whole command


@pytest.fixture
def graded(monkeypatch):
    """Collects made-up evidence of a student named in the file."""

    def collect(path, into, course, tell):
        made = another(path.read_text().strip())
        write_files(made, into)
        return {**made, "digest": hashlib.sha256(path.read_bytes()).hexdigest()}

    monkeypatch.setattr(evidences, "collect", collect)
    monkeypatch.setattr(grading, "read_reference", lambda shelf, course: {})
    monkeypatch.setattr(register.pages, "PARTS", ("Policy",))
    for module in (shelf, register, evidences):
        monkeypatch.setattr(module, "grader_version", lambda: "0123456789ab")


def run(tmp_path, *options):
    out = tmp_path / "graded"
    call = ["grade", str(tmp_path / "export"), "--out", str(out), "--jobs", "1"]
    call += ["--unsafe-no-sandbox"]
    return main([*call, *map(str, options)]), out


def lay(tmp_path, files):
    for name, text in files.items():
        path = tmp_path / "export" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_the_command_goes_from_moodles_export_to_what_moodle_takes(graded, tmp_path, capsys):
    lay(tmp_path, {"Ada Lovelace_12_assignsubmission_file/hand-in.zip": "Ada"})
    lay(tmp_path, {"Max Roe_7_assignsubmission_file/hand-in.zip": "Max Roe"})
    sheet = tmp_path / "Grades-RL.csv"
    sheet.write_text(SHEET, encoding="utf-8")
    status, out = run(tmp_path, "--sheet", sheet)
    told = capsys.readouterr().err
    assert status == 0 and str(out / "Grades-RL.csv") in told and str(out / "feedback.zip") in told
    rows = [*csv.DictReader((out / "Grades-RL.csv").open(encoding="utf-8"))]
    assert [row["Grade"] for row in rows] == ["10", "10"]
    table = [*csv.DictReader((out / "grades.csv").open(encoding="utf-8-sig"))]
    assert [(row["name"], row["LMS name"], row["LMS id"]) for row in table] == [
        ("Ada", "Ada Lovelace", "12"),
        ("Max Roe", "Max Roe", "7"),
    ]
    assert table[0]["file"] == "Ada Lovelace_12_assignsubmission_file/hand-in.zip"
    page = next((out / "students").glob("Ada-*")).read_text(encoding="utf-8")
    assert "Moodle · Ada Lovelace · 12" in page
    assert "Moodle · Ada Lovelace · 12" in (out / "index.html").read_text(encoding="utf-8")


def test_the_systems_word_counts_on_who_a_student_is_and_on_lateness(graded, tmp_path):
    lay(tmp_path, {"a_LATE_1_5_x.zip": "Max Roe", "b_2_6_x.zip": "Max Roe "})
    _status, out = run(tmp_path)
    table = [*csv.DictReader((out / "grades.csv").open(encoding="utf-8-sig"))]
    assert [(row["LMS id"], row["late"]) for row in table] == [("1", "late"), ("2", "")]
    assert not any("superseded" in row["flags"] for row in table)
    assert all("alike" in row["flags"] for row in table)  # two students, and one hand-in


def test_the_command_refuses_a_wrong_sheet_before_it_grades(graded, tmp_path, capsys):
    lay(tmp_path, {"Ada_12_assignsubmission_file/hand-in.zip": "Ada"})
    sheet = tmp_path / "Grades-RL.csv"
    sheet.write_text("a,b\n", encoding="utf-8")
    with pytest.raises(SystemExit):
        run(tmp_path, "--sheet", sheet)
    assert "Grades-RL.csv has no column Identifier" in capsys.readouterr().err
    assert not (tmp_path / "graded").exists()
