"""What an instructor sets for a course: `assignment.json`, read by notebook, release, grading."""

import json
import re
from numbers import Real
from pathlib import Path
from typing import NamedTuple

from env_batch import check_game
from languages import SOURCE, _, languages

__all__ = [
    "RANDOM_SCORES",
    "Assignment",
    "AssignmentError",
    "parse_assignment",
    "read_assignment",
    "title",
]

PATH = Path(__file__).parent.parent / "assignment.json"
RANDOM_SCORES = {  # means of whole games played at random
    "SpaceInvadersNoFrameskip-v4": 150,
    "BreakoutNoFrameskip-v4": 1.1,
    "FreewayNoFrameskip-v4": 0,
    "MontezumaRevengeNoFrameskip-v4": 0,
    "MsPacmanNoFrameskip-v4": 244,
    "PongNoFrameskip-v4": -20.3,
}
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
    language: str = SOURCE  # of all texts: English, or that of a file in `languages/`


def read_assignment(path=PATH):
    """Returns the Assignment that a file holds.

    Raises:
        AssignmentError: If the file, a key or a value in it is not as it must be.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as e:
        raise AssignmentError(f"{path.name}: {e}") from None
    return parse_assignment(text, path.name)


def parse_assignment(text, name):
    """Returns the Assignment of a text; errors as in `read_assignment`, which name `name`."""
    try:
        return Assignment(**_checked(_parsed(text)))
    except AssignmentError as e:
        raise AssignmentError(f"{name}: {e}") from None


def title(game):
    """Returns a game's name as people write it: "Space Invaders"."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", game.removesuffix("NoFrameskip-v4"))


def _parsed(text):
    try:
        given = json.loads(text, object_pairs_hook=_without_repeats)
    except ValueError as e:
        told = _("{error}: this is no JSON object; compare it with the one you got")
        raise AssignmentError(told.format(error=e)) from e
    unlike = {_("an object")}
    if isinstance(given, dict):
        unlike = (set(given) | {"language"}) ^ set(Assignment._fields)
    for key in sorted(unlike):
        if key in given:
            told = _("{key} is no key of it: expected {keys}")
        else:
            told = _("{key} is missing: expected {keys}")
        raise AssignmentError(told.format(key=key, keys=", ".join(Assignment._fields)))
    return given


def _without_repeats(pairs):
    names = [name for name, value in pairs]
    for name in names:
        if names.count(name) > 1:
            told = _("{key} stands there twice: remove one of them")
            raise AssignmentError(told.format(key=name))
    return dict(pairs)


def _checked(given):
    """Returns the values in the types of Assignment."""
    steps, points = given["agent_steps"], given["points"]
    try:
        check_game(given["game"])
    except (ValueError, TypeError) as e:
        raise AssignmentError(f"game: {e}") from e
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        told = _("{key} is {value!r}: expected a whole number from 1 on")
        raise AssignmentError(told.format(key="agent_steps", value=steps))
    for key in ("deadline", "hand_in", "ask"):
        if not (isinstance(given[key], str) and given[key].strip()):
            told = _("{key} is {value!r}: expected a text that is not empty")
            raise AssignmentError(told.format(key=key, value=given[key]))
    if (language := given.get("language", SOURCE)) not in (known := languages()):
        told = _("{key} is {value!r}: expected one of {choices}")
        choices = ", ".join(known)
        raise AssignmentError(told.format(key="language", value=language, choices=choices))
    _check_numbers("points", points)
    for task in points:
        if task not in TASKS:
            told = _("points: {task} is no task: expected {tasks}")
            raise AssignmentError(told.format(task=task, tasks=", ".join(TASKS)))
    return {**given, "marks": _marks(given["marks"]), "points": dict.fromkeys(TASKS, 1) | points}


def _check_numbers(key, given):
    if not isinstance(given, dict):
        told = _("{key} is {value!r}: expected an object of numbers")
        raise AssignmentError(told.format(key=key, value=given))
    for name, number in given.items():
        if isinstance(number, bool) or not isinstance(number, Real) or not 0 <= number < 1e6:
            told = _("{key}: {name} is {value!r}: expected a number from 0 on")
            raise AssignmentError(told.format(key=key, name=name, value=number))


def _marks(given):
    """Returns {score: points}, both rising."""
    _check_numbers("marks", given)
    try:
        marks = {int(score): points for score, points in given.items()}
    except ValueError as e:
        told = _("marks: {error}: expected whole numbers, as in {example}")
        raise AssignmentError(told.format(error=e, example={"400": 8})) from e
    rising = list(marks) == sorted(marks) and list(marks.values()) == sorted(set(marks.values()))
    if not marks or not rising:
        told = _("marks are {value}: a higher score must bring more points; write the lowest first")
        raise AssignmentError(told.format(value=given))
    return marks
