"""Curves that were edited, each with the sentence that names it; and honest ones, with none."""

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader
from tensorboardX.record_writer import RecordWriter

from benchmarks import figures
from env_batch import EnvBatch
from grading.curves import oddities
from tests.toys import Counting
from training.summaries import TensorboardSummaries

GAME = "SpaceInvadersNoFrameskip-v4"
SITTING = sorted(figures.RUN.glob("events.out.*"))[0]


@pytest.fixture
def edited(tmp_path):
    """Writes the sitting, each event as a function leaves it; gives what is odd about it."""

    def told(change):
        writer = RecordWriter(str(tmp_path / SITTING.name))
        for k, event in enumerate(LegacyEventFileLoader(str(SITTING)).Load()):
            for value in event.summary.value:
                change(k, event, value)
            writer.write(event.SerializeToString())
        writer.close()
        return oddities(tmp_path, GAME, 16)

    return told


def scaled(tag, by, until=np.inf):
    def change(k, event, value):
        if value.tag == f"Episodes/{tag}" and event.step < until:
            value.simple_value *= by

    return change


def backwards(k, event, value):
    event.step = event.step if k < 9000 else event.step - 100_000


def at_once(k, event, value):
    event.wall_time = 1e9 + k / 1e4


def gap(k, event, value):
    if k == 500:
        value.simple_value = float("nan")


def three_points_less(k, event, value):
    value.simple_value -= 3 * (value.tag == "Episodes/minimum")


def longer(k, event, value):
    event.step *= 4


EDITS = {
    "the graded curve": (scaled("reward_mean_100", 1.5), "is not the mean of the games in"),
    "the games": (scaled("total", 2.0), "total lies outside Episodes/minimum and"),
    "all scores": (scaled("minimum", 0.3), "is no multiple of 5"),
    "a minimum": (three_points_less, "is no multiple of 5"),
    "the length": (scaled("length", 3.0), "do not fit Episodes/games and Episodes/length"),
    "the steps": (longer, "do not fit Episodes/games and Episodes/length"),
    "steps backwards": (backwards, "agent steps run backwards, to"),
    "in no time": (at_once, "agent steps a second, which no machine has"),
    "no number": (gap, "has a value that is no number"),
}


@pytest.mark.parametrize(("change", "says"), EDITS.values(), ids=EDITS)
def test_an_edited_curve_is_named(change, says, edited):
    told = edited(change)
    assert says in told[0] and len(told) <= 2


def test_an_honest_sitting_has_no_oddity(edited):
    assert edited(lambda k, event, value: None) == []


def test_the_reference_run_of_seven_sittings_has_no_oddity():
    assert len([*figures.RUN.glob("events.out.*")]) == 7
    assert oddities(figures.RUN, GAME, 16) == []


def test_a_run_that_ended_before_a_game_did_is_told(tmp_path):
    env = TensorboardSummaries(EnvBatch([Counting()]), tmp_path)
    env.add_summary("A2C/entropy", 1.0)
    env.close()
    (told,) = oddities(tmp_path, GAME, 1)
    assert told.startswith("curves of Episodes/ are missing")


def test_a_folder_without_curves_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no event file"):
        oddities(tmp_path, GAME, 16)
