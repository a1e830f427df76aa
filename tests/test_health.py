import bisect
import math
import re
from types import SimpleNamespace

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests import notebook, record_runs
from training.health import POINTS, UPDATES, Health, SickRun

HEALTHY = {
    "agent step": 100_000,
    "total loss": 0.1,
    "entropy": 1.6,
    "coefficient of determination": 0.9,
    "gradient norm": 0.2,
    "alike": 0.0,
    "score": 200.0,
}


def make_health(nenvs=16, random_score=150):
    summaries = SimpleNamespace(reward_mean_100=200.0)
    runner = SimpleNamespace(step_var=100_000, nenvs=nenvs, nsteps=5, summaries=summaries)
    return Health(runner, n_actions=6, max_grad_norm=0.5, random_score=random_score)


def judge(points, **kwargs):
    """All complaints about a run's points."""
    health = make_health(**kwargs)
    return [message for point in points for message in health.judge(point)]


def lasting(signs, points, every=2_000):
    """A run's last points, from agent step 300,000 on, with some signs."""
    return [{**HEALTHY, "agent step": 300_000 + every * k, **signs} for k in range(points)]


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
        ({"score": 160.0}, "reward_mean_100 is 160, and play at random scores 150"),
    ],
)
def test_a_sign_that_lasts_is_named_once(signs, message):
    (said,) = judge(lasting(signs, 3 * POINTS))
    assert message in said and said.startswith("at agent step 348,000: ")
    assert not judge(lasting(signs, POINTS - 1))
    assert not judge(lasting({}, 3 * POINTS))


def test_a_sign_must_last_for_updates_and_not_for_points_alone():
    sick = {"entropy": 0.08}
    assert not judge(lasting(sick, UPDATES // 2, every=160))  # a point every two updates
    assert judge(lasting(sick, UPDATES // 2 + 1, every=160))
    assert not judge(lasting(sick, POINTS, every=2_000), nenvs=64)  # fewer updates in as many steps
    assert judge(lasting(sick, 4 * POINTS, every=2_000), nenvs=64)


def test_a_score_is_asked_for_after_updates_and_once_a_game_has_ended():
    assert not judge(lasting({"score": None}, POINTS))
    assert not judge(lasting({"score": 160.0}, 4 * POINTS), nenvs=64)
    early = [
        {**point, "agent step": point["agent step"] - 250_000} for point in lasting({}, POINTS)
    ]
    assert not judge([{**point, "score": 160.0} for point in early])


def test_a_game_with_negative_scores_has_its_bound_above_random_play():
    assert judge(lasting({"score": -20.0}, POINTS), random_score=-20.7)
    assert not judge(lasting({"score": -10.0}, POINTS), random_score=-20.7)


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
    figures = {key: HEALTHY[key] for key in HEALTHY if key not in ("agent step", "alike", "score")}
    trajectory = {"observations": observations, "actions": actions}
    return make_health(nenvs=nenvs).point(trajectory, figures)


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


def test_a_sick_run_is_warned_of_in_the_notebook():
    health, rng = make_health(nenvs=4), np.random.default_rng(0)
    trajectory = {"observations": rng.random((8, 2, 3)), "actions": np.arange(8)}
    figures = {**HEALTHY, "entropy": 0.0}
    with pytest.warns(SickRun, match="at agent step 112,000: the entropy has gone to 0"):
        for _ in range(POINTS):
            health(trajectory, figures)
            health._runner.step_var += 500


# runs that were recorded

ENTROPY_GONE, AT_MAXIMUM = "the entropy has gone to", "the entropy does not move from its maximum"
VALUES, ALIKE = "the coefficient of determination stays", "all environments show the same picture"
COMPLAINTS = {  # all that is said of a run, and by which agent step the first of it
    "learning-rate-100-times": (50_000, [VALUES]),
    "no-entropy-bonus": (80_000, [ENTROPY_GONE]),
    "entropy-bonus-100-times": (70_000, [AT_MAXIMUM]),
    "wrong-sign": (200_000, ["reward_mean_100 is 14"]),
    "frozen-network": (50_000, [AT_MAXIMUM]),
    "rewards-not-clipped": (50_000, ["the gradient is", ENTROPY_GONE]),  # the policy collapses, too
    "one-game-everywhere": (50_000, [ALIKE, VALUES]),  # all targets of a step are one number
}


@pytest.mark.parametrize("name", COMPLAINTS)
def test_a_run_broken_on_purpose_is_named_within_minutes(name):
    steps, messages = COMPLAINTS[name]
    said = judge(record_runs.read(name))
    assert len(said) == len(messages)
    assert all(message in text for message, text in zip(messages, said, strict=True))
    first = re.match(r"at agent step ([\d,]+): ", said[0])[1]
    assert int(first.replace(",", "")) <= steps


def test_every_recorded_run_is_told_apart():
    assert {path.stem for path in record_runs.DATA.glob("*.csv")} == set(record_runs.RUNS)
    assert {*COMPLAINTS, "healthy"} == set(record_runs.RUNS)


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
    score_steps, known = list(scores), [None, *scores.values()]
    points = []
    for step in curves["entropy"]:
        figures = {name: curve[step] for name, curve in curves.items()}
        score = known[bisect.bisect_right(score_steps, step)]
        points.append({**figures, "agent step": step, "alike": 0.0, "score": score})
    assert len(points) > 1000 and points[-1]["agent step"] >= 9_990_000
    assert not judge(points)
