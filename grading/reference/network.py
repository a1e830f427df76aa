"""Tasks 1 and 2: what the network and the policy give, and what known mistakes would have given."""

import numpy as np
import torch
from torch.nn import functional as F

from languages import N_
from tests.checks.draws import MOST_ACTIONS, draw_pictures, draw_weighing, draw_weights, sketch
from tests.checks.model import COORDINATES, OBSERVATIONS, WEIGHED

__all__ = ["expect_network", "least_margin"]

LARGEST = 4.0  # logit of those that a policy is given


def expect_network(seed):
    """Returns {name: array} of Tasks 1 and 2."""
    model = _expect_model(seed)
    return {**model, **_expect_policy(model["logits"])}


@torch.no_grad()
def least_margin(seed):
    """Returns the smallest distance of any ReLU's input from 0 in the draw of Task 1."""
    margins = []

    def relu(x):
        margins.append(float(x.abs().min()))
        return F.relu(x)

    pictures = torch.tensor(draw_pictures(seed, OBSERVATIONS), dtype=torch.float64)
    _forward(pictures, _draw_weights(seed), activations=(relu,) * 4)
    return min(margins)


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
    weights = _draw_weights(seed)
    with torch.no_grad():
        logits, values, _ = _forward(pictures, weights)
        weights["policy head"][1] -= logits.quantile(0.5, dim=0)
        weights["value head"][1] -= values.quantile(0.5)
    return weights


def _draw_weights(seed):
    return {
        name: [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in pair]
        for name, pair in draw_weights(seed).items()
    }


def _expect_policy(logits):
    """Returns logits, and what follows from them for every number of actions that a game has.

    Args:
        logits: Of the network, [n, 18]; the policy is given smaller ones, none of whose
            probabilities is so small that float32 loses its logarithm.
    """
    logits = LARGEST * logits / np.abs(logits).max()
    out = {"policy/logits": logits}
    for n_actions in range(WEIGHED, MOST_ACTIONS + 1):
        few = torch.tensor(logits[:, :n_actions])
        out[f"log_probs/{n_actions}"] = F.log_softmax(few, -1).numpy()
        out[f"probabilities/{n_actions}"] = F.softmax(few, -1).numpy()
        out[f"wrong_axis/{n_actions}"] = F.log_softmax(few, 0).numpy()
        out[f"softmax_twice/{n_actions}"] = F.log_softmax(F.softmax(few, -1), -1).numpy()
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
        (1 / 255, N_("observations are divided by 255 again: they are in [0, 1] already")),
        (255, N_("observations are multiplied by 255: the network expects them in [0, 1]")),
    ):
        networks[name] = _forward(pictures, weights, scale=scale)[:2]
    networks[N_("the hidden layer reads its input in another order: flatten [B, 64, 7, 7]")] = (
        _forward(pictures, _last_channel(weights))[:2]
    )
    logits, values, _ = _forward(pictures, weights)
    return {**networks, **_wrong_heads(logits, values)}


def _last_channel(weights):
    """Returns weights with which the network computes what it would of [B, 7, 7, 64], flattened."""
    kernel, biases = weights["hidden layer"]
    kernel = kernel.unflatten(1, (7, 7, 64)).permute(0, 3, 1, 2).flatten(1)
    return {**weights, "hidden layer": (kernel, biases)}


def _wrong_heads(logits, values):
    """Returns {what is wrong: (logits [n, A], values [n])} of activations after the heads."""
    return {
        N_("leave the ReLU off after the heads: a logit or the value is never negative (both)"): (
            F.relu(logits),
            F.relu(values),
        ),
        N_("leave the ReLU off after the heads: a logit or the value is never negative (logits)"): (
            F.relu(logits),
            values,
        ),
        N_("leave the ReLU off after the heads: a logit or the value is never negative (value)"): (
            logits,
            F.relu(values),
        ),
        N_("the value passes a tanh: leave every activation off after the heads"): (
            logits,
            torch.tanh(values),
        ),
    }


def _wrong_activations():
    """Returns {what is wrong: the four activations of the body}."""
    relu, none = F.relu, lambda x: x
    others = {
        N_("tanh stands where the table says ReLU"): torch.tanh,
        N_("sigmoid stands where the table says ReLU"): torch.sigmoid,
        N_("leaky_relu stands where the table says ReLU"): F.leaky_relu,
        N_("elu stands where the table says ReLU"): F.elu,
        N_("gelu stands where the table says ReLU"): F.gelu,
        N_("silu stands where the table says ReLU"): F.silu,
    }
    return {
        N_("there is no ReLU after the first convolution"): [none, relu, relu, relu],
        N_("there is no ReLU after the second convolution"): [relu, none, relu, relu],
        N_("there is no ReLU after the third convolution"): [relu, relu, none, relu],
        N_("there is no ReLU after the hidden layer"): [relu, relu, relu, none],
        N_("there is no ReLU after any layer"): [none] * 4,
        N_("there is no ReLU after the convolutions"): [none] * 3 + [relu],
        **{mistake: [other] * 4 for mistake, other in others.items()},
    }
