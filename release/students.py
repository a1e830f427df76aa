"""The students' notebook: the solved one with stubs in place of solutions, and no outputs."""

import copy
import re

from release import ReleaseError

__all__ = ["filled", "make_students_notebook", "solutions", "stubbed"]

BEGIN, END = "BEGIN SOLUTION", "END SOLUTION"
STUBS = {  # nbgrader's own, so that its program makes the same notebook
    "code": ["# YOUR CODE HERE", "raise NotImplementedError()"],
    "markdown": ["YOUR ANSWER HERE"],
}


def make_students_notebook(solved):
    """Returns the students' notebook.

    Args:
        solved: The solved notebook, which is left as it is.

    Raises:
        ReleaseError: If a marker is unclosed, nested or never begun; the message names cell and
            line.
    """
    notebook = copy.deepcopy(solved)
    for cell in notebook.cells:
        cell.source = stubbed(cell.source, cell.cell_type, cell.id)
        fields = cell.metadata.get("nbgrader")
        cell.metadata = {"nbgrader": fields} if fields else {}
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return notebook


def stubbed(source, kind, name):
    """Returns a cell's source with the stub of its kind in place of each solution."""
    lines = []
    for part, is_solution in _parts(source, name):
        if is_solution:
            indent = re.match(r"\s*", part[0])[0]
            lines += [indent + line for line in STUBS[kind]]
        else:
            lines += part
    return "\n".join(lines)


def filled(students, solved):
    """Returns the students' notebook with the solutions written in place of its stubs."""
    book = copy.deepcopy(students)
    for cell, source in zip(book.cells, solved.cells, strict=True):
        for lines in solutions(source.source, source.id):
            indent = re.match(r"\s*", lines[0])[0]
            stub = "\n".join(indent + line for line in STUBS[cell.cell_type])
            cell.source = cell.source.replace(stub, "\n".join(lines), 1)
    return book


def solutions(source, name):
    """Returns the solutions of a cell, each a list of lines without its markers."""
    return [part[1:-1] for part, is_solution in _parts(source, name) if is_solution]


def _parts(source, name):
    """Yields the pieces of a cell as lists of lines, and whether each is a solution."""
    part, begun = [], 0
    for number, line in enumerate(source.split("\n"), 1):
        where = f"cell {name}, line {number}"
        if BEGIN in line:
            if begun:
                raise ReleaseError(f"{where}: a solution begins inside the one of line {begun}")
            yield part, False
            part, begun = [], number
        part.append(line)
        if END in line:
            if not begun:
                raise ReleaseError(f"{where}: a solution ends that never began")
            yield part, True
            part, begun = [], 0
    if begun:
        raise ReleaseError(f"cell {name}, line {begun}: this solution has no END SOLUTION")
    yield part, False
