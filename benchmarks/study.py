"""The settings beside other choices, in short runs: python benchmarks/study.py, hours on a laptop.

Trains the notebook with each choice and seed for the first million agent steps of the full run, one
run on each core; runs that were cut short resume, and those that are recorded are not repeated.
Writes `benchmarks/study.json` and the table in `benchmarks/study.md`. The curves stay in
`$A2C_OUT/logs`, by default below `benchmarks/study/`.
"""

import json
import os
import queue
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent
if __name__ == "__main__":
    sys.path.insert(0, str(FOLDER.parent))

from benchmarks import report
from benchmarks.figures import GRADED, SCORE, within
from tests.notebook import training
from training.curves import read_curves

FIGURES, PAGE = FOLDER / "study.json", FOLDER / "study.md"
STEPS, WINDOW = 1_000_000, 100_000  # agent steps of a run, and between two of its figures
LATE = 2  # windows at a run's end that are compared
SEEDS = (1, 2)
CHOICES = {  # name: what it changes in the notebook's settings, as (old text, new text)
    "the notebook's": [],
    "RMSprop's eps 3e-3": [("eps=1e-5", "eps=3e-3")],
    "learning rate 1.4e-3": [("lr=7e-4", "lr=1.4e-3")],
    "32 environments × 5 agent steps": [("NENVS, NSTEPS = 16, 5", "NENVS, NSTEPS = 32, 5")],
    "16 environments × 10 agent steps": [("NENVS, NSTEPS = 16, 5", "NENVS, NSTEPS = 16, 10")],
}


def train(choice, seed):
    """Trains one run to STEPS, its learning rate as in the full run.

    Returns:
        A dict of `scores`, the mean raw score in each window of agent steps, and `reward_mean_100`
        at the end.
    """
    name = f"study-{list(CHOICES).index(choice)}-{seed}"
    own = [("SEED = 7", f"SEED = {seed}"), ('"first-run"', f'"{name}"')]
    given = training([("settings-cell", *change) for change in [*own, *CHOICES[choice]]])
    given["TOTAL_STEPS"] = STEPS  # the schedule was made before, for the full run
    given["train"](minutes=0)
    given["runner"].summaries.flush()
    run = read_curves(given["RUN"])
    windows = [(start / 1e6, (start + WINDOW) / 1e6) for start in range(0, STEPS, WINDOW)]
    scores = [float(within(run[SCORE], window).mean()) for window in windows]
    return {"scores": scores, "reward_mean_100": float(run[GRADED][1][-1])}


def train_apart(choice, seed, cores):
    """Trains one run in a process of its own, on a core from a queue; returns its figures."""
    core = cores.get()
    print(f"{choice}, seed {seed}: begins", flush=True)
    command = [sys.executable, __file__, choice, str(seed), str(core)]
    environ = {**os.environ, "OMP_NUM_THREADS": "1"}
    out = dict(stdout=subprocess.PIPE, text=True, cwd=FOLDER.parent)
    try:
        done = subprocess.run(command, env=environ, check=True, **out)
    finally:
        cores.put(core)
    return json.loads(done.stdout.splitlines()[-1])


def render(results):
    """Returns the table as Markdown, the best mean score first.

    Args:
        results: {choice: {seed: figures}}; a choice that lacks a seed is left out.
    """
    late = {  # [seeds, LATE windows]
        choice: np.array([by_seed[str(seed)]["scores"][-LATE:] for seed in SEEDS])
        for choice, by_seed in results.items()
        if set(by_seed) == set(map(str, SEEDS))
    }
    best_first = sorted(late, key=lambda choice: late[choice].mean(), reverse=True)
    rows = []
    for choice in best_first:
        scores = late[choice].mean(axis=1)
        rows.append((choice, *(f"{score:.0f}" for score in (scores.mean(), *scores))))
    spread = max((np.ptp(scores.mean(axis=1)) for scores in late.values()), default=0)
    headers = ["settings", "mean", *(f"seed {seed}" for seed in SEEDS)]
    return (
        f"Mean raw score of whole games from agent step {STEPS - LATE * WINDOW:,} to {STEPS:,}; "
        f"seeds of one choice differ by up to {spread:.0f} points.\n\n"
        + report.table(headers, rows)
    )


def record(runs, results):
    """Writes the figures of each run as it ends; a run that failed is reported after the others."""
    failed = []
    for run in as_completed(runs):
        choice, seed = runs[run]
        if run.exception():
            failed.append(f"{choice}, seed {seed}: {run.exception()}")
            continue
        results.setdefault(choice, {})[seed] = run.result()
        FIGURES.write_text(json.dumps(results, indent=1) + "\n")
        print(f"{choice}, seed {seed}: {run.result()['scores'][-1]:.0f} at the end", flush=True)
    return failed


def main():
    """Trains what is not recorded yet, writes, and prints the table."""
    os.environ["A2C_OUT"] = str(Path(os.environ.get("A2C_OUT", FOLDER / "study")).resolve())
    results = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    binds = hasattr(os, "sched_getaffinity")
    own = sorted(os.sched_getaffinity(0)) if binds else range(os.cpu_count() or 1)
    cores = queue.SimpleQueue()
    for core in own:
        cores.put(core)
    with ThreadPoolExecutor(len(own)) as pool:
        runs = {
            pool.submit(train_apart, choice, seed, cores): (choice, str(seed))
            for choice in CHOICES
            for seed in SEEDS
            if str(seed) not in results.get(choice, {})
        }
        failed = record(runs, results)
    report.fill(PAGE, {"study": render(results)})
    print(render(results), *failed, sep="\n")
    sys.exit(bool(failed))


if __name__ == "__main__":
    if sys.argv[1:]:  # one run, as train_apart asks for it
        choice, seed, core = sys.argv[1:]
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, {int(core)})
        print(json.dumps(train(choice, int(seed))))
    else:
        main()
