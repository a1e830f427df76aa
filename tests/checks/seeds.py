"""A further task: mean, spread and standard error over several seeds."""

import numpy as np

from languages import _
from tests.checks.further import checked, close, named, shown

__all__ = ["check_mean_and_spread"]

CASES = [  # scores of runs of which one is the shortest; their mean and spread
    ([[4.0, 1.0, 3.0, 9.0], [0.0, 1.0, 2.0], [2.0, 1.0, 4.0]], [2.0, 1.0, 3.0], [2.0, 0.0, 1.0]),
    ([[3.0, 1.0], [1.0, 1.0, 5.0]], [2.0, 1.0], [2**0.5, 0.0]),
]


def check_mean_and_spread(mean_and_spread):
    """Checks what is told of three and of two short runs; returns True if right."""
    task = "mean_and_spread"

    def observe():
        given = [mean_and_spread([np.array(run) for run in runs]) for runs, *_right in CASES]
        return [
            None if each is None else [np.asarray(one, float) for one in each] for each in given
        ]

    def judge(seen):
        mistakes = (_judge_spread(given, *case) for given, case in zip(seen, CASES, strict=True))
        return next(filter(None, mistakes), None)

    return checked(task, observe, judge)


def _judge_spread(given, runs, mean, spread):
    if given is None:
        return _("it returns nothing: return three arrays, mean, spread, error")
    if len(given) != 3:
        return _("it returns {n} things, expected three: mean, spread, error").format(n=len(given))
    mean, spread, count = np.array(mean), np.array(spread), len(runs)
    wanted = {"mean": mean, "spread": spread, "error": spread / count**0.5}
    wrong = {
        "mean": [],
        "spread": [
            (
                _("divide by S − 1, not by S: the mean is that of the same runs"),
                spread * ((count - 1) / count) ** 0.5,
            ),
            (_("this is the variance: take its root"), spread**2),
        ],
        "error": [
            (_("divide the spread by the root of S, not by S"), spread / count),
            (_("S is the number of runs, not always 3"), spread / 3**0.5),
        ],
    }
    for (name, right), one in zip(wanted.items(), given, strict=True):
        if one.shape != right.shape:
            text = _(
                "`{name}` has the shape {shape}, expected {wanted}: one number for each round of "
                "the shortest run"
            )
            return text.format(name=name, shape=list(one.shape), wanted=list(right.shape))
        if not close(one, right):
            reason = named(one, wrong[name]) or _("compare with the formula")
            text = _("of the runs {runs}, `{name}` is {given}, expected {wanted}: {reason}")
            figures = dict(given=shown(one), wanted=shown(right), reason=reason)
            return text.format(runs=runs, name=name, **figures)
    return None
