"""The notebook as pages show it, the student's comments, and what likeness is found by."""

import base64
import hashlib
import re

from grading.checklist import count_words, notebook_rows, read_comments
from grading.marking.read.book import read_book
from grading.marking.read.common import Unreadable, one_line
from grading.marking.read.pictures import draw_anew
from grading.marking.read.syntax import read_shapes
from languages import _, grouped

__all__ = ["read"]

NEAR = 20_000  # agent steps from a curve's last point to the end that the notebook prints
MOST_CELLS, MOST_OUTPUTS, MOST_PICTURES = 1_000, 40, 100
MOST_SOURCE, MOST_TEXT = 50_000, 20_000  # characters
SPACES = "\t\xa0\u202f"  # that Python calls not printable
RUN_OF_WORDS, MOST_PHRASES = 6, 2_000
STEERING = re.compile(r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b.")
EMBEDDED = re.compile(  # pictures that a Markdown cell holds itself, in three ways of writing
    r"!\[([^\]\n]{0,500})\]\(\s*<?data:image/[\w.+-]+;base64,([^)\s>]*)[^)\n]*\)"
    r"|<img\b[^>]*?src\s*=\s*[\"']data:image/[\w.+-]+;base64,([^\"']*)[\"'][^>]*>"
    r"|^ *\[[^\]\n]+\]:\s*<?data:image/[\w.+-]+;base64,(\S*).*$",
    re.MULTILINE,
)
REFERRED = re.compile(r"!\[([^\]\n]*)\]\[[^\]\n]*\]")


def read(order, folder, out):
    """Returns the parts "comments" and "notebook"; leaves pictures as `output-<cell>-<k>.png`.

    Args:
        order: With "notebook" (its name), "steps" (agent steps of the run) and "tasks".
        folder: The hand-in's folder.
        out: Where the pictures go.
    """
    empty = dict(cells=[], rows=[], shapes={}, phrases=[])
    try:
        book = read_book(folder / order["notebook"])
    except Unreadable as e:
        problem = str(e)
        comments = dict(problem=problem, text="", words=0)
        return dict(comments=comments, notebook=dict(problem=problem, **empty))
    comments = read_comments(book)
    found = dict(
        problem="",
        cells=_Pages(out).cells(book.cells),
        rows=[
            [one_line(part, 500) for part in row]
            for row in notebook_rows(book, order["steps"], NEAR)
        ],
        shapes=read_shapes([c.source for c in book.cells if c.cell_type == "code"], order["tasks"]),
        phrases=_phrases(comments or ""),
    )
    if len(book.cells) > MOST_CELLS:
        told = _("{n} cells, the first {most} are shown")
        counts = dict(n=grouped(len(book.cells)), most=grouped(MOST_CELLS))
        found["problem"] = told.format(**counts)
    return dict(comments=_comments(comments), notebook=found)


def _comments(text):
    if text is None:
        return dict(problem=_("the cell for comments is not there"), text="", words=0)
    return dict(problem="", text=_readable(text, MOST_TEXT), words=count_words(text))


def _phrases(text):
    """Returns digests of all runs of words; the smallest of them where they are too many."""
    words = re.findall(r"\w+", text.lower())
    runs = {" ".join(words[k : k + RUN_OF_WORDS]) for k in range(len(words) - RUN_OF_WORDS + 1)}
    digests = {hashlib.blake2b(run.encode(), digest_size=8).hexdigest() for run in runs}
    return sorted(digests)[:MOST_PHRASES]


def _readable(text, most):
    """Returns a text without what steers a terminal; of a line written over, its last state."""
    text = STEERING.sub("", str(text)[: 20 * most])
    lines = (line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))
    kept = ("".join(c for c in line if c.isprintable() or c in SPACES) for line in lines)
    text = "\n".join(kept)
    return text if len(text) <= most else f"{text[: most - 2]}\n…"


def _held(cell):
    """Returns the pictures, in base64, that a Markdown cell holds itself."""
    held = [found[2] or found[3] or found[4] or "" for found in EMBEDDED.finditer(cell.source)]
    for attached in cell.attachments:
        held += [content for kind, content in attached.items() if kind.startswith("image/")]
    return held


class _Pages:
    """Cells for pages; counts the pictures that it leaves."""

    def __init__(self, out):
        self._out, self._drawn = out, 0

    def cells(self, cells):
        """Returns the first cells of a notebook."""
        return [self._cell(k, cell) for k, cell in enumerate(cells[:MOST_CELLS])]

    def _cell(self, k, cell):
        if cell.cell_type == "code":
            source = cell.source
            outputs = [self._output(k, j, o) for j, o in enumerate(cell.outputs[:MOST_OUTPUTS])]
        else:
            source = EMBEDDED.sub(lambda found: f"*[{found[1]}]*" if found[1] else "", cell.source)
            source = REFERRED.sub(r"*[\1]*", source)
            outputs = [self._picture(k, j, c) for j, c in enumerate(_held(cell)[:MOST_OUTPUTS])]
        return dict(
            id=one_line(cell.id, 64),
            kind=cell.cell_type,
            source=_readable(source, MOST_SOURCE),
            count=cell.execution_count,
            outputs=outputs,
        )

    def _output(self, k, j, output):
        if output.output_type == "error":
            return dict(error=_readable(output.traceback or output.error, MOST_TEXT))
        for kind in ("image/png", "image/jpeg", "image/gif", "image/webp"):
            if kind in output.data:
                return self._picture(k, j, output.data[kind])
        if "image/svg+xml" in output.data:
            return dict(text=_("SVG is not shown"))
        texts = (output.data.get(kind, "") for kind in ("text/markdown", "text/plain"))
        return dict(text=_readable(output.text or next(filter(None, texts), ""), MOST_TEXT))

    def _picture(self, k, j, content):
        """Draws a picture anew; returns its output."""
        if self._drawn == MOST_PICTURES:
            return dict(text=_("more pictures than {n} are not shown").format(n=MOST_PICTURES))
        name = f"output-{k}-{j}.png"
        try:
            draw_anew(base64.b64decode(content), self._out / name)
        except (Unreadable, ValueError) as e:
            return dict(text=_("a picture {problem}").format(problem=one_line(e)))
        self._drawn += 1
        return dict(picture=name)
