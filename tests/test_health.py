import bisect
import math
import re
from types import SimpleNamespace

import numpy as np
import pytest

from tests import notebook, record_runs
from training.curves import read_curves
from training.health import POINTS, UPDATES, Health, SickRun

HEALTHY = {
    "agent step": 100_000,
    "total loss": 0.1,
    "entropy": 1.6,
    "coefficient of determination": 0.9,
    "gradient norm": 0.2,
    "alike": 0.0,
    "rewarded": 1.0,
    "score": 200.0,
}


def make_runner(nenvs=16):
    summaries = SimpleNamespace(reward_mean_100=200.0)
    return SimpleNamespace(step_var=100_000, nenvs=nenvs, nsteps=5, summaries=summaries)


def make_health(runner, random_score=150):
    return Health(runner, n_actions=6, max_grad_norm=0.5, random_score=random_score)


def judge(points, nenvs=16, **kwargs):
    """Returns all warnings of a run's points."""
    health = make_health(make_runner(nenvs), **kwargs)
    return [message for point in points for message in health.judge(point)]


def lasting(signs, points, every=2_000):
    """A run's last points, from agent step 300,000 on, with some signs."""
    return [{**HEALTHY, "agent step": 300_000 + every * k, **signs} for k in range(points)]


# one sign at a time


@pytest.mark.parametrize(
    ("signs", "message"),
    [
        ({"entropy": 0.08}, "the entropy has fallen to 0.08: the policy is sure of one action"),
        ({"entropy": math.log(6)}, "the entropy stays at its maximum 1.79"),
        ({"coefficient of determination": -0.01}, "the coefficient of determination stays at 0"),
        ({"coefficient of determination": -math.inf}, "the coefficient of determination stays at"),
        ({"coefficient of determination": math.nan}, "the coefficient of determination stays at 0"),
        ({"gradient norm": 6.0}, "the gradient norm is 12 times the bound of 0.5, so"),
        ({"alike": 1.0}, "all environments show the same picture, or all are given"),
        ({"rewarded": 0.0}, "no reward has come in at any of the latest points"),
        ({"score": 160.0}, "reward_mean_100 is 160, and random play scores 150"),
    ],
)
def test_judge_warns_once_of_a_sign_that_lasts(signs, message):
    (warning,) = judge(lasting(signs, 3 * POINTS))
    assert message in warning and warning.startswith("at agent step 348,000: ")
    assert not judge(lasting(signs, POINTS - 1))
    assert not judge(lasting({}, 3 * POINTS))


def test_where_no_reward_comes_no_mistake_is_looked_for_in_the_code():
    signs = {"entropy": math.log(6), "coefficient of determination": -1.0, "score": 0.0}
    (warning,) = judge(lasting({"rewarded": 0.0, **signs}, POINTS))
    assert "no mistake of yours: chance has to find the first reward" in warning


def test_a_sign_must_last_for_updates_and_not_for_points_alone():
    sick = {"entropy": 0.08}
    assert not judge(lasting(sick, UPDATES // 2, every=160))  # a point every two updates
    assert judge(lasting(sick, UPDATES // 2 + 1, every=160))
    assert not judge(lasting(sick, POINTS, every=2_000), nenvs=64)  # fewer updates in as many steps
    assert judge(lasting(sick, 4 * POINTS, every=2_000), nenvs=64)


def test_a_low_score_counts_after_many_updates_and_once_a_game_has_ended():
    assert not judge(lasting({"score": None}, POINTS))
    assert not judge(lasting({"score": 160.0}, 4 * POINTS), nenvs=64)
    early = [
        {**point, "agent step": point["agent step"] - 250_000} for point in lasting({}, POINTS)
    ]
    assert not judge([{**point, "score": 160.0} for point in early])


def test_a_game_with_scores_of_0_or_below_may_stay_for_long_where_random_play_is():
    assert not judge(lasting({"score": -20.5}, POINTS), random_score=-20.3)
    assert not judge(lasting({"score": 0.0}, POINTS), random_score=0.0)
    assert judge(lasting({"score": -3.0}, POINTS), random_score=-2.0)


def test_where_rewards_are_rare_the_values_need_not_explain_much_at_first():
    good, bad = lasting({}, POINTS), lasting({"coefficient of determination": -0.01}, POINTS)
    assert not judge(good[:8] + bad[8:])
    assert judge(good[:4] + bad[4:])


@pytest.mark.parametrize("name", ["total loss", "entropy", "gradient norm"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_figure_that_is_not_finite_stops_the_run_at_once(name, value):
    with pytest.raises(
        FloatingPointError, match=f"the {name} is {value} at agent step 100,000.*is kept: restart"
    ):
        judge([{**HEALTHY, name: value}])


# from a trajectory


class OnGpu:
    """A tensor that NumPy cannot read where it is."""

    def __init__(self, values):
        self.values = values

    def __getitem__(self, rows):
        return OnGpu(self.values[rows])

    def __array__(self, *args, **kwargs):
        raise TypeError("can't convert cuda:0 device type tensor to numpy")

    def cpu(self):
        return self.values


def look(observations, actions, nenvs=4):
    known = "agent step", "alike", "rewarded", "score"
    figures = {key: HEALTHY[key] for key in HEALTHY if key not in known}
    rewards = np.float32([0, 0, 1, 0, 0, 0, 0, 0])
    trajectory = {"observations": observations, "actions": actions, "rewards": rewards}
    return make_health(make_runner(nenvs)).point(trajectory, figures)


def test_a_point_holds_the_figures_and_what_the_runner_knows():
    rng = np.random.default_rng(0)
    pictures, actions = rng.random((8, 2, 3)), np.array([0, 1, 2, 0, 1, 1, 1, 2])
    assert look(pictures, actions) == HEALTHY
    assert look(OnGpu(pictures), OnGpu(actions)) == HEALTHY


def test_environments_are_alike_by_their_pictures_or_their_actions():
    rng = np.random.default_rng(0)
    pictures, actions = rng.random((8, 2, 3)), np.array([0, 1, 2, 0, 1, 1, 1, 2])
    same = pictures.copy()
    same[-4:] = same[-1]
    assert look(same, actions)["alike"] == 1.0
    assert look(pictures, np.array([3, 3, 3, 3, 5, 5, 5, 5]))["alike"] == 1.0
    assert look(pictures, np.array([3, 3, 3, 3, 5, 5, 5, 4]))["alike"] == 0.0
    assert look(pictures[:2], np.array([1, 1]), nenvs=1)["alike"] == 0.0


def test_check_warns_of_a_run_that_fails():
    runner, rng = make_runner(nenvs=4), np.random.default_rng(0)
    health = make_health(runner)
    trajectory = {"observations": rng.random((8, 2, 3)), "actions": np.arange(8)}
    trajectory["rewards"] = np.zeros(8)
    figures = {**HEALTHY, "entropy": 0.0}
    with pytest.warns(SickRun, match="at agent step 112,000: the entropy has fallen to 0"):
        for _ in range(POINTS):
            health.check(trajectory, figures)
            runner.step_var += 500


# runs that were recorded

ENTROPY_GONE, AT_MAXIMUM = "the entropy has fallen to", "the entropy stays at its maximum"
VALUES, ALIKE = "the coefficient of determination stays", "all environments show the same picture"
WARNINGS = {  # all warnings of a run, and by which agent step the first of them comes
    "learning-rate-100-times": (50_000, [VALUES]),
    "no-entropy-bonus": (80_000, [ENTROPY_GONE]),
    "entropy-bonus-100-times": (70_000, [AT_MAXIMUM]),
    "wrong-sign": (200_000, ["reward_mean_100 is 14"]),
    "frozen-network": (50_000, [AT_MAXIMUM]),
    "rewards-not-clipped": (
        50_000,
        ["the gradient norm is", ENTROPY_GONE],
    ),  # the policy collapses, too
    "one-game-everywhere": (50_000, [ALIKE, VALUES]),  # all targets of a step are one number
}


@pytest.mark.parametrize("name", WARNINGS)
def test_a_run_broken_on_purpose_is_warned_of_within_minutes(name):
    steps, messages = WARNINGS[name]
    warnings = judge(record_runs.read(name))
    assert len(warnings) == len(messages)
    assert all(message in text for message, text in zip(messages, warnings, strict=True))
    first = re.match(r"at agent step ([\d,]+): ", warnings[0])[1]
    assert int(first.replace(",", "")) <= steps


def test_every_recorded_run_has_its_warnings():
    assert {path.stem for path in record_runs.DATA.glob("*.csv")} == set(record_runs.RUNS)
    assert {*WARNINGS, "healthy"} == set(record_runs.RUNS)


def test_a_healthy_run_gives_no_warning():
    points = list(record_runs.read("healthy"))
    assert points[-1]["agent step"] == 500_000 and not judge(points)


def test_the_reference_run_gives_no_warning():
    curves = read_curves(notebook.PATH.parent / "logs" / "reference")
    names = ("total loss", "entropy", "coefficient of determination", "gradient norm")
    columns = {name: curves[f"A2C/{name.replace(' ', '_')}"] for name in names}
    score_steps, scores, _ = curves["Episodes/reward_mean_100"]
    scores, points = [None, *scores], []
    for k, step in enumerate(columns["entropy"][0].tolist()):
        score = scores[bisect.bisect_right(score_steps, step)]
        figures = {name: values[k] for name, (_, values, _) in columns.items()}
        points.append({**HEALTHY, **figures, "agent step": step, "score": score})
    assert len(points) > 1000 and points[-1]["agent step"] >= 9_990_000
    assert not judge(points)
