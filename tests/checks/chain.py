"""The five tasks together, once: acting, transforms and an update are all the student's own."""

import gc
import weakref

import numpy as np

from languages import N_, _
from tests.checks.batches import act_as_recorded
from tests.checks.coupled import Coupled
from tests.checks.draws import LIKELY, draw_trajectory
from tests.checks.errors import blaming
from tests.checks.freedoms import close
from tests.checks.losses import TERMS, fit, signed
from tests.checks.observing import (
    array_or_none,
    calling,
    exactly,
    log_probs_key,
    quietly,
    reseeded_by,
    same_course,
)
from tests.checks.stand_ins import RecordedModel
from tests.checks.updating import restoring, update
from tests.checks.value_targets import evaluate

__all__ = ["draw_chain", "judge_chain", "observe_chain"]

RESETS = np.array([[0, 0], [1, 0], [0, 0]], bool)
KEYS = ("values", "value_targets", "log_probs", "logits")


def draw_chain(seed, n_actions):
    """Draws the trajectory that the policy is made to play."""
    return draw_trajectory(10 * seed + 9, RESETS, n_actions)


def observe_chain(model, policy, runner, optimizer, a2c, n_actions, seed):
    """Plays a recorded trajectory and learns from it.

    Returns:
        {name: array}: the merged trajectory, and the update; empty where the policy does not draw
        the recorded actions, which its own check tells.
    """
    recorded = draw_chain(seed, n_actions)
    made = model, policy, runner.transforms, optimizer, a2c, recorded
    with blaming(_("A2C, with the other four tasks,")), exactly("A2C"), quietly(model):
        with restoring(model, optimizer, a2c), same_course():
            learnt = []  # twice, so that the last trajectory, which may be kept, is another
            reseeds = reseeded_by(lambda: learnt.append(_learn(*made)))
            if not all(seen for seen, _kept in learnt):
                return {}
            gc.collect()
            seen, kept = learnt[0]
            return {**seen, "kept": np.array(kept()), "reseeds": np.array(reseeds, dtype=str)}


def _learn(model, policy, transforms, optimizer, a2c, recorded):
    """Plays and learns once; returns what is observed, and whether its graph is there, a call."""
    numbers, token = Coupled(model, recorded.outputs), _Token()
    numbers.root.register_hook(token.pass_by)  # lives as long as any part of the graph
    network = RecordedModel(model, recorded.pictures, numbers.root)
    with network.standing_in():
        trajectory = _play(model, policy, recorded)
        if trajectory is None:
            return {}, None
        there = [weakref.ref(trajectory["logits"][0]), weakref.ref(token)]
        with calling(model, N_("a transform"), "ComputeValueTargets(policy)"):
            for transform in transforms:
                transform(trajectory)
    named = {**trajectory, "log_probs": trajectory.get(log_probs_key(trajectory))}
    rows = {key: array_or_none(named.get(key)) for key in KEYS}
    seen = {key: np.array([]) if x is None else x for key, x in rows.items()}
    seen |= update(a2c, optimizer, network, numbers, trajectory)
    return seen, lambda: any(one() is not None for one in there)


class _Token:
    """Something that a graph holds."""

    def pass_by(self, gradient):
        """Leaves a gradient as it is."""


def _play(model, policy, recorded):
    """Returns the trajectory that a runner would collect, None if it cannot be played."""
    with calling(model, N_("the policy"), "Policy(model)"):
        pairs = zip(recorded.observations, recorded.actions, strict=True)
        steps = [act_as_recorded(policy, *pair) for pair in pairs]
    if None in steps:
        return None
    trajectory = {key: [step[key] for step in steps] for key in steps[0]}
    for key in ("observations", "rewards", "resets"):
        trajectory[key] = list(getattr(recorded, key).copy())
    state = {"latest_observation": recorded.latest.copy(), "env_steps": len(steps)}
    return {**trajectory, "state": state}


# judge: plain arrays alone


def judge_chain(seen, expected, n_actions, seed, settings):
    """Returns what is wrong although each task passes alone, or None."""
    if not seen:
        return None
    parts = ("targets", *TERMS)
    right = {name: evaluate(expected[f"chain/{name}"], settings["gamma"]) for name in parts}
    mistake = _judge_rows(seen, right["targets"], draw_chain(seed, n_actions))
    mistake = mistake or _judge_gradient(seen, right, n_actions, settings)
    if not mistake and seen["kept"]:
        return _(
            "what act or a loss returned is still kept after another trajectory and its update: "
            "memory grows until the kernel dies. Keep no more than the last trajectory"
        )
    if not mistake and len(seen["reseeds"]):
        return _(
            "a transform or step seeds the generator of {library}: every trajectory then begins "
            "with the same random numbers; seed once, before the run"
        ).format(library=seen["reseeds"][0])
    together = _("each task passes alone, but together {mistake}")
    return together.format(mistake=mistake) if mistake else None


def _judge_rows(seen, targets, recorded):
    """Compares the trajectory after the transforms."""
    wanted = {
        "values": recorded.values.ravel(),
        "value_targets": targets.ravel(),
        "logits": recorded.logits.reshape(recorded.values.size, -1),
    }
    for key, right in wanted.items():
        if not close(_centred(seen[key]), _centred(right)):
            return _(
                "{key} come out of the transforms in another form (shape {shape}, expected "
                "{expected}) or with other numbers: first ComputeValueTargets, then MergeTimeBatch"
            ).format(key=key, shape=list(seen[key].shape), expected=list(right.shape))
    return None


def _centred(rows):
    """Returns logits up to a number for each row, which no probability depends on."""
    return rows - rows.mean(1, keepdims=True) if rows.ndim == 2 else rows


def _judge_gradient(seen, rights, n_actions, settings):
    terms = [rights[name].ravel() for name in TERMS]
    got = seen["arrived"][: RESETS.size]  # what hangs on the latest observation is no row
    got = np.column_stack([got[:, :LIKELY], got[:, n_actions]]).ravel()
    for half in (1.0, 0.5):
        right = signed(settings) * (1.0, half, 1.0) @ np.stack(terms)
        (factor,), equal = fit(got, [right])
        if equal and 0 < factor and not seen["arrived"][RESETS.size :].any():
            return None
    at = np.abs(got - right).argmax()
    return _(
        "the gradient at optimizer.step() is not that of loss: one of its numbers is {got:.3g}, "
        "expected {right:.3g}"
    ).format(got=got[at], right=right[at])
