"""Do the curves of a run fit each other, the game and a machine? What does not is named."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

from languages import _, grouped
from training.curves import read_curves

__all__ = ["SCORE", "Score", "Sitting", "find_oddities", "oddities", "read_score", "read_sittings"]

SCORE, GAMES = "Episodes/reward_mean_100", "Episodes/games"
FASTEST = 50_000  # agent steps per second; ten times what the fastest of peers was seen to do
LOOKS_BACK = 100  # games in each environment, behind reward_mean_100
FEW_POINTS, FEW_GAMES = 100, 5  # too early to compare means
MEANS_AGREE = 0.85, 1.25  # reward_mean_100 over the mean of the games before it, above the lowest
BY_CHANCE = 0.05  # more, in units of how far the environments' scores lie apart
LONE_GAMES = 3  # that a mean has counted and Episodes/total has shown in few points yet
LENGTHS_AGREE = 0.4, 2.5  # agent steps over games × environments × length
SCORES = {"SpaceInvadersNoFrameskip-v4": 5}  # game: what each of its scores is a multiple of


class Score(NamedTuple):
    """`reward_mean_100` of a run, as far as its event files tell; None where they do not."""

    last: float | None
    best: float | None
    counted: float | None  # the best of those with 100 games of each environment behind them
    games: int  # the fewest games of an environment so far, at most 100


class Sitting(NamedTuple):
    """When one event file's points were drawn; one sitting of a run writes it."""

    name: str
    steps: np.ndarray  # [N] agent steps, in the order of the file
    times: np.ndarray  # [N] wall times in s


def read_score(curves):
    """Returns the Score that a run's curves hold."""
    if SCORE not in curves:
        return Score(None, None, None, 0)
    steps, values, _times = curves[SCORE]
    game_steps, games, _times = curves.get(GAMES, [np.zeros(0)] * 3)
    counted = values[np.isin(steps, game_steps[games >= 100])]
    fewest = int(games[-1]) if len(games) else 0
    best = float(counted.max()) if len(counted) else None
    return Score(float(values[-1]), float(values.max()), best, fewest)


def read_sittings(run):
    """Returns the Sitting of each event file that holds a point, in the order of their names."""
    sittings = []
    for path in sorted(Path(run).glob("*tfevents*")):
        events = LegacyEventFileLoader(str(path)).Load()
        points = [(event.step, event.wall_time) for event in events if event.summary.value]
        if points:
            sittings.append(Sitting(path.name, *np.array(points, float).T))
    return sittings


def oddities(run, game, nenvs):
    """Returns what is odd about the curves of a run, a sentence each; none of a whole run is.

    Args:
        run: The run's folder of event files.
        game: A game's name.
        nenvs: Number of environments.

    Raises:
        FileNotFoundError: If the folder holds no event file.
    """
    return find_oddities(read_curves(run), read_sittings(run), game, nenvs)


def find_oddities(curves, sittings, game, nenvs):
    """Does what `oddities` does, on what `read_curves` and `read_sittings` returned."""
    said = [line for sitting in sittings for line in _of_a_sitting(*sitting)]
    text = _("{tag} has a value that is no number")
    said += [text.format(tag=tag) for tag in curves if _has_gaps(curves[tag][1])]
    parts = ("reward_mean_100", "total", "minimum", "maximum", "length", "games")
    scores = [curves.get(f"Episodes/{name}", [np.zeros(0)] * 3)[:2] for name in parts]
    steps = scores[0][0]
    if said or not len(steps) or any(not np.array_equal(steps, each[0]) for each in scores):
        text = _("curves of Episodes/ are missing, or have points where others have none")
        return said or [text]
    return [*_of_scores(*(values for _steps, values in scores), steps, game, nenvs)]


def _of_a_sitting(name, steps, times):
    """Yields what is odd about the order and the pace of one sitting."""
    if (np.diff(steps) < 0).any():
        at = int(steps[1:][np.diff(steps) < 0][0])
        text = _("{name}: agent steps run backwards, to {step}, within one sitting")
        yield text.format(name=name, step=grouped(at))
    elif steps[-1] - steps[0] > FASTEST * max(times[-1] - times[0], 10):
        pace = (steps[-1] - steps[0]) / max(times[-1] - times[0], 1)
        text = _("{name}: {pace} agent steps a second, which no machine has")
        yield text.format(name=name, pace=grouped(round(pace)))


def _has_gaps(values):
    return not np.isfinite(values).all()


def _of_scores(mean, total, low, high, length, games, steps, game, nenvs):
    """Yields what is odd about the curves of scores."""
    if ((total < low - 0.01) | (total > high + 0.01)).any():
        yield _("Episodes/total lies outside Episodes/minimum and Episodes/maximum")
    unit = SCORES.get(game, 1)
    if (np.concatenate([low, high]) % unit > 0.001).any():
        text = _("Episodes/minimum or Episodes/maximum is no multiple of {unit}, as scores are")
        yield text.format(unit=unit)
    if _is_another_mean(mean, total, low, high, games):
        yield _("Episodes/reward_mean_100 is not the mean of the games in Episodes/total")
    early = (games >= FEW_GAMES) & (games < 100)
    if _outside(steps[early], (games * nenvs * length)[early], LENGTHS_AGREE):
        yield _("agent steps do not fit Episodes/games and Episodes/length")


def _is_another_mean(mean, total, low, high, games):
    """Tells whether reward_mean_100 is far from the mean of the games that it looks back to."""
    full = games >= LOOKS_BACK
    points = int(full.argmax()) + 1 if full.any() else len(games)  # games may end together
    expected, apart = _mean_before(total, points), _mean_before(high - low, points)
    floor, late = min(0, low.min()), slice(FEW_POINTS, None)  # a score below 0 has no ratio
    lone = np.maximum.accumulate(high) - np.minimum.accumulate(low)  # of one game, at most
    slack = (BY_CHANCE * apart + LONE_GAMES * lone / np.arange(1, len(mean) + 1))[late]
    return _outside(mean[late] - floor, expected[late] - floor, MEANS_AGREE, slack)


def _mean_before(values, points):
    """Returns the mean of the last `points` values up to each, [N]."""
    before = np.concatenate([[0], np.cumsum(values)])
    k = np.arange(1, len(values) + 1)
    first = np.maximum(k - points, 0)
    return (before[k] - before[first]) / (k - first)


def _outside(values, expected, bounds, slack=0.0):
    least, most = bounds
    return ((values < least * expected - slack) | (values > most * expected + slack)).any()
