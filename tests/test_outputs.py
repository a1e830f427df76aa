import json
from pathlib import Path

import nbformat
import pytest
import torch
from nbclient.exceptions import CellExecutionError

from benchmarks import outputs

SETTINGS = """import os
from pathlib import Path
OUT = Path(os.environ["A2C_OUT"])
RUN = OUT / "logs" / "mine"
RUN.mkdir(parents=True)
(RUN / "events.out.tfevents.1").write_text("of this kernel")
print(RUN)"""
LEARNER = """import torch
DEVICE = "cpu"
model = torch.nn.Linear(1, 1)
class Runner:
    def state_dict(self):
        return {"step_var": 0, "summaries": {"step_var": 0}}
    def load_state_dict(self, state):
        self.state = state
runner = Runner()
class Run:
    def save(self):
        runner.state["saved"] = True
run = Run()"""
LOOK = """print(model.weight.item(), runner.state)
print([path.read_text() for path in RUN.iterdir()], (OUT / "weights.pt").is_file())"""

PRINTS = """print("one", flush=True)
print("two")
display("a picture")
print("three")"""


@pytest.fixture
def reference(tmp_path):
    """A reference run: one event file, and weights that are 7."""
    folder = tmp_path / "reference"
    folder.mkdir()
    weights = {"weight": torch.tensor([[7.0]]), "bias": torch.tensor([0.0])}
    torch.save(weights, folder / "weights.pt")
    (folder / "events.out.tfevents.2").write_text("of the reference run")
    return folder


@pytest.fixture
def book(tmp_path):
    """A notebook whose outputs are old."""
    sources = {"settings": SETTINGS, "learner": LEARNER, outputs.TRAINING: "train()"}
    sources |= {"look": LOOK, "prints": PRINTS}
    cells = [nbformat.v4.new_code_cell(source, id=name) for name, source in sources.items()]
    for cell in cells:
        cell.outputs = [nbformat.v4.new_output("stream", text="old")]
    path = tmp_path / "book.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path


def shown(path):
    """Returns {cell id: text of its outputs}."""
    cells = nbformat.read(path, as_version=4).cells
    return {
        cell.id: [o.get("text") or o["data"]["text/plain"] for o in cell.outputs] for cell in cells
    }


def test_every_cell_but_the_training_shows_the_reference_run(book, reference, tmp_path):
    outputs.renew(reference, 500, book, tmp_path / "marks.json")
    assert shown(book) == {
        "settings": [f"{Path('logs/mine')}\n"],
        "learner": [],
        outputs.TRAINING: ["old"],
        "look": [
            "7.0 {'step_var': 500, 'summaries': {'step_var': 500}, 'saved': True}\n"
            "['of the reference run'] True\n"
        ],
        "prints": ["one\ntwo\n", "'a picture'", "three\n"],
    }
    counts = [cell.execution_count for cell in nbformat.read(book, as_version=4).cells]
    assert counts == [1, 2, 3, 4, 5]
    sources = [cell.source for cell in nbformat.read(book, as_version=4).cells]
    assert sources == [SETTINGS, LEARNER, "train()", LOOK, PRINTS]


def test_a_cell_that_fails_leaves_notebook_and_marks_as_they_were(book, reference, tmp_path):
    failing = nbformat.read(book, as_version=4)
    failing.cells[-1].source = "1 / 0"
    nbformat.write(failing, book)
    before = book.read_bytes()
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        outputs.renew(reference, 500, book, tmp_path / "marks.json")
    assert book.read_bytes() == before and not (tmp_path / "marks.json").exists()


def test_a_source_that_is_newer_than_the_outputs_is_named(book, tmp_path):
    marks, changed = tmp_path / "marks.json", nbformat.read(book, as_version=4)
    marks.write_text(json.dumps(outputs.hashes(changed)))
    assert outputs.stale(book, marks) == []
    for cell in changed.cells:
        cell.source += "\n# changed" if cell.id in ("look", outputs.TRAINING) else ""
    del changed.cells[0]
    nbformat.write(changed, book)
    assert outputs.stale(book, marks) == ["look", "settings"]


def test_the_notebooks_outputs_were_made_from_its_cells():
    names = outputs.stale()
    assert names == [], f"run benchmarks/reference.py outputs: {names} changed since their outputs"


@pytest.mark.parametrize("folder", ["/tmp/out", "C:\\Users\\me\\out"])
def test_paths_begin_below_the_folder_of_the_run(folder):
    separator = "\\" if "\\" in folder else "/"
    told = [nbformat.v4.new_output("stream", text=f"{folder}{separator}logs, {folder}")]
    assert outputs.without_paths(told, [folder])[0].text == "logs, ."
