"""Behind each wall, what a student's code tries, and what comes of it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from grading import sandbox
from grading.sandbox import NO_WALL, WALLS, NoWall, find_wall
from grading.watched import Limits, watch

BEGIN = 'print(\'{"begins": "cell a"}\', flush=True)\n'
FEW = Limits(total=60, cell=30, memory=1.0, threads=99, written=20 * 2**20)
TOKEN = "A2C_SECRET_OF_THE_GRADER"


EACH = [WALLS[0], *(pytest.param(wall, marks=pytest.mark.slow) for wall in WALLS[1:])]


@pytest.fixture(params=EACH, ids=[wall.name for wall in WALLS])
def wall(request):
    problem = sandbox._problem(request.param)
    if problem:
        pytest.skip(f"{request.param.name} does not work here: {problem}")
    return request.param


@pytest.fixture
def ended(wall, tmp_path, monkeypatch):
    """Runs code behind the wall, as a notebook's process; gives how it ended."""
    monkeypatch.setenv(TOKEN, TOKEN)

    def run(code, limits=FEW):
        (tmp_path / "out" / "own").mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-c", BEGIN + code, str(os.getpid()), str(tmp_path)]
        command = wall.wrap(command, [], tmp_path / "out")
        environment = wall.environment(tmp_path / "out")
        *_, last = watch(command, environment, tmp_path / "out", limits)
        return last["ending"]

    before = set(psutil.Process().children(recursive=True))
    yield run
    left = set(psutil.Process().children(recursive=True)) - before
    assert not psutil.wait_procs(left, timeout=20)[1]
    subprocess.run(["rm", "-rf", tmp_path / "out"], check=True)  # as deep as it goes


def test_what_a_notebook_needs_works(ended):
    code = "import torch, numpy, cv2, gymnasium, os, tempfile\n"
    code += "open(os.path.join(os.environ['A2C_OUT'], 'a'), 'w').write('x')\n"
    code += "tempfile.TemporaryFile().write(b'x')\n"
    code += "import grading.cells, tests.checks, lesson.start\n"
    code += "torch.nn.Linear(3, 3)(torch.zeros(2, 3)).sum().backward()\n"
    code += 'print(\'{"ending": ""}\', flush=True)'
    assert ended(code) == ""


def test_the_language_is_that_of_the_parent(ended, monkeypatch):
    monkeypatch.setenv("A2C_LANGUAGE", "ru")
    assert ended("import sys, languages\nsys.exit(languages.chosen())").endswith("after: ru")


SECRETS = """
import pathlib, sys
kit = pathlib.Path.cwd()
for name in ["grading/reference/targets.py", "tests/right_answers.py", "a2c_assignment.ipynb",
             "logs/reference/weights.pt", ".git/HEAD", "tests/data/same_mutants.txt",
             "grading/marking/reader.py"]:
    try:
        open(kit / name, "rb").read()
    except OSError:
        continue
    sys.exit(name + " was read")
"""
ENVIRON = """
import os, pathlib, sys
assert "A2C_SECRET_OF_THE_GRADER" not in os.environ
for path in pathlib.Path("/proc").glob("[0-9]*/environ"):
    try:
        found = b"A2C_SECRET_OF_THE_GRADER" in path.read_bytes()
    except OSError:
        continue
    assert not found, path
"""
OUTSIDE = """
import os, pathlib, sys
for place in [sys.argv[2], os.getcwd(), sys.prefix, "/etc", "/var/tmp", "/root"]:
    try:
        pathlib.Path(place, "written").write_text("x")
    except OSError:
        pass  # or it was written into a folder in memory
"""
NETWORK = """
import socket, sys
for family, kind in ((socket.AF_INET, socket.SOCK_STREAM), (socket.AF_INET6, socket.SOCK_DGRAM)):
    try:
        one = socket.socket(family, kind)
        one.settimeout(2)
        one.connect(("::1" if family == socket.AF_INET6 else "127.0.0.1", {port}))
    except OSError:
        continue
    if kind == socket.SOCK_STREAM:
        sys.exit("reached")
"""
PARENT = """
import os, signal, sys
for how in (signal.SIGTERM, signal.SIGKILL, signal.SIGSTOP):
    try:
        os.kill(int(sys.argv[1]), how)
    except OSError:
        pass
"""
NAMESPACE = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
if libc.unshare(0x10000000) == 0:
    sys.exit("a user namespace was made")
if libc.ptrace(16, os.getppid(), 0, 0) == 0 and os.getppid() != 1:
    sys.exit("its parent was traced")
"""
HANDLES = """
import os, sys
for number in range(3, 64):
    try:
        name = os.readlink(f"/proc/self/fd/{number}")
        os.fstat(number)
    except OSError:
        continue
    if "/proc/" not in name:
        sys.exit(f"{number} is open: {name}")
"""

MEMORY = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
if libc.shmget(0, 4096, 0o1600) >= 0:
    sys.exit("shared memory was made")
try:
    os.memfd_create("a")
except OSError:
    sys.exit(0)
sys.exit("a file in memory was made")
"""


@pytest.mark.parametrize(
    "code",
    [SECRETS, ENVIRON, OUTSIDE, PARENT, NAMESPACE, HANDLES, MEMORY],
    ids=["secrets", "environment", "outside", "parent", "namespace", "handles", "memory"],
)
def test_what_is_the_graders_stays_closed(code, ended, tmp_path):
    assert ended(code) == "cell a ended the process (exit status 0)"
    for place in (tmp_path, sandbox.ROOT, sys.prefix, "/etc", "/var/tmp", "/root"):
        assert not Path(place, "written").exists()


def test_the_network_stays_closed(ended):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        code = NETWORK.format(port=server.getsockname()[1])
        assert ended(code) == "cell a ended the process (exit status 0)"


FORKS = """
import os, subprocess, sys
def spawn():
    os.posix_spawn("/bin/true", ["true"], {})
for start in (os.fork, lambda: subprocess.run(["/bin/true"]), spawn):
    try:
        start()
    except OSError:
        continue
    os._exit(3)
"""
THREADS = """
import threading, time
while True:
    try: threading.Thread(target=time.sleep, args=(99,), daemon=True).start()
    except RuntimeError: time.sleep(1)
"""
FILES = "import os\nk = 0\nwhile True:\n    open(os.environ['A2C_OUT'] + f'/{k}', 'w'); k += 1"
FILL = "import os\nf = open(os.environ['A2C_OUT'] + '/a', 'wb')\nwhile True: f.write(bytes(2**20))"
UNLINKED = """
import tempfile, time
files = [tempfile.TemporaryFile() for _ in range(5)]
for file in files: file.write(bytes(9 * 2**20)); file.flush()
time.sleep(30)
"""
DEEP = "import os\nos.chdir(os.environ['A2C_OUT'])\nwhile True:\n    os.mkdir('a'); os.chdir('a')"


@pytest.mark.parametrize(
    ("code", "ending"),
    [
        (FORKS, "cell a ended the process (exit status 0)"),
        (THREADS, "cell a started more than 99 threads"),
        (FILL, "cell a wrote more than 20 MiB"),
        (FILES, "cell a wrote more than 20 MiB"),
        (DEEP, "cell a wrote more than 20 MiB"),
        (UNLINKED, "cell a wrote more than 20 MiB"),
        ("x = []\nwhile True: x.append(bytes(2**24))", "cell a took more than 1 GiB of memory"),
        ("while True: pass", "cell a ran longer than 2 s"),
    ],
    ids=["forks", "threads", "file", "files", "folders", "unlinked", "memory", "time"],
)
def test_what_takes_too_much_is_ended_with_all_that_it_started(code, ending, ended):
    limits = FEW._replace(cell=2) if "ran longer" in ending else FEW
    told = ended(code, limits)
    assert ending in told or "File too large" in told  # which one file may reach before a look


def test_what_a_folder_in_memory_holds_is_bounded(wall, ended):
    code = "import sys\nf = open('/dev/shm/a', 'wb')\nfor _ in range(99): f.write(bytes(2**20))"
    told = ended(code)
    assert "No space left" in told or "Permission denied" in told


ABRUPT = """
import json, subprocess, sys, time
subprocess.Popen(json.loads(sys.argv[1]), stdout=sys.stdout)
time.sleep(60)
"""


def test_what_runs_ends_with_a_grader_that_is_killed(wall, tmp_path):
    inner = [sys.executable, "-c", "import time; print(1, flush=True); time.sleep(60)"]
    inner = wall.wrap(inner, [], tmp_path)
    command = [sys.executable, "-c", ABRUPT, json.dumps(inner)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as grader:
        assert grader.stdout.readline() == b"1\n"
        family = psutil.Process(grader.pid).children(recursive=True)
        grader.kill()
    assert family and not psutil.wait_procs(family, timeout=20)[1]


# which wall, and where there is none


def test_the_strongest_wall_that_works_is_found(monkeypatch):
    find_wall.cache_clear()
    assert find_wall() in WALLS
    monkeypatch.setattr(sandbox.shutil, "which", lambda name: "/no/such/bwrap")
    find_wall.cache_clear()
    assert find_wall().name == "Landlock and seccomp"
    find_wall.cache_clear()


def test_an_open_door_is_no_wall():
    assert sandbox._problem(NO_WALL) == "a file of the grader's is open"


@pytest.mark.parametrize(
    ("platform", "has_bwrap", "mend"),
    [
        ("linux", False, "sudo apt install bubblewrap"),
        ("darwin", False, "docker run --rm -it"),
        ("win32", False, "docker run --rm -it"),
    ],
)
def test_where_there_is_no_wall_the_mend_is_told(platform, has_bwrap, mend, monkeypatch):
    monkeypatch.setattr(sandbox, "WALLS", [NO_WALL])
    monkeypatch.setattr(sandbox.sys, "platform", platform)
    monkeypatch.setattr(sandbox.shutil, "which", lambda name: "/usr/bin/bwrap" * has_bwrap or None)
    find_wall.cache_clear()
    with pytest.raises(NoWall, match=mend) as raised:
        find_wall()
    told = str(raised.value)
    assert "  none: a file of the grader's is open" in told and "--unsafe-no-sandbox" in told
    find_wall.cache_clear()


def test_a_notebook_is_copied_away_from_what_lies_beside_it(tmp_path):
    from grading.unpack import unpacked

    (tmp_path / "a.ipynb").write_text("{}")
    (tmp_path / "mine.py").write_text("x = 1")
    (tmp_path / "marks.csv").write_text("secret")
    os.mkfifo(tmp_path / "pipe.py")
    with unpacked(tmp_path / "a.ipynb") as copy:
        assert sorted(os.listdir(copy.parent)) == ["a.ipynb", "mine.py"]
        assert copy.parent != tmp_path
