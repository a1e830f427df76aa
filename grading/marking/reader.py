"""Reads the parts of a hand-in that are no code: each in a process of its own, behind the wall.

What such a process leaves is bounded, of known shape, and opened without following links; where it
breaks, its part says so, and the others are there.
"""

import functools
import io
import json
import math
import os
import stat
import sys
import time
import zipfile
from pathlib import PurePosixPath

import ale_py
import gymnasium
import numpy as np
from jsonschema import ValidationError

from grading.check import TASKS
from grading.marking.schemas import EMPTY, check_part
from grading.sandbox import ROOT
from grading.watched import scratch, watch
from languages import _, grouped

__all__ = ["read", "read_weights"]

HELD = {  # process: parts of evidence that it reads
    **{part: [part] for part in ("curves", "weights", "videos", "pictures")},
    "notebook": ["comments", "notebook"],
}
NEEDED = [  # of what students do not have, to read behind the wall
    ROOT / "grading" / "marking" / name for name in ("__init__.py", "read")
]
MOST_RESULT, MOST_FILE, MOST_WEIGHTS = 8 * 2**20, 20 * 2**20, 65 * 2**20  # bytes
MOST_FILES = 200
MOST_ENVS = 1024
KEPT = "\n\t\xa0\u202f"  # characters: two are spaces that keep a line together
BEGINNINGS = {".png": b"\x89PNG\r\n\x1a\n", ".jpg": b"\xff\xd8\xff", ".npz": b"PK", ".mp4": b""}


class _Broken(Exception):
    """What is wrong with what a process left, in one line."""


def read(folder, notebook, manifest, game, into, wall, limits):
    """Reads everything of a hand-in but what its code does.

    Args:
        folder: Where it was unpacked; everything in it is taken from here on.
        notebook: Its notebook's path, in `folder`.
        manifest: A dict with "run" and "settings" where it has them.
        game: The assignment's.
        into: An existing folder for pictures, videos and `weights.npz`.
        wall: The `sandbox.Wall` to read behind.
        limits: `watched.Limits` of each part's process.

    Returns:
        {"curves", "weights", "videos", "pictures", "comments", "notebook"}, as evidence holds them;
        each has "problem": "" where it could be read, else one line. And {part: seconds}.
    """
    order, found, seconds = _order(folder, notebook, manifest, game), {}, {}
    for part in HELD:
        began = time.monotonic()
        found |= _read_part(part, order, folder, into, wall, limits)
        seconds[part] = round(time.monotonic() - began, 2)
        if part == "curves" and found[part]["runs"]:
            order["steps"] = found[part]["runs"][found[part]["chosen"]]["steps"]
    return found, seconds


def read_weights(folder, game, into, wall, limits):
    """Returns the part "weights" alone; arguments and the file `weights.npz` as in `read`."""
    order = {"actions": _count_actions(game)}
    return _read_part("weights", order, folder, into, wall, limits)["weights"]


def _order(folder, notebook, manifest, game):
    """Returns what the processes are told; of a manifest, only what is well formed."""
    from grading.checklist import CURVES  # these load torch, which `read_weights` does without
    from lesson.pictures import CAPTIONS

    run, inner = manifest.get("run", ""), manifest.get("settings")
    nenvs = inner.get("nenvs") if isinstance(inner, dict) else None
    return dict(
        notebook=notebook.relative_to(folder).as_posix(),
        run=run if isinstance(run, str) else "",
        steps=0,
        nenvs=nenvs if type(nenvs) is int and 1 <= nenvs <= MOST_ENVS else None,
        game=game,
        actions=_count_actions(game),
        tags=[*CURVES, "Episodes/games"],
        captions={tag.split("/")[1]: caption for tag, caption in CAPTIONS.items()},
        tasks=TASKS,
    )


@functools.cache
def _count_actions(game):
    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    env = gymnasium.make(game)
    try:
        return int(env.action_space.n)
    finally:
        env.close()


def _read_part(part, order, folder, into, wall, limits):
    """Returns the parts of evidence that one process reads, and takes over its files."""
    with scratch() as out:
        (out / "own").mkdir()
        path = out / "order.json"
        path.write_text(json.dumps({**order, "part": part}), encoding="utf-8")
        command = [sys.executable, "-m", "grading.marking.read", str(path), str(folder)]
        command = wall.wrap(command, [folder, *NEEDED], out)
        *_earlier, last = watch(command, wall.environment(out), out, limits)
        try:
            if last["ending"]:
                raise _Broken(str(last["ending"]))
            found = _result(part, out)
            _take_files(found, out, into)
        except _Broken as e:
            problem = _("this part cannot be read: {why}").format(why=_on_one_line(str(e)))
            found = {name: {"problem": problem, **EMPTY[name]} for name in HELD[part]}
    return found


def _result(part, out):
    """Returns {part: what was read}, checked, with nothing in it that steers a terminal."""
    content = _content(out, "result.json", MOST_RESULT)
    try:
        found = json.loads(content, parse_constant=_finite, parse_float=_finite)
        found = found if part == "notebook" else {part: found}
        if found.keys() != set(HELD[part]):
            raise _Broken(_("it left other parts than its own"))
        for name, one in found.items():
            check_part(name, one)
        return _printable(found)
    except ValidationError as e:
        where = "/".join(map(str, e.absolute_path))
        raise _Broken(_("it left something else at {where}").format(where=where)) from e
    except (ValueError, RecursionError, AttributeError) as e:
        raise _Broken(_("it left no JSON ({error})").format(error=e)) from e


def _finite(text):
    if not math.isfinite(number := float(text)):
        raise ValueError(_("{text} is no number").format(text=text))
    return number


def _printable(value):
    """Returns a value whose texts are printable, but for line ends, tabs and wider spaces."""
    if isinstance(value, str):
        return "".join(c for c in value if c.isprintable() or c in KEPT)
    if isinstance(value, list):
        return [_printable(one) for one in value]
    if isinstance(value, dict):
        return {_printable(key): _printable(one) for key, one in value.items()}
    return value


def _on_one_line(text):
    text = "".join(c if c.isprintable() else " " for c in text[:500])
    return " ".join(text.split())


# files


def _take_files(found, out, into):
    """Copies the files that a result names; the weights, which none names, are its network's."""
    names = [*_names(found)]
    if found.get("weights", {}).get("same_network") and not found["weights"]["problem"]:
        names.append("weights.npz")
    if len(names) > MOST_FILES:
        raise _Broken(_("it left more than {most} files").format(most=MOST_FILES))
    for name in names:
        ending = PurePosixPath(name).suffix
        content = _content(out, name, MOST_WEIGHTS if ending == ".npz" else MOST_FILE)
        if not content.startswith(BEGINNINGS[ending]):
            raise _Broken(_("{name} is not what its name says").format(name=name))
        if ending == ".npz":
            _check_arrays(content)
        (into / name).write_bytes(content)


def _names(value):
    """Yields the files that a result names; the schema lets no other name through."""
    if isinstance(value, dict):
        for key, one in value.items():
            if key in ("picture", "strip", "copy") and isinstance(one, str) and one:
                yield one
            else:
                yield from _names(one)
    elif isinstance(value, list):
        for one in value:
            yield from _names(one)


def _content(out, name, most):
    """Returns the bytes of a file that anybody may have made: a plain one, not too large."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        with open(os.open(out / name, flags | getattr(os, "O_BINARY", 0)), "rb") as file:
            told = os.fstat(file.fileno())
            if not stat.S_ISREG(told.st_mode):
                raise _Broken(_("{name} is no plain file").format(name=name))
            content = file.read(most + 1)
    except OSError as e:
        raise _Broken(_("it left no {name} ({why})").format(name=name, why=e.strerror)) from e
    if len(content) > most:
        told = _("{name} has more than {most} bytes")
        raise _Broken(told.format(name=name, most=grouped(most)))
    return content


def _check_arrays(content):
    """Raises _Broken unless these are float32 arrays of numbers, of a bounded size."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > MOST_WEIGHTS:
                raise _Broken(_("weights.npz is larger than it says"))
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            arrays = [file[name] for name in file.files]
    except _Broken:
        raise
    except Exception as e:  # what numpy raises differs from one broken file to the next
        raise _Broken(_("weights.npz cannot be read ({error})").format(error=e)) from e
    if not all(a.dtype == np.float32 and np.isfinite(a).all() for a in arrays):
        raise _Broken(_("weights.npz holds something else than numbers"))
