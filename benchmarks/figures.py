"""What a run's event files show, the reference run's above all: figures, sentences and tables."""

import json
from pathlib import Path

import numpy as np

from benchmarks import report
from training.curves import read_curves

KIT = Path(__file__).parent.parent
RUN, SEED = KIT / "logs" / "reference", 7
SEEDS = KIT / "benchmarks" / "seeds"  # of the other runs, by their seed
PAGE = KIT / "benchmarks" / "reference.md"
GRADED, SCORE, LENGTH = (f"Episodes/{name}" for name in ("reward_mean_100", "total", "length"))

NENVS, TOTAL_STEPS, MAX_GRAD_NORM = 16, 10_000_000, 0.5  # as in the notebook's settings
RANDOM_SCORE, SCORES = 150, (400, 600)  # in the tables: play at random, and on the way
# A2C of others after 10 million agent steps, each with how it was measured
PUBLISHED = json.loads((KIT / "benchmarks" / "published.json").read_text(encoding="utf-8"))

START, EARLY, END = (0, 0.1), (0.15, 0.3), (9, 10)  # spans in million agent steps
STAGES = [START, (0.3, 0.8), (2.5, 3.3), (3.4, 4.4), END]
MEANS = [  # what the notebook's comments on the curves rest on: curve, format, spans
    (GRADED, ".0f", [(0.3, 0.8), (3.39, 3.41), (3.4, 5.3)]),
    ("A2C/coefficient_of_determination", ".2f", [EARLY, END]),
    ("A2C/entropy", ".2f", [EARLY, (0.3, 0.8), (1.2, 2), END]),
    ("A2C/value_loss", ".2f", [EARLY, END]),
    ("A2C/value_targets", ".1f", [EARLY, END]),
    ("A2C/value_predictions", ".1f", [EARLY, END]),
    ("A2C/gradient_norm", ".2f", [EARLY, END]),
]


def runs():
    """Returns the folder of each seed's run, {seed: folder}: the reference run and the others."""
    return dict(sorted([(SEED, RUN), *((int(run.name), run) for run in SEEDS.glob("[0-9]*"))]))


def sittings(folder=RUN):
    """Returns when each sitting of a run began and ended, [(s, s)]: one event file, one sitting."""
    spans = []
    for path in sorted(folder.glob("events.out.*")):
        times = np.concatenate([times for _, _, times in read_curves(path).values()])
        spans.append((times.min(), times.max()))
    return spans


def within(curve, span):
    """Returns the values of a curve in a span of million agent steps."""
    steps, values, _ = curve
    since, until = span
    return values[(1e6 * since < steps) & (steps <= 1e6 * until)]


def figures(curve, spans):
    """Returns what a curve of scores tells, in agent steps and hours.

    Args:
        curve: Agent steps [N], values [N] and wall times [N] in s.
        spans: What `sittings` returns; hours between two sittings do not count.

    Returns:
        A dict of `steps`, `hours` and `score` at the end, `early` (steps and score after the ten
        minutes of a first sitting) and `passed`, {score: (steps, hours)} of those of SCORES passed.
    """
    steps, values, times = curve
    seconds = sum(np.clip(times, began, ended) - began for began, ended in spans)
    hours = seconds / 3600
    first = {score: np.argmax(values >= score) for score in SCORES if (values >= score).any()}
    early = np.searchsorted(hours, 1 / 6, side="right") - 1
    return {
        "steps": steps[-1],
        "hours": hours[-1],
        "score": values[-1],
        "early": (steps[early], values[early]),
        "passed": {score: (steps[k], hours[k]) for score, k in first.items()},
    }


def of_run(folder):
    """Returns what `figures` tells of the event files of a run."""
    return figures(read_curves(folder)[GRADED], sittings(folder))


def thinned(curve, every=100_000):
    """Returns a curve as the doctor reads it, [agent steps, score]: one point per `every` steps."""
    steps, values, _ = curve
    wanted = np.arange(every, steps[-1] + 1, every)
    last = np.searchsorted(steps, wanted, side="right") - 1
    return [[int(step), round(float(values[k]), 1)] for step, k in zip(wanted, last, strict=True)]


def story(told, run, count):
    """Returns what happened in the run, in sentences.

    Args:
        told: What `figures` returns.
        run: The curves.
        count: Number of sittings.
    """
    early, score = told["early"]
    passed = " and ".join(
        f"{mark} after {steps / 1e6:.1f} million agent steps"
        for mark, (steps, _) in told["passed"].items()
    )
    start, end = (looks_back(run, span) for span in (START, END))
    return (
        f"The run took {told['hours']:.1f} hours in {count} sittings. After the first ten minutes, "
        f"{early / 1e6:.1f} million agent steps, its `reward_mean_100` was {score:.0f}; it passed "
        f"{passed}, and at the end it was {told['score']:.0f}.\n\nThis score is a mean over the "
        f"last {start:.1f} million agent steps at the start of the run, where games are short, and "
        f"over the last {end:.1f} million at its end. So it lags behind the agent."
    )


def published():
    """Returns the range of what others have published, and the table."""
    scores = [each["score"] for each in PUBLISHED]
    rows = [
        (f"[{each['by']}]({each['address']})", each["measured"], each["score"])
        for each in PUBLISHED
    ]
    return (
        f"A2C agents of others reach {min(scores)} to {max(scores)} after as many agent steps, "
        "each measured in another way:\n\n" + report.table(["by", "measured", "mean score"], rows)
    )


def stages(run):
    """Returns the table of where the score comes from, and what its rows say of each other."""
    scores, lengths = (
        np.array([within(run[tag], span).mean() for span in STAGES]) for tag in (SCORE, LENGTH)
    )
    rates = 100 * scores / lengths
    rows = [
        (f"{since} to {until}", f"{score:,.0f}", f"{length:,.0f}", f"{rate:.0f}")
        for (since, until), score, length, rate in zip(STAGES, scores, lengths, rates, strict=True)
    ]
    headers = ["million agent steps", "score of a game", "agent steps in a game"]
    return report.table([*headers, "points in 100 agent steps"], rows) + (
        f"\n\nFrom the second row to the third, a game becomes {lengths[2] / lengths[1]:.1f} times "
        f"as long, and its score {scores[2] / scores[1]:.1f} times as high. In the last row, 100 "
        f"agent steps bring {rates[4] / rates[3] - 1:.0%} more points than in the fourth."
    )


def looks_back(run, span):
    """Returns how many agent steps 100 games in each environment took, in millions."""
    return 100 * NENVS * within(run[LENGTH], span).mean() / 1e6


def means(run):
    """Returns the table of means that the notebook's comments on the curves rest on."""
    rows = [
        (f"`{tag}`", f"{since} to {until}", format(within(run[tag], (since, until)).mean(), how))
        for tag, how, spans in MEANS
        for since, until in spans
    ]
    for since, until in (EARLY, END):
        share = (within(run["A2C/gradient_norm"], (since, until)) > MAX_GRAD_NORM).mean()
        rows.append(("updates whose gradient was clipped", f"{since} to {until}", f"{share:.0%}"))
    return report.table(["curve", "million agent steps", "mean"], rows)


def render(run, spans):
    """Returns the blocks of the page on the run, {name: text}."""
    told = figures(run[GRADED], spans)
    page = {"story": story(told, run, len(spans)), "published": published()}
    return page | {"stages": stages(run), "means": means(run)}
