"""Writes what `assignment.json` says into the texts that say it, and into nbgrader's fields."""

from pathlib import Path

import nbformat

from benchmarks.report import filled, table
from lesson.assignment import read_assignment, title

__all__ = ["GRADED", "bring_up_to_date", "texts"]

NOTEBOOK = "a2c_assignment.ipynb"
READMES = ("README.md", "release/students.md")
GRADED = {  # task: the cell that nbgrader gives its points for
    "NatureModel": "model-check",
    "Policy": "policy-check",
    "ComputeValueTargets": "value-targets-check",
    "MergeTimeBatch": "merge-check",
    "A2C": "a2c-check",
    "comments": "curves-comments",
}
PROMISE = """{heading}

In this notebook you build **A2C** (Advantage Actor-Critic), an algorithm of deep reinforcement
learning, from five small classes, and train it on the Atari game {title}. The agent sees only the
pixels of the screen."""
COURSE = """- *Deadline:* {deadline}
- *Hand in:* {hand_in}
- *Questions:* {ask}"""


def bring_up_to_date(root):
    """Writes the solved notebook and the READMEs anew where they say something else.

    Args:
        root: The kit's folder.

    Returns:
        The names of the files that changed.

    Raises:
        AssignmentError: If `assignment.json` cannot be used; nothing is changed then.
    """
    assignment = read_assignment(Path(root) / "assignment.json")
    told = texts(assignment)
    new = {name: filled((Path(root) / name).read_text(encoding="utf-8"), told) for name in READMES}
    new[NOTEBOOK] = _notebook(Path(root) / NOTEBOOK, told, assignment.points)
    changed = []
    for name, text in new.items():
        if text != (Path(root) / name).read_text(encoding="utf-8"):
            (Path(root) / name).write_text(text, encoding="utf-8", newline="\n")
            changed.append(name)
    return changed


def texts(assignment):
    """Returns the blocks of Markdown that depend on an Assignment, {name: text}."""
    heading = f"# Advantage Actor-Critic plays {title(assignment.game)}"
    return {
        "heading": heading,
        "promise": PROMISE.format(heading=heading, title=title(assignment.game)),
        "marks": _marks(assignment.marks),
        "course": COURSE.format(**assignment._asdict()),
    }


def _marks(marks):
    rows = [(f"at least {score}", f"{points:g}") for score, points in reversed(marks.items())]
    rows.append((f"below {min(marks)}", "the grader decides"))
    return table(["your `reward_mean_100`", "points"], rows)


def _notebook(path, told, points):
    """Returns the solved notebook's text with all blocks and nbgrader's points in place."""
    book = nbformat.read(path, as_version=4)
    tasks = {cell: task for task, cell in GRADED.items()}
    for cell in book.cells:
        if cell.cell_type == "markdown":
            cell.source = filled(cell.source, told)
        if cell.id in tasks:
            cell.metadata.nbgrader.points = points[tasks[cell.id]]
    return nbformat.writes(book) + "\n"
