"""What sick runs look like: curves of runs broken on purpose, beside a healthy one and yours."""

import json
import math
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np

from languages import N_, _
from lesson.assignment import read_assignment
from lesson.games import REFERENCE
from training.curves import read_curves

__all__ = ["CURVES", "FIGURES", "RUNS", "WIDTH", "show_symptoms"]

FIGURES = Path(__file__).with_name("symptoms.json")  # what the recorded runs gave
WIDTH = 4_000  # agent steps behind one point
HEALTHY, SICK, YOURS = "#2f7ebc", "#cc4b37", "#222222"
RUNS = {  # recorded run: what was broken on purpose
    "wrong-sign": N_("policy loss without its minus"),
    "frozen-network": N_("no step of the optimizer"),
    "learning-rate-100-times": N_("learning rate × 100"),
    "one-game-everywhere": N_("one game 16 times"),
    "no-entropy-bonus": N_("no entropy bonus"),
    "entropy-bonus-100-times": N_("entropy bonus × 100"),
    "rewards-not-clipped": N_("rewards not clipped"),
}


class Curve(NamedTuple):
    """A row of pictures."""

    title: str
    tag: str  # of the event files
    sick: tuple  # two recorded runs
    mark: float  # of a line to compare with
    meaning: str  # of that line
    axis: dict  # settings of the vertical axis, the same in a row


CURVES = {  # as recorded runs call it
    "score": Curve(
        *("reward_mean_100", "Episodes/reward_mean_100", ("wrong-sign", "frozen-network")),
        *(150, N_("random play"), dict(ylim=(80, 240), yticks=[100, 150, 200])),
    ),
    "coefficient of determination": Curve(
        *(N_("coefficient of determination"), "A2C/coefficient_of_determination"),
        *(("learning-rate-100-times", "one-game-everywhere"), 0, N_("one number for all")),
        dict(yscale="symlog", ylim=(-900, 4), yticks=[1, 0, -1, -10, -100]),
    ),
    "entropy": Curve(
        *(N_("entropy"), "A2C/entropy", ("no-entropy-bonus", "entropy-bonus-100-times")),
        *(math.log(6), N_("log 6"), dict(ylim=(-0.05, 2.1), yticks=[0, 0.5, 1, 1.5, 2])),
    ),
    "gradient norm": Curve(
        *(N_("gradient norm"), "A2C/gradient_norm"),
        *(("rewards-not-clipped", "learning-rate-100-times"), 0.5, N_("clipped above this")),
        dict(yscale="log", ylim=(0.008, 300), yticks=[0.01, 0.1, 1, 10, 100]),
    ),
    "total loss": Curve(
        *(N_("total loss"), "A2C/total_loss", ("entropy-bonus-100-times", "rewards-not-clipped")),
        *(0, "", dict(yscale="symlog", ylim=(-5, 40), yticks=[-1, 0, 1, 10])),
    ),
}


def show_symptoms(run):
    """Draws five curves of a healthy run and of yours, and what two sick runs make of each.

    The recorded runs played Space Invaders: in another game your score has no place beside theirs.

    Args:
        run: The folder of your run's event files; its beginning is drawn, as far as the others go.
    """
    recorded = json.loads(FIGURES.read_text(encoding="utf-8"))
    own = read_curves(run)
    if read_assignment().game != REFERENCE:
        own.pop(CURVES["score"].tag, None)
    figure, axes = plt.subplots(
        *(len(CURVES), 3), figsize=(11, 9.6), sharex=True, sharey="row", layout="constrained"
    )
    for row, (name, curve) in zip(axes, CURVES.items(), strict=True):
        end = _draw(row[0], recorded["healthy"][name], HEALTHY)
        points = _begun(own[curve.tag], end) if curve.tag in own else []
        if points:
            _draw(row[0], points, YOURS)
        for axis, sick in zip(row[1:], curve.sick, strict=True):
            _draw(axis, recorded[sick][name], SICK)
            axis.set_title(_(RUNS[sick]), fontsize=10, loc="left", color=SICK)
        _finish(row, curve)
        low, high = curve.axis["ylim"]
        row[0].set_ylim(low, max([high, *(value for _step, value in points)]))
    for axis in axes[-1]:
        axis.set(xlim=(0, end / 1e6), xlabel=_("agent steps, millions"))
    _explain(figure)
    plt.show()


def _draw(axis, points, colour):
    """Draws points, [agent step, value], as they are and smoothed; returns the last step."""
    steps, values = np.array(points, float).T
    width = max(1, len(values) // 15)
    smooth = np.convolve(values, np.full(width, 1 / width), mode="valid")
    axis.plot(steps / 1e6, values, color=colour, alpha=0.3, linewidth=0.8)
    axis.plot(steps[width - 1 :] / 1e6, smooth, color=colour, linewidth=1.8)
    return steps[-1]


def _begun(curve, end, points=125):
    """Returns the beginning of a curve, [agent step, value], thinned."""
    steps, values, _times = curve
    held = np.flatnonzero((steps <= end) & np.isfinite(values))
    held = held[:: max(1, len(held) // points)]
    return [*zip(steps[held], values[held], strict=True)]


def _finish(row, curve):
    """Gives a row its name, its axis, and its line to compare with."""
    for axis in row:
        axis.set(**curve.axis)
        axis.minorticks_off()
        axis.yaxis.set_major_formatter("{x:g}")
        axis.axhline(curve.mark, color="gray", linestyle=":", linewidth=1.2)
    row[0].set_title(_(curve.title), fontsize=10, loc="left", weight="bold")
    beside = dict(xycoords=row[-1].get_yaxis_transform(), textcoords="offset points")
    told = _(curve.meaning) if curve.meaning else ""  # gettext has a text for ""
    row[-1].annotate(
        told, (1, curve.mark), (-2, 3), ha="right", color="gray", fontsize=8.5, **beside
    )


def _explain(figure):
    """Puts a legend in plain words above all rows."""
    lines = {HEALTHY: _("a healthy run"), YOURS: _("your run"), SICK: _("a run broken on purpose")}
    drawn = [plt.Line2D([], [], color=colour, linewidth=2.5) for colour in lines]
    figure.legend(drawn, [*lines.values()], loc="outside upper center", ncols=3, frameon=False)
    figure.get_layout_engine().set(hspace=0.06, wspace=0.04)
