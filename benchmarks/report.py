"""Figures in Markdown files: each script fills blocks of its own, the prose around them stays.

A block lies between two comments, and a figure stands nowhere else:

    <!-- times: printed by benchmarks/reference.py -->
    <!-- end of times -->

What `assignment.json` says stands in blocks too, `<!-- marks: from assignment.json -->`.
"""

import re

from tabulate import tabulate

__all__ = ["blocks", "fill", "filled", "table"]

_BLOCK = re.compile(
    r"(<!-- (\S+): (?:printed by|from) [^\n]* -->\n)(.*?)(<!-- end of \2 -->)", re.DOTALL
)


def table(headers, rows):
    """Returns a Markdown table; the first column is aligned left, the others right."""
    aligned = ["left", *["right"] * (len(headers) - 1)]
    return tabulate(rows, headers, tablefmt="pipe", colalign=aligned, disable_numparse=True)


def blocks(path):
    """Returns {name: text} of the blocks in a Markdown file."""
    text = path.read_text(encoding="utf-8")
    return {name: inner.strip("\n") for _, name, inner, _ in _BLOCK.findall(text)}


def fill(path, texts):
    """Puts texts into the blocks of a Markdown file; everything else in it stays.

    Args:
        path: The file.
        texts: {name of a block: its new text}.

    Raises:
        ValueError: If the file has no block of a name; it is not changed then.
    """
    text = path.read_text(encoding="utf-8")
    if missing := sorted(texts.keys() - blocks(path).keys()):
        raise ValueError(f"{path} has no block {missing[0]!r}: add its two comments")
    path.write_text(filled(text, texts), encoding="utf-8", newline="\n")


def filled(text, texts):
    """Returns a Markdown text with {name: text} in those of its blocks that have such a name."""

    def renew(match):
        begin, name, old, end = match.groups()
        return f"{begin}\n{texts[name]}\n\n{end}" if name in texts else match.group()

    return _BLOCK.sub(renew, text)
