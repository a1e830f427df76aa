"""Writes what `assignment.json` says into the texts that say it, and into nbgrader's fields."""

import json
from pathlib import Path

import nbformat

from benchmarks import games
from benchmarks.report import filled, table
from languages import N_
from lesson.assignment import read_assignment, title
from lesson.games import EXPECT, REFERENCE

__all__ = ["GRADED", "bring_up_to_date", "in_words", "texts"]

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
HEADING = N_("# Advantage Actor-Critic plays {title}")
PROMISE = N_(
    "In this notebook you build **A2C** (Advantage Actor-Critic), an algorithm of deep "
    "reinforcement\nlearning, from five small classes, and train it on the Atari game {title}. The "
    "agent sees only the\npixels of the screen."
)
COURSE = N_("""- *Deadline:* {deadline}
- *Hand in:* {hand_in}
- *Questions:* {ask}""")
CURVE = N_(
    "Runs of Space Invaders with different seeds, for 10 million agent steps, with the settings "
    "that you find in the notebook. The line is their mean; the band goes from the lowest to the "
    "highest."
)
ANOTHER_GAME = N_(
    "Your game is {title}: its scores and its curve are others than those of Space Invaders."
)
UNSET = (  # what `assignment.json` says until an instructor says more
    N_("the date that your course names"),
    N_("where your course collects work"),
    N_("the teachers of your course"),
)


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


def texts(assignment, say=str):
    """Returns the blocks of Markdown that depend on an Assignment, {name: text}.

    Args:
        assignment: The Assignment.
        say: Translates a message.
    """
    named = dict(title=title(assignment.game))
    heading, told = say(HEADING).format(**named), in_words(assignment, say)
    return {
        "heading": heading,
        "promise": heading + "\n\n" + say(PROMISE).format(**named),
        "marks": _marks(assignment.marks, say),
        "course": say(COURSE).format(**told._asdict()),
        "your-game": (own := _another_game(assignment.game, say)),
        "other-games": games.students_table(json.loads(games.FIGURES.read_text()), say),
        "expected": f"{own}\n\n{say(CURVE)}".strip(),
    }


def _another_game(game, say):
    """Says what to expect of a game that the reference run did not play, "" of that one."""
    if game == REFERENCE:
        return ""
    told = say(ANOTHER_GAME).format(title=title(game))
    return f"{told} {say(EXPECT[game])}" if game in EXPECT else told


def in_words(assignment, say):
    """Returns an Assignment whose texts are translated where nobody has set them."""
    told = {key: getattr(assignment, key) for key in ("deadline", "hand_in", "ask")}
    return assignment._replace(**{key: say(x) if x in UNSET else x for key, x in told.items()})


def _marks(marks, say):
    rows = [
        (say(N_("at least {score}")).format(score=score), f"{points:g}")
        for score, points in reversed(marks.items())
    ]
    rows.append((say(N_("below {score}")).format(score=min(marks)), say(N_("the grader decides"))))
    return table([say(N_("your `reward_mean_100`")), say(N_("points"))], rows)


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
