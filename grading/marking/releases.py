"""The releases that hand-ins were made with: what the kit's own files were, and what the marks."""

import difflib
import hashlib
import json
import zipfile
from functools import cache
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from languages import _
from lesson.assignment import Assignment, AssignmentError, parse_assignment, read_assignment

__all__ = ["HERE", "Release", "changes", "is_of_here", "read_release", "release_of"]

ROOT = Path(__file__).parents[2]
ASSIGNMENT, MANIFEST = "assignment.json", "manifest.json"
HELPERS = (
    *("*.py", "languages/*.py", "training/*.py", "lesson/*.py", "tests/checks/*.py"),
    "grading/*.py",
)
LARGEST = 20_000_000  # bytes of a release's files together; one has half a million
LONGEST = 20_000  # characters of a difference that is shown
MOST_LINES = 2_000  # of a file that is compared line by line


class Release(NamedTuple):
    """What students got."""

    version: str  # of its manifest, "" for the kit that grades
    files: dict  # {name: text} of the modules
    assignment: Assignment


def read_release(path):
    """Returns the Release that a .zip of `python -m release` holds.

    Raises:
        ValueError: If it is no such .zip; the message names it and the mend.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > LARGEST:
                told = _("it unpacks to more than {most:.0f} MB")
                raise ValueError(told.format(most=LARGEST / 1e6))
            texts = {
                name.split("/", 1)[-1]: archive.read(name).decode("utf-8")
                for name in archive.namelist()
                if name.endswith((".py", ".json"))
            }
        version = str(json.loads(texts[MANIFEST])["version"])
        return Release(version, _modules(texts), parse_assignment(texts[ASSIGNMENT], ASSIGNMENT))
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as e:
        told = e if isinstance(e, AssignmentError) else f"{type(e).__name__}: {e}"
        line = _("{path} is no release ({why}): give the a2c.zip that `python -m release` wrote")
        raise ValueError(line.format(path=path, why=told)) from e


def release_of(version, releases):
    """Returns the Release of a version, the kit that grades where none of these has it."""
    return next((one for one in releases if version and one.version == version), HERE())


def is_of_here(folder):
    """Tells whether a hand-in's manifest names the modules and the assignment of this kit."""
    try:
        with open(folder / MANIFEST, encoding="utf-8") as file:
            told = json.loads(file.read(LARGEST))["files"]
        names = [ASSIGNMENT, *(name for name in HERE().files if name in told)]
        return all(told[name] == _digest(ROOT / name) for name in names)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False


@cache
def HERE():
    """Returns the kit that grades, as a Release."""
    found = {path for pattern in HELPERS for path in ROOT.glob(pattern)}
    texts = {path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in found}
    return Release("", _modules(texts), read_assignment())


def changes(folder, release):
    """Returns how a hand-in's modules differ from the release's, where they are there.

    Args:
        folder: The unpacked hand-in.
        release: A Release.

    Returns:
        A list of {"name": str, "diff": str}, the diff a unified one, bounded.
    """
    found = []
    for name, text in sorted(release.files.items()):
        path = folder / name
        if path.is_file() and not path.is_symlink():
            theirs = path.read_bytes()[:LARGEST].decode("utf-8", errors="replace")
            if _lines(theirs) != _lines(text):
                found.append({"name": name, "diff": _difference(name, text, theirs)})
    return found


def _digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _difference(name, text, theirs):
    old, new = _lines(text)[:MOST_LINES], _lines(theirs)[:MOST_LINES]
    lines = difflib.unified_diff(old, new, f"released/{name}", name, lineterm="")
    shown = "\n".join(line[:500] for line in lines)
    return "".join(c for c in shown if c.isprintable() or c == "\n")[:LONGEST]


def _lines(text):
    """Returns lines without what an editor or Windows changes."""
    return [line.rstrip() for line in text.rstrip().splitlines()]


def _modules(texts):
    """Returns those that hold code of the kit and lie where `HELPERS` says."""
    return {
        name: text
        for name, text in texts.items()
        if any(PurePosixPath(name).match(pattern) for pattern in HELPERS)
        and PurePosixPath(name).suffix == ".py"
        and len(PurePosixPath(name).parts) <= 3
    }
