"""Keeps torch out of the judge's process, which shares 768 MB with the student's.

The two halves of a check stand in one file. The judge runs the second half, on NumPy's arrays
alone; torch is only named where the files are loaded.
"""

import importlib.abc
import importlib.machinery
import sys
import types

__all__ = ["without_torch"]


class _Named(type):
    """Has any attribute."""

    def __getattr__(cls, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Nothing


class Nothing(metaclass=_Named):
    """Stands for whatever is named of torch; as a decorator it does nothing."""

    def __init__(self, *args, **kwargs):
        """Takes anything."""

    def __call__(self, function):
        """Returns the function that it decorates."""
        return function


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec):
        return types.ModuleType(spec.name)

    def exec_module(self, module):
        module.__getattr__ = lambda name: getattr(Nothing, name)


def without_torch():
    """Lets `import torch` load nothing from now on, in this process."""
    if "torch" not in sys.modules:
        sys.meta_path.insert(0, _Finder())
