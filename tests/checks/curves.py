"""What the curves and videos read of an answer: the merged trajectory, the losses, the norm."""

import numpy as np

from tests.checks.a2c import COEFFICIENTS
from tests.checks.errors import blaming, pass_or_raise
from tests.checks.inputs import RESETS, draw_inputs
from tests.checks.observing import (
    array_or_none,
    log_softmax,
    loud,
    merged,
    recording,
    require_together,
)

__all__ = ["check_curves", "judge_curves", "observe_curves"]

READ = ("values", "value_targets", "log_probs", "logits")
LOSSES = ("policy_loss", "value_loss", "entropy", "loss")


def check_curves(model, policy, transforms, optimizer, a2c):
    """Checks that the parts give what later cells of the notebook read from them."""
    seen = observe_curves(model, policy, transforms, optimizer, a2c, draw_inputs())
    pass_or_raise("What the curves read", judge_curves(seen))


def observe_curves(model, policy, transforms, optimizer, a2c, inputs):
    """Looks at the merged trajectory, at each loss, and at what `a2c.step` returns."""
    require_together(model, optimizer, a2c)
    with loud(model, inputs.seed), blaming("A2C"), recording(model, optimizer) as gradients:
        trajectory, _, _ = merged(model, policy, transforms, inputs)
        losses = {name: getattr(a2c, name)(trajectory) for name in LOSSES}
        norm = a2c.step(trajectory)
    return {
        "trajectory": {key: array_or_none(trajectory.get(key, {})) for key in READ},
        "losses": {name: array_or_none(loss) for name, loss in losses.items()},
        "norm": array_or_none(norm),
        "arrived": float(gradients[-1].double().norm()) if gradients else 0.0,
        "coefficients": [getattr(a2c, name, COEFFICIENTS[name][0]) for name in COEFFICIENTS],
    }


def judge_curves(seen):
    """Names what would fail, or be drawn wrong, when the run has begun."""
    for key, rows in seen["trajectory"].items():
        expected = f"[{RESETS.size}, N_ACTIONS]" if key == "logits" else f"[{RESETS.size}]"
        if rows is None:
            return f"the merged trajectory has no {key}, expected {expected}"
        if rows.shape[:1] != (RESETS.size,) or rows.ndim != 1 + (key == "logits"):
            return f"{key} are {list(rows.shape)} after merging, expected {expected}: squeeze"
    for name, right in _right_losses(seen).items():
        got = seen["losses"][name]
        if got is None or got.size != 1:
            return f"{name} returns no single number: return one, its parts have names of their own"
        if not any(np.allclose(got, one, rtol=1e-3, atol=1e-5) for one in right):
            return (
                f"{name} returns {got.item():.4g} where the task's formula gives {right[0]:.4g}: "
                "mind sign, mean, and that c and β belong into loss alone"
            )
    return _judge_norm(seen)


def _right_losses(seen):
    """Returns what each loss may be, {name: numbers}; the value loss with or without a half."""
    values, targets, log_probs, logits = (seen["trajectory"][key] for key in READ)
    c, beta, _ = seen["coefficients"]
    log_p = log_softmax(logits)
    square = np.mean((targets - values) ** 2)
    policy = -np.mean((targets - values) * log_probs)
    entropy = -np.mean(np.sum(np.exp(log_p) * log_p, axis=1))
    return {
        "policy_loss": [policy],
        "value_loss": [square, square / 2],
        "entropy": [entropy],
        "loss": [policy + c * square - beta * entropy, policy + c * square / 2 - beta * entropy],
    }


def _judge_norm(seen):
    norm, limit = seen["norm"], seen["coefficients"][2]
    if norm is None or norm.size != 1 or not np.isfinite(norm):
        return "step returns no number: return the gradient's norm, one of the curves"
    if seen["arrived"] > 0.99 * limit and norm <= 1.01 * limit:
        return f"step returns {norm.item():.4g}, expected the gradient's norm from before clipping"
    return None
