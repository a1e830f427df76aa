import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize(("ci", "status"), [("true", 1), ("", 0)])
def test_a_skipped_test_fails_a_run_under_ci_only(tmp_path, ci, status):
    test = tmp_path / "test_skips.py"
    test.write_text(
        "import pytest\n\ndef test_passes(): pass\n\ndef test_skips(): pytest.skip('not here')\n"
    )
    command = [sys.executable, "-m", "pytest", "-p", "conftest", str(test), "--rootdir", tmp_path]
    environment = {**os.environ, "CI": ci, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert ran.returncode == status and "1 passed, 1 skipped" in ran.stdout
