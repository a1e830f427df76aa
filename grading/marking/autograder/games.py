"""Plays a hand-in's weights, one round of games after another, as long as there is time."""

import contextlib
import functools
import secrets
import time

import numpy as np

from grading.marking.audit import Audit
from grading.marking.network import read_network
from grading.marking.replay import NoAnswer, Play, asked, compare_actions, mode, sampler
from grading.verdicts import on_one_line

__all__ = ["nothing", "play"]

ROUND = 4  # games at a time
SLOWER = 1.3  # than the slowest round so far, the next one may be
STALLING = 2  # times slower than the judge became, an answer of a round that time cut off
KIND = "sampled"


def nothing(problem=""):
    """Returns what `play` yields where nothing was played."""
    return {"problem": on_one_line(problem), "instead": "", "oddities": [], **_summed([], [])}


def _summed(scores, lengths):
    if not scores:
        return {"scores": [], "lengths": [], "cut": 0, "mean": 0.0, "low": 0.0, "high": 0.0}
    return mode(np.array(scores), np.array(lengths), np.zeros(len(scores), bool))


def play(notebook, weights, game, wall, limits, most, until):
    """Plays whole games with the notebook's own policy, sampled actions, and audits it.

    Where that plays no round, as a cell of the notebook ends the process or takes too long, the
    network that the weights make plays by itself.

    Args:
        notebook: Path of the notebook, beside which its own modules lie.
        weights: Path of an .npz, as `reader.read_weights` leaves it.
        game: A game's name.
        wall: The `sandbox.Wall` that the notebook runs behind.
        limits: `watched.Limits` of its process.
        most: Number of games, at most.
        until: `time.monotonic()` at which the games must be over.

    Yields:
        After each round what all rounds came to: {"problem", "instead", "oddities", "scores",
        "lengths", "cut", "mean", "low", "high"}; "problem" is a line where it did not play on,
        though there was time, or where it let the time go by, and "instead" one that says why
        the network plays by itself.
    """
    try:
        network = read_network(weights)
        compare_actions(network, game)
    except ValueError as e:
        yield nothing(str(e))
        return
    told, rounds = nothing(), functools.partial(_rounds, game, most, until)
    asking = asked(notebook, weights, network.n_actions, 1, wall, limits)
    for told in _own(asking, Audit(network), rounds, until):
        yield told
    if told["problem"] and not told["scores"]:
        yield from _by_itself(network, rounds, told["problem"])


def _own(asking, audit, rounds, until):
    """Yields what `play` does, of the notebook's own policy."""
    told, pace = nothing(), _Pace()
    try:
        with asking as ask:
            for played in rounds(pace.of(ask), audit):
                pace.end_round()
                told = nothing() | {"oddities": audit.oddities()} | played
                yield told
    except (NoAnswer, ValueError) as e:
        cut_off = bool(told["scores"]) and time.monotonic() >= until  # the rounds before count
        yield told | {"problem": "" if cut_off and not pace.stalls() else on_one_line(str(e))}


def _by_itself(network, rounds, why):
    """Yields what `play` does, of a network alone."""
    with contextlib.suppress(NoAnswer):  # the time is over: the rounds before count
        for played in rounds(sampler(network, secrets.randbelow(2**31))):
            yield nothing() | {"instead": why} | played


def _rounds(game, most, until, ask, audit=None):
    """Yields what all rounds came to, after each, while there is time for another one."""
    scores, lengths, slowest = [], [], 0.0
    while most > 0 and (began := time.monotonic()) + SLOWER * slowest < until:
        seed, left = secrets.randbelow(2**31), until - began
        games = Play(game, min(most, ROUND), seed, left, print, 1, [KIND])
        told = games.run(ask, audit)[KIND]
        scores, lengths = scores + told["scores"], lengths + told["lengths"]
        yield _summed(scores, lengths)
        most -= ROUND
        slowest = max(slowest, time.monotonic() - began)


class _Pace:
    """How long answers take, and the judge between two of them: in this round, and before it."""

    def __init__(self):
        self._before, self._since, self._answered = ([], []), ([], []), None

    def of(self, ask):
        """Returns a function that asks, and keeps the seconds."""

        def timed(pixels):
            began, (answers, judge) = time.monotonic(), self._since
            if self._answered is not None:
                judge.append(began - self._answered)
            try:
                return ask(pixels)
            finally:
                self._answered = time.monotonic()
                answers.append(self._answered - began)

        return timed

    def end_round(self):
        """Lets a new round begin; what it takes to set its games up counts as nothing."""
        before = (old + new for old, new in zip(self._before, self._since, strict=True))
        self._before, self._since, self._answered = tuple(before), ([], []), None

    def stalls(self):
        """Tells whether answers became far slower in this round, and the judge did not."""
        answers, judge = map(_slower, self._before, self._since)
        return answers > STALLING * judge


def _slower(before, since):
    """Returns how many times longer something takes than before, by seconds of each, or 1."""
    if not (before and since):
        return 1.0
    return max(1.0, np.mean(since) / np.mean(before))
