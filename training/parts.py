"""Do the objects that train belong together, and to the classes as they are now?"""

import sys
import weakref

from training import RunError

__all__ = ["check_new", "check_parts", "mark_trained"]

AGAIN = (
    "Run the cells again from the one that makes the model (Task 1) on, or restart the kernel and "
    "run all cells"
)
_TRAINED_IN = weakref.WeakKeyDictionary()  # model: the name of its run


def mark_trained(model, run_name):
    """Remembers that a model holds what was trained in a run."""
    _TRAINED_IN[model] = run_name


def check_new(model, run_name):
    """Raises RunError if a new run would start with a model that has trained."""
    if model in _TRAINED_IN:
        raise RunError(
            f"{run_name} is a new run, and the model has already trained in {_TRAINED_IN[model]}: "
            f"it would start with those weights. Nothing was changed. {AGAIN}"
        )


def check_parts(parts):
    """Looks through the objects that train, before they do.

    Args:
        parts: The objects by name; among them are `model`, `optimizer` and `runner`, an EnvRunner.

    Raises:
        RunError: If one is of a class that was edited since it was made, or acts with or trains
            another model than `model`, or holds another optimizer than `optimizer`.
    """
    model, optimizer, runner = parts["model"], parts["optimizer"], parts["runner"]
    owners = [(name, part) for name, part in parts.items() if part is not model]
    owners += [(type(transform).__name__, transform) for transform in runner.transforms]
    policies = [(name, owner.policy) for name, owner in owners if hasattr(owner, "policy")]
    for _, each in [("model", model), *owners, *policies]:
        _check_class(type(each))
    for name, policy in policies:
        if hasattr(policy, "model") and _weights(policy.model) != _weights(model):
            raise _mixed(f"the policy of the {name}", "model")
    trained = {id(weight) for group in optimizer.param_groups for weight in group["params"]}
    if not trained <= _weights(model):
        raise _mixed("the optimizer", "model")
    for name, owner in owners:
        if getattr(owner, "optimizer", optimizer) is not optimizer:
            raise _mixed(f"the {name}", "optimizer")


def _mixed(owner, what):
    return RunError(
        f"{owner} holds another {what} than the one that is saved: one of them was made again, and "
        f"nothing was trained. {AGAIN}"
    )


def _weights(model):
    """Returns what tells a model's parameters from another's, also where a wrapper holds it."""
    return {id(parameter) for parameter in model.parameters()}


def _check_class(cls):
    """Raises RunError if the module of a class holds another class under its name by now."""
    now = sys.modules.get(cls.__module__)
    for name in cls.__qualname__.split("."):
        now = getattr(now, name, None)
    if isinstance(now, type) and now is not cls:
        raise RunError(
            f"the class {cls.__name__} was edited, and the object that would train is still of the "
            f"old class: nothing was trained. {AGAIN}"
        )
