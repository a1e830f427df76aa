"""The notebook's first cell: packages, a display, and programs that end with the kernel."""

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

__all__ = ["start", "unstopped"]

PACKAGES = {  # module: the package that brings it
    "ale_py": "gymnasium[atari]",
    "cv2": "opencv-python",
    "filelock": "filelock",
    "moviepy": "moviepy",
    "pyvirtualdisplay": "pyvirtualdisplay",
    "shimmy": "shimmy",
    "tabulate": "tabulate",
    "tensorboard": "tensorboard",
    "tensorboardX": "tensorboardX",
}


def start():
    """Installs what is missing and nothing else, and starts a display where there is none.

    torch and numpy are left alone: to replace one that is loaded, Colab would have to restart.
    """
    missing = [name for module, name in PACKAGES.items() if not importlib.util.find_spec(module)]
    if missing:
        pip = [sys.executable, "-m", "pip", "install", "--quiet"]
        subprocess.run([*pip, *missing], check=True)
    os.environ["GOMP_SPINCOUNT"] = "5000"  # PyTorch's threads stay awake between layers, not longer
    _start_display()
    print("installed now:", ", ".join(missing) or "nothing, all packages are here")


def unstopped(begin, *args, **kwargs):
    """Starts a program that Jupyter's stop button leaves alone; returns what begin returns."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        return begin(*args, **kwargs)
    finally:
        signal.signal(signal.SIGINT, before)


XVFB = """#!/bin/sh
command -v setpriv >/dev/null && exec setsid setpriv --pdeathsig TERM {xvfb} "$@"
exec {xvfb} "$@"
"""


def _start_display():
    """Starts Xvfb on a Linux machine without a screen; it ends with this process, killed or not.

    pyvirtualdisplay looks Xvfb up on the path, where it finds a script that ends with its parent.
    """
    xvfb, path = shutil.which("Xvfb"), os.environ["PATH"]
    if not sys.platform.startswith("linux") or os.environ.get("DISPLAY") or not xvfb:
        return
    from pyvirtualdisplay import Display

    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "Xvfb"
        program.write_text(XVFB.format(xvfb=xvfb), encoding="utf-8")
        program.chmod(0o755)
        os.environ["PATH"] = folder + os.pathsep + path
        try:
            unstopped(Display(visible=False, size=(800, 600)).start)
        finally:
            os.environ["PATH"] = path
