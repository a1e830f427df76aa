"""Is a trace of a solution left in what students get? By syntax tree, names changed or not."""

import ast
import re
import textwrap

__all__ = ["Leak", "find_leaks", "fragments"]

LARGE = 12  # nodes of an expression beyond which it is a trace


class Leak(str):
    """Where a trace is: "file, line n: `the code`"."""


def fragments(solutions):
    """Returns what must be in no shipped file, as texts of syntax trees without names.

    Args:
        solutions: Lists of lines.
    """
    found = set()
    for lines in solutions:
        body = ast.parse("def solution():\n" + textwrap.indent(_dedented(lines), "    ")).body[0]
        found |= set(_traces(body))
    return found


def find_leaks(name, source, forbidden):
    """Returns the Leaks of one Python source; `name` is what a message calls it."""
    places = _places(ast.parse(source))
    return [
        Leak(f"{name}, line {line}: a trace of a solution")
        for text, line in places
        if text in forbidden
    ]


def _dedented(lines):
    return textwrap.dedent("\n".join(lines))


def _traces(tree):
    return (text for text, _ in _places(tree))


def _places(tree):
    """Yields (text, line) of each pair of consecutive statements and of each large expression."""
    for node in ast.walk(tree):
        for block in ("body", "orelse", "finalbody"):
            statements = getattr(node, block, [])
            if isinstance(statements, list):
                for pair in zip(statements, statements[1:], strict=False):
                    if not any(map(_is_idle, pair)):
                        yield "; ".join(map(_nameless, pair)), pair[0].lineno
        if isinstance(node, ast.expr) and sum(1 for _ in ast.walk(node)) > LARGE:
            yield _nameless(node), node.lineno


def _is_idle(statement):
    """Tells whether a statement says nothing of how a task is solved."""
    return isinstance(statement, (ast.Import, ast.ImportFrom, ast.Pass, ast.Raise))


def _nameless(node):
    """Returns a syntax tree as text, the names of variables left out."""
    return re.sub(r"(id|arg|name)='[^']*'", r"\1=_", ast.dump(node))
