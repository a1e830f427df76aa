"""Records the figures of a healthy run and of runs broken on purpose.

`python -m tests.record_runs` records all of them, about an hour on two cores; names of runs may
follow. `tests/data/` holds the results, a file for each run: the points that `Health` judges.
"""

import csv
import os
import signal
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

from tests import notebook

DATA = Path(__file__).parent / "data"
NAMES = ["agent step", "total loss", "entropy", "coefficient of determination", "gradient norm"]
NAMES += ["alike", "rewarded", "score"]

UNCHECKED = [
    ("a2c-check", f"checks.check_{what}(", f"None and checks.check_{what}(")
    for what in ("a2c", "curves")
]
ONE_ACTION = "actions = distribution.sample()[:1].expand(len(logits))"
RUNS = {  # name: (agent steps, changes of the notebook)
    "learning-rate-100-times": (200_000, [("settings-cell", "lr=7e-4", "lr=7e-2")]),
    "no-entropy-bonus": (400_000, [("settings-cell", "0.25, 0.01, 0.5", "0.25, 0.0, 0.5")]),
    "entropy-bonus-100-times": (100_000, [("settings-cell", "0.25, 0.01, 0.5", "0.25, 1.0, 0.5")]),
    "wrong-sign": (400_000, [*UNCHECKED, ("a2c-class", "-(advantages *", "(advantages *")]),
    "frozen-network": (100_000, [*UNCHECKED, ("a2c-class", "self.optimizer.step()", "pass")]),
    "rewards-not-clipped": (
        200_000,
        [("environment-make", "logdir=RUN", "logdir=RUN, clip_reward=False")],
    ),
    "one-game-everywhere": (
        100_000,
        [
            (
                "environment-make",
                "env = nature_dqn_env(GAME, nenvs=NENVS, seed=SEED, s",
                "env = nature_dqn_env(GAME, nenvs=NENVS, seed=[SEED] * NENVS, s",
            ),
            ("policy-class", "actions = distribution.sample()", ONE_ACTION),
            ("policy-check", "checks.check_policy(", "None and checks.check_policy("),
        ],
    ),
    "healthy": (500_000, [("settings-cell", "SEED = 7", "SEED = 8")]),
}


def record(name):
    """Trains with the changes of a run; returns its points, up to where it broke down."""
    steps, changes = RUNS[name]
    own_folder = ("settings-cell", '"first-run"', f'"{name}"')
    given, points = notebook.training([own_folder, *changes]), []
    health = given["health"]

    def check(trajectory, figures):
        points.append(health.point(trajectory, figures))
        if points[-1]["agent step"] >= steps:
            signal.raise_signal(signal.SIGINT)  # ends the sitting

    given["health"] = SimpleNamespace(check=check)
    try:
        given["train"](minutes=0)
    except (ArithmeticError, RuntimeError) as e:
        print(f"{name} broke down: {e}")
    return points


def write(name, points, folder=DATA):
    """Writes a run's points to its file, four digits each."""
    folder.mkdir(exist_ok=True)
    with open(folder / f"{name}.csv", "w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(NAMES)
        for point in points:
            numbers = (point[key] for key in NAMES[1:])
            texts = ("" if number is None else f"{number:.4g}" for number in numbers)
            table.writerow([point["agent step"], *texts])


def read(name, folder=DATA):
    """Yields the recorded points of a run, as `Health.judge` takes them."""
    with open(folder / f"{name}.csv", newline="") as file:
        for row in csv.DictReader(file):
            point = {key: float(text) if text else None for key, text in row.items()}
            yield {"rewarded": 1.0, **point, "agent step": int(row["agent step"])}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        os.environ["A2C_OUT"] = folder
        for name in sys.argv[1:] or RUNS:
            write(name, record(name))
