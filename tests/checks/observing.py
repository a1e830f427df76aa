"""How the checks run a student's objects and look at them, without leaving a trace."""

import copy
from contextlib import contextmanager
from unittest import mock

import numpy as np
import torch
from torch.nn.modules.module import register_module_forward_hook

from runners import EnvRunner
from tests.checks.errors import CheckError

__all__ = [
    "LOG_PROBS",
    "array",
    "array_or_none",
    "calling",
    "exactly",
    "log_probs_key",
    "log_softmax",
    "loud",
    "merged",
    "outputs_of",
    "play",
    "quietly",
    "recording",
    "require_together",
    "transforming",
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


def log_softmax(logits):
    """Returns log-probabilities [N, A]."""
    shifted = logits - logits.max(1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(1, keepdims=True))


def log_probs_key(act):
    """Returns the key under which a policy keeps its log-probabilities, or None."""
    return next((key for key in LOG_PROBS if key in act), None)


# the network


@contextmanager
def exactly():
    """Computes in full float32, on a GPU too: without TF32 and autocast."""
    matmul, cudnn = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    try:
        with torch.autocast("cuda", enabled=False), torch.autocast("cpu", enabled=False):
            yield
    finally:
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
def loud(model, seed):
    """Makes V(s) and the logits differ widely between observations; restores all weights."""
    before = copy.deepcopy(model.state_dict())
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim == 2 and weight.shape[0] < 32:
                noise = torch.randn(weight.shape, generator=generator) * 3 * weight.shape[1] ** -0.5
                weight.copy_(noise)
    state = torch.get_rng_state()
    torch.manual_seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(state)
        model.load_state_dict(before)


def outputs_of(model, observations):
    """Returns whatever the model returns as one array of columns, [N, A + 1]."""
    device = next(model.parameters()).device
    out = model(torch.as_tensor(observations, device=device))
    parts = list(out.values()) if isinstance(out, dict) else out
    parts = [parts] if torch.is_tensor(parts) else [p for p in parts if torch.is_tensor(p)]
    return torch.cat([p.reshape(len(observations), -1) for p in parts], dim=1)


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


def require_together(model, optimizer, a2c):
    """Raises a CheckError if optimizer and A2C were made for a model or optimizer that is gone."""
    again = "run the cells from `{}` on again".format
    weights = {id(p) for p in model.parameters()}
    if weights.isdisjoint(id(p) for group in optimizer.param_groups for p in group["params"]):
        raise CheckError(f"the optimizer has no weight of `model`: {again('optimizer = ...')}")
    networks = [x for x in _kept(a2c, torch.nn.Module) if _has_weights(x)]
    if networks and not any(_share(network, model) for network in networks):
        raise CheckError(f"the A2C has another network than `model`: {again('Policy(model)')}")
    optimizers = _kept(a2c, torch.optim.Optimizer)
    if optimizers and not any(each is optimizer for each in optimizers):
        raise CheckError(f"the A2C has another optimizer than `optimizer`: {again('A2C(...)')}")


def transform_named(name, transforms):
    """Returns the transform whose class has a name, else the last; None where there is none."""
    named = [x for x in transforms if type(x).__name__ == name]
    return next(iter([*named, *reversed(transforms)]), None)


# a trajectory, and what becomes of it


def play(model, policy, inputs):
    """Returns the trajectory that a runner would collect, and a copy of each entry as it was."""
    steps, copies = [], []
    for observation in inputs.observations:
        with calling(model, "the policy", "Policy(model)"):
            act = policy.act(observation)
        if not isinstance(act, dict) or "actions" not in act:
            raise CheckError("policy.act must return a dict with 'actions'")
        steps.append(act)
        copies.append({key: copy.copy(array_or_none(value)) for key, value in act.items()})
    trajectory = {key: [step[key] for step in steps] for key in steps[0]}
    trajectory["observations"] = list(inputs.observations.copy())
    trajectory["rewards"] = list(inputs.rewards.copy())
    trajectory["resets"] = list(inputs.resets.copy())
    trajectory["state"] = {"latest_observation": inputs.latest.copy(), "env_steps": len(steps)}
    return trajectory, copies


def transforming(model, transforms, trajectory):
    """Applies the transforms; yields after each what it returned."""
    for transform in transforms:
        with calling(model, "a transform", "ComputeValueTargets(policy)"):
            returned = transform(trajectory)
        yield returned


def merged(model, policy, transforms, inputs):
    """Returns a trajectory after all transforms, the actions [T, B] and the targets [T, B]."""
    trajectory, copies = play(model, policy, inputs)
    actions = np.stack([copy["actions"] for copy in copies]).astype(int)
    targets = None
    for _ in transforming(model, transforms, trajectory):
        if targets is None and "value_targets" in trajectory:
            targets = array(trajectory["value_targets"]).reshape(inputs.rewards.shape)
    if targets is None:
        raise CheckError("no transform adds value_targets to the trajectory")
    return trajectory, actions, targets


@contextmanager
def recording(model, optimizer):
    """Collects the gradients that reach `optimizer.step()`, in place of stepping.

    Curves that a student draws in `step` are left out: the run has not begun.
    """
    gradients = []
    held = optimizer.__dict__.get("step")

    def note(*args, **kwargs):
        parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in model.parameters()]
        gradients.append(torch.cat([part.detach().flatten() for part in parts]).clone())

    optimizer.step = note
    try:
        with mock.patch.object(EnvRunner, "add_summary"):
            yield gradients
    finally:
        del optimizer.step
        if held is not None:
            optimizer.step = held
        optimizer.zero_grad()
