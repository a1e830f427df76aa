"""What a right answer gives for a draw, and what known mistakes would have given.

It holds the formulas of the tasks, so it stays with the grader: students' checks read the arrays
that `python -m grading.reference` writes.
"""

import numpy as np
import torch

from grading.reference.network import expect_network
from grading.reference.targets import expect_targets
from grading.reference.update import expect_update
from tests.checks.expected import PATH, RELEASED_SEEDS

__all__ = ["expect", "expect_update", "write"]


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
