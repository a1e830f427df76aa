"""Task 2: what acting returns, for an array, for a list and many times over."""

import numpy as np
import torch

from tests.checks.errors import blaming, pass_or_raise
from tests.checks.inputs import RESETS, draw_inputs
from tests.checks.observing import (
    array,
    array_or_none,
    first_layer_input,
    log_probs_key,
    log_softmax,
    loud,
    name_scale,
    outputs_of,
    play,
    scale_of,
)

__all__ = ["check_policy", "judge_policy", "observe_policy"]


def check_policy(model, policy):
    """Checks what acting returns."""
    pass_or_raise("Policy", judge_policy(observe_policy(model, policy, draw_inputs())))


def observe_policy(model, policy, inputs):
    """Looks at what acting returns."""
    observation = inputs.observations[0]
    with blaming("Policy"):
        with loud(model, inputs.seed):
            with first_layer_input(model) as reached:
                trajectory, copies = play(model, policy, inputs)
            listed = policy.act(list(observation))
            with torch.no_grad():
                columns = array(outputs_of(model, observation))
        many = policy.act(np.repeat(observation[:1], 400, axis=0))
        with torch.no_grad():
            quiet = array(outputs_of(model, observation[:1]))
    first = copies[0]
    return {
        "keys": sorted(first),
        "kind": type(trajectory["actions"][0]).__name__,
        "actions": first["actions"],
        "values": first.get("values"),
        "listed_values": array_or_none(listed.get("values")),
        "log_probs": first.get(log_probs_key(first)),
        "columns": columns,
        "scale": scale_of(reached, observation),
        "many": array(many["actions"]),
        "many_values": array_or_none(many.get("values")),
        "quiet": quiet,
        "changed": _changed_later(trajectory, copies),
    }


def _changed_later(trajectory, copies):
    """Returns the keys whose earlier entries are no longer what they were."""
    return [
        key
        for key in copies[0]
        for then, now in zip(copies, trajectory[key], strict=True)
        if then[key] is not None and not np.array_equal(then[key], array(now), equal_nan=True)
    ]


def judge_policy(seen):
    """Names what is wrong with acting."""
    nenvs = len(RESETS[0])
    if seen["values"] is None or seen["log_probs"] is None:
        return f"act returns no values or no log_probs; it has the keys {seen['keys']}"
    if seen["kind"] != "ndarray" or seen["actions"].shape != (nenvs,):
        shape = list(seen["actions"].shape)
        return f"actions are a {seen['kind']} {shape}, expected a NumPy array [{nenvs}]"
    if mistake := name_scale(seen["scale"]):
        return mistake
    if seen["changed"]:
        return (
            f"{seen['changed'][0]} of earlier steps change when act is called again: "
            "an alias of one buffer is stored; return new arrays"
        )
    if seen["values"].size != nenvs:
        return f"values have the shape {list(seen['values'].shape)}, expected [{nenvs}]"
    if not np.allclose(seen["values"].ravel(), seen["listed_values"].ravel(), atol=1e-3):
        return "a list of observations gives other values than the same array"
    return _judge_log_probs(seen) or _judge_sampling(seen)


def _split_columns(columns, values):
    """Tells logits from the value among the model's outputs: [N, A + 1] → [N, A]."""
    values = values.reshape(-1, 1)
    return np.delete(columns, np.abs(columns - values).sum(0).argmin(), axis=1)


def _judge_log_probs(seen):
    every = log_softmax(_split_columns(seen["columns"], seen["values"]))
    right = every[np.arange(len(every)), seen["actions"].astype(int)]
    got = seen["log_probs"]
    if got.size == every.size and np.allclose(got.reshape(every.shape), every, atol=1e-3):
        return None
    if got.size == right.size and np.allclose(got.ravel(), right, atol=1e-3):
        return None
    return "log_probs are not those of the actions that are returned"


def _judge_sampling(seen):
    values = np.full(1, seen["many_values"].ravel()[0])
    probabilities = np.exp(log_softmax(_split_columns(seen["quiet"], values)))[0]
    shares = np.bincount(seen["many"].astype(int), minlength=len(probabilities)) / 400
    if np.abs(shares - probabilities).max() < 0.13:  # five standard deviations at the most
        return None
    if shares.max() == 1:
        return "the same action 400 times: greedy, the policy must sample"
    return f"actions' shares are {shares.round(2)}, the policy says {probabilities.round(2)}"
