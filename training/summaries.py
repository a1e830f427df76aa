"""What whole games scored, against agent steps: in event files or in memory."""

import os
import time
import warnings
from collections import defaultdict, deque
from pathlib import Path

import gymnasium
import numpy as np
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.summary import scalar

from env_batch import GameScores
from training.event_file import EventFile

__all__ = ["NumpySummaries", "Outer", "Summaries", "TensorboardSummaries"]


class Outer:
    """What wrappers of a batch pass on from it."""

    @property
    def nenvs(self):
        """Number of environments, None for a single one."""
        return getattr(self.env, "nenvs", None)


class Summaries(Outer, gymnasium.Wrapper):
    """Writes what whole games scored, against agent steps over all environments.

    Under `Episodes/`: `reward_mean_100`, for each environment the mean raw score of its last 100
    games, averaged over the environments that have finished one; `games`, the smallest number of
    games behind these means; and over each environment's latest game `total` (mean raw score),
    `minimum`, `maximum` and `length` (mean, in agent steps).
    """

    def __init__(self, env):
        """Wraps one environment or a batch."""
        super().__init__(env)
        self.restart()

    def restart(self):
        """Forgets all games and counts from agent step 0; a runner that starts calls this."""
        count = self.nenvs or 1
        self.step_var = 0
        self._games = [deque(maxlen=100) for _ in range(count)]  # raw scores
        self._lengths = [0] * count  # agent steps of the latest game
        self._scores, self._life_lost = GameScores(1), False

    @property
    def summaries(self):
        """This wrapper, found through others by `env.get_wrapper_attr("summaries")`."""
        return self

    @property
    def reward_mean_100(self):
        """The figure that is graded, None before the first game has ended."""
        means = [np.mean(games) for games in self._games if games]
        return float(np.mean(means)) if means else None

    def reset(self, **kwargs):
        """Starts new games; one that is broken off is not counted."""
        if not self._life_lost:
            self._scores = GameScores(1)
        return self.env.reset(**kwargs)

    def step(self, action):
        """Steps the environment and writes when a whole game ended."""
        obs, rewards, terminated, truncated, infos = self.env.step(action)
        self.step_var += len(self._games)
        each = infos if self.nenvs else [infos]
        if not self.nenvs:
            self._life_lost = infos.get("life_lost", False)
            self._scores.record(rewards, np.array([terminated or truncated]), each)
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
        """Returns what `load_state_dict` needs to go on."""
        return {
            "step_var": self.step_var,
            "games": [list(g) for g in self._games],
            "lengths": list(self._lengths),
        }

    def load_state_dict(self, state):
        """Goes on from a state_dict of the same number of environments."""
        self.step_var = state["step_var"]
        self._games = [deque(games, maxlen=100) for games in state["games"]]
        self._lengths = list(state["lengths"])


class TensorboardSummaries(Summaries):
    """Summaries as TensorBoard event files.

    Points reach the disk every half minute and with each checkpoint. Where they cannot, on a full
    disk for example, a warning says so once, and they wait for space in memory while the run lasts.
    """

    def __init__(self, env, logdir=None):
        """Sets the folder, by default a new one below `$A2C_OUT/logs`.

        It is made with the first points, so that an environment that is only looked at leaves none.
        """
        self._file = None
        super().__init__(env)
        self.logdir = Path(logdir) if logdir else _new_logdir(env)

    def add_summary(self, name, value):
        """Draws a point."""
        if self._file is None:
            self._file = EventFile(self.logdir, self._purge_step)
        self._file.add(Event(summary=scalar(name, float(value)), step=self.step_var))
        if time.monotonic() - self._flushed > 30:
            self.flush()

    def state_dict(self):
        """Returns what `load_state_dict` needs, and brings the points before it to the disk."""
        self.flush()
        return super().state_dict()

    def load_state_dict(self, state):
        """Goes on from a state_dict; TensorBoard drops the points that were drawn beyond it."""
        super().load_state_dict(state)
        self._reopen(self.step_var + 1)

    def restart(self):
        """Counts from 0 again; points that were drawn already are dropped by TensorBoard."""
        super().restart()
        self._reopen(1 if self._file else None)

    def drop_earlier_points(self):
        """Begins an event file at which TensorBoard drops all points that the folder holds."""
        self._reopen(1)
        self._file = EventFile(self.logdir, 1)
        self.flush()

    def _reopen(self, purge_step):
        self.flush()
        self._file, self._purge_step, self._full = None, purge_step, False

    def flush(self):
        """Brings every point to the disk."""
        self._flushed = time.monotonic()
        try:
            if self._file is not None:
                self._file.flush()
            self._full = False
        except OSError as e:
            if not self._full:
                warnings.warn(
                    f"the curves cannot be written: {e}. They wait in memory; make space",
                    stacklevel=2,
                )
            self._full = True

    def close(self):
        """Writes the last points and closes the environment."""
        self._reopen(self.step_var + 1)
        super().close()


class NumpySummaries(Summaries):
    """Summaries kept in memory; `get_values` reads those of the newest environment."""

    _points = defaultdict(list)

    def __init__(self, env):
        """Starts with no points."""
        super().__init__(env)
        self._points = NumpySummaries._points = defaultdict(list)

    def add_summary(self, name, value):
        """Keeps a point."""
        self._points[name].append(float(value))

    @classmethod
    def get_values(cls, name):
        """Returns all values of a name in their order, [N] float64.

        Raises:
            KeyError: If nothing was recorded under this name.
        """
        if name not in cls._points:
            raise KeyError(f"nothing was recorded as {name!r}; there are {sorted(cls._points)}")
        return np.array(cls._points[name])


def _new_logdir(env):
    name = env.spec.id.replace("/", "-") if env.spec else "run"
    unique = f"{time.strftime('%Y%m%d-%H%M%S')}-{time.time_ns() % 10**9:09d}"
    return Path(os.environ.get("A2C_OUT", ".")) / "logs" / f"{name}-{unique}"
