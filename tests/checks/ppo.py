"""A further task: PPO's clipped loss by hand, and its second look at a batch."""

import contextlib
from types import SimpleNamespace

import numpy as np
import torch

from languages import _
from tests.checks.further import SmallModel, checked, close, named, shown

__all__ = ["check_ppo"]

RATIOS, ADVANTAGES = np.array([1.5, 0.5, 1.5, 0.5]), np.array([1.0, 2.0, -1.0, -3.0])
CLIPPED_LOSS = 0.425  # −(1.2·1 + 0.5·2 − 1.5·1 − 0.8·3) / 4
WIDER, WIDER_LOSS = 0.4, 0.225  # another clip: −(1.4·1 + 0.5·2 − 1.5·1 − 0.6·3) / 4
SLOPES = np.array([0.0, -0.25, 0.375, 0.0])  # of the loss, by each log-probability


def check_ppo(make):
    """Checks PPO's clipped loss by hand, and its second look at a batch; returns True if right.

    Args:
        make: The class: `make(policy, optimizer)`, its `clip` 0.2.
    """
    model = SmallModel(12, 3)
    policy = SimpleNamespace(model=model, device=torch.device("cpu"))
    ppo = make(policy, torch.optim.SGD(model.parameters(), lr=0.1))
    rng = np.random.default_rng(4)
    batch = {
        "observations": rng.uniform(size=(5, 3, 2, 2)).astype(np.float32),
        "actions": np.array([2, 0, 1, 1, 2]),
    }

    def observe():
        return _lose(ppo, 0.2), _lose(ppo, WIDER), _look_again(ppo, batch)

    def judge(seen):
        clipped, (wider, _log_probs), again = seen
        return _judge_clipped(*clipped) or _judge_wider(wider) or _judge_look(again, model, batch)

    return checked(getattr(make, "__name__", "PPO"), observe, judge)


def _lose(ppo, clip):
    """Returns the loss on the numbers of the example, and the log-probabilities it is of."""
    ppo.clip = clip
    log_probs = torch.tensor(np.log(0.2 * RATIOS), requires_grad=True)
    old = torch.full((4,), 0.2, dtype=torch.float64).log()
    told = {"log_probs": log_probs, "old_log_probs": old}
    return ppo.policy_loss({**told, "advantages": torch.tensor(ADVANTAGES)}), log_probs


def _look_again(ppo, batch):
    """Calls `look_again` on arrays or, where it takes none, on tensors: a merge may give either."""
    try:
        return ppo.look_again(dict(batch))
    except Exception:
        with contextlib.suppress(Exception):
            return ppo.look_again({key: torch.as_tensor(entry) for key, entry in batch.items()})
        raise


def _nothing(method):
    return _("`{method}` returns nothing: is its return missing?").format(method=method)


def _judge_clipped(loss, log_probs):
    if loss is None:
        return _nothing("policy_loss")
    if np.shape(loss.detach()) != ():
        return _("`policy_loss` has the shape {shape}, expected one number: take the mean").format(
            shape=list(loss.shape)
        )
    if not close(loss.detach(), CLIPPED_LOSS):
        clipped = RATIOS.clip(0.8, 1.2) * ADVANTAGES
        plain = RATIOS * ADVANTAGES
        wrong = [
            (_("a loss needs a minus"), -CLIPPED_LOSS),
            (_("take the mean over the rows, not the sum"), 4 * CLIPPED_LOSS),
            (_("take the smaller of the two, not the larger"), -np.maximum(plain, clipped).mean()),
            (_("nothing is clipped"), -plain.mean()),
            (_("take the smaller of clipped and unclipped, row by row"), -clipped.mean()),
            (_("the ratio is upside down: new by old"), -_upside_down()),
            (_("the ratio is exp of the difference"), -_without_exp()),
        ]
        reason = named(loss.detach(), wrong) or _("compare with the example")
        text = _(
            "`policy_loss` is {given} on the numbers of the example, expected {wanted}: {reason}"
        )
        return text.format(given=f"{loss.item():.4g}", wanted=CLIPPED_LOSS, reason=reason)
    if loss.requires_grad:
        loss.backward()
    if log_probs.grad is None or not close(log_probs.grad, SLOPES):
        return _("`policy_loss` has another gradient than the formula: is something detached?")
    return None


def _judge_wider(loss):
    if close(loss.detach(), WIDER_LOSS):
        return None
    text = _(
        "with clip = {clip} `policy_loss` is {given}, expected {wanted}: use self.clip, no fixed "
        "number"
    )
    return text.format(clip=WIDER, given=shown(loss.detach()), wanted=WIDER_LOSS)


def _upside_down():
    ratios = 1 / RATIOS
    return np.minimum(ratios * ADVANTAGES, ratios.clip(0.8, 1.2) * ADVANTAGES).mean()


def _without_exp():
    ratios = np.log(RATIOS)
    return np.minimum(ratios * ADVANTAGES, ratios.clip(0.8, 1.2) * ADVANTAGES).mean()


def _judge_look(again, model, batch):
    if again is None:
        return _nothing("look_again")
    if missing := {"logits", "values", "log_probs"} - set(again):
        return _("`look_again` lacks the keys {names}").format(names=sorted(missing))
    logits, values = model(torch.as_tensor(batch["observations"]))
    chances = torch.exp(logits) / torch.exp(logits).sum(dim=1, keepdim=True)
    chosen = chances[range(5), batch["actions"]].log()
    wanted = {"logits": logits, "values": values[:, 0], "log_probs": chosen}
    for name, right in wanted.items():
        given = again[name]
        if given.shape != right.shape:
            text = _("`look_again` gives {name} of the shape {given}, expected {wanted}")
            return text.format(name=name, given=list(given.shape), wanted=list(right.shape))
        if not close(given.detach(), right.detach()):
            text = _(
                "`look_again` gives wrong {name}: take the network as it is now, and the actions "
                "of the batch"
            )
            return text.format(name=name)
        if not given.requires_grad:
            return _("`look_again` gives {name} without a graph: do not detach").format(name=name)
        if not close(_slope(given, model), _slope(right, model)):
            text = _("`look_again` gives {name} with another gradient: is part of it detached?")
            return text.format(name=name)
    return None


def _slope(entry, model):
    """Returns the gradient at the network's weights of a weighted sum of an entry's numbers."""
    total = (torch.arange(1.0, 1 + entry.numel()).sin() * entry.ravel()).sum()
    heads = model.heads.weight
    (slope,) = torch.autograd.grad(total, heads, retain_graph=True, allow_unused=True)
    return np.array(0.0) if slope is None else slope.numpy()
