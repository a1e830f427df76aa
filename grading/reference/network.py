"""Tasks 1 and 2: what the network and the policy give, and what known mistakes would have given."""

import numpy as np
import torch
from torch.nn import functional as F

from tests.checks.draws import MOST_ACTIONS, draw_pictures, draw_weighing, draw_weights, sketch
from tests.checks.model import COORDINATES, OBSERVATIONS, WEIGHED

__all__ = ["expect_network"]


def expect_network(seed):
    """Returns {name: array} of Tasks 1 and 2."""
    model = _expect_model(seed)
    return {**model, **_expect_policy(model["logits"])}


def _expect_model(seed):
    pictures = torch.tensor(draw_pictures(seed, OBSERVATIONS), dtype=torch.float64)
    weights = _draw_centred_weights(seed, pictures)
    logits, values, inputs = _forward(pictures, weights)
    weighing = torch.tensor(draw_weighing(seed, OBSERVATIONS, WEIGHED + 1))
    total = (weighing[:, :WEIGHED] * logits[:, :WEIGHED]).sum() + (weighing[:, -1] * values).sum()
    total.backward()
    out = {"logits": _numbers(logits), "values": _numbers(values)}
    out |= {f"biases/{name}": _numbers(weights[name][1]) for name in ("policy head", "value head")}
    for name, pair in weights.items():
        for kind, tensor in zip(("weights", "biases"), pair, strict=True):
            gradient = tensor.grad.numpy()
            gradient = gradient[:WEIGHED] if name == "policy head" else gradient
            out[f"gradient/{name}/{kind}"] = sketch(gradient, COORDINATES)
    out |= {f"input/{name}": _numbers(x) for name, x in inputs.items()}
    with torch.no_grad():
        for name, (logits, values) in _wrong_networks(pictures, weights).items():
            out[f"mistake/{name}"] = np.column_stack([_numbers(logits), _numbers(values)])
    return out


def _draw_centred_weights(seed, pictures):
    """Draws weights with a graph; half of what each output gives for the pictures is negative."""
    weights = {
        name: [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in pair]
        for name, pair in draw_weights(seed).items()
    }
    with torch.no_grad():
        logits, values, _ = _forward(pictures, weights)
        weights["policy head"][1] -= logits.quantile(0.5, dim=0)
        weights["value head"][1] -= values.quantile(0.5)
    return weights


def _expect_policy(logits):
    """Returns what follows from logits [n, 18], for every number of actions that a game has."""
    out = {}
    for n_actions in range(WEIGHED, MOST_ACTIONS + 1):
        few = torch.tensor(logits[:, :n_actions])
        out[f"log_probs/{n_actions}"] = F.log_softmax(few, -1).numpy()
        out[f"probabilities/{n_actions}"] = F.softmax(few, -1).numpy()
        out[f"wrong axis/{n_actions}"] = F.log_softmax(few, 0).numpy()
        out[f"softmax twice/{n_actions}"] = F.log_softmax(F.softmax(few, -1), -1).numpy()
    return out


def _numbers(x):
    return x.detach().numpy()


def _forward(pictures, weights, activations=(F.relu,) * 4, scale=1.0):
    """Runs the network of Mnih et al. 2015; returns logits, values and each layer's mean input."""
    x, inputs = scale * pictures, {}
    strides = {"first convolution": 4, "second convolution": 2, "third convolution": 1}
    for activation, (name, pair) in zip(activations, weights.items(), strict=False):
        inputs[name] = x.flatten(1).mean(1)
        x = F.conv2d(x, *pair, strides[name]) if name in strides else F.linear(x.flatten(1), *pair)
        x = activation(x)
    inputs["policy head"] = inputs["value head"] = x.mean(1)
    return F.linear(x, *weights["policy head"]), F.linear(x, *weights["value head"])[:, 0], inputs


def _wrong_networks(pictures, weights):
    """Returns {what is wrong: (logits [n, A], values [n])}."""
    kinds = _wrong_activations()
    networks = {name: _forward(pictures, weights, four)[:2] for name, four in kinds.items()}
    for scale, name in (
        (1 / 255, "observations are divided by 255 again: they are in [0, 1] already"),
        (255, "observations are multiplied by 255: the network expects them in [0, 1]"),
    ):
        networks[name] = _forward(pictures, weights, scale=scale)[:2]
    logits, values, _ = _forward(pictures, weights)
    off = "leave the ReLU off after the heads: a logit or the value is never negative"
    networks[f"{off} (both)"] = F.relu(logits), F.relu(values)
    networks[f"{off} (logits)"] = F.relu(logits), values
    networks[f"{off} (value)"] = logits, F.relu(values)
    tanh = "the value passes a tanh: leave every activation off after the heads"
    return {**networks, tanh: (logits, torch.tanh(values))}


def _wrong_activations():
    """Returns {what is wrong: the four activations of the body}."""
    places = ["first convolution", "second convolution", "third convolution", "hidden layer"]
    right, none = [F.relu] * 4, lambda x: x
    wrong = {
        f"there is no ReLU after the {place}": [*right[:at], none, *right[at + 1 :]]
        for at, place in enumerate(places)
    }
    wrong["there is no ReLU after any layer"] = [none] * 4
    wrong["there is no ReLU after the convolutions"] = [none] * 3 + [F.relu]
    for other in (torch.tanh, torch.sigmoid, F.leaky_relu, F.elu, F.gelu, F.silu):
        wrong[f"{other.__name__} stands where the table says ReLU"] = [other] * 4
    return wrong
