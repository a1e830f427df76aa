"""What is timed: each contender runs in a process of its own and answers in agent steps per second.

`python benchmarks/contenders.py NAME NENVS` builds one, then reads seconds from its standard input,
line by line, and writes a figure for each to its standard output.
"""

import contextlib
import multiprocessing
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

KIT = Path(__file__).parent.parent
GAME = "SpaceInvadersNoFrameskip-v4"
NSTEPS, N_ACTIONS = 5, 6


def steps_per_second(step, nenvs):
    """Returns a function that calls step(actions [B]) for some seconds, with random actions."""
    actions = np.random.default_rng(0).integers(N_ACTIONS, size=(1000, nenvs))

    def go(seconds):
        count, began = 0, time.perf_counter()
        while time.perf_counter() - began < seconds:
            step(actions[count % len(actions)])
            count += 1
        return count * nenvs / (time.perf_counter() - began)

    return go


def kit_threads(nenvs):
    """The kit's batch of ALE's C++ threads: float32 observations, scores of whole games."""
    return _kit_batch(nenvs, "threads")


def kit_processes(nenvs):
    """The kit's worker processes, which step its own wrappers."""
    return _kit_batch(nenvs, "processes")


def _kit_batch(nenvs, parallel):
    from atari_wrappers import nature_dqn_env

    env = nature_dqn_env(GAME, nenvs=nenvs, seed=0, summaries=False, parallel=parallel)
    env.reset()
    return steps_per_second(env.step, nenvs)


def async_vector_env(nenvs):
    """Gymnasium's worker processes with gymnasium's Atari wrappers: observations stay bytes."""
    import gymnasium

    env = gymnasium.vector.AsyncVectorEnv([_gymnasium_env] * nenvs)
    env.reset(seed=0)
    return steps_per_second(env.step, nenvs)


def _gymnasium_env():
    from gymnasium.wrappers import AtariPreprocessing, FrameStackObservation

    return FrameStackObservation(AtariPreprocessing(_game(), terminal_on_life_loss=True), 4)


def _game(**options):
    import ale_py
    import gymnasium

    gymnasium.register_envs(ale_py)  # in every worker process
    return gymnasium.make(GAME, **options)


def envpool(nenvs):
    """EnvPool's C++ threads: observations stay bytes, rewards are clipped."""
    from benchmarks import envpool_loop

    env = envpool_loop.batch(nenvs)
    env.reset()
    return steps_per_second(lambda actions: env.step(actions.astype(np.int32)), nenvs)


def sb3_processes(nenvs):
    """Stable-Baselines3's worker processes with its Atari wrappers: observations stay bytes."""
    env = _sb3_env(nenvs, "SubprocVecEnv")
    env.reset()
    return steps_per_second(env.step, nenvs)


def _sb3_env(nenvs, batch):
    from stable_baselines3.common import env_util, vec_env

    env = env_util.make_atari_env(_game, nenvs, seed=0, vec_env_cls=getattr(vec_env, batch))
    return vec_env.VecFrameStack(env, 4)


def emulator(nenvs):
    """The limit of stepping: bare ale.act, four times an agent step, in one process per core."""
    cores = os.cpu_count()
    pool = multiprocessing.Pool(cores)
    return lambda seconds: sum(pool.map(_act, [seconds] * cores, chunksize=1))


def _act(seconds):
    import ale_py

    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    ale = ale_py.ALEInterface()
    ale.loadROM(ale_py.roms.get_rom_path("space_invaders"))
    actions = ale.getMinimalActionSet()

    def step(chosen):
        for _ in range(4):
            ale.act(actions[chosen[0]])
        if ale.game_over():
            ale.reset_game()

    return steps_per_second(step, 1)(seconds)


def kit_training(nenvs):
    """The notebook's own cells up to its training loop, which writes curves and checkpoints."""
    given = _notebook(nenvs)
    given["train"](2 / 60)
    return lambda seconds: given["train"](seconds / 60)


def network(nenvs):
    """The limit of learning: forward and backward of the notebook's network, batch by batch."""
    given = _notebook(nenvs)
    torch, model = given["torch"], given["model"]
    frames = torch.rand(NSTEPS * nenvs, 4, 84, 84, device=given["DEVICE"])
    frames = frames.contiguous(memory_format=torch.channels_last)  # as the kit's batch gives them

    def learn(actions):
        model.zero_grad()
        logits, values = model(frames)
        (logits.square().mean() + values.square().mean()).backward()
        if given["DEVICE"].type == "cuda":
            torch.cuda.synchronize()

    learn(None)
    return steps_per_second(learn, NSTEPS * nenvs)


def _notebook(nenvs):
    """Runs the notebook's cells for nenvs environments; returns their names."""
    from tests import notebook

    os.environ["A2C_OUT"] = tempfile.mkdtemp(dir=os.environ["TMPDIR"])
    default = f"NENVS, NSTEPS = 16, {NSTEPS}"
    return notebook.training([("settings-cell", default, f"NENVS, NSTEPS = {nenvs}, {NSTEPS}")])


def envpool_training(nenvs):
    """A plain A2C loop on EnvPool with the notebook's network, optimizer and coefficients."""
    given = _notebook(nenvs)  # first: it sets how long PyTorch's threads stay awake
    from benchmarks import envpool_loop

    loop = envpool_loop.Loop(given, nenvs, NSTEPS)
    return steps_per_second(lambda actions: loop.update(), NSTEPS * nenvs)


def sb3_training(nenvs):
    """Stable-Baselines3's A2C with the same network and settings, in worker processes."""
    return _sb3_training(nenvs, "SubprocVecEnv")


def sb3_training_in_one_process(nenvs):
    """Stable-Baselines3's A2C with the same network and settings, in one process: its default."""
    return _sb3_training(nenvs, "DummyVecEnv")


def _sb3_training(nenvs, batch):
    from stable_baselines3 import A2C

    coefs = dict(learning_rate=7e-4, vf_coef=0.25, ent_coef=0.01, max_grad_norm=0.5)
    model = A2C("CnnPolicy", _sb3_env(nenvs, batch), n_steps=NSTEPS, seed=0, **coefs)

    def go(seconds):
        first, began = model.num_timesteps, time.perf_counter()
        model.learn(
            10**9,
            callback=lambda *_: time.perf_counter() - began < seconds,
            reset_num_timesteps=False,
        )
        return (model.num_timesteps - first) / (time.perf_counter() - began)

    go(2)
    return go


if __name__ == "__main__":
    sys.path.insert(0, str(KIT))
    answers = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):
        go = globals()[sys.argv[1]](int(sys.argv[2]))
        print("ready", file=answers, flush=True)
        for line in sys.stdin:
            print(go(float(line)), file=answers, flush=True)
