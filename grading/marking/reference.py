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

__all__ = ["read_reference"]

ROOT = Path(__file__).parents[2]
FILES = {"logs/reference": "logs/reference-run", "logs/reference/weights.pt": "weights.pt"}
SOLUTION = re.compile(r"^( *)[^\n]*BEGIN SOLUTION.*?END SOLUTION[^\n]*$", re.M | re.S)


def read_reference(shelf, course):
    """Returns evidence of the reference run; its "given" is of the notebook that students get.

    Args:
        shelf: A Shelf, which keeps it.
        course: An `evidence.Course`.
    """
    folder = shelf.reference()
    if (found := read_evidence(folder)) is None:
        clear(folder)
        with tempfile.TemporaryDirectory() as made:
            found = _read(Path(made), folder, course)
        keep_evidence(folder, found)
    return found


def _read(made, folder, course):
    """Reads the solved notebook with the reference run, and then the stubs."""
    for name, there in FILES.items():
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        (made / there).parent.mkdir(parents=True, exist_ok=True)
        copy(ROOT / name, made / there)
    shutil.copy2(ROOT / NOTEBOOK, made)
    ways = {}, HERE().assignment.game, folder, course.wall, course.limits
    found, seconds = read(made, made / NOTEBOOK, *ways)
    book = nbformat.read(ROOT / NOTEBOOK, as_version=4)
    for cell in book.cells:
        cell.source = SOLUTION.sub(r"\1pass", cell.source)
    (made / "stubs").mkdir()
    nbformat.write(book, made / "stubs" / NOTEBOOK)
    given, _seconds = read(made / "stubs", made / "stubs" / NOTEBOOK, *ways)
    return {**found, "given": given["notebook"], "seconds": seconds}
