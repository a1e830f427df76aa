"""How a check says what is wrong."""

from contextlib import contextmanager
from pathlib import Path

__all__ = ["CheckError", "blaming", "pass_or_raise"]


class CheckError(AssertionError):
    """An answer does not do what its task demands; the message names the likely mistake."""


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
        raise CheckError(f"{task} raised {type(e).__name__}: {e}{_place(e)}{_hint(e)}") from e


def _place(error):
    """Names the last line of the student's own that the exception passed."""
    found, trace = "", error.__traceback__
    while trace:
        code = trace.tb_frame.f_code
        path = Path(code.co_filename)
        if path.parent != Path(__file__).parent and "site-packages" not in path.parts:
            source = "its cell" if "ipykernel" in code.co_filename else path.name
            found = f" (in {code.co_name}, line {trace.tb_lineno} of {source})"
        trace = trace.tb_next
    return found


def _hint(error):
    if isinstance(error, KeyError):
        return ": is a key of the trajectory misspelt?"
    if "view size is not compatible" in str(error):
        return ": flatten with nn.Flatten or reshape, pictures are stored channels last"
    if "does not require grad" in str(error):
        return ": the losses are cut from the graph; merge with torch.cat, act without no_grad"
    return ""
