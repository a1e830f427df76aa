"""Task 3: value targets as polynomials in γ, and what known mistakes would have given.

An array [K, T, B] holds the coefficients: the target of step t in environment b is the sum of
γ^k · array[k, t, b]. So students' checks can hold targets of any γ against them.
"""

from typing import NamedTuple

import numpy as np

from languages import N_
from tests.checks.value_targets import CASES, FIRST, draw_case

__all__ = ["expect_targets", "target_powers"]

POWERS = 16  # of γ, as many as the farthest mistake reaches


class Terms(NamedTuple):
    """What targets are made of; all but `goes_on` are coefficients of powers of γ."""

    rewards: np.ndarray  # [K, T, B]
    goes_on: np.ndarray  # [T, B], 0 where a step ended an episode and 1 elsewhere
    values: np.ndarray  # [K, T, B], V(s_t)
    latest: np.ndarray  # [K, B], V(s_{t+T})


def expect_targets(seed):
    """Returns {name: array} of Task 3."""
    out = {f"targets/{case}": target_powers(draw_case(seed, case)) for case in CASES}
    for mistake, candidates in _wrong_targets(_terms(draw_case(seed, FIRST))).items():
        out[f"targets/mistake/{mistake}"] = _trim(np.stack(candidates, axis=1))
    return out


def target_powers(recorded):
    """Returns the targets of a recorded trajectory, [K, T, B]."""
    return _trim(_backward(_terms(recorded)))


def _terms(recorded):
    parts = recorded.rewards, recorded.values, recorded.latest_values
    rewards, values, latest = (_lift(part.astype(np.float64)) for part in parts)
    return Terms(rewards, 1.0 - recorded.resets, values, latest)


def _lift(x):
    """Returns the polynomial that is x whatever γ is, [K, ...]."""
    return np.concatenate([x[None], np.zeros((POWERS - 1, *x.shape))])


def _trim(polynomials):
    """Leaves out the highest powers that nothing has."""
    used = np.flatnonzero(polynomials.any(axis=tuple(range(1, polynomials.ndim))))
    return polynomials[: used.max(initial=0) + 1]


def _times(polynomial, power):
    """Multiplies with γ^power; what would be a negative power must be zero."""
    return np.roll(polynomial, power, axis=0)


def _backward(terms, powers=None, rewards=None, goes_on=None, latest=None):
    """Returns the n-step targets, [K, T, B]; what is given replaces a term.

    `powers` are those of γ in each step, counted from the last one; [1, 1, ...] if None.
    """
    rewards = terms.rewards if rewards is None else rewards
    goes_on = terms.goes_on if goes_on is None else goes_on
    target = terms.latest if latest is None else latest
    targets = []
    for t, power in zip(reversed(range(len(goes_on))), powers or [1] * len(goes_on), strict=True):
        target = rewards[:, t] + _times(goes_on[t] * target, power)
        targets.insert(0, target)
    return np.stack(targets, axis=1)


# what known mistakes would have given


def _wrong_targets(terms):
    """Returns {mistake: polynomials [K, T, B] that it may give}, the likelier ones first."""
    return {
        **_wrong_resets(terms),
        **_wrong_masks(terms),
        **_wrong_bootstraps(terms),
        **_wrong_horizons(terms),
        **_wrong_loops(terms),
        **_wrong_powers(terms),
        N_("time and environment are mixed up"): _mixed_up(terms),
        **_wrong_sums(terms),
    }


def _following(terms, values=None):
    """Returns what values of s_t, V if None, are for s_{t+1}, also where an episode ended."""
    values = terms.values if values is None else values
    return np.concatenate([values[:, 1:], terms.latest[:, None]], axis=1)


def _wrong_resets(terms):
    every, none = np.ones_like(terms.goes_on), 0 * terms.latest
    on, following = terms.goes_on, _following(terms)
    of_rewards, of_bootstrap = 0 * terms.rewards, terms.latest * on[-1]
    but_last = np.concatenate([on[:-1], every[:1]])
    lost = [on * terms.rewards, np.where(on, terms.rewards, terms.values)]
    goes_over = [(1 - on) * tail for tail in (_times(following, 1), following)]
    keeps_own = (1 - on) * _times(terms.values, 1)
    return {
        N_("resets are ignored: cut the sum where an episode ended"): [
            _backward(terms, goes_on=every)
        ],
        N_("the mask of resets is inverted"): [_backward(terms, goes_on=1 - on)],
        N_("the reward of the step that ends an episode is lost"): [
            _backward(terms, rewards=rewards) for rewards in lost
        ],
        N_("after a reset the target goes on with the value of the next episode"): [
            _backward(terms, rewards=terms.rewards + tail) for tail in goes_over
        ],
        N_("where an episode ended, γ V of the same step is added: only the reward counts there"): [
            _backward(terms, rewards=terms.rewards + keeps_own)
        ],
        N_("resets cut the bootstrap only: the rewards of the next episode still count"): [
            _backward(terms, goes_on=every, latest=none) + _backward(terms, rewards=of_rewards),
            _backward(terms, goes_on=every, latest=of_bootstrap),
        ],
        N_("resets cut the rewards only: the bootstrap still counts after an episode ended"): [
            _backward(terms, latest=none) + _backward(terms, rewards=of_rewards, goes_on=every)
        ],
        N_("a reset on the last step is ignored: it cuts the bootstrap"): [
            _backward(terms, goes_on=but_last)
        ],
    }


def _wrong_masks(terms):
    """Returns the targets of masks that belong to another step or environment."""
    on, one = terms.goes_on, np.ones_like(terms.goes_on[:1])
    off_by_one = [[one, on[:-1]], [on[1:], one], [on[1:], on[-1:]]]
    of_one = [np.repeat(column[:, None], on.shape[1], 1) for column in on.T]
    of_all = [np.repeat(on.min(1, keepdims=True), on.shape[1], 1)]
    ever = np.repeat(on.min(0, keepdims=True), len(on), 0)
    return {
        N_("resets are read one step off: resets[t] belongs to rewards[t]"): [
            _backward(terms, goes_on=np.concatenate(mask)) for mask in off_by_one
        ],
        N_("resets of different environments are collapsed into one"): [
            _backward(terms, goes_on=mask) for mask in of_one + of_all
        ],
        N_("a reset cuts every step of its environment: it cuts at its own step"): [
            _backward(terms, goes_on=ever)
        ],
    }


def _wrong_bootstraps(terms):
    """Returns the targets of mistakes with V(s_{t+n})."""
    right, latest = _backward(terms), terms.latest
    shorter = terms._replace(rewards=terms.rewards[:, :-1], goes_on=terms.goes_on[:-1])
    of_one = [latest[:, b] for b in range(latest.shape[1])]
    of_one += [latest.mean(1), latest.max(1), latest.sum(1)]
    return {
        N_("the bootstrap is values[-1], not V(latest observation)"): [
            _backward(terms, latest=terms.values[:, -1])
        ],
        N_("off by one: V(latest observation) is stored as the last step's own target"): [
            np.concatenate([targets, latest[:, None]], axis=1)
            for targets in (_backward(shorter), right[:, 1:])
        ],
        N_("there is no bootstrap: add γ^n V(latest observation)"): [
            _backward(terms, latest=0 * latest)
        ],
        N_("one environment's V is used for all"): [
            _backward(terms, latest=np.repeat(one[:, None], latest.shape[1], 1)) for one in of_one
        ],
    }


def _wrong_horizons(terms):
    """Returns targets that trust the recorded values too soon."""
    one, *more = [_at_most(terms, n) for n in range(1, len(terms.goes_on))]
    return {
        N_(
            "each target looks one step ahead, r + γ V(next observation): add all rewards up to "
            "the end of the trajectory"
        ): [one],
        N_(
            "each target adds a fixed number of rewards: add all up to the end of the trajectory"
        ): more,
        N_("the targets are TD(λ) returns, not n-step ones"): [
            _td_lambda(terms, lam) for lam in (0.95, 0.9)
        ],
    }


def _at_most(terms, n):
    """Returns targets of at most n rewards and the value of the observation after them."""
    targets = terms.values
    for _ in range(n):
        targets = terms.rewards + terms.goes_on * _times(_following(terms, targets), 1)
    return targets


def _td_lambda(terms, lam):
    """Returns the TD(λ) returns, [K, T, B] (Sutton and Barto 2018, section 12.1)."""
    target, following, targets = terms.latest, _following(terms), []
    for t in reversed(range(len(terms.goes_on))):
        mixed = lam * target + (1 - lam) * following[:, t]
        target = terms.rewards[:, t] + _times(terms.goes_on[t] * mixed, 1)
        targets.insert(0, target)
    return np.stack(targets, axis=1)


def _wrong_loops(terms):
    turned = terms._replace(rewards=terms.rewards[:, ::-1], goes_on=terms.goes_on[::-1])
    forward = [_backward(turned), _backward(turned, latest=0 * terms.latest)]
    return {
        N_("the targets are in reverse order"): [_backward(terms)[:, ::-1]],
        N_("the loop runs forward in time: begin with the last step"): [
            each for targets in forward for each in (targets, targets[:, ::-1])
        ],
    }


def _wrong_powers(terms):
    """Returns targets with other powers of γ."""
    steps, latest, every = len(terms.goes_on), terms.latest, [0] * len(terms.goes_on)
    of_rewards = _backward(terms, latest=0 * latest)
    bootstrap = _backward(terms, rewards=0 * terms.rewards)
    plain = _backward(terms, every, rewards=0 * terms.rewards)  # without γ, as the next one
    plain_rewards = _backward(terms, every, latest=0 * latest)
    from_start = np.stack([_times(terms.rewards[:, t], t) for t in range(steps)], axis=1)
    return {
        N_("the powers of γ are wrong: the first reward of each target is not multiplied with γ"): [
            _times(of_rewards + bootstrap, 1),
            _times(of_rewards, 1) + bootstrap,
        ],
        N_(
            "the powers of γ are wrong at the bootstrap: V(latest observation) is multiplied with "
            "γ^n, n = T − t"
        ): [of_rewards + wrong for wrong in _wrongly_late(bootstrap, plain, steps)],
        N_("the powers of γ are wrong at the rewards: that of step t + k is multiplied with γ^k"): [
            plain_rewards + bootstrap
        ],
        N_(
            "the powers of γ are wrong: they count from the start of the trajectory, not from each "
            "target's own step"
        ): [_backward(terms, every, rewards=from_start, latest=_times(latest, steps))],
        N_(
            "the powers of γ are wrong: they grow with each step back, where every step back "
            "takes one γ"
        ): [_backward(terms, list(range(1, steps + 1)))],
    }


def _wrongly_late(bootstrap, plain, steps):
    """Returns bootstraps with other powers of γ; plain is the one without any."""
    late = [_times(bootstrap, k) for k in (-1, *range(1, steps + 1))]
    return [*late, *(_times(plain, k) for k in (0, 1, steps)), _doubled(bootstrap)]


def _doubled(polynomial):
    """Returns the polynomial with γ² in place of γ."""
    out = np.zeros_like(polynomial)
    out[::2] = polynomial[: POWERS // 2]
    return out


def _mixed_up(terms):
    """Returns the targets of rewards, resets or all of it read along the wrong axis."""
    right, wrong = _backward(terms), []
    steps, nenvs = terms.goes_on.shape
    for order in (lambda x: x.reshape(nenvs, steps).T, lambda x: x.T.reshape(steps, nenvs)):
        rewards = np.stack([order(x) for x in terms.rewards])
        goes_on = order(terms.goes_on)
        wrong += [
            np.stack([order(x) for x in right]),
            _backward(terms, rewards=rewards),
            _backward(terms, goes_on=goes_on),
            _backward(terms, rewards=rewards, goes_on=goes_on),
        ]
    return wrong


def _wrong_sums(terms):
    rewards, nothing = terms.rewards, 0 * terms.rewards
    early = [[rewards[:, 1:], last] for last in (nothing[:, :1], rewards[:, -1:])]
    off_by_one = [*early, [nothing[:, :1], rewards[:, :-1]]]
    return {
        N_("each target is the reward of its own step alone"): [rewards],
        N_("the rewards are left out"): [_backward(terms, rewards=nothing)],
        N_("rewards are read one step off: rewards[t] belongs to observations[t]"): [
            _backward(terms, rewards=np.concatenate(two, axis=1)) for two in off_by_one
        ],
        N_("value_targets are advantages: do not subtract the values"): [
            _backward(terms) - terms.values
        ],
    }
