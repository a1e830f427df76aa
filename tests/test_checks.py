import numpy as np
import pytest
import torch

from atari_wrappers import NumpySummaries
from env_batch import EnvBatch
from grading.check import OBJECTS, check_task
from grading.verdicts import TASKS, Verdict
from runners import EnvRunner
from tests import checks, notebook
from tests.checks.value_targets import n_step, td_lambda
from tests.right_answers import RIGHT
from tests.toys import Counting
from tests.wrong_answers import WRONG

LEARNER = ("model", "policy", "transforms", "optimizer", "a2c")


class Space:
    n = 6


class Env:
    """What a check reads of the environment."""

    class action_space:
        spaces = [Space]


class Runner:
    def __init__(self, transforms):
        self.transforms = transforms


@pytest.fixture(scope="module")
def sources():
    return {**notebook.cells(notebook.read()), "glue": notebook.GLUE}


@pytest.fixture(scope="module")
def imports():
    given = notebook.definitions(names=())
    return {**given, "N_ACTIONS": 6, "GAMMA": 0.99, "DEVICE": torch.device("cpu")}


def make(sources, imports, seed=0):
    """The namespace of an answer with the objects that a notebook would have made."""
    torch.manual_seed(seed)
    given = notebook.run([*notebook.TASKS, "glue"], sources, dict(imports))
    return {**given, "env": Env, "runner": Runner(given["transforms"])}


def changed(sources, changes):
    """The sources with some pieces replaced, each of which occurs once."""
    sources = dict(sources)
    for cell, old, new in changes:
        assert sources[cell].count(old) == 1, (cell, old)
        sources[cell] = sources[cell].replace(old, new)
    return sources


def check_curves(given):
    """The verdict of the check that only the notebook makes: a learner may be right without it."""
    assert {check_task(task, given).result for task in TASKS} == {"passed"}
    try:
        checks.check_curves(*(given[part] for part in LEARNER))
    except checks.CheckError as e:
        return Verdict("failed", str(e))
    return Verdict("passed")


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.name)
def test_every_wrong_answer_is_caught(wrong, sources, imports):
    given = make(changed(sources, wrong.changes), imports)
    verdict = check_curves(given) if wrong.task == "Curves" else check_task(wrong.task, given)
    if wrong.says.startswith("warning: "):
        assert verdict.result == "passed" and wrong.says[9:] in verdict.message
    else:
        assert verdict.result == "failed" and wrong.says in verdict.message


@pytest.mark.parametrize("name", ["the notebook's own", *RIGHT])
@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(k, marks=pytest.mark.slow) for k in range(1, 6))]
)
def test_right_answers_pass(name, seed, sources, imports):
    given = make({**sources, **RIGHT.get(name, {})}, imports, seed)
    before = {key: value.clone() for key, value in given["model"].state_dict().items()}
    messages = {task: check_task(task, given).message for task in TASKS}
    assert messages == dict.fromkeys(TASKS, "")
    after = given["model"].state_dict()
    assert all(torch.equal(after[key], value) for key, value in before.items())


def test_at_least_thirty_five_mistakes_of_every_task_are_known():
    assert len(WRONG) >= 35 and len({wrong.name for wrong in WRONG}) == len(WRONG)
    assert {wrong.task for wrong in WRONG} == {*TASKS, "Curves"} and len(RIGHT) >= 8


def test_every_task_has_its_objects():
    assert tuple(OBJECTS) == TASKS


def test_n_step_targets_by_hand():
    rewards = np.array([[1.0, 2.0], [4.0, 8.0], [16.0, 32.0]])
    goes_on = np.array([[1, 0], [1, 1], [1, 1]])
    got = n_step(rewards, goes_on, np.array([64.0, 128.0]), 0.5)
    # 16 + 32 = 48, 4 + 24 = 28, 1 + 14 = 15; 32 + 64 = 96, 8 + 48 = 56, 2
    assert got.tolist() == [[15, 2], [28, 56], [48, 96]]


def test_td_lambda_of_one_is_the_n_step_target():
    inputs = checks.draw_inputs()
    values, latest = np.random.default_rng(0).normal(size=(2, *inputs.rewards.shape))
    goes_on = 1.0 - inputs.resets
    right = n_step(inputs.rewards, goes_on, latest[0], 0.9)
    assert np.allclose(td_lambda(inputs.rewards, goes_on, values, latest[0], 0.9, 1), right)


def test_inputs_hold_every_kind_of_reset_and_no_plain_reward():
    inputs = checks.draw_inputs(seed=9)
    assert inputs.observations.shape == (5, 6, 4, 84, 84) and inputs.latest.shape == (6, 4, 84, 84)
    assert inputs.resets[-1].any() and inputs.resets[1:-1].any() and not inputs.resets.all(0).any()
    assert len({tuple(column) for column in inputs.resets.T}) == 6
    assert not np.isin(inputs.rewards, (-1, 0, 1)).any()
    assert 0 <= inputs.observations.min() <= inputs.observations.max() <= 1


@pytest.mark.parametrize(
    ("check", "parts"),
    [
        (checks.check_model, ("model", "N_ACTIONS")),
        (checks.check_policy, ("model", "policy", "N_ACTIONS")),
        (checks.check_value_targets, ("model", "policy", "transforms")),
        (checks.check_merge, ("model", "policy", "transforms")),
        (checks.check_a2c, LEARNER),
        (checks.check_curves, LEARNER),
    ],
)
def test_a_check_cell_prints_one_line(check, parts, sources, imports, capsys):
    given = make(sources, imports)
    state = torch.get_rng_state()
    check(*(given[part] for part in parts))
    assert capsys.readouterr().out.endswith(": passed.\n")
    assert torch.equal(state, torch.get_rng_state())


def test_a_check_leaves_the_learner_as_it_was(sources, imports):
    given = make(sources, imports)
    a2c, optimizer = given["a2c"], given["optimizer"]
    for check in (checks.check_a2c, checks.check_curves):
        check(*(given[part] for part in LEARNER))
    assert (a2c.value_loss_coef, a2c.entropy_coef, a2c.max_grad_norm) == (0.25, 0.01, 0.5)
    assert "step" not in vars(optimizer) and not optimizer.state
    assert all(p.grad is None for p in given["model"].parameters())


def test_a_check_draws_no_point_of_a_student_who_draws_in_step(sources, imports):
    given = make(sources, imports)
    env = NumpySummaries(EnvBatch([Counting()]))
    runner = EnvRunner(env, Idle(), 1)
    step = given["a2c"].step

    def drawing_step(trajectory):
        runner.add_summary("A2C/loss", 1.0)
        return step(trajectory)

    given["a2c"].step = drawing_step
    checks.check_a2c(*(given[part] for part in LEARNER))
    with pytest.raises(KeyError, match="nothing was recorded"):
        NumpySummaries.get_values("A2C/loss")
    runner.add_summary("A2C/loss", 1.0)
    assert NumpySummaries.get_values("A2C/loss").tolist() == [1.0]


class Idle:
    def act(self, observations):
        return {"actions": np.zeros(len(observations), int)}


# objects that were made from ones that are gone


@pytest.mark.parametrize(
    ("renewed", "says"),
    [
        (("model", "optimizer", "a2c"), "the A2C has another network"),
        (("model", "policy", "optimizer", "a2c"), "a transform calls another network"),
        (("model", "policy", "transforms", "a2c"), "the optimizer has no weight of `model`"),
        (
            ("model", "policy", "transforms", "optimizer"),
            "the A2C has another network than `model`",
        ),
        (("optimizer",), "the A2C has another optimizer"),
    ],
    ids=lambda case: "-".join(case) if isinstance(case, tuple) else "",
)
def test_a_check_says_which_object_was_not_made_again(renewed, says, sources, imports):
    old, new = make(sources, imports), make(sources, imports)
    new["optimizer"] = torch.optim.RMSprop(new["model"].parameters())
    given = {**old, **{name: new[name] for name in renewed}}
    if "a2c" in renewed:
        given["a2c"] = type(new["a2c"])(given["policy"], given["optimizer"])
    if renewed == ("optimizer",):
        given["optimizer"] = torch.optim.RMSprop(old["model"].parameters())
    for check in (checks.check_a2c, checks.check_curves):
        with pytest.raises(checks.CheckError, match=f"{says}.*: run the cells from .* on again"):
            check(*(given[part] for part in LEARNER))


@pytest.mark.parametrize("check", [checks.check_value_targets, checks.check_merge])
def test_a_check_names_a_policy_and_a_transform_of_another_model(check, sources, imports):
    old, new = make(sources, imports), make(sources, imports)
    for policy, maker in ((old["policy"], "Policy"), (new["policy"], "ComputeValueTargets")):
        with pytest.raises(checks.CheckError, match=f"another network.* from `{maker}"):
            check(new["model"], policy, old["transforms"])


def test_a_policy_check_names_a_policy_of_another_model(sources, imports):
    old, new = make(sources, imports), make(sources, imports)
    with pytest.raises(checks.CheckError, match=r"run the cells from `Policy\(model\)` on again"):
        checks.check_policy(new["model"], old["policy"], 6)


def test_an_exit_inside_a_students_method_is_a_failed_check(sources, imports):
    given = make(sources, imports)
    given["policy"].act = lambda inputs: exit(3)
    with pytest.raises(checks.CheckError, match="Policy raised SystemExit: 3"):
        checks.check_policy(given["model"], given["policy"], 6)
