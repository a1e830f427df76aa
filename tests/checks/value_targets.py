"""Task 3: the n-step bootstrapped targets, with all kinds of resets."""

import numpy as np
import torch

from tests.checks.errors import blaming, pass_or_raise
from tests.checks.inputs import draw_inputs
from tests.checks.observing import array, array_or_none, loud, play, transforming

__all__ = ["check_value_targets", "judge_targets", "n_step", "observe_targets", "td_lambda"]


def check_value_targets(model, policy, transforms, gamma=0.99):
    """Checks the targets, with all kinds of resets."""
    inputs = draw_inputs()
    seen = observe_targets(model, policy, transforms, inputs, gamma)
    pass_or_raise("ComputeValueTargets", judge_targets(seen, inputs))


def observe_targets(model, policy, transforms, inputs, gamma=0.99):
    """Applies the transforms one by one until there are value targets."""
    with loud(model, inputs.seed), blaming("ComputeValueTargets"):
        with torch.no_grad():
            values = [array(policy.act(x)["values"]).ravel() for x in inputs.observations]
            latest = array(policy.act(inputs.latest)["values"]).ravel()
        trajectory, _ = play(model, policy, inputs)
        for _ in transforming(model, transforms, trajectory):
            if "value_targets" in trajectory:
                break
        targets = trajectory.get("value_targets")
    return {
        "targets": None if targets is None else array_or_none(targets),
        "values": np.stack(values),
        "latest": latest,
        "rewards": np.sort(array(trajectory["rewards"]).ravel()),
        "gamma": gamma,
    }


def judge_targets(seen, inputs):
    """Names what is wrong with the targets."""
    got, shape = seen["targets"], inputs.rewards.shape
    if got is None:
        return 'no transform adds "value_targets": store them in the dict that is given'
    if got.size != inputs.rewards.size:
        return f"value_targets have the shape {list(got.shape)}, expected {list(shape)}: T × [B]"
    if not np.allclose(seen["rewards"], np.sort(inputs.rewards.ravel())):
        return "the rewards of the trajectory are overwritten: work on a copy"
    got = got.reshape(shape)
    if np.ptp(got, axis=0).max() == 0:
        return "all steps hold one and the same target: an alias of one tensor, make a new one"
    right = n_step(inputs.rewards, 1.0 - inputs.resets, seen["latest"], seen["gamma"])
    if _close(got, right):
        return None
    for mistake, candidates in _wrong_targets(inputs, seen).items():
        if any(_close(got, candidate) for candidate in candidates):
            return mistake
    t, b = np.unravel_index(np.abs(got - right).argmax(), shape)
    return f"the target of step {t} in environment {b} is {got[t, b]:.4f}, not {right[t, b]:.4f}"


def _close(got, right):
    """Tells whether targets agree up to float32."""
    return np.abs(got - right).max() < 1e-4 * (1 + np.abs(right).max())


def n_step(rewards, goes_on, latest, gamma):
    """Sums the n-step targets term by term, as they are defined.

    Args:
        rewards: [T, B].
        goes_on: [T, B], 0 where a step ended an episode and 1 elsewhere.
        latest: [B], V(s_{t+T}).
        gamma: Discount.

    Returns:
        [T, B] float64.
    """
    steps = len(rewards)
    targets = np.zeros(rewards.shape)
    for t in range(steps):
        alive = np.ones(rewards.shape[1])
        for k in range(t, steps):
            targets[t] += gamma ** (k - t) * alive * rewards[k]
            alive = alive * goes_on[k]
        targets[t] += gamma ** (steps - t) * alive * latest
    return targets


def td_lambda(rewards, goes_on, values, latest, gamma, lam):
    """Returns V + GAE(λ), the TD(λ) return, [T, B]."""
    following = np.concatenate([values[1:], latest[None]])
    advantage, out = 0.0, np.zeros(rewards.shape)
    for t in reversed(range(len(rewards))):
        delta = rewards[t] + gamma * goes_on[t] * following[t] - values[t]
        advantage = delta + gamma * lam * goes_on[t] * advantage
        out[t] = values[t] + advantage
    return out


# what each classic mistake would have given


def _wrong_targets(inputs, seen):
    """Returns what each classic mistake would have given, {message: [T, B] arrays}."""
    r, on = inputs.rewards.astype(np.float64), 1.0 - inputs.resets
    v, late, g = seen["values"], seen["latest"], seen["gamma"]
    return {
        **_wrong_resets(r, on, v, late, g),
        **_wrong_masks(r, on, late, g),
        **_wrong_bootstraps(r, on, v, late, g),
        "a TD(λ) return, not the n-step one": [
            td_lambda(r, on, v, late, g, lam) for lam in np.linspace(0, 0.99, 100)
        ],
        "the powers of γ are wrong": _wrong_powers(r, on, late, g),
        "the targets are in reverse order": [n_step(r, on, late, g)[::-1]],
        "time and environment are mixed up": _mixed_up(r, on, late, g),
    }


def _wrong_resets(r, on, v, late, g):
    """Returns the targets of mistakes with resets; `on` is 0 where a step ended an episode."""
    every, following = np.ones_like(on), np.concatenate([v[1:], late[None]])
    return {
        "resets are ignored: cut the sum where an episode ended": [n_step(r, every, late, g)],
        "the mask of resets is inverted": [n_step(r, 1 - on, late, g)],
        "the reward of the step that ends an episode is lost": [
            n_step(r * on, on, late, g),
            n_step(np.where(on, r, v), on, late, g),
        ],
        "after a reset the target goes on with the value of the next episode": [
            n_step(r + (1 - on) * tail, on, late, g) for tail in (g * following, following, g * v)
        ],
        "resets cut the bootstrap only: the rewards of the next episode still count": [
            n_step(r, every, 0 * late, g) + n_step(0 * r, on, late, g),
            n_step(r, every, late * on[-1], g),
        ],
    }


def _wrong_masks(r, on, late, g):
    """Returns the targets of masks that belong to another step or environment."""
    one = np.ones((1, r.shape[1]))
    off_by_one = [[one, on[:-1]], [on[1:], one], [on[1:], on[-1:]]]
    of_one = [np.repeat(column[:, None], r.shape[1], 1) for column in on.T]
    of_all = [np.repeat(on.min(1, keepdims=True), r.shape[1], 1)]
    return {
        "resets are read one step off: resets[t] belongs to rewards[t]": [
            n_step(r, np.concatenate(mask), late, g) for mask in off_by_one
        ],
        "resets of different environments are collapsed into one": [
            n_step(r, mask, late, g) for mask in of_one + of_all
        ],
    }


def _mixed_up(r, on, late, g):
    """Returns the targets of rewards, resets or all of it read along the wrong axis."""
    mixtures = (lambda x: x.reshape(x.T.shape).T, lambda x: x.T.reshape(x.shape))
    return [
        case
        for mix in mixtures
        for case in (
            mix(n_step(r, on, late, g)),
            n_step(mix(r), on, late, g),
            n_step(r, mix(on), late, g),
            n_step(mix(r), mix(on), late, g),
        )
    ]


def _wrong_bootstraps(r, on, v, late, g):
    """Returns the targets of mistakes with V(s_{t+n})."""
    right = n_step(r, on, late, g)
    return {
        "the bootstrap is values[-1], not V(latest observation)": [n_step(r, on, v[-1], g)],
        "off by one: V(latest observation) is stored as the last step's own target": [
            np.concatenate([n_step(r[:-1], on[:-1], late, g), late[None]]),
            np.concatenate([right[1:], late[None]]),
            np.concatenate([right[:1], right[:-1]]),
        ],
        "there is no bootstrap: add γ^n V(latest observation)": [n_step(r, on, 0 * late, g)],
        "one environment's V is used for all": [
            n_step(r, on, 0 * late + one, g) for one in (*late, late.mean(), late.max(), late.sum())
        ],
    }


def _wrong_powers(r, on, late, g):
    """Returns targets with other powers of γ."""
    t = np.arange(len(r))[:, None]
    rewards, bootstrap = n_step(r, on, 0 * late, g), n_step(0 * r, on, late, g)
    undiscounted = n_step(0 * r, on, late, 1.0)
    growing = [late]
    for k in reversed(range(len(r))):
        growing.append(r[k] + g ** len(growing) * on[k] * growing[-1])
    return [
        g * n_step(r, on, late, g),
        n_step(g * r, on, late, g),
        *(n_step(r, on, late * g**k, g) for k in range(-5, 6) if k),
        *(n_step(r, on, late, other) for other in (1.0, g**2, 0.5, 0.9, 0.95, 0.999)),
        n_step(r * g**t, on, late * g ** len(r), 1.0),
        n_step(r, on, 0 * late, 1.0) + bootstrap,
        *(rewards + undiscounted * g**k for k in (0, 1, len(r))),
        rewards + n_step(0 * r, on, late, g**2),
        np.stack(growing[:0:-1]),
    ]
