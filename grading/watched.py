"""Runs a process that may do anything, within limits, and leaves nothing of it behind.

The process writes messages to its standard output, a JSON object a line. The limits keep a careless
or broken notebook from a grader's machine; a wall against one that means harm is in `sandbox`.
"""

import contextlib
import json
import os
import queue
import signal
import subprocess
import threading
import time
import uuid
from pathlib import Path
from typing import NamedTuple

import psutil

__all__ = ["LIMITS", "Limits", "watch"]

ROOT = Path(__file__).parent.parent
MARK = "A2C_CHECK"  # set for the process and all that it starts, however far they move away
LINE = 65_536  # bytes of a message
DEEPEST = 20  # folders in each other
INTERVAL = 0.1  # seconds between two looks at the process


class Limits(NamedTuple):
    """What a process may take."""

    total: float = 240.0  # seconds in all
    cell: float = 60.0  # seconds from one message that begins something to the next
    memory: float = 4.0  # GiB resident, children included
    output: int = 1_000_000  # bytes of its standard error that are kept, the last ones
    threads: int = 256  # of it and its children together
    written: int = 256 * 2**20  # bytes of files, each counted as 4 KiB at least


LIMITS = Limits()


def watch(command, environment, out, limits=LIMITS):
    """Runs a command in the kit's folder until it ends, says so, or is over a limit.

    Args:
        command: Program and arguments.
        environment: {name: value}.
        out: The folder that it may write to.
        limits: What it may take.

    Yields:
        Its messages, dicts; `{"begins": what}` starts the clock of one cell. The last has a key
        "ending": "" where the process said itself that it was through, else why it was not.
    """
    mark = uuid.uuid4().hex
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**environment, MARK: mark},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    watched = _Watched(process, mark, out, limits)
    try:
        for message in watched.messages():
            yield message
            if "ending" in message:
                return
        yield {"ending": watched.ending}
    finally:
        watched.close()


class _Watched:
    """A running process, the threads that read it, and the clock."""

    def __init__(self, process, mark, out, limits):
        self.process, self.mark, self.out, self.limits = process, mark, out, limits
        self.lines, self.output = queue.Queue(1000), bytearray()
        self.closed = threading.Event()
        self.threads = [
            threading.Thread(target=reads, daemon=True)
            for reads in (self._read_lines, self._read_output)
        ]
        for thread in self.threads:
            thread.start()
        self.started = self.looked = time.monotonic()
        self.begun = float("inf")  # the clock of cells stands still while the process starts
        self.now, self.ending = "the start", ""

    def messages(self):
        """Yields messages until the process has ended or is over a limit; sets `ending`."""
        while not self.ending:
            ended = self.process.poll() is not None
            yield from self._arrived()
            if ended:
                end_family(self.process.pid, self.mark)  # they may hold its output open
                for thread in self.threads:
                    thread.join(timeout=2)
                yield from self._arrived()
                self.ending = self._told_end()
            elif time.monotonic() >= self.looked + INTERVAL:
                if self._over_limit():
                    yield from self._arrived()  # it may have told of another cell meanwhile
                    self.ending = self._over_limit()
                self.looked = time.monotonic()

    def _arrived(self):
        """Yields what has arrived, at most one queue of it, after a short wait."""
        for _ in range(self.lines.maxsize):
            try:
                message = _parsed(self.lines.get(timeout=INTERVAL / 2))
            except queue.Empty:
                return
            if "begins" in message:
                self.now, self.begun = str(message["begins"]), time.monotonic()
            yield message

    def _over_limit(self):
        """Returns what the process takes too much of, "" where it keeps to its limits."""
        now = time.monotonic()
        if now > self.begun + self.limits.cell:
            return f"{self.now} ran longer than {self.limits.cell:g} s"
        if now > self.started + self.limits.total:
            return f"the notebook ran longer than {self.limits.total:g} s, at last {self.now}"
        if _is_larger(self.process.pid, self.limits.memory * 2**30):
            return f"{self.now} took more than {self.limits.memory:g} GiB of memory"
        if _threads(self.process.pid) > self.limits.threads:
            return f"{self.now} started more than {self.limits.threads} threads"
        if _written(self.out, self.limits.written) > self.limits.written:
            most = f"{self.limits.written / 2**20:g} MiB"
            return f"{self.now} wrote more than {most}, or {DEEPEST} folders into each other"
        return ""

    def _told_end(self):
        code = self.process.returncode
        names = {-one: one.name for one in signal.Signals}
        status = f"signal {names[code]}" if code in names else f"exit status {code}"
        lines = self.output.decode(errors="replace").split("\n")
        last = next((line.strip()[:300] for line in reversed(lines) if line.strip()), "")
        return f"{self.now} ended the process ({status})" + (f", after: {last}" if last else "")

    def _read_lines(self):
        while line := self.process.stdout.readline(LINE):
            while not self.closed.is_set():
                with contextlib.suppress(queue.Full):
                    self.lines.put(line, timeout=INTERVAL)
                    break

    def _read_output(self):
        while some := self.process.stderr.read1(LINE):
            self.output += some
            del self.output[: -self.limits.output]

    def close(self):
        """Ends the process and all that it started."""
        self.closed.set()
        end_family(self.process.pid, self.mark)
        self.process.wait()
        for thread in self.threads:
            thread.join(timeout=2)


def _parsed(line):
    """Returns a message as a dict, an empty one where the line holds none."""
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return message if isinstance(message, dict) else {}


def _is_larger(pid, limit):
    """Says whether a process and its children take more memory; what they share counts once."""
    family = _tree(pid)
    return _total(family, "memory_info") > limit and _total(family, "memory_full_info") > limit


def _threads(pid):
    total = 0
    for process in _tree(pid):
        with contextlib.suppress(psutil.Error):
            total += process.num_threads()
    return total


def _written(folder, enough):
    """Returns the bytes of the files below a folder, each at least a block; stops at enough."""
    total, folders = 0, [(os.fspath(folder), 0)]
    while folders and total <= enough:
        place, depth = folders.pop()
        with contextlib.suppress(OSError), os.scandir(place) as entries:
            for entry in entries:
                total += max(entry.stat(follow_symlinks=False).st_size, 4096)
                if entry.is_dir(follow_symlinks=False):
                    folders.append((entry.path, depth + 1))
                if total > enough or depth > DEEPEST:
                    return enough + 1
    return total


def _tree(pid):
    """Returns a process and its children, none where it has ended."""
    with contextlib.suppress(psutil.Error):
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    return []


def _total(family, method):
    total = 0
    for process in family:
        with contextlib.suppress(psutil.Error, OSError):
            info = getattr(process, method)()
            total += getattr(info, "pss", info.rss)  # Linux alone knows each one's share
    return total


def end_family(pid, mark):
    """Ends a process, its children, and all that carry its mark, those too that moved away."""
    for how in ("terminate", "kill", "kill"):
        marked = {process for process in psutil.process_iter() if _has_mark(process, mark)}
        family = [*marked.union(_tree(pid))]
        for process in family:
            with contextlib.suppress(psutil.Error):
                getattr(process, how)()
        if not psutil.wait_procs(family, timeout=1 if how == "terminate" else 5)[1] and not family:
            return


def _has_mark(process, mark):
    with contextlib.suppress(psutil.Error, OSError):
        return process.pid != os.getpid() and process.environ().get(MARK) == mark
    return False
