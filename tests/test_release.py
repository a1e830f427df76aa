import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile

import nbformat
import pytest
import torch
from nbclient import NotebookClient

import release.__main__
from grading.check import TASKS
from grading.verdicts import Verdict
from lesson.assignment import read_assignment
from lesson.games import EXPECT
from release import ReleaseError, kit, leaks, students
from release.assigned import bring_up_to_date, texts
from release.fit import problems
from tests import notebook
from tests.checking import check, make

CELLS = dict(zip(TASKS, notebook.TASKS, strict=True))
CHANGED_NAMES = """
def act(net, pictures):
    out, v = net.model(pictures)
    pi = torch.distributions.Categorical(logits=out)
    return pi
"""


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    return kit.build(tmp_path_factory.mktemp("release"))


@pytest.fixture(scope="module")
def forbidden():
    cells = (cell for cell in notebook.read().cells if cell.cell_type == "code")
    return leaks.traces(x for c in cells for x in students.solutions(c.source, c.id))


def test_the_kit_holds_what_is_allowed_and_no_more(released):
    folder, archive = released
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {name.split("/")[0] for name in names} == {
        *("LICENSE", "README.md", "a2c_assignment.ipynb", "assignment.json", "atari_wrappers.py"),
        *("env_batch.py", "grading", "img", "languages", "lesson", "manifest.json"),
        *("requirements.txt", "runners.py", "tests", "training"),
    }
    assert {name for name in names if name.startswith("tests/")} >= {"tests/checks/expected.npz"}
    told = {"img/reference/curve.png", "lesson/reference_run.json"}
    assert not any("reference" in name for name in names - told)
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
    (tmp_path / "a2c" / "of an older one.py").write_text("")
    assert kit.build(tmp_path)[1].read_bytes() == released[1].read_bytes()
    assert not (tmp_path / "a2c" / "of an older one.py").exists()


def test_the_notebook_has_stubs_hints_and_no_outputs(released):
    book = nbformat.read(released[0] / kit.NOTEBOOK, as_version=4)
    text = "\n".join(cell.source for cell in book.cells)
    assert "SOLUTION" not in text and text.count("# YOUR CODE HERE") == 15
    assert text.count("<details>") == notebook.PATH.read_text().count("<details>")
    assert not any(cell.get("outputs") for cell in book.cells)
    assert text.count("YOUR ANSWER HERE") == 6
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
    solved = notebook.read()
    for ours, cell in zip(solved.cells, students.filled(book, solved).cells, strict=True):
        without = [line for line in ours.source.split("\n") if "SOLUTION" not in line]
        assert cell.source == "\n".join(without)


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


# what must not be released

ADVANTAGE = "(t['value_targets'] - t['values']).detach()"
LOSS = f"-({ADVANTAGE} * t['log_probs']).mean()"


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("self.optimizer.zero_grad()\nloss.backward()", 1),
        ("def f():\n    o.zero_grad()\n    total.backward()", 2),
        (CHANGED_NAMES, 3),
        ("y = 1\nz = policy_loss(x) + good - beta * entropy(x)", 2),
        ("if a:\n  pass\nelse:\n  norm = g\n  b()\n  opt.step()\n  return norm", 6),
        (f"adv = {ADVANTAGE}\nreturn -(adv * t['log_probs']).mean()", 1),
        ("x = orthogonal(nn.Conv2d(4, 32, kernel_size=8, stride=4), g)", 1),
        ("targets = []\nit = zip(b['rewards'], b['resets'], strict=True)", 1),
        ("f = [torch.cat if torch.is_tensor(a[0]) else np.concatenate for a in b]", 1),
    ],
    ids="as_it_is in_a_function names_changed one_expression branch pair layer call merge".split(),
)
def test_a_trace_of_a_solution_is_found(source, line, forbidden):
    found = [*leaks.find_leaks("file.py", source, forbidden)]
    assert found and found[0].startswith(f"file.py, line {line}: a trace")


def test_what_is_no_trace_is_none(forbidden):
    harmless = "import torch\nx = torch.zeros(3)\ny = x.mean()\nraise NotImplementedError()"
    assert not [*leaks.find_leaks("file.py", harmless, forbidden)]
    assert not [*leaks.find_leaks("file.py", "%no python", forbidden)]
    assert len(forbidden) > 30


@pytest.mark.parametrize(
    ("hint", "line"),
    [
        ("Call `optimizer.step()` at last.", 1),
        ("Two lines:\n\n```python\nx = 1\ntargets.append(target)\n```", 5),
        ("`values.squeeze(-1)` and `return norm`", 1),
    ],
)
def test_a_hint_that_holds_a_statement_is_found(hint, line, forbidden):
    found = [
        message
        for at, code in leaks.code_of_markdown(hint)
        for message in leaks.find_leaks("cell a", code, forbidden, at, is_hint=True)
    ]
    assert found == [f"cell a, line {line}: a hint holds a statement of a solution"]


def test_the_code_of_a_markdown_text_is_found_with_its_lines():
    text = "a `b` and\n```python\nc\nd\n```\n`e`"
    assert [*leaks.code_of_markdown(text)] == [(1, "b"), (3, "c\nd\n"), (6, "e")]


@pytest.fixture(scope="module")
def unfit(released):
    """Tells what is wrong with the kit once a file of it, or a cell of its source, is another."""
    names = [path for path in released[0].rglob("*") if path.is_file()]
    idle = {path.relative_to(released[0]).as_posix(): b"" for path in names}

    def told(name=kit.NOTEBOOK, content=None, cell=None, students=students.make_students_notebook):
        book = notebook.read()
        for one in book.cells:
            if one.id == cell:
                one.source = content
        files = idle | ({} if cell or content is None else {name: content})
        files[kit.NOTEBOOK] = nbformat.writes(students(book)).encode()
        return problems(files, kit.NOTEBOOK, book)

    return told


def test_a_kit_without_a_flaw_has_none(unfit):
    assert unfit() == []


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("runners.py", "if 1:\n  x.zero_grad()\n  y.backward()\n", "line 2: a trace of a solution"),
        ("runners.py", 'HERE = "/home/me/a2c"\n', "line 1: /home/m is a path of one machine"),
        ("README.md", "a\nC:\\Users\\me\n", "line 2: C:\\Users\\m is a path of one machine"),
        ("README.md", f"```python\n{LOSS}\n```", "line 2: a trace of a solution"),
        ("README.md", "see\n`tests/data/`", "line 2: tests/data is not in the kit"),
        ("README.md", "[it](benchmarks/study.md)", "line 1: benchmarks/study.md is not in the kit"),
        ("runners.py", "x = 1  # see release/kit.py", "line 1: release/kit.py is not in the kit"),
        ("requirements.txt", "a\n-r tests/b.txt", "line 2: tests/b.txt is not in the kit"),
    ],
)
def test_a_file_that_must_not_be_released_is_named_with_its_line(name, content, says, unfit):
    assert set(unfit(name, content.encode())) == {f"{name}, {says}"}


@pytest.mark.parametrize("name", ["img/reference/curve.png", "lesson/expected.npz", "a.pt"])
def test_weights_that_are_left_in_are_named(name, unfit):
    weights = io.BytesIO()
    torch.save({"a": torch.zeros(3)}, weights)
    assert unfit(name, weights.getvalue()) == [f"{name}: weights or other arrays"]


def test_a_task_without_a_check_is_named(unfit):
    (told,) = unfit(cell="merge-check", content="merge_time_batch = None")
    assert told.endswith("cell merge-class, line 1: a task without a check in the next cell")


def test_a_solution_that_stands_elsewhere_too_is_named(unfit):
    told = unfit(cell="catch-train", content=f"x = 1\ny = {LOSS}")
    assert set(told) == {"a2c_assignment.ipynb, cell catch-train, line 2: a trace of a solution"}


def test_a_hint_that_says_too_much_is_named_by_its_cell(unfit):
    (told,) = unfit(cell="a2c-task", content="a\n\n`self.optimizer.step()`")
    assert told.endswith("cell a2c-task, line 3: a hint holds a statement of a solution")


def test_an_output_that_is_left_in_is_named(unfit):
    told = unfit(students=lambda book: book)
    assert "a2c_assignment.ipynb, cell start-files, line 1: its output is left in" in told


@pytest.fixture
def source(tmp_path):
    """A copy of the kit's source."""
    root = tmp_path / "root"
    names = ".*", "logs", "videos", "study", "__pycache__", "img", "data"
    shutil.copytree(notebook.PATH.parent, root, ignore=shutil.ignore_patterns(*names))
    picture = "img/reference/curve.png"
    (root / picture).parent.mkdir(parents=True)
    shutil.copy(notebook.PATH.parent / picture, root / picture)
    return root


def test_a_kit_that_is_not_fit_is_not_written(source, tmp_path):
    (source / "lesson" / "more.py").write_text("o.zero_grad()\nx.backward()\n")
    with pytest.raises(ReleaseError, match="^nothing was released:\nlesson/more.py, line 1: a tr"):
        kit.build(tmp_path / "out", source)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_no_kit_is_not_replaced(released, tmp_path):
    (tmp_path / "a2c").mkdir()
    (tmp_path / "a2c" / "thesis.txt").write_text("mine")
    with pytest.raises(ReleaseError, match="a2c holds something else: choose another folder"):
        kit.build(tmp_path)
    assert (tmp_path / "a2c" / "thesis.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("stub", "solution", "says"),
    [
        ("passed", "passed", "cell policy-check, line 2: this check passes on the stub: nothing"),
        ("failed", "not reached", r"line 2: this check fails on the solution \(not reached\)"),
    ],
)
def test_a_check_that_proves_nothing_stops_the_release(
    stub, solution, says, tmp_path, monkeypatch, capsys
):
    def check_notebook(path):
        own = solution if path == notebook.PATH else stub
        others = "passed" if path == notebook.PATH else "failed"
        return {task: Verdict(own if task == "Policy" else others) for task in TASKS}

    monkeypatch.setattr(release.__main__, "check_notebook", check_notebook)
    assert release.__main__.main(["--out", str(tmp_path / "out")]) == 1
    assert re.search(says, capsys.readouterr().err) and not (tmp_path / "out").exists()


# what an instructor changes

CHANGED = {
    "game": "BreakoutNoFrameskip-v4",
    "agent_steps": 5_000_000,
    "marks": {"30": 7, "90": 9},
    "deadline": "1 March, 23:59",
    "hand_in": "the box beside room 5",
    "ask": "Ada",
    "points": {"A2C": 3, "comments": 2},
}


def test_what_is_changed_in_one_file_changes_wherever_it_is_said(source, tmp_path):
    (source / "assignment.json").write_text(json.dumps(CHANGED))
    written = ["README.md", "release/students.md", kit.NOTEBOOK]
    assert bring_up_to_date(source) == written and not bring_up_to_date(source)
    folder, _ = kit.build(tmp_path / "out", source)
    book = nbformat.read(folder / kit.NOTEBOOK, as_version=4)
    told = "\n".join(cell.source for cell in book.cells)
    for text in (told, (folder / "README.md").read_text()):
        assert "plays Breakout" in text and re.search(r"at least 30 .*\| +7 \|", text)
        assert all(CHANGED[key] in text for key in ("deadline", "hand_in", "ask"))
        assert not re.search(r"at least [46]00", text)
    assert "Atari game Breakout" in told
    readme = (folder / "README.md").read_text()
    assert "Your game is Breakout" in readme and EXPECT[CHANGED["game"]] in readme
    assert "Runs of Space Invaders" in readme
    fields = {cell.id: cell.metadata.get("nbgrader", {}) for cell in book.cells}
    points = {name: each["points"] for name, each in fields.items() if "points" in each}
    checks = ["model-check", "policy-check", "value-targets-check", "merge-check"]
    questions = {name: 0 for name in points if name.startswith("question-")}
    given = {**dict.fromkeys(checks, 1), "a2c-check": 3, "curves-comments": 2}
    assert points == {**given, **questions} and len(questions) == 5


def test_the_source_says_what_its_assignment_says(source):
    assert not bring_up_to_date(source)


def test_of_a_game_that_nobody_has_tried_no_more_is_said_than_that_it_is_another():
    told = texts(read_assignment()._replace(game="TennisNoFrameskip-v4"))
    assert told["your-game"].startswith("Your game is Tennis:")
    assert told["your-game"].count(".") == 1
    assert told["expected"].startswith(told["your-game"] + "\n\nRuns of Space")
    told = texts(read_assignment())
    assert told["your-game"] == "" and told["expected"].startswith("Runs of Space")


def test_a_wrong_assignment_is_one_line_and_nothing_is_written(tmp_path, monkeypatch, capsys):
    (tmp_path / "assignment.json").write_text(json.dumps({**CHANGED, "game": "Chess"}))
    monkeypatch.setattr(release.__main__, "ROOT", tmp_path)
    assert release.__main__.main(["--out", str(tmp_path / "out")]) == 1
    told = capsys.readouterr().err
    assert told.startswith("release: assignment.json: game: there is no game 'Chess'")
    assert told.count("\n") == 1 and not (tmp_path / "out").exists()


@pytest.mark.slow
def test_the_kit_checks_a_solution_in_an_empty_folder_and_refuses_stubs(released, tmp_path):
    folder = tmp_path / "a2c"
    shutil.unpack_archive(released[1], tmp_path)
    book = nbformat.read(folder / kit.NOTEBOOK, as_version=4)
    nbformat.write(students.filled(book, notebook.read()), folder / "filled.ipynb")
    command = [sys.executable, "-m", "grading", "check"]
    told = {
        name: subprocess.run([*command, name], cwd=folder, capture_output=True, text=True)
        for name in ("filled.ipynb", kit.NOTEBOOK)
    }
    assert told["filled.ipynb"].stdout.split("\n")[:-1] == [f"{task}: passed" for task in TASKS]
    assert told[kit.NOTEBOOK].returncode == 1 and "passed" not in told[kit.NOTEBOOK].stdout


@pytest.mark.slow
def test_the_round_trip_runs_from_the_first_cell_to_the_hand_in(released, tmp_path):
    folder = tmp_path / "a2c"
    shutil.unpack_archive(released[1], tmp_path)
    book = nbformat.read(folder / kit.NOTEBOOK, as_version=4)
    environment = {**os.environ, "A2C_MINUTES": "0.2", "A2C_CATCH_STEPS": "500", "A2C_DRIVE": ""}
    client = NotebookClient(
        students.filled(book, notebook.read()),
        timeout=600,
        resources={"metadata": {"path": folder}},
    )
    client.execute(env={**environment, "A2C_OUT": str(tmp_path / "out")})
    with zipfile.ZipFile(tmp_path / "out" / "hand-in.zip") as package:
        assert {"weights.pt", "manifest.json", "assignment.json"} <= set(package.namelist())
    assert {path.name for path in folder.iterdir()} - {"__pycache__"} == {
        path.name for path in released[0].iterdir()
    } - {"__pycache__"}
