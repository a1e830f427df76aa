"""A run of a small network, for the tests of what saves, resumes and checks a run."""

import numpy as np
import torch

from env_batch import EnvBatch
from runners import EnvRunner
from tests.toys import Counting
from training.checkpoints import Run
from training.summaries import TensorboardSummaries

SETTINGS = {"game": "SpaceInvaders", "nenvs": 16, "network": "Linear(2, 2)"}


class Model(torch.nn.Linear):
    def __init__(self):
        super().__init__(2, 2)


class Policy:
    def __init__(self, model):
        self.model = model

    def act(self, observations):
        return {"actions": np.zeros(len(observations), int)}


class Targets:
    def __init__(self, policy):
        self.policy = policy

    def __call__(self, trajectory):
        pass


class Merge:
    def __call__(self, trajectory):
        pass


class Learner:
    def __init__(self, policy, optimizer):
        self.policy, self.optimizer = policy, optimizer


def games(logdir=None):
    """Returns 16 games that end together after 3 agent steps, with summaries or without."""
    env = EnvBatch([Counting() for _ in range(16)])
    return TensorboardSummaries(env, logdir) if logdir else env


def make_parts(env=None, model=None):
    """Returns what a notebook makes before it resumes a run: all that is saved, by name."""
    torch.manual_seed(1)
    model = model or Model()
    policy = Policy(model)
    optimizer = torch.optim.RMSprop(model.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda k: 1 / (1 + k))
    runner = EnvRunner(env or games(), policy, 5, [Targets(policy), Merge()])
    return dict(model=model, optimizer=optimizer, schedule=schedule, runner=runner)


def make_run(folder, copy_to=None, parts=None, **settings):
    """Returns a run that is not resumed yet, and its parts."""
    parts = parts or make_parts()
    return Run(folder, {**SETTINGS, **settings}, copy_to=copy_to, **parts), parts


def new_run(folder, **kwargs):
    """Returns a run that has just started, and its parts."""
    run, parts = make_run(folder, **kwargs)
    assert run.resume(10**9) == f"starting {folder.name}"
    return run, parts


def train(parts, updates):
    """Makes some updates of 80 agent steps each."""
    for _ in range(updates):
        parts["runner"].get_next()
        parts["optimizer"].zero_grad()
        parts["model"](torch.randn(4, 2)).square().sum().backward()
        parts["optimizer"].step()
        parts["schedule"].step()


def sit(run, parts, until):
    """Trains in one sitting up to an agent step."""
    with run.sitting(0) as sitting:
        while sitting.continues() and parts["runner"].step_var < until:
            train(parts, 1)


def names(folder):
    """Returns the names of the files in a folder, sorted."""
    return sorted(path.name for path in folder.iterdir())
