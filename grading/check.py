"""Checks each task on the objects that a notebook made.

The checks take the objects `model`, `policy`, `runner`, `optimizer` and `a2c` by their names.
"""

import contextlib
import io

from grading.verdicts import Verdict
from tests import checks

__all__ = ["OBJECTS", "check_task"]

OBJECTS = {
    "NatureModel": ("env", "settings", "model"),
    "Policy": ("env", "settings", "model", "policy"),
    "ComputeValueTargets": ("env", "settings", "model", "policy", "runner"),
    "MergeTimeBatch": ("env", "settings", "model", "policy", "runner"),
    "A2C": ("env", "settings", "model", "policy", "runner", "optimizer", "a2c"),
}


def check_task(task, namespace):
    """Checks one task on the names of a notebook; returns its Verdict."""
    missing = [name for name in OBJECTS[task] if name not in namespace]
    if missing:
        return Verdict("not reached", f"the notebook makes no object `{missing[0]}`")
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            _check(task, namespace)
    except checks.CheckError as e:
        return Verdict("failed", str(e))
    except BaseException as e:  # the student's, from where no check expects one
        return Verdict("failed", f"{task}: its check was left by {type(e).__name__}")
    return Verdict("passed")


def _check(task, given):
    n_actions, settings = int(given["env"].action_space.spaces[0].n), given["settings"]
    model, policy, runner = (given.get(name) for name in ("model", "policy", "runner"))
    if task == "NatureModel":
        checks.check_model(model, n_actions)
    elif task == "Policy":
        checks.check_policy(model, policy, n_actions)
    elif task == "ComputeValueTargets":
        checks.check_value_targets(model, policy, runner.transforms, settings["gamma"])
    elif task == "MergeTimeBatch":
        checks.check_merge(model, policy, runner.transforms)
    else:
        made = given["optimizer"], given["a2c"]
        checks.check_a2c(model, policy, runner, *made, n_actions, settings)
