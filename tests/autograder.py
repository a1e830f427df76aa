"""The layout that Gradescope runs an autograder in, made with bubblewrap by root.

`Container` has a file system of its own: `/autograder`, a copy of `/etc`, an empty `/tmp`, and the
rest of this machine to read; root may do there what Docker lets it by default.
`python -m tests.autograder ZIP SUBMISSION` grades one hand-in in it and prints the results, the
time, the processor's time and the most memory.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import NamedTuple

import psutil

__all__ = ["Container", "Run"]

OWN = {"autograder", "dev", "etc", "proc", "root", "sys", "tmp"}
DOCKERS = [  # capabilities
    *("chown", "dac_override", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap"),
    *("net_bind_service", "net_raw", "sys_chroot", "mknod", "audit_write", "setfcap"),
]
INTERVAL = 0.2  # seconds between two looks at the memory
LIMIT = 600  # seconds that Gradescope gives


class Run(NamedTuple):
    """What a run of the autograder took."""

    results: dict  # of results.json
    output: str  # what it printed
    seconds: float
    cpu: float  # seconds of all processes, but for what each does in its last moment
    memory: float  # MB of all processes together at their most; what they share counts once


class Container:
    """A folder that becomes `/autograder`."""

    def __init__(self, folder, archive):
        """Unpacks an autograder's .zip and runs its setup.sh, with this Python."""
        self.base, self._etc = folder / "autograder", folder / "etc"
        for name in ("source", "submission", "results"):
            (self.base / name).mkdir(parents=True)
        shutil.copytree("/etc", self._etc, symlinks=True)
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(self.base / "source")
        for name in ("setup.sh", "run_autograder"):
            (self.base / "source" / name).chmod(0o755)
        shutil.copy(self.base / "source" / "run_autograder", self.base)
        told = json.dumps({"id": 1, "previous_submissions": [{"secret": "of an earlier one"}]})
        (self.base / "submission_metadata.json").write_text(told)
        self.run("/autograder/source/setup.sh")

    def command(self, *words, python=sys.executable):
        """Returns a command that runs another one as Gradescope does, as root in `/autograder`."""
        walled = ["bwrap", "--unshare-pid", "--die-with-parent", "--clearenv"]
        walled += ["--cap-drop", "ALL"]
        for name in DOCKERS:
            walled += ["--cap-add", f"CAP_{name.upper()}"]
        for path in sorted(Path("/").iterdir()):
            if path.is_symlink():
                walled += ["--symlink", os.readlink(path), str(path)]
            elif path.name not in OWN and path.is_dir():
                walled += ["--ro-bind", str(path), str(path)]
        walled += ["--perms", "0755", "--tmpfs", "/root"]
        walled += ["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--chmod", "1777", "/tmp"]
        for prefix in dict.fromkeys([sys.base_prefix, sys.prefix]):  # may lie in /root or in /tmp
            walled += self._opened(Path(prefix))
        walled += ["--bind", str(self._etc), "/etc", "--bind", str(self.base), "/autograder"]
        own = {"A2C_PYTHON": python, "PATH": os.defpath + ":/usr/sbin:/sbin", "HOME": "/root"}
        for pair in own.items():
            walled += ["--setenv", *pair]
        return [*walled, "--chdir", "/autograder", "--", *words]

    @staticmethod
    def _opened(folder):
        """Returns what shows a folder to all in a file system where its parents may be closed."""
        words = []
        for parent in reversed(folder.parents[:-1]):
            if parent.parts[1] in ("root", "tmp") and len(parent.parts) > 2:
                words += ["--perms", "0755", "--dir", str(parent)]
        return [*words, "--ro-bind", str(folder), str(folder)]

    def run(self, *words):
        """Runs a command to its end; returns what it printed."""
        ways = dict(stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=LIMIT)
        done = subprocess.run(self.command(*words), **ways)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def grade(self, submission):
        """Grades a hand-in; returns a Run.

        Args:
            submission: A .zip, whose files Gradescope unpacks, or {name: bytes}.
        """
        for name in ("submission", "results"):
            shutil.rmtree(self.base / name)
            (self.base / name).mkdir()
        if isinstance(submission, dict):
            for name, data in submission.items():
                (self.base / "submission" / name).parent.mkdir(parents=True, exist_ok=True)
                (self.base / "submission" / name).write_bytes(data)
        else:
            with zipfile.ZipFile(submission) as packed:
                packed.extractall(self.base / "submission")
        return self._measured("/autograder/run_autograder")

    def _measured(self, program):
        began, look = time.monotonic(), _Look()
        with tempfile.TemporaryFile() as output:
            process = subprocess.Popen(self.command(program), stdout=output, stderr=output)
            while process.poll() is None:
                look.at(process.pid)
                time.sleep(INTERVAL)
            output.seek(0)
            told = output.read().decode(errors="replace")
        seconds, path = time.monotonic() - began, self.base / "results" / "results.json"
        results = json.loads(path.read_text("utf-8"))
        return Run(results, told, seconds, sum(look.cpu.values()), look.memory)


class _Look:
    """What a process and its children take: most memory so far, in MB, and seconds of each."""

    def __init__(self):
        self.memory, self.cpu = 0.0, {}

    def at(self, pid):
        """Looks once more."""
        total = 0
        with contextlib.suppress(psutil.Error):
            for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
                with contextlib.suppress(psutil.Error, OSError):
                    total += process.memory_full_info().pss
                    self.cpu[process] = sum(process.cpu_times()[:2])
        self.memory = max(self.memory, total / 1e6)


def main(archive, submission):
    """Grades one hand-in and prints what it took."""
    with tempfile.TemporaryDirectory() as folder:
        run = Container(Path(folder), archive).grade(submission)
    print(json.dumps(run.results, indent=1, ensure_ascii=False), run.output, sep="\n")
    print(f"{run.seconds:.0f} s, {run.cpu:.0f} s of processors, {run.memory:.0f} MB at most")


if __name__ == "__main__":
    main(*sys.argv[1:])
