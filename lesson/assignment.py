"""What an instructor sets for a course: `assignment.json`, read by notebook, release, grading."""

import json
import re
from numbers import Real
from pathlib import Path
from typing import NamedTuple

from env_batch import check_game

__all__ = ["RANDOM_SCORES", "Assignment", "AssignmentError", "read_assignment", "title"]

PATH = Path(__file__).parent.parent / "assignment.json"
RANDOM_SCORES = {"SpaceInvadersNoFrameskip-v4": 150}  # means of whole games played at random
TASKS = ("NatureModel", "Policy", "ComputeValueTargets", "MergeTimeBatch", "A2C", "comments")


class AssignmentError(ValueError):
    """The file cannot be used; the message names the value, what was expected and the mend."""


class Assignment(NamedTuple):
    """What the file says."""

    game: str  # its name without frame skip
    agent_steps: int  # length of the full run
    marks: dict  # {reward_mean_100 from which on: points}, both rising
    deadline: str
    hand_in: str  # where to
    ask: str  # whom
    points: dict  # {task: nbgrader's points for its check}; they never enter the mark


def read_assignment(path=PATH):
    """Returns the Assignment that a file holds.

    Raises:
        AssignmentError: If the file, a key or a value in it is not as it must be.
    """
    try:
        return Assignment(**_checked(_parsed(Path(path).read_text(encoding="utf-8"))))
    except (AssignmentError, OSError) as e:
        raise AssignmentError(f"{Path(path).name}: {e}") from None


def title(game):
    """Returns a game's name as people write it: "Space Invaders"."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", game.removesuffix("NoFrameskip-v4"))


def _parsed(text):
    try:
        given = json.loads(text, object_pairs_hook=_without_repeats)
    except ValueError as e:
        raise AssignmentError(
            f"{e}: this is no JSON object; compare it with the one you got"
        ) from e
    unlike = set(given) ^ set(Assignment._fields) if isinstance(given, dict) else {"an object"}
    for key in sorted(unlike):
        told = "is no key of it" if key in given else "is missing"
        raise AssignmentError(f"{key} {told}: expected {', '.join(Assignment._fields)}")
    return given


def _without_repeats(pairs):
    names = [name for name, _ in pairs]
    for name in names:
        if names.count(name) > 1:
            raise AssignmentError(f"{name} stands there twice: remove one of them")
    return dict(pairs)


def _checked(given):
    """Returns the values in the types of Assignment."""
    steps, points = given["agent_steps"], given["points"]
    try:
        check_game(given["game"])
    except (ValueError, TypeError) as e:
        raise AssignmentError(f"game: {e}") from e
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise AssignmentError(f"agent_steps is {steps!r}: expected a whole number from 1 on")
    for key in ("deadline", "hand_in", "ask"):
        if not (isinstance(given[key], str) and given[key].strip()):
            raise AssignmentError(f"{key} is {given[key]!r}: expected a text that is not empty")
    _check_numbers("points", points)
    for task in points:
        if task not in TASKS:
            raise AssignmentError(f"points: {task} is no task: expected {', '.join(TASKS)}")
    return {**given, "marks": _marks(given["marks"]), "points": dict.fromkeys(TASKS, 1) | points}


def _check_numbers(key, given):
    if not isinstance(given, dict):
        raise AssignmentError(f"{key} is {given!r}: expected an object of numbers")
    for name, number in given.items():
        if isinstance(number, bool) or not isinstance(number, Real) or not 0 <= number < 1e6:
            raise AssignmentError(f"{key}: {name} is {number!r}: expected a number from 0 on")


def _marks(given):
    """Returns {score: points}, both rising."""
    _check_numbers("marks", given)
    try:
        marks = {int(score): points for score, points in given.items()}
    except ValueError as e:
        raise AssignmentError(f"marks: {e}: expected whole numbers, as in {{'400': 8}}") from e
    rising = list(marks) == sorted(marks) and list(marks.values()) == sorted(set(marks.values()))
    if not marks or not rising:
        raise AssignmentError(
            f"marks are {given}: a higher score must bring more points; write the lowest first"
        )
    return marks
