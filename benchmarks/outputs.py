"""Outputs belong to the code above them: runs the notebook's cells on the reference run.

Every cell runs in order, in one kernel, but the training: in its place the kernel gets the
reference run's weights, agent step and event files, and the cell keeps the output that was recorded
when the run was made. `benchmarks/outputs.json` notes which source the outputs were made from.
"""

import hashlib
import json
import os
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbconvert.preprocessors.coalescestreams import CoalesceStreamsPreprocessor

KIT = Path(__file__).parent.parent
NOTEBOOK, MARKS = KIT / "a2c_assignment.ipynb", KIT / "benchmarks" / "outputs.json"
TRAINING = "training-run"  # the cell that trains
UNSET = {"A2C_DRIVE", "JPY_SESSION_NAME", "VSCODE_PID", "COLAB_RELEASE_TAG"}  # a reader's own
IN_ITS_PLACE = """
def take_the_reference_run(folder, step):
    import shutil

    shutil.copy(folder / "weights.pt", OUT)
    model.load_state_dict(torch.load(OUT / "weights.pt", map_location=DEVICE, weights_only=True))
    state = runner.state_dict()
    state["step_var"] = state["summaries"]["step_var"] = step
    runner.load_state_dict(state)
    for old in RUN.glob("events.out.*"):
        old.unlink()
    for path in folder.glob("events.out.*"):
        shutil.copy(path, RUN)

take_the_reference_run(Path({folder!r}), {step})
run.save()
"""


def renew(folder, step, path=NOTEBOOK, marks=MARKS):
    """Writes new outputs into a notebook, and notes their sources.

    Args:
        folder: The reference run: event files and weights.pt.
        step: The agent step of its end.
        path: The notebook.
        marks: The file that notes the sources.

    Raises:
        nbclient.exceptions.CellExecutionError: If a cell fails; nothing is changed then.
    """
    book = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder_of_the_run:
        out = str(Path(folder_of_the_run).resolve())
        made = execute(book, IN_ITS_PLACE.format(folder=str(folder), step=step), out)
        for cell, new in zip(book.cells, made.cells, strict=True):
            if cell.cell_type == "code":
                cell.execution_count = new.execution_count
                if cell.id != TRAINING:
                    cell.outputs = without_paths(new.outputs, [out, str(KIT)])
    nbformat.write(book, path)
    marks.write_text(json.dumps(hashes(book), indent=1) + "\n", encoding="utf-8")


def execute(book, in_place, out):
    """Runs a notebook with other code in its training cell; returns it with its outputs.

    Args:
        book: The notebook; it is not changed.
        in_place: What runs in the place of the training.
        out: The folder that everything is written to.
    """
    book = nbformat.from_dict(book)
    for cell in book.cells:
        if cell.id == TRAINING:
            cell.source = in_place
    environ = {name: value for name, value in os.environ.items() if name not in UNSET}
    client = NotebookClient(
        book,
        timeout=1800,
        record_timing=False,
        resources={"metadata": {"path": KIT}},
    )
    done = client.execute(env={**environ, "A2C_OUT": out})
    return CoalesceStreamsPreprocessor().preprocess(done, {})[0]


def without_paths(outputs, folders):
    """Returns outputs in which paths begin below these folders of this machine."""
    text = json.dumps(outputs)
    for folder in folders:
        written = json.dumps(folder)[1:-1]
        for separator in ("/", "\\\\"):
            text = text.replace(written + separator, "")
        text = text.replace(written, ".")
    return nbformat.from_dict(json.loads(text))


def hashes(book):
    """Returns {cell id: sha256 of the source} of the code cells whose outputs are made here.

    Those without output count too: they define what the cells below them show.
    """
    return {
        cell.id: hashlib.sha256(cell.source.encode()).hexdigest()
        for cell in book.cells
        if cell.cell_type == "code" and cell.id != TRAINING
    }


def stale(path=NOTEBOOK, marks=MARKS):
    """Returns the ids of the cells whose source is newer than the notebook's outputs."""
    now = hashes(nbformat.read(path, as_version=4))
    noted = json.loads(marks.read_text(encoding="utf-8"))
    return sorted(name for name in now.keys() | noted.keys() if now.get(name) != noted.get(name))
