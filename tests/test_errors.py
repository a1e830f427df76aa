import nbformat
import pytest
from nbclient import NotebookClient
from nbconvert import HTMLExporter

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


@pytest.fixture(scope="module")
def shown():
    """What a notebook shows for failing cells, [cell][line], and its page of HTML."""
    cells = [nbformat.v4.new_code_cell(source) for source in (RAISING, LONG)]
    book = nbformat.v4.new_notebook(cells=cells)
    NotebookClient(book, timeout=120, allow_errors=True).execute()
    errors = [[one for one in cell.outputs if one.output_type == "error"] for cell in cells]
    assert [[one.ename for one in outputs] for outputs in errors] == [["CheckError"]] * 2
    assert errors[0][0].evalue.startswith("A2C raised KeyError")
    lines = ["\n".join(outputs[0].traceback).splitlines() for outputs in errors]
    return lines, HTMLExporter().from_notebook_node(book)[0]


def test_a_notebook_shows_the_message_and_the_students_own_lines(shown):
    lines = shown[0][0]
    assert lines[0].startswith("CheckError: A2C raised KeyError: 'log_prob' (in inner, line 4 of")
    own = [line.strip() for line in lines if line.startswith("  line")]
    assert own[1:] == [
        "line 7 of its cell, policy_loss: return inner(trajectory)",
        'line 4 of its cell, inner: return x["log_prob"]',
    ]
    assert len(lines) <= 8


def test_a_notebook_shows_at_most_five_lines_of_a_message(shown):
    lines = shown[0][1]
    assert len(lines) == 5 and all(len(line) <= 100 for line in lines) and lines[-1].endswith("…")


def test_a_page_made_of_a_notebook_shows_no_traceback(shown):
    assert "CheckError: A2C raised KeyError" in shown[1] and "Traceback" not in shown[1]


def test_an_error_outside_a_notebook_names_function_and_line():
    with pytest.raises(CheckError, match=r"Policy raised ZeroDivisionError: .* line \d+ of test_"):
        with blaming("Policy"):
            1 / 0  # noqa: B018


def test_an_error_of_two_types_tells_which_to_change():
    with pytest.raises(CheckError, match="two types; make the targets float32"):
        with blaming("A2C"):
            raise RuntimeError("Found dtype Double but expected Float")


class Silent(Exception):
    def __str__(self):
        raise SystemExit


def test_an_error_whose_message_cannot_be_read_is_named():
    with pytest.raises(CheckError, match="Policy raised Silent: its message cannot be read"):
        with blaming("Policy"):
            raise Silent
