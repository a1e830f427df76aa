"""Whether a video shows a game that the handed-in weights played."""

import math
import sys
from pathlib import Path

from grading.sandbox import NO_WALL, ROOT
from grading.verdicts import on_one_line
from grading.watched import LIMITS, scratch, watch

__all__ = ["GAME", "follow"]

GAME = "SpaceInvadersNoFrameskip-v4"
NEEDED = [  # of what students do not have, to read behind the wall
    ROOT / "grading" / "marking" / f"{name}.py"
    for name in ("__init__", "audit", "network", "moves")
]
NOTHING = {"follows": None, "moves": 0, "seen": 0, "ended": ""}


def follow(video, weights, game, wall=NO_WALL, limits=LIMITS):
    """Compares the moves of a video's cannon with what weights say.

    Args:
        video: Path of an .mp4 with one frame an agent step, as `lesson.videos.camera` records it.
        weights: Path of an .npz: the arrays of the weights' state dict, in its order.
        game: A game's name.
        wall: The `sandbox.Wall` that the video is decoded behind.
        limits: `watched.Limits` of that.

    Returns:
        {"follows": from -1 to 1, about 0.8 for a game that these weights played and 0.1 for one of
        other weights; None of weights that want nothing, of another game, of a video that is none
        of the game's size, or that cannot be read; "moves": in how many pairs of agent steps the
        cannon moves; "seen": in how many frames there is a cannon; "ended": what ended the
        process before its end, "" where nothing did}.
    """
    if game != GAME:
        return dict(NOTHING)
    video, weights = Path(video).resolve(), Path(weights).resolve()
    command = [sys.executable, "-m", "grading.marking.moves", str(video), str(weights)]
    with scratch() as out:
        (out / "own").mkdir()
        command = wall.wrap(command, [video, weights, *NEEDED], out)
        *_earlier, last = watch(command, wall.environment(out), out, limits)
    return _read(last)


def _read(message):
    """Returns what a message of anybody's says; where that is not possible, how it ended alone."""
    told = NOTHING | {"ended": on_one_line(str(message.get("ending", "")))}
    follows, *counts = (message.get(name) for name in ("follows", "moves", "seen"))
    known = type(follows) in (int, float) and math.isfinite(follows) and abs(follows) <= 1
    counted = all(type(n) is int and 0 <= n <= 10_000 for n in counts)
    if not (counted and (known or follows is None)):
        return told
    told |= dict(zip(("moves", "seen"), counts, strict=True))
    return told | {"follows": round(float(follows), 3) if known else None}
