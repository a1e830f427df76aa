"""Plays a hand-in's weights, one round of games after another, as long as there is time."""

import secrets
import time

import numpy as np

from grading.marking.audit import Audit
from grading.marking.network import read_network
from grading.marking.replay import NoAnswer, Play, asked, compare_actions, mode
from grading.verdicts import on_one_line

__all__ = ["nothing", "play"]

ROUND = 4  # games at a time
SLOWER = 1.3  # than the slowest round so far, the next one may be
STALLING = 2  # times slower than before, an answer of a round that time cut off
KIND = "sampled"


def nothing(problem=""):
    """Returns what `play` yields where nothing was played."""
    return {"problem": on_one_line(problem), "oddities": [], **_summed([], [])}


def _summed(scores, lengths):
    if not scores:
        return {"scores": [], "lengths": [], "cut": 0, "mean": 0.0, "low": 0.0, "high": 0.0}
    return mode(np.array(scores), np.array(lengths), np.zeros(len(scores), bool))


def play(notebook, weights, game, wall, limits, most, until):
    """Plays whole games with the notebook's own policy, sampled actions, and audits it.

    Args:
        notebook: Path of the notebook, beside which its own modules lie.
        weights: Path of an .npz, as `reader.read_weights` leaves it.
        game: A game's name.
        wall: The `sandbox.Wall` that the notebook runs behind.
        limits: `watched.Limits` of its process.
        most: Number of games, at most.
        until: `time.monotonic()` at which the games must be over.

    Yields:
        After each round what all rounds came to: {"problem", "oddities", "scores", "lengths",
        "cut", "mean", "low", "high"}; "problem" is a line where it did not play on,
        though there was time, or where it let the time go by.
    """
    scores, lengths, oddities, spent, n = [], [], [], [], 0
    try:
        network = read_network(weights)
        compare_actions(network, game)
        audit = Audit(network)
        with asked(notebook, weights, network.n_actions, 1, wall, limits) as ask:
            for games in _rounds(most, until):
                left = until - time.monotonic()
                rounds = Play(game, games, secrets.randbelow(2**31), left, print, 1, [KIND])
                n = len(spent)
                told = rounds.run(_timed(ask, spent), audit)[KIND]
                scores, lengths = scores + told["scores"], lengths + told["lengths"]
                oddities = audit.oddities()
                yield nothing() | {"oddities": oddities} | _summed(scores, lengths)
    except (NoAnswer, ValueError) as e:
        cut_off = bool(scores) and time.monotonic() >= until  # the rounds before count
        problem = "" if cut_off and not _stalls(spent[:n], spent[n:]) else str(e)
        yield nothing(problem) | {"oddities": oddities} | _summed(scores, lengths)


def _timed(ask, spent):
    """Returns a function that asks, and adds the seconds of each answer to a list."""

    def timed(pixels):
        began = time.monotonic()
        try:
            return ask(pixels)
        finally:
            spent.append(time.monotonic() - began)

    return timed


def _stalls(before, since):
    """Tells whether answers came far slower since, by seconds of each, than before."""
    return bool(before and since) and np.mean(since) > STALLING * np.mean(before)


def _rounds(most, until):
    """Yields the number of games of each round, while there is time for another one."""
    slowest = 0.0
    while most > 0 and (began := time.monotonic()) + SLOWER * slowest < until:
        yield min(most, ROUND)
        most -= ROUND
        slowest = max(slowest, time.monotonic() - began)
