"""The gradient of an update, resolved into the terms of the loss and the classic leaks."""

import numpy as np
import torch

from tests.checks.observing import array, outputs_of
from tests.checks.value_targets import n_step

__all__ = ["basis", "resolve"]

RIGHT_TERMS = ["policy", "value", "entropy"]


def basis(model, policy, inputs, actions, targets, gamma):
    """Returns the gradients of the right terms and of the classic leaks, {name: [P]}."""
    v, latest, log_p = _values_and_log_probs(model, policy, inputs)
    as_v = dict(device=v.device, dtype=v.dtype)
    taken = log_p[torch.arange(len(log_p)), torch.as_tensor(actions.ravel(), device=v.device)]
    t = torch.as_tensor(targets.ravel(), **as_v)
    r = torch.as_tensor(inputs.rewards.ravel(), **as_v)
    share = n_step(0 * inputs.rewards, 1.0 - inputs.resets, np.ones(len(latest)), gamma)
    moving = (torch.as_tensor(share, **as_v) * latest).flatten()  # what could carry a gradient
    losses = {
        "policy": -((t - v).detach() * taken).mean(),
        "value": (v - t).square().mean(),
        "entropy": -(log_p.exp() * log_p).sum(-1).mean(),
        "taken": taken.mean(),
        "taken weighted": (taken.exp() * taken).mean(),
        "undetached": -((t - v) * taken.detach()).mean(),
        "through targets": 2 * ((t - v).detach() * moving).mean(),
        "through targets of the actor": -(moving * taken.detach()).mean(),
        "all actions": -((t - v).detach() * log_p.sum(-1)).mean(),
        "targets for advantages": -(t * taken).mean(),
        "rewards for advantages": -(r * taken).mean(),
        "value broadcast": (v[:, None] - t[None]).square().mean(),
    }
    parameters = list(model.parameters())
    return {name: _flat_gradient(loss, parameters) for name, loss in losses.items()}


def _values_and_log_probs(model, policy, inputs):
    """Returns with a graph V(s) [T·B], V(latest observation) [B] and log π [T·B, A]."""
    nenvs = len(inputs.latest)
    observations = inputs.observations.reshape(-1, 4, 84, 84)
    columns = outputs_of(model, np.concatenate([observations, inputs.latest]))
    with torch.no_grad():
        reference = array(policy.act(inputs.latest)["values"]).ravel()
    where = np.abs(array(columns)[-nenvs:] - reference[:, None]).sum(0).argmin()
    values = columns[:, where]
    others = [k for k in range(columns.shape[1]) if k != where]
    log_p = torch.log_softmax(columns[:-nenvs][:, others], -1)
    return values[:-nenvs], values[-nenvs:], log_p


def _flat_gradient(loss, parameters):
    """Returns d loss / d parameters as one vector [P]."""
    parts = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
    filled = [
        torch.zeros_like(p) if g is None else g for g, p in zip(parts, parameters, strict=True)
    ]
    return torch.cat([part.flatten() for part in filled])


def resolve(step):
    """Resolves a gradient into the right terms and, if something is left, into all.

    Returns:
        {name: coefficient}, and what is left, relative to the gradient.
    """
    gradient, bases = step["all"], {name: x for name, x in step.items() if name != "all"}
    for names in (RIGHT_TERMS, list(bases)):
        columns = np.stack([bases[name] for name in names], axis=1)
        scale = np.linalg.norm(columns, axis=0) + 1e-30
        fit, *_ = np.linalg.lstsq(columns / scale, gradient, rcond=1e-7)
        left = np.linalg.norm(columns / scale @ fit - gradient)
        residual = left / (np.linalg.norm(gradient) + 1e-30)
        if residual < 2e-4:
            break
    return dict.fromkeys(bases, 0.0) | dict(zip(names, fit / scale, strict=True)), residual
