"""Catch: a game so small that its best score is known, and the pictures of learning it."""

import gymnasium
import matplotlib.pyplot as plt
import numpy as np

from atari_wrappers import NumpySummaries, QueueFrames, SwapImageAxes
from env_batch import EnvBatch
from languages import _, grouped

__all__ = [
    *("Catch", "NotLearnt", "catch_batch", "check_learnt", "plot_catch", "plot_laboratory"),
    "smooth_curve",
]

SIZE = 7  # rows and columns of the board
GAME_LENGTH = SIZE - 1  # agent steps
ROUNDS = 10  # behind each point of a smooth curve


class Catch(gymnasium.Env):
    """A ball falls one row per step; the paddle in the lowest row must be under it when it lands.

    Observations are pictures [84, 84] of bytes. A catch pays +1, a miss −1; play at random scores
    −5/7, the best policy 1.
    """

    observation_space = gymnasium.spaces.Box(0, 255, (84, 84), np.uint8)
    action_space = gymnasium.spaces.Discrete(3)  # left, stay, right

    def reset(self, *, seed=None, options=None):
        """Drops a new ball in a random column."""
        super().reset(seed=seed)
        self.row, self.paddle = 0, SIZE // 2
        self.column = int(self.np_random.integers(SIZE))
        return self._picture(), {}

    def step(self, action):
        """Moves the paddle by action − 1 and the ball down by one row."""
        self.row += 1
        self.paddle = min(max(self.paddle + int(action) - 1, 0), SIZE - 1)
        landed = self.row == SIZE - 1
        reward = 0.0
        if landed:
            reward = 1.0 if self.column == self.paddle else -1.0
        return self._picture(), reward, landed, False, {}

    def _picture(self):
        board = np.zeros((SIZE, SIZE), np.uint8)
        board[-1, self.paddle] = 128
        board[self.row, self.column] = 255
        return np.kron(board, np.ones((84 // SIZE, 84 // SIZE), np.uint8))


def catch_game():
    """Makes one game with observations [4, 84, 84] float32, as the network expects."""
    return SwapImageAxes(QueueFrames(Catch()))


def catch_batch(nenvs, seed):
    """Makes nenvs games whose scores `NumpySummaries` keeps; they all end at the same steps."""
    return NumpySummaries(EnvBatch([catch_game() for _ in range(nenvs)], seeds=seed))


class NotLearnt(AssertionError):
    """Catch is not learnt; a notebook shows the message alone."""

    def _render_traceback_(self):
        """Returns what IPython shows, a list of lines."""
        return f"NotLearnt: {self}".splitlines()


SUSPECTS = _(
    """If all checks above pass, what they cannot see is left:
- a class that was edited after its check: run its check again, and the cells below it;
- a class that uses `model`, `policy` or `optimizer` of the notebook: Catch makes its own, use self;
- numbers that were changed in section 2: the learning rate, NSTEPS, GAMMA, the coefficients;
- what goes wrong after many updates only: something that is kept from one call to the next;
- chance, or too few agent steps: set another SEED in section 2, or allow more steps."""
)


def check_learnt(scores, nenvs, goal=0.9):
    """Says that Catch is learnt, or raises with what is left to suspect.

    Args:
        scores: Mean score of each round of nenvs games, [N].
        nenvs: Number of environments.
        goal: Mean score of the last 100 rounds that is expected; 1 is the best.

    Raises:
        NotLearnt: If the score is lower.
    """
    score = np.mean(scores[-100:])
    steps = len(scores) * GAME_LENGTH * nenvs
    if score < goal:
        told = _("Catch scores {score:.2f} after {steps} agent steps, expected {goal}.")
        told = told.format(score=score, steps=grouped(steps), goal=goal)
        raise NotLearnt(f"{told}\n{SUSPECTS}")
    told = _("Catch is learnt: {score:.2f} of 1 after {steps} agent steps")
    print(told.format(score=score, steps=grouped(steps)))


def smooth_curve(scores, nenvs):
    """Returns agent steps, and means of scores over the ROUNDS rounds before each.

    Where there are fewer rounds, it is one point, the mean of all.
    """
    width = min(ROUNDS, len(scores))
    smooth = np.convolve(scores, np.full(width, 1 / width), mode="valid")
    return (width + np.arange(len(smooth))) * GAME_LENGTH * nenvs, smooth


def plot_catch(scores, policy, nenvs):
    """Draws how the score rose, and one game of the policy in four pictures.

    Args:
        scores: Mean score of each round of nenvs games, [N].
        policy: Anything with `act`.
        nenvs: Number of environments that it learnt in.
    """
    figure, (curve, *frames) = plt.subplots(1, 5, figsize=(12, 2.4), width_ratios=[2, 1, 1, 1, 1])
    curve.plot(*smooth_curve(scores, nenvs))
    curve.axhline(1, color="gray", linestyle=":")
    title = _("the best possible score is 1")
    curve.set(xlabel=_("agent steps"), ylabel=_("score"), title=title)
    game = catch_game()
    observation, info = game.reset(seed=3)
    for step in range(SIZE):
        if step % 2 == 0:
            frames[step // 2].imshow(observation[-1], cmap="gray", vmin=0, vmax=1)
            frames[step // 2].set(title=_("step {n}").format(n=step), xticks=[], yticks=[])
        if step < GAME_LENGTH:
            observation, *rest = game.step(policy.act([observation])["actions"][0])
    figure.tight_layout()
    plt.show()


def plot_laboratory(runs, nenvs):
    """Draws several runs side by side, each against the first.

    Args:
        runs: {name: scores [N]}, as in `plot_catch`.
        nenvs: Number of environments that they learnt in.
    """
    figure, axes = plt.subplots(2, 3, figsize=(11, 5), sharex=True, sharey=True)
    first = next(iter(runs))
    for axis, (name, scores) in zip(axes.flat, runs.items(), strict=True):
        if name != first:
            axis.plot(*smooth_curve(runs[first], nenvs), label=first)
            axis.lines[0].set(color="lightgray")
        axis.plot(*smooth_curve(scores, nenvs), label=name)
        axis.axhline(1, color="gray", linestyle=":", linewidth=1)
        axis.set_title(name, fontsize=10)
    axes.flat[0].set_xlim(left=0)
    axes.flat[0].locator_params(axis="x", nbins=4)
    figure.supxlabel(_("agent steps"), fontsize=10)
    figure.supylabel(_("score of a game"), fontsize=10)
    figure.tight_layout()
    plt.show()
