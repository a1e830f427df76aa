"""Whether a policy that plays is the one that its weights make: what `act` gives, compared.

Logits and values of some observations are computed again from the weights. How likely the actions
are, how often they are the likeliest one and how often each is taken, is compared with what the
probabilities lead to expect; so is how often the same question has the same action twice.
"""

from typing import NamedTuple

import numpy as np

from languages import _

__all__ = ["Answers", "Audit", "log_softmax"]

LOGITS = 1e-2  # largest difference of a log-probability
VALUES = 2e-2  # largest difference of a value, in units of what values are like
DEVIATION = 6.0  # standard deviations of a sum from what is expected
SPREAD = {"log": 7.0, "share": 1.0}  # added to a deviation: rare actions are no normal numbers
FEWEST = 64  # observations of which something can be said


class Answers(NamedTuple):
    """What a policy gives for n observations."""

    actions: np.ndarray  # [n] int64
    log_probs: np.ndarray  # [n, A] float64, of all actions
    values: np.ndarray  # [n] float64


class Audit:
    """Compares answers with a network, and counts them.

    Attributes:
        compared: Number of observations whose logits and values were computed again.
        logits: The largest difference of a log-probability.
        values: The largest difference of a value, in units of what values are like.
    """

    def __init__(self, network):
        """Starts with nothing compared.

        Args:
            network: A `Network`; of one head, the end that holds the value is found here.
        """
        self._network = network
        self.compared, self.logits, self.values = 0, 0.0, 0.0
        self._sums = {}  # name: observed, expected, variance
        self._largest, self._asked, self._changed = 0.0, 0, False

    def compare(self, observations, answers):
        """Compares answers with what the network gives for observations [n, 4, 84, 84], bytes."""
        if self._network.joint and not self.compared:
            self._network.value_first = self._differences(observations, answers, True) < (
                self._differences(observations, answers, False)
            )
        logits, values = self._differences(observations, answers, self._network.value_first)
        self.logits, self.values = max(self.logits, logits), max(self.values, values)
        self.compared += len(observations)

    def _differences(self, observations, answers, value_first):
        self._network.value_first = value_first
        log_probs, values = self._network(observations)
        scale = max(1.0, float(np.abs(values).mean()))
        return (
            float(np.abs(log_probs - answers.log_probs).max()),
            float(np.abs(values - answers.values).max()) / scale,
        )

    def count(self, answers):
        """Counts the actions of answers."""
        probs, logs = np.exp(answers.log_probs), answers.log_probs
        rows, n_actions = np.arange(len(logs)), logs.shape[1]
        terms = probs * np.where(probs > 0, logs, 0.0)
        mean = terms.sum(1)
        variance = (terms * np.where(probs > 0, logs, 0.0)).sum(1) - mean**2
        chosen = np.maximum(logs[rows, answers.actions], -50.0)
        self._add("likelihood", chosen, mean, variance)
        likeliest = probs.max(1)
        is_likeliest = answers.actions == logs.argmax(1)
        self._add("likeliest", is_likeliest, likeliest, likeliest * (1 - likeliest))
        for k in range(n_actions):
            self._add(k, answers.actions == k, probs[:, k], probs[:, k] * (1 - probs[:, k]))

    def repeat(self, first, second):
        """Counts how often a question that was put twice has one action."""
        same = (np.exp(first.log_probs) * np.exp(second.log_probs)).sum(1)
        self._add("again", first.actions == second.actions, same, same * (1 - same))
        self._changed |= bool(np.abs(first.log_probs - second.log_probs).max() > LOGITS)

    def _add(self, name, observed, expected, variance):
        new = np.array([np.sum(observed), np.sum(expected), np.sum(variance), len(expected)])
        self._sums[name] = self._sums.get(name, 0.0) + new

    def _deviation(self, name):
        """Returns by how many standard deviations a sum is off; 0 of few answers."""
        observed, expected, variance, n = self._sums.get(name, np.zeros(4))
        spread = SPREAD["log" if name == "likelihood" else "share"]
        return (observed - expected) / np.sqrt(variance + spread**2) if n >= FEWEST else 0.0

    def oddities(self):
        """Returns what a policy that samples from its weights' probabilities would not do."""
        told = []
        if self.logits > LOGITS:
            line = _("act does not give the logits that the weights give (off by {off:.2g})")
            told.append(line.format(off=self.logits))
        if self.values > VALUES:
            line = _("act does not give the values that the weights give (off by {off:.2g})")
            told.append(line.format(off=self.values))
        if self._changed:
            told.append(_("act gives other logits where the same is asked again"))
        off = {name: self._deviation(name) for name in self._sums}
        if abs(off.pop("again", 0.0)) > DEVIATION:
            told.append(_("act takes the same actions, or never, where the same is asked again"))
        if off.get("likeliest", 0.0) > DEVIATION:
            told.append(_("the likeliest action is taken more often than the policy gives it"))
        elif any(abs(one) > DEVIATION for one in off.values()):
            told.append(_("the actions are not drawn from the policy's probabilities"))
        return told


def log_softmax(logits):
    """Returns log-probabilities [n, A] of logits [n, A], float64."""
    logits = np.asarray(logits, np.float64)
    logits = logits - logits.max(1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(1, keepdims=True))
