"""The grader's side of the assignment: `python -m grading`."""
