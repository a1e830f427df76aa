"""Drawings for the pages: curves, scores of replayed games, the scores of a class, as SVG.

Text keeps its size at every width: places are percentages, only lines are stretched.
"""

from xml.etree import ElementTree

import numpy as np
from markupsafe import Markup
from matplotlib.ticker import MaxNLocator

from languages import _, grouped, ngettext

__all__ = ["axis_of", "curve", "histogram", "strip"]

TOP, BOTTOM = 12, 88  # percent of the height; below stand the labels of the horizontal axis
LANES = {"sampled": 30, "greedy": 72}  # percent of the width: the middle of a mode's games
SPREAD = 6  # percent of the width: how far games stand from the middle
BARS = 20


def axis_of(scores, marks):
    """Returns the ends (low, high) of an axis on which scores and marks stand, with air above."""
    return min([0, *scores]), 1.06 * max([*scores, *marks, 1])


def curve(caption, steps, values, marks=(), axis=None):
    """Draws one curve, pale as it is and strong as a mean over a fiftieth of its points.

    Args:
        caption: What is drawn.
        steps: [N] agent steps, rising.
        values: [N].
        marks: Scores to draw a line at.
        axis: The vertical axis, as `axis_of` gives it; None fits one to the values.
    """
    steps, values = np.asarray(steps, float), np.asarray(values, float)
    first, last = (grouped(values[k], ".4g") for k in (0, -1))
    told = _("{caption}, over {steps} agent steps: from {first} to {last}")
    far = grouped(steps[-1], ".0f")
    svg = _svg("curve", told.format(caption=caption, steps=far, first=first, last=last))
    axis, wanted = axis or _span(values), 4 if marks else 1
    _levels(svg, axis, marks, wanted)
    frame = dict(y=f"{TOP}%", width="100%", height=f"{BOTTOM - TOP}%")
    frame |= dict(viewBox="0 0 1000 1000", preserveAspectRatio="none")
    area = _add(svg, "svg", **frame)
    shares = np.clip(steps / max(steps[-1], 1), 0, 1)
    _line(area, "raw", shares, values, axis)
    width = max(1, len(values) // 50)
    smooth = np.convolve(values, np.ones(width) / width, mode="valid")
    _line(area, "mean", shares[width - 1 :], smooth, axis)
    _name_levels(svg, axis, marks, wanted)
    _label(svg, "0", 0, 100)
    told = ngettext("{steps} agent step", "{steps} agent steps", int(steps[-1]))
    _label(svg, told.format(steps=far), 100, 100, "end")
    return _drawn(svg)


def strip(modes, marks, axis):
    """Draws the score of every replayed game, with the means and their 95% intervals.

    Args:
        modes: {"sampled" or "greedy": the replay's scores, mean, low and high}.
        marks: Scores to draw a line at.
        axis: The vertical axis, that of the curve beside it.
    """
    svg = _svg("strip", _("Scores of the replayed games, a dot each, and their means"))
    _levels(svg, axis, marks)
    names = {"sampled": _("sampled"), "greedy": _("greedy")}
    for mode, played in modes.items():
        middle = LANES[mode]
        places = np.linspace(middle - SPREAD, middle + SPREAD, len(played["scores"]))
        for x, score in zip(places, played["scores"], strict=True):
            _add(svg, "circle", cx=f"{x:.1f}%", cy=_percent(_height(score, axis)), r="3")
        low, mean, high = (_percent(_height(played[k], axis)) for k in ("low", "mean", "high"))
        beside = _percent(middle + 2 * SPREAD)
        _add(svg, "line", "interval", x1=beside, x2=beside, y1=low, y2=high)
        _add(svg, "circle", "mean", cx=beside, cy=mean, r="5")
        _label(svg, names[mode], middle, 100, "middle")
    _name_levels(svg, axis, marks)
    return _drawn(svg)


def histogram(scores, marks):
    """Draws how many hand-ins have which score.

    Args:
        scores: At least one.
        marks: Scores to draw a line at.
    """
    low, high = axis_of(scores, marks)
    counts, edges = np.histogram(scores, BARS, (low, high))
    told = ngettext(
        "The score of {n} hand-in, from {low} to {high}",
        "Scores of {n} hand-ins, from {low} to {high}",
        len(scores),
    )
    ends = dict(low=grouped(min(scores), ".0f"), high=grouped(max(scores), ".0f"))
    svg = _svg("histogram", told.format(n=len(scores), **ends))
    places = 100 * (edges - low) / (high - low)
    heights = (BOTTOM - TOP) * counts / (1.3 * counts.max())  # leaves room for the marks' names
    for count, left, height in zip(counts, places, heights, strict=False):
        if count:
            box = dict(x=left + 0.2, y=BOTTOM - height, width=100 / BARS - 0.4, height=height)
            _add(svg, "rect", **{name: _percent(at) for name, at in box.items()})
            _label(svg, f"{count}", left + 50 / BARS, BOTTOM - height, "middle")
    for mark in marks:
        x = 100 * (mark - low) / (high - low)
        _add(svg, "line", "mark", x1=_percent(x), x2=_percent(x), y1="0%", y2=f"{BOTTOM}%")
        _label(svg, f"{mark}", x, 0, kind="mark", dx="4", dy="12")
    for tick in _ticks(low, high):
        anchor = "middle" if tick > low else "start"
        _label(svg, grouped(tick, ".0f"), 100 * (tick - low) / (high - low), 100, anchor)
    return _drawn(svg)


def _span(values):
    """Returns the ends of an axis that shows all values, and 0 where it is near."""
    low, high = float(values.min()), float(values.max())
    if 0 < low < high - low:
        low = 0.0
    air = (high - low) * 0.06 or abs(high) or 1.0
    return low - air * (low != 0), high + air


def _levels(svg, axis, marks, wanted=4):
    """Draws the levels of the vertical axis and the marks; what is drawn next covers them."""
    for kind, levels in (("", _ticks(*axis, wanted)), ("mark", marks)):
        for level in levels:
            y = _percent(_height(level, axis))
            _add(svg, "line", kind, x1="0%", x2="100%", y1=y, y2=y)


def _name_levels(svg, axis, marks, wanted=4):
    """Writes what `_levels` drew; this covers what has been drawn since."""
    for level in _ticks(*axis, wanted):
        _label(svg, grouped(level, ".10g"), 0, _height(level, axis))
    for mark in marks:
        _label(svg, f"{mark}", 0, _height(mark, axis), kind="mark", dx="44")


def _ticks(low, high, wanted=4):
    """Returns round numbers along an axis, about as many as wanted."""
    ticks = MaxNLocator(wanted, steps=[1, 2, 5, 10]).tick_values(low, high)
    return [float(tick) for tick in ticks if low <= tick <= high]


def _height(value, axis):
    """Returns where a value stands, in percent from above."""
    low, high = axis
    return BOTTOM - (BOTTOM - TOP) * (value - low) / (high - low)


def _line(area, kind, shares, values, axis):
    low, high = axis
    heights = 1000 * (high - values) / (high - low)
    points = (f"{1000 * x:.1f},{y:.1f}" for x, y in zip(shares, heights, strict=True))
    _add(area, "polyline", kind, points=" ".join(points))


def _svg(kind, told):
    attributes = {"class": f"plot {kind}", "role": "img", "aria-label": told}
    return ElementTree.Element("svg", attributes)


def _label(svg, text, x, y, anchor="start", kind="", dx="0", dy="-4"):
    places = {"x": _percent(x), "y": _percent(y), "dx": dx, "dy": dy, "text-anchor": anchor}
    _add(svg, "text", kind, **places).text = text


def _add(parent, tag, kind="", **attributes):
    return ElementTree.SubElement(parent, tag, {"class": kind} if kind else {}, **attributes)


def _percent(number):
    return f"{number:.2f}%"


def _drawn(svg):
    return Markup(ElementTree.tostring(svg, encoding="unicode", short_empty_elements=False))
