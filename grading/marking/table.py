"""The table of grades: spreadsheets open it, and in two of its columns a grader overrules.

Its columns and codes are English in every language, as programs read them.
"""

import collections
import csv
import io
import os

from languages import _, chosen, listed

__all__ = ["COLUMNS", "TABLE", "TableError", "key", "overruled", "read", "row", "write"]

TABLE = "grades.csv"
COLUMNS = [
    "name",
    "group",
    "file",
    "LMS name",
    "LMS id",
    "points",
    "mark by the rules",
    "overrule",  # a grader writes points here
    "reason",  # and here why
    "late",
    "flags",
    "alike with",
    "reward_mean_100",
    "played again",
    "digest",
]
A_GRADERS = ["overrule", "reason"]
NEEDED = ["file", "overrule", "reason", "digest"]
FORMULAS = ("=", "+", "-", "@")  # what a spreadsheet computes begins so
MOST_POINTS = 1000
CODE_PAGES = {"ru": "cp1251"}  # how Excel saves plain CSV, where it is not cp1252


class TableError(ValueError):
    """The table cannot be used; the message names the value, what was expected and the mend."""


def key(evidence):
    """Returns what tells a hand-in from all others, (digest, file), as the table writes it."""
    return evidence["digest"], _plain(evidence["file"])


def row(evidence, verdict, alike):
    """Returns what the table tells of one hand-in, {column: text}.

    Args:
        evidence: Of the hand-in.
        verdict: Its `verdict.Verdict`.
        alike: What is alike with others, a list of `likeness.Alike`.
    """
    manifest, lms = evidence.get("manifest", {}), evidence.get("lms", {})
    curves = evidence.get("curves", {"runs": []})
    counted = curves["runs"][curves["chosen"]]["counted"] if curves["runs"] else None
    games = evidence.get("replay", {}).get("sampled", {})
    return {
        "name": manifest.get("name", ""),
        "group": manifest.get("group", ""),
        "file": evidence["file"],
        "LMS name": lms.get("name", ""),
        "LMS id": lms.get("owner", ""),
        "points": "" if verdict.points is None else f"{verdict.points:g}",
        "mark by the rules": verdict.by_rules,
        "late": "late" if "late" in verdict.flags else "",
        "flags": ", ".join(verdict.flags),
        "alike with": "; ".join(f"{one.part}: {one.other}" for one in alike),
        "reward_mean_100": "" if counted is None else f"{counted:.0f}",
        "played again": f"{games['mean']:.0f}" if games.get("scores") else "",
        "digest": evidence["digest"],
    }


def write(path, rows, waiting=()):
    """Writes the table, or writes it anew: what a grader wrote into it is kept.

    Kept are points and reasons, columns that a grader added, and rows that a grader wrote into
    whose hand-in is gone.

    Args:
        path: The CSV file.
        rows: Of `row`, in order.
        waiting: The `key` of each hand-in that is there and not among `rows`; a row that it had
            stays.

    Raises:
        TableError: If another program holds the file open, or it is no such table any more.
    """
    old, delimiter = read(path) if path.exists() else ([], ",")
    added = [name for name in next(iter(old), {}) if name not in COLUMNS]
    text = io.StringIO(newline="")
    table = csv.DictWriter(text, COLUMNS + added, restval="", delimiter=delimiter)
    table.writeheader()
    rows = _beside(_by_key(old), rows, waiting, A_GRADERS + added)
    table.writerows({name: _plain(cell) for name, cell in each.items()} for each in rows)
    part = path.with_suffix(".part")
    part.write_bytes(text.getvalue().encode("utf-8-sig"))
    try:
        os.replace(part, path)
    except PermissionError as e:
        raise _held(path) from e


def overruled(path, keys):
    """Returns {`key` of a hand-in: (points, why)} of what a grader wrote, empty without a table.

    Args:
        path: The CSV file.
        keys: Of all hand-ins that are there.

    Raises:
        TableError: If a grader's points are no number, or this is no such table.
    """
    old = _by_key(read(path)[0]) if path.exists() else {}
    rows = {where: old[before] for where, before in _found(old, keys).items()}
    return {
        where: (_points(each, path.name), _as_typed(each["reason"]))
        for where, each in rows.items()
        if _judged(each)
    }


def read(path):
    """Returns the rows of a table that a spreadsheet may have saved, and what parts its cells.

    Raises:
        TableError: If this is no such table.
    """
    try:
        content = path.read_bytes()
    except PermissionError as e:
        raise _held(path) from e
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode(CODE_PAGES.get(chosen(), "cp1252"), "replace")
    head = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=head.count)
    table = csv.DictReader(io.StringIO(text, newline=""), restval="", delimiter=delimiter)
    try:
        rows = [{name: each[name] for name in table.fieldnames} for each in table]
    except (csv.Error, TypeError):
        rows, table = [], csv.DictReader([])
    missing = [name for name in NEEDED if name not in (table.fieldnames or [])]
    if missing:
        text = _("{table} has no column {names}: put it back, or move the file away")
        raise TableError(text.format(table=path.name, names=listed(missing)))
    return rows, delimiter


def _held(path):
    text = _("{file} is open in another program: close it there, and grade again")
    return TableError(text.format(file=path.name))


def _by_key(rows):
    return {key(each): each for each in rows}


def _beside(old, rows, waiting, own):
    """Returns rows with a grader's `own` columns, and after them those of `old` that stay."""
    found = _found(old, [*map(key, rows), *waiting])
    used = {*found.values()}
    kept = {where: {name: old[before][name] for name in own} for where, before in found.items()}
    there = [(where, old[found[where]]) for where in waiting if where in found]
    gone = [each for where, each in old.items() if where not in used]
    return [
        *({**each, **kept.get(key(each), {})} for each in rows),
        *({**each, "file": file, "flags": "not graded yet"} for (_digest, file), each in there),
        *({**each, "flags": "no longer handed in"} for each in gone if any(each[n] for n in own)),
    ]


def _found(old, keys):
    """Returns {key of a hand-in: the key of its old row}.

    A hand-in whose file has moved, or whose name a program has spoiled, is known by its digest; of
    several with one digest, by the last part of the file's name too.
    """
    found = {where: where for where in keys if where in old}
    ways = lambda digest, file: (digest, file.rpartition("/")[2]), lambda digest, _file: digest
    for same in ways:
        lost = _single(same, old.keys() - {*found.values()})
        new = _single(same, [where for where in keys if where not in found])
        found |= {where: lost[what] for what, where in new.items() if what in lost}
    return found


def _single(same, keys):
    """Returns {what is the same: the key} of keys that have it in common with no other."""
    known = [where for where in keys if where[0]]  # what cannot be read has no digest
    n = collections.Counter(same(*where) for where in known)
    return {same(*where): where for where in known if n[same(*where)] == 1}


def _judged(row):
    return bool(row["overrule"].strip())


def _as_typed(cell):
    """Returns a cell without the mark that `_plain` sets before a formula."""
    cell = cell.strip()
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(FORMULAS) else cell


def _points(row, table):
    """Returns the points of a grader's, written with a point or a comma."""
    try:
        points = float(_as_typed(row["overrule"]).replace(",", "."))
    except ValueError:
        points = -1
    if 0 <= points <= MOST_POINTS:
        return points
    text = _("{table}: overrule of {file} is {given!r}: expected points as in 8.5, or nothing")
    raise TableError(text.format(table=table, file=row["file"], given=row["overrule"]))


def _plain(cell):
    """Returns a text as one line of a cell that no spreadsheet takes for a formula."""
    text = "".join(c if c.isprintable() else " " for c in str(cell)).strip()
    return f"'{text}" if text.startswith(FORMULAS) else text
