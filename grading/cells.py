"""The process that runs a notebook's cells: `python -m grading.cells ORDER.json FOLDER`.

The cells run in their order, in one namespace, until the objects that the tasks need are there; of
those below, only the cells that make them anew (`anew`); and never beyond the first
`runner.get_next()`. A cell that raises is noted and the next goes on. A task is observed as soon as
its objects are there, and again where they are made anew; the notebook's own check cells, and what
only shows something, do nothing meanwhile, and no game is played. What is observed goes into files
beside the order; nothing is judged here.
"""

import contextlib
import faulthandler
import importlib.abc
import importlib.machinery
import json
import operator
import os
import re
import sys
import threading
import time
import traceback
import types
import warnings
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import gymnasium
import numpy as np
import psutil
from IPython.core.inputtransformer2 import TransformerManager

import atari_wrappers
from env_batch import EnvBatch
from grading.anew import made_anew
from grading.check import OBJECTS, TASKS, observe_task
from languages import _
from lesson import pictures, start
from runners import EnvRunner
from tests import checks

__all__ = ["Notebook", "join", "told_of"]

ROOT = Path(__file__).parent.parent
KIT = ("atari_wrappers", "env_batch", "runners", "training", "lesson", "languages")
KIT += ("grading", "tests")
LONGEST = 10_000  # characters of a message
CALLED = {"Policy": "act", "MergeTimeBatch": "__call__"}  # by the checks of other tasks too


class TrainingReached(BaseException):
    """Raised in place of the first trajectory of `runner`."""


class KitFinder(importlib.abc.MetaPathFinder):
    """Finds the kit's modules in the kit, whatever lies beside the notebook."""

    def find_spec(self, name, path=None, target=None):
        """Returns the spec of a module of the kit, None for any other."""
        return importlib.machinery.PathFinder.find_spec(name, [str(ROOT)]) if name in KIT else None


class NoShell:
    """Stands for IPython's shell: magics that run Python run it, once; all others do nothing."""

    def __init__(self, namespace):
        """Takes the namespace that cells run in."""
        self._namespace = namespace

    def run_cell_magic(self, name, line, cell):
        """Runs a cell under %%time and its like."""
        if name in ("time", "timeit", "capture", "prun"):
            self._run(cell, below=1)

    def run_line_magic(self, name, line, *args, **kwargs):
        """Runs a line after %time."""
        if name == "time":
            self._run(line, below=0)

    def _run(self, source, below):
        """Runs a source that stands so many lines below its magic, as a part of the cell."""
        cell = sys._getframe(2)
        below += source[: -len(source.lstrip()) or None].count("\n")  # these are taken away
        source = TransformerManager().transform_cell(source)
        source = "\n" * (cell.f_lineno - 1 + below) + source
        exec(compile(source, cell.f_code.co_filename, "exec"), self._namespace)

    def __getattr__(self, name):
        """Returns a function that takes anything."""
        return lambda *args, **kwargs: None


class Still(gymnasium.Env):
    """Stands for a game: nothing happens in it, and it starts at once."""

    observation_space = gymnasium.spaces.Box(0, 1, (4, 84, 84), np.float32)

    def __init__(self, action_space):
        """Takes the game's own actions."""
        self.action_space = action_space

    def reset(self, *, seed=None, options=None):
        """Returns an empty picture."""
        return np.zeros(self.observation_space.shape, np.float32), {}

    def step(self, action):
        """Returns an empty picture and no reward."""
        return np.zeros(self.observation_space.shape, np.float32), 0.0, False, False, {}


def still_env(env_id, nenvs=None, **kwargs):
    """Stands for `nature_dqn_env`, which takes seconds: what is checked needs no game played."""
    with contextlib.closing(gymnasium.make(env_id)) as game:
        actions = game.action_space
    return EnvBatch([Still(actions) for _env in range(nenvs)]) if nenvs else Still(actions)


class Raised(NamedTuple):
    """A cell that did not come to its end."""

    source: str
    told: str
    unknown: str  # the name that it looked for and did not find, or ""

    def makes(self, name):
        """Says whether the cell was to make a name."""
        assigned = rf"(?:\w+ *, *)*{name}\b(?: *, *\w+)* *=(?!=)"
        return re.search(rf"^(?:(?:class|def) +{name}\b|{assigned})", self.source, re.M)


class Notebook:
    """A notebook's names, and which of its cells raised.

    Attributes:
        namespace: That the cells run in.
        order: What the parent process wants: `{"left_out": {what: why}}` and more.
        send: Takes each message, the items of a dict.
        observing: Whether checks and training work as they do for a student.
    """

    def __init__(self, namespace, order, send):
        """Starts with no cell run."""
        self.namespace, self.order, self.send = namespace, order, send
        self.raised, self.observing = [], False

    def run(self, cells):
        """Runs cells, (name, source) each, until training begins or all objects are there.

        Of those below, the cells that make them anew before training run too, and are looked at
        when the last has run.
        """
        with self._making_only(), contextlib.suppress(TrainingReached):
            for k, cell in enumerate(cells, 1):
                self._run(*cell)
                self.look()
                if not any(self._missing(task) for task in OBJECTS):
                    self._make_anew(made_anew(cells, k))
                    break

    def _make_anew(self, cells):
        """Runs cells that make objects anew, and looks at all of them together."""
        for cell in cells:
            self._run(*cell)
        if cells:
            self.look()

    def _run(self, name, source):
        """Runs a cell; what it raises is noted."""
        if f"cell {name}" in self.order["left_out"]:
            self.raised.append(Raised(source, self.order["left_out"][f"cell {name}"], ""))
            return
        self.send(begins=f"cell {name}", shown=_("cell {name}").format(name=name))
        try:
            _run_cell(name, source, self.namespace)
        except TrainingReached:
            raise
        except BaseException as e:
            told = _("cell {name} raised {error}").format(name=name, error=told_of(e))
            unknown = getattr(e, "name", "") if isinstance(e, NameError) else ""
            self.raised.append(Raised(source, told, str(unknown or "")))

    def look(self):
        """Is called after each cell."""

    def train(self):
        """Is called where training would begin; the cell may catch what is raised after it."""

    def _missing(self, task):
        return next((name for name in OBJECTS[task] if name not in self.namespace), "")

    def why(self, name):
        """Returns which cell should have made an object, and what went wrong in it."""
        wanted, told, seen = name, "", set()
        while name and name not in seen:
            seen.add(name)
            cell = next((one for one in reversed(self.raised) if one.makes(name)), None)
            name, told = (cell.unknown, cell.told) if cell else ("", told)
        if told:
            return told
        first = f"{self.raised[0].told}; " if self.raised else ""
        return first + _("the notebook makes no object `{name}`").format(name=wanted)

    @contextlib.contextmanager
    def _making_only(self):
        """Keeps the cells from training, from checking and from showing."""
        get_next = EnvRunner.get_next

        def stop(runner):
            own = runner is self.namespace.get("runner") or "a2c" in self.namespace
            if self.observing or not own:
                return get_next(runner)
            self.look()
            self.train()
            raise TrainingReached

        with contextlib.ExitStack() as stack:
            stack.enter_context(mock.patch.object(EnvRunner, "get_next", stop))
            stack.enter_context(mock.patch.object(atari_wrappers, "nature_dqn_env", still_env))
            for name in ("show_doctor", "_start_display"):
                stack.enter_context(mock.patch.object(start, name, lambda *seconds: None))
            for module in (checks, pictures):
                for name in module.__all__:
                    if name.startswith(("check_", "show_")):
                        idle = self._idle(getattr(module, name))
                        stack.enter_context(mock.patch.object(module, name, idle))
            yield

    def _idle(self, function):
        """Returns a function that does nothing outside a check of ours."""
        return lambda *args, **kwargs: function(*args, **kwargs) if self.observing else None


class Answer(Notebook):
    """A notebook whose objects are observed."""

    def __init__(self, namespace, order, folder, send):
        """Starts with nothing observed.

        Args:
            namespace: That the cells run in.
            order: What the parent process wants; its "seeds" are {task: [seed]}.
            folder: Where files with what was observed go.
            send: Takes each message, the items of a dict.
        """
        super().__init__(namespace, order, send)
        self.folder, self.observed = folder, {}

    def train(self):
        """Ends what is observed."""
        self.send(ending="")

    def look(self):
        """Observes each task whose objects are new, and says what the others lack."""
        self.observing = True
        for task, names in OBJECTS.items():
            objects = [self.namespace.get(name) for name in names]
            before = self.observed.get(task, [object()])
            is_new = not self._missing(task) and any(map(operator.is_not, objects, before))
            if is_new and f"check {task}" not in self.order["left_out"]:
                shown = _("the check of {task}").format(task=_(task))
                self.send(begins=f"check {task}", shown=shown, checks=task)
                self.observed[task] = objects
                self._observe(task)
        self.send(lacks={task: self.why(name) for task in TASKS if (name := self._missing(task))})
        self.observing = False

    def _observe(self, task):
        """Observes one task on each draw, into files of the folder."""
        try:
            with self._without_what_ended():
                for seed, inputs in self._draws(task):
                    seen = observe_task(task, self.namespace, seed, inputs)
                    np.savez(self.folder / f"{task}-{seed}.npz", **seen)
        except checks.CheckError as e:
            self.send(task=task, raised=str(e)[:LONGEST])
        except BaseException as e:  # the student's, from where no check expects one
            text, error = _("{task}: its check was left by {error}"), type(e).__name__
            self.send(task=task, raised=text.format(task=_(task), error=error))
        else:
            self.send(task=task)

    @contextlib.contextmanager
    def _without_what_ended(self):
        """Lets methods that ended a process in their own check raise in the others."""
        with contextlib.ExitStack() as stack:
            for task, method in CALLED.items():
                made = self.namespace.get(task)
                if f"check {task}" in self.order["left_out"] and hasattr(made, method):
                    stack.enter_context(mock.patch.object(made, method, _refuse))
            yield

    def _draws(self, task):
        with np.load(self.folder / "inputs.npz") as file:
            for seed in self.order["seeds"][task]:
                prefix = f"{task}/{seed}/"
                names = [name for name in file.files if name.startswith(prefix)]
                yield seed, {name[len(prefix) :]: file[name] for name in names}


def _refuse(*args, **kwargs):
    raise RuntimeError(_("it ended the process in the check of its own task"))


def _run_cell(name, source, namespace):
    code = compile(TransformerManager().transform_cell(source), name, "exec")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(code, namespace)


def told_of(error):
    """Returns type, message and the last line of an exception."""
    try:
        message = f"{type(error).__name__}: {error}".removesuffix(": ")[:LONGEST]
    except Exception:  # its __str__ is the student's
        message = type(error).__name__
    last = traceback.extract_tb(error.__traceback__)[-1]
    if last.filename == __file__:  # it could not be compiled
        return message
    text, file = _("{message} (line {line} of {file})"), Path(last.filename).name
    return text.format(message=message, line=last.lineno, file=file)


def _messenger():
    """Takes standard output for messages, and lets what the cells print go with the errors."""
    sys.stdout.flush()
    channel, own = os.fdopen(os.dup(1), "w", encoding="ascii"), os.getpid()
    os.dup2(2, 1)

    def send(**message):
        if os.getpid() == own:  # a cell may have forked
            channel.write(json.dumps(message) + "\n")
            channel.flush()

    return send


def _parent_lives():
    """Returns a function that tells whether this process's parent is still there."""
    try:
        parent = psutil.Process().parent()
        return lambda: parent and parent.is_running() and parent.status() != psutil.STATUS_ZOMBIE
    except (psutil.Error, OSError):  # no /proc that another user may read
        number = os.getppid()
        return lambda: os.getppid() == number


def _end_with(parent_lives):
    """Ends this process and its children once its parent is gone."""
    while parent_lives():
        time.sleep(1)
    with contextlib.suppress(psutil.Error, OSError):
        for child in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                child.kill()
    os._exit(3)


def join(order, folder):
    """Makes this process one for the cells of a notebook, beside a folder's modules.

    Args:
        order: Path of a JSON file.
        folder: Path of the folder in which the cells run.

    Returns:
        (send, order, namespace): takes messages to the parent process; what the file holds; that of
        the cells.
    """
    send = _messenger()
    threading.Thread(target=_end_with, args=[_parent_lives()], daemon=True).start()
    faulthandler.enable()
    sys.meta_path.insert(0, KitFinder())
    sys.path.insert(1, folder)
    order = json.loads(Path(order).read_text())
    os.chdir(folder)
    module = sys.modules["__main__"] = types.ModuleType("__main__")
    shell = NoShell(module.__dict__)
    module.__dict__.update(get_ipython=lambda: shell, display=lambda *args, **kwargs: None)
    return send, order, module.__dict__


def main(order, folder):
    """Runs the cells of an order, a JSON file, beside a folder's modules."""
    scratch = Path(order).parent
    send, order, namespace = join(order, folder)
    Answer(namespace, order, scratch, send).run(order["cells"])
    send(ending="")


if __name__ == "__main__":
    main(*sys.argv[1:])
