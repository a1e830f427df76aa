"""Notebooks that mean harm: what each tries, and the verdict that a grader sees all the same."""

import os
import time

import psutil
import pytest

from grading.sandbox import find_wall
from grading.verdicts import check_notebook
from grading.watched import LIMITS
from release.students import stubbed
from tests import notebook
from tests.test_grading import small, write

FEW = LIMITS._replace(total=60.0, cell=10.0, memory=2.0, threads=99)
RIGHT, WRONG = "right answers", "wrong answers"
FORGED = '{"task": "Policy", "raised": "", "result": "passed"}\\n{"ending": ""}\\n'

# name: (the cell before the student's own, the Policy that follows, its result, what is told)
CASES = {
    "nothing": ("x = 1", RIGHT, "passed", ""),
    "leaves with success": ("import os\nos._exit(0)", RIGHT, "passed", ""),
    "ends itself": ("import os, signal\nos.kill(os.getpid(), 9)", RIGHT, "passed", ""),
    "crashes": ("import ctypes\nctypes.string_at(0)", RIGHT, "passed", ""),
    "loops": ("while True: pass", RIGHT, "passed", ""),
    "sleeps": ("import time\ntime.sleep(999)", RIGHT, "passed", ""),
    "swallows signals": (
        "import signal\nfor k in range(1, 32):\n    try: signal.signal(k, signal.SIG_IGN)\n"
        "    except (OSError, ValueError): pass\nwhile True: pass",
        *(RIGHT, "passed", ""),
    ),
    "forks": ("import os\nwhile True: os.fork()", RIGHT, "passed", ""),
    "threads": (
        "import threading, time\nwhile True:\n"
        "    threading.Thread(target=time.sleep, args=(99,), daemon=True).start()",
        *(RIGHT, "passed", ""),
    ),
    "eats memory": ("x = []\nwhile True: x.append(bytes(2**26))", RIGHT, "passed", ""),
    "fills the disk": (
        "import os\nwith open(os.environ['A2C_OUT'] + '/a', 'wb') as f:\n"
        "    while True: f.write(bytes(2**20))",
        *(RIGHT, "passed", ""),
    ),
    "prints without end": ("while True: print('x' * 10**6)", RIGHT, "passed", ""),
    "deep folders": (
        "import os\nos.chdir(os.environ['A2C_OUT'])\nwhile True:\n    os.mkdir('a'); os.chdir('a')",
        *(RIGHT, "passed", ""),
    ),
    "writes outside": ("open('/etc/a2c', 'w')", RIGHT, "passed", ""),
    "changes the kit": ("open('tests/checks/policy.py', 'a').write('x')", RIGHT, "passed", ""),
    "opens a socket": (
        "import socket\nsocket.create_connection(('127.0.0.1', 9), 1)",
        *(RIGHT, "passed", ""),
    ),
    "prints a verdict": (f"print('{FORGED}', flush=True)", WRONG, "failed", "NotImplementedError"),
    "writes a verdict": (
        f"import os\nfor k in range(3, 64):\n    try: os.write(k, b'{FORGED}')\n"
        "    except OSError: pass",
        *(WRONG, "failed", ""),
    ),
    "patches the check": (
        "from tests.checks import policy\npolicy.observe_policy = lambda *a: {}\n"
        "policy.judge_policy = lambda *a: None\nimport grading.check as c\n"
        "c.observe_policy = lambda *a: {}\nc._judge = lambda *a: None",
        *(WRONG, "failed", ""),
    ),
    "patches numpy": (
        "import numpy as np\nnp.allclose = np.array_equal = lambda *a, **k: True",
        *(WRONG, "failed", ""),
    ),
    "patches torch": (
        "import torch\ntorch.equal = torch.allclose = lambda *a, **k: True",
        *(WRONG, "failed", ""),
    ),
    "patches what is saved": (
        "import numpy as np, shutil\nnp.savez = lambda path, **k: open(path, 'w').close()",
        *(WRONG, "failed", ""),
    ),
    "hooks imports": (
        "import sys\nsys.meta_path.insert(0, type('F', (), {'find_spec': lambda *a: 1 / 0})())",
        *(RIGHT, None, ""),
    ),
    "replaces builtins": (
        "import builtins\nbuiltins.isinstance = lambda *a: True\nbuiltins.len = lambda x: 5",
        *(WRONG, None, ""),
    ),
    "empties builtins": ("__builtins__.clear()", RIGHT, None, ""),
    "lies with arrays": (
        "import numpy as np\nsave = np.savez\n"
        "np.savez = lambda path, **k: save(path, **{n: np.full(9, np.nan) for n in k})",
        *(WRONG, "failed", ""),
    ),
    "leaves a pickle": (
        "import numpy as np, os\nclass E:\n"
        "    def __reduce__(self): return os.system, ('touch /tmp/own',)\n"
        "save = np.savez\nnp.savez = lambda path, **k: save(path, claims=np.array([E()], object))",
        *(WRONG, "failed", ""),
    ),
    "leaves a link": (
        "import numpy as np, os\nnp.savez = lambda path, **k: os.symlink('/etc/passwd', path)",
        *(WRONG, "failed", ""),
    ),
    "leaves a pipe": (
        "import numpy as np, os\nnp.savez = lambda path, **k: os.mkfifo(path)",
        *(WRONG, "failed", ""),
    ),
    "reads the grader's files": (
        "import glob\nassert not glob.glob('grading/reference/*.py') and not glob.glob('logs/*')\n"
        "assert not glob.glob('tests/right_answers.py')",
        *(RIGHT, "passed", ""),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize(("cell", "answer", "result", "told"), CASES.values(), ids=CASES)
def test_a_notebook_that_means_harm_gets_its_verdict_and_leaves_nothing(
    cell, answer, result, told, tmp_path
):
    sources = {**notebook.cells(notebook.read()), "glue": notebook.GLUE}
    if answer == WRONG:
        sources["policy-class"] = stubbed(sources["policy-class"], "code", "policy-class")
    path = write(tmp_path, {"hostile": cell, **small(sources)})
    began, before = time.monotonic(), set(psutil.Process().children(recursive=True))
    verdict = check_notebook(path, FEW, find_wall())["Policy"]
    assert result in (None, verdict.result) and told in verdict.message, verdict
    assert verdict.result == "passed" or verdict.message and "\n" not in verdict.message
    assert time.monotonic() - began < FEW.total + 20
    left = set(psutil.Process().children(recursive=True)) - before
    assert not psutil.wait_procs(left, timeout=20)[1]
    assert os.listdir(tmp_path) == ["answer.ipynb"]
    assert not os.path.exists("/etc/a2c") and not os.path.exists("/tmp/own")
