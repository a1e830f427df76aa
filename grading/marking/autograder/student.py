"""Runs a student's code as another user, behind the strongest wall that works in the container.

The user can neither write results nor read what is hidden: owner and mode of the files forbid it,
whatever wall there is.
"""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from grading.sandbox import SECCOMP, WALLS, strongest
from languages import _

__all__ = ["USER", "end_all", "find_wall", "protect"]

USER = "student"  # whom setup.sh adds
AS_USER = ["setpriv", "--reuid", USER, "--regid", USER, "--clear-groups", "--no-new-privs"]
FIRST = ["choom", "-n", "1000", "--"]  # where memory is over, this process ends and not the judge


def protect(base, secret):
    """Sets the modes of the autograder's files.

    Args:
        base: The folder `/autograder`.
        secret: A folder below its `source/kit` that students' code must not read.
    """
    kit = base / "source" / "kit"
    for path in [*kit.rglob("*"), kit]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    for path in (base, kit.parent):
        path.chmod(0o755)
    for path in (secret, base / "submission", base / "results"):
        path.mkdir(exist_ok=True)
        path.chmod(0o700)
    metadata = base / "submission_metadata.json"  # which holds the results of earlier submissions
    if metadata.exists():
        metadata.chmod(0o600)


def find_wall():
    """Returns the strongest Wall that works here, for another user.

    Raises:
        NoWall: If none does.
    """
    return strongest([_as_user(wall) for wall in (*WALLS, SECCOMP)])


def _as_user(wall):
    def wrap(command, read, write):
        for path in filter(os.path.isdir, read):
            _open(Path(path))
        subprocess.run(["chown", "-RhP", f"{USER}:{USER}", str(write)], check=True)
        return [*FIRST, *AS_USER, "--", *wall.wrap(command, read, write)]

    name = _("{wall}, as another user").format(wall=_(wall.name))
    return wall._replace(name=name, wrap=wrap)


def _open(folder):
    """Lets the user read a folder, and pass the temporary ones that it lies in."""
    folder.chmod(0o755)
    for parent in folder.parents:
        if Path(tempfile.gettempdir()) in parent.parents:
            parent.chmod(0o711)


def end_all():
    """Ends whatever the user still runs."""
    kill = shutil.which("kill") or "/bin/kill"
    subprocess.run([*AS_USER, "--", kill, "-9", "--", "-1"], stderr=subprocess.DEVNULL)
