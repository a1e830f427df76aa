"""How a check says what is wrong."""

import re
import sys
import textwrap
import traceback
from contextlib import contextmanager
from pathlib import Path

from languages import N_, _

__all__ = ["CheckError", "blaming", "pass_or_raise"]

HERE = Path(__file__).parent
WIDTH, LINES, FRAMES = 100, 5, 3  # of what a notebook shows
TOLD = 180  # characters of an exception: torch prints whole tensors, and the hint would be cut off
HINTS = {  # words of torch's message, joined: the likely mistake
    "view_size_is_not_compatible": N_(
        "flatten with nn.Flatten or reshape, pictures are stored channels last"
    ),
    "modified_by_an_inplace_operation": N_(
        "x -= y changes a tensor that is still needed; write x = x - y"
    ),
    "found_dtype": N_("values and value targets are of two types; make the targets float32"),
    "satisfy_the_constraint_simplex": N_(
        "Categorical takes probabilities first; name the logits: logits=…"
    ),
    "does_not_require_grad": N_(
        "the losses are cut from the graph; merge with torch.cat, act without no_grad"
    ),
}


class CheckError(AssertionError):
    """An answer does not do what its task demands; the message names the likely mistake.

    A notebook shows the message and the student's own last lines, and no traceback of ours.

    Attributes:
        frames: The student's own lines that an exception passed, `traceback.FrameSummary` each.
    """

    frames = ()

    def _render_traceback_(self):
        """Returns what IPython shows, a list of lines."""
        lines = textwrap.wrap(f"CheckError: {self}", WIDTH)
        if len(lines) > LINES:
            lines = [*lines[: LINES - 1], f"{lines[LINES - 1][: WIDTH - 2]} …"]
        own = map(_line_of, self.frames)
        return [*lines, *(f"  {_cut(line, WIDTH - 2)}" for line in own)]


def pass_or_raise(task, mistake):
    """Prints that the task passed, or raises a CheckError where there is a mistake."""
    if mistake:
        raise CheckError(f"{task}: {mistake}" + "." * (not mistake.endswith("?")))
    print(_("{task}: passed.").format(task=task))


@contextmanager
def blaming(task):
    """Turns an exception of the student's into a CheckError that says where it arose."""
    try:
        yield
    except CheckError:
        raise
    except (Exception, SystemExit) as e:
        own = [x for x in traceback.extract_tb(e.__traceback__) if _is_own(Path(x.filename))]
        told = _told(e)
        message = _("{task} raised {kind}: {told}")
        message = message.format(task=task, kind=type(e).__name__, told=_cut(told, TOLD))
        message = _placed(message, own[-1]) if own else message
        error = CheckError(": ".join(filter(None, [message, _hint(e, told)])))
        error.frames = own[-FRAMES:]
        raise error from e


def _told(error):
    try:
        told = str(error)
    except (Exception, SystemExit):  # its __str__ is the student's
        return _("its message cannot be read")
    if isinstance(error, NotImplementedError) and not told:
        return _("remove this line once your code is there")
    return told or _("without a message")


def _cut(text, width):
    """Returns a text in one line that is at most so long."""
    text = " ".join(text.split())
    return text if len(text) <= width else f"{text[: width - 2]} …"


def _is_own(path):
    given = "site-packages" in path.parts or path.is_relative_to(sys.base_prefix)
    return path.parent != HERE and not given


def _line_of(frame):
    line = _("line {line} of {file}, {function}: {source}")
    return line.format(**_where(frame), source=frame.line)


def _placed(message, frame):
    placed = _("{message} (in {function}, line {line} of {file})")
    return placed.format(message=message, **_where(frame))


def _where(frame):
    file = _("its cell") if "ipykernel" in frame.filename else Path(frame.filename).name
    return {"line": frame.lineno, "file": file, "function": frame.name}


def _hint(error, told):
    if isinstance(error, KeyError):
        return _("is the key misspelt, or not there yet?")
    words = "_".join(told.lower().split())
    known = (_(hint) for known, hint in HINTS.items() if known in words)
    return next(known, "") or _hint_on_arrays(words)


def _hint_on_arrays(words):
    if sizes := re.search(r"cannot_be_multiplied_\(\d+x(\d+)_and_(\d+)x", words):
        return _(
            "each observation comes with {found} numbers to a linear layer for {expected}: "
            "compare each layer's output with the table"
        ).format(found=sizes[1], expected=sizes[2])
    if "numpy" in words and ("tensor" in words or "concatenation" in words):
        return _("a NumPy array meets a tensor; torch.as_tensor makes a tensor of the array")
    return ""
