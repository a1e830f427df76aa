"""Runs a process that may do anything, within limits, and leaves nothing of it behind.

The process writes messages to its standard output, a JSON object a line; one that is talked to
reads what it is sent from its standard input. The limits keep a careless
or broken notebook from a grader's machine; a wall against one that means harm is in `sandbox`.
"""

import contextlib
import json
import os
import queue
import shutil
import signal
import stat
import subprocess
import tempfile
import threading
import time
import uuid
from pathlib import Path
from typing import NamedTuple

import psutil

from languages import _

__all__ = ["LIMITS", "Limits", "end_orphans", "scratch", "status_of", "talk", "watch"]

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
        Its messages, dicts; `{"begins": what}` starts the clock of one cell, and "shown" beside it
        is what people call it. The last has a key "ending": "" where the process said itself that
        it was through, else why it was not.
    """
    with _started(command, environment, out, limits, subprocess.DEVNULL) as process:
        yield from process.messages()


@contextlib.contextmanager
def talk(command, environment, out, limits=LIMITS):
    """Runs a command that can be sent to; arguments as in `watch`.

    Yields:
        An object with `messages()`, an iterator of what `watch` yields, and `send(data, what)`.
    """
    with _started(command, environment, out, limits, subprocess.PIPE) as process:
        yield process


@contextlib.contextmanager
def _started(command, environment, out, limits, stdin):
    mark = f"{os.getpid()}-{uuid.uuid4().hex}"
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**environment, MARK: mark},
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    watched = _Watched(process, mark, out, limits)
    try:
        yield watched
    finally:
        watched.close()


@contextlib.contextmanager
def scratch():
    """A folder that may be filled with anything, thrown away."""
    folder = tempfile.mkdtemp()
    try:
        yield Path(folder)
    finally:
        if os.name == "posix":  # rm goes as deep as folders go, shutil does not
            for remove in (["chmod", "-R", "u+rwx"], ["rm", "-rf"]):
                subprocess.run([*remove, folder], stderr=subprocess.DEVNULL)
        else:
            shutil.rmtree(folder, ignore_errors=True)


class _Watched:
    """A running process, the threads that read it, and the clock."""

    def __init__(self, process, mark, out, limits):
        self.process, self.mark, self.out, self.limits = process, mark, out, limits
        self.lines, self.output, self.sent = queue.Queue(1000), bytearray(), queue.Queue()
        self.closed = threading.Event()
        self.threads = [
            threading.Thread(target=reads, daemon=True)
            for reads in (self._read_lines, self._read_output, self._write)
        ]
        for thread in self.threads:
            thread.start()
        self.started = self.looked = time.monotonic()
        self.begun = float("inf")  # the clock of cells stands still while the process starts
        self.now, self.ending = _("the start"), ""

    def send(self, data, what):
        """Sends bytes in the background, and starts the clock of what they ask for.

        Args:
            data: Bytes for the process's standard input.
            what: That the process has to do now, for people.
        """
        self.now, self.begun = what, time.monotonic()
        self.sent.put(data)

    def messages(self):
        """Yields messages, the last with a key "ending", as `watch` does."""
        for message in self._told():
            yield message
            if "ending" in message:
                return
        yield {"ending": self.ending}

    def _told(self):
        """Yields messages until the process has ended or is over a limit; sets `ending`."""
        while not self.ending:
            ended = self.process.poll() is not None
            yield from self._arrived()
            if ended:
                end_family(self.process.pid, self.mark)  # they may hold its output open
                self.sent.put(b"")
                for thread in self.threads:
                    thread.join(timeout=2)
                while not self.lines.empty():
                    yield from self._arrived()
                self.ending = self._told_end()
            elif time.monotonic() >= self.looked + INTERVAL:
                self.looked = time.monotonic()
                if self._over_limit():
                    yield from self._arrived()  # it may have told of another cell meanwhile
                    self.ending = self._over_limit()

    def _arrived(self):
        """Yields what arrives, a short wait apart, until it is time for another look."""
        for _line in range(self.lines.maxsize):
            try:
                message = _parsed(self.lines.get(timeout=INTERVAL / 2))
            except queue.Empty:
                return
            if "begins" in message:
                self.now = str(message.get("shown", message["begins"]))
                self.begun = time.monotonic()
            yield message
            if time.monotonic() >= self.looked + INTERVAL:
                return

    def _over_limit(self):
        """Returns what the process takes too much of, "" where it keeps to its limits."""
        now, most, text = time.monotonic(), self.limits, ""
        if now > self.begun + most.cell:
            text = _("{what} ran longer than {cell:g} s")
        elif now > self.started + most.total:
            text = _("the notebook ran longer than {total:g} s, at last {what}")
        elif _is_larger(self.process.pid, most.memory * 2**30):
            text = _("{what} took more than {taken} of memory")
        elif _threads(self.process.pid) > most.threads:
            text = _("{what} started more than {threads} threads")
        elif self._kept() > most.written:
            text = _("{what} wrote more than {size:g} MiB, or {deepest} folders into each other")
        figures = dict(size=most.written / 2**20, deepest=DEEPEST, taken=_shown(most.memory))
        return text.format(what=self.now, **figures, **most._asdict())

    def _kept(self):
        """Returns the bytes on the disk, more than the limit where some cannot be counted."""
        return _written(self.out, self.limits.written) + _unlinked(self.process.pid)

    def _told_end(self):
        status = status_of(self.process.returncode)
        lines = self.output.decode(errors="replace").split("\n")
        last = next((line.strip()[:300] for line in reversed(lines) if line.strip()), "")
        text = _("{what} ended the process ({status})")
        if last:
            text = _("{what} ended the process ({status}), after: {last}")
        return text.format(what=self.now, status=status, last=last)

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

    def _write(self):
        with contextlib.suppress(OSError):  # it has ended, or reads no more
            for data in iter(self.sent.get, b""):
                self.process.stdin.write(data)
                self.process.stdin.flush()

    def close(self):
        """Ends the process and all that it started."""
        self.closed.set()
        self.sent.put(b"")
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


def _shown(memory):
    """Returns GiB of memory as people read them."""
    text = _("{n:.4g} GiB") if memory >= 1 else _("{n:.0f} MiB")
    return text.format(n=memory if memory >= 1 else 1024 * memory)


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
    """Returns the bytes of the files below a folder, each at least a block; stops at enough.

    A folder that cannot be read may hold anything: it holds more than enough.
    """
    total, folders = 0, [(os.fspath(folder), 0)]
    while folders and total <= enough:
        place, depth = folders.pop()
        try:
            for size, path in _entries(place):
                total += max(size, 4096)
                folders += [(path, depth + 1)] if path else []
                if total > enough or depth > DEEPEST:
                    return enough + 1
        except PermissionError:
            return enough + 1
        except OSError:  # it has gone meanwhile
            pass
    return total


def _entries(folder):
    """Yields (size, path, "" where it is no folder) of what a folder holds."""
    with os.scandir(folder) as entries:
        for entry in entries:
            size = entry.stat(follow_symlinks=False).st_size
            yield size, entry.path if entry.is_dir(follow_symlinks=False) else ""


def _unlinked(pid):
    """Returns the bytes of files that a process and its children hold open and no folder holds.

    Of a process that this one may not look into, none is counted.
    """
    total = 0
    for process in _tree(pid):
        with contextlib.suppress(OSError):  # it has ended, or this system has no /proc
            for entry in os.scandir(f"/proc/{process.pid}/fd"):
                with contextlib.suppress(OSError):
                    file = os.stat(entry.path)
                    total += file.st_size if stat.S_ISREG(file.st_mode) and not file.st_nlink else 0
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
            info = _memory(process, method)
            total += getattr(info, "pss", info.rss)  # Linux alone knows each one's share
    return total


def _memory(process, method):
    """Returns what a method of a process tells; its resident memory where that is closed."""
    try:
        return getattr(process, method)()
    except psutil.AccessDenied:  # of another user's process, as root in a container of Docker's
        return process.memory_info()


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


def end_orphans(pid):
    """Ends what a process of this program watched, where that process ended too soon to do so."""
    marks = {_mark(process) for process in psutil.process_iter()}
    for mark in marks:
        if mark.startswith(f"{pid}-"):
            end_family(pid, mark)


def status_of(code):
    """Returns how a process ended, from its exit status, as people say it."""
    names = {-one: one.name for one in signal.Signals}
    if code in names:
        return _("signal {name}").format(name=names[code])
    return _("exit status {code}").format(code=code)


def _has_mark(process, mark):
    return process.pid != os.getpid() and _mark(process) == mark


def _mark(process):
    with contextlib.suppress(psutil.Error, OSError):
        return process.environ().get(MARK, "")
    return ""
