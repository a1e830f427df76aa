"""Pictures, weights and trajectories that are drawn by seed: what the checks feed to an answer."""

from typing import NamedTuple

import numpy as np

from languages import N_

__all__ = [
    "LAYERS",
    "LIKELY",
    "MOST_ACTIONS",
    "POLICY_HEAD",
    "Recorded",
    "VALUE_HEAD",
    "draw_pictures",
    "draw_targets",
    "draw_trajectory",
    "draw_weighing",
    "draw_weights",
    "sketch",
]

MOST_ACTIONS = 18  # of any Atari game; a game with fewer uses the first rows of the policy head
LIKELY = 3  # actions that a recorded policy takes: every game has as many
OFTEN = (0.4, 0.8)  # probability of a recorded action: a policy soon draws all of a step again
RULED_OUT = -30.0  # logit of all others, whose number then changes nothing
POLICY_HEAD, VALUE_HEAD = N_("policy head"), N_("value head")
LAYERS = {  # name: shape of the weights, in the order of the network
    N_("first convolution"): (32, 4, 8, 8),
    N_("second convolution"): (64, 32, 4, 4),
    N_("third convolution"): (64, 64, 3, 3),
    N_("hidden layer"): (512, 3136),
    POLICY_HEAD: (MOST_ACTIONS, 512),
    VALUE_HEAD: (1, 512),
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
        gain = 20.0 if "head" in name else 2**0.5
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


class Recorded(NamedTuple):
    """What a runner and a policy might have met: T steps in B environments."""

    observations: np.ndarray  # [T, B, 4, 84, 84] float32 in [0, 1], all different
    actions: np.ndarray  # [T, B] int, below LIKELY
    logits: np.ndarray  # [T, B, A] float32
    values: np.ndarray  # [T, B] float32
    rewards: np.ndarray  # [T, B] float32, neither 0 nor ±1
    resets: np.ndarray  # [T, B] bool
    latest: np.ndarray  # [B, 4, 84, 84], the observation after the last step
    latest_values: np.ndarray  # [B] float32

    @property
    def pictures(self):
        """All observations and the latest ones, [T·B + B, 4, 84, 84]."""
        return np.concatenate([*self.observations, self.latest])

    @property
    def outputs(self):
        """What the network gives for these pictures, [T·B + B, A + 1]: logits, then the value."""
        logits = self.logits.reshape(-1, self.logits.shape[-1])
        logits = np.concatenate([logits, logits[: len(self.latest)]])
        return np.column_stack([logits, np.append(self.values.ravel(), self.latest_values)])


def draw_trajectory(seed, resets, n_actions):
    """Draws a trajectory.

    Args:
        seed: Of the draw; with other resets or another number of actions it is the same otherwise.
        resets: [T, B] bool.
        n_actions: A, at least LIKELY.
    """
    resets = np.asarray(resets, bool)
    rng, (steps, nenvs) = np.random.RandomState(3000 + seed), resets.shape
    pictures = draw_pictures(3000 + seed, (steps + 1) * nenvs)
    pictures = pictures.reshape(steps + 1, nenvs, *pictures.shape[1:])
    actions = rng.randint(LIKELY, size=resets.shape)
    logits = np.full((*resets.shape, n_actions), RULED_OUT, np.float32)
    logits[..., :LIKELY] = _draw_logits(rng, actions)
    values, (latest_values, *_) = rng.standard_normal((2, steps, nenvs)).astype(np.float32)
    rewards = (0.2 + 2 * rng.random_sample(resets.shape)) * rng.choice([-1, 1], resets.shape)
    return Recorded(
        observations=pictures[:-1],
        actions=actions,
        logits=logits,
        values=values,
        rewards=rewards.astype(np.float32),
        resets=resets,
        latest=pictures[-1],
        latest_values=latest_values,
    )


def _draw_logits(rng, actions):
    """Draws logits of which each action taken is as probable as OFTEN says, [T, B, LIKELY]."""
    logits, taken = (
        rng.standard_normal((*actions.shape, LIKELY)),
        np.eye(LIKELY, dtype=bool)[actions],
    )
    others = np.log(np.exp(logits).sum(-1, where=~taken))
    chances = rng.uniform(*OFTEN, actions.shape)
    logits[taken] = (others + np.log(chances / (1 - chances))).ravel()
    return logits


def draw_targets(seed, values, scale):
    """Draws value targets that differ from values [N] by about a scale, [N] float32."""
    advantages = scale * np.random.RandomState(4000 + seed).standard_normal(len(values))
    return (values + advantages).astype(np.float32)
