"""Whatever a student's part returns or raises, its check says in words that it is wrong."""

import hypothesis
import numpy as np
import pytest
import torch
from hypothesis import strategies as st

from tests.checking import check, make

DTYPES = (torch.float32, torch.float64, torch.int64, torch.bool, torch.float16)
ERRORS = (ValueError, KeyError, IndexError, RuntimeError, SystemExit, RecursionError, StopIteration)
KEYS = ("actions", "logits", "log_probs", "values", "value_targets", "more")


class Raising:
    """What is raised in place of a value that is returned."""

    def __init__(self, error):
        self.error = error


def tensors():
    shape = st.lists(st.integers(0, 7), max_size=3)
    filled = st.sampled_from([0.0, 1.0, -3.0, float("nan"), float("inf")])
    made = st.builds(torch.full, shape, filled)
    return (
        st.builds(lambda x, dtype: x.nan_to_num().to(dtype), made, st.sampled_from(DTYPES)) | made
    )


plain = st.none() | st.booleans() | st.integers(-3, 9) | st.floats() | st.text(max_size=3)
plain |= tensors() | tensors().map(torch.Tensor.numpy) | st.builds(object)
plain |= tensors().filter(torch.is_floating_point).map(torch.Tensor.requires_grad_)
values = st.recursive(
    plain,
    lambda x: st.lists(x, max_size=3) | st.dictionaries(st.sampled_from(KEYS), x),
    max_leaves=6,
)
outcomes = values | st.builds(Raising, st.sampled_from(ERRORS))


def returning(outcome):
    def method(*args, **kwargs):
        if isinstance(outcome, Raising):
            raise outcome.error("drawn")
        return outcome

    return method


def spoil(given, task, outcome, part):
    """Puts an outcome in place of what one part of an answer gives."""
    if task == "NatureModel":
        given["model"].forward = returning(outcome)
    elif task == "Policy":
        act = given["policy"].act
        one = {part: outcome} if not isinstance(outcome, Raising) and part else None
        given["policy"].act = (lambda x: {**act(x), **one}) if one else returning(outcome)
    elif task == "A2C":
        setattr(given["a2c"], part, returning(outcome))
    else:
        at = 0 if task == "ComputeValueTargets" else 1
        given["transforms"][at] = transform = Transform(part, outcome)
        transform.__class__ = type(task, (Transform,), {})


class Transform:
    """Writes an outcome under a key of the trajectory."""

    def __init__(self, key, outcome):
        self.key, self.outcome = key, outcome

    def __call__(self, trajectory):
        if isinstance(self.outcome, Raising):
            raise self.outcome.error("drawn")
        trajectory[self.key] = self.outcome


PARTS = {
    "NatureModel": ("forward",),
    "Policy": ("", "actions", "logits", "log_probs", "values"),
    "ComputeValueTargets": ("value_targets",),
    "MergeTimeBatch": ("values", "actions", "state"),
    "A2C": ("policy_loss", "value_loss", "entropy", "loss", "step"),
}


@pytest.mark.parametrize("task", PARTS)
@pytest.mark.parametrize("count", [8, pytest.param(60, marks=pytest.mark.slow)])
def test_a_check_meets_anything_with_words(task, count):
    @hypothesis.settings(
        deadline=None,
        max_examples=count,
        derandomize=True,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(outcome=outcomes, part=st.sampled_from(PARTS[task]))
    def meets(outcome, part):
        given = make()
        spoil(given, task, outcome, part)
        assert check(task, given).startswith(task)

    meets()


def test_arrays_and_lists_of_every_kind_are_drawn():
    kinds = set()

    @hypothesis.settings(max_examples=300, derandomize=True, database=None)
    @hypothesis.given(outcome=outcomes)
    def note(outcome):
        kinds.add(type(outcome))

    note()
    assert {Raising, list, dict, torch.Tensor, np.ndarray, type(None)} <= kinds
