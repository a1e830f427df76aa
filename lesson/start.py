"""The notebook's first cell: packages, a display, the doctor; and programs that outlive a stop."""

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from IPython import get_ipython

from languages import _
from lesson.doctor import KIT, PACKAGES, THREADS, show_doctor

__all__ = ["start", "unstopped"]

CHECK = re.compile(r"^checks\.check_(model|policy|value_targets|merge|a2c)\(", re.MULTILINE)


def start(seconds=2.0):
    """Installs what is missing and nothing else, starts a display, and shows the doctor's table.

    torch and numpy are left alone: to replace one that is loaded, Colab would have to restart.

    Args:
        seconds: Length of each of the doctor's two measurements.
    """
    missing = [name for module, name in PACKAGES.items() if not importlib.util.find_spec(module)]
    if missing:
        _install(missing)
    packages = ", ".join(missing) or _("nothing, all packages are here")
    print(_("installed now: {packages}").format(packages=packages))
    os.environ.update(THREADS)
    if "NBGRADER_EXECUTION" in os.environ:
        _leave_out_what_follows_the_checks()
        return
    _start_threads()
    _start_display()
    show_doctor(seconds)


def _start_threads():
    """Starts PyTorch's threads: they keep the arithmetic that the training will have."""
    import torch

    from training.sitting import flushed

    with flushed():
        torch.ones(1_000_000).sqrt()


def _leave_out_what_follows_the_checks():
    """Empties the cells below the last check: nbgrader gives points for checks alone.

    A check is never emptied: a cell of the student's above it may call the last one as well.
    """
    shell = get_ipython()

    def checked(result):
        if "a2c" in CHECK.findall(result.info.raw_cell) and "A2C" in shell.user_ns:
            shell.input_transformers_cleanup.append(
                lambda lines: lines if CHECK.search("".join(lines)) else []
            )

    shell.events.register("post_run_cell", checked)


def _install(names):
    """Installs packages in the ranges of requirements.txt, with torch and numpy as they are.

    Raises:
        RuntimeError: If pip fails; its last line is in the message.
    """
    lines = (KIT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    wanted = {re.match(r"[\w-]*", line)[0]: line.split("#")[0].strip() for line in lines}
    pins = [f"{name}=={version(name)}" for name in ("torch", "numpy")]
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder, "constraints.txt")
        constraints.write_text("\n".join(pins), encoding="utf-8")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "-c", str(constraints)]
        ended = subprocess.run(
            [*command, *(wanted[name] for name in names)], capture_output=True, text=True
        )
    if ended.returncode:
        reason = (ended.stderr.strip() or _("no reason given")).splitlines()[-1]
        told = _("could not install {packages}: {reason}. Is there a network? Run the cell again")
        raise RuntimeError(told.format(packages=", ".join(names), reason=reason))
    importlib.invalidate_caches()


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

    Where it cannot, a line says so: the notebook draws into files.

    pyvirtualdisplay looks Xvfb up on the path, where it finds a script that ends with its parent.
    """
    xvfb, path = shutil.which("Xvfb"), os.environ["PATH"]
    if not sys.platform.startswith("linux") or os.environ.get("DISPLAY") or not xvfb:
        return
    from pyvirtualdisplay import Display
    from pyvirtualdisplay.abstractdisplay import XStartError, XStartTimeoutError

    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "Xvfb"
        program.write_text(XVFB.format(xvfb=xvfb), encoding="utf-8")
        program.chmod(0o755)
        os.environ["PATH"] = folder + os.pathsep + path
        try:
            unstopped(Display(visible=False, size=(800, 600)).start)
        except (OSError, XStartError, XStartTimeoutError):
            print(_("Xvfb is here and does not start: this notebook needs no display"))
        finally:
            os.environ["PATH"] = path
