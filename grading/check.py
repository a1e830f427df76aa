"""Runs a notebook's definitions, not its training, and checks each task.

The cells run in their order, in one namespace, until the objects `model`, `policy`, `runner`,
`optimizer` and `a2c` are there, and never beyond the first `runner.get_next()`. The checks then
take these objects by their names.
"""

import contextlib
import io
import os
import sys
import tempfile
import traceback
import warnings
from pathlib import Path
from typing import NamedTuple

import matplotlib
from IPython.core.inputtransformer2 import TransformerManager

from grading.notebook import parse
from runners import EnvRunner
from tests import checks

__all__ = ["Verdict", "check_notebook", "check_objects", "check_task", "run_definitions"]

OBJECTS = {
    "NatureModel": ("env", "model"),
    "Policy": ("env", "model", "policy"),
    "ComputeValueTargets": ("model", "policy", "runner"),
    "MergeTimeBatch": ("model", "policy", "runner"),
    "A2C": ("model", "policy", "runner", "optimizer", "a2c"),
}


class Verdict(NamedTuple):
    """What became of one check."""

    result: str  # "passed", "failed" or "not reached"
    message: str = ""


class TrainingReached(BaseException):
    """Raised in place of the first trajectory of `runner`."""


class _NoShell:
    """Stands for IPython's shell: magics and shell commands do nothing."""

    def __getattr__(self, name):
        return lambda *args, **kwargs: None


def check_notebook(path):
    """Checks every task of a notebook.

    Args:
        path: An .ipynb, beside which the helper modules lie or are importable.

    Returns:
        {task: Verdict}, in the tasks' order.

    Raises:
        ValueError: If the file holds no notebook.
    """
    path = Path(path).resolve()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as out:
        with _in_folder(path.parent, out):
            namespace, stopped = run_definitions(path)
            return check_objects(namespace, stopped)


@contextlib.contextmanager
def _in_folder(folder, out):
    """Works beside the notebook, and writes to a folder that is thrown away."""
    before, environment, paths = os.getcwd(), dict(os.environ), list(sys.path)
    os.environ.update(A2C_OUT=out)
    sys.path.insert(0, str(folder))
    matplotlib.use("agg")
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
        os.environ.clear()
        os.environ.update(environment)
        sys.path[:] = paths


def run_definitions(path):
    """Runs the cells until there is something of everything to check.

    Returns:
        The namespace, and why it stopped early ("" if it did not).
    """
    namespace = {"__name__": "__main__", "get_ipython": _NoShell}
    with _stopping_at_training(namespace):
        for k, cell in enumerate(parse(path.read_bytes(), path.name).cells):
            if cell.cell_type == "code":
                name = cell.get("id", f"cell-{k}")
                try:
                    _run_cell(name, cell.source, namespace)
                except TrainingReached:
                    break
                except (Exception, SystemExit, KeyboardInterrupt) as e:
                    return namespace, f"cell {name} raised {_told(e)}"
                if namespace.keys() >= set().union(*OBJECTS.values()):
                    break
    return namespace, ""


def _run_cell(name, source, namespace):
    code = compile(TransformerManager().transform_cell(source), name, "exec")
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(code, namespace)


def _told(error):
    last = traceback.extract_tb(error.__traceback__)[-1]
    message = f"{type(error).__name__}: {error}".removesuffix(": ")
    return f"{message} (line {last.lineno} of {Path(last.filename).name})"


@contextlib.contextmanager
def _stopping_at_training(namespace):
    get_next = EnvRunner.get_next

    def stop(self):
        if self is namespace.get("runner"):
            raise TrainingReached
        return get_next(self)

    EnvRunner.get_next = stop
    try:
        yield
    finally:
        EnvRunner.get_next = get_next


def check_objects(namespace, stopped=""):
    """Checks the objects that a notebook made.

    Args:
        namespace: The notebook's names.
        stopped: Why it did not come further.

    Returns:
        {task: Verdict}.
    """
    return {task: check_task(task, namespace, stopped) for task in OBJECTS}


def check_task(task, namespace, stopped=""):
    """Checks one task; arguments as in `check_objects`."""
    missing = [name for name in OBJECTS[task] if name not in namespace]
    if missing:
        return Verdict("not reached", stopped or f"the notebook makes no object `{missing[0]}`")
    try:
        with (
            contextlib.redirect_stdout(io.StringIO()),
            warnings.catch_warnings(record=True) as said,
        ):
            warnings.simplefilter("always")
            _check(task, namespace)
    except checks.CheckError as e:
        return Verdict("failed", str(e))
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
