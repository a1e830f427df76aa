"""The settings beside other choices, in short runs: python benchmarks/study.py, hours on a laptop.

Trains the notebook with each choice and seed for the first million agent steps of the full run, one
run on each core; runs that were cut short resume, and those that are recorded are not repeated.
`--seeds 1 2 3` adds a seed, and `--ray ADDRESS` trains a run on each core of a cluster, where a run
that was cut short begins anew. `--race CHOICE SEED` trains one of CHOICES, on all cores, until it
passes the score that full marks ask for. Writes `benchmarks/study.json` or `benchmarks/races.json`,
and the tables in `benchmarks/study.md`. The curves stay in `$A2C_OUT/logs`, by default below
`benchmarks/study/`.
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

from benchmarks import figures, report
from benchmarks.figures import GRADED, SCORE, SCORES, within
from tests.notebook import training
from training.curves import read_curves

FIGURES, PAGE = FOLDER / "study.json", FOLDER / "study.md"
PASSED = FOLDER / "races.json"
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
LAST = 4_000_000  # agent steps, after which a race is lost


def prepare(name, seed, changes, steps):
    """Returns the namespace of a run, before its training: to `steps`, scheduled for the full run.

    Args:
        name: Of the run's folder.
        seed: Of the run.
        changes: As in CHOICES.
        steps: The agent step at which its training ends.
    """
    own = [("SEED = 7", f"SEED = {seed}"), ('"first-run"', f'"{name}"')]
    given = training([("settings-cell", *change) for change in [*own, *changes]])
    given["TOTAL_STEPS"] = steps
    return given


def race(choice, seed):
    """Trains one run until its `reward_mean_100` passes the highest of SCORES, or to LAST.

    Returns:
        What `progress` does.
    """
    given = prepare(f"race-{list(CHOICES).index(choice)}-{seed}", seed, CHOICES[choice], LAST)
    runner, mark = given["runner"], max(SCORES)
    while runner.step_var < LAST and (runner.summaries.reward_mean_100 or 0) < mark:
        given["train"](minutes=2)
    runner.summaries.flush()
    return progress(given["RUN"])


def progress(folder):
    """Returns how far a run came, from its event files.

    Returns:
        A dict of `steps` and `reward_mean_100` at the end, and `passed`, {score: agent steps}.
    """
    told = figures.of_run(folder)
    passed = {str(score): int(steps) for score, (steps, _hours) in told["passed"].items()}
    return {"steps": int(told["steps"]), "passed": passed, "reward_mean_100": float(told["score"])}


def render_races(raced):
    """Returns the table of when each run passed a score, the notebook's own runs first.

    Args:
        raced: {choice: {seed: what `race` returns}}; a score that was not passed shows the last.
    """
    own = {seed: progress(folder) for seed, folder in figures.runs().items()}
    rows = []
    for choice, by_seed in {"the notebook's": own, **raced}.items():
        for seed, told in by_seed.items():
            after = [told["passed"].get(str(score)) for score in SCORES]
            lost = f"{told['reward_mean_100']:.0f} at {told['steps'] / 1e6:.2f} million"
            rows.append((choice, seed, *(f"{x / 1e6:.2f} million" if x else lost for x in after)))
    return report.table(["settings", "seed", *(f"{x} after" for x in SCORES)], rows)


def train(choice, seed):
    """Trains one run to STEPS, its learning rate as in the full run.

    Returns:
        A dict of `scores`, the mean raw score in each window of agent steps, and `reward_mean_100`
        at the end.
    """
    name = f"study-{list(CHOICES).index(choice)}-{seed}"
    given = prepare(name, seed, CHOICES[choice], STEPS)
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
    for (choice, seed), told, problem in ended:
        if problem:
            failed.append(f"{choice}, seed {seed}: {problem}")
            continue
        results.setdefault(choice, {})[str(seed)] = told
        _keep(FIGURES, results)
        print(f"{choice}, seed {seed}: {told['scores'][-1]:.0f} at the end", flush=True)
    return failed


def _recorded(path):
    return json.loads(path.read_text()) if path.exists() else {}


def _keep(path, results):
    """Writes figures whole, beside older ones, and then in their place."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps(results, indent=1) + "\n")
    os.replace(part, path)


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
            for run, told, problem in running:
                failed = told if isinstance(told, str) else problem
                yield run, told, failed
    except ClusterError as e:
        sys.exit(str(e))


def _begins(run):
    print("{}, seed {}: begins".format(*run), flush=True)


def main(seeds, address):
    """Trains what is not recorded yet, writes, and prints the table."""
    results = _recorded(FIGURES)
    runs = itertools.product(CHOICES, seeds)
    runs = [(name, seed) for name, seed in runs if str(seed) not in results.get(name, {})]
    failed = record(on_cluster(runs, address) if address else on_cores(runs), results)
    report.fill(PAGE, {"study": render(results)})
    print(render(results), *failed, sep="\n")
    sys.exit(bool(failed))


def main_race(choice, seed):
    """Trains one of CHOICES, writes, and prints the table."""
    results = _recorded(PASSED)
    results.setdefault(choice, {})[str(seed)] = race(choice, seed)
    _keep(PASSED, results)
    report.fill(PAGE, {"races": render_races(results)})
    print(render_races(results))


def _options():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    told = "of the runs of each choice (%(default)s)"
    options.add_argument("--seeds", type=int, nargs="+", default=SEEDS, metavar="SEED", help=told)
    told = "of a Ray cluster that trains in place of this machine"
    options.add_argument("--ray", default="", metavar="ADDRESS", help=told)
    told = "trains one of the choices until it passes the mark of full points"
    options.add_argument("--race", nargs=2, metavar=("CHOICE", "SEED"), help=told)
    options.add_argument("--run", nargs=3, help=argparse.SUPPRESS)  # as train_apart asks for it
    given = options.parse_args()
    if given.race and (given.race[0] not in CHOICES or not given.race[1].isdecimal()):
        options.error(f"--race {given.race}: expected one of {[*CHOICES]}, and a number")
    return given


if __name__ == "__main__":
    given = _options()
    os.environ["A2C_OUT"] = str(Path(os.environ.get("A2C_OUT", FOLDER / "study")).resolve())
    if given.race:
        main_race(given.race[0], int(given.race[1]))
    elif given.run:
        choice, seed, core = given.run
        if core and hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, {int(core)})
        print(json.dumps(train(choice, int(seed))))
    else:
        main(given.seeds, given.ray)
