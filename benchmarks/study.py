"""The settings beside other choices, in short runs: python benchmarks/study.py, hours on a laptop.

Trains the notebook with each choice and seed for the first million agent steps of the full run, one
run on each core; runs that were cut short resume, and those that are recorded are not repeated.
`--seeds 1 2 3` adds a seed, and `--ray ADDRESS` trains a run on each core of a cluster, where a run
that was cut short begins anew. Writes `benchmarks/study.json` and the table in
`benchmarks/study.md`. The curves stay in
`$A2C_OUT/logs`, by default below `benchmarks/study/`.
"""

import argparse
import contextlib
import itertools
import json
import os
import queue
import subprocess
import sys
import tempfile
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


def train_apart(choice, seed, core="", **environment):
    """Trains one run in a process of its own; returns its figures.

    Args:
        choice: One of CHOICES.
        seed: Of the run.
        core: The number of the one that it is bound to, "" for none.
        environment: Beside this process's own.
    """
    command = [sys.executable, __file__, "--run", choice, str(seed), str(core)]
    environ = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    out = dict(stdout=subprocess.PIPE, text=True, cwd=FOLDER.parent)
    done = subprocess.run(command, env=environ, check=True, **out)
    return json.loads(done.stdout.splitlines()[-1])


def train_there(choice, seed):
    """Trains one run on a node of a cluster; returns its figures, or what went wrong, a text."""
    with tempfile.TemporaryDirectory() as out:
        try:
            return train_apart(choice, seed, A2C_OUT=out)
        except (OSError, ValueError, subprocess.CalledProcessError) as e:
            return str(e)


def render(results):
    """Returns the table as Markdown, the best mean score first.

    Args:
        results: {choice: {seed: figures}}; a choice that lacks a seed is left out.
    """
    seeds = sorted({*SEEDS, *(int(seed) for by_seed in results.values() for seed in by_seed)})
    late = {  # [seeds, LATE windows]
        choice: np.array([by_seed[str(seed)]["scores"][-LATE:] for seed in seeds])
        for choice, by_seed in results.items()
        if set(by_seed) == set(map(str, seeds))
    }
    best_first = sorted(late, key=lambda choice: late[choice].mean(), reverse=True)
    rows = []
    for choice in best_first:
        scores = late[choice].mean(axis=1)
        rows.append((choice, *(f"{score:.0f}" for score in (scores.mean(), *scores))))
    spread = max((np.ptp(scores.mean(axis=1)) for scores in late.values()), default=0)
    headers = ["settings", "mean", *(f"seed {seed}" for seed in seeds)]
    return (
        f"Mean raw score of whole games from agent step {STEPS - LATE * WINDOW:,} to {STEPS:,}; "
        f"seeds of one choice differ by up to {spread:.0f} points.\n\n"
        + report.table(headers, rows)
    )


def record(ended, results):
    """Writes the figures of each run as it ends; a run that failed is reported after the others.

    Args:
        ended: Of ((choice, seed), figures, problem).
        results: As in `render`; runs are added.

    Returns:
        A line for each run that failed.
    """
    failed = []
    for (choice, seed), figures, problem in ended:
        if problem:
            failed.append(f"{choice}, seed {seed}: {problem}")
            continue
        results.setdefault(choice, {})[str(seed)] = figures
        _keep(results)
        print(f"{choice}, seed {seed}: {figures['scores'][-1]:.0f} at the end", flush=True)
    return failed


def _keep(results):
    """Writes figures whole, beside older ones, and then in their place."""
    part = FIGURES.with_suffix(".part")
    part.write_text(json.dumps(results, indent=1) + "\n")
    os.replace(part, FIGURES)


def on_cores(runs):
    """Trains runs on the cores of this machine; yields what `record` takes."""
    binds = hasattr(os, "sched_getaffinity")
    own = sorted(os.sched_getaffinity(0)) if binds else range(os.cpu_count() or 1)
    cores = queue.SimpleQueue()
    for core in own:
        cores.put(core)

    def train_on_core(run):
        core = cores.get()
        _begins(run)
        try:
            return train_apart(*run, core)
        finally:
            cores.put(core)

    with ThreadPoolExecutor(len(own)) as pool:
        under_way = {pool.submit(train_on_core, run): run for run in runs}
        for ended in as_completed(under_way):
            problem = ended.exception()
            yield under_way[ended], None if problem else ended.result(), str(problem or "")


def on_cluster(runs, address):
    """Trains runs on a Ray cluster; yields what `record` takes.

    Raises:
        SystemExit: If the cluster cannot be used.
    """
    from benchmarks.study import train_there as work  # as a node imports it
    from grading.marking.cluster import ClusterError, each

    try:
        with contextlib.closing(each(work, runs, tuple, address, _begins)) as running:
            for run, figures, problem in running:
                failed = figures if isinstance(figures, str) else problem
                yield run, figures, failed
    except ClusterError as e:
        sys.exit(str(e))


def _begins(run):
    print("{}, seed {}: begins".format(*run), flush=True)


def main(seeds, address):
    """Trains what is not recorded yet, writes, and prints the table."""
    os.environ["A2C_OUT"] = str(Path(os.environ.get("A2C_OUT", FOLDER / "study")).resolve())
    results = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    runs = itertools.product(CHOICES, seeds)
    runs = [(name, seed) for name, seed in runs if str(seed) not in results.get(name, {})]
    failed = record(on_cluster(runs, address) if address else on_cores(runs), results)
    report.fill(PAGE, {"study": render(results)})
    print(render(results), *failed, sep="\n")
    sys.exit(bool(failed))


def _options():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    told = "of the runs of each choice (%(default)s)"
    options.add_argument("--seeds", type=int, nargs="+", default=SEEDS, metavar="SEED", help=told)
    told = "of a Ray cluster that trains in place of this machine"
    options.add_argument("--ray", default="", metavar="ADDRESS", help=told)
    options.add_argument("--run", nargs=3, help=argparse.SUPPRESS)  # as train_apart asks for it
    return options.parse_args()


if __name__ == "__main__":
    given = _options()
    if given.run:
        choice, seed, core = given.run
        if core and hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, {int(core)})
        print(json.dumps(train(choice, int(seed))))
    else:
        main(given.seeds, given.ray)
