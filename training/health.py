"""Watches the figures of a run and warns when they look like those of a run that fails."""

import math
import warnings
from collections import deque

import numpy as np

from languages import _, grouped

__all__ = ["Health", "SickRun"]

POINTS, UPDATES = (
    25,
    600,
)  # how long a sign must last; 50,000 agent steps by default
LATE = 2_500  # updates after which every healthy run is better than random play


class SickRun(UserWarning):
    """A run that will not learn as it is."""


class Health:
    """Compares the figures of a run with bounds, and warns with the likely cause of a bad one.

    The bounds lie between the figures of healthy runs and those of runs that were broken on
    purpose.
    """

    def __init__(self, runner, n_actions, max_grad_norm, random_score):
        """Starts with no points.

        Args:
            runner: The EnvRunner of the run, for the agent step and the score.
            n_actions: Number of actions A; the entropy is at most log A.
            max_grad_norm: The length that gradients are clipped to.
            random_score: Mean raw score of whole games played at random; NaN where nobody knows it.
        """
        self._runner, self._random_score = runner, random_score
        self._max_entropy, self._max_grad_norm = math.log(n_actions), max_grad_norm
        self._points = deque()
        self._warned = set()  # names of causes

    def check(self, trajectory, figures):
        """Checks the figures of one merged trajectory; warns once for each cause.

        Args:
            trajectory: With `observations` [T·B, ...], `actions` and `rewards` [T·B], arrays or
                tensors.
            figures: Floats: "total loss", "entropy" in nats, "gradient norm" before clipping, and
                "coefficient of determination".

        Raises:
            FloatingPointError: If a figure is not finite: the network is lost, not its checkpoints.
        """
        for message in self.judge(self.point(trajectory, figures)):
            warnings.warn(message, SickRun, stacklevel=2)

    def point(self, trajectory, figures):
        """Returns the numbers to judge.

        "alike" is 1.0 if all environments show the same game, "rewarded" if any reward came in.
        """
        summaries = self._runner.summaries
        return {
            **figures,
            "agent step": self._runner.step_var,
            "score": summaries.reward_mean_100 if summaries else None,
            "alike": float(_alike(trajectory, self._runner.nenvs)),
            "rewarded": float(_array(trajectory["rewards"]).any()),
        }

    def judge(self, point):
        """Adds a point; returns the new warnings that the latest points give reason for.

        Raises:
            FloatingPointError: If a figure is not finite.
        """
        _check_finite(point)
        self._points.append(point)
        while len(self._points) > POINTS and self._updates(self._points[1]) >= UPDATES:
            self._points.popleft()
        if len(self._points) < POINTS or self._updates(self._points[0]) < UPDATES:
            return []
        new = {cause: text for cause, text in self._causes() if cause not in self._warned}
        self._warned |= new.keys()
        told, step = _("at agent step {step}: {problem}"), grouped(point["agent step"])
        return [told.format(step=step, problem=text) for text in new.values()]

    def _updates(self, point):
        """Returns the number of updates since a point."""
        steps = self._points[-1]["agent step"] - point["agent step"]
        return steps // (self._runner.nenvs * self._runner.nsteps)

    def _causes(self):
        """Yields a name and a message for each bad sign in the latest points."""
        last = self._points[-1]
        column = {name: np.array([point[name] for point in self._points]) for name in _WATCHED}
        norm = np.median(column["gradient norm"]) / self._max_grad_norm
        entropy = column["entropy"] / self._max_entropy
        if norm > 10:
            yield "always clipped", _ALWAYS_CLIPPED.format(times=norm, bound=self._max_grad_norm)
        if np.median(entropy) < 0.2:
            yield "entropy gone", _ENTROPY_GONE.format(entropy=np.median(column["entropy"]))
        elif column["alike"].all():
            yield "environments alike", _ALIKE
        if not column["rewarded"].any():
            yield "no reward", _NO_REWARD
            return  # nothing can be learnt, whatever the code does
        if entropy.min() > 0.9995:
            yield "entropy at its maximum", _ENTROPY_AT_MAXIMUM.format(entropy=self._max_entropy)
        if np.mean(column["coefficient of determination"] > 0) < 0.25:  # rewards may be rare
            yield "values explain nothing", _VALUES_EXPLAIN_NOTHING
        score, bound = last["score"], 1.15 * self._random_score  # below 0, worse than random play
        late = last["agent step"] >= LATE * self._runner.nenvs * self._runner.nsteps
        if late and score is not None and score < bound:
            told = _RANDOM.format(score=score, random=self._random_score)
            yield "no better than random", told


_WATCHED = ("entropy", "coefficient of determination", "gradient norm", "alike", "rewarded")
_ENTROPY_GONE = _(
    "the entropy has fallen to {entropy:.2g}: the policy is sure of one action almost everywhere "
    "and no longer tries others. Is the learning rate too high? Is the entropy bonus missing, or "
    "added to the loss instead of subtracted?"
)
_ALIKE = _(
    "all environments show the same picture, or all are given the same action, at every step: "
    "many copies of one game teach no more than one. Give each environment a seed of its own, and "
    "return an action for each from `act`."
)
_ENTROPY_AT_MAXIMUM = _(
    "the entropy stays at its maximum {entropy:.2f}: the policy still takes all actions equally "
    "often. Does `step` call `backward` and the optimizer's `step`? Does the optimizer hold this "
    "model's parameters? Is the policy loss part of the loss? Is the entropy bonus far too large?"
)
_NO_REWARD = _(
    "no reward has come in at any of the latest points, and A2C learns from rewards alone. In a "
    "game in which play at random scores about 0 this is no mistake of yours: chance has to find "
    "the first reward. In any other game, does the policy still try all actions?"
)
_VALUES_EXPLAIN_NOTHING = _(
    "the coefficient of determination stays at 0 or below: the values predict the targets no "
    "better than one number for all. Is the value loss part of the loss, and does its gradient "
    "reach the value head? Do values and targets agree in shape and order? Is the learning rate "
    "too high?"
)
_ALWAYS_CLIPPED = _(
    "the gradient norm is {times:.0f} times the bound of {bound:g}, so that every gradient is "
    "clipped to the same length. Are the rewards clipped to their sign (clip_reward)? Are the "
    "losses means over the batch, not sums?"
)
_RANDOM = _(
    "reward_mean_100 is {score:.0f}, and random play scores {random:.0f}. Does the policy loss "
    "have the right sign? Do the log_probs belong to the actions that were played? Do the targets "
    "include the rewards?"
)

_NOT_FINITE = {  # figures that come from the network
    "total loss": _("the total loss is {value} at agent step {step}"),
    "entropy": _("the entropy is {value} at agent step {step}"),
    "gradient norm": _("the gradient norm is {value} at agent step {step}"),
}


def _alike(trajectory, nenvs):
    """Tells whether several environments all show one picture or are all given one action."""
    if nenvs == 1:
        return False
    pictures = _array(trajectory["observations"][-nenvs:])  # [B, ...] of the last step
    actions = _array(trajectory["actions"]).reshape(-1, nenvs)  # [T, B]
    return (pictures == pictures[0]).all() or (actions == actions[:, :1]).all()


def _array(values):
    """Returns an array, also from a tensor on a GPU."""
    return np.asarray(values.cpu() if hasattr(values, "cpu") else values)


def _check_finite(point):
    """Raises FloatingPointError if a figure that comes from the network is not finite."""
    for name, told in _NOT_FINITE.items():
        if not math.isfinite(value := point[name]):
            problem = told.format(value=value, step=grouped(point["agent step"]))
            told = _(
                "{problem}: the network is lost and training stops. The last good checkpoint is "
                "kept: restart the kernel and run all cells to resume from it, or give the run a "
                "new name and a lower learning rate"
            )
            raise FloatingPointError(told.format(problem=problem))
