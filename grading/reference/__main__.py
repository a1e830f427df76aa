"""Writes the arrays that students' checks read: `python -m grading.reference`."""

from grading.reference import write
from tests.checks.expected import PATH

write()
print(f"{PATH.name}: {PATH.stat().st_size:,} bytes")
