"""Task 5: the gradient that reaches the optimizer, term by term, and its clipping."""

import warnings
from contextlib import contextmanager

import numpy as np
import torch

from tests.checks.errors import CheckWarning, blaming, pass_or_raise
from tests.checks.gradients import basis, resolve
from tests.checks.inputs import RESETS, draw_inputs
from tests.checks.observing import array, loud, merged, recording, require_together

__all__ = ["COEFFICIENTS", "check_a2c", "judge_a2c", "observe_a2c"]

SKETCH = 20_000  # coordinates of the gradient that are looked at
COEFFICIENTS = {  # name: (default, a value that sets c, c/2, c², ½ and 1 apart and clips nothing)
    "value_loss_coef": (0.25, 0.3),
    "entropy_coef": (0.01, 0.2),
    "max_grad_norm": (0.5, 1e9),
}


def check_a2c(model, policy, transforms, optimizer, a2c, gamma=0.99):
    """Checks the gradient that reaches the optimizer, term by term, and its clipping."""
    seen = observe_a2c(model, policy, transforms, optimizer, a2c, draw_inputs(), gamma)
    pass_or_raise("A2C", judge_a2c(seen))


def observe_a2c(model, policy, transforms, optimizer, a2c, inputs, gamma=0.99):
    """Runs `a2c.step` on an optimizer that records; returns gradients beside those of each term."""
    require_together(model, optimizer, a2c)
    with _set_apart(a2c) as coefficients, loud(model, inputs.seed), blaming("A2C"):
        with recording(model, optimizer) as gradients:
            steps = [
                _observe_step(model, policy, transforms, a2c, gradients, draw_inputs(seed), gamma)
                for seed in (inputs.seed, inputs.seed + 100)
            ]
    return {
        "steps": steps,
        "coefficients": coefficients,
        **_observe_clipping(model, policy, transforms, optimizer, a2c, inputs),
    }


@contextmanager
def _set_apart(a2c):
    """Gives the coefficients values that tell them apart; yields what they are, {name: value}."""
    held = {name: value for name in COEFFICIENTS if (value := getattr(a2c, name, None)) is not None}
    for name in held:
        setattr(a2c, name, COEFFICIENTS[name][1])
    try:
        yield {name: pair[name in held] for name, pair in COEFFICIENTS.items()}
    finally:
        for name, value in held.items():
            setattr(a2c, name, value)


def _observe_step(model, policy, transforms, a2c, gradients, inputs, gamma):
    """Returns a sketch of the gradient of one step, {"all": [K] or None, term: [K]}."""
    trajectory, actions, targets = merged(model, policy, transforms, inputs)
    before = len(gradients)
    a2c.step(trajectory)
    bases = basis(model, policy, inputs, actions, targets, gamma)
    size = len(bases["policy"])
    some = torch.randperm(size, generator=torch.Generator().manual_seed(0))[:SKETCH]
    sketch = {name: array(vector.cpu()[some]) for name, vector in bases.items()}
    arrived = gradients[-1].cpu() if len(gradients) > before else None
    return {**sketch, "all": None if arrived is None else array(arrived[some])}


def _observe_clipping(model, policy, transforms, optimizer, a2c, inputs):
    """Takes a step towards targets far away: how long is the gradient that arrives?"""
    with loud(model, inputs.seed), blaming("A2C"), recording(model, optimizer) as gradients:
        trajectory, _, _ = merged(model, policy, transforms, inputs)
        targets = trajectory["value_targets"]
        far = [x * 1000 for x in targets] if isinstance(targets, list) else targets * 1000
        trajectory["value_targets"] = far
        a2c.step(trajectory)
        after = [p.grad.norm().item() for p in model.parameters() if p.grad is not None]
    limit = getattr(a2c, "max_grad_norm", 0.5)
    return {
        "arrived": float(gradients[-1].double().norm()) if gradients else None,
        "afterwards": float(np.linalg.norm(after)) if after else None,
        "limit": limit if isinstance(limit, (int, float)) else 0.5,
    }


def judge_a2c(seen):
    """Names what is wrong with the update."""
    if any(step["all"] is None for step in seen["steps"]):
        return "optimizer.step() is not called: the weights never move"
    if _carries(seen["steps"]):
        return "the gradient of the batch before is still there: call optimizer.zero_grad()"
    return _judge_terms(seen["steps"][0], seen["coefficients"]) or _judge_clipping(seen)


def _carries(steps):
    """Tells whether the second gradient still holds the first."""
    first, second = steps
    _, left = resolve(second)
    _, left_without = resolve({**second, "all": second["all"] - first["all"]})
    return left > 1e-2 and left_without < left / 5


def _judge_terms(step, coefficients):
    c, beta = coefficients["value_loss_coef"], coefficients["entropy_coef"]
    size = {name: np.linalg.norm(vector) for name, vector in step.items() if name != "all"}
    norm = np.linalg.norm(step["all"])
    if norm == 0 or not np.isfinite(norm):
        return (
            f"the gradient that reaches optimizer.step() has the norm {norm:.3g}: the losses are "
            "cut from the graph, or it is zeroed after loss.backward()"
        )
    parts, left = resolve(step)
    least = 0.02 * max(size["policy"], c * size["value"])
    there = {name for name in parts if abs(parts[name]) * size[name] > least}
    if leak := _judge_leaks(there) or _judge_taken(parts, there, beta):
        return leak
    if left > 5e-3:
        return (
            "the gradient is not that of policy_loss + c · value_loss − β · entropy; "
            f"{left:.0%} of it are left unexplained"
        )
    clipped = coefficients["max_grad_norm"] < 1 and abs(parts["policy"] - 1) > 1e-2
    scale = parts["policy"] if clipped else 1.0  # the bound could not be lifted from outside
    entropy = parts["entropy"] / scale
    return (
        _judge_policy_term(parts["policy"], scale)
        or _judge_value_term(parts["value"] / scale, c)
        or _judge_entropy(entropy, beta)
    )


BROADCAST = "are broadcast to [N, N]: [N] against [N, 1]"
NO_ADVANTAGE = "no advantage is formed: policy_loss is weighted with"
THROUGH_TARGETS = "a gradient flows through the targets: they are constants, detach them"
LEAKS = {  # the terms that are there, the first that fits: what they show
    ("undetached",): "the advantage is not detached: the policy loss trains the critic",
    ("through targets",): THROUGH_TARGETS,
    ("through targets of the actor",): THROUGH_TARGETS,
    ("value broadcast",): f"values and targets of the value loss {BROADCAST}",
    ("all actions",): "the policy loss takes the log-probabilities of all actions, "
    "not of those taken",
    ("targets for advantages", "taken"): f"values and targets of the advantage {BROADCAST}",
    ("targets for advantages",): f"{NO_ADVANTAGE} targets or values alone",
    ("rewards for advantages",): f"{NO_ADVANTAGE} the rewards",
}


def _judge_leaks(there):
    return next((leak for terms, leak in LEAKS.items() if there.issuperset(terms)), None)


def _judge_taken(parts, there, beta):
    """Names what the plain mean of the actions' log-probabilities does in the gradient."""
    if "taken" in there and "policy" not in there:
        return f"log-probabilities and advantages {BROADCAST}"
    if "taken" in there and abs(abs(parts["taken"]) - beta) > 0.05 * beta:
        return "the advantages are shifted or scaled: they are targets − values, as they are"
    if abs(parts["taken"]) > 0.5 * beta or abs(parts["taken weighted"]) > 0.5 * beta:
        return (
            "entropy is that of the actions taken only, which has no effect in expectation: "
            "take the distribution's, −Σ π log π"
        )
    return None


def _near(x, expected):
    return abs(x - expected) < 0.02 * abs(expected)


def _judge_policy_term(term, scale):
    if abs(term / scale) < 0.01:
        return "the policy term is missing: log_probs are cut from the graph, or left out"
    if term < 0:
        return "the policy loss has the wrong sign: minus the mean of advantage · log_prob"
    if not _near(term / scale, 1):
        return (
            f"the policy term is {term / scale:.3g} times what it should be: take the mean over N"
        )
    return None


def _judge_value_term(value, c):
    if abs(value) < 1e-3 * c:
        return "the critic gets no gradient: values are cut from the graph, or the loss left out"
    if _near(value, c) or _near(value, c / 2):
        return None
    if _near(value, 2 * c):
        message = "the value loss counts twice: check value_loss_coef"
        warnings.warn(message, CheckWarning, stacklevel=5)
        return None
    if _near(value, c**2) or _near(value, c**2 / 2):
        return "value_loss_coef is squared: multiply with it once"
    if _near(value, 1) or _near(value, 0.5):
        return "value_loss_coef is ignored"
    return f"the value term counts {value:.3g} times, expected value_loss_coef {c} or half of it"


def _judge_entropy(entropy, beta):
    if _near(entropy, -beta):
        return None
    if abs(entropy) < 0.02 * beta:
        return "the entropy term is missing, or detached: it gets no gradient"
    if _near(entropy, beta):
        return "the entropy's sign is wrong: it is a bonus, subtracted from the loss"
    if _near(entropy, -beta * RESETS.size):
        return "entropy is summed over the batch: take the mean"
    return f"entropy counts {-entropy:.3g} times, expected entropy_coef {beta}"


def _judge_clipping(seen):
    if seen["arrived"] is not None and seen["arrived"] <= 1.01 * seen["limit"]:
        return None
    if seen["afterwards"] is not None and seen["afterwards"] <= 1.01 * seen["limit"]:
        return "the gradient is clipped after optimizer.step(): clip it before"
    return f"the gradient is not clipped: its norm is {seen['arrived']:.3g} at optimizer.step()"
