"""What the tasks of section 15 give with three seeds: python benchmarks/further.py runs them.

Runs the last cell of each task, or of those that are named, every choice once for each seed, in
minutes. Writes `benchmarks/further.json` and prints the tables that the notebook shows.
"""

import json
import os
import sys
from pathlib import Path
from unittest import mock

import matplotlib
import numpy as np
import torch
from tabulate import tabulate

KIT = Path(__file__).parent.parent
FIGURES = KIT / "benchmarks" / "further.json"
if __name__ == "__main__":
    sys.path.insert(0, str(KIT))

from lesson import further
from tests import notebook

UNCLIPPED = "PPO, not clipped"
TASKS = ("seeds", "lambda", "adam", "ppo")
FIRST_RUN = "\n\n\nscores, catcher"  # what follows trains, to show that all is right


def cells():
    """Returns {cell id: source} of the notebook, without what section 10 trains."""
    sources = notebook.changed([("start-files", "start()", "start(seconds=0)")])
    sources["catch-train"] = sources["catch-train"].partition(FIRST_RUN)[0]
    return sources


def run(tasks):
    """Yields (task, {choice: score at the end of each run}) for some of TASKS."""
    torch.set_num_threads(1)  # more of them round in another order at each run
    needed = ["start-files", "start-imports", "settings-cell", *notebook.TASKS, "catch-train"]
    needed += [f"further-{task}-{part}" for task in TASKS for part in ("class", "check")]
    given = notebook.run(needed, sources := cells(), {"__name__": "a2c_assignment"})
    for task in tasks:
        with mock.patch.multiple(further, plot_seeds=mock.DEFAULT, plot_spread=mock.DEFAULT):
            notebook.run([f"further-{task}-look"], sources, given)
            (call,) = further.plot_seeds.mock_calls or further.plot_spread.mock_calls
        choices = call.args[0] if isinstance(call.args[0], dict) else {"A2C": call.args[0]}
        if task == "ppo":  # the cell would take too long with it
            free = type("PPO", (given["PPO"],), {"clip": np.inf})
            choices[UNCLIPPED] = given["learn_seeds"](nsteps=20, learner=free)
        yield task, {name: [further.end(one) for one in runs] for name, runs in choices.items()}


def render(results):
    """Returns a table in Markdown from {choice: score of each seed}."""
    rows = [
        [name, *scores, np.mean(scores), np.std(scores, ddof=1), _error(scores)]
        for name, scores in results.items()
    ]
    headers = ["", "seed 7", "seed 8", "seed 9", "mean", "spread", "error"]
    return tabulate(rows, headers, tablefmt="pipe", floatfmt=".2f")


def _error(scores):
    return np.std(scores, ddof=1) / len(scores) ** 0.5


def main():
    """Runs every task, or those that are named; writes and prints."""
    os.chdir(KIT)  # where the notebook's first cell looks for the kit
    matplotlib.use("agg")
    results = json.loads(FIGURES.read_text(encoding="utf-8"))
    for task, scores in run(sys.argv[1:] or TASKS):
        results[task] = scores
        FIGURES.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        print(task, render(scores), sep="\n\n", end="\n\n", flush=True)


if __name__ == "__main__":
    main()
