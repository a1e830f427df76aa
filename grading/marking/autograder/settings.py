"""What an instructor sets for Gradescope: points and visibility of each test, games, time."""

import json
from numbers import Real
from typing import NamedTuple

from languages import _

__all__ = ["FILE", "HIDDEN", "SCORE", "TASKS", "TESTS", "VISIBLE", "Settings", "parse_settings"]

FILE, HIDDEN = "settings.json", "hidden.npz"  # beside this file, and closed to students
TASKS = ("NatureModel", "Policy", "ComputeValueTargets", "MergeTimeBatch", "A2C")
SCORE = "score"
TESTS = (*TASKS, SCORE)
VISIBLE = ("visible", "after_due_date", "after_published", "hidden")  # each to fewer
LARGEST = {"games": 1000, "minutes": 40, "memory_mb": 65_536}


class Settings(NamedTuple):
    """What the file says."""

    points: dict  # {task: points of its check}
    marks: dict  # {mean score from which on: points}; {}: the score is shown and earns nothing
    visibility: dict  # {test: one of VISIBLE}
    leaderboard: bool = False
    games: int = 32  # whole games that the weights play, at most
    minutes: float = 8  # the whole run; Gradescope ends it after 10 where nothing else is set
    memory_mb: float = 600  # of the student's process; Gradescope gives 768 to all together


def parse_settings(text, name, assignment):
    """Returns the Settings of a JSON object; what it leaves out is as by default.

    Args:
        text: Of the file; "{}" gives the defaults.
        name: What an error calls it.
        assignment: The course's `Assignment`, whose points its tasks have by default.

    Raises:
        ValueError: If a key or a value is not as it must be; the message says what is expected.
    """
    try:
        given = json.loads(text)
    except ValueError as e:
        raise ValueError(_("{file}: {error}: this is no JSON").format(file=name, error=e)) from e
    try:
        return _checked(given, assignment)
    except ValueError as e:
        raise ValueError(f"{name}: {e}") from None


def _checked(given, assignment):
    if not isinstance(given, dict):
        raise ValueError(_wanted("{}", given, _("an object")))
    for key in given:
        if key not in Settings._fields:
            told = _("{key} is no key of it: expected some of {keys}")
            raise ValueError(told.format(key=key, keys=", ".join(Settings._fields)))
    points = {task: assignment.points[task] for task in TASKS}
    numbers = {key: _number(key, given[key], most) for key, most in LARGEST.items() if key in given}
    visibility = _visibility(given.get("visibility", VISIBLE[0]))
    return Settings(
        points | _object("points", given.get("points", {}), TASKS, _points),
        _marks(given.get("marks", {})),
        visibility,
        _leaderboard(given.get("leaderboard", False), visibility[SCORE]),
        **numbers,
    )


def _wanted(key, value, wanted):
    told = _("{key} is {value}: expected {wanted}")
    return told.format(key=key, value=json.dumps(value, ensure_ascii=False), wanted=wanted)


def _number(key, value, most):
    """Returns a number above 0; games are whole."""
    kind = int if key == "games" else Real
    if isinstance(value, bool) or not isinstance(value, kind) or not 0 < value <= most:
        told = _("a number above 0, at most {most}").format(most=most)
        raise ValueError(_wanted(key, value, told))
    return value


def _points(key, value):
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= value < 1e6:
        raise ValueError(_wanted(key, value, _("a number from 0 on")))
    return value


def _object(key, given, names, read):
    """Returns an object whose keys are some names and whose values are read."""
    if not isinstance(given, dict):
        raise ValueError(_wanted(key, given, _("an object")))
    for name in given:
        if name not in names:
            told = _("{key} has {name}: expected some of {names}")
            raise ValueError(told.format(key=key, name=name, names=", ".join(names)))
    return {name: read(f"{key}/{name}", value) for name, value in given.items()}


def _marks(given):
    """Returns {score: points}, in the scores' order."""
    try:
        scores = {score: int(score) for score in given.keys()}
    except (ValueError, AttributeError):
        wanted = _("scores with their points, as {example}").format(example='{"400": 8}')
        raise ValueError(_wanted("marks", given, wanted)) from None
    read = {scores[key]: _points(f"marks/{key}", value) for key, value in given.items()}
    return dict(sorted(read.items()))


def _visibility(given):
    """Returns {test: visibility} of one for all, or of an object for some."""
    default = given if isinstance(given, str) else VISIBLE[0]
    some = {} if isinstance(given, str) else given
    if default not in VISIBLE:
        raise ValueError(_wanted("visibility", default, ", ".join(VISIBLE)))
    return dict.fromkeys(TESTS, default) | _object("visibility", some, TESTS, _visible)


def _visible(key, value):
    if value not in VISIBLE:
        raise ValueError(_wanted(key, value, ", ".join(VISIBLE)))
    return value


def _leaderboard(value, visibility):
    """Returns whether there is a leaderboard, which all students see at once."""
    if not isinstance(value, bool):
        raise ValueError(_wanted("leaderboard", value, "true, false"))
    if value and visibility != VISIBLE[0]:
        told = _(
            "leaderboard is true, and visibility/score is {visibility}: expected visible, as "
            "Gradescope shows its leaderboard to all students at once; leave one of them out"
        )
        raise ValueError(told.format(visibility=visibility))
    return value
