"""All small changes of a source, one at a time.

cosmic-ray knows those of operators, comparisons, numbers, conditions and loops. What it lacks is
here: something dropped, replaced by a part of itself, or exchanged with its neighbour or its like.
"""

import ast
import itertools
import warnings

from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.provider import OperatorProvider

__all__ = ["find_keys", "mutate"]

MODULES = ("torch", "nn", "F", "np")  # no call is replaced by the module that it stands in


def mutate(source, keys):
    """Returns the sources that differ from this one in one place, each once.

    Args:
        source: Python, whose docstrings and messages stay as they are.
        keys: Strings that are exchanged with each other.
    """
    found = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)
        for changed in itertools.chain([source], _by_library(source), _by_us(source, keys)):
            try:
                compile(changed, "mutant", "exec")
            except SyntaxError:
                continue
            found.setdefault(ast.dump(ast.parse(changed)), changed)
    return list(found.values())[1:]


def find_keys(source):
    """Returns the strings that a source uses as keys: in brackets, in dictionaries, compared."""
    found = []
    for node in _nodes(ast.parse(source)):
        found += [node.slice] if isinstance(node, ast.Subscript) else []
        found += node.keys if isinstance(node, ast.Dict) else []
        found += node.comparators if isinstance(node, ast.Compare) else []
    return {node.value for node in found if _is_constant(node, str)}


def _by_library(source):
    provider = OperatorProvider()
    for operator in map(provider.__getitem__, provider):
        if operator.arguments():  # replaces names by numbers that it draws
            continue
        for occurrence in itertools.count():
            changed = mutate_code(source, operator(), occurrence)
            if changed is None:
                break
            yield changed


def _by_us(source, keys):
    text, tree = _Text(source), ast.parse(source)
    for node in _nodes(tree):
        for changes in (_drop_statements, _change_items, _shorten, _decide, _change_constants):
            yield from itertools.starmap(text.replaced, changes(node, text))
    yield from itertools.starmap(text.replaced, _exchange(tree, text, keys))


class _Text:
    """A source whose nodes are found by their places in bytes."""

    def __init__(self, source):
        self.data = source.encode()
        lengths = map(len, self.data.splitlines(keepends=True))
        self.lines = [0, *itertools.accumulate(lengths)]

    def span(self, node):
        """Returns where a node begins and where it ends."""
        begin = self.lines[node.lineno - 1] + node.col_offset
        return begin, self.lines[node.end_lineno - 1] + node.end_col_offset

    def between(self, begin, end):
        """Returns a piece of the source."""
        return self.data[begin:end].decode()

    def replaced(self, begin, end, text):
        """Returns the source with a piece replaced."""
        return (self.data[:begin] + text.encode() + self.data[end:]).decode()


def _nodes(node):
    """Walks through a tree, not into f-strings and docstrings."""
    yield node
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.JoinedStr) and not _is_docstring(child):
            yield from _nodes(child)


def _is_constant(node, kind):
    return isinstance(node, ast.Constant) and type(node.value) is kind


def _is_docstring(node):
    return isinstance(node, ast.Expr) and _is_constant(node.value, str)


def _is_module(node):
    while isinstance(node, ast.Attribute):
        node = node.value
    return isinstance(node, ast.Name) and node.id in MODULES


# each of these yields (begin, end, new text)


def _drop_statements(node, text):
    body = getattr(node, "body", [])
    for statement in [*body, *getattr(node, "orelse", [])] if isinstance(body, list) else []:
        if not _is_docstring(statement) and not isinstance(statement, ast.Pass):
            yield *text.span(statement), "pass"


def _change_items(node, text):
    """Drops each argument, element or entry, and swaps neighbours that have no name."""
    items, nameless = [], 0
    if isinstance(node, ast.Call):
        items, nameless = [*node.args, *node.keywords], len(node.args)
    elif isinstance(node, (ast.Tuple, ast.List)):
        items, nameless = node.elts, len(node.elts)
    elif isinstance(node, ast.Dict):
        items = node.keys
    spans = [text.span(item) for item in items]
    if isinstance(node, ast.Dict):
        ends = [text.span(value)[1] for value in node.values]
        spans = [(begin, end) for (begin, _), end in zip(spans, ends, strict=True)]
    for k, (begin, end) in enumerate(spans):
        if k + 1 < len(spans):
            yield begin, spans[k + 1][0], ""
        else:
            yield spans[k - 1][1] if k else begin, end, ""
    for (begin, middle), (other, end) in itertools.pairwise(spans[:nameless]):
        pieces = (other, end), (middle, other), (begin, middle)
        yield begin, end, "".join(itertools.starmap(text.between, pieces))


def _shorten(node, text):
    """Replaces an expression by a part of itself."""
    parts = []
    if isinstance(node, ast.Call):
        parts = node.args[:1]
        if isinstance(node.func, ast.Attribute) and not _is_module(node.func.value):
            parts = [*parts, node.func.value]
    elif isinstance(node, ast.IfExp):
        parts = [node.body, node.orelse]
    elif isinstance(node, ast.BinOp):
        parts = [node.left, node.right]
    elif isinstance(node, ast.Subscript):
        parts = [node.value]
    for part in parts:
        yield *text.span(node), f"({text.between(*text.span(part))})"


def _decide(node, text):
    """Settles a condition, and takes a block out of its `with`."""
    if isinstance(node, ast.If):
        yield *text.span(node.test), "True"
        yield *text.span(node.test), "False"
    elif isinstance(node, ast.With):
        yield text.span(node)[0], text.span(node.items[-1].context_expr)[1], "if True"


def _change_constants(node, text):
    if _is_constant(node, int) or _is_constant(node, float):
        for value in (0 * node.value, 2 * node.value, -node.value):
            yield *text.span(node), f"({value})"
    elif _is_constant(node, str):
        yield *text.span(node), repr(f"{node.value}_")


def _exchange(tree, text, keys):
    """Exchanges keys with keys, attributes of `self` with others, names with others of a scope."""
    nodes = list(_nodes(tree))
    own = [n for n in nodes if isinstance(n, ast.Attribute) and ast.unparse(n.value) == "self"]
    for node, other in itertools.product(own, sorted({node.attr for node in own})):
        begin, end = text.span(node)
        yield end - len(node.attr), end, other
    used = [node for node in nodes if _is_constant(node, str) and node.value in keys]
    for node, other in itertools.product(used, sorted(keys)):
        yield *text.span(node), f'"{other}"'
    for scope in (node for node in nodes if isinstance(node, (ast.FunctionDef, ast.Module))):
        for node, other in itertools.product(*_names(scope)):
            yield *text.span(node), other


def _names(scope):
    """Returns the names that a scope reads, as nodes, and what each could be mistaken for."""
    if isinstance(scope, ast.FunctionDef):
        names = [node for node in _nodes(scope) if isinstance(node, ast.Name)]
        known = {node.id for node in names if isinstance(node.ctx, ast.Store)}
        known |= {argument.arg for argument in scope.args.args} - {"self"}
    else:
        loose = [one for one in scope.body if not isinstance(one, (ast.ClassDef, ast.FunctionDef))]
        names = [n for one in loose for n in _nodes(one) if isinstance(n, ast.Name)]
        known = {node.id for node in names if not _is_module(node)}
    read = [n for n in names if isinstance(n.ctx, ast.Load) and n.id in known]
    return read, sorted(known)
