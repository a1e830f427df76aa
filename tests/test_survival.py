"""Real training in a process that is interrupted, ended or killed, and that resumes."""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile

import numpy as np
import psutil
import pytest
import torch
from jupyter_core.utils import run_sync
from nbclient import NotebookClient

from tests import notebook
from tests.sitting import LOG_EVERY
from training.curves import read_curves

ROOT = notebook.PATH.parent


signals = pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no such signals")


class Process:
    """A process that trains in A2C_OUT=out; `printed` is what it has written so far."""

    def __init__(self, out):
        self.printed, self._log = "", out / "printed.txt"
        with open(self._log, "w") as log:  # read by its name: a seek here would move the writer
            self.process = psutil.Popen(
                [sys.executable, "-m", "tests.sitting"],
                cwd=ROOT,
                env={**os.environ, "A2C_OUT": str(out)},
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def wait_for(self, text, seconds=120):
        """Waits until the process has printed this."""
        deadline = time.monotonic() + seconds
        while text not in self.read():
            assert self.process.poll() is None and time.monotonic() < deadline, self.printed
            time.sleep(0.02)

    def read(self):
        self.printed = self._log.read_text()
        return self.printed

    def end(self, how):
        """Sends a signal, or kills where how is "kill"; returns exit code and what outlived it."""
        family = [self.process, *self.process.children(recursive=True)]
        self.process.kill() if how == "kill" else self.process.send_signal(how)
        code = self.process.wait(60)
        self.read()
        return code, psutil.wait_procs(family, timeout=20)[1]

    @property
    def saved(self):
        """The last agent step that was saved, or the one at which the run was resumed."""
        steps = re.findall(r"(?:saved|at agent step) ([\d,]+)", self.printed)
        return int(steps[-1].replace(",", "")) if steps else 0


def checkpoint_steps(out):
    """Reads every checkpoint through; returns their agent steps."""
    paths = sorted((out / "logs" / "first-run").glob("checkpoint-*.pt"))
    for path in paths:
        assert zipfile.ZipFile(path).testzip() is None
        assert torch.load(path, weights_only=True)["runner"]["step_var"] == int(path.stem[11:])
    return [int(path.stem[11:]) for path in paths]


def survive(out, kills, seed):
    """Kills a run at random moments; returns the agent step of its last checkpoint.

    Every fifth kill comes while the process still starts, the others while it trains.
    """
    last_step, rng = 0, np.random.default_rng(seed)
    for kill in range(kills):
        process = Process(out)
        if kill % 5 == 3:
            time.sleep(rng.uniform(0, 8))
        else:
            process.wait_for("training\n")
            assert (f"at agent step {last_step:,}" if kill else "starting") in process.printed
            process.wait_for("saved")
            time.sleep(rng.uniform(0, 1))
        _, left = process.end("kill")
        assert not left
        assert max(checkpoint_steps(out)) >= max(process.saved, last_step)
        last_step = max(checkpoint_steps(out))
    print(f"{kills} kills, {last_step:,} agent steps")
    return last_step


def check_curves(out, last_step):
    """Nothing is drawn twice, and nothing is missing up to the last checkpoint."""
    curves = read_curves(out / "logs" / "first-run")
    assert all(np.all(np.diff(steps) > 0) for steps, *_ in curves.values())
    steps = curves["A2C/entropy"][0]
    assert steps[steps <= last_step].tolist() == list(range(LOG_EVERY, last_step + 1, LOG_EVERY))


@pytest.mark.parametrize("kills", [5, pytest.param(30, marks=pytest.mark.slow)])
def test_a_run_survives_being_killed_at_any_moment(tmp_path, kills):
    last_step = survive(tmp_path, kills, seed=kills)
    assert last_step >= 20 * kills  # at least an update each time
    check_curves(tmp_path, last_step)


@signals
def test_an_interrupt_saves_and_leaves_what_the_next_cells_need(tmp_path):
    process = Process(tmp_path)
    process.wait_for("saved")
    code, left = process.end(signal.SIGINT)
    assert code == 0 and not left
    assert checkpoint_steps(tmp_path)[-1] == process.saved
    assert "stopped and saved" in process.printed and "played [" in process.printed


@signals
def test_sigterm_saves_and_exits(tmp_path):
    process = Process(tmp_path)
    process.wait_for("saved")
    code, left = process.end(signal.SIGTERM)
    assert code == -signal.SIGTERM and not left
    assert checkpoint_steps(tmp_path)[-1] == process.saved
    assert "stopped and saved" in process.printed and "played" not in process.printed


@pytest.mark.slow
def test_the_stop_button_of_jupyter_leaves_a_kernel_that_works(tmp_path, monkeypatch):
    monkeypatch.setenv("A2C_OUT", str(tmp_path))
    monkeypatch.setenv("A2C_MINUTES", "0")
    monkeypatch.setenv("JPY_SESSION_NAME", "a2c_assignment.ipynb")  # somebody watches
    monkeypatch.delenv("DISPLAY", raising=False)  # an earlier test, or a screen, may have set it
    running = set(psutil.pids())
    book = notebook.read()
    names = [*notebook.TRAINING, "training-tensorboard"]
    names += ["training-run", "watching-evaluate", "watching-play"]
    book.cells = [cell for cell in book.cells if cell["id"] in names]
    client = NotebookClient(book, timeout=600, resources={"metadata": {"path": ROOT}})
    with client.setup_kernel():
        for index, cell in enumerate(book.cells):
            if cell["id"] == "training-run":
                stop = threading.Timer(5, run_sync(client.km.interrupt_kernel))
                stop.start()
            client.execute_cell(cell, index)
        new = (one for one in psutil.process_iter(["name"]) if one.pid not in running)
        names = {one.info["name"] for one in new}
        assert "tensorboard" in names and ("Xvfb" in names or not shutil.which("Xvfb"))
    printed = {
        cell["id"]: "".join(output.get("text", "") for output in cell.outputs)
        for cell in book.cells
        if cell.cell_type == "code"
    }
    assert "stopped and saved as" in printed["training-run"]
    assert "of 10,000,000 agent steps" in printed["training-run"]
    assert "greedy=True: scores of whole games [" in printed["watching-play"]
