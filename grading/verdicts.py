"""Checks a notebook: its cells run in a process of their own, which tells a verdict on each task.

Nothing that the process tells is believed to be well formed, and it may end at any moment: then
the tasks that it has not told about were not reached, for the reason why it ended.
"""

import contextlib
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from grading.notebook import code_cells
from grading.unpack import unpacked
from grading.watched import LIMITS, watch

__all__ = ["TASKS", "Verdict", "check_notebook"]

TASKS = ("NatureModel", "Policy", "ComputeValueTargets", "MergeTimeBatch", "A2C")
RESULTS = ("passed", "failed", "not reached")


class Verdict(NamedTuple):
    """What became of one check."""

    result: str  # "passed", "failed" or "not reached"
    message: str = ""


def check_notebook(path, limits=LIMITS):
    """Checks every task of a notebook.

    Args:
        path: An .ipynb, beside which its own modules lie, or a .zip that holds both.
        limits: `watched.Limits`: what the cells may take.

    Returns:
        {task: Verdict}, in the tasks' order.

    Raises:
        ValueError: If the file holds no notebook.
    """
    with unpacked(Path(path).resolve()) as notebook, _scratch() as out:
        listing = out / "cells.json"
        listing.write_text(json.dumps(code_cells(notebook.read_bytes(), notebook.name)))
        command = [sys.executable, "-m", "grading.cells", str(listing), str(notebook.parent)]
        threads = {"OMP_NUM_THREADS": "1"}  # that wait for each other cost half the time
        environment = {**threads, **os.environ, "A2C_OUT": str(out), "MPLBACKEND": "agg"}
        return _collected(watch(command, environment, limits))


@contextlib.contextmanager
def _scratch():
    """A folder for what the cells write, thrown away."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def _collected(messages):
    """Returns {task: Verdict} of the process's messages; a later one counts more."""
    verdicts, lacks, checking, ending = {}, {}, None, ""
    for message in messages:
        checking = message.get("checks") if "begins" in message else checking
        ending = message.get("ending", ending)
        if message.get("task") in TASKS and message.get("result") in RESULTS:
            verdicts[message["task"]] = Verdict(message["result"], str(message.get("message", "")))
            checking = None
        if isinstance(message.get("lacks"), dict):
            lacks = message["lacks"]
    if ending and checking in TASKS:
        verdicts[checking] = Verdict("failed", str(ending))
    return {task: verdicts.get(task) or _not_reached(lacks.get(task), ending) for task in TASKS}


def _not_reached(lack, ending):
    reasons = [str(reason) for reason in (lack, ending) if reason]
    return Verdict("not reached", "; then ".join(reasons) or "the notebook's process told nothing")
