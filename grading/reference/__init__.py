"""What a right answer gives for a draw, and what known mistakes would have given.

It holds the formulas of the tasks, so it stays with the grader: students' checks read the arrays
that `python -m grading.reference` writes.
"""

import secrets

import numpy as np
import torch

from grading.reference.network import expect_network, least_margin
from grading.reference.targets import expect_targets
from grading.reference.update import expect_update
from tests.checks.expected import PATH, RELEASED_SEEDS

__all__ = ["draw_seeds", "expect", "expect_update", "write"]

MARGIN = 2e-6  # what float32 makes of sums of some thousand terms stays within 1e-6


def draw_seeds(below=None):
    """Returns the seeds of two hidden draws that nobody knows before: the network's, the tasks'.

    The network's draw keeps clear of every ReLU's kink. On a kink, rounding alone decides which
    gradient is right, and another machine's rounding would call a right network wrong.

    Args:
        below: Draws a number from 0 to below its argument; by default one that nobody can foresee.
    """
    below = below or secrets.randbelow
    network = 1000 + below(10**6)
    while least_margin(network) < MARGIN:
        network = 1000 + below(10**6)
    return [network, 2_000_000 + below(10**6)]


def expect(seed):
    """Returns {name: array} of a draw, float32."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # more wait for each other on arrays as small as these
    arrays = {**expect_network(seed), **expect_targets(seed), **expect_update(seed)}
    torch.set_num_threads(threads)
    return {name: np.asarray(x, np.float32) for name, x in arrays.items()}


def write(path=PATH):
    """Writes the arrays of the released draws into one file."""
    arrays = {f"{seed}/{name}": x for seed in RELEASED_SEEDS for name, x in expect(seed).items()}
    np.savez_compressed(path, **arrays)
