"""The two halves of every check, on the objects that a notebook made.

`observe_task` runs the student's objects and gives plain arrays. `judge_task` compares these with
what is expected; it runs nothing of the student's and trusts nothing in them.
"""

import warnings

import numpy as np

from languages import N_, _
from tests.checks.a2c import judge_a2c, observe_a2c
from tests.checks.chain import judge_chain, observe_chain
from tests.checks.merge import judge_merge, observe_merge
from tests.checks.model import judge_model, observe_model
from tests.checks.policy import judge_policy, observe_policy
from tests.checks.value_targets import judge_value_targets, observe_value_targets

__all__ = ["INPUTS", "OBJECTS", "TASKS", "TOGETHER", "judge_task", "observe_task"]

TOGETHER = N_("the five tasks together")  # looked at last, and judged where each task passes

OBJECTS = {  # that a task's check looks at, by their names in the notebook
    "NatureModel": ("env", "settings", "model"),
    "Policy": ("env", "settings", "model", "policy"),
    "ComputeValueTargets": ("env", "settings", "model", "policy", "runner"),
    "MergeTimeBatch": ("env", "settings", "model", "policy", "runner"),
    "A2C": ("env", "settings", "model", "policy", "runner", "optimizer", "a2c"),
    TOGETHER: ("env", "settings", "model", "policy", "runner", "optimizer", "a2c"),
}
TASKS = tuple(task for task in OBJECTS if task != TOGETHER)
INPUTS = {  # of what is expected, the numbers that a task's objects are fed with
    "NatureModel": ("biases/policy head", "biases/value head"),
    "Policy": ("policy/logits", "values"),
    "A2C": tuple(f"a2c/{k}/normalisers" for k in range(3)),
}
SETTINGS = ("gamma", "value_loss_coef", "entropy_coef", "max_grad_norm", "lr", "alpha", "eps")
SETTINGS += ("nsteps", "nenvs")


# observe: this half runs the student's objects


def observe_task(task, given, seed, inputs):
    """Runs the objects of one task.

    Args:
        task: One of TASKS, or TOGETHER.
        given: {name: object}, with all of OBJECTS[task].
        seed: Of the draw.
        inputs: {name: array} of INPUTS[task] for this seed.

    Returns:
        {name: array}, among them "claims": the number of actions and the SETTINGS.

    Raises:
        CheckError: If the student's code raises; the message says where.
    """
    n_actions, settings = int(given["env"].action_space.spaces[0].n), given["settings"]
    model, policy, runner = (given.get(name) for name in ("model", "policy", "runner"))
    if task == "NatureModel":
        seen = observe_model(model, n_actions, seed, inputs)
    elif task == "Policy":
        seen = observe_policy(model, policy, n_actions, seed, inputs)
    elif task == "ComputeValueTargets":
        gamma = settings["gamma"]
        seen = observe_value_targets(model, policy, runner.transforms, seed, gamma)
    elif task == "MergeTimeBatch":
        seen = observe_merge(model, policy, runner.transforms, seed)
    else:
        made = model, policy, runner, given["optimizer"], given["a2c"], n_actions, seed
        seen = observe_chain(*made) if task == TOGETHER else observe_a2c(*made, inputs)
    claims = [n_actions, *(float(settings[name]) for name in SETTINGS)]
    return {**seen, "claims": np.array(claims)}


# judge: plain arrays alone


def judge_task(task, seen, seed, expected):
    """Returns what is wrong with one task, None where nothing is; never raises.

    Args:
        task: One of TASKS, or TOGETHER.
        seen: What `observe_task` returned, or anything else that claims to be that.
        seed: Of the draw.
        expected: {name: array} that a right answer gives for this seed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of numbers that are none
            return _judge(task, seen, seed, expected)
    except Exception as e:
        text = _("what the notebook gave for this task cannot be read ({error})")
        return text.format(error=f"{type(e).__name__}: {e}")


def _judge(task, seen, seed, expected):
    n_actions, settings = _claims(seen)
    if task == "NatureModel":
        return judge_model(seen, expected, n_actions)
    if task == "Policy":
        return judge_policy(seen, expected, n_actions, seed)
    if task == "ComputeValueTargets":
        return judge_value_targets(seen, expected, settings["gamma"], seed)
    if task == "MergeTimeBatch":
        return judge_merge(seen, seed)
    if task == TOGETHER:
        return judge_chain(seen, expected, n_actions, seed, settings)
    return judge_a2c(seen, expected, n_actions, settings)


def _claims(seen):
    """Returns the number of actions and the settings that the notebook claims."""
    n_actions, *numbers = np.asarray(seen["claims"], float).tolist()
    settings = dict(zip(SETTINGS, numbers, strict=True))
    least = min(settings[name] for name in ("max_grad_norm", "lr", "nsteps", "nenvs"))
    if settings["max_grad_norm"] == np.inf:  # nothing is clipped
        numbers.remove(np.inf)
    if not (np.isfinite(numbers).all() and n_actions in range(3, 19) and least > 0):
        text = _("{n} actions, settings {settings}")
        raise ValueError(text.format(n=int(n_actions), settings=settings))
    return int(n_actions), settings
