import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from tests.checks.errors import CheckError, blaming

RAISING = """
from tests.checks.errors import blaming

def inner(x):
    return x["log_prob"]

def policy_loss(trajectory):
    return inner(trajectory)

with blaming("A2C"):
    policy_loss({})
"""
LONG = (
    'from tests.checks.errors import CheckError\nraise CheckError("Policy: " + "many words " * 99)'
)


def shown(source):
    """What a notebook shows for a failing cell: the lines of its error output."""
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    with pytest.raises(CellExecutionError):
        NotebookClient(book, timeout=120).execute()
    (output,) = (one for one in book.cells[0].outputs if one.output_type == "error")
    assert output.ename == "CheckError"
    return [line for part in output.traceback for line in part.splitlines()]


def test_a_notebook_shows_the_message_and_the_students_own_lines():
    lines = shown(RAISING)
    assert lines[0].startswith("CheckError: A2C raised KeyError: 'log_prob' (in inner, line 4 of")
    own = [line.strip() for line in lines if line.startswith("  line")]
    assert own[1:] == [
        "line 7 of its cell, policy_loss: return inner(trajectory)",
        'line 4 of its cell, inner: return x["log_prob"]',
    ]
    assert len(lines) <= 8


def test_a_notebook_shows_at_most_five_lines_of_a_message():
    lines = shown(LONG)
    assert len(lines) == 5 and all(len(line) <= 100 for line in lines) and lines[-1].endswith("…")


def test_an_error_outside_a_notebook_names_function_and_line():
    with pytest.raises(CheckError, match=r"Policy raised ZeroDivisionError: .* line \d+ of test_"):
        with blaming("Policy"):
            1 / 0  # noqa: B018
