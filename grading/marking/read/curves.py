"""The runs of a hand-in: their scores, what is odd about them, and the curves of one."""

import hashlib
import struct

import numpy as np

from grading.curves import LOOKS_BACK, find_oddities, read_score, read_sittings
from grading.marking.read.common import Unreadable, begin, one_line, shown
from languages import _, grouped
from training.curves import read_curves

__all__ = ["read"]

MOST_RUNS, MOST_EVENTS, MOST_POINTS = 10, 600_000, 200_000  # a curve of a whole run has 8,000
MOST_SHOWN = 400  # points of a curve
FLOATS = ("A2C/entropy", "A2C/value_loss")  # curves of which no two runs share a stretch
STRETCH, FEWEST_VALUES = 8, 4  # points that are compared together, and different ones among them
MOST_FLOATS = 300


def read(order, folder, out):
    """Returns the part "curves".

    Args:
        order: With "run" (the manifest's, or ""), "game", "nenvs" (or None) and "tags".
        folder: The hand-in's folder.
        out: Not used, this part leaves no files.
    """
    runs, curves, problems = [], [], {}
    for path in _run_folders(folder / "logs")[:MOST_RUNS]:
        name = one_line(path.relative_to(folder).as_posix().removeprefix("logs/"))
        begin(_("reading {name}").format(name=name))
        try:
            run, points = _read_run(path, order)
        except Unreadable as e:
            problems[name] = f"{name}: {e}"
        except Exception as e:  # what a broken event file raises differs from one to the next
            problems[name] = _("{name} cannot be read ({error})").format(name=name, error=shown(e))
        else:
            runs.append({"name": name, **run})
            curves.append(points)
    chosen = _choose(runs, order["run"])
    if runs and order["run"] not in problems:
        problems = {}  # runs beside the one that counts may be broken
    elif not runs and not problems:
        problems = {"": _("logs/ holds no run with curves")}
    drawn = curves[chosen] if runs else {}
    points = {tag: _thinned(*drawn[tag]) for tag in order["tags"] if tag in drawn}
    return dict(
        problem="; ".join([*problems.values()][:3]), chosen=chosen, runs=runs, points=points
    )


def _run_folders(logs):
    """Returns the folders that hold event files, the reference run's left out."""
    folders = {path.parent for path in logs.rglob("*tfevents*") if path.is_file()}
    return sorted(f for f in folders if "reference" not in f.relative_to(logs).parts)


def _choose(runs, name):
    """Returns the number of the manifest's run, else of the one with the highest score."""
    ranks = [
        (
            run["name"] == name,
            *((-1.0 if run[key] is None else run[key]) for key in ("counted", "best")),
        )
        for run in runs
    ]
    return ranks.index(max(ranks)) if ranks else 0


def _read_run(path, order):
    """Returns what is told of a run, and its curves without points that are no numbers."""
    count = sum(_count_events(file, MOST_EVENTS) for file in path.glob("*tfevents*"))
    if count > MOST_EVENTS:
        raise Unreadable(_("more than {most} points in all").format(most=grouped(MOST_EVENTS)))
    curves, sittings = read_curves(path), read_sittings(path)
    for tag, (steps, *_rest) in curves.items():
        if len(steps) > MOST_POINTS:
            told = _("{tag} has {n} points, more than {most}")
            counts = dict(n=grouped(len(steps)), most=grouped(MOST_POINTS))
            raise Unreadable(told.format(tag=one_line(tag), **counts))
    if not curves:
        raise Unreadable(_("no point of a curve is left in its event files"))
    finite = {tag: _finite(*columns) for tag, columns in curves.items()}
    finite = {tag: columns for tag, columns in finite.items() if len(columns[0])}
    return _told(curves, finite, sittings, order), finite


def _count_events(file, enough):
    """Counts the records of an event file by their lengths, which is quick; stops at enough."""
    count, at, size = 0, 0, file.stat().st_size
    with open(file, "rb") as records:
        while at + 12 <= size and count <= enough:
            records.seek(at)
            at += 16 + struct.unpack("<Q", records.read(8))[0]
            count += 1
    return count


def _finite(steps, values, times):
    kept = np.isfinite(values) & np.isfinite(times)
    return steps[kept], values[kept], times[kept]


def _told(curves, finite, sittings, order):
    score = read_score(finite)
    every = finite.get("Episodes/total", [np.zeros(0, np.int64)])[0]  # each multiple of nenvs
    nenvs = order["nenvs"] or int(np.gcd.reduce(every)) or 1
    oddities = [
        one_line(line, 300) for line in find_oddities(curves, sittings, order["game"], nenvs)
    ]
    return dict(
        best=score.best,
        last=score.last,
        counted=score.counted,
        games=min(max(score.games, 0), LOOKS_BACK),
        steps=max([0, *(min(int(steps[-1]), 2**53) for steps, *_rest in finite.values())]),
        hours=_hours(sittings),
        missing=[tag for tag in order["tags"] if tag not in finite],
        oddities=oddities[:20],
        sittings=len(sittings),
        floats=_floats(finite),
    )


def _hours(sittings):
    spans = [np.ptp(times) for _name, _steps, times in sittings if np.isfinite(times).all()]
    return float(min(sum(spans) / 3600, 1e6))


def _floats(curves):
    """Returns digests of stretches of values, wherever they begin: a copy that is cut has them too.

    The smallest digests stand for all: of two runs that share stretches they are the same ones.
    """
    digests = set()
    for tag in FLOATS:
        values = curves.get(tag, [None, np.zeros(0)])[1].astype(np.float32)
        for k in range(len(values) - STRETCH + 1):
            stretch = values[k : k + STRETCH]
            if len(set(stretch.tolist())) >= FEWEST_VALUES:
                digests.add(hashlib.blake2b(stretch.tobytes(), digest_size=8).hexdigest())
    return sorted(digests)[:MOST_FLOATS]


def _thinned(steps, values, times):
    """Returns at most MOST_SHOWN points, evenly spaced, the first and the last among them."""
    kept = np.unique(np.linspace(0, len(steps) - 1, min(len(steps), MOST_SHOWN)).astype(int))
    return dict(steps=steps[kept].tolist(), values=values[kept].tolist())
