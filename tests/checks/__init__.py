"""What each task must do: the notebook's check cells, the tests and the grader all call this.

Every check has two halves. `observe_*` runs the student's objects on given inputs and returns plain
arrays; `judge_*` compares them with what is expected and returns None or the mistake. For Tasks 1
and 2 that are the arrays of `expected.npz`, which `python -m grading.reference` writes.
In the notebook both run in place; a grader can run the first half apart, on inputs that it draws.
Checks take the objects that the notebook made, never a signature: the model, the policy, the
transforms, the optimizer and the A2C; and feed them what the runner feeds.
"""

from tests.checks.errors import CheckError, CheckWarning
from tests.checks.inputs import Inputs, draw_inputs
from tests.checks.merge import check_merge
from tests.checks.model import check_model
from tests.checks.policy import check_policy
from tests.checks.value_targets import check_value_targets

__all__ = [
    "CheckError",
    "CheckWarning",
    "Inputs",
    "check_merge",
    "check_model",
    "check_policy",
    "check_value_targets",
    "draw_inputs",
]
