"""What goes back to students: a page each without what only a grader sees, as the system takes it.

A student sees the points with their reasons, the grader's words, the score as claimed and as played
again, and the checks. A student does not see the seeds of hidden numbers and of the games, what is
alike with others, and by which traces curves, games and videos are compared.
"""

import html
import io
import os
import re
import zipfile

from grading.marking import pages, sheets
from grading.marking.evidence import assignment_of
from grading.marking.exports import who
from grading.marking.releases import HERE
from grading.marking.table import TABLE
from grading.marking.verdict import form_of
from languages import _, ngettext

__all__ = ["ARCHIVE", "comment_on", "hand_back", "shown"]

ARCHIVE = "feedback.zip"
PAGE = "feedback.html"
HIDDEN = {"alike", "curves", "replay", "videos"}  # what asks there tells how a copy is found


def hand_back(entries, left, out, course, sheet=None, column=""):
    """Writes `feedback.zip`, and the sheet with points and comments where there is one.

    Args:
        entries: A `pages.Entry` for each hand-in that is graded.
        left: A `Delivered` for each other.
        out: The folder of pages, which both are written to.
        course: An `evidence.Course`.
        sheet: The sheet that the system handed out.
        column: As in `layouts.layout_of`.

    Returns:
        Lines on what was left out and why.

    Raises:
        SheetError: If the sheet cannot be used.
    """
    silent = {entry.delivered.path: _names_another(entry, entries) for entry in entries}
    lines, filled = [*filter(None, silent.values())], None
    if sheet:
        given = [_given(entry, silent[entry.delivered.path]) for entry in entries]
        given += [sheets.Given(one, None) for one in left]
        highest = max(HERE().assignment.marks.values())
        filled = sheets.fill(sheet, _copy_of(sheet, out), given, highest, column)
        lines += filled.lines
    back = [entry for entry in entries if entry.verdict.points is not None]
    back = [entry for entry in back if not silent[entry.delivered.path]]
    return lines + _pack(out / ARCHIVE, back, filled, course)


def _copy_of(sheet, out):
    """Returns where the copy of a sheet goes, if it is no file of ours."""
    if sheet.name.casefold() in (TABLE, ARCHIVE):  # one file, where capitals do not count
        text = _("{sheet} is called as a file of this command: give it another name")
        raise sheets.SheetError(text.format(sheet=sheet.name))
    return out / sheet.name


def shown(verdict):
    """Returns the Reasons of a Verdict that its student may see."""
    return [one for one in verdict.reasons if one.kind != "asks" or one.part not in HIDDEN]


def comment_on(verdict):
    """Returns a Verdict with points as one line of HTML for its student."""
    points = ngettext("{points:g} point.", "{points:g} points.", form_of(verdict.points))
    said = ("overruled", "late")
    told = [one.text for one in shown(verdict) if one.kind == "earned" or one.part in said]
    text = " ".join([points.format(points=verdict.points), *told])
    return html.escape(" ".join(text.split()), quote=False)


def _given(entry, silent):
    verdict = entry.verdict
    comment = comment_on(verdict) if verdict.points is not None and not silent else ""
    return sheets.Given(entry.delivered, verdict.points, comment, "overruled" in verdict.flags)


def _names_another(entry, entries):
    """Returns a line where a grader's words to one student name another, "" where they do not."""
    words = " ".join(why.text for why in entry.verdict.reasons if why.part == "overruled")
    others = set().union(*map(_names, entries)) - _names(entry) if words else ()
    for name in sorted(others):
        if re.search(rf"\b{re.escape(name)}\b", words, re.IGNORECASE):
            text = _(
                "{student}: the reason in grades.csv names {other}; feedback was not written. "
                "Reword it, and run the command again."
            )
            return text.format(student=who(entry.delivered), other=name)
    return ""


def _names(entry):
    """Returns what a student is called, by the system and by the hand-in."""
    manifest = entry.evidence.get("manifest", {})
    names = {entry.delivered.name.strip(), manifest.get("name", "").strip()}
    return {name for name in names if len(name) > 2}


# the archive


def _pack(archive, back, filled, course):
    """Writes the archive of pages; returns lines on those that it does not hold."""
    places = {place: entry for entry in back for place in _places(entry.delivered, filled)}
    archive.unlink(missing_ok=True)
    if places:
        part = archive.with_suffix(".part")
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as package:
            for place, entry in places.items():
                package.writestr(place, _as_given(place, _page(entry, course)))
        os.replace(part, archive)
    text = _(
        "feedback.zip holds no pages for Moodle: they need --sheet, which alone tells a student's "
        "number from a team's"
    )
    unsure = not filled and any(entry.delivered.system == "Moodle" for entry in back)
    return [text] if unsure else []


def _places(delivered, filled):
    """Returns the names in the archive of a student's page, one for each member of a team."""
    if filled and filled.system == "Moodle":
        rows = filled.holders.get(delivered.path, [])
        return [_moodle_place(row.name or delivered.name, row.owner) for row in rows]
    is_held = filled is None or delivered.path in filled.holders
    if delivered.system in ("", "Moodle") or not is_held:
        return []
    is_zip = delivered.system == "Canvas" and delivered.place.lower().endswith(".zip")
    return [delivered.place if is_zip else f"{delivered.place}.html"]


def _moodle_place(name, owner):
    """Returns a name that Moodle takes: it parts it at "_", and reads the second part alone."""
    plain = re.sub(r"[\W_]+", " ", name).strip() or "Participant"
    return f"{plain}_{owner}_assignsubmission_file/{PAGE}"


def _as_given(place, page):
    """Returns a page, in a .zip where Canvas will show it under the name of the student's .zip."""
    if not place.endswith(".zip"):
        return page
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as package:
        package.writestr(PAGE, page)
    return held.getvalue()


def _page(entry, course):
    evidence, verdict = entry.whole(), entry.verdict
    assignment = assignment_of(evidence, course)
    return pages.feedback(evidence, verdict, shown(verdict), assignment).encode()
