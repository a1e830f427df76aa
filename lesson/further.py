"""Pictures of several runs of Catch at once, for the tasks that go further."""

import matplotlib.pyplot as plt
import numpy as np

from languages import _
from lesson.catch import smooth_curve

__all__ = ["LAST", "end", "plot_seeds", "plot_spread"]

LAST = 50  # rounds behind the score that is told


def plot_spread(runs, mean_and_spread, nenvs):
    """Draws runs that differ in their seed alone: each of them, their mean, and their spread.

    Args:
        runs: Scores of each run, a list of arrays: the mean of each round of nenvs games.
        mean_and_spread: Takes such a list; returns mean, spread and standard error, [N] each.
        nenvs: Number of environments that they learnt in.
    """
    curves = [smooth_curve(run, nenvs) for run in runs]
    mean, spread, __ = mean_and_spread([smooth for _agent_steps, smooth in curves])
    axis = _axis(_("score of a game, {n} seeds").format(n=len(runs)))
    steps = curves[0][0][: len(mean)]
    for k, curve in enumerate(curves):
        label = None if k else _("one seed")
        axis.plot(*curve, color="gray", linewidth=0.8, label=label)
    axis.fill_between(steps, mean - spread, mean + spread, alpha=0.2, label=_("mean ± spread"))
    axis.plot(steps, mean, linewidth=2, label=_("mean"))
    axis.set_xlim(left=0)
    axis.legend(frameon=False)
    plt.show()
    ends = [one[0] for one in mean_and_spread([np.array([end(run)]) for run in runs])]
    text = _("at the end: mean {mean:.2f}, spread {spread:.2f}, standard error {error:.2f}")
    print(text.format(**dict(zip(("mean", "spread", "error"), ends, strict=True))))


def plot_seeds(choices, nenvs):
    """Draws runs of several choices, a colour each, and prints how each of them ended.

    Args:
        choices: {name: scores of each run}, as in `plot_spread`.
        nenvs: Number of environments that they learnt in.
    """
    axis = _axis(_("score of a game: each seed, and their mean"))
    for k, (name, runs) in enumerate(choices.items()):
        curves = [smooth_curve(run, nenvs) for run in runs]
        for curve in curves:
            axis.plot(*curve, color=f"C{k}", linewidth=0.8, alpha=0.5)
        shortest = min((steps for steps, _smooth in curves), key=len)
        mean = np.mean([smooth[: len(shortest)] for _steps, smooth in curves], axis=0)
        axis.plot(shortest, mean, color=f"C{k}", linewidth=2.2, label=name)
        ends = [end(run) for run in runs]
        told = " ".join(f"{end:5.2f}" for end in ends)
        text = _("{name:>20}: {scores}   mean {mean:5.2f}")
        print(text.format(name=name, scores=told, mean=np.mean(ends)))
    axis.set_xlim(left=0)
    axis.legend(frameon=False)
    plt.show()


def _axis(title):
    """Returns the axis of a new figure, with a line at the best score that there is."""
    _figure, axis = plt.subplots(figsize=(7.5, 3.4), layout="constrained")
    axis.axhline(1, color="gray", linestyle=":", linewidth=1)
    axis.set(xlabel=_("agent steps"), ylim=(-1, 1.1))
    axis.set_title(title, fontsize=10, loc="left")
    return axis


def end(scores):
    """Returns the mean score of the LAST rounds of a run."""
    return float(np.mean(scores[-LAST:]))
