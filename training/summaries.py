"""What whole games scored, against agent steps: in event files or in memory."""

import os
import time
from collections import deque
from pathlib import Path

import gymnasium
import numpy as np
from gymnasium.utils import RecordConstructorArgs
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.summary import scalar

from env_batch import GameScores
from languages import _
from training.event_file import EventFile

__all__ = ["NumpySummaries", "Outer", "RecordScores", "Summaries", "TensorboardSummaries"]


class Outer:
    """What wrappers of a batch pass on from it."""

    @property
    def nenvs(self):
        """Number of environments, None for a single one."""
        return getattr(self.env, "nenvs", None)


class RecordScores(gymnasium.Wrapper, RecordConstructorArgs):
    """Says `info["episode"]` at the end of a whole game of one environment, as every batch does.

    A reset whose info says `"life_lost"` resumes the game. Every other one starts a new game, and
    what was broken off is not counted.
    """

    def __init__(self, env):
        """Starts at zero."""
        RecordConstructorArgs.__init__(self)
        super().__init__(env)
        self.game_scores = GameScores(1)

    def reset(self, **kwargs):
        """Resets the environment."""
        obs, info = self.env.reset(**kwargs)
        if not info.get("life_lost"):
            self.game_scores = GameScores(1)
        return obs, info

    def step(self, action):
        """Steps the environment."""
        obs, reward, terminated, truncated, info = self.env.step(action)
        self.game_scores.record(reward, np.array([terminated or truncated]), [info])
        return obs, reward, terminated, truncated, info


class Summaries(Outer, gymnasium.Wrapper, RecordConstructorArgs):
    """Writes what whole games scored, against agent steps over all environments.

    Under `Episodes/`: `reward_mean_100`, for each environment the mean raw score of its last 100
    games, averaged over the environments that have finished one; `games`, the smallest number of
    games behind these means; and over each environment's latest game `total` (mean raw score),
    `minimum`, `maximum` and `length` (mean, in agent steps).

    Attributes:
        step_var: Agent steps so far, over all environments; runners read it, none sets it back.
    """

    def __init__(self, env):
        """Wraps a batch, or one environment, whose scores are recorded where they are not yet."""
        RecordConstructorArgs.__init__(self)
        count = getattr(env, "nenvs", None)
        recorded = count is not None or env.has_wrapper_attr("game_scores")
        super().__init__(env if recorded else RecordScores(env))
        self.step_var = 0
        self._games = [deque(maxlen=100) for _ in range(count or 1)]  # raw scores
        self._lengths = [0] * len(self._games)  # agent steps of the latest game

    @property
    def summaries(self):
        """This wrapper, found through others by `env.get_wrapper_attr("summaries")`."""
        return self

    @property
    def reward_mean_100(self):
        """The figure that is graded, None before the first game has ended."""
        means = [np.mean(games) for games in self._games if games]
        return float(np.mean(means)) if means else None

    def step(self, action):
        """Steps the environment and writes when a whole game ended."""
        obs, rewards, terminated, truncated, infos = self.env.step(action)
        self.step_var += len(self._games)
        each = infos if self.nenvs else [infos]
        ended = [(i, info["episode"]) for i, info in enumerate(each) if "episode" in info]
        for i, episode in ended:
            self._games[i].append(float(episode["r"]))
            self._lengths[i] = int(episode["l"])
        if ended:
            self._write_games()
        return obs, rewards, terminated, truncated, infos

    def _write_games(self):
        played = [i for i, games in enumerate(self._games) if games]
        latest = [self._games[i][-1] for i in played]
        figures = {
            "reward_mean_100": self.reward_mean_100,
            "games": min(len(self._games[i]) for i in played),
            "total": np.mean(latest),
            "minimum": min(latest),
            "maximum": max(latest),
            "length": np.mean([self._lengths[i] for i in played]),
        }
        for name, value in figures.items():
            self.add_summary(f"Episodes/{name}", value)

    def add_summary(self, name, value):
        """Records a value at the current agent step."""
        raise NotImplementedError

    def state_dict(self):
        """Returns what `load_state_dict` needs to resume."""
        return {
            "step_var": self.step_var,
            "games": [list(g) for g in self._games],
            "lengths": list(self._lengths),
        }

    def load_state_dict(self, state):
        """Resumes from a state_dict of the same number of environments."""
        self.step_var = state["step_var"]
        self._games = [deque(games, maxlen=100) for games in state["games"]]
        self._lengths = list(state["lengths"])


class TensorboardSummaries(Summaries):
    """Summaries as TensorBoard event files.

    The first point reaches the disk at once, the next ones within seconds, and the last ones with a
    checkpoint, or when the environment is gone or the program ends, closed or not. Where they
    cannot, on a full disk for example, a warning says so once, and they wait for space in memory.

    Attributes:
        logdir: The folder of the event files, absolute: a later `%cd` does not move it.
    """

    def __init__(self, env, logdir=None):
        """Sets the folder, by default a new one below `$A2C_OUT/logs`.

        It is made with the first points, so that an environment that is only looked at leaves none.
        """
        RecordConstructorArgs.__init__(self, logdir=logdir)
        super().__init__(env)
        self.logdir = (Path(logdir) if logdir else _new_logdir(env)).absolute()
        self._file, self._purge_step = None, None

    @property
    def path(self):
        """The event file that this environment writes, None before its first point."""
        return self._file.path if self._file else None

    def step(self, action):
        """Steps the environment, and brings points to the disk that have waited for seconds."""
        result = super().step(action)
        if self._file:
            self._file.flush_when_due()
        return result

    def add_summary(self, name, value):
        """Draws a point."""
        if self._file is None:
            self._file = EventFile(self.logdir, self, self._purge_step)
        self._file.add(Event(summary=scalar(name, float(value)), step=self.step_var))

    def state_dict(self):
        """Returns what `load_state_dict` needs, and brings the points before it to the disk."""
        self.flush()
        return super().state_dict()

    def load_state_dict(self, state):
        """Resumes from a state_dict; TensorBoard drops the points that were drawn beyond it."""
        super().load_state_dict(state)
        self.flush()
        self._file, self._purge_step = None, self.step_var + 1

    def drop_earlier_points(self):
        """Begins an event file at which TensorBoard drops all points that the folder holds."""
        self.flush()
        self._file = EventFile(self.logdir, self, purge_step=1)
        self.flush()

    def flush(self):
        """Brings every point to the disk."""
        if self._file:
            self._file.flush()

    def close(self):
        """Writes the last points and closes the environment."""
        self.flush()
        super().close()


class NumpySummaries(Summaries):
    """Summaries kept in memory; `get_values` reads those of the newest environment."""

    _points = {}  # {name: values} of the newest environment

    def __init__(self, env):
        """Starts with no points."""
        super().__init__(env)
        self._points = NumpySummaries._points = {}

    def add_summary(self, name, value):
        """Keeps a point."""
        self._points.setdefault(name, []).append(float(value))

    @classmethod
    def get_values(cls, name):
        """Returns all values of a name in their order, [N] float64.

        Raises:
            KeyError: If nothing was recorded under this name.
        """
        if name not in cls._points:
            told = _("nothing was recorded as {name!r}; there are {names}")
            raise KeyError(told.format(name=name, names=sorted(cls._points)))
        return np.array(cls._points[name])

    @classmethod
    def clear(cls):
        """Forgets all values; the counts behind `reward_mean_100` are kept."""
        cls._points.clear()


def _new_logdir(env):
    name = env.spec.id.replace("/", "-") if env.spec else "run"
    unique = f"{time.strftime('%Y%m%d-%H%M%S')}-{time.time_ns() % 10**9:09d}"
    return Path(os.environ.get("A2C_OUT", ".")) / "logs" / f"{name}-{unique}"
