"""What it takes to grade a class: python -m benchmarks.grading, an hour or so on two cores.

Grades whole hand-ins as a grader does, a class of which nothing can be opened, stopped half-way and
gone on with, and takes up a class that is graded already. Writes all figures to
`benchmarks/grading.json`, and the tables to `benchmarks/grading.md`.
"""

import argparse
import contextlib
import json
import os
import platform
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from pathlib import Path
from typing import NamedTuple

import psutil

from benchmarks import report
from grading.marking.evidence import Course
from grading.marking.pool import cores
from grading.marking.shelf import Shelf, clear, digest_of, keep_evidence
from grading.pack import MANIFEST
from grading.sandbox import find_wall
from tests import hand_ins
from tests.records import another

FOLDER = Path(__file__).parent
FIGURES, PAGE = FOLDER / "grading.json", FOLDER / "grading.md"
WHOLE = ("honest", "fair", "foreign videos", "copied", "player")  # with weights that play
LOOK = 1.0  # seconds between two looks at the memory
CLASS = 10_000  # hand-ins that a cost is worked out for


class Run(NamedTuple):
    """One call of `grade`."""

    seconds: float
    busy: float  # seconds of all its processes on all cores
    memory: float  # MB that its own process held at most
    together: float  # MB that it held with all that it started, at most
    graded: int  # hand-ins with evidence at its end


def call(hand_ins_in, out, jobs, stop_at=None):
    """Runs `grade`; presses Ctrl-C when it begins with a certain hand-in.

    Returns:
        A Run.
    """
    command = [sys.executable, "-m", "grading", "grade", str(hand_ins_in), "--out", str(out)]
    ways = dict(cwd=FOLDER.parent, stderr=subprocess.PIPE, text=True, start_new_session=True)
    began, before = time.monotonic(), _busy()
    process = subprocess.Popen([*command, "--jobs", str(jobs)], preexec_fn=_hear, **ways)
    told = threading.Thread(target=_follow, args=(process, stop_at))
    told.start()
    memory = together = 0.0
    while process.poll() is None:
        own, all_ = _memory(process.pid)
        memory, together = max(memory, own), max(together, all_)
        time.sleep(LOOK)
    told.join()
    seconds, found = time.monotonic() - began, (out / "evidence").glob("*/evidence.json")
    n = sum(not path.parent.name.startswith("reference") for path in found)
    return Run(seconds, _busy() - before, memory, together, n)


def _hear():
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # which a shell's background has not


def _busy():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _follow(process, stop_at):
    """Reads what the command says, which would fill a pipe, and stops it."""
    for line in process.stderr:
        if not line.startswith("["):
            print(line, end="", flush=True)
        elif stop_at and line.startswith(f"[{stop_at}/"):
            os.killpg(process.pid, signal.SIGINT)


def _memory(pid):
    """Returns the MB of a process, and those of it with all that it started."""
    own, together = 0.0, 0.0
    with contextlib.suppress(psutil.Error):
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        own = family[0].memory_info().rss / 1e6
        for one in family:
            with contextlib.suppress(psutil.Error):
                together += one.memory_full_info().pss / 1e6  # what is shared counts once
    return own, together


# classes


def write_whole(folder, n):
    """Writes n whole hand-ins, each another student's."""
    kinds = WHOLE[:n]
    made = hand_ins.write_class(folder, kinds)
    for k in range(len(kinds), n):
        with zipfile.ZipFile(made[kinds[k % len(kinds)]]) as archive:
            files = {name: archive.read(name) for name in archive.namelist()}
        manifest = json.loads(files[MANIFEST]) | {"name": f"Student {k}"}
        hand_ins.zipped(folder / f"{k}.zip", files | {MANIFEST: json.dumps(manifest).encode()})


def write_closed(folder, n):
    """Writes n files that are no archive."""
    for k in range(n):
        (folder / f"{k}.rar").write_text(f"{k}")


def keep_graded(folder, out, n):
    """Writes n files, and complete evidence of each, as if they had been graded."""
    write_closed(folder, n)
    shelf = Shelf(out, Course(find_wall()))
    for k in range(n):
        path = folder / f"{k}.rar"
        place = shelf.folder(path, digest_of(path))
        clear(place)
        keep_evidence(place, another(f"Student {k}"))


# what is measured


def measure_whole(n, jobs):
    """Returns the Run over whole hand-ins, seconds by part, and MB kept of each."""
    with tempfile.TemporaryDirectory() as made:
        given, out = Path(made, "in"), Path(made, "out")
        given.mkdir()
        write_closed(given, 1)
        call(given, out, 1)  # reads the reference run, once a folder of pages
        write_whole(given, n)
        run = call(given, out, jobs)
        parts = [json.loads(path.read_text()) for path in out.glob("evidence/*/seconds.json")]
        parts = [one for one in parts if "replay" in one]
        size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    by_part = {part: sum(one[part] for one in parts) / len(parts) for part in parts[0]}
    return run, by_part, size / 1e6 / n


def measure_stopped(n, jobs):
    """Returns the Runs over files that cannot be opened: stopped at the half, and gone on with."""
    with tempfile.TemporaryDirectory() as made:
        given, out = Path(made, "in"), Path(made, "out")
        given.mkdir()
        write_closed(given, n)
        return call(given, out, jobs, stop_at=n // 2), call(given, out, jobs)


def measure_kept(n):
    """Returns the Run over a class that is graded, whose pages are made, and the one after it."""
    with tempfile.TemporaryDirectory() as made:
        given, out = Path(made, "in"), Path(made, "out")
        given.mkdir()
        keep_graded(given, out, n)
        return call(given, out, 1), call(given, out, 1)


def measure(whole, many, jobs):
    """Returns all figures, plain values."""
    run, parts, size = measure_whole(whole, jobs)
    stopped, rest = measure_stopped(many, jobs)
    fewer, _again = measure_kept(many // 10)
    pages, again = measure_kept(many)
    runs = dict(whole=run, stopped=stopped, rest=rest, fewer=fewer, pages=pages, again=again)
    machine = f"{cores()} cores of {platform.processor() or platform.machine()}"
    told = {name: one._asdict() for name, one in runs.items()}
    counts = dict(n_whole=whole, n_many=many, jobs=jobs, machine=machine)
    return told | counts | dict(parts=parts, size=size)


def render(told):
    """Returns {block of the page: text} of all figures."""
    run, n = told["whole"], told["n_whole"]
    rows = [(part, f"{seconds:.1f}") for part, seconds in told["parts"].items()]
    sentence = (
        f"{n} whole hand-ins, {told['jobs']} at a time, on {told['machine']}: "
        f"{60 * n / run['seconds']:.2f} a minute, {run['busy'] / n:.0f} core seconds each; the "
        f"command held {run['memory']:.0f} MB, and {run['together']:.0f} MB with all that it "
        f"started. Of each hand-in {told['size']:.1f} MB of evidence and pages are kept."
    )
    texts = {"whole": f"{sentence}\n\n{report.table(['part', 'seconds'], rows)}"}
    return texts | {"many": _render_many(told), "cost": _render_cost(told)}


def _render_many(told):
    n = told["n_many"]
    called = {
        "stopped": f"{n:,} that cannot be opened, stopped at the half",
        "rest": "the same, gone on with",
        "fewer": f"{n // 10:,} that are graded, their pages made",
        "pages": f"{n:,} that are graded, their pages made",
        "again": "the same, once more",
    }
    rows = [
        (text, told[name]["graded"], f"{told[name]['seconds']:.0f}", f"{told[name]['memory']:.0f}")
        for name, text in called.items()
    ]
    return report.table(["hand-ins", "with evidence at the end", "seconds", "MB held"], rows)


def _render_cost(told):
    run, n, many = told["whole"], told["n_whole"], told["n_many"]
    fewer, pages = told["fewer"], told["pages"]
    each = (pages["memory"] - fewer["memory"]) / (many - many // 10)  # MB
    hours, busy = run["seconds"] / n * CLASS / 3600, run["busy"] / n * CLASS / 3600
    return (
        f"{CLASS:,} whole hand-ins at this pace: {hours:,.0f} hours here, {busy:,.0f} core hours "
        f"on a cluster, {told['size'] * CLASS / 1e3:,.0f} GB of evidence and pages. A graded "
        f"hand-in adds {1e3 * each:.0f} kB to what the command holds, so "
        f"{pages['memory'] + each * (CLASS - many):,.0f} MB for all of them, and their pages take "
        f"{pages['seconds'] / many * CLASS / 60:,.0f} minutes, once."
    )


def main():
    """Measures, writes, and prints the tables."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--whole", type=int, default=30, help="whole hand-ins (%(default)s)")
    options.add_argument("--many", type=int, default=1000, help="others (%(default)s)")
    options.add_argument("--jobs", type=int, default=cores(), help="at a time (%(default)s)")
    options.add_argument("--print", action="store_true", help="print, and write nothing")
    given = options.parse_args()
    told = measure(given.whole, given.many, given.jobs)
    texts = render(told)
    if not given.print:
        FIGURES.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
        report.fill(PAGE, texts)
    print(*texts.values(), sep="\n\n")


if __name__ == "__main__":
    main()
