"""Mutants by machine: `python -m tests.mutants` asks the checks for all of them.

The five classes and the lines that make optimizer, runner and A2C are changed in one place each,
and the notebook's cells run on from there, its check cells among them. A table says how many of
these mutants were killed by the check of their own task, elsewhere, or by none; a survivor must
stand in `tests/data/same_mutants.txt` with the reason why it behaves the same. Exit status 1 where
another survives, or where one that stands there is gone or was killed. Needs a system that forks.
"""

import argparse
import collections
import difflib
import multiprocessing
import multiprocessing.connection
import os
import re
import resource
import sys
import time
import warnings
from pathlib import Path
from typing import NamedTuple

import gymnasium
import numpy as np
import torch

from env_batch import EnvBatch
from tests import notebook
from tests.mutating import find_keys, mutate

__all__ = ["Killed", "Mutant", "judge", "read_mutants", "read_same"]

SAME = Path(__file__).parent / "data" / "same_mutants.txt"
ORDER = [cell for name in notebook.TASKS for cell in (name, name.replace("-class", "-check"))]
MUTATED = [*notebook.TASKS, "a2c-check"]
MEMORY = 4 * 2**30  # bytes that a mutant may take
COLUMNS = ("killed by its own check", "killed elsewhere", "same behaviour", "survived")


class Mutant(NamedTuple):
    """A cell that was changed in one place."""

    cell: str
    source: str
    title: str  # "@@ a2c-class", with "#2" where the same lines were changed alike before
    change: str  # lines with - and +


class Killed(NamedTuple):
    """Where a mutant failed."""

    cell: str  # "" where it survived
    told: str


class Still(gymnasium.Env):
    """Observations of the right shape, in which nothing happens."""

    observation_space = gymnasium.spaces.Box(0, 1, (4, 84, 84), np.float32)
    action_space = gymnasium.spaces.Discrete(6)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros((4, 84, 84), np.float32), {}

    def step(self, action):
        return np.zeros((4, 84, 84), np.float32), 0.0, False, False, {}


# the mutants


def read_mutants():
    """Returns all Mutants of the solved notebook; what begins with `checks.` stays."""
    sources = notebook.cells(notebook.read())
    keys = set().union(*(find_keys(sources[cell]) for cell in notebook.TASKS))
    mutants, alike = [], collections.Counter()
    for cell in MUTATED:
        head, *check = sources[cell].partition("checks.")
        for changed in mutate(head, keys):
            change = _diff(head, changed)
            alike[cell, change] += 1
            number = alike[cell, change]
            title = f"@@ {cell} #{number}" if number > 1 else f"@@ {cell}"
            mutants.append(Mutant(cell, "".join([changed, *check]), title, change))
    return mutants


def _diff(old, new):
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), n=0, lineterm="")
    return "\n".join(line.rstrip() for line in list(lines)[2:] if not line.startswith("@@"))


def read_same(path=SAME):
    """Returns {(title, change): reason} of the mutants that behave the same."""
    same, reason = {}, ""
    for block in re.split(r"\n(?=@@ |# )", path.read_text(encoding="utf-8")):
        head, _, change = block.strip().partition("\n")
        if head.startswith("# "):
            reason = head[2:]
        else:
            same[head, change] = reason
    return same


# judging


def prepare():
    """Runs the solution's cells without their checks; returns {cell: the namespace before it}."""
    torch.set_num_threads(1)  # the processes of the mutants are forked from this one
    sources = notebook.cells(notebook.read())
    given = {"os": os, "Path": Path, "__name__": "a2c_assignment"}
    notebook.run(["start-imports"], sources, given)
    given["DEVICE"] = torch.device("cpu")
    notebook.run(["settings-cell"], sources, given)
    given["env"] = EnvBatch([Still() for _ in range(given["NENVS"])])
    given["N_ACTIONS"] = Still.action_space.n
    before = {}
    for cell in ORDER:
        before[cell] = dict(given)
        notebook.run([cell], {cell: sources[cell].partition("checks.")[0]}, given)
    return before


def judge(mutants, before, jobs=1, limit=60):
    """Yields (mutant, Killed) of each, in the order in which they end.

    Args:
        mutants: A list.
        before: What `prepare` returned.
        jobs: Processes at a time, one for each mutant.
        limit: Seconds for each; a mutant that takes longer is killed by the cell that it is in.
    """
    waiting, running = list(reversed(mutants)), []
    sources = notebook.cells(notebook.read())
    while waiting or running:
        while waiting and len(running) < jobs:
            running.append(_Running(waiting.pop(), sources, before, time.monotonic() + limit))
        multiprocessing.connection.wait([one.told for one in running], timeout=1)
        for one in list(running):
            if killed := one.look():
                running.remove(one)
                yield one.mutant, killed


class _Running:
    """The process of one mutant."""

    def __init__(self, mutant, sources, before, deadline):
        self.mutant, self.deadline, self.cell = mutant, deadline, mutant.cell
        fork = multiprocessing.get_context("fork")
        self.told, tell = fork.Pipe(duplex=False)
        self.process = fork.Process(target=_run, args=(mutant, sources, before[mutant.cell], tell))
        self.process.start()
        tell.close()

    def look(self):
        """Returns Killed where the end is known, else None."""
        end = None
        try:
            while not end and self.told.poll():
                self.cell, told = self.told.recv()
                end = None if told is None else Killed(self.cell, told)
        except EOFError:
            end = Killed(self.cell, "its process died")
        if not end and time.monotonic() > self.deadline:
            end = Killed(self.cell, "no answer in time")
        if end:
            self.process.kill()
            self.process.join()
            self.told.close()
        return end


def _run(mutant, sources, given, tell):
    """Runs the cells from the mutant's on; tells each cell that begins, and then the end."""
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    warnings.simplefilter("ignore")
    sources, given = {**sources, mutant.cell: mutant.source}, dict(given)
    for cell in ORDER[ORDER.index(mutant.cell) :]:
        tell.send((cell, None))
        try:
            notebook.run([cell], sources, given)
        except BaseException as e:  # a mutant may raise anything
            tell.send((cell, f"{type(e).__name__}: {e}"))
            return
    tell.send(("", ""))


# the table


def sort(mutant, killed, same):
    """Returns which of COLUMNS a mutant belongs to."""
    own = (mutant.cell, mutant.cell.replace("-class", "-check"))
    if killed.cell:
        return COLUMNS[0] if killed.cell in own else COLUMNS[1]
    return COLUMNS[2] if (mutant.title, mutant.change) in same else COLUMNS[3]


def render(counts):
    """Returns the table of {(cell, column): number}."""
    rows = [["cell", "mutants", *COLUMNS], ["-"] * 6]
    for cell in (*MUTATED, "all"):
        cells = MUTATED if cell == "all" else [cell]
        numbers = [sum(counts[one, column] for one in cells) for column in COLUMNS]
        rows.append([cell, sum(numbers), *numbers])
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in rows)


def main(arguments=None):
    """Judges all mutants, or some of them; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes at a time")
    parser.add_argument("--limit", type=float, default=60, help="seconds for each mutant")
    parser.add_argument("--sample", type=int, help="only so many, spread evenly")
    parser.add_argument("--cell", choices=MUTATED, help="only those of one cell")
    parser.add_argument("--verbose", action="store_true", help="print every mutant")
    chosen = parser.parse_args(arguments)
    mutants, same = read_mutants(), read_same()
    gone = same.keys() - {(mutant.title, mutant.change) for mutant in mutants}
    for title, change in sorted(gone):
        print(f"listed as the same, but no mutant any more\n{title}\n{change}\n")
    mutants = [mutant for mutant in mutants if chosen.cell in (None, mutant.cell)]
    count = min(chosen.sample or len(mutants), len(mutants))
    mutants = [mutants[k * len(mutants) // count] for k in range(count)]
    wrong = report(judge(mutants, prepare(), chosen.jobs, chosen.limit), same, chosen.verbose)
    return 1 if gone or wrong else 0


def report(judged, same, verbose=False):
    """Prints what asks for a look, as it comes, and the table.

    Args:
        judged: (mutant, Killed) each.
        same: What `read_same` returned.
        verbose: Whether to print every mutant.

    Returns:
        How many survived and are not listed, or are listed and were killed.
    """
    counts, wrong = collections.Counter(), 0
    for mutant, killed in judged:
        column = sort(mutant, killed, same)
        counts[mutant.cell, column] += 1
        stale = bool(killed.cell) and (mutant.title, mutant.change) in same
        wrong += stale or column == "survived"
        if verbose or stale or column in ("killed elsewhere", "survived"):
            print(f"{column}{', but listed as the same' * stale}")
            print(f"{killed.cell}: {killed.told}\n" if killed.cell else "", end="")
            print(f"{mutant.title}\n{mutant.change}\n", flush=True)
    print(render(counts))
    return wrong


if __name__ == "__main__":
    sys.exit(main())
