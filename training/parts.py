"""Do the objects that train belong together, and to the classes as they are now?"""

import sys
import weakref

from languages import _
from training import RunError

__all__ = ["check_new", "check_parts", "mark_trained"]

AGAIN = _(
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
        told = _(
            "{run} is a new run, and the model has already trained in {other}: it would start with "
            "those weights. Nothing was changed. {again}"
        )
        raise RunError(told.format(run=run_name, other=_TRAINED_IN[model], again=AGAIN))


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
    for _name, each in [("model", model), *owners, *policies]:
        _check_class(type(each))
    for name, policy in policies:
        if hasattr(policy, "model") and _weights(policy.model) != _weights(model):
            told = _("the policy of the {name} holds another model than the one that is saved")
            raise _mixed(told.format(name=name))
    trained = {id(weight) for group in optimizer.param_groups for weight in group["params"]}
    if not trained <= _weights(model):
        raise _mixed(_("the optimizer holds another model than the one that is saved"))
    for name, owner in owners:
        if getattr(owner, "optimizer", optimizer) is not optimizer:
            told = _("the {name} holds another optimizer than the one that is saved")
            raise _mixed(told.format(name=name))


def _mixed(problem):
    told = _("{problem}: one of them was made again, and nothing was trained. {again}")
    return RunError(told.format(problem=problem, again=AGAIN))


def _weights(model):
    """Returns what tells a model's parameters from another's, also where a wrapper holds it."""
    return {id(parameter) for parameter in model.parameters()}


def _check_class(cls):
    """Raises RunError if the module of a class holds another class under its name by now."""
    now = sys.modules.get(cls.__module__)
    for name in cls.__qualname__.split("."):
        now = getattr(now, name, None)
    if isinstance(now, type) and now is not cls:
        told = _(
            "the class {name} was edited, and the object that would train is still of the old "
            "class: nothing was trained. {again}"
        )
        raise RunError(told.format(name=cls.__name__, again=AGAIN))
