"""Notebooks whose answers leave, loop, ask or hold nothing: each task has its verdict."""

import resource
import subprocess
import sys
import zipfile

import pytest

from grading.verdicts import TASKS, check_notebook
from grading.watched import LIMITS
from tests import notebook
from tests.test_grading import small, write

SMALL = LIMITS._replace(cell=20.0, memory=2.5)


@pytest.fixture(scope="module")
def sources():
    return {**notebook.cells(notebook.read()), "glue": notebook.GLUE}


def changed(old, new, cell="policy-class"):
    source = notebook.cells(notebook.read())[cell]
    assert source.count(old) == 1
    return {cell: source.replace(old, new)}


ACT = "observations = torch.as_tensor(np.asarray(inputs), device=self.device)"
RAGGED = '"values": [[0.5], [0.5, 1.0]],'
VALUES = '"values": values.squeeze(-1),  # [B, 1] → [B]'


def test_tasks_after_a_cell_that_raises_are_judged_and_no_cell_after_the_last(sources, tmp_path):
    cells = {"first": "1 / 0", **small(sources), "last": "import os\nos._exit(0)"}
    verdicts = check_notebook(write(tmp_path, cells))
    assert {verdict.result for verdict in verdicts.values()} == {"passed"}


def test_modules_of_an_archive_are_found_and_those_of_the_kit_are_the_kits(sources, tmp_path):
    own = {"own": "import helper_of_mine\nassert helper_of_mine.number == 3\nimport runners"}
    with zipfile.ZipFile(tmp_path / "hand-in.zip", "w") as archive:
        archive.write(write(tmp_path, {**own, "leave": "runners.EnvRunner"}), "a/answer.ipynb")
        archive.writestr("a/runners.py", "import os; os._exit(3)")
        archive.writestr("a/helper_of_mine.py", "number = 3")
    verdicts = check_notebook(tmp_path / "hand-in.zip")
    assert {v.message for v in verdicts.values()} == {"the notebook makes no object `env`"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "result", "told"),
    [
        (changed(ACT, "import os; os._exit(0)"), "failed", "the check of Policy ended the process"),
        (changed(ACT, "import sys; sys.exit(0)"), "failed", "SystemExit"),
        (changed(ACT, "while True: pass"), "failed", "the check of Policy ran longer than 20 s"),
        (changed(ACT, "input()"), "failed", "EOFError"),
        (changed(ACT, "inputs = torch.as_tensor(inputs).cuda()"), "failed", ""),
        (changed(ACT, "x = bytearray(10 * 2**30)\n        while x: x[::4096]"), "failed", ""),
        (changed(ACT, f"{ACT} * float('nan')"), "failed", ""),
        (changed(ACT, "raise BaseException"), "failed", "BaseException"),
        (changed(VALUES, RAGGED), "failed", ""),
        ({"policy-class": "class Polic: pass"}, "not reached", "NameError: name 'Policy'"),
        ({"policy-class": "class Policy"}, "not reached", "cell policy-class raised SyntaxError"),
        ({"policy-class": "import os; os._exit(0)"}, "not reached", "cell policy-class ended"),
        ({"glue": "env = model = policy = runner = optimizer = a2c = None"}, "failed", ""),
        ({"glue": "import os\nos.kill(os.getpid(), 11)"}, "not reached", "signal SIGSEGV"),
    ],
)
def test_every_way_to_fail_ends_in_a_verdict_for_each_task(
    changes, result, told, sources, tmp_path, capfd
):
    path = write(tmp_path, small(sources, **changes))
    verdicts = check_notebook(path, SMALL)
    assert list(verdicts) == list(TASKS)
    assert verdicts["Policy"].result == result and told in verdicts["Policy"].message
    if "policy-class" in changes and result == "failed":
        others = ("NatureModel", "ComputeValueTargets", "MergeTimeBatch")
        assert {verdicts[task].result for task in others} == {"passed"}
    assert "Traceback" not in "".join(capfd.readouterr())


@pytest.mark.slow
def test_training_is_not_reached_where_a_cell_catches_everything(sources, tmp_path):
    run = "runner = EnvRunner(env, policy, 5, transforms)\nwhile True:\n    try: runner.get_next()"
    cells = {"broken": "1 / 0"} | small(sources, run=f"{run}\n    except BaseException: pass")
    verdicts = check_notebook(write(tmp_path, cells), SMALL)
    assert {verdict.result for verdict in verdicts.values()} == {"passed"}


@pytest.mark.slow
def test_the_solved_notebook_is_checked_within_thirty_seconds_of_one_core():
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "grading", "check", str(notebook.PATH)]
    assert subprocess.run(command, cwd=notebook.PATH.parent, timeout=300).returncode == 0
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 30
