"""Are the files fit for students? No solution, output, weights, path of a machine, absent file."""

import re

import nbformat

from release.leaks import code_of_markdown, find_leaks, traces
from release.students import solutions

__all__ = ["problems"]

TEXTS = (".py", ".md", ".txt", ".json", ".ipynb")
PLACE = re.compile(r"(?:/(?:root|home|Users|work|tmp)/|[A-Z]:\\+Users\\+)\w")  # on one machine
FOLDERS = "benchmarks|grading|lesson|release|tests|training|img/reference"
MENTION = re.compile(rf"(?<![\w./-])(?:{FOLDERS})/[\w./-]*\w|\b(?:benchmarks|release)/")
ARRAYS = "tests/checks/expected.npz"  # the only ones that students get
WEIGHTS = re.compile(r"\.(pt|pth|ckpt|npz|npy|safetensors|pkl|pickle|h5|onnx)$")


def problems(files, notebook, solved):
    """Returns what makes files unfit, a message each with file and line.

    Args:
        files: {name: bytes} of all that students would get.
        notebook: The name of their notebook among these.
        solved: The solved notebook.
    """
    forbidden = traces(one for cell in _code(solved) for one in solutions(cell.source, cell.id))
    book = nbformat.reads(files[notebook].decode(), as_version=4)
    return [
        *_tasks_without_check(notebook, solved),
        *(line for cell in book.cells for line in _cell(notebook, cell, forbidden)),
        *(line for name, data in files.items() for line in _file(name, data, forbidden, files)),
    ]


def _code(book):
    return [cell for cell in book.cells if cell.cell_type == "code"]


def _tasks_without_check(notebook, solved):
    """Yields a message for each code cell with a solution whose next code cell checks nothing."""
    code = _code(solved)
    for cell, after in zip(code, [*code[1:], None], strict=True):
        if solutions(cell.source, cell.id) and "checks.check_" not in getattr(after, "source", ""):
            yield f"{notebook}, cell {cell.id}, line 1: a task without a check in the next cell"


def _cell(notebook, cell, forbidden):
    """Yields what is wrong with a cell of the students' notebook."""
    name = f"{notebook}, cell {cell.id}"
    if cell.get("outputs") or cell.get("execution_count"):
        yield f"{name}, line 1: its output is left in"
    if cell.cell_type == "code":
        source = re.sub(r"^[%!].*$", "", cell.source, flags=re.MULTILINE)
        yield from find_leaks(name, source, forbidden)
        return
    for line, code in code_of_markdown(cell.source):
        yield from find_leaks(name, code, forbidden, line, is_hint=True)


def _file(name, data, forbidden, files):
    """Yields what is wrong with a file."""
    if not name.endswith(TEXTS):
        if name != ARRAYS and (WEIGHTS.search(name) or b"data.pkl" in data):
            yield f"{name}: weights or other arrays"
        return
    text = data.decode()
    if name.endswith(".py"):
        yield from find_leaks(name, text, forbidden)
    if name.endswith(".md"):
        for line, code in code_of_markdown(text):
            yield from find_leaks(name, code, forbidden, line)
    for number, line in enumerate(text.splitlines(), 1):
        if found := PLACE.search(line):
            yield f"{name}, line {number}: {found[0]} is a path of one machine"
        for found in MENTION.findall(line):
            if not any(one == found or one.startswith(found.rstrip("/") + "/") for one in files):
                yield f"{name}, line {number}: {found} is not in the kit"
