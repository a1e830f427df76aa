import os
import sys
import time
import uuid

import psutil
import pytest

from grading import watched
from grading.watched import Limits, talk, watch

QUICK = Limits(total=8, cell=1, memory=0.5)
BEGIN = 'print(\'{"begins": "cell a"}\', flush=True)\n'
FORGET = """
import os, sys
if "A2C_OTHER" not in os.environ:
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {"A2C_OTHER": "1"})
"""
LONG_CELLS = QUICK._replace(cell=9)
LEAVE_BEHIND = """
import subprocess, sys
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(99)"], start_new_session=True)
"""


@pytest.fixture(autouse=True)
def left(monkeypatch):
    """Gives a function that lists the processes that a test has left behind."""
    name = f"A2C_CHECK_{uuid.uuid4().hex}"
    monkeypatch.setattr(watched, "MARK", name)
    return lambda: [process for process in psutil.process_iter() if name in environ(process)]


def environ(process):
    try:
        return process.environ()
    except (psutil.Error, OSError):  # it has ended, or is somebody else's
        return {}


@pytest.mark.parametrize(
    ("code", "limits", "ending"),
    [
        ("while True: pass", QUICK, "cell a ran longer than 1 s"),
        (
            "import time; time.sleep(99)",
            LONG_CELLS._replace(total=1),
            "ran longer than 1 s, at last",
        ),
        (
            "x = bytearray(2**30)\nwhile True: pass",
            LONG_CELLS,
            "cell a took more than 512 MiB of memory",
        ),
        ("import os; os._exit(3)", QUICK, "cell a ended the process (exit status 3)"),
        ("import os; os._exit(0)", QUICK, "cell a ended the process (exit status 0)"),
        ("import os; os.abort()", QUICK, "cell a ended the process (signal SIGABRT)"),
        ("input()", QUICK, "cell a ended the process (exit status 1), after: EOFError"),
        ("import sys\nwhile True: sys.stderr.write('x' * 99999)", QUICK, "ran longer than 1 s"),
        ("while True: print('x' * 99999)", QUICK, "ran longer than 1 s"),
        ("while True: print('[' * 60000)", QUICK, "ran longer than 1 s"),
        (LEAVE_BEHIND, QUICK, "cell a ended the process (exit status 0)"),
        (LEAVE_BEHIND + "while True: pass", QUICK, "ran longer than 1 s"),
        (FORGET + "while True: pass", QUICK, "ran longer than 1 s"),
        ("import signal; signal.signal(15, lambda *a: 0)\nwhile True: pass", QUICK, "than 1 s"),
    ],
)
def test_watch_ends_a_process_with_all_that_it_started_and_says_why(
    code, limits, ending, left, tmp_path
):
    started = time.monotonic()
    *_, last = watch([sys.executable, "-c", BEGIN + code], dict(os.environ), tmp_path, limits)
    assert ending in last["ending"]
    assert time.monotonic() - started < limits.total + 10
    assert left() == []


def test_memory_that_is_closed_to_this_process_counts_as_it_is_resident(monkeypatch):
    def closed(process):
        raise psutil.AccessDenied(process.pid)

    monkeypatch.setattr(psutil.Process, "memory_full_info", closed)
    assert watched._is_larger(os.getpid(), 2**20)
    assert not watched._is_larger(os.getpid(), 2**50)


@pytest.mark.parametrize(
    ("memory", "shown"), [(600 / 1024, "600 MiB"), (1, "1 GiB"), (1500 / 1024, "1.465 GiB")]
)
def test_memory_is_shown_in_few_digits(memory, shown):
    assert watched._shown(memory) == shown


def test_watch_calls_what_runs_by_the_words_that_the_process_gives(tmp_path):
    begin = 'print(\'{"begins": "cell a", "shown": "\\\\u044f a"}\', flush=True)\n'
    code = [sys.executable, "-c", begin + "while True: pass"]
    first, last = watch(code, dict(os.environ), tmp_path, QUICK)
    assert first["begins"] == "cell a" and last["ending"] == "я a ran longer than 1 s"


def test_watch_hears_what_a_process_says_and_believes_its_end(left, tmp_path):
    code = 'print("no json")\nprint("[1]")\nprint(\'{"ending": ""}\', flush=True)\nwhile True: pass'
    messages = list(watch([sys.executable, "-c", code], dict(os.environ), tmp_path, QUICK))
    assert messages == [{}, {}, {"ending": ""}] and left() == []


def test_watch_keeps_the_end_of_the_output(tmp_path):
    code = "import sys; sys.stderr.write('first' + 'x' * 500_000 + '\\nlast words'); sys.exit(2)"
    limits = QUICK._replace(output=8)
    *_, last = watch([sys.executable, "-c", code], dict(os.environ), tmp_path, limits)
    assert last["ending"] == "the start ended the process (exit status 2), after: st words"


@pytest.fixture
def a_plain_user():
    """Takes from root what no grader has: a folder that is closed to its owner is open to it."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    yield
    os.seteuid(0)


@pytest.mark.parametrize("mode", [0o300, 0o400, 0])
def test_a_folder_that_hides_what_it_holds_is_over_the_limit_and_goes(mode, a_plain_user):
    with watched.scratch() as folder:
        (folder / "open" / "hidden").mkdir(parents=True)
        (folder / "open" / "hidden" / "a").write_bytes(bytes(9999))
        assert 9999 < watched._written(folder, 50_000) <= 50_000
        (folder / "open" / "hidden").chmod(mode)
        assert watched._written(folder, 50_000) > 50_000
    assert not folder.exists()


ECHO = """
import json, sys
while data := sys.stdin.buffer.read(3):
    print(json.dumps({"heard": data.decode()}), flush=True)
"""


def test_talk_sends_what_a_process_hears_and_ends_it(left, tmp_path):
    command = [sys.executable, "-c", ECHO]
    with talk(command, dict(os.environ), tmp_path, QUICK) as process:
        messages = process.messages()
        for word in ("one", "two"):
            process.send(word.encode(), "an answer")
            assert next(messages) == {"heard": word}
    assert left() == []


def test_talk_ends_a_process_that_does_not_hear_in_time(left, tmp_path):
    command = [sys.executable, "-c", "import time; time.sleep(99)"]
    with talk(command, dict(os.environ), tmp_path, QUICK) as process:
        process.send(bytes(10**7), "an answer")
        assert list(process.messages()) == [{"ending": "an answer ran longer than 1 s"}]
    assert left() == []
