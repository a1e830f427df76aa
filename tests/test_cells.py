"""Notebooks whose answers leave, loop, ask or hold nothing: each task has its verdict."""

import json
import resource
import subprocess
import sys
import time
import traceback
import zipfile

import psutil
import pytest

from grading.cells import NoShell, _run_cell
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
JOIN = "join = torch.cat if torch.is_tensor(steps[0]) else np.concatenate"
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


@pytest.mark.parametrize(
    ("source", "x"),
    [
        ("%%time\nx = 1", 1),
        ("%%timeit -n 9\nx = x + 1", 1),
        ("%%capture told\nx = 1\nprint(x)", 1),
        ("%%prun -l 3\n%time x = 1", 1),
        ("%time x = 1", 1),
        ("%matplotlib inline\n!false\n%pip install nothing\nx = 1", 1),
        ("%%bash\nx=1", 0),
        ("%%html\n<x>", 0),
        ("%%writefile x.py\nx = 1", 0),
    ],
)
def test_a_magic_that_runs_python_runs_it_once_and_another_does_nothing(source, x):
    namespace = {"x": 0}
    namespace["get_ipython"] = lambda: NoShell(namespace)
    _run_cell("a", source, namespace)
    assert namespace["x"] == x


@pytest.mark.parametrize(
    "source", ["%%time\n\nx = 1\n1 / 0", "x = 1\n\n\n%time 1 / 0"], ids=["cell", "line"]
)
def test_a_line_below_a_magic_is_counted_from_the_top_of_its_cell(source):
    namespace = {"get_ipython": lambda: NoShell(namespace)}
    with pytest.raises(ZeroDivisionError) as raised:
        _run_cell("a", source, namespace)
    last = traceback.extract_tb(raised.value.__traceback__)[-1]
    assert (last.filename, last.lineno) == ("a", 4)


@pytest.mark.slow
def test_the_cells_end_once_their_parent_is_killed(tmp_path):
    cells = [["first", f"open({str(tmp_path / 'begun')!r}, 'w')\nwhile True: pass"]]
    order = tmp_path / "order.json"
    order.write_text(json.dumps(dict(cells=cells, seeds={}, left_out={})))
    start = f"import subprocess, sys; subprocess.run([sys.executable, *{['-m', 'grading.cells']}, "
    start += f"{str(order)!r}, {str(tmp_path)!r}])"
    parent = subprocess.Popen([sys.executable, "-c", start], cwd=notebook.PATH.parent)
    while not (tmp_path / "begun").exists():
        time.sleep(0.1)
    (child,) = psutil.Process(parent.pid).children()
    parent.kill()
    parent.wait()
    child.wait(timeout=20)


@pytest.mark.slow
def test_a_notebook_that_clears_its_folder_or_blocks_the_next_order_is_checked(sources, tmp_path):
    clears = "import shutil\nshutil.rmtree(os.environ['A2C_OUT'])"
    blocks = "import sys\nos.remove(sys.argv[1])\nos.mkfifo(sys.argv[1])\nos._exit(0)"
    cells = {"head": "import os", "clears": clears, "blocks": blocks, **small(sources)}
    verdicts = check_notebook(write(tmp_path, cells), SMALL)
    assert {verdict.result for verdict in verdicts.values()} == {"passed"}


FORGE = """
import os, sys
for channel in range(3, 20):
    try:
        os.write(channel, b'\\n{"task": "Policy", "raised": ""}\\n{"ending": ""}\\n')
    except OSError:
        pass
os.mkfifo(os.path.join(os.path.dirname(sys.argv[1]), "Policy-1.npz"))
while True: pass
"""


@pytest.mark.slow
def test_a_notebook_that_forges_messages_passes_nothing(tmp_path):
    verdicts = check_notebook(write(tmp_path, {"forge": FORGE}), SMALL)
    assert verdicts["Policy"] == ("failed", "Policy: its check left no arrays to judge.")
    assert "passed" not in {verdict.result for verdict in verdicts.values()}


LEAVING = ("SystemExit", "BaseException")  # pass through Task 5's check, which acts once


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "result", "told"),
    [
        (changed(ACT, "import os; os._exit(0)"), "failed", "the check of Policy ended the process"),
        (changed(ACT, "import sys; sys.exit(0)"), "failed", "SystemExit"),
        (changed(JOIN, "import os; os._exit(0)", "merge-class"), "passed", ""),
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
        failed = {task for task in TASKS if verdicts[task].result != "passed"}
        assert failed <= {"Policy", "A2C"} if told in LEAVING else failed == {"Policy"}
    if "merge-class" in changes:
        assert [task for task in TASKS if verdicts[task].result == "failed"] == ["MergeTimeBatch"]
    assert "Traceback" not in "".join(capfd.readouterr())


@pytest.mark.slow
def test_training_is_not_reached_where_a_cell_catches_everything(sources, tmp_path):
    run = "runner = EnvRunner(env, policy, 5, transforms)\nwhile True:\n    try: runner.get_next()"
    cells = {"broken": "1 / 0"} | small(sources, run=f"{run}\n    except BaseException: pass")
    verdicts = check_notebook(write(tmp_path, cells), SMALL)
    assert {verdict.result for verdict in verdicts.values()} == {"passed"}


GLUE_ANEW = "\n".join(notebook.GLUE.strip().splitlines()[-2:])  # optimizer and a2c
WRONG_SIGN = changed("-(advantages", "(advantages", "a2c-class")["a2c-class"]


@pytest.mark.slow
@pytest.mark.parametrize("right", ["below", "above"])
def test_the_learner_that_trains_is_judged_where_two_are_made(right, sources, tmp_path):
    cells = small(sources)
    run, train = cells["run"].split("\nrunner.get_next()")
    pair = [cells["a2c-class"], WRONG_SIGN]
    one, other = pair[::-1] if right == "below" else pair
    cells |= {"a2c-class": one, "run": run, "other": other}
    cells |= {"anew": f"{GLUE_ANEW}\n{run}", "train": f"runner.get_next(){train}"}
    verdict = check_notebook(write(tmp_path, cells), SMALL)["A2C"]
    assert verdict.result == ("passed" if right == "below" else "failed"), verdict


@pytest.mark.slow
def test_the_solved_notebook_is_checked_within_thirty_seconds_of_one_core():
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "grading", "check", str(notebook.PATH)]
    assert subprocess.run(command, cwd=notebook.PATH.parent, timeout=300).returncode == 0
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 30
