import numpy as np
import pytest
import torch

from grading import reference
from tests import notebook
from tests.checks.expected import PATH, RELEASED_SEEDS, read_expected
from tests.checks.freedoms import close
from tests.checks.model import judge_model, observe_model
from tests.checks.policy import judge_policy, observe_policy
from tests.right_answers import RIGHT
from tests.wrong_answers import WRONG


@pytest.mark.parametrize("seed", RELEASED_SEEDS)
def test_the_released_arrays_are_those_of_the_reference(seed):
    stored, now = read_expected(seed), reference.expect(seed)
    assert stored.keys() == now.keys()
    assert [name for name in now if not np.allclose(stored[name], now[name], 1e-4, 1e-5)] == []


def test_the_released_arrays_are_small_and_hold_no_objects():
    assert PATH.stat().st_size < 300_000
    with np.load(PATH, allow_pickle=False) as file:
        assert {file[name].dtype for name in file.files} == {np.dtype(np.float32)}


def test_close_allows_rounding_and_nothing_more():
    right = np.array([[1.0, -2.0], [0.0, 4.0]])
    assert close(right + 1e-5, right) and close(right * (1 + 1e-4), right)
    assert not close(right + 0.01, right) and not close(right.T, right)
    assert not close(right[0], right) and not close(right * np.nan, right)


def judge(task, given, seed, expected):
    """The verdict of one task on one draw."""
    if task == "NatureModel":
        return judge_model(observe_model(given["model"], 6, seed), expected, 6)
    seen = observe_policy(given["model"], given["policy"], 6, seed, expected)
    return judge_policy(seen, expected, 6, seed)


def make(changes=(), answer=()):
    cells = dict(notebook.cells(notebook.read()), glue=notebook.GLUE) | dict(answer)
    for cell, old, new in changes:
        cells[cell] = cells[cell].replace(old, new)
    given = {**notebook.definitions(names=()), "N_ACTIONS": 6, "GAMMA": 0.99}
    return notebook.run([*notebook.TASKS, "glue"], cells, given)


HIDDEN = [77, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(100, 120))]


@pytest.mark.parametrize("seed", HIDDEN)
def test_a_hidden_draw_gives_the_verdict_of_the_released_ones(seed):
    expected = reference.expect(seed)
    right = {task: judge(task, make(), seed, expected) for task in ("NatureModel", "Policy")}
    assert right == dict.fromkeys(right)
    wrong = [one for one in WRONG if one.name in ("model-tanh-everywhere", "policy-sharpened")]
    assert len(wrong) == 2
    for one in wrong:
        assert one.says in judge(one.task, make(one.changes), seed, expected)


@pytest.mark.parametrize("name", RIGHT)
def test_right_networks_and_policies_pass_when_disturbed(name):
    given, expected = make(answer=RIGHT[name]), reference.expect(78)
    torch.manual_seed(0)
    forward = given["model"].forward

    def disturbed(observations):
        logits, values = forward(observations)
        return logits + 1e-5 * torch.randn_like(logits), values + 1e-5 * torch.randn_like(values)

    given["model"].forward = disturbed
    assert judge("NatureModel", given, 78, expected) is None
    assert judge("Policy", given, 78, expected) is None
