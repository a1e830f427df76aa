"""Task 5: the losses of recorded batches, and what known mistakes would have given."""

from types import SimpleNamespace

import numpy as np
import torch
from torch.nn import functional as F

from grading.reference.targets import target_powers
from languages import N_
from tests.checks.batches import SCALES, draw_batch
from tests.checks.chain import draw_chain
from tests.checks.draws import LIKELY, MOST_ACTIONS

__all__ = ["expect_update"]


def expect_update(seed):
    """Returns {name: array} of Task 5.

    A loss is a row of numbers: its value, then its gradient with respect to the logits of LIKELY
    actions and the values, N rows of LIKELY + 1. A mistake that depends on the number of actions
    has a row for each number from LIKELY to MOST_ACTIONS.
    """
    out = {}
    for k in range(len(SCALES)):
        batch = _batch(seed, k, LIKELY)
        out[f"a2c/{k}/normalisers"] = batch.z.logsumexp(1).detach().numpy()
        out[f"a2c/{k}/probabilities"] = batch.p.detach().numpy()
        out |= {f"a2c/{k}/{name}": _row(loss(batch), batch) for name, loss in _right().items()}
    batches = [_batch(seed, 0, n_actions) for n_actions in range(LIKELY, MOST_ACTIONS + 1)]
    for name, loss in _mistakes().items():
        rows = np.stack([_row(loss(batch), batch) for batch in batches])
        same = np.allclose(rows, rows[0], 1e-5, 1e-6)
        out[f"a2c/mistake/{name}"] = rows[0] if same else rows
    return {**out, **_expect_chain(seed)}


def _expect_chain(seed):
    """Returns targets and gradients of the five tasks together, as coefficients of powers of γ.

    A gradient is linear in the targets, but for what it is where they are zero.
    """
    recorded = draw_chain(seed, LIKELY)
    out = {"chain/targets": target_powers(recorded)}
    for name, loss in _right().items():
        parts = [_parts(recorded, x.ravel()) for x in (*out["chain/targets"], 0 * recorded.values)]
        *rows, zero = [_row(loss(one), one)[1:] for one in parts]
        out[f"chain/{name}"] = np.stack([rows[0], *(row - zero for row in rows[1:])])
    return out


def _batch(seed, k, n_actions):
    return _parts(*draw_batch(seed, k, n_actions))


def _parts(recorded, targets):
    """Returns what the losses of a batch are made of, in float64 with a graph."""
    z = torch.tensor(recorded.logits.reshape(len(targets), -1), dtype=torch.float64)
    v = torch.tensor(recorded.values.ravel(), dtype=torch.float64)
    z.requires_grad_(), v.requires_grad_()
    log_p = F.log_softmax(z, 1)
    t = torch.tensor(targets, dtype=torch.float64)
    a = torch.tensor(recorded.actions.ravel())[:, None]
    return SimpleNamespace(
        z=z,
        v=v,
        t=t,
        r=torch.tensor(recorded.rewards.ravel(), dtype=torch.float64),
        log_p=log_p,
        p=log_p.exp(),
        taken=log_p.gather(1, a)[:, 0],
        logit=z.gather(1, a)[:, 0],
        advantages=(t - v).detach(),
    )


def _row(loss, batch):
    """Returns the value of a loss and its gradient, one row of numbers."""
    gradients = torch.autograd.grad(loss, (batch.z, batch.v), retain_graph=True, allow_unused=True)
    pair = [
        torch.zeros_like(x) if gradient is None else gradient
        for x, gradient in zip((batch.z, batch.v), gradients, strict=True)
    ]
    likely = torch.column_stack([pair[0][:, :LIKELY], pair[1]])
    return np.append(loss.item(), likely.numpy())


def _right():
    return {
        "policy_loss": lambda b: -(b.advantages * b.taken).mean(),
        "value_loss": lambda b: (b.v - b.t).square().mean(),
        "entropy": lambda b: -(b.p * b.log_p).sum(1).mean(),
    }


def _mistakes():
    """Returns {term and what is wrong with it: loss}; multiples of the right term are left out."""
    return {
        f"{term}/{name}": loss
        for term, mistakes in (
            ("policy_loss", {**_wrong_advantages(), **_wrong_log_probs()}),
            ("value_loss", _wrong_value_losses()),
            ("entropy", _wrong_entropies()),
        )
        for name, loss in mistakes.items()
    }


def _wrong_advantages():
    """Returns policy losses whose advantage is another one."""
    wrong = {
        N_("there is no advantage: log_probs are weighted with the targets alone"): lambda b: b.t,
        N_("there is no advantage: log_probs are weighted with the values alone"): lambda b: (
            b.v.detach()
        ),
        N_("there is no advantage: log_probs are weighted with the rewards"): lambda b: b.r,
        N_("the advantages are normalised: take them as they are"): lambda b: (
            (b.advantages - b.advantages.mean()) / (b.advantages.std() + 1e-8)
        ),
        N_(
            "the advantages are normalised, by the standard deviation over N: take them as they are"
        ): (
            lambda b: (b.advantages - b.advantages.mean()) / (b.advantages.std(correction=0) + 1e-8)
        ),
        N_("the mean is subtracted from the advantages: take them as they are"): lambda b: (
            b.advantages - b.advantages.mean()
        ),
        N_("the advantages are divided by their standard deviation: take them as they are"): (
            lambda b: b.advantages / (b.advantages.std() + 1e-8)
        ),
        N_("the advantages are clipped to ±1: take them as they are"): lambda b: b.advantages.clamp(
            -1, 1
        ),
        N_("only the sign of the advantages counts: take them as they are"): lambda b: (
            b.advantages.sign()
        ),
        N_("the advantages have lost their sign: take them as they are"): lambda b: (
            b.advantages.abs()
        ),
        N_("the advantages are squared: take them as they are"): lambda b: b.advantages.square(),
        N_("negative advantages are cut off: take them as they are"): lambda b: b.advantages.relu(),
    }
    return {name: _weighted_with(weights) for name, weights in wrong.items()}


def _weighted_with(weights):
    return lambda b: -(weights(b) * b.taken).mean()


def _wrong_log_probs():
    """Returns policy losses whose log-probabilities, or how they meet the advantages, are wrong."""
    undetached = N_("the advantage is not detached: the policy loss trains the critic")
    return {
        undetached: lambda b: -((b.t - b.v) * b.taken).mean(),
        N_("log_probs are detached, and the advantage is not: the policy loss trains the critic"): (
            lambda b: -((b.t - b.v) * b.taken.detach()).mean()
        ),
        N_(
            "log-probabilities and advantages are broadcast to [N, N]: [N] against [N, 1]"
        ): lambda b: -(b.advantages[:, None] * b.taken).mean(),
        N_("values and targets of the advantage are broadcast to [N, N]: [N] against [N, 1]"): (
            lambda b: -((b.t - b.v[:, None]).detach() * b.taken).mean()
        ),
        N_(
            "the log-probabilities of all actions are summed, expected those of the actions taken"
        ): (lambda b: -(b.advantages * b.log_p.sum(1)).mean()),
        N_("the mean over all actions is taken, expected the actions taken"): (
            lambda b: -(b.advantages[:, None] * b.log_p).mean()
        ),
        N_("the log-probability of the likeliest action stands for that of the action taken"): (
            lambda b: -(b.advantages * b.log_p.max(1).values).mean()
        ),
        N_("probabilities stand for log-probabilities: take their logarithm"): lambda b: (
            -(b.advantages * b.taken.exp()).mean()
        ),
        N_("the logit of the action stands for its log-probability"): lambda b: (
            -(b.advantages * b.logit).mean()
        ),
        N_("the ratio π / π stands for log-probabilities: right as a gradient, not as a number"): (
            lambda b: -(b.advantages * (b.taken - b.taken.detach()).exp()).mean()
        ),
    }


def _wrong_value_losses():
    return {
        N_("the absolute difference is taken, expected its square"): lambda b: (
            (b.v - b.t).abs().mean()
        ),
        N_("the smooth L1 (Huber) loss is taken, expected the square"): lambda b: F.smooth_l1_loss(
            b.v, b.t
        ),
        N_("the mean is squared, expected the mean of the squares"): lambda b: (
            (b.v - b.t).mean().square()
        ),
        N_("the root of the mean square is taken, expected the mean square"): lambda b: (
            (b.v - b.t).square().mean().sqrt()
        ),
        N_("the difference is not squared"): lambda b: (b.v - b.t).mean(),
        N_("the difference, targets − values, is not squared"): lambda b: (b.t - b.v).mean(),
        N_("values and targets are broadcast to [N, N]: [N] against [N, 1]"): lambda b: (
            (b.v[:, None] - b.t).square().mean()
        ),
        N_("values are compared with the rewards, expected the targets"): lambda b: (
            (b.v - b.r).square().mean()
        ),
        N_("values are not compared with anything: subtract the targets"): lambda b: (
            b.v.square().mean()
        ),
    }


def _wrong_entropies():
    return {
        N_(
            "it is that of the actions taken only, −log π(a), which has no effect in expectation: "
            "take −Σ π log π over all actions"
        ): lambda b: -b.taken.mean(),
        N_("it is −π(a) log π(a) of the actions taken only: sum over all actions"): lambda b: (
            -(b.taken.exp() * b.taken).mean()
        ),
        N_("logits stand for log π in −Σ π log π"): lambda b: -(b.p * b.z).sum(1).mean(),
        N_("log π is not weighted with π"): lambda b: -b.log_p.sum(1).mean(),
        N_("log π is not weighted with π, and the mean is over the actions too"): lambda b: (
            -b.log_p.mean()
        ),
        N_("the softmax runs over the wrong axis: over actions, the last one"): lambda b: (
            -(b.z.softmax(0) * b.z.log_softmax(0)).sum(1).mean()
        ),
        N_("its exponential is taken"): lambda b: (-(b.p * b.log_p).sum(1)).exp().mean(),
        N_("it is the distance from equally likely actions"): lambda b: (
            (b.p * (b.log_p + np.log(b.p.shape[1]))).sum(1).mean()
        ),
        N_("−Σ π² stands for −Σ π log π"): lambda b: -b.p.square().sum(1).mean(),
        N_("−Σ p log p is taken of the logits, not of probabilities"): lambda b: (
            -(b.z * b.log_p).sum(1).mean()
        ),
    }
