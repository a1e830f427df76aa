"""Pictures and weights that are drawn by seed: what the checks feed to an answer."""

import numpy as np

__all__ = ["LAYERS", "MOST_ACTIONS", "draw_pictures", "draw_weighing", "draw_weights", "sketch"]

MOST_ACTIONS = 18  # of any Atari game; a game with fewer uses the first rows of the policy head
LAYERS = {  # name: shape of the weights, in the order of the network
    "first convolution": (32, 4, 8, 8),
    "second convolution": (64, 32, 4, 4),
    "third convolution": (64, 64, 3, 3),
    "hidden layer": (512, 3136),
    "policy head": (MOST_ACTIONS, 512),
    "value head": (1, 512),
}


def draw_pictures(seed, count):
    """Draws observations that differ, [count, 4, 84, 84] float32 in [0, 1]."""
    rng = np.random.RandomState(seed)
    coarse = rng.random_sample((count, 4, 7, 7)) * rng.random_sample((count, 4, 1, 1))
    return np.kron(coarse, np.ones((12, 12))).astype(np.float32)


def draw_weights(seed):
    """Draws {layer: (weights, biases)} float32, of a size that keeps the signal's.

    The heads are drawn large, so that probabilities and values differ widely between observations.
    """
    rng, weights = np.random.RandomState(1000 + seed), {}
    for name, shape in LAYERS.items():
        gain = 6.0 if "head" in name else 2**0.5
        kernel = rng.standard_normal(shape) * gain * np.prod(shape[1:]) ** -0.5
        biases = 0.2 * rng.standard_normal(shape[0])
        weights[name] = kernel.astype(np.float32), biases.astype(np.float32)
    return weights


def draw_weighing(seed, count, columns):
    """Draws factors of outputs, [count, columns], whose weighted sum is differentiated."""
    return np.random.RandomState(2000 + seed).standard_normal((count, columns))


def sketch(gradient, coordinates):
    """Returns a gradient's norm, its sum, and some of its coordinates, spread evenly."""
    flat = np.ravel(gradient)
    some = np.linspace(0, len(flat) - 1, min(len(flat), coordinates)).astype(int)
    return np.concatenate([[np.linalg.norm(flat), flat.sum()], flat[some]])
