"""From hand-ins to pages and a table: several at a time, each page as soon as it can be made."""

import contextlib
import functools
import time

from grading.marking import cluster
from grading.marking.evidence import gather, give_up
from grading.marking.exports import find_delivered
from grading.marking.pool import each
from grading.marking.reference import read_reference
from grading.marking.register import Register
from grading.marking.shelf import Shelf, digest_if_read, read_evidence
from languages import _, ngettext

__all__ = ["grade"]


def grade(
    paths, out, course, only="", failed=False, tell=lambda line: None, mapping=None, jobs=1, ray=""
):
    """Grades hand-ins; what is graded already and has not changed is taken as it is.

    The page of a hand-in is there as soon as it is graded, those of the class and the table now and
    then and at the end; stopped at any point, the same call goes on.

    Args:
        paths: Hand-ins, folders of them, and exports of a course's system.
        out: The folder of pages.
        course: An `evidence.Course`; without a secret it gets the one on the shelf.
        only: A part of what the table calls a hand-in, its file or its student's name or number:
            no other is collected.
        failed: Whether evidence with a problem in it is collected again, and no other.
        tell: Takes lines on the progress.
        mapping: As in `exports.find_delivered`.
        jobs: How many hand-ins are graded at a time.
        ray: Address of a Ray cluster that grades them all in place of this machine.

    Returns:
        A list of `pages.Entry`, and a list of `exports.Delivered` that are not graded yet.

    Raises:
        FileNotFoundError: If a path is not there or holds no hand-in.
        TableError: If the table of an earlier call cannot be used.
        ClusterError: If the cluster cannot be used.
    """
    hand_ins, unclear = find_delivered(paths, out, mapping)
    for line in unclear:
        tell(line)
    out.mkdir(parents=True, exist_ok=True)
    shelf = Shelf(out, course)
    course = course._replace(secret=course.secret or shelf.secret())
    digests = {path: digest_if_read(path) for path in hand_ins}
    folders = {path: shelf.folder(path, digest) for path, digest in digests.items()}
    register = Register(hand_ins, digests, folders, out, course, read_reference(shelf, course))
    wanted = _entered(register, hand_ins, folders, only, failed)
    register.expect(wanted)
    tell(_told(len(hand_ins), len(wanted)))
    progress = _Progress(hand_ins, len(wanted), tell)
    try:
        for path in _graded(shelf, wanted, folders, course, jobs, ray, progress.begins, tell):
            progress.ends()
            _take_in(register, _twins(path, folders), read_evidence(folders[path]))
            register.conclude_seldom(tell)
    finally:
        entries = register.conclude()
    register.write_tasks(entries)
    if not register.missing():
        register.tidy(entries)
    return entries, [hand_ins[path] for path in register.missing()]


def _entered(register, hand_ins, folders, only, failed):
    """Enters the hand-ins with evidence; returns the paths to be collected, one of twins."""
    wanted = {}
    for path in hand_ins:
        if evidence := read_evidence(folders[path]):
            register.enter(path, evidence)
        if _is_wanted(register.called(path), evidence, only, failed):
            wanted.setdefault(folders[path], path)
    return [*wanted.values()]


def _twins(path, folders):
    """Returns the paths of the hand-ins with the same evidence, as their bytes are equal."""
    return [twin for twin, folder in folders.items() if folder == folders[path]]


def _take_in(register, paths, evidence):
    """Enters hand-ins with one evidence and writes their pages."""
    for path in paths:
        register.enter(path, evidence)
    for path in paths:
        register.write_student(path)


def _graded(shelf, wanted, folders, course, jobs, ray, begins, tell):
    """Yields the paths of hand-ins, each when its evidence is on the shelf."""
    if ray or jobs > 1:  # even where one is left: games are played as when it was among others
        course = course._replace(threads=1)
    if ray:
        running = cluster.graded(wanted, folders, course, ray, begins)
    else:
        work = functools.partial(_collect, folders=folders, course=course)
        running = each(work, wanted, jobs, begins, tell)
    with contextlib.closing(running):
        for path, problem in running:
            told = ""
            # else the old file would have the new one's evidence
            if shelf.folder(path, digest_if_read(path)) != folders[path]:
                told = _("it changed while the class was graded: run this again with --failed")
            elif problem:
                told = _("the process that graded it ended: {problem}").format(problem=problem)
            if told:
                give_up(path, folders[path], course, told)
            yield path


def _told(n, m):
    told = ngettext("{n} hand-in, {m} to be graded", "{n} hand-ins, {m} to be graded", n)
    return told.format(n=n, m=m)


def _is_wanted(called, evidence, only, failed):
    if only.casefold() not in "\n".join(called).casefold():
        return False
    return evidence is None or (failed and _has_problem(evidence))


def _has_problem(evidence):
    """Says whether something of a hand-in could not be read, played or run to its end."""
    parts = [part for part in evidence.values() if isinstance(part, dict)]
    parts += evidence.get("videos", {}).get("files", [])
    broken = any(part.get("problem") or part.get("ended") for part in parts)
    return bool(evidence["problem"] or broken)


class _Progress:
    """How far a class is."""

    def __init__(self, hand_ins, n, tell):
        self._hand_ins, self._n, self._tell = hand_ins, n, tell
        self._started, self._begun, self._ended = time.monotonic(), 0, 0

    def begins(self, path):
        """Tells which hand-in is graded now, and how long all will take."""
        self._begun += 1
        hand_in = self._hand_ins[path]
        file = f"[{self._begun}/{self._n}] {hand_in.place or hand_in.path.name}"
        self._tell(self._with_minutes(file) if self._ended else file)

    def ends(self):
        """Counts a hand-in that is graded."""
        self._ended += 1

    def _with_minutes(self, file):
        left = (time.monotonic() - self._started) / self._ended * (self._n - self._ended)
        n = max(1, round(left / 60))
        told = ngettext("{file}, about {n} minute to go", "{file}, about {n} minutes to go", n)
        return told.format(file=file, n=n)


def _collect(path, tell, *, folders, course):
    gather(path, folders[path], course, tell)
