import json
import re

import pytest

from grading.check import TASKS
from lesson.assignment import PATH, AssignmentError, read_assignment, title

GIVEN = json.loads(PATH.read_text(encoding="utf-8"))


def read(tmp_path, text):
    path = tmp_path / "assignment.json"
    path.write_text(text, encoding="utf-8")
    return read_assignment(path)


def test_the_kits_own_file_gives_the_marks_and_the_steps_of_the_assignment():
    assignment = read_assignment()
    assert assignment.marks == {400: 8, 600: 10} and assignment.agent_steps == 10_000_000
    assert assignment.game == "SpaceInvadersNoFrameskip-v4"
    assert assignment.points == dict.fromkeys([*TASKS, "comments"], 1)


def test_points_that_are_not_given_are_one_each(tmp_path):
    assignment = read(tmp_path, json.dumps({**GIVEN, "points": {"A2C": 2.5}}))
    assert assignment.points == {**dict.fromkeys([*TASKS, "comments"], 1), "A2C": 2.5}


def test_an_older_file_that_names_no_language_is_in_english(tmp_path):
    assignment = read(tmp_path, json.dumps({k: x for k, x in GIVEN.items() if k != "language"}))
    assert assignment.language == "en"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"marks": {"600": 10, "400": 8}}, "higher score must bring more points; write the lowest"),
        ({"marks": {"400": 8, "600": 8}}, "higher score must bring more points"),
        ({"marks": {}}, "higher score must bring more points"),
        ({"marks": {"four": 8}}, "marks: .*'four': expected whole numbers"),
        ({"marks": {"400": "8"}}, "marks: 400 is '8': expected a number from 0 on"),
        ({"marks": [400, 600]}, r"marks is \[400, 600\]: expected an object"),
        ({"game": "SpaceInvader"}, "game: there is no game 'SpaceInvader'.*did you mean 'SpaceInv"),
        ({"game": "SpaceInvaders-v4"}, "'SpaceInvaders-v4' skips frames itself"),
        ({"game": ["Pong"]}, "game: "),
        ({"agent_steps": 0}, "agent_steps is 0: expected a whole number from 1 on"),
        ({"agent_steps": 1e7}, "agent_steps is 10000000.0: expected a whole number"),
        ({"agent_steps": True}, "agent_steps is True: expected a whole number"),
        ({"deadline": " "}, "deadline is ' ': expected a text that is not empty"),
        ({"ask": None}, "ask is None: expected a text"),
        ({"language": "Russian"}, "language is 'Russian': expected one of en, ru"),
        ({"language": ["en"]}, r"language is \['en'\]: expected one of en, ru"),
        ({"points": {"A3C": 1}}, "points: A3C is no task: expected NatureModel, Policy"),
        ({"points": {"A2C": -1}}, "points: A2C is -1: expected a number from 0 on"),
        ({"points": {"A2C": float("nan")}}, "points: A2C is nan: expected a number"),
        ({"grades": {}}, "grades is no key of it: expected game, agent_steps, marks"),
    ],
)
def test_a_value_that_cannot_be_used_is_named_with_what_is_expected(changes, says, tmp_path):
    with pytest.raises(AssignmentError, match=says) as raised:
        read(tmp_path, json.dumps({**GIVEN, **changes}))
    assert str(raised.value).startswith("assignment.json: ") and "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "this is no JSON object"),
        ("[1]", "an object is missing: expected game"),
        (json.dumps({**GIVEN}).replace('"ask"', '"game"'), "game stands there twice"),
        (json.dumps({k: v for k, v in GIVEN.items() if k != "marks"}), "marks is missing"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_clear_error(text, says, tmp_path):
    with pytest.raises(AssignmentError, match=says):
        read(tmp_path, text)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(AssignmentError, match="assignment.json: .*No such file"):
        read_assignment(tmp_path / "assignment.json")


@pytest.mark.parametrize("name", ["Space Invaders", "Ms Pacman", "Breakout"])
def test_a_title_is_the_name_as_people_write_it(name):
    assert title(re.sub(" ", "", name) + "NoFrameskip-v4") == name
