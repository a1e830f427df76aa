"""Small environments whose every number is known, and a disk that is full."""

import contextlib
import os
import time

import gym
import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete


class Counting(gymnasium.Env):
    """Observes [steps, tag]; ends after `length` steps; pays 10 per step, and 15 for the last."""

    observation_space = Box(0, 100, (2,), np.float32)
    action_space = Discrete(3)

    def __init__(self, length=3, truncates=False, tag=0):
        self.length, self.truncates, self.tag = length, truncates, tag

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.count = 0
        return self._observe(), {"draw": int(self.np_random.integers(2**31))}

    def step(self, action):
        self.count += 1
        over = self.count == self.length
        reward = 15.0 if over else 10.0
        return self._observe(), reward, over and not self.truncates, over and self.truncates, {}

    def _observe(self):
        return np.array([self.count, self.tag], np.float32)


class Failing(Counting):
    """Raises, hangs or kills its process at the second step."""

    def __init__(self, how):
        super().__init__()
        self.how = how

    def step(self, action):
        if self.count == 1 and self.how == "raise":
            raise ZeroDivisionError("100 % of it: the ball is out of the park")
        if self.count == 1 and self.how == "hang":
            time.sleep(1000)
        if self.count == 1 and self.how == "die":
            os._exit(9)
        return super().step(action)


class Arcade(gymnasium.Env):
    """A game of gray 4 x 4 frames: frame t shows t everywhere; two lives, lost at frames 6 and 12.

    Pays the frame's number; FIRE is action 1. `presses` holds the actions since the last reset.
    """

    observation_space = Box(0, 255, (4, 4), np.uint8)
    action_space = Discrete(3)
    metadata = {"render_modes": ["rgb_array"], "render_fps": 60}

    def __init__(self, render_mode=None):
        self.render_mode = render_mode

    def get_action_meanings(self):
        return ["NOOP", "FIRE", "LEFT"]

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.frame, self.presses = 0, []
        return self._observe(), self._info()

    def step(self, action):
        self.frame += 1
        self.presses.append(int(action))
        return self._observe(), float(self.frame), self.frame == 12, False, self._info()

    def _observe(self):
        return np.full((4, 4), self.frame, np.uint8)

    def render(self):
        return np.full((4, 4, 3), self.frame, np.uint8)

    def _info(self):
        return {"lives": 2 if self.frame < 6 else 1 if self.frame < 12 else 0}


gymnasium.register("Arcade-v0", Arcade)


class OldGym26(gym.Env):
    """The interface of gym 0.26."""

    observation_space = gym.spaces.Box(0, 100, (2,), np.float32)
    action_space = gym.spaces.Discrete(3)
    render_mode = None

    def reset(self, *, seed=None, options=None):
        self.count = 0
        return np.array([0, 26], np.float32), {}

    def step(self, action):
        self.count += 1
        return np.array([self.count, 26], np.float32), 2.0, self.count == 3, False, {}


class OldGym21(gym.Env):
    """The interface of gym 0.21: reset gives an observation alone, step four values."""

    observation_space = gym.spaces.Box(0, 100, (2,), np.float32)
    action_space = gym.spaces.Discrete(3)

    def seed(self, seed=None):
        self.seeded = seed

    def reset(self):
        self.count = 0
        return np.array([0, 21], np.float32)

    def step(self, action):
        self.count += 1
        return np.array([self.count, 21], np.float32), 2.0, self.count == 3, {}


@contextlib.contextmanager
def full_disk(size):
    """Lets no file grow beyond size bytes: a write fails midway, as on a disk that is full."""
    resource = pytest.importorskip("resource", reason="Windows has no limits of this kind")
    before, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (before, hard))
