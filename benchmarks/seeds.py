"""The notebook with several seeds: python benchmarks/seeds.py prints how far they came, and when.

The figures are printed and written to README and `benchmarks/seeds.md`; the curve with its band is
drawn by `reference.py draw`. `keep SEED FOLDER COMMIT` first takes over a finished run: FOLDER is
its folder of event files, COMMIT tells what code made it.
"""

import argparse
import json
import shutil
import sys
from pathlib import Path

import numpy as np
from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.summary.writer.record_writer import RecordWriter
from tensorboardX.proto.event_pb2 import Event

FOLDER = Path(__file__).parent
if __name__ == "__main__":
    sys.path.insert(0, str(FOLDER.parent))

from benchmarks import figures, report
from training.curves import read_curves

COMMITS, PAGE = FOLDER / "seeds.json", FOLDER / "seeds.md"
README = FOLDER.parent / "README.md"
EVERY = 10_000  # agent steps: of each of these a kept curve has its first point
SITTING = 600  # s: the first one, after which a student looks at the curve
BUDGETS = (2.5, 5, 10)  # million agent steps


def keep(seed, folder, commit):
    """Takes over a finished run, its event files thinned.

    Raises:
        ValueError: If the run is not finished; nothing is changed then.
    """
    steps, _, _ = read_curves(folder)[figures.GRADED]
    if steps[-1] < 0.99 * figures.TOTAL_STEPS:
        whole = f"{figures.TOTAL_STEPS:,}"
        raise ValueError(f"{folder} ends at agent step {steps[-1]:,} of {whole}: train on first")
    new = figures.SEEDS / str(seed)
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    for path in folder.glob("events.out.*"):
        thin(path, new / path.name)
    commits = json.loads(COMMITS.read_text()) | {str(seed): commit}
    COMMITS.write_text(json.dumps(commits, indent=1, sort_keys=True) + "\n")


def thin(path, new):
    """Writes an event file anew with fewer points.

    Of each curve it keeps the first point in every EVERY agent steps and the last; and all else.
    """
    records = list(RawEventFileLoader(str(path)).Load())
    events = list(map(Event.FromString, records))
    last = {value.tag: k for k, event in enumerate(events) for value in event.summary.value}
    seen, ends = set(), set(last.values())
    with open(new, "wb") as file:
        writer = RecordWriter(file)
        for k, event in enumerate(events):
            spans = {(value.tag, event.step // EVERY) for value in event.summary.value}
            if not spans or k in ends or spans - seen:
                writer.write(records[k])
            seen |= spans


def times(told, curves, speed):
    """Returns README's tables of scores and times, and of the runs that passed a score.

    Args:
        told: {seed: what `figures.figures` returns}.
        curves: {seed: the run's curve of scores}.
        speed: Agent steps per second of a machine that does nothing else.
    """
    steps = SITTING * speed
    early = [values[np.searchsorted(at, steps) - 1] for at, values, _ in curves.values()]
    rows = [(f"{figures.RANDOM_SCORE}, play at random", "0", "")]
    rows.append((_span(early, ".0f"), _millions([steps]), _hours([steps], speed)))
    for score in figures.SCORES:
        passed = [run["passed"][score][0] for run in told.values() if score in run["passed"]]
        if passed:
            rows.append((score, _millions(passed), _hours(passed, speed)))
    ends = [figures.TOTAL_STEPS]
    scores = _span([run["score"] for run in told.values()], ".0f")
    rows.append((scores, _millions(ends), _hours(ends, speed)))
    headers = ["`reward_mean_100`", "agent steps", f"at {speed:,.0f} agent steps a second"]
    seeds = f"{', '.join(map(str, [*told][:-1]))} and {[*told][-1]}"
    return (
        f"Means of {len(told)} runs, with the seeds {seeds}; in brackets the lowest and the "
        f"highest:\n\n{report.table(headers, rows)}\n\nHow many of them had passed a score:\n\n"
        + passed_within(told)
    )


def passed_within(told):
    """Returns the table of how many runs passed each score within each of BUDGETS."""
    rows = []
    for score in figures.SCORES:
        steps = [run["passed"].get(score, (np.inf,))[0] for run in told.values()]
        counts = [sum(step <= 1e6 * budget for step in steps) for budget in BUDGETS]
        rows.append((score, *(f"{count} of {len(told)}" for count in counts)))
    return report.table(["passed", *(f"within {budget:g} million" for budget in BUDGETS)], rows)


def _span(values, how):
    """Returns the mean of some values, and where they differ the lowest and highest in brackets."""
    mean, low, high = (format(value, how) for value in (np.mean(values), min(values), max(values)))
    return mean if low == high else f"{mean} ({low} to {high})"


def _millions(steps):
    mean, *span = _span(np.divide(steps, 1e6), ".1f").split(" ", 1)
    return " ".join([mean, "million", *span])


def _hours(steps, speed):
    hours = np.divide(steps, speed * 3600)
    unit, scale, how = ("hours", 1, ".1f") if np.mean(hours) > 0.95 else ("minutes", 60, ".0f")
    mean, *span = _span(hours * scale, how).split(" ", 1)
    return " ".join([mean, unit, *span])


def each(told, commits):
    """Returns the table of the runs.

    Args:
        told: {seed: what `figures.figures` returns}.
        commits: {seed: what code made the run}.
    """
    rows = []
    for seed, run in told.items():
        passed = [run["passed"].get(score) for score in figures.SCORES]
        reached = (f"{when[0] / 1e6:.2f} million" if when else "not passed" for when in passed)
        score, hours = f"{run['score']:.0f}", f"{run['hours']:.1f}"
        rows.append((seed, *reached, score, hours, commits[str(seed)]))
    headers = ["seed", *(f"{score} after" for score in figures.SCORES), "at the end"]
    return report.table([*headers, "hours, beside other programs", "code"], rows)


def quiet_speed():
    """Returns the agent steps per second of the notebook's training in `throughput.json`."""
    timed = json.loads((FOLDER / "throughput.json").read_text())
    return np.median(timed["training 16"]["kit_training"])


def render():
    """Returns the blocks of README and of the page on the runs, {path: {name: text}}."""
    folders = figures.runs()
    curves = {seed: read_curves(folder)[figures.GRADED] for seed, folder in folders.items()}
    told = {seed: figures.of_run(folder) for seed, folder in folders.items()}
    commits = json.loads(COMMITS.read_text())
    return {
        README: {"times": times(told, curves, quiet_speed())},
        PAGE: {"runs": each(told, commits)},
    }


def main():
    """Takes over a run, as asked, and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="what")
    taken = commands.add_parser("keep", help="take over a finished run")
    taken.add_argument("seed", type=int)
    taken.add_argument("folder", type=Path)
    taken.add_argument("commit")
    asked = parser.parse_args()
    if asked.what:
        keep(asked.seed, asked.folder, asked.commit)
    for path, texts in render().items():
        report.fill(path, texts)
        print(*texts.values(), sep="\n\n", end="\n\n")


if __name__ == "__main__":
    main()
