"""Recorded batches in the form in which the student's own policy and merging give them."""

import contextlib
from typing import NamedTuple

import numpy as np
import torch

from tests.checks.coupled import Coupled
from tests.checks.draws import Recorded, draw_targets, draw_trajectory
from tests.checks.observing import LOG_PROBS, array_or_none
from tests.checks.stand_ins import RecordedModel

__all__ = ["SCALES", "STEPS", "Batch", "act_as_recorded", "draw_batch", "make_batch"]

STEPS = np.zeros((4, 3), bool)  # resets [T, B], which no loss reads
SCALES = (0.7, 60.0, 0.7)  # of the advantages of three updates: the second is clipped
TRIES = 300  # to draw the recorded actions of a step: one of 16 at least has all three of them
ARRAYS = ("observations", "actions", "rewards", "resets")
STANDARD = {*ARRAYS, *LOG_PROBS, "logits", "values", "value_targets", "state"}


class Batch(NamedTuple):
    """What one update learns from."""

    recorded: Recorded
    targets: np.ndarray  # [N] float32
    numbers: Coupled  # [N, A + 1 + A]: logits, values, log-probabilities of all actions
    network: RecordedModel
    log_probs: dict  # the policy's key for those of the actions taken: their number of columns
    entries: dict  # all that hangs on no number, and what the policy adds

    def trajectory(self):
        """Returns the merged trajectory, N = T·B rows a key, new tensors each time."""
        root, (rows, columns) = self.numbers.root, self.numbers.root.shape
        n_actions = (columns - 1) // 2
        parts = root.split([n_actions, 1, n_actions], 1)
        logits, values, log_p = (part.clone() for part in parts)
        taken = log_p[torch.arange(rows), torch.as_tensor(self.recorded.actions.ravel())]
        shapes = {0: taken, 1: taken[:, None], n_actions: log_p}
        return {
            **self.entries,
            "logits": logits,
            "values": values[:, 0],
            "value_targets": torch.tensor(self.targets).to(root),
            **{key: shapes[columns] for key, columns in self.log_probs.items()},
            "state": _state(self.recorded),
        }


def _state(recorded):
    return {"latest_observation": recorded.latest, "env_steps": len(recorded.actions)}


def draw_batch(seed, k, n_actions):
    """Draws the trajectory of the k-th update and its value targets [N]."""
    recorded = draw_trajectory(10 * seed + k, STEPS, n_actions)
    return recorded, draw_targets(10 * seed + k, recorded.values.ravel(), SCALES[k])


def make_batch(model, policy, merge, drawn, normalisers):
    """Returns a Batch.

    Args:
        model: The student's, on whose weights the numbers hang.
        policy: The student's: its keys, and the shape of its log-probabilities.
        merge: The student's: whether it makes tensors of arrays.
        drawn: What `draw_batch` returns.
        normalisers: [N], log Σ exp of the logits.
    """
    recorded, targets = drawn
    outputs = recorded.outputs[: len(targets)]
    numbers = Coupled(model, np.column_stack([outputs, outputs[:, :-1] - normalisers[:, None]]))
    pictures = recorded.pictures[: len(targets)]
    network = RecordedModel(model, pictures, numbers.root[:, : outputs.shape[1]])
    with network.standing_in():
        log_probs, own = _form_of_acts(policy, recorded)
    return Batch(recorded, targets, numbers, network, log_probs, own | _arrays(merge, recorded))


def act_as_recorded(policy, observations, actions):
    """Acts until the recorded actions are drawn; returns the act, or None."""
    for _ in range(TRIES):
        act = policy.act(observations.copy())
        if np.array_equal(array_or_none(act["actions"]), actions):
            return act
    return None


def _form_of_acts(policy, recorded):
    """Returns columns of log-probabilities by their keys, and the policy's own entries, merged."""
    with contextlib.suppress(Exception):
        act = policy.act(recorded.observations[0])
        columns = {key: act[key].shape[1:].numel() for key in LOG_PROBS if key in act}
        log_probs = {k: n if act[k].ndim == 2 else 0 for k, n in columns.items()}
        if set(log_probs.values()) <= {0, 1, recorded.logits.shape[-1]} and log_probs:
            return log_probs, _own_entries(policy, recorded, act.keys() - STANDARD)
    return dict.fromkeys(LOG_PROBS, 0), {}


def _own_entries(policy, recorded, keys):
    """Returns what a policy adds to its acts of a batch, {key: rows}."""
    if not keys:
        return {}
    pairs = zip(recorded.observations, recorded.actions, strict=True)
    acts = [act_as_recorded(policy, *pair) for pair in pairs]
    return {key: _joined([act[key] for act in acts]) for key in keys}


def _joined(steps):
    if torch.is_tensor(steps[0]):
        return torch.cat(steps) if steps[0].ndim else torch.stack(steps)
    if isinstance(steps[0], np.ndarray):
        return np.concatenate(steps) if steps[0].ndim else np.stack(steps)
    return steps


def _arrays(merge, recorded):
    """Returns the entries that are arrays, as tensors where the student's merging makes such."""
    steps = {key: list(getattr(recorded, key)) for key in ARRAYS}
    right = {key: np.concatenate(parts) for key, parts in steps.items()}
    tensors = [torch.zeros(recorded.actions.shape[1])] * len(recorded.actions)
    steps |= {key: list(tensors) for key in STANDARD - {*ARRAYS, "state"}}
    steps["state"] = _state(recorded)
    with contextlib.suppress(Exception):
        merge(steps)
    return {key: _of_kind(steps.get(key), rows) for key, rows in right.items()}


def _of_kind(got, rows):
    """Returns rows as a tensor of the same type where they got to be one."""
    return torch.as_tensor(rows).to(got) if torch.is_tensor(got) else rows
