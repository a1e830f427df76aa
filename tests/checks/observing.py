"""How the checks run a student's objects and look at them, without leaving a trace."""

import random
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np
import torch
from torch.nn.modules.module import register_module_forward_hook

from languages import N_, _
from tests.checks.errors import CheckError

__all__ = [
    "LOG_PROBS",
    "array",
    "array_or_none",
    "calling",
    "exactly",
    "kind_in_words",
    "log_probs_key",
    "quietly",
    "require_together",
    "same",
    "same_course",
    "transform_named",
    "unnoted",
]

LOG_PROBS = ("log_probs", "log_prob")  # keys of log-probabilities, either serves
KINDS = {  # as they are observed: as they are shown
    "tensor": N_("tensor"),
    "array": N_("NumPy array"),
    "integers": N_("array of integers"),
}

NOTED = ContextVar("NOTED", default=True)  # whether `calling` looks at what runs


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


def same(before, after):
    """Tells whether an entry of the trajectory is what it was, kinds and numbers alike."""
    if before is after or type(before) is not type(after):
        return before is after
    if torch.is_tensor(before):
        kinds = [(x.requires_grad, x.dtype, x.device) for x in (before, after)]
        return kinds[0] == kinds[1] and torch.equal(before, after)
    if isinstance(before, np.ndarray):
        return before.dtype == after.dtype and np.array_equal(before, after)
    if isinstance(before, dict):
        return before.keys() == after.keys() and all(same(before[k], after[k]) for k in before)
    if isinstance(before, list):
        return len(before) == len(after) and all(map(same, before, after))
    return before == after


def kind_in_words(kind):
    """Returns what a kind of object is called; types that have no name here keep their own."""
    return _(KINDS[kind]) if kind in KINDS else kind


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
    off = _(
        "{task}: gradients are switched off for all that follows: use `with torch.no_grad():`"
    ).format(task=task)
    if not torch.is_grad_enabled():
        told = _("{mistake}. Now run torch.set_grad_enabled(True)")
        raise CheckError(told.format(mistake=off))
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


@contextmanager
def same_course():
    """Restores the course of the random numbers of torch, NumPy and Python."""
    states = np.random.get_state(), random.getstate()
    try:
        with torch.random.fork_rng():
            yield
    finally:
        np.random.set_state(states[0])
        random.setstate(states[1])


def reseeded_by(work):
    """Names the generators that stand at the same place after two calls, wherever they began."""
    after = []
    for seed in (1, 2):
        torch.manual_seed(seed), np.random.seed(seed), random.seed(seed)
        work()
        state = torch.get_rng_state().numpy(), np.random.get_state()[1], random.getstate()[1]
        after.append([bytes(np.asarray(part)) for part in state])
    names = ("torch", "NumPy", "random")
    return [name for name, one, two in zip(names, *after, strict=True) if one == two]


# objects that were made from each other, and not from ones that are gone


def _share(one, other):
    """Tells whether two networks have weights in common."""
    return not {id(p) for p in one.parameters()}.isdisjoint(id(p) for p in other.parameters())


def _has_weights(network):
    return next(network.parameters(), None) is not None


@contextmanager
def calling(model, who, maker):
    """Raises a CheckError if networks run within the block, and none of them is this model.

    Args:
        model: The student's.
        who: Runs them: a message that is translated here.
        maker: What the notebook made `who` with, as it stands in a cell.

    Yields:
        A list with an item for each network or layer that ran: whether it is a part of this model.
    """
    ours = []

    def note(layer, *others):
        if NOTED.get() and _has_weights(layer):
            ours.append(_share(layer, model))

    hook = register_module_forward_hook(note)
    try:
        yield ours
    finally:
        hook.remove()
    if ours and not any(ours):
        told = _(
            "{who} calls another network than `model`, an older one or a copy: run the cells from "
            "`{cell}` on again"
        )
        raise CheckError(told.format(who=_(who), cell=maker))


@contextmanager
def unnoted():
    """Hides the networks that run within the block from `calling`."""
    token = NOTED.set(False)
    try:
        yield
    finally:
        NOTED.reset(token)


def _kept(thing, kind):
    """Returns the objects of a kind that an object keeps, itself or in what it keeps."""
    inside = [thing, *getattr(thing, "__dict__", {}).values()]
    inside += [x for each in inside[1:] for x in getattr(each, "__dict__", {}).values()]
    return [x for x in inside if isinstance(x, kind)]


def require_together(model, optimizer, a2c, runner):
    """Raises a CheckError if a part was made for a model or an optimizer that is gone."""
    weights = {id(p) for p in model.parameters()}
    if weights.isdisjoint(id(p) for group in optimizer.param_groups for p in group["params"]):
        told = _("the optimizer has no weight of `model`: run the cells from `{cell}` on again")
        raise CheckError(told.format(cell="optimizer = ..."))
    owners = [
        (_("the A2C"), "Policy(model)", a2c),
        (_("the runner's policy"), "EnvRunner(...)", runner.policy),
    ]
    owners += [(_("a transform"), "ComputeValueTargets(policy)", x) for x in runner.transforms]
    for who, maker, owner in owners:
        networks = [x for x in _kept(owner, torch.nn.Module) if _has_weights(x)]
        if networks and not any(_share(network, model) for network in networks):
            told = _("{who} has another network than `model`: run the cells from `{cell}` on again")
            raise CheckError(told.format(who=who, cell=maker))
    optimizers = _kept(a2c, torch.optim.Optimizer)
    if optimizers and not any(each is optimizer for each in optimizers):
        told = _(
            "the A2C has another optimizer than `optimizer`: run the cells from `{cell}` on again"
        )
        raise CheckError(told.format(cell="A2C(...)"))


def transform_named(name, transforms):
    """Returns the transform whose class has a name, else the last; None where there is none."""
    named = [x for x in transforms if type(x).__name__ == name]
    return next(iter([*named, *reversed(transforms)]), None)
