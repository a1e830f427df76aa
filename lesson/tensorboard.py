"""TensorBoard in a cell, for who is watching."""

import atexit
import os
import shutil
import signal
import sys
from pathlib import Path

from tensorboard import manager, notebook

from lesson.start import unstopped

__all__ = ["show_tensorboard"]

WATCHED = {"JPY_SESSION_NAME", "VSCODE_PID", "COLAB_RELEASE_TAG"}  # set where a person looks on


def show_tensorboard(folder):
    """Shows a run's curves below the cell; where nobody watches, says how to see them.

    Args:
        folder: The run's folder of event files. Its TensorBoard ends with this process.
    """
    if not WATCHED & os.environ.keys():
        print(f"nobody is watching; to look on: tensorboard --logdir {folder}")
        return
    logdir = str(Path(folder).resolve())
    beside_python = shutil.which("tensorboard", path=str(Path(sys.executable).parent))
    os.environ.setdefault("TENSORBOARD_BINARY", beside_python or "tensorboard")
    unstopped(notebook.start, f"--logdir '{logdir}' --reload_interval 15")
    atexit.register(_stop, logdir)


def _stop(logdir):
    for info in manager.get_all():
        if info.logdir == logdir:
            os.kill(info.pid, signal.SIGTERM)
