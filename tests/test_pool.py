"""Tasks are done by processes side by side; how these end, and what they leave."""

import contextlib
import functools
import os
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from pathlib import Path

import psutil
import pytest

from grading.marking import grade as grading
from grading.marking import pool
from grading.marking import register as registers
from grading.marking.evidence import Course
from grading.marking.exports import Delivered
from grading.marking.grade import grade
from grading.marking.pool import cores, each
from grading.marking.register import Register
from grading.sandbox import NO_WALL
from tests.pooled import break_off, note, wait_beside_a_process
from tests.records import another

ROOT = Path(__file__).parent.parent


def done(work, tasks, jobs):
    """What `each` yields, sorted, and what began."""
    begun = []
    with contextlib.closing(each(work, tasks, jobs, begun.append, print)) as running:
        return sorted(running), begun


def test_one_job_is_done_here_and_tells_how_it_goes_on(tmp_path, capsys):
    told, begun = done(functools.partial(note, folder=tmp_path), ["a", "b"], 1)
    assert told == [("a", ""), ("b", "")] and begun == ["a", "b"]
    assert (tmp_path / "a").read_text() == str(os.getpid())
    assert capsys.readouterr().out == "a goes on\nb goes on\n"


def test_several_jobs_are_done_side_by_side_by_processes_that_are_kept(tmp_path, capfd):
    tasks = ["a", "b", "c", "d"]
    told, begun = done(functools.partial(note, folder=tmp_path), tasks, 2)
    assert told == [(task, "") for task in tasks] and begun == tasks
    by = {(tmp_path / task).read_text() for task in tasks}
    assert len(by) == 2 and str(os.getpid()) not in by
    assert capfd.readouterr().out == ""


def test_there_are_no_more_processes_than_tasks(tmp_path):
    assert done(functools.partial(note, folder=tmp_path), ["a"], 8)[0] == [("a", "")]
    assert (tmp_path / "a").read_text() == str(os.getpid())


def test_a_task_whose_process_ends_is_tried_once_more_and_the_others_are_done(tmp_path):
    tasks = ["always", "a", "once", "b"]
    told, begun = done(functools.partial(break_off, folder=tmp_path), tasks, 2)
    assert told == [("a", ""), ("always", "signal SIGKILL"), ("b", ""), ("once", "")]
    assert sorted(begun) == sorted(tasks)
    tried = {task: len((tmp_path / task).read_text()) for task in tasks}
    assert tried == {"always": 2, "a": 1, "once": 2, "b": 1}


def test_what_a_process_started_is_ended_with_it(tmp_path, monkeypatch):
    monkeypatch.setattr(pool, "TRIES", 1)
    work = functools.partial(wait_beside_a_process, folder=tmp_path)
    with contextlib.closing(each(work, ["dies", "waits"], 2, print, print)) as running:
        assert next(running) == ("dies", "signal SIGKILL")
    pids = [int(pid) for path in tmp_path.iterdir() for pid in path.read_text().split()]
    assert len(pids) == 4 and not [pid for pid in pids if is_running(pid)]


def is_running(pid):
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.wait_procs([psutil.Process(pid)], timeout=20)
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


DRIVER = """
import contextlib, functools, pathlib, signal, sys
from grading.marking.pool import each
from tests.pooled import wait_beside_a_process
if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    work = functools.partial(wait_beside_a_process, folder=pathlib.Path(sys.argv[1]))
    with contextlib.closing(each(work, ["a", "b"], 2, print, print)) as running:
        list(running)
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL, signal.SIGTERM])
def test_the_processes_end_with_the_one_that_started_them(how, tmp_path):
    """Ctrl-C reaches the whole group of processes, as in a terminal; the others one alone."""
    (tmp_path / "driver.py").write_text(DRIVER)
    (tmp_path / "told").mkdir()
    command = [sys.executable, str(tmp_path / "driver.py"), str(tmp_path / "told")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ways = dict(env=environment, start_new_session=True, text=True, stderr=subprocess.PIPE)
    with subprocess.Popen(command, **ways) as driver:
        give_up = threading.Timer(90, driver.kill)
        give_up.start()
        while driver.poll() is None and len(told_in(tmp_path / "told")) < 4:
            time.sleep(0.05)
        (os.killpg if how == signal.SIGINT else os.kill)(driver.pid, how)
        said = driver.stderr.read()
        give_up.cancel()
    pids = told_in(tmp_path / "told")
    assert len(pids) == 4 and not [pid for pid in pids if is_running(pid)]
    assert said.count("Traceback") == (how == signal.SIGINT)  # the driver's alone


def told_in(folder):
    return [int(pid) for path in folder.iterdir() for pid in path.read_text().split()]


# a class


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Hand-ins that are opened and refused, at once and really."""
    monkeypatch.setattr(grading, "read_reference", lambda shelf, course: {})
    (tmp_path / "in").mkdir()
    for name in ("a.rar", "b.zip", "c.zip", "d.rar"):
        (tmp_path / "in" / name).write_text(name)
    return tmp_path


def test_a_class_graded_by_several_processes_is_graded_as_by_one(folder):
    told, held = [], {}
    for jobs in (2, 1):
        out = folder / f"{jobs}"
        course = Course(NO_WALL, secret="0123")
        entries, left = grade([folder / "in"], out, course, tell=told.append, jobs=jobs)
        assert [entry.evidence["file"] for entry in entries] == ["a.rar", "b.zip", "c.zip", "d.rar"]
        assert not left and (out / "index.html").is_file()
        assert len([*(out / "students").iterdir()]) == 4
        found = (out / "evidence").glob("*/evidence.json")
        held[jobs] = {path.parent.name: path.read_bytes() for path in found}
    assert len(held[1]) == 4 and held[1] == held[2]
    assert told[0] == told[5] == "4 hand-ins, 4 to be graded"
    assert [line[:5] for line in told[1:5]] == ["[1/4]", "[2/4]", "[3/4]", "[4/4]"]


@pytest.mark.parametrize(("jobs", "threads"), [(1, Course(NO_WALL).threads), (2, 1)])
def test_the_last_hand_in_that_is_left_is_graded_as_it_is_among_others(
    jobs, threads, folder, monkeypatch
):
    found = []

    def notes(work, tasks, jobs, begins, tell):
        found.append((len(tasks), work.keywords["course"].threads))
        yield from ()

    monkeypatch.setattr(grading, "each", notes)
    for only in ("", "a.rar"):
        grade([folder / "in"], folder / "out", Course(NO_WALL), only=only, jobs=jobs)
    assert found == [(4, threads), (1, threads)]


def test_a_hand_in_whose_process_ends_twice_is_told_of_and_graded_again(folder, monkeypatch):
    out, course = folder / "out", Course(NO_WALL)
    ended = [(folder / "in" / "a.rar", "signal SIGKILL")]

    def breaks_off(work, tasks, jobs, begins, tell):
        yield from ended

    monkeypatch.setattr(grading, "each", breaks_off)
    (entry,), left = grade([folder / "in"], out, course, jobs=2)
    assert len(left) == 3 and entry.evidence["file"] == "a.rar"
    told = "the process that graded it ended: signal SIGKILL"
    assert entry.evidence["problem"] == told
    monkeypatch.undo()
    monkeypatch.setattr(grading, "read_reference", lambda shelf, course: {})
    (entry,), _left = grade([folder / "in"], out, course, only="a.rar", failed=True, jobs=2)
    assert "a.rar is no .zip" in entry.evidence["problem"]


def test_of_a_hand_in_little_stays_in_memory(tmp_path):
    paths = [tmp_path / f"{k}.zip" for k in range(60)]
    folders = {path: tmp_path / path.stem for path in paths}
    hand_ins = {path: Delivered(path) for path in paths}
    digests = dict.fromkeys(paths, "")
    register = Register(hand_ins, digests, folders, tmp_path, Course(NO_WALL), {})
    held = []
    tracemalloc.start()
    for k, path in enumerate(paths):
        register.enter(path, another(f"Student {k}"))
        held.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert (held[-1] - held[20]) / (59 - 20) < 25_000  # bytes of each


def test_the_pages_of_the_class_are_made_now_and_then(tmp_path, monkeypatch):
    clock, made = iter([100.0, 100.0, 104.0, 183.9, 184.0, 184.0, 185.0, 214.9]), []
    monkeypatch.setattr(registers.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(Register, "conclude", lambda self: made.append(1))
    register = Register({}, {}, {}, tmp_path, Course(NO_WALL), {})
    counts = []
    for _time in range(4):
        register.conclude_seldom(print)
        counts.append(len(made))
    assert counts == [1, 1, 2, 2]  # 4 s that they took, times 20, and then 30 s at least


def test_cores_are_those_that_this_process_may_use():
    assert 1 <= cores() <= os.cpu_count()
