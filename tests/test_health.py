import math
from types import SimpleNamespace

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from health import WINDOW, Health, SickRun
from tests import notebook, record_runs

HEALTHY = {
    "agent step": 100_000,
    "total loss": 0.1,
    "entropy": 1.6,
    "coefficient of determination": 0.9,
    "gradient norm": 0.2,
    "alike": 0.0,
    "score": 200.0,
}


def make_health(step=100_000, score=200.0, nenvs=4):
    summaries = SimpleNamespace(reward_mean_100=score)
    runner = SimpleNamespace(step_var=step, nenvs=nenvs, summaries=summaries)
    return Health(runner, n_actions=6, max_grad_norm=0.5, random_score=150)


def judge(points):
    """All complaints about a run's points."""
    health = make_health()
    return [message for point in points for message in health.judge(point)]


# one sign at a time


@pytest.mark.parametrize(
    ("signs", "message"),
    [
        ({"entropy": 0.08}, "the entropy has gone to 0.08: the policy is sure of one action"),
        ({"entropy": math.log(6)}, "the entropy does not move from its maximum 1.79"),
        ({"coefficient of determination": -0.01}, "the coefficient of determination stays at 0"),
        ({"coefficient of determination": -math.inf}, "the coefficient of determination stays at"),
        ({"coefficient of determination": math.nan}, "the coefficient of determination stays at 0"),
        ({"gradient norm": 6.0}, "the gradient is 12 times as long as the bound of 0.5, and"),
        ({"alike": 1.0}, "all environments show the same picture or are given the same action"),
        ({"agent step": 200_000, "score": 160.0}, "reward_mean_100 is 160, and play at random sc"),
    ],
)
def test_a_sign_that_lasts_a_window_is_named_once(signs, message):
    (said,) = judge([{**HEALTHY, **signs}] * (3 * WINDOW))
    assert message in said and said.startswith("at agent step ")
    assert not judge([{**HEALTHY, **signs}] * (WINDOW - 1))
    assert not judge([HEALTHY] * (3 * WINDOW))


def test_a_score_is_not_asked_for_before_a_game_has_ended():
    assert not judge([{**HEALTHY, "agent step": 400_000, "score": None}] * WINDOW)


@pytest.mark.parametrize("name", ["total loss", "entropy", "gradient norm"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_figure_that_is_not_finite_stops_the_run_at_once(name, value):
    with pytest.raises(
        FloatingPointError, match=f"the {name} is {value} at agent step 100,000.*is kept: run the"
    ):
        judge([{**HEALTHY, name: value}])


# from a trajectory


def look(observations, actions, nenvs=4):
    figures = {key: HEALTHY[key] for key in HEALTHY if key not in ("agent step", "alike", "score")}
    trajectory = {"observations": observations, "actions": actions}
    return make_health(nenvs=nenvs).point(trajectory, figures)


def test_a_point_holds_the_figures_and_what_the_runner_knows():
    rng = np.random.default_rng(0)
    assert look(rng.random((8, 2, 3)), np.array([0, 1, 2, 0, 1, 1, 1, 2])) == HEALTHY


def test_environments_are_alike_by_their_pictures_or_their_actions():
    rng = np.random.default_rng(0)
    pictures, actions = rng.random((8, 2, 3)), np.array([0, 1, 2, 0, 1, 1, 1, 2])
    same = pictures.copy()
    same[-4:] = same[-1]
    assert look(same, actions)["alike"] == 1.0
    assert look(pictures, np.array([3, 3, 3, 3, 5, 5, 5, 5]))["alike"] == 1.0
    assert look(pictures, np.array([3, 3, 3, 3, 5, 5, 5, 4]))["alike"] == 0.0
    assert look(pictures[:2], np.array([1, 1]), nenvs=1)["alike"] == 0.0


def test_a_sick_run_is_warned_of_in_the_notebook():
    health, rng = make_health(), np.random.default_rng(0)
    trajectory = {"observations": rng.random((8, 2, 3)), "actions": np.arange(8)}
    figures = {**HEALTHY, "entropy": 0.0}
    with pytest.warns(SickRun, match="at agent step 100,000: the entropy has gone to 0"):
        for _ in range(WINDOW):
            health(trajectory, figures)


# runs that were recorded

FIRST_COMPLAINTS = {
    "learning-rate-100-times": (50_000, "the coefficient of determination stays at 0"),
    "no-entropy-bonus": (80_000, "the entropy has gone to"),
    "entropy-bonus-100-times": (70_000, "the entropy does not move from its maximum"),
    "wrong-sign": (200_000, "reward_mean_100 is 14"),
    "frozen-network": (50_000, "the entropy does not move from its maximum"),
    "rewards-not-clipped": (50_000, "the gradient is"),
    "one-game-everywhere": (50_000, "all environments show the same picture"),
}


@pytest.mark.parametrize("name", FIRST_COMPLAINTS)
def test_a_run_broken_on_purpose_is_named_within_minutes(name):
    steps, message = FIRST_COMPLAINTS[name]
    points = [point for point in record_runs.read(name) if point["agent step"] <= steps]
    assert message in judge(points)[0]


def test_every_recorded_run_is_told_apart():
    assert {path.stem for path in record_runs.DATA.glob("*.csv")} == set(record_runs.RUNS)
    assert {*FIRST_COMPLAINTS, "healthy"} == set(record_runs.RUNS)


def test_there_is_no_alarm_over_a_healthy_run():
    points = list(record_runs.read("healthy"))
    assert points[-1]["agent step"] == 500_000 and not judge(points)


def test_there_is_no_alarm_over_the_reference_run():
    events = EventAccumulator(
        str(notebook.PATH.parent / "logs" / "reference"), size_guidance={"scalars": 0}
    ).Reload()

    def values(tag):
        return {point.step: point.value for point in events.Scalars(tag)}

    figures = ("total loss", "entropy", "coefficient of determination", "gradient norm")
    curves = {name: values(f"A2C/{name.replace(' ', '_')}") for name in figures}
    scores = values("Episodes/reward_mean_100")
    points = []
    for step in curves["entropy"]:
        score = [scores[k] for k in scores if k <= step][-1:] or [None]
        figures = {name: curve[step] for name, curve in curves.items()}
        points.append({**figures, "agent step": step, "alike": 0.0, "score": score[0]})
    assert len(points) > 1000 and points[-1]["agent step"] >= 1_000_000
    assert not judge(points)
