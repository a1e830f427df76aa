"""Task 1: the network, by its outputs, its size and its first weights."""

import numpy as np
import torch

from tests.checks.errors import blaming, pass_or_raise
from tests.checks.inputs import draw_inputs
from tests.checks.observing import (
    array,
    first_layer_input,
    loud,
    name_scale,
    outputs_of,
    scale_of,
)

__all__ = ["check_model", "judge_model", "observe_model"]

N_PARAMETERS = 1_684_128  # of the body; each of the heads' outputs has 513 more


def check_model(model, n_actions):
    """Checks the network: outputs, size, initial weights."""
    pass_or_raise("NatureModel", judge_model(observe_model(model, draw_inputs()), n_actions))


def observe_model(model, inputs):
    """Looks at the network's outputs, size and initial weights."""
    observations = inputs.observations[:2].reshape(-1, 4, 84, 84)
    with torch.no_grad(), blaming("NatureModel"):
        with first_layer_input(model) as reached:
            plain = array(outputs_of(model, observations))
        again = array(outputs_of(model, observations))
        with loud(model, inputs.seed):
            positive = array(outputs_of(model, observations))
        with loud(model, inputs.seed, sign=-1.0):
            negative = array(outputs_of(model, observations))
    return {
        "columns": plain.shape[1],
        "repeats": np.allclose(plain, again),
        "scale": scale_of(reached, observations),
        "lowest": np.minimum(positive, negative).min(0),
        **_first_weights(model),
    }


def _first_weights(model):
    weights = dict(model.named_parameters())
    kernels = {name: array(w).reshape(len(w), -1) for name, w in weights.items() if w.ndim == 4}
    unlike = {name: np.abs(k @ k.T - 2 * np.eye(len(k))).max() for name, k in kernels.items()}
    return {
        "parameters": sum(w.numel() for w in weights.values()),
        "zero": [name for name, w in weights.items() if w.ndim > 1 and not w.any()],
        "biased": [name for name, w in weights.items() if w.ndim == 1 and w.any()],
        "not_orthogonal": [name for name, distance in unlike.items() if distance > 1e-3],
    }


def judge_model(seen, n_actions):
    """Names what is wrong with the network."""
    expected = N_PARAMETERS + 513 * (n_actions + 1)
    if not seen["repeats"]:
        return (
            "two calls on the same observations differ: heads that are made inside forward are "
            "new each time and never learn; make them in __init__"
        )
    if seen["columns"] != n_actions + 1:
        return f"it returns {seen['columns']} numbers per observation, expected {n_actions} + 1"
    if mistake := name_scale(seen["scale"]):
        return mistake
    if seen["zero"]:
        return f"{seen['zero'][0]} is zero everywhere, and such weights start dead: which gain?"
    if seen["parameters"] != expected:
        return (
            f"it has {seen['parameters']:,} parameters, expected {expected:,}: "
            "compare each layer with the table"
        )
    if (seen["lowest"] >= 0).any():
        return "a logit or the value is never negative: leave the ReLU off after the heads"
    if seen["biased"]:
        return f"{seen['biased'][0]} is not zero: set every bias to zero"
    if seen["not_orthogonal"]:
        return f"{seen['not_orthogonal'][0]} is not orthogonal with gain √2: nn.init.orthogonal_"
    return None
