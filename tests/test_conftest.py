import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SKIPS = """import pytest

def test_passes():
    pass

def test_skips():
    pytest.skip("no Xvfb here")
"""


@pytest.mark.parametrize(
    ("ci", "source", "status"),
    [
        ("true", SKIPS, 1),
        ("true", "def test_passes():\n    pass", 0),
        ("false", SKIPS, 0),
    ],
)
def test_a_skipped_test_fails_the_run_of_ci_with_its_reason(tmp_path, ci, source, status):
    (tmp_path / "test_small.py").write_text(source + "\n")
    options = ["-p", "conftest", "-c", os.devnull, "--rootdir", str(tmp_path), "-ra"]
    command = [sys.executable, "-m", "pytest", *options, "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "CI": ci}, capture_output=True, text=True
    )
    assert done.returncode == status, done.stdout
    if source == SKIPS:
        assert "no Xvfb here" in done.stdout
    assert ("a skipped test fails the run" in done.stdout) == (status == 1)
