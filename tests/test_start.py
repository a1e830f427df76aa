"""The notebook's first cell: it finds the kit, and installs what is missing."""

import functools
import hashlib
import http.server
import os
import shutil
import subprocess
import sys
import threading
import types

import pytest
from IPython.core.interactiveshell import InteractiveShell

from lesson import start
from release import kit
from tests import notebook

CELL = notebook.cells(notebook.read())["start-files"]
REACHED = "print(os.getcwd(), len(list(Path().glob('**/*.py'))), sys.path[0])"
COLAB = """
import sys, types, shutil, pathlib
def module(name, **names):
    sys.modules[name] = types.ModuleType(name)
    vars(sys.modules[name]).update(names)
def upload():
    print("asked")
    if not pathlib.Path({archive!r}).is_file():
        return {{}}
    shutil.copy({archive!r}, ".")
    return {{"a2c.zip": b""}}
def mount(place):
    print("mounted", place)
module("google")
module("google.colab", files=types.SimpleNamespace(upload=upload),
       drive=types.SimpleNamespace(mount=mount))
"""


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    return kit.build(tmp_path_factory.mktemp("release"))[1]


@pytest.fixture
def place(tmp_path):
    """The empty folder in which the notebook lies."""
    (tmp_path / "place").mkdir()
    return tmp_path / "place"


def run(folder, kit_place="", before="", end=REACHED):
    """Runs the cell in a process of its own; returns what it printed and its error."""
    head, _ = CELL.split("from lesson.start")
    assert head.count('KIT = ""') == 1
    source = before + head.replace('KIT = ""', f"KIT = {str(kit_place)!r}") + end
    ended = subprocess.run([sys.executable, "-c", source], cwd=folder, capture_output=True)
    return ended.stdout.decode(), ended.stderr.decode()


def is_the_kit(printed, folder):
    words = printed.split()
    return words[-3:] == [str(folder), words[-2], str(folder)] and int(words[-2]) > 40


def test_colab_asks_for_the_archive_once(place, archive):
    before = COLAB.format(archive=str(archive))
    printed, _ = run(place, before=before)
    assert printed.count("asked") == 1 and is_the_kit(printed, place / "a2c")
    printed, _ = run(place, before=before)  # after a restart
    assert "asked" not in printed and is_the_kit(printed, place / "a2c")


def test_the_cell_runs_twice_in_one_process(place, archive):
    shutil.copy(archive, place / "a2c (1).zip")
    head, _ = CELL.split("from lesson.start")
    printed, _ = run(place, end=head + REACHED)
    assert is_the_kit(printed, place / "a2c")


def test_an_upload_that_was_cancelled_says_what_to_do(place):
    printed, error = run(place, before=COLAB.format(archive="nothing"))
    assert error.strip().endswith("there is no a2c.zip here: set KIT, or put it here")


def test_the_archive_is_found_in_a_drive(place, archive):
    drive = place.parent / "content"
    drive.mkdir()
    shutil.copy(archive, drive / "ours.zip")
    before = COLAB.format(archive="nothing")
    printed, _ = run(place, drive / "ours.zip", before)
    assert "mounted" not in printed and is_the_kit(printed, place / "a2c")
    printed, error = run(place.parent, "/content/drive/MyDrive/ours.zip", before)
    assert "mounted /content/drive" in printed and "there is no /content/drive/My" in error


@pytest.fixture
def url(archive):
    """The address of the archive, served from this machine."""
    own = functools.partial(http.server.SimpleHTTPRequestHandler, directory=archive.parent)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), own)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/a2c.zip"
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_archive_behind_a_url_is_taken_with_its_checksum_only(place, archive, url):
    checksum = hashlib.sha256(archive.read_bytes()).hexdigest()
    for wrong in (url, f"{url}#sha256=", f"{url}#sha256={'0' * 64}"):
        _, error = run(place, wrong)
        assert error.strip().endswith(f"the file has #sha256={checksum}")
        assert not list(place.iterdir())
    printed, _ = run(place, f"{url}#sha256={checksum}")
    assert is_the_kit(printed, place / "a2c")


def test_outside_colab_a_missing_archive_is_one_clear_error(place):
    _, error = run(place)
    assert error.strip().endswith("there is no a2c.zip here: set KIT, or put it here")


def test_in_the_folder_of_the_kit_nothing_is_unpacked():
    printed, _ = run(notebook.PATH.parent)
    assert printed.split()[0] == str(notebook.PATH.parent)


# what it installs


@pytest.fixture
def pip(monkeypatch):
    """Stands for pip: keeps its commands and ends as told."""
    ran, ending = [], subprocess.CompletedProcess([], 0, "", "")

    def record(command, **kwargs):
        (constraints,) = (word for word in command if word.endswith(".txt"))
        ran.append((command, open(constraints).read()))
        return ending

    monkeypatch.setattr(start.subprocess, "run", record)
    monkeypatch.setattr(start, "show_doctor", lambda seconds: None)
    monkeypatch.setenv("DISPLAY", ":0")
    return ran, ending


def test_where_all_is_there_nothing_is_installed(pip, capsys):
    start.start()
    assert not pip[0] and "nothing, all packages are here" in capsys.readouterr().out


def test_what_is_missing_is_installed_in_its_range_and_torch_and_numpy_stay(pip, monkeypatch):
    find = start.importlib.util.find_spec
    lacks = ("shimmy", "cv2")
    monkeypatch.setattr(
        start.importlib.util, "find_spec", lambda name: None if name in lacks else find(name)
    )
    start.start()
    ((command, constraints),) = pip[0]
    assert command[-2:] == ["shimmy>=2,<3", "opencv-python>=4.8.0.74,<6"]
    names = [line.split("==")[0] for line in constraints.splitlines()]
    assert names == ["torch", "numpy"] and start.version("torch") in constraints
    pip[1].returncode, pip[1].stderr = 1, "a warning\nERROR: no network"
    with pytest.raises(RuntimeError, match="could not install shimmy, opencv-python: ERROR: no ne"):
        start.start()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Xvfb is started on Linux alone")
def test_an_xvfb_that_cannot_start_costs_a_line_and_not_the_cell(
    pip, monkeypatch, tmp_path, capsys
):
    (tmp_path / "Xvfb").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "Xvfb").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.delenv("DISPLAY")
    start.start()
    told = capsys.readouterr().out.splitlines()
    assert told[1:] == ["Xvfb is here and does not start: this notebook needs no display"]
    assert "DISPLAY" not in os.environ


TINY = """
from lesson.start import start
start(seconds=0)
import torch
from training.sitting import flushed
tiny = torch.full((2_000_000,), 1e-39)
with flushed():
    half = tiny * 0.5
print("left:", (half.numpy() != 0).sum())
"""


def test_pytorchs_threads_count_numbers_too_small_for_full_precision_as_0(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    command = [sys.executable, "-c", TINY]
    ended = subprocess.run(command, cwd=start.KIT, capture_output=True, encoding="utf-8")
    assert ended.stdout.splitlines()[-1:] == ["left: 0"], ended.stderr


# in nbgrader

LAST = "checks.check_a2c(model)"


@pytest.fixture
def shell(pip, monkeypatch):
    """A shell in which nbgrader has run the first cell."""
    shell = InteractiveShell()
    monkeypatch.setattr(start, "get_ipython", lambda: shell)
    monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")
    shell.user_ns.update(ran=[], checks=types.SimpleNamespace())
    for name in ("model", "policy", "value_targets", "merge", "a2c"):
        setattr(shell.user_ns["checks"], f"check_{name}", shell.user_ns["ran"].append)
    start.start()
    shell.run_cell("model = 'checked'")
    return shell


def ran_after(shell, *cells):
    """Tells what two cells do after some others: one that checks, and one that does not."""
    for cell in cells:
        shell.run_cell(cell)
    shell.user_ns["ran"].clear()
    shell.run_cell(f"before = 1\n{LAST}")
    shell.run_cell("ran.append('trained')")
    return shell.user_ns["ran"]


def test_nbgrader_runs_nothing_below_the_last_check(shell):
    assert ran_after(shell, "class A2C: pass") == ["checked"]


@pytest.mark.parametrize("own", [f"# {LAST}", f"print('{LAST}')", LAST, "checks.check_a2c()"])
def test_a_cell_of_the_students_own_does_not_empty_the_class_below_it(shell, own):
    assert ran_after(shell, own, "class A2C: pass") == ["checked"]
    assert "A2C" in shell.user_ns


@pytest.mark.parametrize("name", ["model", "policy", "value_targets", "merge", "a2c"])
def test_a_check_runs_also_where_the_students_own_call_of_the_last_has_failed(shell, name):
    ran_after(shell, "class A2C: pass", "checks.check_a2c()")
    shell.user_ns["ran"].clear()
    shell.run_cell(f"after = 1\nchecks.check_{name}('again')")
    assert shell.user_ns["ran"] == ["again"]


@pytest.mark.slow
def test_the_whole_cell_runs_in_an_empty_folder_beside_the_archive(place, archive):
    shutil.copy(archive, place)
    whole = CELL.split("from lesson.start")[1]
    printed, error = run(place, end="from lesson.start" + whole + "\nimport runners\n" + REACHED)
    assert is_the_kit(printed, place / "a2c") and "nothing, all packages are here" in printed, error
