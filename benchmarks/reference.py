"""What the reference run shows: python benchmarks/reference.py reads its event files.

The run is the notebook's, with the settings as they stand. `logs/reference/` holds its event files
and weights; they are taken from a finished run by `python benchmarks/reference.py take FOLDER`, the
folder being the `A2C_OUT` of that run. Draws `img/reference/curve.png` and `breakthrough.png`, puts
the pictures of the notebook's first cells into it, and prints the figures that README and notebook
quote.
"""

import base64
import logging
import re
import shutil
import sys
from pathlib import Path

import imageio.v3 as iio
import matplotlib.pyplot as plt
import nbformat
import numpy as np
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

KIT = Path(__file__).parent.parent
NOTEBOOK = KIT / "a2c_assignment.ipynb"
RUN, VIDEOS, PICTURES = (KIT / name / "reference" for name in ("logs", "videos", "img"))
EMBEDDED = {"agent": PICTURES / "agent.gif", "curve": PICTURES / "curve.png"}  # by their label
GRADED, SCORE, LENGTH = (f"Episodes/{name}" for name in ("reward_mean_100", "total", "length"))
MARKS = (400, 600)
LINES = {  # raw scores of whole games: the marks, and others' A2C after as many agent steps
    150: "random play",
    400: "8 points",
    600: "10 points",
    627: "Stable-Baselines3 zoo",
    750: "PPO paper (745), SLM Lab",
    784: "SLM Lab with GAE",
}


def curves(folder=RUN):
    """Returns {tag: points} of a run; a point has step, value and wall_time (s)."""
    logging.getLogger("tensorboard").setLevel(logging.ERROR)  # a run that goes on is no news
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
    return {tag: events.Scalars(tag) for tag in events.Tags()["scalars"]}


def mean(points, since, until):
    """Returns the mean of a curve between two agent steps."""
    return np.mean([point.value for point in points if since < point.step <= until])


def figures(points):
    """Returns what a curve of scores tells, in agent steps and hours of training.

    The hours leave out what lies between two sittings: waits of more than a minute.

    Returns:
        A dict of `steps`, `hours` and `score` at the end, `early` (steps and score after the ten
        minutes of a first sitting) and `passed`, {mark: (steps, hours)} or None where it was not.
    """
    waits = np.diff([point.wall_time for point in points], prepend=points[0].wall_time)
    hours = np.cumsum(np.where(waits < 60, waits, 0)) / 3600
    passed = {}
    for mark in MARKS:
        first = next((k for k, point in enumerate(points) if point.value >= mark), None)
        passed[mark] = None if first is None else (points[first].step, float(hours[first]))
    early, last = points[np.searchsorted(hours, 1 / 6, side="right") - 1], points[-1]
    return {
        "steps": last.step,
        "hours": float(hours[-1]),
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
        f"| a GPU: not measured yet |{' |' * (len(ways) + 1)}",
    ]
    return "\n".join(rows)


def window(scores, lengths, since, until):
    """Returns length of a game, and points in 100 agent steps, between two agent steps."""
    length = mean(lengths, since, until)
    return length, 100 * mean(scores, since, until) / length


def draw(points, path):
    """Draws the curve with the marks and what others have published."""
    figure, axis = plt.subplots(figsize=(7.4, 3.6), layout="constrained", dpi=100)
    axis.plot([point.step / 1e6 for point in points], [point.value for point in points])
    beside = dict(transform=axis.get_yaxis_transform(), color="gray", fontsize=9)
    for score, name in LINES.items():
        axis.axhline(score, color="gray", linestyle=":", linewidth=1)
        place = "top" if score in (600, 750) else "bottom" if score in (627, 784) else "center"
        axis.text(1.01, score, f"{name} {score}", va=place, **beside)
    axis.set(ylabel="reward_mean_100", ylim=(0, None))
    _finish(figure, path)


def draw_breakthrough(scores, lengths, path, width=100_000):
    """Draws score, length of a game and points per step, averaged over windows of agent steps."""
    starts = np.arange(0, scores[-1].step, width)
    windows = [window(scores, lengths, start, start + width) for start in starts]
    length, density = np.transpose(windows)
    curves = {
        "score of\na game": length * density / 100,
        "agent steps\nin a game": length,
        "points in 100\nagent steps": density,
    }
    figure, axes = plt.subplots(3, figsize=(7, 4.6), layout="constrained", dpi=100, sharex=True)
    for axis, (label, values) in zip(axes, curves.items(), strict=True):
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


def take(out):
    """Makes a finished run the reference: its event files, weights and videos replace the old."""
    runs = {path.parent for path in out.glob("logs/*/events.out.*")} - {out / "logs" / RUN.name}
    if len(runs) != 1:
        names = sorted(path.name for path in runs)
        raise ValueError(f"{out / 'logs'} holds the runs {names}, expected one: move others away")
    for folder in (RUN, VIDEOS):
        shutil.rmtree(folder, ignore_errors=True)
    RUN.mkdir()
    for path in [*sorted(runs.pop().glob("events.out.*")), out / "weights.pt"]:
        shutil.copy2(path, RUN)
    shutil.copytree(out / "videos", VIDEOS)
    animate(VIDEOS / "False" / "rl-video-episode-0.mp4", PICTURES / "agent.gif")


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


def main():
    """Draws, embeds and prints."""
    if sys.argv[1:2] == ["take"]:
        take(Path(sys.argv[2]))
    run = curves()
    draw(run[GRADED], PICTURES / "curve.png")
    draw_breakthrough(run[SCORE], run[LENGTH], PICTURES / "breakthrough.png")
    embed()
    print(figures(run[GRADED]))


if __name__ == "__main__":
    main()
