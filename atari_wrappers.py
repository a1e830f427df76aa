"""From emulator frames to what the agent sees.

`nature_dqn_env` builds the whole stack of Mnih et al. 2015 (Nature 518, Methods); each wrapper also
serves alone. From the game outwards: fire on reset, a random start, the maximum over two frames,
four frames per agent step, 84 x 84 gray, four frames stacked, float32 [4, 84, 84], and a lost life
that ends an episode for the learner while the game goes on. Lives are watched at the end of an
agent step, outside the skip, as ALE's C++ environments do: both paths agree.
"""

import cv2
import gymnasium
import numpy as np
from gymnasium.spaces import Box
from gymnasium.utils import RecordConstructorArgs
from gymnasium.wrappers import FrameStackObservation, TransformReward

from env_batch import (
    FRAME_SKIP,
    AtariEnvBatch,
    ParallelEnvBatch,
    check_count,
    check_game,
    scale_frames,
    spread_seeds,
)
from languages import _
from training.summaries import NumpySummaries, Outer, RecordScores, TensorboardSummaries

__all__ = [
    "ClipReward",
    "EpisodicLife",
    "FireReset",
    "ImagePreprocessing",
    "MaxBetweenFrames",
    "NumpySummaries",
    "QueueFrames",
    "SkipFrames",
    "StartWithRandomActions",
    "SwapImageAxes",
    "TensorboardSummaries",
    "nature_dqn_env",
]


class _Recorded(RecordConstructorArgs, gymnasium.Wrapper):
    """A wrapper whose arguments are kept, so that gymnasium can make it again from its spec."""

    def __init__(self, env, **arguments):
        RecordConstructorArgs.__init__(self, **arguments)
        gymnasium.Wrapper.__init__(self, env)


class FireReset(_Recorded):
    """Presses FIRE once, for one frame, when a game starts: some games wait for it.

    Raises:
        ValueError: If the game has no action FIRE.
    """

    def __init__(self, env):
        """Looks the action up."""
        super().__init__(env)
        meanings = env.unwrapped.get_action_meanings()
        if "FIRE" not in meanings:
            told = _("this game has no action FIRE, only {meanings}: leave FireReset out")
            raise ValueError(told.format(meanings=meanings))
        self._fire = meanings.index("FIRE")

    def reset(self, **kwargs):
        """Returns what is seen after FIRE."""
        _, info = self.env.reset(**kwargs)
        obs, _, terminated, truncated, after = self.env.step(self._fire)
        return self.env.reset() if terminated or truncated else (obs, {**info, **after})


class StartWithRandomActions(_Recorded):
    """Opens each game with a random number of no-ops.

    Their number, 0 to max_random_actions - 1, comes from the environment's own random state. The
    action is not random, as in Mnih et al. 2015 and in ALE's C++ environments; each takes one frame
    where the wrapper sits inside the skip.
    """

    def __init__(self, env, max_random_actions=30):
        """Sets the bound; 1 means none."""
        super().__init__(env, max_random_actions=max_random_actions)
        self._max_random_actions = check_count("max_random_actions", max_random_actions)

    def reset(self, **kwargs):
        """Returns what is seen after the no-ops; a game that ended in them starts again."""
        obs, info = self.env.reset(**kwargs)
        for _frame in range(self.np_random.integers(self._max_random_actions)):
            obs, _, terminated, truncated, after = self.env.step(0)
            info = {**info, **after}
            if terminated or truncated:
                obs, info = self.env.reset()
        return obs, info


class MaxBetweenFrames(_Recorded):
    """Shows the maximum of two frames: the Atari draws some sprites on every other one only."""

    def reset(self, **kwargs):
        """Returns the first frame as it is."""
        self._last, info = self.env.reset(**kwargs)
        return self._last, info

    def step(self, action):
        """Returns the maximum over the last two frames, of the same shape."""
        frame, reward, terminated, truncated, info = self.env.step(action)
        obs = np.maximum(frame, self._last)
        self._last = frame
        return obs, reward, terminated, truncated, info


class SkipFrames(_Recorded):
    """Repeats an action for nframes frames and adds their rewards: one agent step."""

    def __init__(self, env, nframes=FRAME_SKIP):
        """Sets the number of frames; videos of the environment keep the game's own speed."""
        super().__init__(env, nframes=nframes)
        self._nframes = check_count("nframes", nframes)
        self.metadata = {**env.metadata, "render_fps": 60 // self._nframes}

    def step(self, action):
        """Returns the last observation and the sum of the rewards; stops where the game ends.

        Raises:
            ValueError: If the action is outside the space; ALE itself would not notice.
        """
        if not self.action_space.contains(action):
            told = _("action {action!r} is outside {space}: choose one inside")
            raise ValueError(told.format(action=action, space=self.action_space))
        total = 0.0
        for _frame in range(self._nframes):
            obs, reward, terminated, truncated, info = self.env.step(action)
            total += float(reward)
            if terminated or truncated:
                break
        return obs, total, terminated, truncated, info


class ImagePreprocessing(_Recorded, gymnasium.ObservationWrapper):
    """Resizes frames [H, W] or [H, W, 3] of bytes by area and turns them gray."""

    def __init__(self, env, height=84, width=84, grayscale=True):
        """Sets the size in pixels, and whether colour is dropped."""
        super().__init__(env, height=height, width=width, grayscale=grayscale)
        self._size = (check_count("width", width), check_count("height", height))
        in_colour = len(env.observation_space.shape) == 3
        self._to_gray = grayscale and in_colour
        shape = (height, width, 3) if in_colour and not grayscale else (height, width)
        self.observation_space = Box(0, 255, shape, np.uint8)

    def observation(self, observation):
        """Returns bytes [height, width], or [height, width, 3] in colour."""
        if self._to_gray:
            observation = cv2.cvtColor(observation, cv2.COLOR_RGB2GRAY)
        return cv2.resize(observation, self._size, interpolation=cv2.INTER_AREA)


class QueueFrames(FrameStackObservation):
    """Stacks the last nframes gray frames to [H, W, nframes], zeros before the first."""

    def __init__(self, env, nframes=4):
        """Sets the number of frames."""
        RecordConstructorArgs.__init__(self, nframes=nframes)
        super().__init__(env, check_count("nframes", nframes), padding_type="zero")
        space = self.observation_space
        low = np.moveaxis(space.low, 0, -1)
        high = np.moveaxis(space.high, 0, -1)
        self.observation_space = Box(low, high, dtype=space.dtype)

    def reset(self, **kwargs):
        """Returns the first frame behind zeros."""
        frames, info = super().reset(**kwargs)
        return np.moveaxis(frames, 0, -1), info

    def step(self, action):
        """Returns the last nframes frames, the newest last."""
        frames, reward, terminated, truncated, info = super().step(action)
        return np.moveaxis(frames, 0, -1), reward, terminated, truncated, info


class SwapImageAxes(_Recorded, gymnasium.ObservationWrapper):
    """Turns images [H, W, C] of bytes into [C, H, W] float32 in [0, 1], as convolutions read."""

    def __init__(self, env):
        """Reads the shape from the environment."""
        super().__init__(env)
        height, width, channels = env.observation_space.shape
        self.observation_space = Box(0, 1, (channels, height, width), np.float32)

    def observation(self, observation):
        """Returns [C, H, W] float32 in [0, 1]."""
        return scale_frames(np.moveaxis(observation, -1, 0))


class EpisodicLife(_Recorded):
    """Ends an episode for the learner where a life is lost, while the game goes on.

    `info["life_lost"]` marks such a step, and the reset that follows it: that one hands the same
    observation back and touches nothing. Every other reset starts a new game.
    """

    _life_lost = False

    def reset(self, *, seed=None, options=None):
        """Resumes the game after a lost life (unless a seed is given), else starts a new one."""
        if self._life_lost and seed is None:
            self._life_lost = False
            return self._obs, {"lives": self._lives, "life_lost": True}
        self._life_lost = False
        obs, info = self.env.reset(seed=seed, options=options)
        self._lives = info["lives"]
        return obs, info

    def step(self, action):
        """Sets terminated where lives went down and some are left."""
        self._obs, reward, terminated, truncated, info = self.env.step(action)
        self._life_lost = 0 < info["lives"] < self._lives and not (terminated or truncated)
        self._lives = info["lives"]
        if self._life_lost:
            info["life_lost"] = True
        return self._obs, reward, terminated or self._life_lost, truncated, info


class ClipReward(Outer, TransformReward):
    """Replaces rewards by their sign, of one environment or a batch; scores are read below it."""

    def __init__(self, env):
        """Wraps the environment."""
        RecordConstructorArgs.__init__(self)
        super().__init__(env, np.sign)


def nature_dqn_env(
    env_id,
    nenvs=None,
    seed=None,
    summaries="Tensorboard",
    clip_reward=True,
    episodic_life=None,
    *,
    parallel="threads",
    logdir=None,
):
    """Builds the environment of the assignment: one, or a batch.

    Args:
        env_id: A game's name without frame skip, as "SpaceInvadersNoFrameskip-v4".
        nenvs: None for one environment, else the number B of a batch.
        seed: None, an int, or one int per environment; with a seed a run repeats exactly on one
            machine.
        summaries: "Tensorboard", "Numpy" or False, see `Summaries`.
        clip_reward: Whether rewards become their sign; scores stay raw.
        episodic_life: Whether a lost life ends an episode; by default in batches only.
        parallel: "threads" steps ALE's C++ environments, "processes" the wrappers of this file in
            worker processes: choose it after you changed one.
        logdir: Folder for "Tensorboard", by default a new one below `$A2C_OUT/logs`.

    Returns:
        An environment with observations [4, 84, 84], or a batch with [B, 4, 84, 84], float32 in [0,
        1].

    Raises:
        ValueError: If an argument is not one of the above.

    Example:
        >>> env = nature_dqn_env("SpaceInvadersNoFrameskip-v4", nenvs=2, seed=1, summaries=False)
        >>> obs, _ = env.reset()
        >>> obs.shape, str(obs.dtype), int(env.action_space.spaces[0].n)
        ((2, 4, 84, 84), 'float32', 6)
    """
    check_game(env_id)
    _check_choice("summaries", summaries, ["Tensorboard", "Numpy", False])
    _check_choice("parallel", parallel, ["threads", "processes"])
    if episodic_life is None:
        episodic_life = nenvs is not None

    def one_game():
        return atari_stack(make_atari(env_id), episodic_life=episodic_life)

    if nenvs is None:
        env = RecordScores(_seeded(one_game(), seed))
    elif parallel == "threads":
        env = AtariEnvBatch(env_id, nenvs, seed, episodic_life=episodic_life)
    else:
        env = ParallelEnvBatch(one_game, nenvs, seed)
    if summaries == "Tensorboard":
        env = TensorboardSummaries(env, logdir)
    elif summaries == "Numpy":
        env = NumpySummaries(env)
    return ClipReward(env) if clip_reward else env


def make_atari(env_id):
    """Makes a game that is seen in gray, frame by frame, and can be drawn in colour."""
    return gymnasium.make(
        env_id, render_mode="rgb_array", obs_type="grayscale", disable_env_checker=True
    )


def atari_stack(env, *, episodic_life, max_random_actions=30):
    """Puts the wrappers of this file around a game, from the game outwards.

    Args:
        env: A game from `make_atari`.
        episodic_life: Whether a lost life ends an episode.
        max_random_actions: As in `StartWithRandomActions`.

    Returns:
        An environment with observations [4, 84, 84] float32 in [0, 1] and raw rewards.
    """
    if "FIRE" in env.unwrapped.get_action_meanings():
        env = FireReset(env)
    env = StartWithRandomActions(env, max_random_actions)
    env = SkipFrames(MaxBetweenFrames(env))
    env = SwapImageAxes(QueueFrames(ImagePreprocessing(env)))
    return EpisodicLife(env) if episodic_life else env


def _seeded(env, seed):
    if seed is not None:
        (seed,) = spread_seeds(seed, 1)
        env.reset(seed=seed)
        env.action_space.seed(seed)
    return env


def _check_choice(name, value, choices):
    if value not in choices:
        told = _("{name} is {value!r}, expected one of {choices}")
        raise ValueError(told.format(name=name, value=value, choices=choices))
