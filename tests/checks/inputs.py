"""What the checks feed to an answer, as a runner would."""

from typing import NamedTuple

import numpy as np

from tests.checks.draws import draw_pictures

__all__ = ["RESETS", "Inputs", "draw_inputs"]


class Inputs(NamedTuple):
    """What a runner would have met: T steps in B environments."""

    observations: np.ndarray  # [T, B, 4, 84, 84] float32 in [0, 1]
    latest: np.ndarray  # [B, 4, 84, 84], the observation after the last step
    rewards: np.ndarray  # [T, B] float32
    resets: np.ndarray  # [T, B] bool
    seed: int


RESETS = np.array(
    [
        [0, 0, 0, 1, 0, 0],
        [0, 0, 0, 1, 1, 0],
        [1, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 1],
        [0, 1, 0, 0, 1, 0],
    ],
    dtype=bool,
)  # [T, B]: midway, on the last step, never, twice in a row, midway and last, before the last


def draw_inputs(seed=1):
    """Draws pictures that differ, rewards that are neither 0 nor ±1, and all kinds of resets."""
    rng = np.random.default_rng(seed)
    steps, nenvs = RESETS.shape
    pictures = draw_pictures(seed, (steps + 1) * nenvs).reshape(steps + 1, nenvs, 4, 84, 84)
    rewards = (0.2 + 2 * rng.random((steps, nenvs))) * rng.choice([-1, 1], (steps, nenvs))
    return Inputs(pictures[:-1], pictures[-1], rewards.astype(np.float32), RESETS, seed)
