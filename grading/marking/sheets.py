"""Points and comments written into the sheet that a course's system handed out."""

import os
import re
import unicodedata
from typing import NamedTuple

from grading.marking.exports import Delivered, who
from grading.marking.layouts import SheetError, layout_of, moodle_words, number_of
from grading.marking.raw_csv import RawCsv
from languages import _, ngettext

__all__ = ["Filled", "Given", "SheetError", "fill", "read_sheet"]

NOT_GIVEN = ("", "-")  # what stands in a cell without a grade
UNSAFE = re.compile(r"""[\x00-\x1f\x7f-\x9f&<>"`|':\\/~]""")  # Moodle's clean_filename drops them


class Given(NamedTuple):
    """What a hand-in earned."""

    delivered: Delivered
    points: float | None  # None where a grader has to judge, or it is not graded yet
    comment: str = ""  # for the student, one line of HTML
    judged: bool = False  # a grader gave the points


class Filled(NamedTuple):
    """A sheet that was filled in."""

    system: str  # "Moodle" or "Canvas"
    holders: dict  # {path of a hand-in: Rows that hold its points now}
    lines: list  # what was not written and why


def fill(sheet, into, given, highest, column=""):
    """Writes points and comments into a copy of a sheet; every other cell stays as it is.

    A cell in which somebody wrote another grade or another comment is left, and named. So is
    whatever cannot be told for sure.

    Args:
        sheet: The sheet as it was downloaded.
        into: The copy's path.
        given: A Given for each hand-in.
        highest: The most points that a hand-in can earn by the rules.
        column: As in `layouts.layout_of`.

    Returns:
        A Filled.

    Raises:
        SheetError: If the sheet cannot be used.
    """
    if into.resolve() == sheet.resolve():
        text = _("{sheet} was written by this command: give the sheet as you downloaded it")
        raise SheetError(text.format(sheet=sheet))
    table, layout = read_sheet(sheet, column)
    matched, claimed, lines = _match(layout, given)
    holders = {}
    for one, rows in matched:
        held = [row for row in rows if _write(table, layout, row, one, lines)]
        holders |= {one.delivered.path: held} if held else {}
    part = into.with_suffix(".part")
    part.write_bytes(table.content())
    os.replace(part, into)
    lines += [*_on_scale(layout, highest), *_rest(layout, matched, claimed)]
    return Filled(layout.system, holders, [*dict.fromkeys(lines)])


def read_sheet(sheet, column=""):
    """Returns a sheet's cells, a `RawCsv`, and its `Layout`; arguments and errors as in `fill`."""
    if sheet is None:
        raise SheetError(_("--column names a column of --sheet: give the sheet too"))
    try:
        table = RawCsv(sheet.read_bytes(), sheet.name)
    except (OSError, ValueError) as e:
        raise SheetError(str(e)) from e
    return table, layout_of(table.rows, sheet.name, column)


# whose row is whose


def _match(layout, given):
    """Returns [(Given, Rows)] without a doubt, indices of all rows with a hand-in, and lines."""
    lines, matched, claims = [], [], {}
    for one in given:
        rows, line = _rows_of(one.delivered, layout)
        lines += [line] if line else []
        matched += [(one, rows)] if rows else []
        for row in rows:
            claims.setdefault(row.at, []).append(one)
    for several in claims.values():
        if len(several) > 1:
            doubtful, line = _doubtful(several)
            lines += [line] if line else []
            matched = [pair for pair in matched if pair[0] not in doubtful]
    return matched, {*claims}, lines


def _doubtful(several):
    """Returns which of several hand-ins for one row do not count, and a line that names them."""
    judged = [one for one in several if one.judged]
    if len(judged) == 1:
        return [one for one in several if one is not judged[0]], ""
    text = _(
        "{student}: several hand-ins have this number; nothing was written: {files}. Overrule one "
        "in grades.csv, or take the others out of the export."
    )
    files = ", ".join(one.delivered.place for one in several)
    return several, text.format(student=who(several[0].delivered), files=files)


def _rows_of(delivered, layout):
    """Returns the rows of a student or of a team, or none and why."""
    if not delivered.owner and not delivered.name:
        text = _("{file}: nothing tells whose hand-in it is; nothing was written")
        return [], text.format(file=delivered.place or delivered.path.name)
    teams = any(row.team for row in layout.rows)
    if teams:
        team = _team(delivered.name)
        rows = [row for row in layout.rows if row.team and _team(row.team) == team]
    else:
        rows = [row for row in layout.rows if row.owner == delivered.owner]
    line = _several(rows, delivered) if teams and rows else _why_not(rows, delivered)
    return ([], line) if line else (rows, "")


def _several(rows, delivered):
    """Returns a line where a file's name is that of several teams, "" where it is one team's."""
    teams = sorted({row.team for row in rows})
    if len(teams) == 1:
        return ""
    text = _(
        "{student}: in the sheet several teams may be called so: {names}; nothing was written. "
        "Rename one in Moodle."
    )
    return text.format(student=who(delivered), names=", ".join(teams))


def _team(name):
    """Returns a team's name as it is compared, without what Moodle drops in a file's name."""
    plain = UNSAFE.sub("", unicodedata.normalize("NFKC", name).casefold())
    return re.sub(r"[\s_]", "", re.sub(r"\.\.+", "", plain))


def _why_not(rows, delivered):
    """Returns why these are not a student's row, "" where they are."""
    if not rows:
        text = _("{student}: the sheet has no such row; nothing was written")
    elif len(rows) > 1:
        text = _("{student}: the sheet has several rows of this number; nothing was written")
    elif _names_differ(delivered, rows[0]):
        text = _(
            "{student}: in the sheet this is the number of {name}; nothing was written. Is it the "
            "sheet of this assignment?"
        )
    else:
        return ""
    name = rows[0].name if rows else ""
    return text.format(student=who(delivered), name=name)


def _names_differ(delivered, row):
    """Says whether both name somebody, and not the same; "Participant" is nobody's name."""
    blind = any(_same(delivered.name, word) for word in moodle_words()["participant"])
    return bool(delivered.name and row.name and not blind and not _same(row.name, delivered.name))


def _same(name, other):
    return _letters(name) == _letters(other)


def _letters(name):
    """Returns the letters of a name, sorted: "Lovelace, Ada" is "adalovelace" to Canvas' files."""
    plain = unicodedata.normalize("NFKC", name or "").casefold()
    return sorted(re.sub(r"[\W_]", "", plain))


def _called(row):
    return f"{row.name} ({row.owner})" if row.name else row.owner


# what is written


def _write(table, layout, row, one, lines):
    """Writes into one row what may be written; returns whether the row holds the points now."""
    if one.points is None:
        return False
    old, points = table.rows[row.at][layout.grade].strip(), f"{one.points:g}"
    if text := _refusal(row, one.points, old):
        told = dict(student=_called(row), points=points, old=old, most=row.most, why=row.closed)
        lines.append(text.format(**told))
        return False
    if old in NOT_GIVEN:
        text = points.replace(".", ",") if layout.comma else points
        table.put(row.at, layout.grade, text)
    if layout.comment is not None and one.comment:
        _write_comment(table, layout, row, one.comment, lines)
    return True


def _refusal(row, points, old):
    """Returns why no points are written, a text to be filled in, "" where they are."""
    if row.closed:
        return _("{student}: points not written ({points}): {why}")
    if row.most is not None and not 0 <= points <= row.most:
        return _("{student}: points not written ({points}): the sheet allows 0 to {most:g}")
    if old not in NOT_GIVEN and number_of(old) != points:
        return _(
            "{student}: points not written ({points}): the sheet holds the grade {old}. Empty "
            "the cell if it is to be replaced."
        )
    return ""


def _write_comment(table, layout, row, comment, lines):
    old = table.rows[row.at][layout.comment].strip()
    if not old:
        table.put(row.at, layout.comment, comment)
    elif old != comment:
        text = _("{student}: the sheet holds a comment already, which was left as it is")
        lines.append(text.format(student=_called(row)))


def _on_scale(layout, highest):
    """Yields a line where the sheet counts up to another number of points than the marks do."""
    for most in sorted({row.most for row in layout.rows} - {None, float(highest)}):
        text = _(
            "The sheet counts up to {most:g} points and the marks up to {highest:g}: points are "
            "written as they are."
        )
        yield text.format(most=most, highest=highest)


def _rest(layout, matched, claimed):
    """Yields lines on rows whose hand-in has no points, and on rows without a hand-in."""
    asking = [_called(row) for one, rows in matched if one.points is None for row in rows]
    left = [_called(row) for row in layout.rows if row.at not in claimed]
    if asking:
        text = ngettext(
            "{n} row is left, for its hand-in has no points yet: {names}",
            "{n} rows are left, for their hand-ins have no points yet: {names}",
            len(asking),
        )
        yield text.format(n=len(asking), names="; ".join(asking))
    if left:
        text = ngettext(
            "{n} row is left, for no hand-in is its own: {names}",
            "{n} rows are left, for no hand-in is theirs: {names}",
            len(left),
        )
        yield text.format(n=len(left), names="; ".join(left))
