import pytest
import torch

from tests import toy_run
from tests.toy_run import Learner, Model, Policy, Targets, make_parts, make_run, new_run
from training import RunError


@pytest.mark.parametrize("name", ["Model", "Policy", "Targets", "Merge", "Learner"])
def test_an_object_of_a_class_that_was_edited_does_not_train(tmp_path, monkeypatch, name):
    run, parts = new_run(tmp_path / "run")
    learner = Learner(parts["runner"].policy, parts["optimizer"])
    with run.sitting(0, **parts, a2c=learner):
        pass
    monkeypatch.setattr(toy_run, name, type(name, (getattr(toy_run, name),), {}))
    with (
        pytest.raises(
            RunError,
            match=f"the class {name} was edited, .* nothing was trained. Run the cells again from",
        ),
        run.sitting(0, **parts, a2c=learner),
    ):
        pytest.fail("the old class trains")


def other_policy(parts):
    parts["runner"].policy = Policy(Model())


def other_targets(parts):
    parts["runner"].transforms[0] = Targets(Policy(Model()))


def other_weights(parts):
    parts["optimizer"].param_groups[0]["params"] = list(Model().parameters())


def other_schedule(parts):
    parts["schedule"] = make_parts()["schedule"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (other_policy, "the policy of the runner holds another model than the one that is saved"),
        (other_targets, "the policy of the Targets holds another model"),
        (other_weights, "the optimizer holds another model"),
        (other_schedule, "the schedule holds another optimizer"),
    ],
)
def test_objects_that_do_not_belong_together_are_not_resumed(tmp_path, change, message):
    parts = make_parts()
    change(parts)
    run, _ = make_run(tmp_path / "run", parts=parts)
    with pytest.raises(RunError, match=f"{message}.*nothing was trained. Run the cells again"):
        run.resume(1000)
    assert not (tmp_path / "run").exists()


def test_a_learner_of_other_objects_does_not_train(tmp_path):
    run, parts = new_run(tmp_path / "run")
    policy, others = parts["runner"].policy, make_parts()
    for learner, message in [
        (Learner(policy, others["optimizer"]), "the a2c holds another optimizer"),
        (Learner(Policy(others["model"]), parts["optimizer"]), "the policy of the a2c holds"),
    ]:
        with pytest.raises(RunError, match=message), run.sitting(0, a2c=learner):
            pytest.fail("it trains")


def test_a_policy_may_hold_the_model_within_another_module(tmp_path):
    parts = make_parts()
    parts["runner"].policy = Policy(torch.nn.Sequential(parts["model"]))
    new_run(tmp_path / "run", parts=parts)
