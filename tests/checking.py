"""What the notebook's check cells say of an answer, given as sources of its cells."""

import contextlib
import functools
import io

import torch

from tests import checks, notebook

__all__ = ["CHECKS", "LEARNER", "SETTINGS", "Runner", "check", "make"]

LEARNER = ("model", "policy", "runner", "optimizer", "a2c", "N_ACTIONS", "settings")
SETTINGS = dict(nsteps=5, nenvs=16, gamma=0.99, lr=7e-4, alpha=0.99, eps=1e-5)
SETTINGS |= dict(value_loss_coef=0.25, entropy_coef=0.01, max_grad_norm=0.5)
CHECKS = {  # name: check, and the objects that it takes
    "NatureModel": (checks.check_model, ("model", "N_ACTIONS")),
    "Policy": (checks.check_policy, ("model", "policy", "N_ACTIONS")),
    "ComputeValueTargets": (
        checks.check_value_targets,
        ("model", "policy", "transforms", "GAMMA"),
    ),
    "MergeTimeBatch": (checks.check_merge, ("model", "policy", "transforms")),
    "A2C": (checks.check_a2c, LEARNER),
}


class Space:
    n = 6


class Env:
    """What a check reads of the environment."""

    class action_space:
        spaces = [Space]


class Runner:
    """What a check reads of the runner."""

    nsteps, nenvs = SETTINGS["nsteps"], SETTINGS["nenvs"]

    def __init__(self, policy, transforms):
        self.policy, self.transforms = policy, transforms


def make(changes=(), cells=(), seed=0):
    """Makes the objects of an answer as a notebook would.

    Args:
        changes: (cell id, old text, new text) each; the old text occurs once.
        cells: {cell id: source} in place of the notebook's.
        seed: Of the first weights.

    Returns:
        The namespace.
    """
    sources, imports = _solution()
    sources = {**sources, **dict(cells)}
    for cell, old, new in changes:
        assert sources[cell].count(old) == 1, (cell, old)
        sources[cell] = sources[cell].replace(old, new)
    torch.manual_seed(seed)
    given = notebook.run([*notebook.TASKS, "glue"], sources, dict(imports))
    runner = Runner(given["policy"], given["transforms"])
    return {**given, "env": Env, "runner": runner, "settings": SETTINGS}


@functools.cache
def _solution():
    """Returns the sources of the solved notebook, and what its cells import."""
    given = {"N_ACTIONS": 6, "GAMMA": SETTINGS["gamma"], "DEVICE": torch.device("cpu")}
    sources = {**notebook.cells(notebook.read()), "glue": notebook.GLUE}
    return sources, {**notebook.definitions(names=()), **given}


def check(task, given):
    """Returns what the check of a task says, "" where it passes."""
    function, names = CHECKS[task]
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            function(*(given[name] for name in names))
    except checks.CheckError as e:
        return str(e)
    return ""
