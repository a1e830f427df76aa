"""A TensorBoard event file that grows by whole records only."""

import io
import socket
import time
import warnings
import weakref

from tensorboard.summary.writer.record_writer import RecordWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog

from languages import _

__all__ = ["EventFile"]

FLUSH_EVERY = 5.0  # seconds


class EventFile:
    """One event file of TensorBoard, which grows by whole records only.

    The first event reaches the disk at once, the others within seconds, the last ones when the
    program ends. tensorboardX's writer passes events to a thread, which a full disk ends; the next
    events would then wait for it for ever, and its flush does not wait for the thread at all.

    Attributes:
        path: Where it is, or will be with the first event.
    """

    def __init__(self, folder, owner, purge_step=None):
        """Names the file.

        Args:
            folder: Where it will be; made with the first event.
            owner: The object that draws the curves; what still waits is written when it is gone.
            purge_step: The agent step from which TensorBoard drops points of earlier files.
        """
        began = f"{time.time():.0f}.{socket.gethostname()}"
        # the nanoseconds tell two sittings that start in one second apart
        self.path = folder / f"events.out.tfevents.{began}.{time.time_ns()}"
        self._size, self._waiting = 0, io.BytesIO()
        self._records = RecordWriter(self._waiting)
        self._flushed, self._failing = float("-inf"), False
        self._keep(Event(file_version="brain.Event:2"))
        if purge_step is not None:
            start = SessionLog(status=SessionLog.START)
            self._keep(Event(step=purge_step, session_log=start))
        weakref.finalize(owner, self.flush)  # at exit at the latest

    def add(self, event):
        """Takes an event; it gets the present time."""
        self._keep(event)
        self.flush_when_due()

    def _keep(self, event):
        event.wall_time = time.time()
        self._records.write(event.SerializeToString())

    def flush_when_due(self):
        """Flushes if the last time is some seconds ago."""
        if time.monotonic() - self._flushed > FLUSH_EVERY:
            self.flush()

    def flush(self):
        """Appends what waits to the file.

        Where it cannot, a warning says so once, what waits is kept, and the file stays whole.
        """
        self._flushed = time.monotonic()
        if not self._waiting.tell():
            return
        try:
            self._append(self._waiting.getvalue())
        except OSError as e:
            if not self._failing:
                told = _(
                    "the curves cannot be written: {error}. They wait in memory while the program "
                    "runs; once there is space they are written"
                )
                warnings.warn(told.format(error=e), stacklevel=2)
            self._failing = True
        else:
            self._failing = False
            self._waiting.seek(0)
            self._waiting.truncate()

    def _append(self, records):
        if not self._size:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.path, "r+b" if self._size else "wb") as file:
            # over what a full disk left of the last try, or the same that a forked process wrote
            file.seek(self._size)
            file.write(records)
        self._size += len(records)
