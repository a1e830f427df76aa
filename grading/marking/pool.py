"""Work on several cores at once: a process each, that leaves nothing behind however it ends."""

import collections
import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from multiprocessing.connection import wait

from grading.watched import end_orphans, status_of

__all__ = ["cores", "each"]

SPAWN = multiprocessing.get_context("spawn")  # a fork would copy locks that threads hold
TRIES = 2  # of a task whose process ends
GRACE = 15.0  # seconds in which a process that is told to end tidies up


def cores():
    """Returns the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def each(work, tasks, jobs, begins, tell):
    """Does work on each of some tasks, several at a time.

    Close the generator, or leave it to its end: the processes end with it, and what they started.

    Args:
        work: A function of a module, or a partial of one, that takes a task and `tell`.
        tasks: What is to be done, each of it small.
        jobs: How many are done at a time; one is done in this process.
        begins: Takes a task when work on it begins.
        tell: Takes lines on the progress where there is one job; several would not be told apart.

    Yields:
        (task, problem) as each ends: "", or how its process ended, in each of two tries.
    """
    jobs = min(jobs, len(tasks))
    if jobs > 1:
        yield from _together(work, tasks, jobs, begins)
        return
    for task in tasks:
        begins(task)
        work(task, tell)
        yield task, ""


def _together(work, tasks, jobs, begins):
    """Yields what `each` yields, from several processes."""
    waiting, tries, workers = collections.deque(tasks), collections.Counter(), []
    try:
        while waiting or workers:
            while waiting and len(workers) < jobs:
                workers.append(_Worker(work))
                _hand_out(waiting, tries, workers[-1], begins)
            for worker in _ended(workers):
                task, problem = worker.task, worker.result()
                if problem:
                    workers.remove(worker)
                if problem and tries[task] < TRIES:
                    waiting.appendleft(task)
                    continue
                if not problem and waiting:
                    _hand_out(waiting, tries, worker, begins)
                elif not problem:
                    worker.end()
                    workers.remove(worker)
                yield task, problem
    finally:
        for worker in workers:
            worker.process.terminate()
        for worker in workers:
            worker.end()


def _hand_out(waiting, tries, worker, begins):
    """Gives the next task to a worker."""
    task = waiting.popleft()
    if not tries[task]:
        begins(task)
    tries[task] += 1
    worker.give(task)


def _ended(workers):
    """Returns the workers whose task has ended, or who have ended themselves; waits for one."""
    ready = wait([worker.pipe for worker in workers])
    return [worker for worker in workers if worker.pipe in ready]


class _Worker:
    """A process that does one task after the other."""

    def __init__(self, work):
        self.pipe, theirs = SPAWN.Pipe()
        self.process = SPAWN.Process(target=_serve, args=(theirs, work), daemon=True)
        with _started_apart():
            self.process.start()
        theirs.close()
        self.task = None

    def give(self, task):
        self.task = task
        with contextlib.suppress(OSError):  # it has ended, which `result` tells
            self.pipe.send(task)

    def result(self):
        """Returns "" where the task is done, else how the process ended."""
        try:
            self.pipe.recv()
            return ""
        except (EOFError, OSError):
            self.end()
            return status_of(self.process.exitcode)

    def end(self):
        """Ends the process and all that it started."""
        self.pipe.close()  # one that waits for a task ends by itself
        self.process.join(GRACE)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        if self.process.exitcode:
            end_orphans(self.process.pid)


@contextlib.contextmanager
def _started_apart():
    """Starts processes of one thread each, which do not hear Ctrl-C, as all of a terminal would."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    threads = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"  # a process for each core is there already
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if threads is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = threads


# in the process


def _serve(pipe, work):
    """Does what arrives, until nothing can arrive any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    while True:
        try:
            task = pipe.recv()
        except (EOFError, OSError):
            return
        work(task, _say_nothing)
        pipe.send(True)


def _leave(number, frame):
    """Leaves by an exception, which ends the processes that the work started on its way."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(1)


def _end_with_parent():
    wait([multiprocessing.parent_process().sentinel])
    os.kill(os.getpid(), signal.SIGTERM)


def _say_nothing(line):
    pass
