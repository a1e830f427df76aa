"""Many environments stepped as one.

Every batch keeps the same contract: `nenvs`, `reset(seed=...)` and `step(actions)`. An ended
episode starts again within the step that ended it; its last observation is kept in
`infos[i]["final_obs"]`, and where a whole game ended `infos[i]["episode"]` holds its raw score
`"r"` and its length in agent steps `"l"`. An environment that only lost a life sets
`infos[i]["life_lost"]`: the episode ends for the learner, the game goes on and its score is not yet
counted.
"""

import contextlib
import copy
import difflib
import inspect
import multiprocessing
import os
import signal
import threading
import traceback
from functools import partial
from multiprocessing.connection import wait

import ale_py
import gymnasium
import numpy as np
from ale_py.vector_env import AtariVectorEnv
from gymnasium.spaces import Discrete, Tuple
from gymnasium.vector import AsyncVectorEnv, AutoresetMode

from languages import _

__all__ = [
    "AtariEnvBatch",
    "EnvBatch",
    "ParallelEnvBatch",
    "SingleEnvBatch",
    "SpaceBatch",
    "WorkerError",
]

gymnasium.register_envs(ale_py)

FRAME_SKIP = 4


class WorkerError(RuntimeError):
    """A worker process raised, died or hung; its batch is closed."""


class SpaceBatch(Tuple):
    """The spaces of a batch: `spaces[i]` belongs to environment i, a sample is one array.

    Raises:
        ValueError: If there is no space, or the spaces differ.

    Example:
        >>> space = SpaceBatch([Discrete(6), Discrete(6)])
        >>> int(space.spaces[0].n), space.shape, space.contains(np.array([0, 5]))
        (6, (2,), True)
    """

    def __init__(self, spaces):
        """Keeps a copy of each space, so that each has a random state of its own."""
        spaces = [copy.deepcopy(space) for space in spaces]
        if not spaces:
            raise ValueError(_("a batch needs at least one environment, got none"))
        for i, space in enumerate(spaces):
            if space.shape is None:
                told = _("environment {i} has the space {space}, expected one of arrays")
                raise ValueError(told.format(i=i, space=space))
            if space != spaces[0]:
                told = _(
                    "environment {i} has the space {space}, environment 0 has {first}: "
                    "all of a batch must agree"
                )
                raise ValueError(told.format(i=i, space=space, first=spaces[0]))
        super().__init__(spaces)
        self._shape = (len(spaces), *spaces[0].shape)
        self.dtype = spaces[0].dtype

    @property
    def n(self):
        """Number of actions of one environment.

        Raises:
            AttributeError: If the spaces are not Discrete.
        """
        if not isinstance(self.spaces[0], Discrete):
            told = _("a batch of {space} has no n: only one of Discrete spaces has")
            raise AttributeError(told.format(space=self.spaces[0]))
        return self.spaces[0].n

    def sample(self, *args, **kwargs):
        """Draws one element per space, stacked: [B, ...]."""
        return np.stack(super().sample(*args, **kwargs))

    def contains(self, x):
        """Tells whether x holds one element of each space."""
        return len(x) == len(self.spaces) and all(
            space.contains(xi) for space, xi in zip(self.spaces, x, strict=True)
        )


class GameScores:
    """Adds up raw rewards until a whole game ends, for B environments."""

    def __init__(self, nenvs):
        """Starts B games at zero."""
        self._scores = np.zeros(nenvs)  # [B] raw
        self._lengths = np.zeros(nenvs, dtype=int)  # [B] agent steps

    def record(self, rewards, ended, infos):
        """Writes `"episode"` into the infos of games that ended.

        An environment that reports an episode of its own keeps it: it may have counted below a
        wrapper that clips.

        Args:
            rewards: [B] raw rewards of one step.
            ended: [B] bool, terminated or truncated.
            infos: B dicts, changed in place.
        """
        self._scores += rewards
        self._lengths += 1
        for i in np.flatnonzero(ended):
            if infos[i].get("life_lost"):
                continue
            infos[i].setdefault(
                "episode", {"r": float(self._scores[i]), "l": int(self._lengths[i])}
            )
            self._scores[i] = self._lengths[i] = 0


def spread_seeds(seed, nenvs):
    """Gives every environment a seed of its own.

    Args:
        seed: None, an int (spread over the environments by numpy's SeedSequence), or one int per
            environment.
        nenvs: Number of environments.

    Returns:
        A list of nenvs ints below 2**31, or of nenvs times None.

    Raises:
        ValueError: If the number of seeds is not nenvs, or a seed is negative or too large.
    """
    if seed is None:
        return [None] * nenvs
    if isinstance(seed, (int, np.integer)):
        _check_seed(seed)
        states = np.random.SeedSequence(int(seed)).generate_state(nenvs)
        return [int(state) >> 1 for state in states]
    seeds = list(seed)
    if len(seeds) != nenvs:
        told = _("{n} seeds for {nenvs} environments: give one int, or a list of {nenvs}")
        raise ValueError(told.format(n=len(seeds), nenvs=nenvs))
    for one in seeds:
        _check_seed(one)
    return [int(one) for one in seeds]


def _check_seed(seed):
    if not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**31:
        told = _("the seed {seed!r} is not an integer from 0 to 2**31 - 1")
        raise ValueError(told.format(seed=seed))


def scale_frames(frames):
    """Turns bytes of any shape into float32 in [0, 1], in one pass over the memory."""
    return np.multiply(frames, np.float32(1 / 255), dtype=np.float32)


def scale_stacks(stacks):
    """Turns byte stacks [B, C, H, W] into float32 in [0, 1].

    In memory the channels of a pixel lie side by side ("channels last"): convolutions read that
    order fastest, and would otherwise copy into it at every call.
    """
    nenvs, channels, height, width = stacks.shape
    scaled = np.empty((nenvs, height, width, channels), np.float32)
    return np.multiply(stacks, np.float32(1 / 255), out=np.moveaxis(scaled, -1, 1))


def as_gymnasium(env):
    """Returns a gymnasium environment; one in the older gym interface is converted by shimmy.

    Raises:
        TypeError: If env is no environment, or an older one while the package gym is missing.
    """
    if isinstance(env, gymnasium.Env):
        return env
    if not (hasattr(env, "reset") and hasattr(env, "step")):
        told = _(
            "{thing!r} is no environment, it lacks reset and step: give the batch environments, "
            "not their names"
        )
        raise TypeError(told.format(thing=env))
    import shimmy

    parameters = inspect.signature(getattr(env, "unwrapped", env).reset).parameters.values()
    takes_seed = any(p.name == "seed" or p.kind is p.VAR_KEYWORD for p in parameters)
    convert = shimmy.GymV26CompatibilityV0 if takes_seed else shimmy.GymV21CompatibilityV0
    _drop_old_checker(env)
    try:
        return convert(env=env)
    except gymnasium.error.DependencyNotInstalled as e:
        told = _(
            "{type} is no gymnasium.Env. If it follows the older gym interface, "
            'shimmy can convert it once gym is there: pip install "gym==0.26.2"'
        )
        raise TypeError(told.format(type=type(env).__name__)) from e


def _drop_old_checker(env):
    """Takes out gym's own checker, which stumbles over names that NumPy 2 no longer has."""
    while hasattr(env, "env"):
        if type(env.env).__name__ == "PassiveEnvChecker":
            env.env = env.env.env
        env = env.env


@contextlib.contextmanager
def _interrupts_held():
    """Holds an interrupt (Ctrl-C, Jupyter's stop button) back until the block ends.

    No step is left half done by it, so the next one is right. A second one does not wait: an
    environment may hang.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # interrupts reach the main thread alone
        return
    held = []

    def hold(number, frame):
        if held:
            raise KeyboardInterrupt
        held.append(number)

    before = signal.signal(signal.SIGINT, hold)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if held:
            signal.raise_signal(signal.SIGINT)


def _step_env(env, action):
    obs, reward, terminated, truncated, info = env.step(action)
    if terminated or truncated:
        final_obs = obs
        obs, reset_info = env.reset()
        info = {**reset_info, **info, "final_obs": final_obs}
    return obs, reward, terminated, truncated, info


class EnvBatch(gymnasium.Env):
    """Steps its environments one after the other, in this process.

    Example:
        >>> batch = EnvBatch([gymnasium.make("CartPole-v1") for _ in range(3)], seeds=7)
        >>> obs, infos = batch.reset()
        >>> obs.shape, batch.nenvs
        ((3, 4), 3)
    """

    metadata = {"render_modes": ["rgb_array"]}
    render_mode = "rgb_array"
    closed = False
    envs = ()  # none where they live in threads or workers

    def __init__(self, envs, seeds=None):
        """Takes the environments over.

        Args:
            envs: B environments with equal spaces, gymnasium's or in the older gym interface.
            seeds: As in `spread_seeds`; used by the first reset that names none.

        Raises:
            ValueError: If there are no environments, their spaces differ, or the number of seeds is
                not B.
            TypeError: If one of them is no environment.
        """
        self.envs = [as_gymnasium(env) for env in envs]
        self.spec = self.envs[0].spec if self.envs else None
        self._set_up(
            [env.observation_space for env in self.envs],
            [env.action_space for env in self.envs],
            seeds,
        )

    def _set_up(self, observation_spaces, action_spaces, seeds):
        self.observation_space = SpaceBatch(observation_spaces)
        self.action_space = SpaceBatch(action_spaces)
        self.nenvs = len(action_spaces)
        self._first_seeds = spread_seeds(seeds, self.nenvs)
        self.action_space.seed(None if seeds is None else self._first_seeds)
        self._scores = GameScores(self.nenvs)

    def reset(self, *, seed=None, options=None):
        """Starts a new game in every environment.

        Args:
            seed: None (goes on with the random states there are), an int, or one int per
                environment.
            options: Not used; part of gymnasium's interface.

        Returns:
            obs [B, ...] and infos, B dicts.
        """
        seeds = self._first_seeds if seed is None else spread_seeds(seed, self.nenvs)
        self._first_seeds = [None] * self.nenvs
        self._scores = GameScores(self.nenvs)
        return self._undivided(self._reset, seeds)

    def step(self, actions):
        """Advances every environment once; ended episodes start again within the step.

        Args:
            actions: [B], one per environment.

        Returns:
            obs [B, ...], rewards [B] float32 (as the environments give them, not clipped),
            terminated and truncated [B] bool, infos (B dicts). Where an episode ended, obs opens
            the next one and `infos[i]["final_obs"]` closes the last.

        Raises:
            ValueError: If there are not B actions, or one is outside its space.
            RuntimeError: If the batch is closed.
        """
        return self._undivided(self._step, self._check_actions(actions))

    def _undivided(self, method, argument):
        if self.closed:
            raise RuntimeError(_("this batch is closed: make a new one"))
        with _interrupts_held():
            return method(argument)

    def _check_actions(self, actions):
        actions = np.asarray(actions)
        space = self.action_space.spaces[0]
        if actions.shape != self.action_space.shape:
            told = _("actions have the shape {shape}, expected {expected}: one per environment")
            raise ValueError(told.format(shape=actions.shape, expected=self.action_space.shape))
        if isinstance(space, Discrete) and np.issubdtype(actions.dtype, np.integer):
            actions = actions.astype(np.int64)
            inside = (actions >= space.start) & (actions < space.start + space.n)
        else:
            inside = np.array([space.contains(action) for action in actions])
        if not inside.all():
            i = int(np.argmin(inside))
            told = _("action {action!r} of environment {i} is outside {space}: choose one inside")
            raise ValueError(told.format(action=actions[i], i=i, space=space))
        return actions

    def _reset(self, seeds):
        observations, infos = zip(
            *(env.reset(seed=seed) for env, seed in zip(self.envs, seeds, strict=True)), strict=True
        )
        return np.stack(observations), list(infos)

    def _step(self, actions):
        steps = [_step_env(env, action) for env, action in zip(self.envs, actions, strict=True)]
        observations, rewards, terminated, truncated, infos = zip(*steps, strict=True)
        rewards = np.array(rewards, dtype=np.float32)
        terminated, truncated = np.array(terminated, dtype=bool), np.array(truncated, dtype=bool)
        self._scores.record(rewards, terminated | truncated, infos)
        return np.stack(observations), rewards, terminated, truncated, list(infos)

    def render(self):
        """Returns the picture of the first environment, [H, W, 3] bytes.

        Raises:
            NotImplementedError: If threads or workers step the environments.
        """
        if not self.envs:
            raise NotImplementedError(
                _(
                    "this batch draws no pictures: "
                    "make one environment with nenvs=None and render that"
                )
            )
        return self.envs[0].render()

    def close(self):
        """Closes every environment, with the threads or workers; may be called again."""
        if not self.closed:
            self.closed = True
            self._close()

    def _close(self):
        for env in self.envs:
            env.close()


class SingleEnvBatch(EnvBatch):
    """Makes one environment a batch of one."""

    def __init__(self, env, seeds=None):
        """Takes the environment over; seeds as in `EnvBatch`."""
        super().__init__([env], seeds)


class AtariEnvBatch(EnvBatch):
    """Steps ALE's own C++ threads, which also skip, take the maximum, resize and stack.

    Observations are [B, 4, 84, 84] float32 in [0, 1]. Everything agrees with `atari_wrappers`, but
    for `final_obs` of a game that ended within the four frames of a step, and for truncation: the
    frames before the first observation are not counted here.
    """

    def __init__(
        self, env_id, nenvs, seeds=None, *, episodic_life=True, max_random_actions=30, threads=0
    ):
        """Starts the threads.

        Args:
            env_id: Name of a game without frame skip, as "SpaceInvadersNoFrameskip-v4".
            nenvs: Number of environments B.
            seeds: As in `spread_seeds`; used by the first reset that names none.
            episodic_life: Whether a lost life ends an episode; the game goes on either way.
            max_random_actions: Bound on the no-ops that open a game, in frames; 1 for none.
            threads: How many there are; 0 for one on each core.

        Raises:
            ValueError: If env_id names no such game, or nenvs is below 1.
        """
        check_game(env_id)
        nenvs = check_count("nenvs", nenvs)
        self.spec = gymnasium.spec(env_id)
        game = self.spec.kwargs
        self._vector = AtariVectorEnv(
            game["game"],
            nenvs,
            autoreset_mode="SameStep",
            max_num_frames_per_episode=game["max_num_frames_per_episode"],
            repeat_action_probability=game["repeat_action_probability"],
            num_threads=threads,
            thread_affinity_offset=-1 if threads else _first_core(nenvs),
            noop_max=max_random_actions,
            life_loss_info=episodic_life,
            reward_clipping=False,
        )
        space = gymnasium.spaces.Box(0, 1, self._vector.single_observation_space.shape, np.float32)
        self._set_up([space] * nenvs, [self._vector.single_action_space] * nenvs, seeds)

    def _reset(self, seeds):
        frames, info = self._vector.reset(seed=None if seeds[0] is None else np.array(seeds))
        self._game_frames = info["episode_frame_number"]
        return scale_stacks(frames), [{} for _ in range(self.nenvs)]

    def _step(self, actions):
        frames, rewards, terminated, truncated, info = self._vector.step(actions)
        observations = scale_stacks(frames)
        infos = [{} for _ in range(self.nenvs)]
        goes_on = info["episode_frame_number"] > self._game_frames  # a new game counts from 0
        self._game_frames = info["episode_frame_number"]
        ended = terminated | truncated
        for i in np.flatnonzero(ended):
            if goes_on[i]:  # ALE leaves the row of final_obs unwritten where only a life was lost
                infos[i] = {"final_obs": observations[i].copy(), "life_lost": True}
            else:
                infos[i] = {"final_obs": scale_frames(info["final_obs"][i])}
        rewards = rewards.astype(np.float32)
        self._scores.record(rewards, ended, infos)
        return observations, rewards, terminated, truncated, infos

    def _close(self):
        self._vector = None  # ends the threads


class ParallelEnvBatch(EnvBatch):
    """Steps each environment in a worker process of its own, by gymnasium's AsyncVectorEnv."""

    def __init__(self, make_env, nenvs=None, seeds=None, *, context=None, timeout=60.0):
        """Starts the workers.

        Args:
            make_env: A function that makes an environment, or a list of B of them.
            nenvs: Number of environments B; not needed with a list.
            seeds: As in `spread_seeds`; used by the first reset that names none.
            context: "fork", "forkserver" or "spawn"; by default Python's own choice.
            timeout: Seconds until workers that do not answer count as hung.

        Raises:
            ValueError: If nenvs is below 1, or not the number of functions.
            WorkerError: From reset and step, if a worker raised, died or hung: with its traceback.
        """
        make_envs = _as_factories(make_env, nenvs)
        example = as_gymnasium(make_envs[0]())
        observation_space, action_space = example.observation_space, example.action_space
        self.spec = example.spec
        example.close()
        self._set_up([observation_space] * len(make_envs), [action_space] * len(make_envs), seeds)
        self._timeout = timeout
        self._workers = AsyncVectorEnv(
            [
                partial(_Worker, os.getpid(), make, observation_space, action_space)
                for make in make_envs
            ],
            context=context,
            autoreset_mode=AutoresetMode.DISABLED,  # a worker's own batch does it
        )

    def _reset(self, seeds):
        return self._ask(self._workers.reset_async, self._workers.reset_wait, seeds)

    def _step(self, actions):
        observations, rewards, terminated, truncated, infos = self._ask(
            self._workers.step_async, self._workers.step_wait, actions
        )
        return observations, rewards.astype(np.float32), terminated, truncated, infos

    def _ask(self, send, receive, argument):
        """Returns what all workers answer; where one fails, or an exception breaks in, all end."""
        try:
            send(argument)
            *arrays, infos = receive(self._timeout)
            return *arrays, [_open(i, told) for i, told in enumerate(infos["told"])]
        except BaseException as error:
            reason = self._explain(error)
            self._end()
            if reason is None:
                raise
            told = _("{reason}\nAll workers were ended; make a new batch.")
            raise WorkerError(told.format(reason=reason)) from None

    def _explain(self, error):
        """Returns what a person needs to know, None where the error is not a worker's."""
        workers = self._workers
        if isinstance(error, multiprocessing.TimeoutError):
            late = [i for i, pipe in enumerate(workers.parent_pipes) if not pipe.poll()]
            told = _(
                "environments {late} did not answer within {seconds:g} s: they hang, or need a "
                "longer timeout"
            )
            return told.format(late=late, seconds=self._timeout)
        if isinstance(error, (EOFError, OSError)):
            told = _(
                "workers died; exit codes by environment: {codes}; "
                "out of memory, or killed from outside?"
            )
            return told.format(codes=_exit_codes(workers.processes))
        return str(error) if isinstance(error, WorkerError) else None

    def _end(self):
        self.closed = self._workers.closed = True
        for process in self._workers.processes:
            process.kill()
        for process in self._workers.processes:
            process.join()
        for pipe in self._workers.parent_pipes:
            pipe.close()

    def _close(self):
        try:
            self._workers.call_async("finish")
            self._workers.call_wait(timeout=5)
        except (EOFError, OSError, multiprocessing.TimeoutError):
            pass  # a worker that is dead or hangs closes nothing
        finally:
            self._end()


class _Worker(gymnasium.Env):
    """What AsyncVectorEnv steps in a worker: a batch of one environment, made there.

    An info holds `"told"`: a tuple of the environment's own info (AsyncVectorEnv would merge the
    keys of dicts), or the traceback of an error (it would only log that).
    """

    def __init__(self, home, make_env, observation_space, action_space):
        """Makes nothing yet: AsyncVectorEnv also makes one of these in the process `home`."""
        self.observation_space, self.action_space = observation_space, action_space
        self._make_env = make_env
        self._batch = None
        if os.getpid() != home:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is the caller's to handle

    def reset(self, *, seed=None, options=None):
        """Makes the environment at the first call, and starts a game."""
        try:
            if self._batch is None:
                self._batch = SingleEnvBatch(self._make_env())
            obs, infos = self._batch.reset(seed=None if seed is None else [seed])
            return obs[0], {"told": tuple(infos)}
        except Exception:
            return self.observation_space.sample(), {"told": traceback.format_exc()}

    def step(self, action):
        """Steps the batch of one."""
        try:
            obs, rewards, terminated, truncated, infos = self._batch.step([action])
            return obs[0], rewards[0], terminated[0], truncated[0], {"told": tuple(infos)}
        except Exception:
            error = {"told": traceback.format_exc()}
            return self.observation_space.sample(), 0.0, False, False, error

    def finish(self):
        """Closes the environment."""
        if self._batch is not None:
            self._batch.close()


def _exit_codes(processes):
    ended = wait([process.sentinel for process in processes], 1)
    died = {i: process for i, process in enumerate(processes) if process.sentinel in ended}
    for process in died.values():
        process.join(1)  # the code comes a moment after the sentinel
    return {i: process.exitcode for i, process in died.items()}


def _open(i, told):
    if isinstance(told, str):
        words = _("environment {i} raised an error; its traceback:\n\n{traceback}")
        raise WorkerError(words.format(i=i, traceback=told))
    return told[0]


def _as_factories(make_env, nenvs):
    if callable(make_env):
        return [make_env] * check_count("nenvs", 1 if nenvs is None else nenvs)
    make_envs = list(make_env)
    if nenvs is not None and nenvs != len(make_envs):
        told = _("nenvs is {nenvs}, but make_env holds {n} functions: leave nenvs out")
        raise ValueError(told.format(nenvs=nenvs, n=len(make_envs)))
    check_count(_("the number of functions in make_env"), len(make_envs))
    return make_envs


def check_count(name, value):
    """Returns value if it is an integer of at least 1, or raises a ValueError that names it."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        told = _("{name} is {value!r}, expected an integer of at least 1")
        raise ValueError(told.format(name=name, value=value))
    return int(value)


def check_game(env_id):
    """Raises a ValueError unless env_id names an Atari game without frame skip."""
    games = [name for name in gymnasium.registry if "NoFrameskip-v4" in name]
    if env_id in gymnasium.registry and "NoFrameskip" in env_id:
        return
    similar = difflib.get_close_matches(str(env_id), games, n=1, cutoff=0.3)
    if env_id in gymnasium.registry:
        told = _(
            "{game!r} skips frames itself or is no Atari game, expected a name with NoFrameskip"
        )
    else:
        told = _("there is no game {game!r}, expected a name like 'SpaceInvadersNoFrameskip-v4'")
    told = told.format(game=env_id)
    if similar:
        told = _("{problem}; did you mean {name!r}?").format(problem=told, name=similar[0])
    raise ValueError(told)


def _first_core(nenvs):
    """Returns 0, which gives every core a thread of ALE's, or -1, which leaves it to the system.

    Left to itself the system at times wakes two threads on one core while another idles. They are
    not bound where they are fewer than the cores, or where some cores belong to others: there they
    would crowd the first ones.
    """
    cores = os.cpu_count()
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else cores
    return 0 if nenvs >= usable == cores else -1
