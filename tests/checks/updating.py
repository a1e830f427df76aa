"""Task 5: one update, looked at and judged: what reaches the optimizer, and what that does."""

import contextlib
import copy
import functools
from unittest import mock

import numpy as np
import torch

from languages import _
from runners import EnvRunner
from tests.checks.draws import LIKELY
from tests.checks.freedoms import CLOSE, close
from tests.checks.losses import effective, fit, signed, sum_of
from tests.checks.observing import array_or_none

__all__ = [
    "APART",
    "coefficients_of",
    "judge_moves",
    "judge_returned",
    "judge_update",
    "number",
    "restoring",
    "set_apart",
    "update",
]

APART = {  # what tells a coefficient from a literal of the same size
    "value_loss_coef": lambda c: c + 0.3,
    "entropy_coef": lambda beta: beta + 0.2,
    "max_grad_norm": lambda norm: norm / 2,
}


def number(x):
    """Returns what should be one number as an array, NaN where it is none at all."""
    found = array_or_none(x)
    return np.array(np.nan) if found is None else found


def coefficients_of(a2c):
    """Returns the coefficients that an A2C keeps under the task's names, {name: number}."""
    found = {name: getattr(a2c, name, None) for name in APART}
    return {name: float(x) for name, x in found.items() if isinstance(x, (int, float))}


@contextlib.contextmanager
def set_apart(a2c):
    """Gives the coefficients other values; yields the names of those that could be given one."""
    held = {}
    for name, value in coefficients_of(a2c).items():
        with contextlib.suppress(AttributeError, TypeError):
            object.__setattr__(a2c, name, APART[name](value))  # it may be frozen
            held[name] = value
    try:
        yield list(held)
    finally:
        for name, value in held.items():
            object.__setattr__(a2c, name, value)


@contextlib.contextmanager
def restoring(model, optimizer, a2c):
    """Leaves optimizer, schedules, gradients and the A2C as they were, and draws no curve."""
    own = getattr(a2c, "__dict__", {})
    kept = [optimizer, *_schedules(optimizer, a2c)]
    states = [copy.deepcopy(x.state_dict()) for x in kept]
    attributes, gradients = dict(own), [p.grad for p in model.parameters()]
    optimizer.state.clear()
    model.zero_grad()
    try:
        with mock.patch.object(EnvRunner, "add_summary"):
            yield
    finally:
        for x, state in zip(kept, states, strict=True):
            x.load_state_dict(state)
        for parameter, gradient in zip(model.parameters(), gradients, strict=True):
            parameter.grad = gradient
        own.clear()
        own.update(attributes)


def _schedules(optimizer, a2c):
    """Returns the schedules of an optimizer that an A2C keeps, or finds among its globals."""
    named = getattr(getattr(type(a2c), "step", None), "__globals__", {})
    found = [*getattr(a2c, "__dict__", {}).values(), *named.values()]
    found = [x for x in found if isinstance(x, torch.optim.lr_scheduler.LRScheduler)]
    return {id(x): x for x in found if x.optimizer is optimizer}.values()


def update(a2c, optimizer, network, numbers, trajectory):
    """Makes one update; returns what reached the optimizer, what it did, and what came back.

    Args:
        network: A RecordedModel, for learners that call the network again.
        numbers: The Coupled numbers that the trajectory hangs on.
    """
    calls, step, before = [], optimizer.step, numbers.weights()

    @functools.wraps(step)
    def watched(closure=None):
        with torch.enable_grad():
            loss = closure() if closure else None
        rates = [group["lr"] for group in optimizer.param_groups]
        calls.append((*numbers.arrived(), rates))
        step()
        return loss

    with network.standing_in(), mock.patch.object(optimizer, "step", watched):
        returned = number(a2c.step(trajectory))
    afterwards, norm = numbers.arrived()
    arrived, norm, rates = calls[0] if calls else (0 * afterwards, 0.0, [np.nan])
    moved, elsewhere = numbers.moved(before, numbers.weights())
    return {
        "calls": np.array(len(calls)),
        "arrived": arrived,
        "norm": np.array(norm),
        "rate": np.array(rates),
        "afterwards": np.array(np.linalg.norm(afterwards)),
        "returned": returned,
        "moved": moved,
        "elsewhere": np.array(elsewhere),
    }


# judge: plain arrays alone


def judge_update(seen, expected, k, rights, coefficients, before=None):
    """Returns what is wrong with one update, or None.

    Args:
        seen: What `update` returned.
        k: Which recorded batch it learnt from.
        rights: {term: row} of this batch.
        coefficients: {"value_loss_coef", "entropy_coef", "max_grad_norm": number}.
        before: What the update before returned.
    """
    if seen["calls"] != 1:
        told = _("one call of step calls optimizer.step() {n} times, expected 1")
        told, still = told.format(n=seen["calls"]), _("{mistake}: the weights never move")
        return told if seen["calls"] else still.format(mistake=told)
    probabilities, limit = expected[f"a2c/{k}/probabilities"], coefficients["max_grad_norm"]
    got, rest = effective(seen["arrived"], probabilities)
    if not np.isfinite(got).all() or not got.any():
        return _(
            "no gradient is there at optimizer.step(): zero_grad() stands between backward() and "
            "it, or backward() is missing"
        )
    right = _gradient(rights, coefficients)
    (scale,), equal = fit(got.ravel(), [right])
    if not equal or rest > CLOSE * np.abs(got).max():
        earlier = None if before is None else effective(before["arrived"], probabilities)[0]
        return _name_gradient(got.ravel(), rights, right, earlier, limit)
    return _judge_clipping(seen, scale, limit)


def _gradient(rights, coefficients):
    return signed(coefficients) @ np.stack([row[1:] for row in rights.values()])


def _name_gradient(got, rights, right, earlier, limit):
    """Says in which way a gradient differs from that of the loss."""
    if earlier is not None:
        factors, equal = fit(got, [right, earlier.ravel()])
        if equal and factors.min() > 0:
            return _("the gradient of the update before is still there: call optimizer.zero_grad()")
    of_values = slice(LIKELY, None, LIKELY + 1)  # they reach the optimizer in one way only
    if close(got[of_values], right[of_values].clip(-limit, limit)):
        return _(
            "each number of the gradient is clipped to ±{limit:g}: clip the norm of all together"
        ).format(limit=limit)
    factors, equal = fit(got, [row[1:] for row in rights.values()])
    if equal:
        told = _("the gradient at optimizer.step() is that of {sum}, not that of loss")
        return told.format(sum=sum_of(factors))
    alike = right * np.linalg.norm(got) / np.linalg.norm(right)
    at = np.abs(got - alike).argmax()
    return _(
        "the gradient that reaches optimizer.step() is no multiple of that of loss: one of its "
        "numbers is {got:.4g}, expected {right:.4g}. Clip all parameters together by their norm, "
        "and change nothing else"
    ).format(got=got[at], right=alike[at])


def _judge_clipping(seen, scale, limit):
    """Compares how much shorter the gradient is than that of the loss."""
    arrived = float(np.linalg.norm(seen["arrived"]))
    if abs(seen["norm"] / arrived - 1) > CLOSE:
        return _(
            "the gradient at optimizer.step() has the norm {norm:.4g}, that of the loss alone "
            "{loss_norm:.4g}: something else adds to it"
        ).format(norm=seen["norm"], loss_norm=arrived)
    norm = arrived / scale
    wanted = min(1.0, limit / abs(norm))
    if abs(scale / wanted - 1) < CLOSE:
        return None
    if scale < 0:
        return _("the gradient at optimizer.step() has the wrong sign")
    if abs(scale - 1) < CLOSE and seen["afterwards"] <= 1.01 * limit:
        return _("the gradient is clipped after optimizer.step(): clip it before")
    if abs(scale - 1) < CLOSE:
        return _(
            "the gradient is not clipped: its norm is {norm:.4g} at optimizer.step(), and "
            "max_grad_norm is {limit:g}"
        ).format(norm=norm, limit=limit)
    return _(
        "the gradient at optimizer.step() has the norm {norm:.4g}, expected {right:.4g}: that of "
        "loss is {loss_norm:.4g}, max_grad_norm {limit:g}. One backward(), then clip once"
    ).format(norm=arrived, right=min(limit, norm), loss_norm=norm, limit=limit)


def judge_returned(seen, expected, k, rights, coefficients):
    """Returns what is wrong with what `step` returns after a right update, or None."""
    got, arrived = seen["returned"], float(np.linalg.norm(seen["arrived"]))
    if got.size != 1 or not np.isfinite(got).all():
        return _("step returns no number: return the gradient's norm, which is one of the curves")
    got, loss = got.item(), signed(coefficients) @ [row[0] for row in rights.values()]
    gradient = effective(seen["arrived"], expected[f"a2c/{k}/probabilities"])[0]
    norm = arrived / fit(gradient.ravel(), [_gradient(rights, coefficients)])[0].item()
    if abs(got - norm) < CLOSE * norm:
        return None
    told = _(
        "step returns {got:.4g}; expected the gradient's norm from before clipping, {norm:.4g}"
    )
    known = {
        arrived: _(
            "step returns {got:.4g}, that from after clipping; expected the gradient's norm from "
            "before clipping, {norm:.4g}"
        ),
        loss: _(
            "step returns {got:.4g}, the loss; expected the gradient's norm from before clipping, "
            "{norm:.4g}"
        ),
    }
    named = (text for x, text in known.items() if abs(got - x) < CLOSE * abs(x))
    return next(named, told).format(got=got, norm=norm)


def judge_moves(updates, settings):
    """Returns what is wrong with what the optimizer made of the gradients, or None."""
    rate, squares = settings["lr"], np.zeros(updates[0]["arrived"].shape)
    for k, seen in enumerate(updates, 1):
        if np.abs(seen["rate"] - rate).max() > 2 * CLOSE * rate:
            told = _("the learning rate is {rate:.3g} at update {k}, expected {right:g}")
            return told.format(rate=seen["rate"].max(), k=k, right=rate)
        squares += (1 - settings["alpha"]) * (seen["arrived"] ** 2 - squares)
        right = -rate * seen["arrived"] / (np.sqrt(squares) + settings["eps"])
        if np.abs(seen["moved"] - right).max() > 2 * CLOSE * np.abs(right).max() + 1e-7:
            at = np.unravel_index(np.abs(seen["moved"] - right).argmax(), right.shape)
            return _(
                "update {k} of three moves a weight by {got:.3g}, expected {right:.3g}: RMSprop "
                "with the settings, one step a call, moves all weights"
            ).format(k=k, got=seen["moved"][at], right=right[at])
        if seen["elsewhere"] > CLOSE * np.abs(right).max():
            told = _("update {k} moves weights by {got:.3g} that have no gradient")
            return told.format(k=k, got=seen["elsewhere"])
    return None
