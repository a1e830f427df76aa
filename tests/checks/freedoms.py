"""How far an answer may be from the reference, and what it may do in its own way.

Free are, beside rounding: float64; the heads' gains; the model's values as [B] or [B, 1]; a joint
head, in either order; a factor 1/2 in the value loss; the key `log_prob` or `log_probs`, as [B],
[B, 1] or [B, A].
"""

import numpy as np

__all__ = ["CLOSE", "close"]

CLOSE = 1e-3  # of the largest number expected; CPU, CUDA and torch 2.5 to 2.13 stay within 1e-4


def close(got, expected):
    """Tells whether two arrays have one shape and are equal within the tolerance."""
    got, expected = np.asarray(got, np.float64), np.asarray(expected, np.float64)
    if got.shape != expected.shape or not np.isfinite(got).all():
        return False
    return bool(np.abs(got - expected).max(initial=0) <= CLOSE * (1e-6 + np.abs(expected).max()))
