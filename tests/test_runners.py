import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from atari_wrappers import ClipReward, NumpySummaries, TensorboardSummaries
from env_batch import EnvBatch
from runners import EnvRunner
from tests.toys import Counting
from training.curves import read_curves


class Player:
    """Takes action (number of calls) mod 3 and notes what it saw."""

    def __init__(self):
        self.calls = self.resets = 0

    def act(self, observations):
        self.calls += 1
        return {"actions": np.full(len(observations), self.calls % 3), "seen": observations[:, 0]}

    def reset(self):
        self.resets += 1


class Says:
    """A policy that returns a given answer."""

    def __init__(self, answer):
        self.answer = answer

    def act(self, observations):
        return self.answer

    def reset(self):
        pass


def make_env():
    return EnvBatch([Counting(3), Counting(4, truncates=True, tag=1)])


def test_get_next_returns_lists_of_length_t():
    trajectory = EnvRunner(make_env(), Player(), nsteps=5).get_next()
    assert type(trajectory) is dict
    assert {key: len(steps) for key, steps in trajectory.items() if key != "state"} == {
        "observations": 5,
        "actions": 5,
        "seen": 5,
        "rewards": 5,
        "resets": 5,
    }
    assert [steps.tolist() for steps in trajectory["seen"]] == [
        [0, 0],
        [1, 1],
        [2, 2],
        [0, 3],
        [1, 0],
    ]
    assert [obs[:, 0].tolist() for obs in trajectory["observations"]] == [
        [0, 0],
        [1, 1],
        [2, 2],
        [0, 3],
        [1, 0],
    ]
    assert [step.tolist() for step in trajectory["rewards"]] == [
        [10, 10],
        [10, 10],
        [15, 10],
        [10, 15],
        [10, 10],
    ]
    assert [step.tolist() for step in trajectory["resets"]] == [
        [False, False],
        [False, False],
        [True, False],
        [False, True],
        [False, False],
    ]
    assert trajectory["rewards"][0].dtype == np.float32 and trajectory["resets"][0].dtype == bool
    assert trajectory["state"]["latest_observation"].tolist() == [[2, 0], [1, 1]]
    assert trajectory["state"]["env_steps"] == 5


def test_the_next_trajectory_opens_where_the_last_one_closed():
    runner = EnvRunner(make_env(), Player(), nsteps=2)
    first, second = runner.get_next(), runner.get_next()
    assert first["state"]["latest_observation"].tolist() == second["observations"][0].tolist()
    assert first["state"]["latest_observation"].tolist() == [[2, 0], [2, 1]]


def test_step_var_counts_agent_steps_over_all_environments():
    runner = EnvRunner(make_env(), Player(), nsteps=5)
    assert runner.step_var == 0
    runner.get_next()
    runner.get_next()
    assert runner.step_var == 20
    runner.reset()
    assert runner.step_var == 20 and runner.policy.resets == 2


def test_transforms_change_the_trajectory_in_their_order_and_return_nothing_that_counts():
    def count(trajectory):
        trajectory["count"] = len(trajectory["rewards"])

    def double(trajectory):
        trajectory["count"] *= 2
        return {"not": "used"}

    assert EnvRunner(make_env(), Player(), 3, transforms=[count, double]).get_next()["count"] == 6


def test_a_misspelt_key_raises_in_a_transform():
    runner = EnvRunner(make_env(), Player(), 2, [lambda trajectory: trajectory["valeus"]])
    with pytest.raises(KeyError, match="valeus"):
        runner.get_next()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (
            {"action": [0, 0], "values": 1},
            r"returned the keys \['action', 'values'\], expected a dict with 'actions'",
        ),
        (np.zeros(2), "policy.act returned a ndarray, expected a dict with 'actions'"),
        (
            {"actions": [0, 0], "rewards": 1},
            r"returned the keys \['rewards'\], which the runner fills: rename",
        ),
    ],
)
def test_a_policy_that_answers_otherwise_is_named(answer, message):
    with pytest.raises(ValueError, match=message):
        EnvRunner(make_env(), Says(answer), 2).get_next()


def test_a_single_environment_and_a_bad_nsteps_are_refused():
    with pytest.raises(ValueError, match="EnvRunner needs a batch: .*nenvs=1"):
        EnvRunner(Counting(), Player(), 2)
    with pytest.raises(ValueError, match="nsteps is 0, expected an integer of at least 1"):
        EnvRunner(make_env(), Player(), 0)


def test_summaries_are_drawn_at_the_runners_agent_step():
    runner = EnvRunner(NumpySummaries(make_env()), Player(), 5)
    runner.get_next()
    runner.add_summary("A2C/loss", 0.5)
    assert runner.summaries.step_var == runner.step_var == 10
    assert NumpySummaries.get_values("A2C/loss").tolist() == [0.5]
    EnvRunner(make_env(), Player(), 1).add_summary("A2C/loss", 0.5)  # no summaries: nothing happens


def test_a_second_runner_resumes_the_count_and_the_curves(tmp_path):
    env = ClipReward(TensorboardSummaries(EnvBatch([Counting(1)]), tmp_path))
    first = EnvRunner(env, Player(), 59)
    first.get_next()
    second = EnvRunner(env, Player(), 1)
    second.get_next()
    second.add_summary("A2C/loss", 0.5)
    env.close()
    assert first.step_var == second.step_var == 60
    curves = read_curves(tmp_path)
    assert curves["Episodes/reward_mean_100"][0].tolist() == list(range(1, 61))
    assert curves["A2C/loss"][0].tolist() == [60]


@pytest.mark.parametrize("wrap", [NumpySummaries, lambda env: env])
def test_a_runner_resumes_counting_from_its_state(wrap):
    runner = EnvRunner(wrap(make_env()), Player(), 6)
    runner.get_next()
    other = EnvRunner(wrap(make_env()), Player(), 6)
    other.load_state_dict(runner.state_dict())
    assert other.step_var == runner.step_var == 12
    other.get_next()
    assert (other.step_var, runner.step_var) == (24, 12)


def test_the_scores_behind_the_mean_resume_with_the_runner():
    runner = EnvRunner(NumpySummaries(make_env()), Player(), 6)
    runner.get_next()
    other = EnvRunner(NumpySummaries(make_env()), Player(), 6)
    other.load_state_dict(runner.state_dict())
    assert other.summaries.reward_mean_100 == runner.summaries.reward_mean_100 == 40.0
    other.get_next()
    assert other.state_dict()["summaries"]["games"] == [[35.0] * 4, [45.0] * 2]


@pytest.mark.skipif(sys.platform != "linux", reason="page faults are counted on Linux")
def test_a_runner_keeps_the_memory_of_freed_trajectories():
    program = """
import resource, sys
import gymnasium, numpy as np
from env_batch import EnvBatch
from runners import EnvRunner
env = EnvBatch([gymnasium.make("CartPole-v1")])
if sys.argv[1] == "kept":
    EnvRunner(env, policy=None, nsteps=1)
def collect():
    return [np.ones((16, 4, 84, 84), np.float32) for _ in range(20)]
collect()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    collect()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
    faults = [
        int(
            subprocess.check_output(
                [sys.executable, "-c", program, mode], cwd=Path(__file__).parent.parent
            )
        )
        for mode in ("as it was", "kept")
    ]
    assert faults[1] < 100 < faults[0]
