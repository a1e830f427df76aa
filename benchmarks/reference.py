"""What the reference run shows: python benchmarks/reference.py reads its event files.

The run is the notebook's, with the settings as they stand; `logs/reference/` holds its event files
and weights. Prints what README and the notebook tell of it. With `draw`, also draws
`img/reference/curve.png` and `breakthrough.png`, and puts the pictures that the notebook opens with
into it. With `take FOLDER`, first makes a finished run the reference, the folder being its
`A2C_OUT`.
"""

import argparse
import base64
import logging
import re
import shutil
from pathlib import Path

import imageio.v3 as iio
import matplotlib.pyplot as plt
import nbformat
import numpy as np
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

KIT = Path(__file__).parent.parent
NOTEBOOK = KIT / "a2c_assignment.ipynb"
RUN, VIDEOS, PICTURES = (KIT / name / "reference" for name in ("logs", "videos", "img"))
EMBEDDED = {"agent": PICTURES / "agent.gif", "curve": PICTURES / "curve.png"}  # by their label
GRADED, SCORE, LENGTH = (f"Episodes/{name}" for name in ("reward_mean_100", "total", "length"))

NENVS, TOTAL_STEPS, MAX_GRAD_NORM = 16, 10_000_000, 0.5  # as in the notebook's settings
RANDOM_SCORE, MARKS = 150, {400: "8 points", 600: "10 points"}
PUBLISHED = {  # A2C of others after 10 million agent steps; README says how each was measured
    "RL Baselines3 Zoo": 627,
    "Schulman et al. 2017": 745,
    "SLM Lab 2019": 750,
    "SLM Lab 2026": 784,
    "RL Baselines3 Zoo, its hub": 804,
}

START, EARLY, END = (0, 0.1), (0.15, 0.3), (9, 10)  # spans in million agent steps
STAGES = [START, (0.3, 0.8), (2.5, 3.3), (3.4, 4.4), END]
COMMENTS = [  # what Task 6 says of a curve's means, the curve, and the spans of the means
    ("near {:.0f} up to 0.8 million", GRADED, [(0.3, 0.8)]),
    ("near {:.0f} up to 5.3 million", GRADED, [(3.4, 5.3)]),
    ("{:.2f} early on, {:.2f} at the end", "A2C/coefficient_of_determination", [EARLY, END]),
    ("to {:.2f} while the first tactic pays off", "A2C/entropy", [EARLY]),
    ("back to {:.2f} up to 0.8 million", "A2C/entropy", [(0.3, 0.8)]),
    ("down to {:.2f} between 1.2 and 2 million", "A2C/entropy", [(1.2, 2)]),
    ("settles at {:.2f}", "A2C/entropy", [END]),
    ("with the rewards, from {:.2f} to {:.2f}", "A2C/value_loss", [EARLY, END]),
    ("rise together, from {:.1f} to {:.1f}", "A2C/value_targets", [EARLY, END]),
    ("rise together, from {:.1f} to {:.1f}", "A2C/value_predictions", [EARLY, END]),
    ("grows from {:.2f} to {:.2f}", "A2C/gradient_norm", [EARLY, END]),
]


def curves(folder=RUN):
    """Returns {tag: points} of a run; a point has step, value and wall_time (s)."""
    logging.getLogger("tensorboard").setLevel(logging.ERROR)  # a run that goes on is no news
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
    return {tag: events.Scalars(tag) for tag in events.Tags()["scalars"]}


def sittings(folder=RUN):
    """Returns when each sitting of a run began and ended, [(s, s)]: one event file, one sitting."""
    files = sorted(folder.glob("events.out.*"))
    times = ([event.wall_time for event in EventFileLoader(str(path)).Load()] for path in files)
    return [(each[0], each[-1]) for each in times]


def mean(points, since, until):
    """Returns the mean of a curve between two agent steps."""
    return np.mean([point.value for point in points if since < point.step <= until])


def figures(points, spans):
    """Returns what a curve of scores tells, in agent steps and hours.

    Args:
        points: The curve.
        spans: What `sittings` returns; hours between two sittings do not count.

    Returns:
        A dict of `steps`, `hours` and `score` at the end, `early` (steps and score after the ten
        minutes of a first sitting) and `passed`, {mark: (steps, hours)} of the marks passed.
    """
    hours = [
        sum(max(0.0, min(point.wall_time, ended) - began) for began, ended in spans) / 3600
        for point in points
    ]
    passed = {}
    for mark in MARKS:
        first = next((k for k, point in enumerate(points) if point.value >= mark), None)
        if first is not None:
            passed[mark] = points[first].step, hours[first]
    early, last = points[np.searchsorted(hours, 1 / 6, side="right") - 1], points[-1]
    return {
        "steps": last.step,
        "hours": hours[-1],
        "score": last.value,
        "early": (early.step, early.value),
        "passed": passed,
    }


def table(told, speed):
    """Returns README's table of times, as Markdown.

    Args:
        told: What `figures` returns.
        speed: Agent steps per second where nothing runs beside, as `throughput.py` measures it.
    """
    ways = {f"to {mark}": way for mark, way in told["passed"].items()}
    ways["to the end"] = told["steps"], told["hours"]
    own = told["steps"] / told["hours"] / 3600
    measured = " | ".join(f"{hours:.1f} hours" for _, hours in ways.values())
    computed = " | ".join(f"{steps / speed / 3600:.1f} hours" for steps, _ in ways.values())
    rows = [
        f"| hardware | agent steps/s | {' | '.join(ways)} |",
        "|---" * (len(ways) + 2) + "|",
        f"| two CPU cores, no GPU, other programs beside: measured | {own:,.0f} | {measured} |",
        f"| the same with nothing beside: computed from the speed | {speed:,.0f} | {computed} |",
    ]
    return "\n".join(rows)


def stages(run):
    """Returns README's table of where the score comes from, as Markdown."""
    rows = [
        "| million agent steps | score of a game | agent steps in a game | points in 100 of them |",
        "|---|---|---|---|",
    ]
    for since, until in STAGES:
        score, length = (mean(run[tag], 1e6 * since, 1e6 * until) for tag in (SCORE, LENGTH))
        rows.append(
            f"| {since} to {until} | {score:,.0f} | {length:,.0f} | {100 * score / length:.0f} |"
        )
    return "\n".join(rows)


def looks_back(run, span):
    """Returns how many agent steps 100 games in each environment took, in millions."""
    return 100 * NENVS * mean(run[LENGTH], *np.multiply(span, 1e6)) / 1e6


def clipped(run, span):
    """Returns the share of updates whose gradient was clipped."""
    since, until = np.multiply(span, 1e6)
    norms = [point.value for point in run["A2C/gradient_norm"] if since < point.step <= until]
    return np.mean(np.array(norms) > MAX_GRAD_NORM)


def comments(run):
    """Returns what Task 6 says of the curves, with its numbers."""
    means = (
        (text, [mean(run[tag], *np.multiply(span, 1e6)) for span in spans])
        for text, tag, spans in COMMENTS
    )
    shares = [clipped(run, span) for span in (EARLY, END)]
    return [text.format(*values) for text, values in means] + [
        "touches {:.0%} of the updates early on and {:.0%} at the end".format(*shares)
    ]


def draw(points, path):
    """Draws the curve with the marks, play at random and what others have published."""
    figure, axis = plt.subplots(figsize=(7.4, 3.6), layout="constrained", dpi=100)
    axis.plot([point.step / 1e6 for point in points], [point.value for point in points])
    beside = dict(transform=axis.get_yaxis_transform(), color="gray", fontsize=9)
    lowest, highest = min(PUBLISHED.values()), max(PUBLISHED.values())
    labels = {RANDOM_SCORE: f"random play {RANDOM_SCORE}"}
    labels |= {mark: f"{points}: {mark}" for mark, points in MARKS.items()}
    labels |= {(lowest + highest) / 2: f"A2C of others:\n{lowest} to {highest}"}
    for score, label in labels.items():
        axis.text(1.01, score, label, va="center", **beside)
    for score in (RANDOM_SCORE, *MARKS, *PUBLISHED.values()):
        axis.axhline(score, color="gray", linestyle=":", linewidth=1)
    axis.axhspan(lowest, highest, color="gray", alpha=0.15, linewidth=0)
    axis.set(ylabel="reward_mean_100", ylim=(0, None))
    _finish(figure, path)


def draw_breakthrough(scores, lengths, path, width=100_000):
    """Draws score, length of a game and points per step, averaged over windows of agent steps."""
    starts = np.arange(0, scores[-1].step, width)
    score, length = (
        np.array([mean(points, start, start + width) for start in starts])
        for points in (scores, lengths)
    )
    drawn = {
        "score of\na game": score,
        "agent steps\nin a game": length,
        "points in 100\nagent steps": 100 * score / length,
    }
    figure, axes = plt.subplots(3, figsize=(7, 4.6), layout="constrained", dpi=100, sharex=True)
    for axis, (label, values) in zip(axes, drawn.items(), strict=True):
        axis.plot((starts + width / 2) / 1e6, values)
        axis.set(ylabel=label, ylim=(0, None))
    figure.align_ylabels()
    _finish(figure, path)


def _finish(figure, path):
    figure.axes[-1].set(xlabel="agent steps, millions", xlim=(0, None))
    for axis in figure.axes:
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path)
    plt.close(figure)


def take(out, kit=KIT):
    """Makes a finished run the reference: its event files, weights and videos replace the old.

    Raises:
        ValueError: If the folder holds more than one run, or a part is missing, or the run is not
            finished; nothing is changed then.
    """
    runs = {path.parent for path in out.glob("logs/*/events.out.*")} - {out / "logs" / "reference"}
    if len(runs) != 1:
        names = sorted(path.name for path in runs)
        raise ValueError(f"{out / 'logs'} holds the runs {names}, expected one: move others away")
    (run,) = runs
    videos = [out / "videos" / kind / "rl-video-episode-0.mp4" for kind in ("False", "True")]
    for path in (out / "weights.pt", *videos):
        if not path.is_file():
            raise ValueError(f"{path} is missing: run the notebook to its end first")
    reached = curves(run)[GRADED][-1].step
    if reached < 0.99 * TOTAL_STEPS:
        raise ValueError(f"{run} ends at agent step {reached:,} of {TOTAL_STEPS:,}: train on first")
    _replace(kit / "logs" / "reference", [*sorted(run.glob("events.out.*")), out / "weights.pt"])
    for kind, video in zip(("False", "True"), videos, strict=True):
        _replace(kit / "videos" / "reference" / kind, [video])
    animate(videos[0], kit / "img" / "reference" / "agent.gif")


def _replace(folder, paths):
    """Puts copies of some files in the place of a folder."""
    new = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    for path in paths:
        shutil.copy2(path, new)
    shutil.rmtree(folder, ignore_errors=True)
    new.rename(folder)


def animate(video, path, first=60, count=180):
    """Makes an animation of some agent steps of a video, every second of them, in 16 colours."""
    frames = iio.imread(video, plugin="FFMPEG")[first : first + count : 2]
    images = [Image.fromarray(frame).resize((240, 315), Image.NEAREST) for frame in frames]
    palette = images[0].quantize(16, method=Image.Quantize.MAXCOVERAGE)
    small = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in images]
    small[0].save(path, save_all=True, append_images=small[1:], duration=2000 / 15, loop=0)


def embed(path=NOTEBOOK):
    """Puts the pictures into a notebook as data, in the place of older ones of the same label."""
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        for label, picture in EMBEDDED.items():
            older = rf"(?m)^(\[{label}\]: data:image/\w+;base64,).*$"
            data = base64.b64encode(picture.read_bytes()).decode()
            cell.source = re.sub(older, rf"\g<1>{data}", cell.source)
    nbformat.write(notebook, path)


def tell(run, spans):
    """Prints what README and the notebook tell of the run."""
    print(figures(run[GRADED], spans), f"{len(spans)} sittings", stages(run), sep="\n\n")
    for span in (START, END):
        print(f"reward_mean_100 looks back {looks_back(run, span):.1f} million in {span}")
    print(*comments(run), sep="\n")


def main():
    """Takes, draws, and prints, as asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="?", choices=["print", "draw", "take"], default="print")
    parser.add_argument("folder", nargs="?", type=Path, help="A2C_OUT of the run to take")
    asked = parser.parse_args()
    if (asked.what == "take") != (asked.folder is not None):
        parser.error("take needs a folder, and nothing else does")
    if asked.folder:
        take(asked.folder)
    run = curves()
    if asked.what != "print":
        draw(run[GRADED], PICTURES / "curve.png")
        draw_breakthrough(run[SCORE], run[LENGTH], PICTURES / "breakthrough.png")
        embed()
    tell(run, sittings())
    if asked.folder:
        print("now run evaluation.py, and put the numbers above into README and the notebook")


if __name__ == "__main__":
    main()
