"""Notebooks as a grader reads them: nothing in them is believed to be well formed."""

import json

import nbformat

from languages import _, grouped

__all__ = ["MOST_BYTES", "MOST_CELLS", "NOTEBOOK", "code_cells", "parse", "read"]

NOTEBOOK = "a2c_assignment.ipynb"  # its name in a hand-in, whatever the student calls it
MOST_CELLS = 5_000
MOST_BYTES = 100_000_000  # of the file, pictures and videos included


def read(path):
    """Returns what a notebook's file holds.

    Raises:
        ValueError: If it is too large to be parsed.
    """
    if (size := path.stat().st_size) > MOST_BYTES:
        told = _("the notebook has {size} MB, at most {most:.0f} are read")
        raise ValueError(told.format(size=grouped(size / 1e6, ".0f"), most=MOST_BYTES / 1e6))
    return path.read_bytes()


def parse(text, name, change=None):
    """Returns a notebook, in format 4.

    Args:
        text: The file's content, bytes or str.
        name: What an error calls it.
        change: Takes each object in it, a dict, and returns what stands in its place.

    Raises:
        ValueError: If this is no notebook, or has more than MOST_CELLS cells.
    """
    try:
        text = text.decode("utf-8") if isinstance(text, bytes) else text
        if (cells := _count_cells(json.loads(text, object_hook=_bare))) <= MOST_CELLS:
            return nbformat.reads(text, as_version=4, object_hook=change)
    except Exception as e:  # what nbformat raises differs from one broken file to the next
        text = _("{name} is no notebook ({error}): save it again")
        raise ValueError(text.format(name=name, error=type(e).__name__)) from e
    text = _("{name} has {cells} cells, at most {most} are read: delete some")
    raise ValueError(text.format(name=name, cells=grouped(cells), most=grouped(MOST_CELLS)))


def _count_cells(book):
    """Counts the cells of a notebook in format 4, or on the sheets of format 3."""
    return sum(len(sheet.get("cells", [])) for sheet in [book, *book.get("worksheets", [])])


def _bare(found):
    """Returns an object of a notebook; a cell without the pictures and videos that it holds."""
    if "cell_type" in found:
        found.pop("attachments", None)
        if "outputs" in found:
            found["outputs"] = []
    return found


def code_cells(path):
    """Returns (id, source) of each code cell of a notebook's file.

    Raises:
        ValueError: As in `read` and `parse`.
    """
    name, cells = path.name, parse(read(path), path.name, _bare).cells
    try:
        return [
            (str(cell.get("id", f"cell-{k}"))[:64], str(cell.source))
            for k, cell in enumerate(cells)
            if cell.cell_type == "code"
        ]
    except (AttributeError, TypeError) as e:
        text = _("{name} is no notebook ({error}): save it again")
        raise ValueError(text.format(name=name, error=e)) from e
