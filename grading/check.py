"""Checks each task on the objects that a notebook made.

The checks take the objects `model`, `policy`, `runner`, `optimizer` and `a2c` by their names.
"""

import contextlib
import io
import warnings

from grading.verdicts import Verdict
from tests import checks

__all__ = ["OBJECTS", "check_task"]

OBJECTS = {
    "NatureModel": ("env", "model"),
    "Policy": ("env", "model", "policy"),
    "ComputeValueTargets": ("model", "policy", "runner"),
    "MergeTimeBatch": ("model", "policy", "runner"),
    "A2C": ("model", "policy", "runner", "optimizer", "a2c"),
}


def check_task(task, namespace):
    """Checks one task on the names of a notebook; returns its Verdict."""
    missing = [name for name in OBJECTS[task] if name not in namespace]
    if missing:
        return Verdict("not reached", f"the notebook makes no object `{missing[0]}`")
    try:
        with (
            contextlib.redirect_stdout(io.StringIO()),
            warnings.catch_warnings(record=True) as said,
        ):
            warnings.simplefilter("always")
            _check(task, namespace)
    except checks.CheckError as e:
        return Verdict("failed", str(e))
    except BaseException as e:  # the student's, from where no check expects one
        return Verdict("failed", f"{task}: its check was left by {type(e).__name__}")
    hints = [str(w.message) for w in said if issubclass(w.category, checks.CheckWarning)]
    return Verdict("passed", "; ".join(hints))


def _check(task, given):
    model, policy = given["model"], given.get("policy")
    transforms = given["runner"].transforms if "runner" in given else ()
    gammas = [t.gamma for t in transforms if isinstance(getattr(t, "gamma", None), float)]
    gamma = gammas[0] if gammas else 0.99
    if task in ("NatureModel", "Policy"):
        n_actions = int(given["env"].action_space.spaces[0].n)
    if task == "NatureModel":
        checks.check_model(model, n_actions)
    elif task == "Policy":
        checks.check_policy(model, policy, n_actions)
    elif task == "ComputeValueTargets":
        checks.check_value_targets(model, policy, transforms, gamma)
    elif task == "MergeTimeBatch":
        checks.check_merge(model, policy, transforms)
    else:
        checks.check_a2c(model, policy, transforms, given["optimizer"], given["a2c"], gamma)
