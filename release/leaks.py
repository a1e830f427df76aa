"""Is a trace of a solution left in what students get? By syntax tree, names changed or not."""

import ast
import re
import textwrap

__all__ = ["Traces", "code_of_markdown", "find_leaks", "traces"]

LARGE = 12  # nodes of an expression beyond which it is a trace
CODE = re.compile(r"^```\w*\n(?P<block>.*?)^```|`(?P<span>[^`\n]+)`", re.DOTALL | re.MULTILINE)


class Traces(frozenset):
    """Texts of syntax trees that must stand nowhere: pairs of statements, large expressions."""

    statements = frozenset()  # single ones, which no hint may hold


def traces(solutions):
    """Returns the Traces of solutions, each a list of lines."""
    trees = [_tree("\n".join(lines)) for lines in solutions]
    found = Traces(text for tree in trees for text, _ in _places(tree))
    found.statements = frozenset(
        _nameless(node)
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.stmt) and not _is_idle(node)
    )
    return found


def find_leaks(name, source, forbidden, line=1, is_hint=False):
    """Yields a message for each trace of a solution in a piece of Python.

    Args:
        name: What a message calls the file.
        source: The piece; what is no Python has no trace.
        forbidden: Traces.
        line: Of the file, where the piece begins.
        is_hint: Whether a whole statement is a trace.
    """
    try:
        tree = _tree(source)
    except SyntaxError:
        return
    for text, at in _places(tree):
        if text in forbidden:
            yield f"{name}, line {line + at - 1}: a trace of a solution"
    for node in tree.body if is_hint else ():
        if _nameless(node) in forbidden.statements:
            yield f"{name}, line {line + node.lineno - 1}: a hint holds a statement of a solution"


def code_of_markdown(text):
    """Yields (line, code) of each block and each span of code in a Markdown text."""
    for found in CODE.finditer(text):
        kind = "block" if found["block"] is not None else "span"
        yield text.count("\n", 0, found.start(kind)) + 1, found[kind]


def _tree(source):
    """Returns the syntax tree of a piece, which may be indented and may return."""
    inside = "def solution():\n" + textwrap.indent(textwrap.dedent(source), " ")
    tree = ast.increment_lineno(ast.parse(inside).body[0], -1)
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))
    firsts = {function.args.args[0].arg for function in functions if function.args.args}
    return _Plain({"self", *firsts}).visit(tree)


class _Plain(ast.NodeTransformer):
    """Takes an attribute of `self`, whatever its name, for a variable."""

    def __init__(self, selves):
        self._selves = selves

    def visit_Attribute(self, node):
        self.generic_visit(node)
        if isinstance(node.value, ast.Name) and node.value.id in self._selves:
            return ast.copy_location(ast.Name(node.attr, node.ctx), node)
        return node


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
