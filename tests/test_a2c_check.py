from types import SimpleNamespace

import numpy as np
import pytest
import torch

from grading import reference
from tests import notebook
from tests.checks.a2c import judge_a2c, observe_a2c
from tests.checks.chain import judge_chain, observe_chain
from tests.checks.coupled import Coupled

SETTINGS = dict(nsteps=5, nenvs=16, gamma=0.99, lr=7e-4, alpha=0.99, eps=1e-5)
SETTINGS |= dict(value_loss_coef=0.25, entropy_coef=0.01, max_grad_norm=0.5)
OTHERS = [
    dict(value_loss_coef=0.5, entropy_coef=0.0, max_grad_norm=0.1, lr=1e-3, gamma=0.9, nsteps=20),
    dict(value_loss_coef=1.0, entropy_coef=0.05, max_grad_norm=5.0, alpha=0.9, nenvs=1, nsteps=1),
    dict(value_loss_coef=0.1, entropy_coef=0.001, max_grad_norm=40.0, eps=1e-3, gamma=1.0),
]
GLUE = """
model = NatureModel(N_ACTIONS).to(memory_format=torch.channels_last)
policy = Policy(model)
rmsprop = {name: settings[name] for name in ("lr", "alpha", "eps")}
optimizer = torch.optim.RMSprop(model.parameters(), **rmsprop)
made = {name: settings[name] for name in ("value_loss_coef", "entropy_coef", "max_grad_norm")}
a2c = A2C(policy, optimizer, **made)
transforms = [ComputeValueTargets(policy, settings["gamma"]), MergeTimeBatch()]
"""


def make(changes=(), settings=SETTINGS, n_actions=6):
    """What a notebook with these settings and changes makes, a namespace with attributes."""
    torch.manual_seed(0)
    cells = {**notebook.changed(changes), "glue": GLUE}
    given = {**notebook.definitions(names=()), "N_ACTIONS": n_actions, "settings": settings}
    made = SimpleNamespace(**notebook.run([*notebook.TASKS, "glue"], cells, given))
    sizes = dict(nsteps=settings["nsteps"], nenvs=settings["nenvs"])
    made.runner = SimpleNamespace(policy=made.policy, transforms=made.transforms, **sizes)
    return made


def judge(made, settings=SETTINGS, n_actions=6, seed=77):
    """The verdicts on the updates and on the whole chain."""
    parts = made.model, made.policy, made.runner, made.optimizer, made.a2c, n_actions, seed
    expected = reference.expect_update(seed)
    update = judge_a2c(observe_a2c(*parts, expected), expected, n_actions, settings)
    return update, judge_chain(observe_chain(*parts), expected, n_actions, seed, settings)


def test_a_coupled_number_keeps_its_value_and_shows_its_gradient():
    model, numbers = make().model, np.arange(444.0).reshape(12, 37)
    coupled, weighing = Coupled(model, numbers), torch.randn(12, 37)
    (weighing * coupled.root).sum().backward()
    gradient, norm = coupled.arrived()
    assert torch.equal(coupled.root, torch.tensor(numbers).float())
    assert np.array_equal(gradient, weighing.numpy()) and norm == pytest.approx(weighing.norm())
    before = coupled.weights()
    torch.optim.SGD(model.parameters(), 0.5).step()
    moved, elsewhere = coupled.moved(before, coupled.weights())
    assert np.allclose(moved, -0.5 * gradient, atol=1e-6) and elsewhere == 0


@pytest.mark.parametrize("settings", OTHERS, ids=["first", "second", "third"])
@pytest.mark.parametrize("n_actions", [3, 18])
def test_a_right_answer_passes_with_other_settings_and_games(settings, n_actions):
    settings = SETTINGS | settings
    assert judge(make((), settings, n_actions), settings, n_actions) == (None, None)


@pytest.mark.parametrize("settings", OTHERS[:2], ids=["first", "second"])
@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("self.value_loss_coef * self", "0.25 * self", "value_loss counts 0.25 times"),
        ("self.entropy_coef * self", "0.01 * self", "entropy counts -0.01 times"),
        ("parameters, self.max_grad_norm", "parameters, 0.5", "expected 0.1|not clipped|norm 0.5,"),
    ],
)
def test_a_number_in_place_of_a_setting_fails_with_other_settings(settings, old, new, says):
    settings = SETTINGS | settings
    update, _ = judge(make([("a2c-class", old, new)], settings), settings)
    assert any(part in update for part in says.split("|"))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("self.value_loss_coef * self", "0.25 * self"),
        ("self.entropy_coef * self", "0.01 * self"),
        ("parameters, self.max_grad_norm", "parameters, 0.5"),
    ],
)
def test_a_number_in_place_of_a_setting_fails_where_it_is_the_same_number(old, new):
    update, _ = judge(make([("a2c-class", old, new)]))
    assert "All is right with your settings, and wrong with others" in update


@pytest.mark.parametrize("name", ["policy_loss", "value_loss", "entropy", "loss"])
def test_losses_that_are_off_by_rounding_pass(name):
    made = make()
    right = getattr(made.a2c, name)
    setattr(made.a2c, name, lambda trajectory: right(trajectory) * (1 + 1e-5))
    assert judge(made) == (None, None)


def test_transforms_in_the_wrong_order_are_named():
    made = make()
    made.runner.transforms = made.transforms[::-1]
    parts = made.model, made.policy, made.runner, made.optimizer, made.a2c, 6, 77
    expected = reference.expect_update(77)
    mistake = judge_a2c(observe_a2c(*parts, expected), expected, 6, SETTINGS)
    assert mistake.startswith("the runner's transforms are ['MergeTimeBatch', 'Compute")


def test_a_batch_in_another_order_than_the_targets_fails_only_together():
    made = make()
    turn = type(made.transforms[1]).__call__

    def turning(self, trajectory):
        turn(self, trajectory)
        trajectory["log_probs"] = trajectory["log_probs"].flip(0)

    type(made.transforms[1]).__call__ = turning
    update, together = judge(made)
    assert update is None and "together the gradient at optimizer.step() is not that" in together


def test_the_chain_is_left_out_where_the_policy_never_draws_what_was_recorded():
    made = make()
    made.policy.act = lambda inputs: {"actions": np.full(len(inputs), 5)}
    parts = made.model, made.policy, made.runner, made.optimizer, made.a2c, 6, 77
    assert observe_chain(*parts) == {}


def test_a_check_leaves_an_optimizer_in_the_middle_of_a_run_and_its_schedule_as_they_were():
    made = make()
    made.a2c.schedule = torch.optim.lr_scheduler.LinearLR(made.optimizer, 1.0, 0.0, 125_000)
    made.a2c.updates = 0
    step = made.a2c.step

    def stepping(trajectory):
        norm = step(trajectory)
        made.a2c.schedule.step()
        made.a2c.updates += 1
        return norm

    made.a2c.step = stepping
    made.model(torch.rand(2, 4, 84, 84))[0].sum().backward()
    made.optimizer.step()
    before = [p.clone() for p in made.model.parameters()], made.optimizer.state_dict()
    squares = [state["square_avg"].clone() for state in made.optimizer.state.values()]
    gradients = [p.grad.clone() for p in made.model.parameters() if p.grad is not None]
    assert judge(made) == (None, None)
    assert all(map(torch.equal, made.model.parameters(), before[0]))
    after = [state["square_avg"] for state in made.optimizer.state.values()]
    assert all(map(torch.equal, after, squares)) and made.a2c.updates == 0
    left = [p.grad for p in made.model.parameters() if p.grad is not None]
    assert all(map(torch.equal, left, gradients)) and len(left) == len(gradients)
    assert made.a2c.schedule.last_epoch == 0 and made.optimizer.param_groups[0]["lr"] == 7e-4
    assert "step" not in vars(made.optimizer) or made.optimizer.step.__name__ == "step"
