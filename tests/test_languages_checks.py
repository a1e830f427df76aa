"""What the checks say in another language: here one that puts every message into brackets."""

from pathlib import Path

import pytest
from babel.messages.extract import extract_from_dir

from tests.checking import check, make
from tests.checks import errors, losses, model, observing, value_targets
from tests.checks.draws import LAYERS
from tests.checks.expected import read_expected
from tests.checks.value_targets import CASES
from tests.wrong_answers import WRONG

ROOT = Path(__file__).parent.parent
MISTAKES = ("mistake/", "targets/mistake/", *(f"a2c/mistake/{term}/" for term in losses.TERMS))
WRONG_ANSWERS = {wrong.name: wrong for wrong in WRONG}


def marked():
    """The messages that stand in `N_` where arrays and observations get their names."""
    folders = ("tests/checks", "grading/reference")
    found = [extract_from_dir(ROOT / name, keywords={"N_": None}) for name in folders]
    return {message for one in found for _file, _line, message, *_rest in one}


def test_every_name_that_is_shown_is_marked_for_translation():
    names = {
        key[len(prefix) :]
        for key in read_expected(1)
        for prefix in MISTAKES
        if key.startswith(prefix)
    }
    assert len(names) > 70 and {"the rewards are left out", "its exponential is taken"} <= names
    assert {*names, *LAYERS, *CASES} - marked() == set()


@pytest.mark.parametrize(
    ("module", "name", "says"),
    [
        (model, "model-tanh-everywhere", "[tanh stands where the table says ReLU]"),
        (
            model,
            "model-body-without-gradient",
            "[no gradient reaches the [weights] of the [first convolution]: ",
        ),
        (
            value_targets,
            "targets-no-bootstrap",
            "[there is no bootstrap: add γ^n V(latest observation)]",
        ),
        (observing, "targets-stacked", "value_targets are a [tensor] [5, 6], expected a list"),
        (value_targets, "targets-of-five-steps", "[called on [7 steps in 2 environments]: "),
        (losses, "entropy-of-logits", "entropy: [logits stand for log π in −Σ π log π]"),
        (losses, "entropy-itself-negative", "[it has the wrong sign: [−Σ π log π is never nega"),
    ],
    ids=lambda value: value if isinstance(value, str) and "[" not in value else "",
)
def test_a_name_is_translated_where_it_is_shown(monkeypatch, module, name, says):
    monkeypatch.setattr(module, "_", "[{}]".format)
    wrong = WRONG_ANSWERS[name]
    assert says in check(wrong.task, make(wrong.changes))


def test_what_a_student_raised_is_told_in_the_language(monkeypatch):
    monkeypatch.setattr(errors, "_", "[{}]".format)
    with pytest.raises(errors.CheckError) as caught:
        with errors.blaming("Policy"):
            raise KeyError("log_prob")
    message, hint = "[[Policy raised KeyError: 'log_prob'] (in ", "]: [is the key misspelt"
    assert str(caught.value).startswith(message) and hint in str(caught.value)
    assert caught.value._render_traceback_()[-1].startswith("  [line ")
