"""What every hand-in is compared with: the solution, the reference run, and what students get."""

import re
import shutil
import tempfile
from pathlib import Path

import nbformat

from grading.marking.reader import read
from grading.marking.releases import HERE
from grading.marking.shelf import clear, keep_evidence, read_evidence
from grading.notebook import NOTEBOOK
from grading.watched import LIMITS
from languages import _

__all__ = ["ReferenceRunError", "read_reference"]

ROOT = Path(__file__).parents[2]
FILES = {"logs/reference": "logs/reference-run", "logs/reference/weights.pt": "weights.pt"}
COMPARED = ("curves", "weights", "notebook", "given")  # parts
SOLUTION = re.compile(r"^( *)[^\n]*BEGIN SOLUTION.*?END SOLUTION[^\n]*$", re.M | re.S)


class ReferenceRunError(ValueError):
    """The reference run cannot be read; the message says why."""


def read_reference(shelf, course):
    """Returns evidence of the reference run; its "given" is of the notebook that students get.

    Args:
        shelf: A Shelf, which keeps it.
        course: An `evidence.Course`; its limits are for hand-ins, and not for this.

    Raises:
        ReferenceRunError: If a part that hand-ins are compared with cannot be read.
    """
    folder = shelf.reference()
    if (found := read_evidence(folder)) is None:
        clear(folder)
        try:
            with tempfile.TemporaryDirectory() as made:
                found = _read(Path(made), folder, course.wall)
        except OSError as e:
            raise _unread(e) from e
        for part in COMPARED:
            if problem := found[part]["problem"]:  # a copy of it would not be known as one
                raise _unread(f"{part}: {problem}")
        keep_evidence(folder, found)
    return found


def _unread(why):
    told = _(
        "the reference run, with which hand-ins are compared, cannot be read ({why}): mend that, "
        "and run the command again"
    )
    return ReferenceRunError(told.format(why=why))


def _read(made, folder, wall):
    """Reads the solved notebook with the reference run, and then the stubs."""
    for name, there in FILES.items():
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        (made / there).parent.mkdir(parents=True, exist_ok=True)
        copy(ROOT / name, made / there)
    shutil.copy2(ROOT / NOTEBOOK, made)
    ways = {}, HERE().assignment.game, folder, wall, LIMITS
    found, seconds = read(made, made / NOTEBOOK, *ways)
    book = nbformat.read(ROOT / NOTEBOOK, as_version=4)
    for cell in book.cells:
        cell.source = SOLUTION.sub(r"\1pass", cell.source)
    (made / "stubs").mkdir()
    nbformat.write(book, made / "stubs" / NOTEBOOK)
    given, _seconds = read(made / "stubs", made / "stubs" / NOTEBOOK, *ways)
    return {**found, "given": given["notebook"], "seconds": seconds}
