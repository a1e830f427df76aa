"""TensorBoard in a cell, for who is watching."""

import atexit
import os
import shlex
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import psutil
from tensorboard import manager, notebook

from languages import _
from lesson.start import unstopped

__all__ = ["show_tensorboard"]

WATCHED = {"JPY_SESSION_NAME", "VSCODE_PID", "COLAB_RELEASE_TAG"}  # set where a person looks on


def show_tensorboard(folder):
    """Shows a run's curves below the cell; where nobody watches, says how to see them.

    Args:
        folder: The run's folder of event files. Its TensorBoard ends with this process.
    """
    if not WATCHED & os.environ.keys():
        told = _("nobody is watching; to look on: tensorboard --logdir {folder}")
        print(told.format(folder=folder))
        return
    logdir = str(Path(folder).resolve())
    beside_python = shutil.which("tensorboard", path=str(Path(sys.executable).parent))
    os.environ.setdefault("TENSORBOARD_BINARY", beside_python or "tensorboard")
    print(
        _("Press ↻ at the top right of TensorBoard for the newest points: it shows none at first.")
    )
    _forget_ended()
    unstopped(notebook.start, f"--logdir {shlex.quote(logdir)} --reload_interval 15")
    atexit.register(_stop, logdir)


def _forget_ended():
    """Removes the notes of TensorBoards that a power cut ended; else they are shown, all gray."""
    for info in manager.get_all():
        try:
            ended = psutil.Process(info.pid).create_time() > info.start_time + 1
        except psutil.NoSuchProcess:
            ended = True
        if ended:
            note = Path(tempfile.gettempdir(), ".tensorboard-info", f"pid-{info.pid}.info")
            note.unlink(missing_ok=True)


def _stop(logdir):
    for info in manager.get_all():
        if info.logdir == logdir:
            os.kill(info.pid, signal.SIGTERM)
