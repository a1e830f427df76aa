"""What each task must do: the notebook's check cells, the tests and the grader all call this.

Every check has two halves. `observe_*` runs the student's objects on recorded inputs and returns
plain arrays; `judge_*` compares them with what is expected, the arrays of `expected.npz` that
`python -m grading.reference` writes, and returns None or the mistake. In the notebook both run in
place; a grader runs the first half apart, on inputs that nobody has seen.
Checks take the objects that the notebook made, never a signature; and while one task is checked,
recorded numbers stand in for what the others give. The checks of further tasks, which count for no
marks, stand alone: `tests/checks/further.py` says how they end.
"""

from tests.checks.a2c import check_a2c
from tests.checks.adam import check_adam
from tests.checks.errors import CheckError
from tests.checks.lambda_targets import check_lambda_targets
from tests.checks.merge import check_merge
from tests.checks.model import check_model
from tests.checks.policy import check_policy
from tests.checks.ppo import check_ppo
from tests.checks.seeds import check_mean_and_spread
from tests.checks.value_targets import check_value_targets

__all__ = [
    "CheckError",
    "check_a2c",
    "check_adam",
    "check_lambda_targets",
    "check_mean_and_spread",
    "check_merge",
    "check_model",
    "check_policy",
    "check_ppo",
    "check_value_targets",
]
