"""What the notebook's laboratory gives with three seeds: python benchmarks/laboratory.py runs it.

Runs section 10 of the notebook once for each seed, in minutes. Writes `benchmarks/laboratory.json`
and prints the table that the notebook shows.
"""

import json
import os
import sys
from pathlib import Path

import matplotlib
import numpy as np
import torch
from tabulate import tabulate

KIT = Path(__file__).parent.parent
FIGURES = KIT / "benchmarks" / "laboratory.json"
SEEDS = (7, 8, 9)
ROUNDS = 50  # the last ones, whose mean score is told


def run(seed):
    """Returns {experiment: mean score of the last ROUNDS rounds of games} for one seed."""
    from tests import notebook

    torch.set_num_threads(1)  # more of them round in another order at each run
    start = ["start-files", "start-imports", "settings-cell"]
    cells = [*start, *notebook.TASKS, "catch-train", "laboratory-run"]
    sources = notebook.changed([("settings-cell", "SEED = 7", f"SEED = {seed}")])
    given = notebook.run(cells, sources, {"__name__": "a2c_assignment"})
    return {name: float(np.mean(scores[-ROUNDS:])) for name, scores in given["runs"].items()}


def render(results):
    """Returns the table, as Markdown, from {seed: what `run` returns}."""
    rows = []
    for name in next(iter(results.values())):
        scores = [result[name] for result in results.values()]
        rows.append([name, *scores, np.mean(scores)])
    headers = ["", *(f"seed {seed}" for seed in results), "mean"]
    return tabulate(rows, headers, tablefmt="pipe", floatfmt=".2f")


def main():
    """Runs every seed, writes and prints."""
    sys.path.insert(0, str(KIT))
    os.chdir(KIT)  # where the notebook's first cell looks for the kit
    matplotlib.use("agg")
    results = {str(seed): run(seed) for seed in SEEDS}
    FIGURES.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(render(results))


if __name__ == "__main__":
    main()
