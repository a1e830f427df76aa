"""`grading check` on notebooks that do harm, break, or never end."""

import os
import time
import zipfile

import nbformat
import psutil
import pytest

from grading import verdicts, watched
from grading.__main__ import main
from tests import notebook
from tests.test_grading import small, write

TASKS = list(verdicts.TASKS)
QUICK = watched.LIMITS._replace(total=60.0, cell=2.0, memory=1.5)


@pytest.fixture(scope="module")
def sources():
    return {**notebook.cells(notebook.read()), "glue": notebook.GLUE}


@pytest.mark.parametrize(
    ("cell", "told"),
    [
        ("import os\nos._exit(0)", "cell bad ended the process (exit status 0)"),
        ("while True:\n    pass", "cell bad ran longer than 2 s"),
        ("x = bytearray(3 * 2**30)", "cell bad took more than 1.5 GiB of memory"),
        ("while True:\n    print('x' * 10_000)", "cell bad ran longer than 2 s"),
        ("input()", "cell bad raised EOFError"),
        ("import torch\ntorch.zeros(1).cuda()", "cell bad raised"),
        ("def f(:", "cell bad raised SyntaxError"),
        ("import numpy\nnumpy.array([[1], [2, 3]])", "cell bad raised ValueError"),
        (
            "import time\ntry:\n    time.sleep(99)\nexcept BaseException:\n    time.sleep(99)",
            "ran lo",
        ),
        ("model = policy = env = 3", "the notebook makes no object `runner`"),
        (
            "import subprocess\nsubprocess.Popen(['sleep', '321'])\n1 / 0",
            "raised ZeroDivisionError",
        ),
    ],
)
def test_a_bad_cell_ends_in_a_verdict_on_each_task(cell, told, tmp_path):
    began = time.monotonic()
    limits = QUICK if "ran longer" in told else QUICK._replace(cell=30.0)
    found = verdicts.check_notebook(write(tmp_path, {"bad": cell}), limits)
    assert list(found) == TASKS and "passed" not in {one.result for one in found.values()}
    assert any(told in one.message for one in found.values()), found
    assert time.monotonic() - began < 40 and left_behind(tmp_path) == []


def left_behind(folder):
    """What the checked notebook of a folder started and did not end."""
    running = psutil.process_iter(["cmdline"])
    lines = [" ".join(process.info["cmdline"] or ()) for process in running]
    return [line for line in lines if str(folder) in line or line == "sleep 321"]


def test_tasks_after_a_cell_that_raises_are_still_judged(tmp_path, sources):
    first = "raise ValueError('a failing check')"
    cells = {"first": first, **small(sources), "last": "import os\nos._exit(0)"}
    found = verdicts.check_notebook(write(tmp_path, cells))
    assert {one.result for one in found.values()} == {"passed"}


@pytest.mark.parametrize(
    ("method", "told"),
    [
        ("        while True: pass", "the check of Policy ran longer than"),
        ("        import os; os._exit(0)", "the check of Policy ended the process"),
        ("        import sys; sys.exit(0)", "Policy raised SystemExit"),
        ("        return {'actions': [[0], [1, 2]], 'values': float('nan')}", "Policy"),
    ],
)
def test_a_bad_method_fails_its_own_task_and_keeps_earlier_verdicts(
    method, told, tmp_path, sources
):
    policy = (
        f"class Policy:\n    def __init__(self, model): pass\n    def act(self, inputs):\n{method}"
    )
    cells = small(sources, **{"policy-class": policy})
    limits = watched.LIMITS._replace(cell=12.0)
    found = verdicts.check_notebook(write(tmp_path, cells), limits)
    assert found["NatureModel"].result == "passed"
    assert found["Policy"].result == "failed" and told in found["Policy"].message


def test_modules_of_the_hand_in_are_found_and_those_of_the_kit_are_the_kits(tmp_path, sources):
    (tmp_path / "runners.py").write_text("raise SystemExit('not the kit')")
    (tmp_path / "helper_of_mine.py").write_text("number = 3")
    cells = {"own": "import helper_of_mine\nassert helper_of_mine.number == 3"}
    path = write(tmp_path, {**cells, **small(sources)})
    with zipfile.ZipFile(tmp_path / "hand-in.zip", "w") as archive:
        for file in (path, tmp_path / "runners.py", tmp_path / "helper_of_mine.py"):
            archive.write(file, f"one folder/{file.name}")
        archive.writestr("__MACOSX/one folder/._answer.ipynb", b"")
    found = verdicts.check_notebook(tmp_path / "hand-in.zip")
    assert {one.result for one in found.values()} == {"passed"}


@pytest.mark.parametrize(
    ("entries", "told"),
    [
        ({"../climbs.ipynb": "{}"}, "would write '../climbs.ipynb' outside its folder"),
        ({"/absolute.ipynb": "{}"}, "outside its folder"),
        ({"readme.txt": ""}, "holds 0 notebooks (none), expected one"),
        ({"a.ipynb": "{}", "b.ipynb": "{}"}, "holds 2 notebooks (a.ipynb, b.ipynb)"),
        ({"a.ipynb": "no notebook"}, "is no notebook"),
        ({f"{k}.txt": "" for k in range(10_001)}, "10,001 entries"),
    ],
)
def test_an_archive_that_cannot_be_used_is_refused_in_one_line(entries, told, tmp_path, capsys):
    with zipfile.ZipFile(tmp_path / "hand-in.zip", "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    before = sorted(os.listdir(tmp_path.parent))
    with pytest.raises(SystemExit) as left:
        main(["check", str(tmp_path / "hand-in.zip")])
    assert left.value.code == 2 and told in capsys.readouterr().err
    assert sorted(os.listdir(tmp_path.parent)) == before


def test_a_broken_archive_is_refused(tmp_path, capsys):
    (tmp_path / "hand-in.zip").write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(SystemExit) as left:
        main(["check", str(tmp_path / "hand-in.zip")])
    assert left.value.code == 2 and "cannot be unpacked" in capsys.readouterr().err


@pytest.mark.parametrize("limit", ["--timeout=0", "--memory=-1", "--timeout=soon"])
def test_a_limit_that_is_no_number_above_zero_is_refused(limit, tmp_path, capsys):
    nbformat.write(nbformat.v4.new_notebook(), tmp_path / "empty.ipynb")
    with pytest.raises(SystemExit) as left:
        main(["check", str(tmp_path / "empty.ipynb"), limit])
    assert left.value.code == 2 and "is no number above 0" in capsys.readouterr().err
