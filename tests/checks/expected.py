"""The arrays that a right answer gives, for the draws that students' checks use."""

from functools import cache
from pathlib import Path

import numpy as np

__all__ = ["PATH", "RELEASED_SEEDS", "read_expected"]

PATH = Path(__file__).parent / "expected.npz"
RELEASED_SEEDS = (1, 2)


@cache
def read_expected(seed):
    """Returns {name: array} of one of the released draws."""
    with np.load(PATH, allow_pickle=False) as file:
        prefix = f"{seed}/"
        return {name[len(prefix) :]: file[name] for name in file.files if name.startswith(prefix)}
