"""The videos of a hand-in: do they play, what do they show, and is one somebody else's?"""

import hashlib
import os
import shutil
import time

import cv2
import numpy as np

from grading.marking.read.common import begin, files_below, one_line
from languages import _, grouped

__all__ = ["read"]

MOST_LOOKED_AT, MOST_NAMED, MOST_COPIED = 12, 24, 4
MOST_BYTES = 20_000_000  # of a video that is copied
MOST_PIXELS, MOST_SECONDS = 3840 * 2160, 15.0  # of a frame; of looking at one video
HEIGHT, WIDEST, FRAMES = 120, 240, 8  # of the strip
SMALL = (20, 26)  # pixels of the frames that a digest is made of
KINDS = {"False": "sampled", "True": "greedy"}


def read(order, folder, out):
    """Returns the part "videos"; leaves strips of frames, and the videos that pages show.

    Args:
        order: Not used.
        folder: The hand-in's folder.
        out: Where `strip-<k>.jpg` and `video-<k>.mp4` go.
    """
    names = _in_turn(files_below(folder, "videos", {".mp4"}))
    files, copied = [], 0
    for k, name in enumerate(names[:MOST_NAMED]):
        if k >= MOST_LOOKED_AT:
            problem = _("not looked at: there are {n} videos").format(n=len(names))
            files.append(_entry(name, problem=problem))
            continue
        begin(_("looking at {name}").format(name=one_line(name)))
        entry = _look(folder / name, name, out, k)
        if not entry["problem"] and copied < MOST_COPIED:
            entry["copy"] = _copy(folder / name, out, k)
            copied += bool(entry["copy"])
        files.append(entry)
    return dict(problem="" if files else _("videos/ holds no video"), files=files)


def _in_turn(names):
    """Sorts videos so that the first of each kind come first."""
    places = {}
    for name in names:
        kind = _kind(name)
        places[name] = (sum(_kind(other) == kind for other in places), kind == "", name)
    return sorted(names, key=places.get)


def _kind(name):
    return KINDS.get(name.split("/")[1], "")


def _entry(name, **found):
    told = dict(problem="", seconds=0.0, frames=0, rate=0.0, digest="", strip="", copy="")
    told |= dict(name=one_line(name), kind=_kind(name), follows=None, moves=0, seen=0)
    return told | found


def _look(path, name, out, k):
    """Returns an entry; leaves the strip where a frame could be read."""
    video = cv2.VideoCapture(str(path))
    try:
        if (
            max(video.get(cv2.CAP_PROP_FRAME_WIDTH), 1) * video.get(cv2.CAP_PROP_FRAME_HEIGHT)
            > MOST_PIXELS
        ):
            return _entry(name, problem=_("its frames are larger than any screen"))
        rate = video.get(cv2.CAP_PROP_FPS)
        seen = _Seen()
        while not seen.is_too_long and (read := video.read())[0]:
            seen.add(read[1])
    finally:
        video.release()
    if not seen.count:
        return _entry(name, problem=_("does not play"))
    rate = round(rate, 3) if 0 < rate < 1000 else 0.0
    cv2.imwrite(str(out / f"strip-{k}.jpg"), seen.strip())
    return _entry(
        name,
        problem=seen.problem,
        seconds=round(seen.count / rate, 2) if rate else 0.0,
        frames=seen.count,
        rate=rate,
        digest=seen.digest,
        strip=f"strip-{k}.jpg",
    )


class _Seen:
    """What was seen of a video, frame by frame."""

    def __init__(self):
        self.count, self._hash, self._firsts = 0, hashlib.sha256(), set()
        self._kept, self._every = [], 1
        self._until = time.monotonic() + MOST_SECONDS

    @property
    def is_too_long(self):
        """Tells whether looking has taken too long."""
        return time.monotonic() > self._until

    @property
    def digest(self):
        """A digest of small gray frames: that of a copy too, if it is packed anew."""
        return self._hash.hexdigest()

    @property
    def problem(self):
        """What is wrong with the frames, "" where nothing is."""
        if self.is_too_long:
            told = _("too long: only {n} frames were looked at")
            return told.format(n=grouped(self.count))
        return _("every frame is the same") if len(self._firsts) == 1 else ""

    def add(self, frame):
        """Takes the next frame, [H, W, 3] uint8."""
        small = cv2.resize(
            cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), SMALL, interpolation=cv2.INTER_AREA
        )
        self._hash.update(small.tobytes())
        if len(self._firsts) < 2:
            self._firsts.add(small.tobytes())
        if self.count % self._every == 0:
            width = min(max(round(frame.shape[1] * HEIGHT / frame.shape[0]), 1), WIDEST)
            self._kept.append(cv2.resize(frame, (width, HEIGHT), interpolation=cv2.INTER_AREA))
        if len(self._kept) == 16 * FRAMES:
            self._kept, self._every = self._kept[::2], 2 * self._every
        self.count += 1

    def strip(self):
        """Returns frames side by side, evenly spaced over the video."""
        places = np.linspace(0, len(self._kept) - 1, min(FRAMES, len(self._kept))).astype(int)
        frames = [self._kept[k] for k in places]
        return cv2.hconcat([cv2.resize(f, frames[0].shape[1::-1]) for f in frames])


def _copy(path, out, k):
    if os.path.getsize(path) > MOST_BYTES:
        return ""
    shutil.copyfile(path, out / f"video-{k}.mp4")
    return f"video-{k}.mp4"
