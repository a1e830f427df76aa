"""A course that grades with nbgrader: its own program on our notebook, from source to points."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import nbformat
import pytest
from nbgrader.api import Gradebook

from release import kit
from release.students import make_students_notebook
from tests import notebook

CHECKS = [name.replace("-class", "-check") for name in notebook.TASKS]
POINTS = {"right": [1, 1, 1, 1, 1], "half": [1, 1, 1, 0, 0], "empty": [0, 0, 0, 0, 0]}


def nbgrader(course, *words):
    """Runs nbgrader's program in a course's folder; returns what it said."""
    command = [sys.executable, "-m", "nbgrader", *words]
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # alembic
    environment = {**os.environ, "PATH": programs, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, cwd=course, env=environment, capture_output=True, text=True, timeout=300
    )
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A course whose source is the solved notebook beside the released files."""
    folder = tmp_path_factory.mktemp("course")
    released, _ = kit.build(tmp_path_factory.mktemp("release"))
    shutil.copytree(released, folder / "source" / "a2c")
    shutil.copy(notebook.PATH, folder / "source" / "a2c")
    nbgrader(folder, "generate_assignment", "a2c")
    return folder


@pytest.fixture(scope="module")
def assignment(course):
    """What nbgrader makes of the solved notebook for students."""
    return nbformat.read(course / "release" / "a2c" / kit.NOTEBOOK, as_version=4)


def test_nbgrader_makes_the_students_notebook(assignment):
    sources = notebook.cells(assignment)
    for name in notebook.TASKS:
        compile(sources[name], name, "exec")
        assert "SOLUTION" not in sources[name] and "NotImplementedError" in sources[name]
    assert "reward_mean_100" not in sources["curves-comments"]
    assert len(assignment.cells) == len(notebook.read().cells)


def test_nbgrader_makes_the_notebook_that_is_released(assignment):
    released = make_students_notebook(notebook.read())
    for ours, theirs in zip(released.cells, assignment.cells, strict=True):
        fields = dict(theirs.metadata.get("nbgrader", {}))
        fields.pop("checksum", None)
        assert (ours.id, ours.source) == (theirs.id, theirs.source)
        assert ours.metadata.get("nbgrader", {}) == fields


def test_the_fields_of_nbgrader_are_true():
    for cell in notebook.read().cells:
        fields = cell.metadata.get("nbgrader", {})
        solution = "BEGIN SOLUTION" in cell["source"]
        counts = cell["id"].endswith("-check") and not cell["id"].startswith("further-")
        check = "checks.check_" in cell["source"] and counts
        assert bool(fields) == (solution or check), cell["id"]
        if fields:
            assert fields["grade_id"] == cell["id"] and fields["cell_type"] == cell.cell_type
            assert fields["solution"] == solution and fields["locked"] == check
            assert fields["grade"] == (check or cell.cell_type == "markdown")
            assert ("points" in fields) == fields["grade"]


# zip_collect

COLLECTOR = r"""
c = get_config()
c.FileNameCollectorPlugin.named_regexp = (  # exports of Moodle and of Canvas
    r".*/[^/]*?_(?P<student_id>\d+)_(?:assignsubmission_file_?|\d+_[^/]+)/"
    r"(?:.*/)?(?P<file_id>a2c_assignment)\.ipynb$"
)
"""
DELIVERED = {  # as Moodle and Canvas name them: whose they are
    "Ada Lovelace_101_assignsubmission_file/hand-in.zip": "101",
    "Пётр Ёлкин_102_assignsubmission_file_/hand-in.zip": "102",
    "Participant_103_assignsubmission_file/a2c.zip": "103",
    "hoppergrace_104_9001_hand-in.zip": "104",
    "wrongwim_LATE_105_9002_hand-in-2.zip": "105",
    "Solo_106_assignsubmission_file/a2c_assignment.ipynb": "106",
}


def test_zip_collect_takes_hand_ins_of_moodle_and_canvas(course, tmp_path):
    (tmp_path / "nbgrader_config.py").write_text(COLLECTOR)
    shutil.copytree(course / "release", tmp_path / "release")
    for name, student in DELIVERED.items():
        path = tmp_path / "downloaded" / "a2c" / "archive" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".ipynb":
            path.write_text(student)
            continue
        inside = "a2c/" if student == "103" else ""  # packed again, with its folder
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(f"{inside}{kit.NOTEBOOK}", student)
            archive.writestr(f"{inside}.ipynb_checkpoints/a2c_assignment-checkpoint.ipynb", "old")
            archive.writestr(f"{inside}videos/True/rl-video-episode-0.mp4", "film")
            archive.writestr(f"{inside}weights.pt", "weights")
    said = nbgrader(tmp_path, "zip_collect", "a2c")
    submitted = tmp_path / "submitted"
    assert {path.name for path in submitted.iterdir()} == {*DELIVERED.values()}, said
    for student in DELIVERED.values():
        (file,) = (submitted / student / "a2c").iterdir()
        assert (file.name, file.read_text()) == (kit.NOTEBOOK, student)


# points


def submit(course, assignment, student, solved):
    """Hands in the released files, the notebook with some tasks solved."""
    folder = course / "submitted" / student / "a2c"
    shutil.copytree(course / "release" / "a2c", folder)
    book, sources = nbformat.from_dict(assignment), notebook.cells(notebook.read())
    for cell in book.cells:
        if cell.id in solved:
            cell.source = sources[cell.id]
    nbformat.write(book, folder / kit.NOTEBOOK)
    return folder / kit.NOTEBOOK


@pytest.fixture(scope="module")
def graded(course, assignment):
    """The hand-ins of three students, graded; what nbgrader said."""
    for student, points in POINTS.items():
        solved = [task for task, point in zip(notebook.TASKS, points, strict=True) if point]
        solved += ["curves-comments"] if student == "right" else []
        submit(course, assignment, student, solved)
    return nbgrader(course, "autograde", "a2c")


@pytest.mark.slow
def test_each_check_gives_its_point_and_nothing_else_takes_one(course, graded):
    assert "ERROR" not in graded, graded
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as book:
        for student, points in POINTS.items():
            grades = book.find_submission_notebook("a2c_assignment", "a2c", student).grades
            automatic = {grade.name: grade.auto_score for grade in grades}
            assert [automatic[name] for name in CHECKS] == points, student
            by_hand = None if student == "right" else 0  # what is empty needs no grader
            assert automatic["curves-comments"] == by_hand


@pytest.mark.slow
def test_checks_write_no_warning_and_what_follows_them_is_left_out(course, graded):
    path = course / "autograded" / "right" / "a2c" / kit.NOTEBOOK
    book = nbformat.read(path, as_version=4)
    cells = {cell.id: cell for cell in book.cells if cell.cell_type == "code"}
    for name in CHECKS:
        assert [output.output_type for output in cells[name].outputs] == ["stream"]
        assert cells[name].outputs[0].name == "stdout"
    code = list(cells)
    for name in code[code.index("a2c-check") + 1 :]:
        assert not cells[name].outputs
    own = {one.name for one in (course / "submitted" / "right" / "a2c").iterdir()}
    assert {one.name for one in path.parent.iterdir()} <= own | {"__pycache__"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("student", "says"), [("right", "Success!"), ("half", "FAILED ON 3 CELL(S)")]
)
def test_validate_tells_a_student_what_fails(student, says, course, graded):
    path = course / "submitted" / student / "a2c" / kit.NOTEBOOK
    told = nbgrader(path.parent, "validate", path.name)
    assert says in told and ("You did not provide a response" in told) == (student == "half")
