"""How Moodle and Canvas lay out the sheets that they hand out to be filled in.

Moodle's is the offline grading worksheet (`mod/assign/gradingtable.php`, read again by
`mod/assign/feedback/offline`). Its words are in the language of whoever downloaded it: they stand
in `moodle.json` as in Moodle's language packs. Canvas' is the gradebook
(`lib/gradebook_exporter.rb`, read again by `lib/gradebook_importer.rb`).
"""

import json
import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

from languages import _

__all__ = ["Layout", "Row", "SheetError", "layout_of", "moodle_words", "number_of"]

WORDS = Path(__file__).with_name("moodle.json")
NEEDED = ("id", "grade", "most", "modified")  # without `most`, grades are words of a scale
ASSIGNMENT = re.compile(r"(?P<title>.*)\s\((?P<id>\d+)\)", re.DOTALL)
CLOSED = {"EX": _("excused there"), "N/A": _("not assigned to this student there")}


class SheetError(ValueError):
    """A sheet cannot be filled in; the message says what was found, and the mend."""


class Row(NamedTuple):
    """A student's row of a sheet."""

    at: int  # index of the row
    owner: str  # the student's number
    name: str  # "" where the sheet does not tell
    team: str  # "" where students hand in each alone
    most: float | None  # points that can be given
    closed: str  # why nothing can be written, "" where it can


class Layout(NamedTuple):
    """Where a sheet holds what."""

    system: str  # "Moodle" or "Canvas"
    rows: list  # of Row
    grade: int  # index of the column
    comment: int | None  # index of the column, None where the sheet has none
    comma: bool  # whether it writes 8,5


def layout_of(rows, name, column=""):
    """Returns the Layout of a sheet.

    Args:
        rows: Lists of texts, the header first.
        name: The sheet's, for messages.
        column: Which of a gradebook's columns is meant, by its header, its title or its number.

    Raises:
        SheetError: If it is no such sheet, or the column cannot be told.
    """
    header = [cell.strip() for cell in rows[0]] if rows else []
    if "ID" in header and "Section" in header:
        return _canvas(rows, header, name, column)
    if column:
        text = _("{sheet} is no gradebook of Canvas: leave --column out")
        raise SheetError(text.format(sheet=name))
    return _moodle(rows, header, name)


def number_of(text):
    """Returns the number in a cell, None where there is none."""
    try:
        return float(text.strip().replace(",", "."))
    except ValueError:
        return None


@cache
def moodle_words():
    """Returns {what: its names in all languages}: of columns, of "no" and of "participant"."""
    known = {}
    for words in json.loads(WORDS.read_text(encoding="utf-8")).values():
        for what, names in words.items():
            known.setdefault(what, []).extend(names)
    return known


def _moodle(rows, header, name):
    at = _moodle_columns(header)
    if missing := [moodle_words()[what][0] for what in NEEDED if what not in at]:
        text = _(
            "{sheet} has no column {missing}; it has: {found}. Expected: Moodle's grading "
            "worksheet in English or Russian, of an assignment graded in points, or Canvas' "
            "gradebook, as it was downloaded"
        )
        told = dict(missing=", ".join(missing), found=", ".join(header))
        raise SheetError(text.format(sheet=name, **told))
    told = [_moodle_row(k, row, at) for k, row in enumerate(rows) if k and len(row) == len(header)]
    comma = any("," in row[at["most"]] for row in rows[1:] if len(row) == len(header))
    return Layout("Moodle", [row for row in told if row], at["grade"], at.get("comment"), comma)


def _moodle_columns(header):
    """Returns {what: index of its column}; fields of profiles, of any name, precede the status."""
    words, at = moodle_words(), {}
    status = max(
        (k for k, cell in enumerate(header) if _is_one_of(cell, words["status"])), default=0
    )
    early = {"id", "name"} if status else words.keys() - {"team"}
    for k, cell in enumerate(header):
        for what, names in words.items():
            if (k >= status > 0 or what in early) and what not in at and _is_one_of(cell, names):
                at[what] = k
    return at


def _is_one_of(text, names):
    return text.casefold() in (name.casefold() for name in names)


def _moodle_row(k, row, at):
    """Returns a Row; "Participant 12" and "Участник12" hold the number 12."""
    number = re.search(r"\d+$", row[at["id"]].strip())
    cells = {what: row[at[what]].strip() if what in at else "" for what in ("name", "team", "open")}
    closed = _("locked there") if _is_one_of(cells["open"], moodle_words()["no"]) else ""
    most = number_of(row[at["most"]])
    return Row(k, number[0], cells["name"], cells["team"], most, closed) if number else None


def _canvas(rows, header, name, column):
    at = header.index("ID")
    points = next((row for row in rows if row and row[0].strip() == "Points Possible"), None)
    grade = _canvas_column(header, points, name, column)
    most = number_of(points[grade]) if points else None
    told = [
        _canvas_row(k, row, at, row[grade].strip(), most)
        for k, row in enumerate(rows)
        if k and len(row) == len(header) and row[at].strip().isdecimal()
    ]
    comma = bool(points) and "," in points[grade]
    return Layout("Canvas", told, grade, None, comma)


def _canvas_row(k, row, at, old, most):
    name = " ".join(row[:at]).strip()  # in one column, or the last name and the first
    return Row(k, row[at].strip(), name, "", most, CLOSED.get(old, ""))


def _canvas_column(header, points, name, column):
    """Returns the index of the assignment's column: what Canvas computes itself has no points."""
    after = header.index("Section")
    open_ = {
        k: match
        for k, cell in enumerate(header)
        if k > after
        and (match := ASSIGNMENT.fullmatch(cell))
        and (points is None or number_of(points[k]) is not None)
    }
    asked = column.strip().casefold()
    chosen = [
        k
        for k, match in open_.items()
        if not asked or asked in (match[0].casefold(), match["title"].casefold(), match["id"])
    ]
    if len(chosen) == 1:
        return chosen[0]
    text = _("{sheet}: name one of these with --column: {columns}")
    listed = "; ".join(match[0] for match in open_.values()) or _("none")
    raise SheetError(text.format(sheet=name, columns=listed))
