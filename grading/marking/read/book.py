"""A hand-in's notebook, made anew of what is looked at, so that nothing in it has an odd type."""

from nbformat import NotebookNode

from grading.marking.read.common import Unreadable, one_line
from grading.notebook import NOTEBOOK, parse, read

__all__ = ["read_book"]


def read_book(path):
    """Returns the notebook; each cell has all of the keys that are read from it, in plain types.

    Raises:
        Unreadable: If it is none, or too large.
    """
    try:
        cells = parse(read(path), NOTEBOOK).cells
    except ValueError as e:
        raise Unreadable(one_line(e, 300)) from e
    cells = [_cell(k, cell) for k, cell in enumerate(cells) if isinstance(cell, dict)]
    return NotebookNode(cells=cells)


def _cell(k, cell):
    held = _dict(cell.get("metadata"))
    names = {"id": _text(held.get("id"))}
    names["nbgrader"] = {"grade_id": _text(_dict(held.get("nbgrader")).get("grade_id"))}
    attached = _dict(cell.get("attachments")).values()
    outputs = cell.get("outputs") if isinstance(cell.get("outputs"), list) else []
    count = cell.get("execution_count")
    return NotebookNode(
        cell_type="code" if cell.get("cell_type") == "code" else "markdown",
        source=_text(cell.get("source")),
        id=_text(cell.get("id")) or f"cell-{k}",
        metadata=names,
        execution_count=count if type(count) is int and 0 <= count < 1e6 else None,
        attachments=[_contents(one) for one in attached],
        outputs=[_output(one) for one in outputs if isinstance(one, dict)],
    )


def _output(output):
    trace = output.get("traceback")
    return NotebookNode(
        output_type=_text(output.get("output_type")),
        text=_text(output.get("text")),
        data=_contents(output.get("data")),
        error=f"{_text(output.get('ename'))}: {_text(output.get('evalue'))}",
        traceback="\n".join(map(_text, trace)) if isinstance(trace, list) else "",
    )


def _contents(data):
    """Returns {kind: content} of what is text."""
    return {str(kind): _text(content) for kind, content in _dict(data).items() if _text(content)}


def _dict(value):
    return value if isinstance(value, dict) else {}


def _text(value):
    """Returns a text, its lines joined where they are a list; "" of anything else."""
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        return "".join(value)
    return value if isinstance(value, str) else ""
