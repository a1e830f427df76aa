"""How a check says what is wrong."""

import sys
import textwrap
import traceback
from contextlib import contextmanager
from pathlib import Path

__all__ = ["CheckError", "blaming", "pass_or_raise"]

HERE = Path(__file__).parent
WIDTH, LINES, FRAMES = 100, 5, 3  # of what a notebook shows


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
        own = (f"line {x.lineno} of {_source(x)}, {x.name}: {x.line}" for x in self.frames)
        own = (textwrap.shorten(line, WIDTH - 2, placeholder=" …") for line in own)
        return [*lines, *(f"  {line}" for line in own)]


def pass_or_raise(task, mistake):
    """Prints that the task passed, or raises a CheckError where there is a mistake."""
    if mistake:
        raise CheckError(f"{task}: {mistake}.")
    print(f"{task}: passed.")


@contextmanager
def blaming(task):
    """Turns an exception of the student's into a CheckError that says where it arose."""
    try:
        yield
    except CheckError:
        raise
    except (Exception, SystemExit) as e:
        own = [x for x in traceback.extract_tb(e.__traceback__) if _is_own(Path(x.filename))]
        place = f" (in {own[-1].name}, line {own[-1].lineno} of {_source(own[-1])})" if own else ""
        told = _told(e)
        error = CheckError(f"{task} raised {type(e).__name__}: {told}{place}{_hint(e, told)}")
        error.frames = own[-FRAMES:]
        raise error from e


def _told(error):
    try:
        return str(error)
    except (Exception, SystemExit):  # its __str__ is the student's
        return "its message cannot be read"


def _is_own(path):
    given = "site-packages" in path.parts or path.is_relative_to(sys.base_prefix)
    return path.parent != HERE and not given


def _source(frame):
    return "its cell" if "ipykernel" in frame.filename else Path(frame.filename).name


def _hint(error, told):
    if isinstance(error, KeyError):
        return ": is a key of the trajectory misspelt?"
    if "view size is not compatible" in told:
        return ": flatten with nn.Flatten or reshape, pictures are stored channels last"
    if "modified by an inplace operation" in told:
        return ": x -= y changes a tensor that is still needed; write x = x - y"
    if "found dtype" in told.lower():
        return ": values and value targets are of two types; make the targets float32"
    if "does not require grad" in told:
        return ": the losses are cut from the graph; merge with torch.cat, act without no_grad"
    return ""
