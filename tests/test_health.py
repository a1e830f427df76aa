import math
from types import SimpleNamespace

import numpy as np
import pytest

from health import WINDOW, Health, SickRun

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
        ({"entropy": 0.08}, "the entropy has gone to 0.08: the policy plays one action"),
        ({"entropy": math.log(6)}, "the entropy does not move from its maximum 1.79"),
        ({"coefficient of determination": -0.01}, "the coefficient of determination stays at 0"),
        ({"gradient norm": 6.0}, "the gradient is 12 times as long as the bound of 0.5, and"),
        ({"alike": 1.0}, "all environments show the same picture or are given the same action"),
        ({"agent step": 300_000, "score": 160.0}, "reward_mean_100 is 160, and play at random sc"),
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
