"""The process that runs a notebook's cells: `python -m grading.cells CELLS.json FOLDER`.

The cells run in their order, in one namespace, until the objects that the tasks need are there, and
never beyond the first `runner.get_next()`. A cell that raises is noted and the next goes on. A task
is judged as soon as its objects are there, and again where they are made anew; the notebook's own
check cells, and what only shows something, do nothing meanwhile.
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
import traceback
import types
import warnings
from pathlib import Path
from typing import NamedTuple
from unittest import mock

from IPython.core.inputtransformer2 import TransformerManager

from grading.check import OBJECTS, check_task
from lesson import machine, pictures
from runners import EnvRunner
from tests import checks

ROOT = Path(__file__).parent.parent
KIT = ("atari_wrappers", "env_batch", "runners", "training", "lesson", "grading", "tests")
LONGEST = 10_000  # characters of a message


class TrainingReached(BaseException):
    """Raised in place of the first trajectory of `runner`."""


class KitFinder(importlib.abc.MetaPathFinder):
    """Finds the kit's modules in the kit, whatever lies beside the notebook."""

    def find_spec(self, name, path=None, target=None):
        """Returns the spec of a module of the kit, None for any other."""
        return importlib.machinery.PathFinder.find_spec(name, [str(ROOT)]) if name in KIT else None


class NoShell:
    """Stands for IPython's shell: magics and shell commands do nothing."""

    def __getattr__(self, name):
        """Returns a function that takes anything."""
        return lambda *args, **kwargs: None


class Raised(NamedTuple):
    """A cell that did not come to its end."""

    source: str
    told: str
    unknown: str  # the name that it looked for and did not find, or ""

    def makes(self, name):
        """Says whether the cell was to make a name."""
        assigned = rf"(?:\w+ *, *)*{name}\b(?: *, *\w+)* *=(?!=)"
        return re.search(rf"^(?:(?:class|def) +{name}\b|{assigned})", self.source, re.M)


class Answer:
    """A notebook's names, which cells raised, and what was judged."""

    def __init__(self, namespace, send):
        """Starts with nothing judged; `send` takes each message, a dict."""
        self.namespace, self.send = namespace, send
        self.raised, self.judged, self.judging = [], {}, False

    def run(self, cells):
        """Runs cells, (name, source) each, until training begins or all objects are there."""
        with self._making_only():
            for name, source in cells:
                self.send(begins=f"cell {name}")
                try:
                    _run_cell(name, source, self.namespace)
                except TrainingReached:
                    break
                except BaseException as e:
                    told = f"cell {name} raised {_told(e)}"
                    unknown = getattr(e, "name", "") if isinstance(e, NameError) else ""
                    self.raised.append(Raised(source, told, str(unknown or "")))
                self.judge()
                if not any(self._missing(task) for task in OBJECTS):
                    break

    def judge(self):
        """Judges each task whose objects are new, and says what the others lack."""
        self.judging = True
        for task, names in OBJECTS.items():
            objects = [self.namespace.get(name) for name in names]
            before = self.judged.get(task, [object()])
            if not self._missing(task) and any(map(operator.is_not, objects, before)):
                self.send(begins=f"the check of {task}", checks=task)
                verdict = check_task(task, self.namespace)
                self.send(task=task, result=verdict.result, message=verdict.message[:LONGEST])
                self.judged[task] = objects
        lacks = {task: self._why(name) for task in OBJECTS if (name := self._missing(task))}
        self.send(lacks=lacks)
        self.judging = False

    def _missing(self, task):
        return next((name for name in OBJECTS[task] if name not in self.namespace), "")

    def _why(self, name):
        """Returns which cell should have made an object, and what went wrong in it."""
        wanted, told, seen = name, "", set()
        while name and name not in seen:
            seen.add(name)
            cell = next((one for one in reversed(self.raised) if one.makes(name)), None)
            name, told = (cell.unknown, cell.told) if cell else ("", told)
        if told:
            return told
        first = f"{self.raised[0].told}; " if self.raised else ""
        return f"{first}the notebook makes no object `{wanted}`"

    @contextlib.contextmanager
    def _making_only(self):
        """Keeps the cells from training, from checking and from showing."""
        get_next = EnvRunner.get_next

        def stop(runner):
            own = runner is self.namespace.get("runner") or "a2c" in self.namespace
            if self.judging or not own:
                return get_next(runner)
            self.judge()
            self.send(ending="")  # a cell may catch what is raised here
            raise TrainingReached

        with contextlib.ExitStack() as stack:
            stack.enter_context(mock.patch.object(EnvRunner, "get_next", stop))
            for module in (checks, machine, pictures):
                for name in module.__all__:
                    if name.startswith(("check_", "show_")):
                        idle = self._idle(getattr(module, name))
                        stack.enter_context(mock.patch.object(module, name, idle))
            yield

    def _idle(self, function):
        """Returns a function that does nothing outside a check of ours."""
        return lambda *args, **kwargs: function(*args, **kwargs) if self.judging else None


def _run_cell(name, source, namespace):
    code = compile(TransformerManager().transform_cell(source), name, "exec")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(code, namespace)


def _told(error):
    """Returns type, message and the last line of an exception."""
    try:
        message = f"{type(error).__name__}: {error}".removesuffix(": ")[:LONGEST]
    except Exception:  # its __str__ is the student's
        message = type(error).__name__
    last = traceback.extract_tb(error.__traceback__)[-1]
    if last.filename == __file__:  # it could not be compiled
        return message
    return f"{message} (line {last.lineno} of {Path(last.filename).name})"


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


def main(listing, folder):
    """Runs the cells of a JSON file, a list of (name, source), beside a folder's modules."""
    send = _messenger()
    faulthandler.enable()
    sys.meta_path.insert(0, KitFinder())
    sys.path.insert(1, folder)
    cells = json.loads(Path(listing).read_text())
    os.chdir(folder)
    module = sys.modules["__main__"] = types.ModuleType("__main__")
    module.__dict__.update(get_ipython=NoShell, display=lambda *args, **kwargs: None)
    Answer(module.__dict__, send).run(cells)
    send(ending="")


if __name__ == "__main__":
    main(*sys.argv[1:])
