"""A further task: the optimizer Adam, held against torch's own."""

import numpy as np
import torch

from languages import N_, _
from tests.checks.further import CLOSE, checked, close, named, shown

__all__ = ["check_adam"]

ADAM = dict(lr=0.05, betas=(0.8, 0.95), eps=0.1)  # an eps so large that its place shows
ADAM_STEPS = 3


def check_adam(make):
    """Checks an optimizer against torch's Adam, on three steps of two weights; True if right.

    Args:
        make: The class: `make(parameters, lr, betas, eps)`.
    """
    rng = np.random.default_rng(2)
    gradients = [
        [rng.normal(size=shape) for shape in ((2, 3), (4,))] for _step in range(ADAM_STEPS)
    ]

    def judge(given):
        wanted = _walk(torch.optim.Adam, gradients)
        for step, (one, right) in enumerate(zip(given, wanted, strict=True), 1):
            if not close(one, right):
                return _not_adam(step, one, right, gradients)
        return None

    return checked(getattr(make, "__name__", "Adam"), lambda: _walk(make, gradients), judge)


def _walk(make, gradients):
    """Returns all weights, in one array, after each step of an optimizer."""
    weights = [
        torch.zeros(one.shape, dtype=torch.float64, requires_grad=True) for one in gradients[0]
    ]
    optimizer, walked = make(weights, **ADAM), []
    for step in gradients:
        for weight, gradient in zip(weights, step, strict=True):
            weight.grad = torch.tensor(gradient)
        optimizer.step()
        walked.append(np.concatenate([weight.detach().numpy().ravel() for weight in weights]))
    return walked


def _not_adam(step, given, right, gradients):
    flat = [np.concatenate([one.ravel() for one in each]) for each in gradients]
    wrong = [(_(text), _moved(flat[:step], **how)) for text, how in WRONG_ADAMS]
    off = ~np.isclose(given, right, **CLOSE)
    reason = named(given, wrong) or _unlike_any(step, given, off, gradients[0][0].size)
    text = _("after step {step} some weights are {given}, expected {wanted}: {reason}")
    figures = dict(given=shown(given[off][:3]), wanted=shown(right[off][:3]))
    return text.format(step=step, **figures, reason=reason)


def _unlike_any(step, given, off, first):
    """Returns what is said of weights that no wrong Adam gives, of which `first` come first."""
    if np.allclose(given, 0):
        return _("the weights did not move: change them in place")
    if step == 1 and np.isnan(given).all():  # 0 / 0, as 1 − β^0 is 0
        return _("t counts from 1 at the first step")
    if not off[:first].any():
        return _("the first tensor is right, the second is not: keep t, m and v in `memory`")
    return _("compare with the formula")


WRONG_ADAMS = [
    (N_("the corrections by 1 − β^t are missing"), dict(corrected=False)),
    (N_("ε belongs outside the root"), dict(inside=True)),
    (N_("take the root of v̂"), dict(root=False)),
    (N_("the sign is wrong: go against the gradient"), dict(sign=-1)),
    (N_("t counts from 1 at the first step"), dict(late=1)),
    (N_("m and v are exchanged, or their β"), dict(exchanged=True)),
]


def _moved(gradients, corrected=True, inside=False, root=True, sign=1, late=0, exchanged=False):
    """Returns where weights are after steps of a wrong Adam, from closed formulas of m and v."""
    lr, eps = ADAM["lr"], ADAM["eps"]
    beta1, beta2 = ADAM["betas"][::-1] if exchanged else ADAM["betas"]
    place = np.zeros_like(gradients[0])
    for t in range(1, len(gradients) + 1):
        ages = range(t - 1, -1, -1)
        m = (1 - beta1) * sum(beta1**age * g for age, g in zip(ages, gradients, strict=False))
        v = (1 - beta2) * sum(beta2**age * g**2 for age, g in zip(ages, gradients, strict=False))
        if corrected:
            m, v = m / (1 - beta1 ** (t + late)), v / (1 - beta2 ** (t + late))
        length = np.sqrt(v + eps) if inside else (np.sqrt(v) if root else v) + eps
        place = place - sign * lr * m / length
    return place
