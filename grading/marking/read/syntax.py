"""Which pieces of code a class is made of, whatever its names: a copy is found by them."""

import ast
import hashlib
import re

__all__ = ["read_shapes"]

FEWEST_NODES, MOST_NODES = 8, 5_000  # of a piece; of a class
MOST_HASHES = 4_000  # of a class
MOST_SOURCE = 100_000  # characters of a cell


def read_shapes(sources, classes):
    """Returns digests of the statements and expressions of classes.

    Names that a class gives itself are numbered within each piece in the order in which they
    appear; docstrings and comments are left out, and so is what is shorter than FEWEST_NODES.

    Args:
        sources: Of code cells; of two classes with one name the last counts.
        classes: Their names.

    Returns:
        {name: sorted digests}, of the classes that are there.
    """
    found = {}
    for source in sources:
        for node in _parsed(source).body:
            if isinstance(node, ast.ClassDef) and node.name in classes:
                found[node.name] = node
    return {name: _hashes(node) for name, node in found.items()}


def _parsed(source):
    """Returns a cell's tree, an empty one where it is no Python; lines for the shell left out."""
    source = re.sub(r"(?m)^([ \t]*)[%!].*$", r"\1pass", source[:MOST_SOURCE])
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ast.Module([], [])


def _hashes(tree):
    """Returns the digests of a class, the smallest of them where they are too many."""
    nodes = [*ast.walk(tree)]
    if len(nodes) > MOST_NODES:
        return []
    for node in nodes:
        _drop_docstring(node)
    own = _own_names(tree)
    pieces = [node for node in ast.walk(tree) if isinstance(node, (ast.stmt, ast.expr))]
    try:
        hashes = {_hash(piece, own) for piece in pieces} - {None}
    except RecursionError:
        return []  # no person writes so deep
    return sorted(hashes)[:MOST_HASHES]


def _hash(piece, own):
    """Returns the digest of a piece, None of one that is too short to tell."""
    words = [*_words(piece, own, {})]
    if sum(word.startswith("(") for word in words) < FEWEST_NODES:
        return None
    text = " ".join(words).encode(errors="replace")
    return hashlib.blake2b(text, digest_size=8).hexdigest()


def _drop_docstring(node):
    body = getattr(node, "body", None)
    if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) is not None:
        node.body = body[1:] or [ast.Pass()]


def _own_names(tree):
    """Returns the names that a class gives: variables, arguments, attributes and methods."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            names.add(node.attr)
        elif isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, ast.FunctionDef):
            names.add(node.name)
    return names


def _words(node, own, numbers):
    """Yields a tree as words, a bracket before each node; fills the numbers of names."""
    yield f"({type(node).__name__}"
    for field, value in ast.iter_fields(node):
        if field in ("ctx", "type_comment", "kind", "type_params"):
            continue
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, ast.AST):
                yield from _words(one, own, numbers)
            elif isinstance(one, str) and one in own and field != "value":
                yield str(numbers.setdefault(one, len(numbers)))
            else:
                yield repr(one)
    yield ")"
