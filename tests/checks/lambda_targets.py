"""A further task: TD(λ) targets, held against weighted means of n-step targets."""

import itertools

import numpy as np
import torch

from languages import _
from tests.checks.draws import draw_trajectory
from tests.checks.further import SmallModel, checked, close, named, shown
from tests.checks.value_targets import judge_effects, observe_effects

__all__ = ["check_lambda_targets"]

GAMMA = 0.9
RESETS = np.array([[0, 0, 1], [1, 0, 0], [0, 0, 0], [0, 1, 0]], bool)  # [T, B]
LAMBDAS = (0.6, 0.0, 1.0)  # mistakes look alike at the ends
N_ACTIONS = 7  # unlike any number of steps or environments


class _Policy:
    """What targets need of a policy."""

    def __init__(self, model):
        self.model, self.device = model, torch.device("cpu")

    def act(self, inputs):
        """Returns V(s) alone."""
        _logits, values = self.model(torch.as_tensor(inputs))
        return {"values": values.reshape(-1)}


def check_lambda_targets(make):
    """Checks TD(λ) targets for λ = 0, 1 and 0.6, with resets; returns True if they are right.

    Args:
        make: The class: `make(policy, gamma, lam)`.
    """
    recorded = draw_trajectory(5, RESETS, N_ACTIONS)
    model = SmallModel(recorded.latest[0].size, N_ACTIONS)
    policy = _Policy(model)

    def observe():
        made = [make(policy, GAMMA, lam) for lam in LAMBDAS]
        return [observe_effects(model, policy, transform, recorded) for transform in made * 2]

    def judge(seen):
        runs = zip(seen, LAMBDAS * 2, strict=True)
        told = [_judge_run(run, lam, recorded) for run, lam in runs]
        once, again = (
            next(filter(None, half), None) for half in (told[: len(LAMBDAS)], told[len(LAMBDAS) :])
        )
        text = _("the second time {mistake}. Keep nothing from one call to the next")
        return once or (again and text.format(mistake=again))

    return checked(getattr(make, "__name__", "LambdaTargets"), observe, judge)


def _judge_run(run, lam, recorded):
    effects = judge_effects(run, *RESETS.shape, recorded.pictures)
    return effects or _judge_numbers(run["targets"], lam, recorded)


def _judge_numbers(given, lam, recorded):
    wanted = _weighted(recorded, lam)
    if close(given, wanted):
        return None
    reason = named(given, _wrong_targets(recorded, lam)) or _known(lam)
    b = int(np.abs(given - wanted).max(axis=0).argmax())
    text = _(
        "with λ = {lam} the targets of environment {b} are {given}, expected {wanted}: {reason}"
    )
    figures = dict(given=shown(given[:, b]), wanted=shown(wanted[:, b]))
    return text.format(lam=lam, b=b, **figures, reason=reason)


def _known(lam):
    """Returns what a target must be where λ is at an end."""
    return {
        0.0: _("each must be its reward plus γ V of the next state, nothing after a reset"),
        1.0: _("they must be the targets of Task 3"),
    }.get(lam, _("compare with the formula"))


def _weighted(recorded, lam, resets=RESETS, gamma=GAMMA):
    """Returns TD(λ) targets [T, B] as a weighted mean of n-step targets, the longest last."""
    steps, envs = resets.shape
    targets = np.zeros((steps, envs))
    for t, b in itertools.product(range(steps), range(envs)):
        longest = steps - t
        weights = [(1 - lam) * lam ** (n - 1) for n in range(1, longest)] + [lam ** (longest - 1)]
        ways = (_n_step(recorded, t, b, n, resets, gamma) for n in range(1, longest + 1))
        targets[t, b] = sum(weight * way for weight, way in zip(weights, ways, strict=True))
    return targets


def _n_step(recorded, t, b, n, resets, gamma):
    """Returns n rewards and the value of what follows them, cut at a reset."""
    total, discount = 0.0, 1.0
    for k in range(t, t + n):
        total += discount * recorded.rewards[k, b]
        discount *= gamma
        if resets[k, b]:
            return total
    after = [*recorded.values[1:, b], recorded.latest_values[b]]
    return total + discount * after[t + n - 1]


def _wrong_targets(recorded, lam):
    """Yields (what is said, targets) of mistakes."""
    values, last = recorded.values, recorded.latest_values
    earlier = recorded._replace(
        values=np.concatenate([values[:1], values[:-1]]),
        latest_values=(1 - lam) * values[-1] + lam * last,
    )
    yield _("λ and 1 − λ are exchanged"), _weighted(recorded, 1 - lam)
    yield _("nothing may cross a reset"), _weighted(recorded, lam, np.zeros_like(RESETS))
    yield _("V must be that of the next state, s(t+1), not of s(t)"), _weighted(earlier, lam)
    yield _("γ is missing"), _weighted(recorded, lam, gamma=1.0)
    yield _("the steps are in reverse order"), _weighted(recorded, lam)[::-1]
    yield _("λ is not used: these are the targets for λ = 1"), _weighted(recorded, 1.0)
    yield _("λ is not used: these are the targets for λ = 0"), _weighted(recorded, 0.0)
