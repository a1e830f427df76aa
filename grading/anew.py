"""Which cells make anew or alter what is judged, between the first set of objects and training.

Nothing is run here: a cell trains where it calls `get_next`, or names a function or class that does
so with a runner from outside. One that makes its own runner only plays something else, as Catch.
"""

import ast
import symtable
from typing import NamedTuple

from IPython.core.inputtransformer2 import TransformerManager

from grading.check import OBJECTS, TASKS

__all__ = ["made_anew"]

JUDGED = {*TASKS, *(name for names in OBJECTS.values() for name in names)} - {"env", "settings"}
SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


class _Cell(NamedTuple):
    """What a cell does to the notebook's names."""

    cell: tuple  # (name, source)
    makes: set  # names that it binds, or binds an attribute of, outside functions and classes
    uses: set  # names that it reads, in functions and classes too
    trains: bool


def made_anew(cells, first):
    """Returns the cells[first:] that make or alter classes or objects of a task before training.

    With them come the cells that define what they use, in the notebook's order.

    Args:
        cells: (name, source) of all code cells.
        first: Number of the first cell that has not been run.
    """
    trainers = set()
    rest = [_read(cell, trainers) for cell in cells][first:]
    end = next((k for k, one in enumerate(rest, 1) if one.trains), len(rest))
    return [one.cell for one in _needed(rest[:end])]


def _needed(rest):
    """Returns the cells that make what is judged, and the cells that these need."""
    needed, wanted = [], set(JUDGED)
    for one in reversed(rest):
        if one.makes & wanted:
            needed.insert(0, one)
            wanted |= one.uses
    return needed


def _read(cell, trainers):
    """Reads a cell that comes after others; adds to the names of what trains when it is used."""
    try:
        source = TransformerManager().transform_cell(_below_magic(cell[1]))
        tree, table = ast.parse(source), symtable.symtable(source, "", "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return _Cell(cell, set(), set(), False)
    outside = [*_outside(tree)]
    for scope in outside:
        if isinstance(scope, SCOPES) and _trains(ast.walk(scope), trainers, _made_in(scope)):
            trainers.add(scope.name)
    makes = {x.get_name() for x in table.get_symbols() if x.is_assigned() or x.is_imported()}
    makes |= {x.value.id for x in outside if _alters(x)}
    uses = {x.id for x in ast.walk(tree) if isinstance(x, ast.Name)}
    return _Cell(cell, makes, uses, _trains(outside, trainers))


def _alters(node):
    """Tells whether a node binds an attribute of a name, as `a2c.step = other` does."""
    stores = isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
    return stores and isinstance(node.value, ast.Name)


def _below_magic(source):
    """Returns a cell without the magic at its top, %%time say."""
    first, _newline, rest = source.partition("\n")
    return rest if first.startswith("%%") else source


def _made_in(scope):
    """Returns the names that a function or class binds, but for its arguments."""
    stored = (x for x in ast.walk(scope) if isinstance(x, ast.Name))
    return {x.id for x in stored if isinstance(x.ctx, ast.Store)}


def _trains(nodes, trainers, own=frozenset()):
    """Tells whether some nodes call `get_next` of no runner of their own, or name what does."""
    for node in nodes:
        if isinstance(node, ast.Attribute) and node.attr == "get_next":
            if getattr(node.value, "id", "") not in own:
                return True
        if isinstance(node, ast.Name) and node.id in trainers:
            return True
    return False


def _outside(tree):
    """Yields the nodes of a cell; of a function or class only itself."""
    nodes = [tree]
    while nodes:
        node = nodes.pop()
        yield node
        nodes += [] if isinstance(node, SCOPES) else ast.iter_child_nodes(node)
