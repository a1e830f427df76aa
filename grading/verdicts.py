"""Checks a notebook: its cells run in a process of their own, and are judged in this one.

Nothing that the process gives is believed to be well formed, and it may end at any moment. What
ended it, a cell or the check of a task, is then left out, and it runs again for the other tasks.
"""

import json
import sys
import time
import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np

from grading.check import INPUTS, TASKS, TOGETHER, judge_task
from grading.notebook import code_cells
from grading.sandbox import NO_WALL
from grading.unpack import unpacked
from grading.watched import LIMITS, scratch, watch
from languages import N_, _, grouped
from tests.checks.expected import RELEASED_SEEDS, read_expected

__all__ = [
    "TASKS",
    "Verdict",
    "check_notebook",
    "check_unpacked",
    "on_one_line",
    "read_arrays",
]

LARGEST = 2**20  # bytes of the arrays that a process gives for one draw of a task
LARGEST_MERGED = 32 * 2**20  # of MergeTimeBatch: whole observations
LONGEST = 10_000  # characters of a message
NOTHING = N_("its check left no arrays to judge")
THEN = _("; then ")  # between two reasons
RESULTS = PASSED, FAILED, NOT_REACHED = N_("passed"), N_("failed"), N_("not reached")


class Verdict(NamedTuple):
    """What became of one check."""

    result: str  # one of RESULTS
    message: str = ""


def check_notebook(path, limits=LIMITS, wall=NO_WALL):
    """Checks every task of a notebook.

    Args:
        path: An .ipynb, beside which its own modules lie, or a .zip that holds both.
        limits: `watched.Limits`: what the cells may take.
        wall: The `sandbox.Wall` that they run behind.

    Returns:
        {task: Verdict}, in the tasks' order.

    Raises:
        ValueError: If the file holds no notebook.
    """
    with unpacked(Path(path).resolve()) as notebook:
        return check_unpacked(notebook, limits, wall)[0]


def check_unpacked(notebook, limits, wall, seeds=None, hidden=None):
    """Checks every task of a notebook whose folder holds nothing else's.

    Args:
        notebook: Its path.
        limits: As in `check_notebook`.
        wall: As in `check_notebook`.
        seeds: Of the hidden draws, as `grading.reference.draw_seeds` gives them; new ones by
            default.
        hidden: {seed: arrays} that a right answer gives for the seeds, where they are made already.

    Returns:
        {task: Verdict}, in the tasks' order; and what ended the cells or a check before their end,
        a line, "" where nothing did.

    Raises:
        ValueError: If the file holds no notebook.
    """
    draws = _draw(seeds, hidden)
    cells = code_cells(notebook)
    told = _run(cells, draws, notebook.parent, limits, wall)
    return _judge(told, draws), on_one_line(told.ending)


# draws


def _draw(seeds, hidden):
    """Returns {task: {seed: expected arrays}}: the released draws, and a hidden one, the last.

    The network's own draw is another than that of the tasks to which its outputs are handed.
    Students' kits hold no reference, and check on the released draws alone.
    """
    released = {seed: read_expected(seed) for seed in RELEASED_SEEDS}
    hidden = hidden or _hidden(seeds)
    if not hidden:
        return {**dict.fromkeys(TASKS, released), TOGETHER: _last(released)}
    own, others = ({**released, seed: arrays} for seed, arrays in hidden.items())
    return {**dict.fromkeys(TASKS, others), "NatureModel": own, TOGETHER: _last(others)}


def _hidden(seeds):
    """Returns {seed: expected arrays}, nothing where there is no reference."""
    if find_spec("grading.reference") is None:
        return {}
    from grading import reference  # takes a second to load

    return {seed: reference.expect(seed) for seed in seeds or reference.draw_seeds()}


def _last(draws):
    return dict([[*draws.items()][-1]])


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
    culprit: str  # what ended it: "cell ..." or "check ...", "" where it came to its end
    ending: str  # how
    seen: dict  # (task, seed): what was observed, as `read_arrays` gives it


def _run(cells, draws, folder, limits, wall):
    """Runs the cells until they come to an end, each time without what ended them before."""
    left_out, raised, seen, told = {}, {}, {}, None
    started = time.monotonic()
    while told is None or (told.culprit and told.culprit not in left_out):
        if told:
            left_out[told.culprit] = told.ending
        rest = limits._replace(total=limits.total - (time.monotonic() - started))
        if told and rest.total < 1:
            break
        told = _run_once(cells, draws, folder, left_out, rest, wall)
        raised, seen = {**raised, **told.raised}, {**seen, **told.seen}
    for culprit, ending in {**left_out, told.culprit: told.ending}.items():
        task = culprit.removeprefix("check ")
        if task in (*TASKS, TOGETHER):
            raised[task] = ending
    endings = dict.fromkeys([*left_out.values(), told.ending])
    ending = THEN.join(filter(None, endings))
    return told._replace(raised=raised, ending=ending, seen=seen)


def _run_once(cells, draws, folder, left_out, limits, wall):
    """Runs the cells in a process that writes into a folder of its own, thrown away."""
    with scratch() as out:
        (out / "own").mkdir()  # a notebook may clear the folder of its run
        _write_inputs(out / "inputs.npz", draws)
        seeds = {task: [*seeds] for task, seeds in draws.items()}
        order = out / "order.json"
        order.write_text(json.dumps(dict(cells=cells, seeds=seeds, left_out=left_out)))
        command = [sys.executable, "-m", "grading.cells", str(order), str(folder)]
        command = wall.wrap(command, [folder], out)
        told = _collected(watch(command, wall.environment(out), out, limits))
        seen = {
            (task, seed): read_arrays(out / f"{task}-{seed}.npz", _largest(task))
            for task in told.raised
            for seed in draws[task]
        }
        return told._replace(seen=seen)


def _collected(messages):
    """Returns what a process told; of one task the last counts."""
    raised, lacks, now, ending = {}, {}, "", ""
    for message in messages:
        now = str(message.get("begins", now))
        ending = str(message.get("ending", ending))
        if message.get("task") in (*TASKS, TOGETHER):
            raised[message["task"]] = str(message.get("raised", ""))[:LONGEST]
        if isinstance(message.get("lacks"), dict):
            lacks = message["lacks"]
    return _Told(raised, lacks, now if ending else "", ending, seen={})


# the verdict


def _judge(told, draws):
    """Returns {task: Verdict} of what was told and what was observed."""
    verdicts = {}
    for task in TASKS:
        if task in told.raised:
            verdicts[task] = _verdict(_mistake(task, task, told, draws))
        else:
            verdicts[task] = _not_reached(told.lacks.get(task), told.ending)
    if {verdict.result for verdict in verdicts.values()} == {PASSED}:
        verdicts["A2C"] = _verdict(_mistake(TOGETHER, "A2C", told, draws))
    return verdicts


def _mistake(task, blamed, told, draws):
    """Returns what is wrong with a task on the first draw that shows it, "" on none."""
    if told.raised.get(task):
        return told.raised[task]
    for seed, expected in draws[task].items():
        seen, mistake = told.seen.get((task, seed), ({}, _(NOTHING)))
        if mistake := mistake or judge_task(task, seen, seed, expected):
            return f"{blamed}: {mistake}."
    return ""


def _verdict(mistake):
    return Verdict(FAILED, on_one_line(mistake)) if mistake else Verdict(PASSED)


def on_one_line(text):
    """Returns a text of anybody's, bounded, without what starts a line or steers a terminal."""
    text = "".join(c if c.isprintable() else " " for c in text[:LONGEST])
    return " ".join(text.split())


def _largest(task):
    return LARGEST_MERGED if task == "MergeTimeBatch" else LARGEST


def read_arrays(path, largest):
    """Returns the arrays of a file that anybody may have written, and what is wrong with it."""
    try:
        if path.is_symlink() or not path.is_file():  # a pipe would never end
            return {}, _(NOTHING)
        size = path.stat().st_size
        if size <= largest:
            with zipfile.ZipFile(path) as archive:
                size = sum(one.file_size for one in archive.infolist())
        if size > largest:
            raise ValueError(_("more than {n} bytes").format(n=grouped(largest)))
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}, None
    except Exception as e:
        text = _("what the notebook gave for this task cannot be read ({error})")
        return {}, text.format(error=f"{type(e).__name__}: {e}")


def _not_reached(lack, ending):
    reasons = [str(reason) for reason in (lack, ending) if reason]
    reason = THEN.join(reasons) or _("the notebook's process told nothing")
    return Verdict(NOT_REACHED, on_one_line(reason))
