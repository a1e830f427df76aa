"""Figures of training that tell a sick run from a healthy one."""

import math
import warnings
from collections import deque

import numpy as np

__all__ = ["Health", "SickRun"]

POINTS, UPDATES = 25, 600  # what a sign must last; by default 50,000 agent steps, a minute or two
LATE = 2_500  # updates after which every healthy run is better than random play


class SickRun(UserWarning):
    """A run that will not learn as it stands."""


class Health:
    """Watches the figures of a run and names the likely cause where they are a sick one's.

    Its bounds lie between the figures of healthy runs and those of runs that were broken on
    purpose; both are kept in `tests/data/`.
    """

    def __init__(self, runner, n_actions, max_grad_norm, random_score):
        """Starts with no points.

        Args:
            runner: The EnvRunner of the run; it tells the agent step and the score.
            n_actions: Number of actions A; the entropy is at most log A.
            max_grad_norm: What gradients are clipped to.
            random_score: Mean raw score of whole games played at random.
        """
        self._runner, self._random_score = runner, random_score
        self._max_entropy, self._max_grad_norm = math.log(n_actions), max_grad_norm
        self._points = deque()
        self._said = set()

    def __call__(self, trajectory, figures):
        """Looks at the figures of one merged trajectory; warns once for each cause.

        Args:
            trajectory: With `observations` [T·B, ...] and `actions` [T·B], arrays or tensors.
            figures: Floats: "total loss", "entropy" in nats, "gradient norm" before clipping, and
                "coefficient of determination".

        Raises:
            FloatingPointError: If a figure is not finite: the run is lost, not what was saved.
        """
        for message in self.judge(self.point(trajectory, figures)):
            warnings.warn(message, SickRun, stacklevel=2)

    def point(self, trajectory, figures):
        """Returns what is looked at, a dict of numbers; `alike` is 1.0 where all games are one."""
        summaries = self._runner.summaries
        return {
            **figures,
            "agent step": self._runner.step_var,
            "score": summaries.reward_mean_100 if summaries else None,
            "alike": float(_alike(trajectory, self._runner.nenvs)),
        }

    def judge(self, point):
        """Adds a point; returns what there is to say of the latest points that was not said yet.

        Raises:
            FloatingPointError: If a figure is not finite.
        """
        _check_finite(point)
        self._points.append(point)
        while len(self._points) > POINTS and self._updates(self._points[1]) >= UPDATES:
            self._points.popleft()
        if len(self._points) < POINTS or self._updates(self._points[0]) < UPDATES:
            return []
        new = {cause: text for cause, text in self._causes() if cause not in self._said}
        self._said |= new.keys()
        return [f"at agent step {point['agent step']:,}: {text}" for text in new.values()]

    def _updates(self, point):
        """Returns the number of updates since a point."""
        steps = self._points[-1]["agent step"] - point["agent step"]
        return steps // (self._runner.nenvs * self._runner.nsteps)

    def _causes(self):
        """Yields a name and a sentence for each sign of sickness in the window."""
        last = self._points[-1]
        column = {name: np.array([point[name] for point in self._points]) for name in _WATCHED}
        norm = np.median(column["gradient norm"]) / self._max_grad_norm
        entropy = column["entropy"] / self._max_entropy
        if norm > 10:
            yield "always clipped", _ALWAYS_CLIPPED.format(norm, self._max_grad_norm)
        if np.median(entropy) < 0.2:
            yield "entropy gone", _ENTROPY_GONE.format(np.median(column["entropy"]))
        elif column["alike"].all():
            yield "environments alike", _ALIKE
        if entropy.min() > 0.9995:
            yield "entropy at its maximum", _ENTROPY_AT_MAXIMUM.format(self._max_entropy)
        if np.mean(column["coefficient of determination"] > 0) < 0.5:
            yield "values explain nothing", _VALUES_EXPLAIN_NOTHING
        score, bound = last["score"], self._random_score + 0.15 * abs(self._random_score)
        late = last["agent step"] >= LATE * self._runner.nenvs * self._runner.nsteps
        if late and score is not None and score < bound:
            yield "no better than random", _RANDOM.format(score, self._random_score)


_WATCHED = ("entropy", "coefficient of determination", "gradient norm", "alike")
_ENTROPY_GONE = (
    "the entropy has gone to {:.2g}: the policy is sure of one action almost everywhere and tries "
    "nothing else. Is the learning rate too high, or the entropy bonus missing, or added to the "
    "loss? It is subtracted."
)
_ALIKE = (
    "all environments show the same picture or are given the same action at every step: copies of "
    "one game teach no more than one. Give each a seed of its own, and return one action for each."
)
_ENTROPY_AT_MAXIMUM = (
    "the entropy does not move from its maximum {:.2f}: the policy still draws its actions evenly. "
    "Does `step` call backward and the optimizer, and does the optimizer hold this model's "
    "parameters? Is the policy loss in the loss, and the entropy bonus not far too large?"
)
_VALUES_EXPLAIN_NOTHING = (
    "the coefficient of determination stays at 0 or below: the values are no better than one "
    "number for all. Is the value loss in the loss, does its gradient reach the value head, and "
    "do values and targets agree in shape and order? Is the learning rate too high?"
)
_ALWAYS_CLIPPED = (
    "the gradient is {:.0f} times as long as the bound of {:g}, and always clipped: every update "
    "then has the same length. Are the rewards clipped to their sign (clip_reward), and the "
    "losses means over the batch, not sums?"
)
_RANDOM = (
    "reward_mean_100 is {:.0f}, and play at random scores {:.0f}. Has the policy loss the right "
    "sign, do the log_probs belong to the actions that were played, and do targets see the rewards?"
)


def _alike(trajectory, nenvs):
    """Tells whether several environments all show one picture, or are all given one action."""
    if nenvs == 1:
        return False
    pictures = _array(trajectory["observations"][-nenvs:])  # [B, ...] of the last step
    actions = _array(trajectory["actions"]).reshape(-1, nenvs)  # [T, B]
    return (pictures == pictures[0]).all() or (actions == actions[:, :1]).all()


def _array(values):
    """Returns an array of what may be a tensor on a GPU."""
    return np.asarray(values.cpu() if hasattr(values, "cpu") else values)


def _check_finite(point):
    """Raises where a figure that comes from the network is not finite."""
    for name in ("total loss", "entropy", "gradient norm"):
        if not math.isfinite(value := point[name]):
            raise FloatingPointError(
                f"the {name} is {value} at agent step {point['agent step']:,}: the network is lost "
                "and training stops. Its last good checkpoint is kept: restart the kernel and run "
                "the notebook to go on from there, or give the run a new name and a lower "
                "learning rate"
            )
