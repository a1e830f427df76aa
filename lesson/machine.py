"""What this machine is, how fast it is, and how long the full run will take on it."""

import os
import platform
import time
from importlib.metadata import version

import torch
from IPython.display import Markdown, display
from tabulate import tabulate
from torch import nn

from atari_wrappers import nature_dqn_env

__all__ = ["show_machine", "stand_in"]

PACKAGES = ("torch", "gymnasium", "ale-py", "numpy", "opencv-python")
MARKS = {400: 2_200_000, 600: 3_300_000}  # agent steps at which the reference run passed a score


def show_machine(game, nenvs, nsteps, total_steps, device, seconds=2.0):
    """Shows a table of versions, device, measured speeds, and the time that the run will take.

    Args:
        game: A game's name.
        nenvs: Number of environments.
        nsteps: Agent steps in each between two updates.
        total_steps: Length of the full run, in agent steps.
        device: Where the network is.
        seconds: Length of each of the two measurements.

    Returns:
        Agent steps per second of emulators and network, one after the other.
    """
    emulators = _emulator_speed(game, nenvs, seconds)
    network = _network_speed(nenvs, nsteps, device, seconds)
    speed = 1 / (1 / emulators + 1 / network)
    goals = {f"to {score} (reference run)": steps for score, steps in MARKS.items()}
    goals[f"to the end ({total_steps:,} agent steps)"] = total_steps
    rows = {
        "Python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "no GPU",
        "CPU cores": os.cpu_count(),
        "emulators alone": f"{emulators:,.0f} agent steps/s",
        "network alone": f"{network:,.0f} agent steps/s",
        "both, one after the other": f"{speed:,.0f} agent steps/s",
        **{name: _duration(steps / speed) for name, steps in goals.items()},
    }
    display(
        Markdown(tabulate(rows.items(), headers=["", ""], tablefmt="pipe", disable_numparse=True))
    )
    return speed


def _emulator_speed(game, nenvs, seconds):
    env = nature_dqn_env(game, nenvs=nenvs, summaries=False)
    env.reset()
    speed = _per_second(lambda: env.step(env.action_space.sample()), nenvs, seconds)
    env.close()
    return speed


def stand_in():
    """Returns a network with other layers than the assignment's and about the same cost."""
    return nn.Sequential(
        *(nn.Conv2d(4, 28, 10, 4), nn.ReLU(), nn.Conv2d(28, 60, 5, 2), nn.ReLU()),
        *(nn.Conv2d(60, 88, 3), nn.ReLU(), nn.Flatten(), nn.Linear(88 * 36, 512), nn.ReLU()),
        nn.Linear(512, 7),
    )


def _network_speed(nenvs, nsteps, device, seconds):
    network = stand_in().to(device, memory_format=torch.channels_last)
    frames = torch.rand(nenvs, 4, 84, 84, device=device)
    frames = frames.contiguous(memory_format=torch.channels_last)

    def learn():
        loss = sum(network(frames).mean() for _ in range(nsteps))
        loss.backward()
        return loss.item()

    return _per_second(learn, nenvs * nsteps, seconds)


def _per_second(work, samples, seconds):
    """Returns how many samples per second work() gets through, after one call to warm up."""
    work()
    began, calls = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        work()
        calls += 1
    return samples * calls / (time.perf_counter() - began)


def _duration(seconds):
    return (
        f"about {seconds / 3600:.1f} hours"
        if seconds > 3600
        else f"about {seconds / 60:.0f} minutes"
    )
