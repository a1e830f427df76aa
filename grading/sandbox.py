"""The wall between a student's code and the grader's machine: the strongest that works here.

A wall is found by trying it: a process behind it must write where it may, and must not read a file
of the grader's, reach the network, start a process, or see another one. Limits of time, memory,
threads and files are kept by `watched`.
"""

import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from languages import N_, _, chosen

__all__ = ["KIT", "NO_WALL", "SECCOMP", "WALLS", "NoWall", "Wall", "find_wall", "strongest"]

ROOT = Path(__file__).parent.parent
KIT = [  # what students have, too: no reference, no right answers, no run
    *("atari_wrappers.py", "env_batch.py", "runners.py", "assignment.json", "requirements.txt"),
    *("training", "lesson", "languages", "tests/__init__.py", "tests/checks"),
]
SYSTEM = [  # what a program needs of the machine to run at all
    *("/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc/alternatives", "/etc/fonts"),
    *("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/localtime"),
]
SIZES = {"/tmp": 512 * 2**20, "/dev/shm": 64 * 2**20}  # bytes of the folders in memory
UBUNTU = """\
  printf 'abi <abi/4.0>,\\ninclude <tunables/global>\\nprofile bwrap /usr/bin/bwrap \
flags=(unconfined) {\\n  userns,\\n}\\n' | sudo tee /etc/apparmor.d/bwrap
  sudo systemctl reload apparmor"""
DOCKER = "  --security-opt seccomp=unconfined --security-opt systempaths=unconfined"
ELSEWHERE = """\
  docker run --rm -it -v "$PWD":/kit:ro -v "$PWD/graded":/graded \\
    -v "/path/to/HAND-INS":/hand-ins:ro -w /kit --security-opt seccomp=unconfined python:3.11 bash
  pip install -r requirements.txt -r grading/requirements.txt
  python -m grading grade /hand-ins --out /graded"""


class NoWall(Exception):
    """No wall works here; the message says what was tried, and the mend for this system."""

    def __init__(self, told, tried=()):
        """Takes the message, and a line on each wall that was tried."""
        super().__init__(told)
        self.tried = tried


class Wall(NamedTuple):
    """A way to run a command."""

    name: str
    wrap: Callable  # (command, folders to read, folder to write) -> command
    hides: bool = True  # the grader's environment

    def environment(self, out):
        """Returns the whole environment of a process.

        Args:
            out: The folder that it may write to.
        """
        home = str(out / "own")
        own = {"A2C_OUT": home, "A2C_LANGUAGE": str(chosen()), "MPLBACKEND": "agg"}
        own["OMP_NUM_THREADS"] = "1"  # threads that wait for each other cost half the time
        if not self.hides:
            return {**os.environ, **own}
        own |= {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "LANG": "C.UTF-8"}
        own |= {"USER": "student", "HOME": home, "TMPDIR": home, "PYTHONDONTWRITEBYTECODE": "1"}
        return own


@functools.cache
def find_wall():
    """Returns the strongest Wall that works here; errors as in `strongest`."""
    return strongest(WALLS)


def strongest(walls):
    """Returns the first of some Walls that works here.

    Raises:
        NoWall: If none does.
    """
    tried = []
    for wall in walls:
        if (problem := _problem(wall)) is None:
            return wall
        tried.append(f"{_(wall.name)}: {problem}")
    text = _(
        "There is no wall on this machine between a student's code and your files:\n"
        "{tried}\n{mend}\n"
        "Or, on a machine that holds nothing you could miss: --unsafe-no-sandbox."
    )
    listed = "\n".join(f"  {line}" for line in tried)
    raise NoWall(text.format(tried=listed, mend=_mend()), tried)


# the walls


def _bubblewrap(command, read, write, proc):
    """Returns a command in namespaces of its own, with a read-only system and no network."""
    program = shutil.which("bwrap") or "bwrap"
    walled = [program, "--unshare-user", "--unshare-all", "--disable-userns", "--die-with-parent"]
    walled += ["--new-session", "--cap-drop", "ALL", "--uid", "65534", "--gid", "65534"]
    walled += ["--proc", "/proc"] if proc else []
    walled += ["--dev", "/dev"]
    for place, size in SIZES.items():
        walled += ["--size", str(size), "--tmpfs", place]
    for path in _readable(read):
        walled += ["--ro-bind", path, path]
    walled += ["--bind", str(write), str(write), "--chdir", str(ROOT)]
    return [*walled, "--", *_limited({}), *command]


def _landlock(command, read, write):
    """Returns a command that may open these folders alone, and ask the kernel for little."""
    rules = {"read": _readable(read), "list": [str(ROOT)], "write": str(write)}
    return [*_limited(rules), *command]


def _seccomp(command, read, write):
    """Returns a command that may ask the kernel for little; files keep their owners and modes."""
    return [*_limited({}), *command]


def _unwalled(command, read, write):
    return command


def _limited(rules):
    """Returns the beginning of a command whose process gives itself limits and rules first."""
    return [sys.executable, "-I", str(ROOT / "grading" / "walled.py"), json.dumps(rules)]


def _readable(more):
    """Returns what a process may read: the system, Python, the kit that students have, and more."""
    own = sorted(str(path) for path in (ROOT / "grading").glob("*.py"))
    wanted = [*SYSTEM, sys.base_prefix, sys.prefix, *(str(ROOT / name) for name in KIT), *own]
    return [path for path in (*wanted, *map(str, more)) if Path(path).exists()]


WALLS = [  # the strongest first
    Wall("bubblewrap", functools.partial(_bubblewrap, proc=True)),
    Wall(N_("bubblewrap without /proc"), functools.partial(_bubblewrap, proc=False)),
    Wall(N_("Landlock and seccomp"), _landlock),
]
SECCOMP = Wall(N_("seccomp"), _seccomp)
NO_WALL = Wall(N_("none"), _unwalled, hides=False)


# trying one

OPEN = {  # what a process behind a wall tells with its last line
    "file": N_("a file of the grader's is open"),
    "network": N_("the network is open"),
    "process": N_("a process of its own is open"),
    "environment": N_("the environment of other processes is open"),
}
TRY = """
import os, pathlib, signal, socket, sys
secret, out, other = sys.argv[1:]
pathlib.Path(out, "written").write_text("x")
def is_open(what, reach):
    try:
        reach()
    except OSError:
        return
    sys.exit(what)
is_open("file", lambda: open(secret).read())
def connect():
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(("192.0.2.1", 9))  # sends nothing
is_open("network", connect)
is_open("process", os.fork)
for path in pathlib.Path("/proc").glob("[0-9]*/environ"):
    try:
        found = secret.encode() in path.read_bytes()
    except OSError:
        continue
    if found:
        sys.exit("environment")
try:
    os.kill(int(other), signal.SIGKILL)
except OSError:
    pass
"""


def _problem(wall):
    """Returns why a wall does not work here, None where it does."""
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as out:
        secret = Path(folder, "secret")
        secret.write_text("", encoding="utf-8")
        idle = [sys.executable, "-I", "-c", "input()"]
        with subprocess.Popen(idle, stdin=subprocess.PIPE, env={"SECRET": str(secret)}) as other:
            inner = [sys.executable, "-I", "-c", TRY, str(secret), out, str(other.pid)]
            problem = _failure(wall.wrap(inner, [], Path(out)), wall.environment(Path(out)))
            problem = _(OPEN[problem]) if problem in OPEN else problem
            if other.poll() is not None:
                problem = _("other processes can be ended")
            other.kill()
        written = Path(out, "written").exists()
        return problem if problem or written else _("its folder cannot be written to")


def _failure(command, environment):
    """Returns the last line of what a command that fails says, None where it does not fail."""
    ways = dict(stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)
    try:
        done = subprocess.run(command, cwd=ROOT, env=environment, **ways)
    except (OSError, subprocess.TimeoutExpired) as e:
        return str(e)
    status = _("exit status {code}").format(code=done.returncode)
    lines = done.stderr.strip().splitlines() or [status]
    return lines[-1] if done.returncode else None


def _mend():
    if sys.platform != "linux":
        return _("Walls need Linux. Grade in a container, from this folder:") + f"\n{ELSEWHERE}"
    restricted = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")
    if restricted.exists() and restricted.read_text().strip() == "1" and shutil.which("bwrap"):
        return _("Ubuntu forbids it to bubblewrap; allow it:") + f"\n{UBUNTU}"
    if Path("/.dockerenv").exists() and shutil.which("bwrap"):
        told = _("Docker forbids it to bubblewrap; start the container with")
        return f"{told}\n{DOCKER}"
    return _(
        "Install one:\n"
        "  sudo apt install bubblewrap      (or your system's package of that name)\n"
        "  python -m pip install -r grading/requirements.txt      (Linux 5.13 or newer)"
    )
