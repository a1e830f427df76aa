"""What is known of all hand-ins, little of each, and the pages and the table over them.

Evidence stays on the shelf and is read one hand-in at a time, so that memory does not grow with
what a class hands in.
"""

import hashlib
import itertools
import os
import re
import sys
import time

from grading.marking import pages, table
from grading.marking.evidence import assignment_of
from grading.marking.likeness import Likeness
from grading.marking.releases import HERE
from grading.marking.shelf import FILE, grader_version
from grading.marking.verdict import decide, superseded
from languages import chosen

__all__ = ["Register"]

LARGE = {  # what only the pages show that read evidence again, and what is compared
    "curves": {"points": {}},
    "weights": {"sketch": []},
    "comments": {"text": ""},
    "notebook": {"cells": [], "shapes": {}, "phrases": []},
}
SELDOM = 20  # times as long as the pages of the class took, they are left as they are
AT_LEAST = 30.0  # seconds between two of them


class Register:
    """Hand-ins with evidence, in order."""

    def __init__(self, hand_ins, folders, out, course, reference):
        """Starts with none.

        Args:
            hand_ins: {path: its `exports.Delivered`}.
            folders: {path: the folder of its evidence}.
            out: The folder of pages.
            course: An `evidence.Course`.
            reference: As in `likeness.Likeness`.

        Raises:
            TableError: If the table of an earlier call cannot be used.
        """
        self._hand_ins, self._folders, self._out, self._course = hand_ins, folders, out, course
        self._places = {path: place for place, path in enumerate(hand_ins)}
        self._files = dict(zip(hand_ins, _names(hand_ins), strict=True))
        self._known = {}  # path: evidence without what is LARGE
        self._expected = set()  # folders of evidence to come
        self._likeness = Likeness(reference)
        self._ruled = table.overruled(out / table.TABLE)
        self._again = 0.0  # the time from which on the pages of the class are made again

    def expect(self, paths):
        """Leaves pages as they are until evidence is entered: what they show is being removed."""
        self._expected = {self._folders[path] for path in paths}

    def enter(self, path, evidence):
        """Takes in the evidence of a hand-in, or other evidence of it."""
        self._expected.discard(self._folders[path])
        evidence = {**evidence, **_told_of(self._hand_ins[path], self._files[path])}
        self._likeness.put(self._places[path], evidence)
        self._known[path] = _small(evidence)

    def missing(self):
        """Returns the paths of those without evidence."""
        return [path for path in self._hand_ins if path not in self._known]

    def write_student(self, path):
        """Writes the page of a hand-in by what is known so far."""
        self._write_student(self._entry(path, self._newer().get(path, "")))

    def conclude_seldom(self):
        """Does what `conclude` does, for a small part of the time that grading takes."""
        if time.monotonic() >= self._again:
            began = time.monotonic()
            self.conclude()
            took = time.monotonic() - began
            self._again = began + took + max(AT_LEAST, SELDOM * took)

    def conclude(self):
        """Writes table, class page, and the page of each student of whom something changed.

        Returns:
            A list of `pages.Entry`.

        Raises:
            TableError: If the table cannot be used.
        """
        self._ruled = table.overruled(self._out / table.TABLE)
        newer = self._newer()
        entries = [self._entry(path, newer[path]) for path in self._order()]
        for entry in entries:
            self._write_student(entry)
        rows = (table.row(entry.evidence, entry.verdict, entry.alike) for entry in entries)
        table.write(self._out / table.TABLE, [*rows])
        _write(self._out / "index.html", pages.class_page(entries, HERE().assignment))
        return entries

    def write_tasks(self, entries):
        """Writes the pages of each part over all students, where something changed."""
        told = self._out / "tasks" / "made-of"
        made_of = hashlib.sha256(repr([chosen(), *map(_stamp, entries)]).encode()).hexdigest()
        if told.is_file() and told.read_text() == made_of:
            return
        for part, page in itertools.product(pages.PARTS, range(1, 1 + pages.count_pages(entries))):
            text = pages.task(part, entries, grader_version(), HERE().assignment, page)
            _write(self._out / "tasks" / pages.task_file(part, page), text)
        told.write_text(made_of)

    def _order(self):
        return [path for path in self._hand_ins if path in self._known]

    def _newer(self):
        """Returns {path: the file that counts in its place, "" where itself does}."""
        paths = self._order()
        newer = superseded([self._known[path] for path in paths])
        return dict(zip(paths, newer, strict=True))

    def _entry(self, path, newer):
        evidence, alike = self._known[path], self._likeness.of(self._places[path])
        assignment = assignment_of(evidence, self._course)
        own = self._ruled.get(table.key(evidence))
        verdict = decide(evidence, alike, assignment, own, newer)
        slug, folder = _slug(path, evidence), self._folders[path]
        return pages.Entry(slug, folder, evidence, verdict, alike, self._hand_ins[path])

    def _write_student(self, entry):
        """Writes the page of a hand-in, where it is not there as it must be and can be made."""
        if entry.folder in self._expected:
            return
        assignment = assignment_of(entry.evidence, self._course)
        made_of = repr((entry.verdict, assignment, chosen(), entry.evidence.get("lms")))
        made_of = hashlib.sha256(made_of.encode()).hexdigest()
        page = self._out / "students" / f"{entry.slug}.html"
        told = entry.folder / f"page-{entry.slug}"  # of each hand-in with this evidence
        if not (page.is_file() and told.is_file() and told.read_text() == made_of):
            shown = pages.student(entry.whole(), entry.folder, entry.verdict, assignment)
            _write(page, shown)
            told.write_text(made_of)


def _stamp(entry):
    """Returns what tells one state of a hand-in on the pages of tasks from another."""
    changed = os.stat(entry.folder / FILE).st_mtime_ns
    return entry.slug, entry.evidence["file"], entry.folder.name, changed


def _small(evidence):
    """Returns evidence without what is large; equal keys are one text in memory."""
    kept = {key: {**one, **LARGE[key]} if key in LARGE else one for key, one in evidence.items()}
    if "curves" in kept:
        kept["curves"]["runs"] = [{**run, "floats": []} for run in kept["curves"]["runs"]]
    if "checks" in kept:
        helpers = [{"name": one["name"]} for one in kept["checks"]["helpers"]]
        kept["checks"] = {**kept["checks"], "helpers": helpers}
    return _interned(kept)


def _interned(value):
    if isinstance(value, dict):
        return {sys.intern(key): _interned(one) for key, one in value.items()}
    return [_interned(one) for one in value] if isinstance(value, list) else value


def _names(paths):
    """Returns what each hand-in is called: its path from the folder that holds them all."""
    top = os.path.commonpath([path.resolve().parent for path in paths] or [os.sep])
    return [path.resolve().relative_to(top).as_posix() for path in paths]


def _told_of(hand_in, name):
    """Returns what evidence holds of where a hand-in came from."""
    if not hand_in.system:
        return {"file": name}
    lms = {key: getattr(hand_in, key) for key in ("system", "owner", "name", "late")}
    return {"file": hand_in.place, "lms": lms}


def _slug(path, evidence):
    """Returns a name for a student's page, another one for each hand-in."""
    named = evidence.get("manifest", {}), evidence.get("lms", {})
    name = next((one["name"] for one in named if one.get("name")), path.stem)
    place = hashlib.sha256(str(path.resolve()).encode()).hexdigest()
    short = re.sub(r"[^\w-]+", "-", name)[:60].strip("-")
    return f"{short}-{place[:6]}"


def _write(path, text):
    """Writes a page whole, beside an older one, and then in its place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)
