"""A run's folder copied to where it outlives the machine."""

import contextlib
import os
import sys
import threading
import time
import warnings
from pathlib import Path

from languages import _
from training import RunError

__all__ = ["Mirror", "write_whole"]

PATIENCE = 120.0  # seconds that one copy may take before a warning


class Mirror:
    """Copies what a folder holds to another place, whole and read back, while training continues.

    A place that fails, fills up or goes away costs a warning, never the run: the files stay where
    they were written, and each push tries again.

    Attributes:
        source: The folder that is copied, absolute.
        target: Its copy, absolute.
    """

    def __init__(self, source, place):
        """Looks whether the place is there; in Colab, mounts Google Drive for it.

        Args:
            source: The folder to copy.
            place: Where its copy belongs, under the same name; made if only itself is missing.

        Raises:
            FileNotFoundError: If the folder above the place is missing. It is never made: where a
                drive is not mounted, it would be made on the disk that is lost.
            RunError: If the copy would be the folder itself.
        """
        self.source, place = Path(source).absolute(), Path(place)
        self.target = place.absolute() / self.source.name
        if self.target.resolve() == self.source.resolve():
            told = _("cannot copy the run to {place}: the run itself is there; name another folder")
            raise RunError(told.format(place=place))
        if "google.colab" in sys.modules and place.is_relative_to("/content/drive"):
            from google.colab import drive

            drive.mount("/content/drive")
        if not place.parent.is_dir():
            told = _(
                "cannot copy the run to {place}: there is no folder {folder}. Is the drive "
                "mounted, and the name spelt right?"
            )
            raise FileNotFoundError(told.format(place=place, folder=place.parent))
        place.mkdir(exist_ok=True)
        self._thread, self._failure, self._warned = None, None, None
        self._copied = {}  # name: (size, time of the last change)

    def push(self):
        """Starts to copy what has changed; returns at once, and leaves a copy under way alone."""
        if self._thread is not None and self._thread.is_alive():
            if time.monotonic() - self._began > PATIENCE:
                self._failure = _("no answer within {seconds:g} s").format(seconds=PATIENCE)
        else:
            self._thread = threading.Thread(target=self._push, daemon=True)
            self._began = time.monotonic()
            self._thread.start()
        self._report()

    def wait(self, seconds):
        """Waits until everything is copied; warns if that fails or takes longer than seconds."""
        deadline = time.monotonic() + seconds
        for _again in range(
            2
        ):  # the copy under way may have begun before the newest file was written
            self.push()
            self._thread.join(max(0.0, deadline - time.monotonic()))
        if self._thread.is_alive():
            self._failure = _("no answer within {seconds:g} s").format(seconds=seconds)
        self._report()

    def pull(self):
        """Fetches the files that are missing here, if the copy's newest checkpoint is further.

        Raises:
            OSError: If the copy cannot be read.
        """
        if _newest(self.target) > _newest(self.source):
            self.source.mkdir(parents=True, exist_ok=True)
            missing = _names(self.target) - _names(self.source)
            for name in sorted(missing, reverse=True):  # checkpoints last: only they end a fetch
                write_whole(self.source / name, (self.target / name).read_bytes())

    def _push(self):
        try:
            self.target.mkdir(exist_ok=True)
            for left_by_a_kill in self.target.glob("*.part"):
                left_by_a_kill.unlink()
            here = _names(self.source)
            for name in sorted(here, reverse=True):  # curves before the checkpoint that needs them
                self._copy(name)
            for name in _names(self.target) - here:
                if name < _newest(self.source) and name.startswith("checkpoint-"):
                    # emptied first: in Colab it goes to Google Drive's bin, which counts
                    (self.target / name).write_bytes(b"")
                    (self.target / name).unlink()
            self._failure = self._warned = None
        except OSError as e:
            self._failure = str(e)

    def _copy(self, name):
        source, target = self.source / name, self.target / name
        try:
            state = source.stat()
            mark = state.st_size, state.st_mtime_ns
            if self._copied.get(name) == mark and _has_size(target, state.st_size):
                return
            content = source.read_bytes()
        except FileNotFoundError:
            return  # a newer checkpoint took its place
        write_whole(target, content)
        self._copied[name] = mark

    def _report(self):
        if self._failure and self._failure != self._warned:
            self._warned = self._failure
            told = _(
                "could not copy the run to {target}: {failure}. Its files are safe in {source} as "
                "long as this machine is, and each save tries again"
            ).format(target=self.target, failure=self._failure, source=self.source)
            warnings.warn(told, stacklevel=2)


def write_whole(path, content):
    """Writes a file that has its name only once it is on the disk and was read back as written.

    Args:
        path: Where it belongs; what was there before stays until then.
        content: Bytes.

    Raises:
        OSError: If it cannot be written whole; what was written of it is removed, where it can be.
    """
    part = path.with_name(path.name + ".part")
    try:
        with open(part, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if part.read_bytes() != content:
            raise OSError(_("{path} does not hold what was written to it").format(path=part))
        os.replace(part, path)
    except OSError:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise


def _names(folder):
    """Returns the names of the whole files in a folder, a set; empty if there is no folder."""
    if not folder.is_dir():
        return set()
    left_out = (".part", ".unreadable")
    return {p.name for p in folder.iterdir() if p.is_file() and p.suffix not in left_out}


def _newest(folder):
    """Returns the name of the furthest checkpoint, or "" if there is none."""
    return max((name for name in _names(folder) if name.startswith("checkpoint-")), default="")


def _has_size(path, size):
    return path.is_file() and path.stat().st_size == size
