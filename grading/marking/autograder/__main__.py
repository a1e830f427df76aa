"""Grades one submission on Gradescope: `python -m grading.marking.autograder /autograder`."""

from grading.marking.autograder.light import without_torch

without_torch()

import sys  # noqa: E402
from pathlib import Path  # noqa: E402

from grading.marking.autograder.grader import grade  # noqa: E402

if __name__ == "__main__":
    grade(Path(sys.argv[1]))
