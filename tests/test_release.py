import hashlib
import json
import shutil
import subprocess
import sys

import nbformat
import pytest

from grading.check import TASKS
from release import ReleaseError, kit, leaks, students
from tests import notebook
from tests.checking import check, make

CELLS = dict(zip(TASKS, notebook.TASKS, strict=True))
CHANGED_NAMES = """
def act(net, pictures):
    out, v = net.model(pictures)
    pi = torch.distributions.Categorical(logits=out)
    return pi
"""
LARGE = "x = -(adv.detach() * t['log_probs']).mean() + a.value_loss_coef * a.value_loss(t) - b"


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    return kit.build(tmp_path_factory.mktemp("release"))


@pytest.fixture(scope="module")
def forbidden():
    cells = (cell for cell in notebook.read().cells if cell.cell_type == "code")
    return leaks.fragments(x for c in cells for x in students.solutions(c.source, c.id))


def test_the_kit_holds_what_is_allowed_and_no_more(released):
    folder, archive = released
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {name.split("/")[0] for name in names} == {
        *("LICENSE", "README.md", "a2c_assignment.ipynb", "atari_wrappers.py", "env_batch.py"),
        *("grading", "img", "lesson", "manifest.json", "requirements.txt", "runners.py"),
        *("tests", "training"),
    }
    assert {name for name in names if name.startswith("tests/")} >= {"tests/checks/expected.npz"}
    assert not any("reference" in name for name in names - {"img/reference/curve.png"})
    assert not any(name.startswith("tests/test_") or name.endswith(".pt") for name in names)
    assert archive.stat().st_size < 1_000_000


def test_the_manifest_names_every_file_by_its_hash(released):
    folder, _ = released
    manifest = json.loads((folder / kit.MANIFEST).read_text())
    files = {path for path in folder.rglob("*") if path.is_file()} - {folder / kit.MANIFEST}
    hashes = {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }
    assert manifest["files"] == hashes and len(manifest["version"]) == 12


def test_the_archive_is_the_same_byte_for_byte(released, tmp_path):
    assert kit.build(tmp_path)[1].read_bytes() == released[1].read_bytes()


def test_the_notebook_has_stubs_hints_and_no_outputs(released):
    book = nbformat.read(released[0] / kit.NOTEBOOK, as_version=4)
    text = "\n".join(cell.source for cell in book.cells)
    assert "SOLUTION" not in text and text.count("# YOUR CODE HERE") == 10
    assert text.count("<details>") == notebook.PATH.read_text().count("<details>")
    assert not any(cell.get("outputs") for cell in book.cells)
    assert text.count("YOUR ANSWER HERE") == 1
    nbformat.validate(book)


@pytest.mark.parametrize("task", TASKS)
def test_the_check_of_a_stub_fails(task):
    cell = CELLS[task]
    stub = students.stubbed(notebook.cells(notebook.read())[cell], "code", cell)
    try:
        told = check(task, make(cells={cell: stub}))
    except NotImplementedError:  # where the class cannot even be made
        return
    assert "NotImplementedError" in told


def test_a_solution_put_back_in_place_of_its_stub_is_the_solved_notebook(released):
    book = nbformat.read(released[0] / kit.NOTEBOOK, as_version=4)
    stub = "\n".join(students.STUBS["code"])
    for solved, cell in zip(notebook.read().cells, book.cells, strict=True):
        if solved.cell_type == "code":
            source = cell.source
            for lines in students.solutions(solved.source, solved.id):
                indent = lines[0][: len(lines[0]) - len(lines[0].lstrip())]
                hole = "\n".join(indent + line for line in stub.split("\n"))
                source = source.replace(hole, "\n".join(lines), 1)
            without = [line for line in solved.source.split("\n") if "SOLUTION" not in line]
            assert source == "\n".join(without)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("a\n### BEGIN SOLUTION\nb", "cell c, line 2: this solution has no END SOLUTION"),
        ("a\n### END SOLUTION", "cell c, line 2: a solution ends that never began"),
        (
            "### BEGIN SOLUTION\na\n### BEGIN SOLUTION\n### END SOLUTION\n### END SOLUTION",
            "cell c, line 3: a solution begins inside the one of line 1",
        ),
    ],
)
def test_a_marker_that_does_not_fit_is_named_by_cell_and_line(source, says):
    with pytest.raises(ReleaseError, match=says):
        students.stubbed(source, "code", "c")


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("self.optimizer.zero_grad()\nloss.backward()", 1),
        ("def f():\n    o.optimizer.zero_grad()\n    total.backward()", 2),
        (CHANGED_NAMES, 3),
        (
            "y = 1\nz = me.policy_loss(x) + good - me.entropy_coef * me.entropy(x)",
            2,
        ),
    ],
    ids=["as it is", "names changed", "in a function", "one expression"],
)
def test_a_trace_of_a_solution_is_found(source, line, forbidden):
    found = leaks.find_leaks("file.py", source, forbidden)
    assert found and found[0].startswith(f"file.py, line {line}: a trace")


def test_what_is_no_trace_is_none(forbidden):
    harmless = "import torch\nx = torch.zeros(3)\ny = x.mean()\nraise NotImplementedError()"
    assert leaks.find_leaks("file.py", harmless, forbidden) == []
    assert len(forbidden) > 30


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        (
            "lesson/more.py",
            "self.optimizer.zero_grad()\nloss.backward()\n",
            "lesson/more.py, line 1",
        ),
        ("lesson/more.py", 'HERE = "/home/me/a2c"\n', "line 1: /home/m is a path of one machine"),
    ],
)
def test_a_kit_that_must_not_be_released_is_not(name, content, says, tmp_path):
    root = tmp_path / "root"
    ignore = shutil.ignore_patterns(".*", "logs", "videos", "benchmarks", "__pycache__")
    shutil.copytree(notebook.PATH.parent, root, ignore=ignore)
    (root / name).write_text(content)
    with pytest.raises(ReleaseError, match=says):
        kit.build(tmp_path / "out", root)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_the_kit_checks_a_solution_in_an_empty_folder_and_refuses_stubs(released, tmp_path):
    folder = tmp_path / "a2c"
    shutil.unpack_archive(released[1], tmp_path)
    shutil.copy(notebook.PATH, folder / "solved.ipynb")
    command = [sys.executable, "-m", "grading", "check"]
    told = {
        name: subprocess.run([*command, name], cwd=folder, capture_output=True, text=True)
        for name in ("solved.ipynb", kit.NOTEBOOK)
    }
    assert told["solved.ipynb"].stdout.split("\n")[:-1] == [f"{task}: passed" for task in TASKS]
    assert told[kit.NOTEBOOK].returncode == 1 and "passed" not in told[kit.NOTEBOOK].stdout
