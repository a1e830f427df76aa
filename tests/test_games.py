import copy
import json

import imageio.v3 as iio
import numpy as np
import pytest

from benchmarks import games
from grading.curves import FEW_POINTS, find_oddities
from lesson import videos
from lesson.assignment import RANDOM_SCORES, read_assignment
from lesson.games import EXPECT
from tests import notebook, record_runs
from training.health import Health

RESULTS = json.loads(games.FIGURES.read_text(encoding="utf-8"))


def test_every_game_was_tried_to_its_end():
    assert len(RESULTS) >= 5 and not any(games.failures(found) for found in RESULTS.values())


def test_what_failed_in_a_game_is_told_beside_what_worked():
    results = copy.deepcopy(RESULTS)
    results["Pong"]["checks"].remove("A2C")
    results["Pong"]["graded"]["flags"].append("curves")
    assert "replay played on. But Pong: checks; Pong: curves" in games.render(results)


def test_random_play_scores_what_was_measured():
    for name, found in RESULTS.items():
        chance = found["random"]
        assert abs(RANDOM_SCORES[name + games.SUFFIX] - chance["mean"]) <= chance["half"]


def test_each_game_has_a_row_and_a_sentence_of_what_to_expect():
    told, shown = games.render(RESULTS), games.students_table(RESULTS)
    assert {name + games.SUFFIX for name in RESULTS} == set(EXPECT)
    for sentence in EXPECT.values():
        assert sentence in told and shown.count(sentence) == 1
    assert len(shown.splitlines()) == 2 + len(RESULTS)


@pytest.mark.parametrize("name", RESULTS)
def test_no_healthy_run_of_another_game_is_called_sick(name):
    class Runner:
        nenvs, nsteps = 16, 5

    found, points = RESULTS[name], list(record_runs.read(name, games.RUNS))
    health = Health(Runner, found["actions"], 0.5, RANDOM_SCORES[name + games.SUFFIX])
    warnings = [message for point in points for message in health.judge(point)]
    rewarded = any(point["rewarded"] for point in points)
    assert points[-1]["agent step"] > 50_000
    assert ["no reward has come in" in message for message in warnings] == [True] * (not rewarded)


@pytest.mark.parametrize("name", RESULTS)
def test_no_honest_run_of_another_game_has_odd_scores(name):
    with np.load(games.RUNS / f"{name}.npz") as file:
        curves = {tag: (file["steps"], file[tag], None) for tag in file.files if tag != "steps"}
    game, (_, best, _) = name + games.SUFFIX, curves["Episodes/maximum"]
    assert find_oddities(curves, [], game, 16) == []
    mean = curves["Episodes/reward_mean_100"][1] + 0.5 * (best.max() - best.min()) + 1
    if len(mean) <= FEW_POINTS:
        return  # games are too long to be compared after minutes
    edited = {**curves, "Episodes/reward_mean_100": (curves["Episodes/games"][0], mean, None)}
    assert "is not the mean of the games in" in find_oddities(edited, [], game, 16)[0]


def test_a_game_that_waits_for_fire_is_told_from_one_that_does_not():
    told = games.rules("BreakoutNoFrameskip-v4")
    assert told == {"actions": 4, "lives": 5, "waits for FIRE": True}
    told = games.rules("PongNoFrameskip-v4")
    assert told == {"actions": 6, "lives": 0, "waits for FIRE": False}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("game", "n_actions"), [("Breakout", 4), ("Seaquest", 18), ("Pong", 6)], ids=str
)
def test_the_notebook_goes_from_its_start_to_a_video(game, n_actions, tmp_path, monkeypatch):
    assignment = read_assignment()._replace(game=game + games.SUFFIX, agent_steps=400)
    monkeypatch.setattr("lesson.assignment.read_assignment", lambda: assignment)
    monkeypatch.setenv("A2C_OUT", str(tmp_path))
    monkeypatch.setenv("A2C_MINUTES", "0")  # to the end
    short = [("settings-cell", "LOG_EVERY = 2_000", "LOG_EVERY = 80")]
    given = notebook.training(short, ["training-run", "watching-evaluate"])
    assert given["N_ACTIONS"] == n_actions and given["runner"].step_var == 400
    with videos.camera(given["GAME"], tmp_path / "videos", seed=1) as env:
        given["evaluate"](env, given["policy"], t_max=100)
    (film,) = (tmp_path / "videos").glob("*.mp4")
    assert len(iio.imread(film, plugin="FFMPEG")) >= 100 and np.isfinite(given["speed"])
