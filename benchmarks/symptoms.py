"""Curves of sick runs for the notebook: python benchmarks/symptoms.py writes them anew.

Reads the runs that `python -m tests.record_runs` records, in `tests/data/`, and writes
`lesson/symptoms.json`.
"""

import json
import math
import sys
from pathlib import Path

KIT = Path(__file__).parent.parent
if __name__ == "__main__":
    sys.path.insert(0, str(KIT))

from lesson.symptoms import CURVES, FIGURES, RUNS, WIDTH
from tests import record_runs


def thinned(run, curve):
    """Returns [agent step, value] of a recorded run's curve: the first point of each WIDTH."""
    points, last = [], 0
    for point in record_runs.read(run):
        value = point[curve]
        if value is not None and math.isfinite(value) and point["agent step"] // WIDTH > last:
            last = point["agent step"] // WIDTH
            points.append([point["agent step"], float(f"{value:.3g}")])
    return points


def figures():
    """Returns {run: {curve: points}} of what is drawn: all curves of the healthy run, two sick."""
    drawn = {"healthy": [*CURVES], **{run: [] for run in RUNS}}
    for name, curve in CURVES.items():
        for run in curve.sick:
            drawn[run].append(name)
    return {run: {name: thinned(run, name) for name in names} for run, names in drawn.items()}


def text():
    """Returns what the file holds, a line for each curve."""
    return json.dumps(figures()).replace("]], ", "]],\n") + "\n"


if __name__ == "__main__":
    FIGURES.write_text(text(), encoding="utf-8")
