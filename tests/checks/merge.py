"""Task 4: all keys are flattened in one order, in place."""

import numpy as np

from tests.checks.errors import blaming, pass_or_raise
from tests.checks.inputs import RESETS, draw_inputs
from tests.checks.observing import array, array_or_none, log_probs_key, loud, play, transforming

__all__ = ["check_merge", "judge_merge", "observe_merge"]


def check_merge(model, policy, transforms):
    """Checks that all keys are flattened in one order, in place."""
    seen = observe_merge(model, policy, transforms, draw_inputs())
    pass_or_raise("MergeTimeBatch", judge_merge(seen))


def observe_merge(model, policy, transforms, inputs):
    """Applies all transforms; returns every key before and after, and what a transform returned."""
    with loud(model, inputs.seed), blaming("MergeTimeBatch"):
        trajectory, copies = play(model, policy, inputs)
        numbers = [key for key, value in copies[0].items() if value is not None]
        before = {key: np.stack([step[key] for step in copies]) for key in numbers}
        before |= {"rewards": inputs.rewards, "resets": inputs.resets}
        returned = []
        for result in transforming(model, transforms, trajectory):
            returned.append(result)
            if "value_targets" in trajectory and "value_targets" not in before:
                before["value_targets"] = array(trajectory["value_targets"])
    return {
        "before": before,
        "after": {key: array_or_none(trajectory.get(key)) for key in before},
        "returned": any(isinstance(x, dict) and x is not trajectory for x in returned),
    }


def judge_merge(seen):
    """Names what is wrong with merging."""
    before, after = seen["before"], seen["after"]
    needed = {"values", "value_targets", log_probs_key(before)} & before.keys()
    orders = {}
    for key in before:
        order = _order_of(before[key], after[key])
        if order == "lost" and key in needed:
            shape = None if after[key] is None else list(after[key].shape)
            return f"{key} have the shape {shape} after merging, expected T·B rows"
        if order == "scrambled":
            return f"{key} come out of merging with rows that fit no order"
        orders.setdefault(order, []).append(key)
    unmerged = needed & set(orders.get("unmerged", ()))
    if unmerged == needed and seen["returned"]:
        return "merging returns a new dict; change the one that is given, the runner keeps that"
    if unmerged == needed:
        return "merging does nothing: the lists of the trajectory are as they were"
    if unmerged:
        return f"{min(unmerged)} are not merged, other keys are"
    if {"t·B + b", "b·T + t"} <= orders.keys():
        one, other = orders["t·B + b"][0], orders["b·T + t"][0]
        return f"{one} are flattened in the order t·B + b, but {other} in the order b·T + t"
    return None


def _order_of(before, after):
    """Names the order in which [T, B, ...] became rows: "t·B + b", "b·T + t" or what else."""
    steps, nenvs = RESETS.shape
    if after is None or after.size != before.size:
        return "lost"
    if len(after) != steps * nenvs:
        return "unmerged"
    rows = before.reshape(steps, nenvs, -1).astype(float)
    after = after.reshape(steps * nenvs, -1)
    for order, flat in (("t·B + b", rows), ("b·T + t", rows.swapaxes(0, 1))):
        if np.allclose(after, flat.reshape(after.shape)):
            return order
    return "scrambled"
