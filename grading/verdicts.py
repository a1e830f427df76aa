"""Checks a notebook: its cells run in a process of their own, and are judged in this one.

Nothing that the process gives is believed to be well formed, and it may end at any moment. What
ended it, a cell or the check of a task, is then left out, and it runs again for the other tasks.
"""

import contextlib
import json
import os
import secrets
import sys
import tempfile
import time
import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np

from grading.check import INPUTS, TASKS, judge_task, judge_together
from grading.notebook import code_cells
from grading.unpack import unpacked
from grading.watched import LIMITS, watch
from tests.checks.expected import RELEASED_SEEDS, read_expected

__all__ = ["TASKS", "Verdict", "check_notebook"]

LARGEST = 64 * 2**20  # bytes of the arrays that a process gives for a task
LONGEST = 10_000  # characters of a message


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
        draws = _draw()
        _write_inputs(out / "inputs.npz", draws)
        cells = code_cells(notebook.read_bytes(), notebook.name)
        told = _run(cells, draws, notebook.parent, out, limits)
        return _judge(told, draws, out)


@contextlib.contextmanager
def _scratch():
    """A folder for what the cells write, thrown away."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        yield Path(folder)


# draws


def _draw():
    """Returns {task: {seed: expected arrays}}: the released draws, and a hidden one.

    The network's own draw is another than that of the tasks to which its outputs are handed.
    Students' kits hold no reference, and check on the released draws alone.
    """
    released = {seed: read_expected(seed) for seed in RELEASED_SEEDS}
    if find_spec("grading.reference") is None:
        return dict.fromkeys(TASKS, released)
    from grading import reference  # takes a second to load

    own, others = (
        {**released, seed: reference.expect(seed)}
        for seed in (1000 + secrets.randbelow(10**6), 2_000_000 + secrets.randbelow(10**6))
    )
    return {**dict.fromkeys(TASKS, others), "NatureModel": own}


def _write_inputs(path, draws):
    """Writes the recorded numbers that the student's objects are fed with."""
    arrays = {
        f"{task}/{seed}/{name}": one[name]
        for task, names in INPUTS.items()
        for seed, one in draws[task].items()
        for name in names
    }
    np.savez(path, **arrays)


# the process


class _Told(NamedTuple):
    """What a process told, once it has ended."""

    raised: dict  # task: what the student's code raised, "" where it was observed
    lacks: dict  # task: which object is missing, and why
    culprit: str  # what ended it: "cell ..." or "the check of ...", "" where it came to its end
    ending: str  # how


def _run(cells, draws, folder, out, limits):
    """Runs the cells until they come to an end, each time without what ended them before."""
    left_out, before, told = {}, {}, None
    started = time.monotonic()
    while told is None or (told.culprit and told.culprit not in left_out):
        if told:
            left_out[told.culprit] = told.ending
            before = {**before, **told.raised}
        rest = limits._replace(total=limits.total - (time.monotonic() - started))
        if told and rest.total < 1:
            break
        seeds = {task: [*seeds] for task, seeds in draws.items()}
        order = out / "order.json"
        order.write_text(json.dumps(dict(cells=cells, seeds=seeds, left_out=left_out)))
        command = [sys.executable, "-m", "grading.cells", str(order), str(folder)]
        threads = {"OMP_NUM_THREADS": "1"}  # that wait for each other cost half the time
        environment = {**threads, **os.environ, "A2C_OUT": str(out), "MPLBACKEND": "agg"}
        told = _collected(watch(command, environment, rest))
    for culprit, ending in {**left_out, told.culprit: told.ending}.items():
        task = culprit.removeprefix("the check of ")
        if task in TASKS:
            told.raised[task] = ending
    endings = dict.fromkeys([*left_out.values(), told.ending])
    ending = "; then ".join(filter(None, endings))
    return told._replace(raised={**before, **told.raised}, ending=ending)


def _collected(messages):
    """Returns what a process told; of one task the last counts."""
    raised, lacks, now, ending = {}, {}, "", ""
    for message in messages:
        now = str(message.get("begins", now))
        ending = str(message.get("ending", ending))
        if message.get("task") in TASKS:
            raised[message["task"]] = str(message.get("raised", ""))[:LONGEST]
        if isinstance(message.get("lacks"), dict):
            lacks = message["lacks"]
    return _Told(raised, lacks, now if ending else "", ending)


# the verdict


def _judge(told, draws, out):
    """Returns {task: Verdict} of what was told and what was observed."""
    verdicts, seen = {}, {}
    for task in TASKS:
        if task not in told.raised:
            verdicts[task] = _not_reached(told.lacks.get(task), told.ending)
            continue
        mistake = told.raised[task]
        for seed, expected in draws[task].items():
            if mistake:
                break
            seen, mistake = _read(out / f"{task}-{seed}.npz")
            mistake = mistake or judge_task(task, seen, seed, expected)
            mistake = mistake and f"{task}: {mistake}."
        verdicts[task] = Verdict("failed", mistake[:LONGEST]) if mistake else Verdict("passed")
    if {verdict.result for verdict in verdicts.values()} == {"passed"}:
        mistake = judge_together(seen, *next(reversed(draws["A2C"].items())))
        verdicts["A2C"] = Verdict("failed", f"A2C: {mistake}.") if mistake else Verdict("passed")
    return verdicts


def _read(path):
    """Returns the arrays of a file that anybody may have written, and what is wrong with it."""
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(one.file_size for one in archive.infolist()) > LARGEST:
                raise ValueError(f"more than {LARGEST:,} bytes")
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}, None
    except Exception as e:
        return {}, f"what the notebook gave for this task cannot be read ({type(e).__name__}: {e})"


def _not_reached(lack, ending):
    reasons = [str(reason) for reason in (lack, ending) if reason]
    return Verdict("not reached", "; then ".join(reasons) or "the notebook's process told nothing")
