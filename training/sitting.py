"""One stretch of training: its clock, its arithmetic, what ends it, and its folder's lock."""

import contextlib
import signal
import time
import warnings

import torch
from filelock import FileLock, Timeout
from tqdm import tqdm

from languages import _
from training import RunError

__all__ = ["Sitting", "alone", "caught", "flushed"]

SAVE_EVERY = 60.0  # seconds


class Sitting:
    """Tells a training loop whether to make another update, and saves on its way.

    Attributes:
        stopped_by: The signal that ended it early, None without one.
    """

    def __init__(self, run, minutes):
        """Starts the clock; 0 minutes means no end."""
        self._run, self._length = run, 60 * minutes or float("inf")
        self._began = self._saved = time.perf_counter()
        self.stopped_by = self._ended = None

    @property
    def seconds(self):
        """Seconds of training: since the sitting began, or until it ended."""
        return (self._ended or time.perf_counter()) - self._began

    def continues(self):
        """Tells whether to make another update; saves when a minute has passed."""
        another = self.stopped_by is None and self.seconds < self._length
        if another and time.perf_counter() - self._saved > SAVE_EVERY:
            self._save()
            self._saved = time.perf_counter()
        return another

    def stop(self, number, frame):
        """Takes a signal: ends the sitting after the update, and at once at the second SIGINT."""
        if self.stopped_by is not None and number == signal.SIGINT:
            raise KeyboardInterrupt(_("stopped at once; the last checkpoint is kept"))
        self.stopped_by = number

    def finish(self):
        """Saves and waits for the copy; a process that is being ended waits for seconds only."""
        self._ended = time.perf_counter()
        self._save()
        self._run.wait(3 if self.stopped_by == signal.SIGTERM else 60)

    def _save(self):
        try:
            path = self._run.save()
        except OSError as e:
            told = _(
                "no checkpoint could be saved: {error}. The last one is kept; make space, and the "
                "next is tried within a minute of training"
            )
            warnings.warn(told.format(error=e), stacklevel=2)
        else:
            if self.stopped_by is not None:
                told = _("stopped and saved as {name}; run this cell again to resume")
                tqdm.write(told.format(name=path.name))  # above the progress bar


@contextlib.contextmanager
def caught(handler):
    """Hands SIGINT and SIGTERM to a handler."""
    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def flushed():
    """Counts numbers too small for full precision as 0: near 1e-40 a CPU is slow.

    RMSprop's averages of units that died are such numbers, late in a run. It holds for this thread
    and those that it starts, and ends with the training, since NumPy warns of it.
    """
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


@contextlib.contextmanager
def alone(folder):
    """Keeps other processes from training in a folder; the lock ends with the process.

    Its file is hidden beside the folder, where it is neither copied nor taken for part of the run.

    Raises:
        RunError: If another process is training there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.with_name(f".{folder.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        told = _(
            "another process is training in {folder} at this moment: end that kernel, or give "
            "this run another name. If there is none, delete {file}"
        )
        raise RunError(told.format(folder=folder, file=lock.lock_file)) from None
    try:
        yield
    finally:
        lock.release()
