"""What a hand-in's weights score: whole games in the grader's own emulator, played by the notebook.

The notebook's policy runs behind the wall and sees observations alone, in an order that changes at
every step; games, rewards and seeds are kept from it. What it answers is audited.
"""

import base64
import contextlib
import json
import os
import secrets
import sys
import time

import ale_py
import numpy as np

from env_batch import AtariEnvBatch
from grading.marking.audit import Answers, Audit, log_softmax
from grading.marking.network import read_network
from grading.notebook import code_cells
from grading.sandbox import NO_WALL, ROOT
from grading.verdicts import on_one_line
from grading.watched import LIMITS, scratch, talk
from languages import _

__all__ = [
    *("GAMES", "NoAnswer", "Play", "asked", "compare_actions", "mode", "nothing", "replay"),
    "sampler",
]

GAMES = 32  # of each kind
TOTAL = 1200.0  # seconds that a policy may take, at least
LINE = 500  # characters of a problem
LONGEST = 10_000  # agent steps after which a game is cut
COMPARED = 1 / 8  # of the observations
AGAIN = 1 / 32  # of the steps are asked twice
TELLING = 60.0  # seconds between two lines
THREADS = min(os.cpu_count() or 1, 4)  # of the emulators and of the policy
NEEDED = [  # of what students do not have, to read behind the wall
    ROOT / "grading" / "marking" / name for name in ("__init__.py", "player.py")
]
KINDS = ("sampled", "greedy")


class NoAnswer(Exception):
    """The policy does not play; the message says why."""


def replay(
    notebook,
    weights,
    game,
    games=GAMES,
    wall=NO_WALL,
    limits=LIMITS,
    *,
    seed=None,
    threads=THREADS,
    tell=lambda line: None,
):
    """Plays whole games with the weights of a hand-in, sampled and greedy, in one batch.

    Where the notebook makes no policy, or it does not play on, the network that the weights make
    plays by itself.

    Args:
        notebook: Path of the notebook, beside which its own modules lie.
        weights: Path of an .npz: the arrays of the weights' state dict, in its order.
        game: A game's name.
        games: Number of games of each kind.
        wall: The `sandbox.Wall` that the notebook runs behind.
        limits: `watched.Limits`; "cell" bounds each answer, "total" is 20 minutes at least.
        seed: Of the games, an int below 2**31; by default one that nobody knows before.
        threads: Of the emulators and of the policy; more round otherwise than one.
        tell: Takes a line for people from time to time.

    Returns:
        {"problem": "" or a line, "player": "the notebook's own policy" or "the reference network",
        "sampled" and "greedy": {"scores", "lengths" (agent steps), "cut" (games cut after 10,000
        agent steps), "mean", "low", "high" (95% interval of the mean)}, "oddities": lines about
        what the policy does that its weights do not, "compared": observations computed again,
        "logits", "values": largest differences, "seed"}. Scores are empty where nothing was played.
    """
    seed = secrets.randbelow(2**31) if seed is None else seed
    limits = limits._replace(total=max(limits.total, TOTAL))
    play = Play(game, games, seed, limits.total, tell, threads)
    try:
        network = read_network(weights)
        compare_actions(network, game)
    except ValueError as e:
        return nothing(on_one_line(str(e))[:LINE])
    try:
        return nothing("") | {"seed": seed} | _own(play, notebook, weights, network, wall, limits)
    except (NoAnswer, ValueError) as e:
        told = nothing(on_one_line(str(e))[:LINE]) | {"seed": seed}
    with contextlib.suppress(NoAnswer):
        told |= play.run(sampler(network, seed)) | {"player": "the reference network"}
    return told


def _own(play, notebook, weights, network, wall, limits):
    """Returns what the notebook's own policy plays, and what its audit says."""
    audit = Audit(network)
    with asked(notebook, weights, network.n_actions, play.threads, wall, limits) as ask:
        told = play.run(ask, audit)
    told |= {"player": "the notebook's own policy", "oddities": audit.oddities()}
    return told | {key: getattr(audit, key) for key in ("compared", "logits", "values")}


def nothing(problem):
    """Returns what `replay` returns where nothing can be played."""
    mode = {"scores": [], "lengths": [], "cut": 0, "mean": 0.0, "low": 0.0, "high": 0.0}
    told = {"problem": problem, "player": "", **{kind: dict(mode) for kind in KINDS}}
    return told | {"oddities": [], "compared": 0, "logits": 0.0, "values": 0.0, "seed": 0}


# the games


def compare_actions(network, game):
    """Raises ValueError where a network is for another number of actions than a game has."""
    with _batch(game, 1, 0, 1) as env:
        n_actions = env.action_space.n
    if n_actions != network.n_actions:
        told = _("the weights make {found} logits and a value, {game} has {wanted} actions")
        raise ValueError(told.format(found=network.n_actions, game=game, wanted=n_actions))


class Play:
    """Games to be played by anybody who answers."""

    def __init__(self, game, games, seed, seconds, tell, threads=THREADS, kinds=KINDS):
        """Takes the number of games of each kind, and the seconds that they may take in all."""
        self.game, self.games, self.seed, self.kinds = game, games, seed, kinds
        self.seconds, self.tell, self.threads = seconds, tell, threads

    def run(self, ask, audit=None):
        """Returns {"sampled": …, "greedy": …}, those of its kinds.

        Args:
            ask: Takes observations [n, 4, 84, 84] bytes, returns Answers.
            audit: An Audit, or None.

        Raises:
            NoAnswer: If it takes too long, or ask raises it.
        """
        rng, n = np.random.default_rng(self.seed), len(self.kinds) * self.games
        scores, lengths, going = np.zeros(n), np.zeros(n, int), np.ones(n, bool)
        started = self.told = time.monotonic()
        with _batch(self.game, n, self.seed, self.threads) as env:
            seen, _infos = env.reset()
            for step in range(LONGEST):
                rows = rng.permutation(np.flatnonzero(going))
                answers = self._answers(ask, audit, rng, _pixels(seen[rows]), step)
                greedy, actions = rows >= self.games, np.zeros(n, int)
                actions[rows] = np.where(greedy, answers.log_probs.argmax(1), answers.actions)
                seen, rewards, terminated, truncated, _infos = env.step(actions)
                scores[going] += rewards[going]
                lengths[going] += 1
                going &= ~(terminated | truncated)
                if not going.any():
                    break
                self._look_at_clock(time.monotonic() - started, going, step)
        parts = [slice(k, k + self.games) for k in range(0, n, self.games)]
        modes = (mode(scores[part], lengths[part], going[part]) for part in parts)
        return dict(zip(self.kinds, modes, strict=True))

    def _look_at_clock(self, seconds, going, step):
        """Tells how far the games are; raises NoAnswer where they take too long."""
        n, ended = len(going), int((~going).sum())
        if seconds > self.seconds:
            told = _("{n} of {all} games were not over after {seconds:.0f} s")
            raise NoAnswer(told.format(n=n - ended, all=n, seconds=self.seconds))
        if time.monotonic() > self.told + TELLING:
            line = _("{n} of {all} games are over after {steps} agent steps")
            self.tell(line.format(n=ended, all=n, steps=step + 1))
            self.told = time.monotonic()

    def _answers(self, ask, audit, rng, pixels, step):
        """Returns the answers for some observations; some are compared, and some asked twice."""
        answers = ask(pixels)
        if audit is None:
            return answers
        audit.count(answers)
        some = rng.random(len(pixels)) < (1.0 if step == 0 else COMPARED)
        if some.any():
            audit.compare(pixels[some], Answers(*(one[some] for one in answers)))
        if rng.random() < AGAIN:
            audit.repeat(answers, ask(pixels))
        return answers


@contextlib.contextmanager
def _batch(game, n, seed, threads):
    """Whole games with raw rewards; the emulator prints nothing."""
    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    env = AtariEnvBatch(game, n, seed, episodic_life=False, threads=threads)
    try:
        yield env
    finally:
        env.close()


def _pixels(observations):
    """Returns observations in [0, 1] as bytes."""
    return np.rint(255 * observations).astype(np.uint8)


def mode(scores, lengths, cut):
    """Returns what is told of games of one kind; `cut` says of each whether it was cut."""
    mean, half = float(scores.mean()), _half_interval(scores)
    return {
        "scores": [float(one) for one in scores],
        "lengths": [int(one) for one in lengths],
        "cut": int(cut.sum()),
        **{"mean": mean, "low": mean - half, "high": mean + half},
    }


def _half_interval(scores):
    """Returns half the width of the 95% interval of a mean, by Student's t.

    The quantile is Fisher's expansion (Abramowitz and Stegun 1964, 26.7.5), good to 0.001 from six
    scores on.
    """
    if len(scores) < 2:
        return 0.0
    z, v = 1.959964, len(scores) - 1
    t = z + (z**3 + z) / (4 * v) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * v**2)
    t += (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * v**3)
    return float(t * scores.std(ddof=1) / len(scores) ** 0.5)


def sampler(network, seed):
    """Returns a function that answers as `Play.run` asks, with a network alone."""
    rng = np.random.default_rng([seed, 1])

    def ask(pixels):
        log_probs, values = network(pixels)
        return Answers((log_probs + rng.gumbel(size=log_probs.shape)).argmax(1), log_probs, values)

    return ask


# the policy


@contextlib.contextmanager
def asked(notebook, weights, n_actions, threads, wall, limits):
    """Gives a function that puts observations to the notebook's policy, while its process runs.

    Raises:
        NoAnswer: If it makes no policy; the function raises it too.
        ValueError: If the file holds no notebook.
    """
    cells = code_cells(notebook)
    with scratch() as out:
        (out / "own").mkdir()
        order = out / "order.json"
        order.write_text(json.dumps(dict(cells=cells, left_out={}, weights=str(weights))))
        command = [sys.executable, "-m", "grading.marking.player", str(order), str(notebook.parent)]
        command = wall.wrap(command, [notebook.parent, weights, *NEEDED], out)
        waiting = {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "passive"}
        with talk(command, wall.environment(out) | waiting, out, limits) as process:
            messages = process.messages()
            _next(messages, "ready")

            def ask(pixels):
                question = len(pixels).to_bytes(4, "little") + pixels.tobytes()
                process.send(question, "act")
                return _read_answer(_next(messages, "answer"), len(pixels), n_actions)

            yield ask


def _next(messages, key):
    """Returns what the next message with a key holds under it.

    Raises:
        NoAnswer: If the process has ended, or says why there is none.
    """
    for message in messages:
        if "lacks" in message:
            told = _("the notebook makes no policy to play with: {why}")
            raise NoAnswer(told.format(why=message["lacks"]))
        if "raised" in message:
            told = _("the notebook's policy does not play: {why}")
            raise NoAnswer(told.format(why=message["raised"]))
        if key in message:
            return message[key]
        if message.get("ending"):
            raise NoAnswer(_("no game was played to its end: {why}").format(why=message["ending"]))
    raise NoAnswer(_("the notebook's policy ended before its games"))


def _read_answer(text, n, n_actions):
    """Returns an answer of anybody's as Answers.

    Raises:
        NoAnswer: If it is none.
    """
    try:
        numbers = np.frombuffer(base64.b64decode(text), "<f4").astype(np.float64)
        numbers = numbers.reshape(n, numbers.size // n or 1)
    except (ValueError, TypeError):
        raise NoAnswer(_("the notebook's policy gave an answer that cannot be read")) from None
    if numbers.shape[1] != n_actions + 2:
        told = _("act gives {found} numbers for an observation: an action, {n} logits, a value?")
        raise NoAnswer(told.format(found=numbers.shape[1], n=n_actions))
    if not np.isfinite(numbers).all():
        raise NoAnswer(_("act gives numbers that are not finite"))
    actions = numbers[:, 0]
    if not np.isin(actions, np.arange(n_actions)).all():
        raise NoAnswer(_("act gives actions outside 0 to {last}").format(last=n_actions - 1))
    return Answers(actions.astype(np.int64), log_softmax(numbers[:, 1:-1]), numbers[:, -1])
