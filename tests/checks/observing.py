"""How the checks run a student's objects and look at them, without leaving a trace."""

from contextlib import contextmanager

import numpy as np
import torch
from torch.nn.modules.module import register_module_forward_hook

from tests.checks.errors import CheckError

__all__ = [
    "LOG_PROBS",
    "array",
    "array_or_none",
    "calling",
    "exactly",
    "log_probs_key",
    "quietly",
    "require_together",
    "transform_named",
]

LOG_PROBS = ("log_probs", "log_prob")  # keys of log-probabilities, either serves


def array(x):
    """Returns tensors, lists of tensors, lists of numbers and arrays as float64."""
    if isinstance(x, (list, tuple)):
        return np.stack([array(item) for item in x])
    return x.detach().cpu().double().numpy() if torch.is_tensor(x) else np.asarray(x, np.float64)


def array_or_none(x):
    """Returns x as an array, or None where it is no number (a distribution, say)."""
    try:
        return array(x).copy()
    except (TypeError, ValueError, RuntimeError):
        return None


def log_probs_key(act):
    """Returns the key under which a policy keeps its log-probabilities, or None."""
    return next((key for key in LOG_PROBS if key in act), None)


# the network


@contextmanager
def exactly(task):
    """Computes in full float32, with gradients, on a GPU too: without TF32 and autocast.

    Raises:
        CheckError: If gradients are switched off, before or by what runs within the block.
    """
    off = f"{task}: gradients are switched off for all that follows: use `with torch.no_grad():`"
    if not torch.is_grad_enabled():
        raise CheckError(f"{off}. Now run torch.set_grad_enabled(True)")
    matmul, cudnn = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    try:
        with torch.autocast("cuda", enabled=False), torch.autocast("cpu", enabled=False):
            yield
        if not torch.is_grad_enabled():
            raise CheckError(off)
    finally:
        torch.set_grad_enabled(True)
        torch.backends.cuda.matmul.allow_tf32 = matmul
        torch.backends.cudnn.allow_tf32 = cudnn


@contextmanager
def quietly(model):
    """Restores a model's weights, and the course of torch's random numbers."""
    tensors = [*model.parameters(), *model.buffers()]
    before = [tensor.detach().clone() for tensor in tensors]
    try:
        with torch.random.fork_rng():
            yield
    finally:
        with torch.no_grad():
            for tensor, value in zip(tensors, before, strict=True):
                tensor.copy_(value)


# objects that were made from each other, and not from ones that are gone


def _share(one, other):
    """Tells whether two networks have weights in common."""
    return not {id(p) for p in one.parameters()}.isdisjoint(id(p) for p in other.parameters())


def _has_weights(network):
    return next(network.parameters(), None) is not None


@contextmanager
def calling(model, who, maker):
    """Raises a CheckError if networks run within the block, and none of them is this model."""
    ours = []

    def note(layer, *_):
        if _has_weights(layer):
            ours.append(_share(layer, model))

    hook = register_module_forward_hook(note)
    try:
        yield
    finally:
        hook.remove()
    if ours and not any(ours):
        raise CheckError(
            f"{who} calls another network than `model`, an older one or a copy: "
            f"run the cells from `{maker}` on again"
        )


def _kept(thing, kind):
    """Returns the objects of a kind that an object keeps, itself or in what it keeps."""
    inside = [thing, *getattr(thing, "__dict__", {}).values()]
    inside += [x for each in inside[1:] for x in getattr(each, "__dict__", {}).values()]
    return [x for x in inside if isinstance(x, kind)]


def require_together(model, optimizer, a2c, runner):
    """Raises a CheckError if a part was made for a model or an optimizer that is gone."""
    again = "run the cells from `{}` on again".format
    weights = {id(p) for p in model.parameters()}
    if weights.isdisjoint(id(p) for group in optimizer.param_groups for p in group["params"]):
        raise CheckError(f"the optimizer has no weight of `model`: {again('optimizer = ...')}")
    owners = [
        ("the A2C", "Policy(model)", a2c),
        ("the runner's policy", "EnvRunner(...)", runner.policy),
    ]
    owners += [("a transform", "ComputeValueTargets(policy)", x) for x in runner.transforms]
    for who, maker, owner in owners:
        networks = [x for x in _kept(owner, torch.nn.Module) if _has_weights(x)]
        if networks and not any(_share(network, model) for network in networks):
            raise CheckError(f"{who} has another network than `model`: {again(maker)}")
    optimizers = _kept(a2c, torch.optim.Optimizer)
    if optimizers and not any(each is optimizer for each in optimizers):
        raise CheckError(f"the A2C has another optimizer than `optimizer`: {again('A2C(...)')}")


def transform_named(name, transforms):
    """Returns the transform whose class has a name, else the last; None where there is none."""
    named = [x for x in transforms if type(x).__name__ == name]
    return next(iter([*named, *reversed(transforms)]), None)
