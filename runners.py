"""A policy meets the environments for n steps."""

import contextlib
import ctypes
from types import SimpleNamespace

import numpy as np

from env_batch import check_count
from languages import _

__all__ = ["EnvRunner"]

_OWN_KEYS = {"observations", "rewards", "resets", "state"}


class EnvRunner:
    """Collects partial trajectories of T agent steps in B environments.

    Attributes:
        summaries: The environments' summaries, None where they have none.

    Example:
        >>> import gymnasium
        >>> from env_batch import EnvBatch
        >>> class Idle:
        ...     def act(self, observations):
        ...         return {"actions": np.zeros(len(observations), int)}
        >>> env = EnvBatch([gymnasium.make("CartPole-v1") for _ in range(3)])
        >>> runner = EnvRunner(env, Idle(), nsteps=5)
        >>> trajectory = runner.get_next()
        >>> len(trajectory["rewards"]), trajectory["rewards"][0].shape, runner.step_var
        (5, (3,), 15)
    """

    def __init__(self, env, policy, nsteps, transforms=()):
        """Resets the environments; what their summaries have counted is kept.

        Args:
            env: A batch of environments.
            policy: Anything whose `act(observations)` returns a dict with `"actions"`; if it has a
                method `reset()`, that is called too.
            nsteps: Length T of a partial trajectory in agent steps.
            transforms: Callables that change the trajectory in place, applied in their order; what
                they return is ignored.

        Raises:
            ValueError: If env is a single environment or nsteps is below 1.
        """
        self.nenvs = getattr(env, "nenvs", None)
        if self.nenvs is None:
            raise ValueError(
                _("EnvRunner needs a batch: nature_dqn_env(..., nenvs=1), or SingleEnvBatch(env)")
            )
        self.env, self.policy, self.transforms = env, policy, list(transforms)
        self.nsteps = check_count("nsteps", nsteps)
        self.summaries = (
            env.get_wrapper_attr("summaries") if env.has_wrapper_attr("summaries") else None
        )
        self._counter = self.summaries or SimpleNamespace(step_var=0)
        _keep_freed_memory()
        self.reset()

    @property
    def step_var(self):
        """Agent steps so far, over all environments: the horizontal axis of every curve.

        Summaries count them for every runner of an environment; without them each runner does.
        """
        return self._counter.step_var

    def reset(self, seed=None):
        """Starts new games and resets the policy; `step_var` is kept."""
        self._latest_observation, _ = self.env.reset(seed=seed)
        if hasattr(self.policy, "reset"):
            self.policy.reset()

    def get_next(self):
        """Plays T agent steps.

        Returns:
            A dict of lists of length T: `observations` ([B, 4, 84, 84] float32), `actions`,
            `rewards` ([B] float32), `resets` ([B] bool, terminated or truncated) and whatever else
            `policy.act` returns; and `state`, a dict with `latest_observation`, s_{t+T}, and
            `env_steps`, T. The transforms have changed it.

        Raises:
            ValueError: If `policy.act` does not return a dict with `"actions"`, or uses one of the
                runner's keys.
        """
        steps = [self._step() for _ in range(self.nsteps)]
        trajectory = {key: [step[key] for step in steps] for key in steps[0]}
        trajectory["state"] = {
            "latest_observation": self._latest_observation,
            "env_steps": self.nsteps,
        }
        for transform in self.transforms:
            transform(trajectory)
        return trajectory

    def _step(self):
        observation = self._latest_observation
        act = self._act(observation)
        self._latest_observation, rewards, terminated, truncated, _ = self.env.step(act["actions"])
        if not self.summaries:
            self._counter.step_var += self.nenvs
        return {
            "observations": observation,
            **act,
            "rewards": rewards,
            "resets": np.logical_or(terminated, truncated),
        }

    def _act(self, observation):
        act = self.policy.act(observation)
        if not isinstance(act, dict):
            told = _(
                "policy.act returned a {type}, expected a dict with 'actions', one per environment"
            )
            raise ValueError(told.format(type=type(act).__name__))
        if "actions" not in act:
            told = _(
                "policy.act returned the keys {keys}, expected a dict with 'actions', "
                "one per environment"
            )
            raise ValueError(told.format(keys=sorted(act)))
        if taken := _OWN_KEYS & act.keys():
            told = _("policy.act returned the keys {keys}, which the runner fills: rename them")
            raise ValueError(told.format(keys=sorted(taken)))
        return act

    def add_summary(self, name, value):
        """Draws a value at the current agent step, unless the environment has summaries=False."""
        if self.summaries:
            self.summaries.add_summary(name, value)

    def state_dict(self):
        """Returns what a checkpoint keeps: `step_var` and the scores behind `reward_mean_100`."""
        return {
            "step_var": self.step_var,
            "summaries": self.summaries.state_dict() if self.summaries else None,
        }

    def load_state_dict(self, state):
        """Resumes counting from a state_dict; games start again, emulators keep no state."""
        if self.summaries and state["summaries"]:
            self.summaries.load_state_dict(state["summaries"])
        self._counter.step_var = state["step_var"]


def _keep_freed_memory():
    """Lets the process keep the memory of a freed trajectory for the next one.

    glibc hands arrays of this size back to the system and asks for new ones at every update, which
    costs a page fault for each 4 KB. Other C libraries have no mallopt and are left as they are.
    """
    mmap_threshold, trim_threshold = -3, -1  # as in malloc.h
    with contextlib.suppress(OSError, AttributeError, TypeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(mmap_threshold, 1 << 28)
        libc.mallopt(trim_threshold, 1 << 30)
