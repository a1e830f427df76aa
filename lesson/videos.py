"""Games on video, and what goes on inside the agent while it plays one."""

import warnings
from contextlib import contextmanager
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from gymnasium.wrappers import RecordVideo
from IPython.display import Video, display

from atari_wrappers import nature_dqn_env
from languages import _

__all__ = ["camera", "show_inside", "show_video"]

STEPS_PER_SECOND = 15  # agent steps, as fast as a person would play
SMOOTHING = 15  # agent steps, one second of play
EXPLOSIONS = {"SpaceInvadersNoFrameskip-v4": 30}  # agent steps from a hit to the lost life
SHADE = dict(color="tab:red", alpha=0.15, linewidth=0)


@contextmanager
def camera(game, folder, seed):
    """Yields one environment of whole games and raw rewards whose games are recorded.

    Args:
        game: A game's name.
        folder: Where the videos go, `rl-video-episode-<k>.mp4`; older ones are replaced.
        seed: As in `nature_dqn_env`.
    """
    env = nature_dqn_env(game, seed=seed, summaries=False, clip_reward=False)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*Overwriting existing videos.*")
        env = RecordVideo(env, str(folder), episode_trigger=lambda _: True, fps=STEPS_PER_SECOND)
    try:
        yield env
    finally:
        env.close()


def show_video(folder):
    """Shows the last video of a folder in the cell, embedded: a path would not work in Colab."""
    newest = max(Path(folder).glob("*.mp4"), key=lambda path: path.stat().st_mtime_ns)
    display(Video(str(newest), embed=True, width=320, html_attributes="controls muted loop"))


def show_inside(policy, game, seed, t_max=10_000):
    """Plays one game with sampled actions; draws values, probabilities, and two frames.

    Args:
        policy: The policy of Task 2.
        game: A game's name.
        seed: Of the game and of the actions.
        t_max: Agent steps at most.
    """
    env = nature_dqn_env(game, seed=seed, summaries=False, clip_reward=False)
    with torch.random.fork_rng():  # the same game each time, and the run's random numbers stay
        torch.manual_seed(seed)
        values, probabilities, lives, frames = _look_inside(policy, env, t_max)
    rows = [["values"] * 5 + ["highest"], ["probabilities"] * 5 + ["lowest"]]
    figure, axes = plt.subplot_mosaic(rows, figsize=(11, 5.2), layout="constrained")
    axes["values"].plot(values, linewidth=0.8)
    for step in np.flatnonzero(np.diff(lives) < 0) + 1:
        axes["values"].axvline(step, color="tab:red", linestyle=":")
        if game in EXPLOSIONS:
            axes["values"].axvspan(step - EXPLOSIONS[game], step, **SHADE)
    axes["values"].set(ylabel=_("value"), xlim=(0, len(values)))
    _draw_probabilities(axes["probabilities"], probabilities, env.unwrapped.get_action_meanings())
    figure.legend(ncols=7, fontsize=8, loc="outside lower center", frameon=False)
    for name, title in (("highest", _("highest value")), ("lowest", _("lowest value"))):
        axes[name].imshow(frames[name])
        axes[name].set(xticks=[], yticks=[])
        axes[name].set_title(title, fontsize=10)
    env.close()
    plt.show()


@torch.no_grad()
def _look_inside(policy, env, t_max):
    """Plays one game; returns values [T], probabilities [T, A], lives [T], and two frames."""
    (observation, info), ended = env.reset(), False
    values, probabilities, lives, frames = [], [], [], {}
    while not ended and len(values) < t_max:
        act = policy.act([observation])
        values.append(float(act["values"][0]))
        probabilities.append(torch.softmax(act["logits"][0], dim=-1).tolist())
        lives.append(info["lives"])
        for name, extreme in (("highest", max), ("lowest", min)):
            if values[-1] == extreme(values):
                frames[name] = env.render()
        observation, _, terminated, truncated, info = env.step(act["actions"][0])
        ended = terminated or truncated
    return np.array(values), np.array(probabilities), np.array(lives), frames


def _draw_probabilities(axis, probabilities, actions):
    """Draws smoothed probabilities [T, A] as a stack, and in black that of the likeliest action."""
    window = np.ones(SMOOTHING) / SMOOTHING
    stack = [np.convolve(column, window, mode="valid") for column in probabilities.T]
    likeliest = np.convolve(probabilities.max(axis=1), window, mode="valid")
    steps = SMOOTHING // 2 + np.arange(len(likeliest))
    colours = plt.get_cmap("tab10" if len(actions) <= 10 else "tab20").colors
    axis.stackplot(steps, stack, labels=actions, colors=colours, alpha=0.7)
    axis.plot(steps, likeliest, color="black", linewidth=1, label=_("the likeliest"))
    axis.set(xlabel=_("agent steps"), xlim=(0, len(probabilities)), ylim=(0, 1))
