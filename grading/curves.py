"""Do the curves of a run fit each other, the game and a machine? What does not is named."""

from pathlib import Path

import numpy as np
from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

from training.curves import read_curves

__all__ = ["oddities"]

FASTEST = 50_000  # agent steps per second; ten times what the fastest of peers was seen to do
LOOKS_BACK = 100  # games in each environment, behind reward_mean_100
FEW_POINTS, FEW_GAMES = 100, 5  # too early to compare means
MEANS_AGREE = 0.85, 1.25  # reward_mean_100 over the mean of the games before it
LENGTHS_AGREE = 0.4, 2.5  # agent steps over games × environments × length
SCORES = {"SpaceInvadersNoFrameskip-v4": 5}  # game: what each of its scores is a multiple of


def oddities(run, game, nenvs):
    """Returns what is odd about the curves of a run, a sentence each; none of a whole run is.

    Args:
        run: The run's folder of event files.
        game: A game's name.
        nenvs: Number of environments.

    Raises:
        FileNotFoundError: If the folder holds no event file.
    """
    curves = read_curves(run)
    said = [line for path in sorted(Path(run).glob("*tfevents*")) for line in _of_a_file(path)]
    said += [f"{tag} has a value that is no number" for tag in curves if _has_gaps(curves[tag][1])]
    parts = ("reward_mean_100", "total", "minimum", "maximum", "length", "games")
    scores = [curves.get(f"Episodes/{name}", [np.zeros(0)] * 3)[:2] for name in parts]
    steps = scores[0][0]
    if said or not len(steps) or any(not np.array_equal(steps, each[0]) for each in scores):
        return said or ["curves of Episodes/ are missing, or have points where others have none"]
    return [*_of_scores(*(values for _, values in scores), steps, game, nenvs)]


def _of_a_file(path):
    """Yields what is odd about the order and the pace of one file, which one sitting wrote."""
    events = [event for event in LegacyEventFileLoader(str(path)).Load() if event.summary.value]
    steps = np.array([event.step for event in events], float)
    times = np.array([event.wall_time for event in events], float)
    if (np.diff(steps) < 0).any():
        at = int(steps[1:][np.diff(steps) < 0][0])
        yield f"{path.name}: agent steps run backwards, to {at:,}, within one sitting"
    elif len(steps) and steps[-1] - steps[0] > FASTEST * max(times[-1] - times[0], 10):
        pace = (steps[-1] - steps[0]) / max(times[-1] - times[0], 1)
        yield f"{path.name}: {pace:,.0f} agent steps a second, which no machine has"


def _has_gaps(values):
    return not np.isfinite(values).all()


def _of_scores(mean, total, low, high, length, games, steps, game, nenvs):
    """Yields what is odd about the curves of scores."""
    if ((total < low - 0.01) | (total > high + 0.01)).any():
        yield "Episodes/total lies outside Episodes/minimum and Episodes/maximum"
    unit = SCORES.get(game, 1)
    if (np.concatenate([low, high]) % unit > 0.001).any():
        yield f"Episodes/minimum or Episodes/maximum is no multiple of {unit}, as scores are"
    before = np.concatenate([[0], np.cumsum(total)])
    k = np.arange(1, len(total) + 1)
    first = np.maximum(k - LOOKS_BACK * nenvs, 0)  # a point for each game, about
    games_before = (before[k] - before[first]) / (k - first)
    if _outside(mean[FEW_POINTS:], games_before[FEW_POINTS:], MEANS_AGREE):
        yield "Episodes/reward_mean_100 is not the mean of the games in Episodes/total"
    early = (games >= FEW_GAMES) & (games < 100)
    if _outside(steps[early], (games * nenvs * length)[early], LENGTHS_AGREE):
        yield "agent steps do not fit Episodes/games and Episodes/length"


def _outside(values, expected, bounds):
    least, most = bounds
    return ((values < least * expected) | (values > most * expected)).any()
