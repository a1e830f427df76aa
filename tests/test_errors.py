import re
import traceback

import nbformat
import numpy as np
import pytest
import torch
from nbclient import NotebookClient
from nbconvert import HTMLExporter
from torch import nn

from tests.checks.errors import CheckError, blaming, pass_or_raise

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


def test_a_line_without_spaces_is_cut_where_it_gets_too_long():
    error = CheckError("A2C: no")
    error.frames = [traceback.FrameSummary("a.py", 1, "step", line="x=" + 200 * "y")]
    assert error._render_traceback_()[1] == f"  line 1 of a.py, step: x={72 * 'y'} …"


def test_an_error_outside_a_notebook_names_function_and_line():
    with pytest.raises(CheckError, match=r"Policy raised ZeroDivisionError: .* line \d+ of test_"):
        with blaming("Policy"):
            1 / 0  # noqa: B018


def test_a_message_that_asks_ends_with_its_question_mark():
    for mistake, end in (("is its return missing?", "missing?"), ("one is missing", "missing.")):
        with pytest.raises(CheckError) as caught:
            pass_or_raise("Policy", mistake)
        assert str(caught.value).endswith(end)


def test_an_array_that_meets_a_tensor_is_told_so():
    with pytest.raises(CheckError, match="Concatenation .* a NumPy array meets a tensor"):
        with blaming("ComputeValueTargets"):
            np.ones(2) + torch.ones(2)


def test_an_error_of_two_types_tells_which_to_change():
    with pytest.raises(CheckError, match="two types; make the targets float32"):
        with blaming("A2C"):
            raise RuntimeError("Found dtype Double but expected Float")


CAUSES = [
    (lambda: nn.Linear(3136, 512)(torch.zeros(6, 5184)), "comes with 5184 numbers to a linear "),
    (lambda: torch.distributions.Categorical(torch.zeros(6, 6)), "name the logits: logits=…"),
    (lambda: np.ones(2) * torch.ones(2, requires_grad=True), "makes a tensor of the array"),
    (lambda: torch.cat([np.ones(2)]), "makes a tensor of the array"),
]


@pytest.mark.parametrize(("raising", "says"), CAUSES, ids="sizes categorical mixed cat".split())
def test_an_error_of_torch_comes_with_its_usual_cause(raising, says):
    with pytest.raises(CheckError) as caught:
        with blaming("NatureModel"):
            raising()
    assert says in str(caught.value) and len(str(caught.value)) < 450


def test_a_stub_that_is_left_below_the_code_is_to_be_removed():
    told = (
        "A2C raised NotImplementedError: remove this line once your code is there (in test_a_stub"
    )
    with pytest.raises(CheckError, match=re.escape(told)):
        with blaming("A2C"):
            raise NotImplementedError()


def test_an_error_without_a_message_is_named():
    with pytest.raises(CheckError, match="Policy raised AssertionError: without a message"):
        with blaming("Policy"):
            raise AssertionError


class Silent(Exception):
    def __str__(self):
        raise SystemExit


def test_an_error_whose_message_cannot_be_read_is_named():
    with pytest.raises(CheckError, match="Policy raised Silent: its message cannot be read"):
        with blaming("Policy"):
            raise Silent
