"""Pages that a grader judges on: of a student, of the class, and of one part over all students.

Each is one file that asks for no other: pictures and videos are inside, and a page runs no script
but the class's own. Texts of students are shown as text.
"""

import base64
import functools
import hashlib
import os
import re
import stat
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import mistune
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from grading.check import TASKS
from grading.marking import drawings
from grading.marking.exports import Delivered
from grading.marking.likeness import REFERENCE
from grading.marking.shelf import read_evidence
from grading.marking.verdict import Verdict, form_of
from languages import N_, SOURCE, _, chosen, grouped, languages, ngettext
from lesson.assignment import title
from lesson.pictures import CAPTIONS

__all__ = [
    "PARTS",
    "Entry",
    "class_page",
    "count_pages",
    "feedback",
    "student",
    "task",
    "task_file",
]

PARTS = (*TASKS, "curves", "videos", "pictures", "comments")  # a task page each
TEMPLATES = Path(__file__).parent / "templates"
SCORE = "Episodes/reward_mean_100"
PER_PAGE = 200  # hand-ins on a page of a task
LARGEST_PAGE = 40_000_000  # bytes of pictures and videos inside one page
LONGEST_MARKDOWN = 10_000  # characters; a longer text is shown as it is
KINDS = {  # suffix: MIME type, first bytes, how many bytes stand before these
    ".png": ("image/png", b"\x89PNG", 0),
    ".jpg": ("image/jpeg", b"\xff\xd8\xff", 0),
    ".mp4": ("video/mp4", b"ftyp", 4),
}
CODES = (  # of marks, flags and parts, as tables hold them
    *(N_("for the grader"), N_("superseded"), N_("late"), N_("overruled"), N_("archive")),
    *(N_("checks"), N_("helpers"), N_("score"), N_("curves"), N_("weights"), N_("replay")),
    *(N_("videos"), N_("film"), N_("pictures"), N_("comments"), N_("notebook"), N_("code")),
    *(N_("manifest"), N_("alike"), REFERENCE),
)
NUMBER = re.compile(r"\b\d+([.,]\d+|\s\d{3}\b)*\b")  # whatever sets its thousands apart
WRITTEN_IN = re.compile(r"(data:[\w/+.-]{1,40})[;,][^)\s\"'>]{100,}")  # a whole picture
STEERS = re.compile(  # characters without a shape of their own, or that turn what stands beside
    "[\0-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ud800-\udfff\ufff9-\ufffb\U000e0000-\U000e0fff]"
)


class Entry(NamedTuple):
    """A hand-in, as the pages over several of them need it."""

    slug: str  # of its own page: students/<slug>.html
    folder: Path  # of the files that the evidence names
    evidence: dict
    verdict: Verdict
    alike: list  # of likeness.Alike
    delivered: Delivered | None = None  # where it came from

    def whole(self):
        """Returns the evidence with what the shelf alone holds of it."""
        return {**self.evidence, **(read_evidence(self.folder) or {})}


def student(evidence, folder, verdict, assignment):
    """Returns the page of one hand-in, which names no other.

    Args:
        evidence: The hand-in's.
        folder: Of the files that the evidence names.
        verdict: The hand-in's.
        assignment: The course's Assignment.
    """
    return _page(
        "student.html", assignment, e=evidence, verdict=verdict, name=_name(evidence),
        embed=_Files(LARGEST_PAGE), folder=folder,
    )  # fmt: skip


def feedback(evidence, verdict, reasons, assignment):
    """Returns the page that goes back to a student, of some kilobytes.

    Args:
        evidence: The hand-in's.
        verdict: The hand-in's, with points.
        reasons: Those of the verdict that the student may see.
        assignment: The course's Assignment.
    """
    told = dict(verdict=verdict, reasons=reasons, name=_name(evidence))
    return _page("feedback.html", assignment, e=evidence, **told)


def class_page(entries, assignment):
    """Returns the page of the class: its table, its scores, what recurs, who is alike with whom.

    Args:
        entries: An Entry each, in any order.
        assignment: The course's Assignment.
    """
    entries = sorted(entries, key=lambda entry: _name(entry.evidence).casefold())
    scores = [run["counted"] for entry in entries if (run := _run(entry.evidence))]
    return _page(
        "class.html", assignment, entries=entries, parts_there=PARTS,
        rules=_rules(assignment.marks), scores=[score for score in scores if score is not None],
        counts=_count_marks(entries), flags=_flags(entries), failures=_failures(entries),
        pairs=_pairs(entries),
    )  # fmt: skip


def task(part, entries, seed, assignment, page=1):
    """Returns a page of one part over all hand-ins, without names, in an order drawn by a seed.

    A hand-in that comes later leaves the order of the others as it is.

    Args:
        part: One of PARTS.
        entries: An Entry each.
        seed: Any text or number.
        assignment: The course's Assignment.
        page: Which one; each holds PER_PAGE hand-ins at most.
    """
    there = _drawn(entries, seed)
    first = (page - 1) * PER_PAGE
    return _page(
        "task.html", assignment, part=part, entries=there[first : first + PER_PAGE],
        embed=_Files(LARGEST_PAGE), first=first, n=len(there), page=page,
        pages=range(1, 1 + count_pages(entries)), is_task=part in TASKS,
        results=_results(part, there) if part in TASKS else {},
    )  # fmt: skip


def _drawn(entries, seed):
    """Returns the entries that pages of tasks show, in the order that a seed draws."""
    there = [entry for entry in entries if not entry.evidence["problem"]]
    return sorted(there, key=lambda entry: _digest(f"{seed} {entry.evidence['digest']}"))


def count_pages(entries):
    """Returns how many pages each task has."""
    n = sum(not entry.evidence["problem"] for entry in entries)
    return max(1, -(-n // PER_PAGE))


def task_file(part, page):
    """Returns the name of a page of `task`."""
    return f"{part}.html" if page == 1 else f"{part}-{page}.html"


# what the templates are given


def _page(template, assignment, **given):
    style, script = (_text(name) for name in ("style.css", "sort.js"))
    told = dict(style=style, script=script, marks=list(assignment.marks))
    told |= dict(game=title(assignment.game), language=_language())
    return _environment().get_template(template).render(assignment=assignment, **told, **given)


@functools.cache
def _environment():
    made = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        loader=FileSystemLoader(TEMPLATES),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= dict(
        whole=_whole, link=_link, markdown=_markdown, hash=_hash, day=_day, shown=_shown, said=_said
    )
    made.globals |= dict(
        _=_, ngettext=ngettext, grouped=grouped, form_of=form_of, captions=CAPTIONS,
        score_tag=SCORE, tasks=TASKS, drawings=drawings, name_of=_name, lms_of=_lms, run_of=_run,
        modes_of=_modes, axis_of=_axis, curve_of=_curve, code_of=_code, task_file=task_file,
    )  # fmt: skip
    return made


def _language():
    """Returns the language that the words are in."""
    return chosen() if chosen() in languages() else SOURCE


def _text(name):
    return Markup((TEMPLATES / name).read_text(encoding="utf-8"))


def _shown(value):
    """Returns a text with marks for characters that would hide or turn what stands there."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    value = value.replace("\r\n", "\n").replace("\r", "\n")
    return STEERS.sub(lambda found: f"⟨U+{ord(found[0]):04X}⟩", value)


def _hash(text):
    """Returns what a content security policy knows a style or a script by."""
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


def _said(code):
    """Returns a mark, a flag or a part as people read it."""
    return _(code) if code in CODES else code


def _whole(number):
    if number is None:
        return "–"
    return grouped(number, ".0f") if abs(number) < 1e12 else f"{number:.3g}"


def _day(packed):
    return packed[:16].replace("T", " ")


def _link(text):
    return quote(text, safe="")


def _digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


# of one hand-in


def _name(evidence):
    """Returns how a hand-in is called: by its student's name, or else by its file's."""
    named = (evidence.get(key, {}).get("name", "").strip() for key in ("manifest", "lms"))
    return next(filter(None, named), evidence["file"])


def _lms(evidence):
    """Returns what the course's system calls a student, "" where there is none."""
    lms = evidence.get("lms", {})
    told = [lms.get("system", ""), lms.get("name", ""), lms.get("owner", "")]
    return " · ".join(filter(None, told))


def _run(evidence):
    """Returns the run that counts, None where there is none."""
    curves = evidence.get("curves", {"runs": []})
    return curves["runs"][curves["chosen"]] if curves["runs"] else None


def _modes(evidence):
    """Returns what was replayed: {"sampled" or "greedy": its scores and what follows from them}."""
    replay = evidence.get("replay", {})
    played = {mode: replay.get(mode) for mode in ("sampled", "greedy")}
    return {mode: one for mode, one in played.items() if one and one["scores"]}


def _axis(evidence, marks):
    """Returns the axis that the score's curve and the replay share."""
    scores = [score for played in _modes(evidence).values() for score in played["scores"]]
    curve = _curve(evidence, SCORE) or {"values": []}
    return drawings.axis_of([*scores, *curve["values"]], marks)


def _curve(evidence, tag):
    """Returns the points of a curve, None where there are none that can be drawn."""
    points = evidence["curves"]["points"].get(tag, {"steps": []})
    return points if points["steps"] and len(points["steps"]) == len(points["values"]) else None


def _code(evidence, task):
    """Returns the cells that define a task's class."""
    defines = re.compile(rf"^[ \t]*class {task}\b", re.MULTILINE)
    cells = evidence["notebook"]["cells"]
    return [one for one in cells if one["kind"] == "code" and defines.search(one["source"])]


# of several


def _rules(marks):
    """Returns which score earns how many points, as people list it."""
    told = []
    for least, n in marks.items():
        rule = ngettext(
            "{points:g} point from {least} on", "{points:g} points from {least} on", form_of(n)
        )
        told.append(rule.format(points=n, least=least))
    return ", ".join(told)


def _count_marks(entries):
    """Returns {mark: number of hand-ins}, those for the grader first, then the highest."""
    marks = [entry.verdict.mark for entry in entries]
    points = {entry.verdict.mark: entry.verdict.points for entry in entries}
    order = sorted(points, key=lambda mark: (points[mark] is not None, -(points[mark] or 0)))
    return {mark: marks.count(mark) for mark in order}


def _flags(entries):
    """Returns {flag: entries}, the most frequent first."""
    return _grouped((flag, entry) for entry in entries for flag in entry.verdict.flags)


def _failures(entries):
    """Returns {(task, message without its numbers): entries}, the most frequent first."""
    return _grouped(
        ((task, NUMBER.sub("…", told["message"])), entry)
        for entry in entries
        for task, told in entry.evidence.get("checks", {"tasks": {}})["tasks"].items()
        if told["result"] != "passed"
    )


def _grouped(pairs):
    groups = {}
    for key, entry in pairs:
        groups.setdefault(key, []).append(entry)
    return dict(sorted(groups.items(), key=lambda group: -len(group[1])))


def _pairs(entries):
    """Returns (entry, the other's entry or None, Alike) of what is alike, each pair once."""
    called = {_called(entry.evidence): entry for entry in entries}
    found = {}
    for name, entry in called.items():
        for alike in entry.alike:
            pair = (alike.part, alike.how, frozenset((name, alike.other)))
            found.setdefault(pair, (entry, called.get(alike.other), alike))
    return [*found.values()]


def _called(evidence):
    """Returns how `likeness` calls a hand-in."""
    name, file = _name(evidence), evidence["file"]
    return file if name == file else f"{name} ({file})"


def _results(task, entries):
    """Returns {result: number of hand-ins} of one check."""
    told = [entry.evidence["checks"]["tasks"].get(task, {}).get("result", "") for entry in entries]
    return {result: told.count(result) for result in ("passed", "failed", "not reached")}


# files and texts of students


class _Files:
    """Pictures and videos as data: URIs, as long as there is room in the page."""

    def __init__(self, room):
        self._room = room

    def __call__(self, folder, name):
        """Returns a file's URI, "" where it is of no known kind or there is no room."""
        mime, first, at = KINDS.get(Path(name).suffix, ("", b"", 0))
        is_plain = mime and Path(name).name == name
        content = _read(Path(folder) / name, self._room) if is_plain else b""
        if not content or content[at : at + len(first)] != first:
            return ""
        self._room -= len(content)
        return f"data:{mime};base64,{base64.b64encode(content).decode()}"


def _read(path, most):
    """Returns what a regular file holds, nothing of any other and of a larger one."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    try:
        file = os.open(path, flags)
    except OSError:
        return b""
    try:
        held = os.fstat(file)
        whole = stat.S_ISREG(held.st_mode) and held.st_size <= most
        return os.read(file, held.st_size) if whole else b""
    finally:
        os.close(file)


class _Renderer(mistune.HTMLRenderer):
    """Markdown without links, pictures and headings: these are the page's own."""

    def link(self, text, url, title=None):
        return f"{text} ({escape(url)})"

    def image(self, text, url, title=None):
        return f"{text} ({escape(url)})"

    def heading(self, text, level, **attributes):
        return f'<p class="heading">{text}</p>\n'

    def block_code(self, code, info=None):
        return f"<pre>{escape(code)}</pre>\n"

    def block_math(self, text):
        return f"<pre>{escape(text)}</pre>\n"

    def inline_math(self, text):
        return f"<code>{escape(text)}</code>"

    def table_cell(self, text, align=None, head=False):
        return f"<th scope=col>{text}</th>\n" if head else f"<td>{text}</td>\n"


_RENDER = mistune.create_markdown(renderer=_Renderer(escape=True), plugins=["table", "math"])


def _markdown(text):
    """Returns a student's Markdown as HTML that has no links and asks for nothing."""
    text = _shown(WRITTEN_IN.sub(r"\1", text))
    if len(text) > LONGEST_MARKDOWN:
        return Markup("<pre>{}</pre>").format(text)
    return Markup(_RENDER(text))
