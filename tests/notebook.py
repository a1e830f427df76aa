"""The solved notebook as data: its cells by id, its classes alone, and its training."""

import os
from pathlib import Path

import nbformat
import numpy as np

PATH = Path(__file__).parent.parent / "a2c_assignment.ipynb"
TASKS = ["model-class", "policy-class", "value-targets-class", "merge-class", "a2c-class"]
TRAINING = """start-files start-imports settings-cell environment-make
    model-class model-check policy-class policy-check value-targets-class value-targets-check
    merge-class merge-check a2c-class a2c-check
    training-log training-start-cell training-loop""".split()
GLUE = """
model = NatureModel(N_ACTIONS).to(memory_format=torch.channels_last)
policy = Policy(model)
transforms = [ComputeValueTargets(policy, GAMMA), MergeTimeBatch()]
optimizer = torch.optim.RMSprop(model.parameters(), lr=7e-4, alpha=0.99, eps=1e-5)
a2c = A2C(policy, optimizer, 0.25, 0.01, 0.5)
"""


def read():
    """Returns the notebook."""
    return nbformat.read(PATH, as_version=4)


def cells(notebook):
    """Returns {id: source}."""
    return {cell["id"]: cell["source"] for cell in notebook.cells}


def run(names, sources, namespace):
    """Runs some cells in a namespace and returns it; a traceback names the cell."""
    for name in names:
        exec(compile(sources[name], name, "exec"), namespace)
    return namespace


def definitions(names=(*TASKS, "watching-evaluate")):
    """Runs the cells that only define; returns their namespace."""
    return run(["start-imports", *names], cells(read()), {"__name__": "a2c_assignment", "np": np})


def changed(changes):
    """Returns {id: source} with some pieces replaced, given as (id, old text, new text)."""
    sources = cells(read())
    for name, old, new in changes:
        assert sources[name].count(old) == 1, (name, old)
        sources[name] = sources[name].replace(old, new)
    return sources


def training(changes=(), more=()):
    """Runs every cell that training needs, up to its loop; returns their namespace.

    The run is not copied to a reader's DRIVE.

    Args:
        changes: As in `changed`.
        more: Ids of cells to run after these.
    """
    from IPython.core.interactiveshell import InteractiveShell

    InteractiveShell.instance()  # for the notebook's display()
    os.environ.pop("A2C_DRIVE", None)
    unmeasured = ("start-files", "start()", "start(seconds=0)")
    sources = changed([unmeasured, *changes])
    return run([*TRAINING, *more], sources, {"__name__": "a2c_assignment"})
