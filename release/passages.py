"""The passages of Markdown and of code cells that are translated, found and put back."""

import ast
import io
import re
import tokenize

__all__ = ["has_words", "protected", "translate_code", "translate_markdown", "translate_notebook"]

KEPT = re.compile(
    r"""
    (\$\$).*?\$\$                                 # a formula: part of a passage, in one piece
    | ^```.*?^```[ ]*$                                # code
    | ^<!--[ ](\S+):[^\n]*-->$.*?^<!--[ ]end[ ]of[ ]\2[ ]-->$  # what assignment.json says
    | <!--.*?-->
    | ^YOUR[ ]ANSWER[ ]HERE$                          # nbgrader's stub
    | ^\[\w+\]:[ ]\S+[ ]*$                          # the address of a link or a picture
    | </?(?:details|summary)>
    | \n\s*\n
    | \n(?=[ ]*(?:-[ ]|\d+\.[ ]|\|))                # the next item, or row of a table
    """,
    re.DOTALL | re.MULTILINE | re.VERBOSE,
)
PROTECTED = re.compile(
    r"""
    ```.*?``` | `[^`\n]+`                           # code
    | \$\$.*?\$\$ | \$[^$\n]+\$                     # formulas
    | \]\([^)\s]+\) | \]\[\w*\] | https?://[^\s)>]+  # where links lead to
    | </?\w[^>]*> | &\w+;
    | \{[^{}]*\} | %\(\w+\)[sd]                     # what a program fills in
    """,
    re.DOTALL | re.VERBOSE,
)
TEXT = re.compile(r"\\text\{[^{}]*\}")  # words inside a formula
LITERAL = re.compile(r"""(?s)[rRbBfFuU]*('{3}|\"{3}|'|")((?:\\.|(?!\1).)*)\1""")


def translate_notebook(book, say):
    """Translates the passages of a notebook in place.

    Args:
        book: A notebook without solutions.
        say: Called on the id of a cell and a passage of it; returns the passage that takes its
            place.
    """
    for cell in book.cells:
        translate = translate_markdown if cell.cell_type == "markdown" else translate_code
        cell.source = translate(cell.source, lambda passage, name=cell.id: say(name, passage))


def translate_markdown(text, say):
    """Returns a Markdown text whose paragraphs, items and rows went through `say`, one by one."""
    pieces, at = [], 0
    for kept in KEPT.finditer(text):
        if not kept[1]:
            pieces += [_said(text[at : kept.start()], say), kept[0]]
            at = kept.end()
    return "".join([*pieces, _said(text[at:], say)])


def _said(piece, say):
    inner = piece.strip()
    return piece.replace(inner, say(inner), 1) if has_words(inner) else piece


def has_words(passage):
    """Tells whether a passage has words that are neither code, formulas nor addresses."""
    words = PROTECTED.sub(lambda found: " ".join(TEXT.findall(found[0])), passage)
    return bool(re.search(r"[^\W\d_]{2,}", words.replace("\\text", "")))


def protected(passage):
    """Returns what a translation must keep, sorted: code, formulas, addresses, tags, placeholders.

    Words inside a formula may change.
    """
    return sorted(TEXT.sub(r"\\text{}", found) for found in PROTECTED.findall(passage))


def translate_code(source, say):
    """Returns a cell's code whose comments, docstrings and sentences went through `say`.

    A sentence is a literal with a space in it: " steps" too, but no name.
    """
    lines = source.splitlines(keepends=True)
    starts = [sum(map(len, lines[:k])) for k in range(len(lines) + 1)]
    pieces, at = [], 0
    for begin, end in sorted([*_comments(source, starts), *_literals(source, starts)]):
        inner = source[begin:end]
        pieces += [source[at:begin], say(inner) if has_words(inner) else inner]
        at = end
    return "".join([*pieces, source[at:]])


def _comments(source, starts):
    """Yields (begin, end) of the words of each comment; nbgrader's stub is left as it is."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and token.string != "# YOUR CODE HERE":
            words = token.string.partition("@param")[0].lstrip("# ").rstrip()
            begin = starts[token.start[0] - 1] + token.start[1] + token.string.find(words)
            yield begin, begin + len(words)


def _literals(source, starts):
    """Yields (begin, end) of what stands between the quotes of docstrings and sentences."""
    lines, nodes = source.splitlines(), [*ast.walk(ast.parse(source))]
    texts = [node for node in nodes if _is_text(node)]
    pieces = {id(part) for one in texts for part in ast.walk(one) if part is not one}
    for node in texts:
        if id(node) in pieces:
            continue
        begin = starts[node.lineno - 1] + _characters(lines[node.lineno - 1], node.col_offset)
        end = _characters(lines[node.end_lineno - 1], node.end_col_offset)
        end += starts[node.end_lineno - 1]
        if not re.search(r"\s", source[begin:end]):
            continue
        if not (literal := LITERAL.fullmatch(source[begin:end])):
            raise ValueError(f"line {node.lineno}: write this sentence as one literal")
        yield begin + literal.start(2), begin + literal.end(2)


def _is_text(node):
    is_constant = isinstance(node, ast.Constant) and isinstance(node.value, str)
    return is_constant or isinstance(node, ast.JoinedStr)


def _characters(line, offset):
    """Returns how many characters the first bytes of a line are: ast counts bytes."""
    return len(line.encode()[:offset].decode())
