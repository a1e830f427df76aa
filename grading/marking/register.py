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
from grading.marking.mapping import nfc
from grading.marking.releases import HERE
from grading.marking.shelf import FILE, grader_version
from grading.marking.verdict import decide, superseded
from languages import _, chosen

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

    def __init__(self, hand_ins, digests, folders, out, course, reference):
        """Starts with none.

        Args:
            hand_ins: {path: its `exports.Delivered`}.
            digests: {path: the SHA-256 of the hand-in, "" where it cannot be read}.
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
        told = {path: self._told_of(path) | {"digest": digests[path]} for path in hand_ins}
        self._keys = {path: table.key(each) for path, each in told.items()}
        self._ruled = table.overruled(out / table.TABLE, [*self._keys.values()])
        self._again = 0.0  # the time from which on the pages of the class are made again
        self._problem = ""  # with the table, that was told last

    def expect(self, paths):
        """Leaves pages as they are until evidence is entered: what they show is being removed."""
        self._expected = {self._folders[path] for path in paths}

    def enter(self, path, evidence):
        """Takes in the evidence of a hand-in, or other evidence of it."""
        self._expected.discard(self._folders[path])
        evidence = {**evidence, **self._told_of(path)}
        self._likeness.put(self._places[path], evidence)
        self._known[path] = _small(evidence)
        self._keys[path] = table.key(evidence)

    def called(self, path):
        """Returns what the table calls a hand-in: its file, and its student's names and number."""
        told, known = self._told_of(path), self._known.get(path, {})
        lms = told.get("lms", {})
        names = [lms.get("name", ""), lms.get("owner", "")]
        return [told["file"], *names, known.get("manifest", {}).get("name", "")]

    def missing(self):
        """Returns the paths of those without evidence."""
        return [path for path in self._hand_ins if path not in self._known]

    def write_student(self, path):
        """Writes the page of a hand-in by what is known so far."""
        self._write_student(self._entry(path, self._newer().get(path, "")))

    def conclude_seldom(self, tell):
        """Does what `conclude` does, for a small part of the time that grading takes.

        A table that cannot be used at the moment is told of, once, and ends nothing.
        """
        if time.monotonic() >= self._again:
            began, problem = time.monotonic(), ""
            try:
                self.conclude()
            except table.TableError as e:
                problem = _("{problem} (grading goes on meanwhile)").format(problem=e)
            if problem not in ("", self._problem):
                tell(problem)
            self._problem = problem
            took = time.monotonic() - began
            self._again = began + took + max(AT_LEAST, SELDOM * took)

    def conclude(self):
        """Writes table, class page, and the page of each student of whom something changed.

        Returns:
            A list of `pages.Entry`.

        Raises:
            TableError: If the table cannot be used.
        """
        file = self._out / table.TABLE
        self._ruled = table.overruled(file, [*self._keys.values()])
        newer = self._newer()
        entries = [self._entry(path, newer[path]) for path in self._order()]
        for entry in entries:
            self._write_student(entry)
        rows = (table.row(entry.evidence, entry.verdict, entry.alike) for entry in entries)
        table.write(file, [*rows], [self._keys[path] for path in self.missing()])
        _write(self._out / "index.html", pages.class_page(entries, HERE().assignment))
        return entries

    def write_tasks(self, entries):
        """Writes the pages of each part over all students, where something changed."""
        told = self._out / "tasks" / "made-of"
        made_of = hashlib.sha256(repr([chosen(), *map(_stamp, entries)]).encode()).hexdigest()
        if told.is_file() and told.read_text() == made_of:
            return
        for part, page in _tasks(entries):
            text = pages.task(part, entries, grader_version(), HERE().assignment, page)
            _write(self._out / "tasks" / pages.task_file(part, page), text)
        told.write_text(made_of)

    def tidy(self, entries):
        """Removes pages of the students and tasks that no entry has any more."""
        kept = {f"students/{entry.slug}.html" for entry in entries}
        kept |= {f"tasks/{pages.task_file(part, page)}" for part, page in _tasks(entries)}
        kept = {_as_found(name) for name in kept}
        for page in (*self._out.glob("students/*.html"), *self._out.glob("tasks/*.html")):
            if _as_found(f"{page.parent.name}/{page.name}") not in kept:
                page.unlink()

    def _told_of(self, path):
        """Returns what evidence holds of where a hand-in came from."""
        hand_in = self._hand_ins[path]
        if not hand_in.system:
            return {"file": self._files[path]}
        lms = {key: getattr(hand_in, key) for key in ("system", "owner", "name", "late")}
        return {"file": hand_in.place, "lms": lms}

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


def _tasks(entries):
    """Returns (part, page) of each page of `pages.task`."""
    return [*itertools.product(pages.PARTS, range(1, 1 + pages.count_pages(entries)))]


def _as_found(name):
    """Returns a file's name without what some disks change: capitals, and accents set apart."""
    return nfc(name).casefold()


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
