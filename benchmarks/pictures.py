"""Draws the runs and the reference agent: `img/reference/`, and the pictures at the notebook's top.

`A2C_LANGUAGE=xx python -m benchmarks.pictures FOLDER` draws those with words in another language.
"""

import base64
import re
import sys
from pathlib import Path

import imageio.v3 as iio
import matplotlib.pyplot as plt
import nbformat
import numpy as np
from PIL import Image

from benchmarks.figures import (
    GRADED,
    KIT,
    LENGTH,
    PUBLISHED,
    RANDOM_SCORE,
    SCORE,
    SCORES,
    runs,
    within,
)
from languages import _
from lesson import map as lesson_map
from training.curves import read_curves

NOTEBOOK, FOLDER = KIT / "a2c_assignment.ipynb", KIT / "img" / "reference"
EMBEDDED = {  # by their label
    "agent": FOLDER / "agent.gif",
    "curve": FOLDER / "curve.png",
    "map": lesson_map.PICTURE,
}


def draw_all(run, video):
    """Draws every picture of a run's curves and of a video, and renews those in the notebook."""
    draw_seeds(FOLDER / "curve.png")
    draw_breakthrough(run, FOLDER / "breakthrough.png")
    animate(video, FOLDER / "agent.gif")
    lesson_map.draw_map()
    embed()


def draw_seeds(path):
    """Draws the score of the reference run and of the other seeds' runs."""
    draw_curve([read_curves(folder)[GRADED] for folder in runs().values()], path)


def draw_curve(curves, path, every=20_000):
    """Draws mean, lowest and highest score of runs, play at random and what others published."""
    at = np.arange(every, min(steps[-1] for steps, _, _ in curves) + 1, every)
    scores = np.stack([np.interp(at, steps, values) for steps, values, _ in curves])
    figure, axis = plt.subplots(figsize=(7.4, 3.6), layout="constrained", dpi=100)
    axis.plot(at / 1e6, scores.mean(axis=0))
    axis.fill_between(at / 1e6, scores.min(axis=0), scores.max(axis=0), alpha=0.3, linewidth=0)
    others = [each["score"] for each in PUBLISHED]
    labels = {RANDOM_SCORE: _("random play {score}").format(score=RANDOM_SCORE)}
    told = _("A2C of others:\n{least} to {most}").format(least=min(others), most=max(others))
    labels[(min(others) + max(others)) / 2] = told
    beside = dict(transform=axis.get_yaxis_transform(), color="gray", fontsize=9)
    for score, label in labels.items():
        axis.text(1.01, score, label, va="center", **beside)
    for score in (RANDOM_SCORE, *SCORES, *others):
        axis.axhline(score, color="gray", linestyle=":", linewidth=1)
    axis.axhspan(min(others), max(others), color="gray", alpha=0.15, linewidth=0)
    axis.set(ylabel="reward_mean_100", ylim=(0, None))
    _finish(figure, path)


def draw_breakthrough(run, path, width=0.1):
    """Draws score, length of a game and points per step, averaged over `width` million steps."""
    starts = np.arange(0, run[SCORE][0][-1] / 1e6, width)
    score, length = (
        np.array([within(run[tag], (start, start + width)).mean() for start in starts])
        for tag in (SCORE, LENGTH)
    )
    drawn = {
        "score of\na game": score,
        "agent steps\nin a game": length,
        "points in 100\nagent steps": 100 * score / length,
    }
    figure, axes = plt.subplots(3, figsize=(7, 4.6), layout="constrained", dpi=100, sharex=True)
    for axis, (label, values) in zip(axes, drawn.items(), strict=True):
        axis.plot(starts + width / 2, values)
        axis.set(ylabel=label, ylim=(0, None))
    figure.align_ylabels()
    _finish(figure, path)


def _finish(figure, path):
    figure.axes[-1].set(xlabel=_("agent steps, millions"), xlim=(0, None))
    for axis in figure.axes:
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path)
    plt.close(figure)


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
    pictures = {label: picture.read_bytes() for label, picture in EMBEDDED.items()}
    for cell in notebook.cells:
        cell.source = renewed(cell.source, pictures)
    nbformat.write(notebook, path)


def renewed(source, pictures):
    """Returns a Markdown text with {label: bytes} of pictures in place of those it embeds."""
    for label, picture in pictures.items():
        older = rf"(?m)^(\[{label}\]: data:image/\w+;base64,).*$"
        data = base64.b64encode(picture).decode()
        source = re.sub(older, rf"\g<1>{data}", source)
    return source


if __name__ == "__main__":
    out = Path(sys.argv[1])
    draw_seeds(out / "curve.png")
    lesson_map.draw_map(out / "map.png")
