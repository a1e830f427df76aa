"""A TensorBoard event file that grows by whole records only."""

import io
import socket
import time

from tensorboard.summary.writer.record_writer import RecordWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog

__all__ = ["EventFile"]


class EventFile:
    """One event file of TensorBoard, which grows by whole records only.

    tensorboardX's writer passes points to a thread, which a full disk ends; the next points would
    then wait for it for ever, and its flush does not wait for the thread at all.
    """

    def __init__(self, folder, purge_step):
        """Names the file; TensorBoard drops earlier points from purge_step on (None: none)."""
        began = f"{time.time():.0f}.{socket.gethostname()}"
        # the nanoseconds tell two sittings that start in one second apart
        self._path = folder / f"events.out.tfevents.{began}.{time.time_ns()}"
        self._size, self._waiting = 0, io.BytesIO()
        self._records = RecordWriter(self._waiting)
        self.add(Event(file_version="brain.Event:2"))
        if purge_step is not None:
            start = SessionLog(status=SessionLog.START)
            self.add(Event(step=purge_step, session_log=start))

    def add(self, event):
        """Keeps an event until the next flush; it gets the present time."""
        event.wall_time = time.time()
        self._records.write(event.SerializeToString())

    def flush(self):
        """Appends what waits; on a failure (OSError) it waits on, and the file stays whole."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with open(self._path, "ab") as file:
            file.truncate(self._size)  # what a full disk left of the last try
            file.write(self._waiting.getvalue())
            file.flush()
            self._size = file.tell()
        self._waiting.seek(0)
        self._waiting.truncate()
