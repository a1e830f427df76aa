"""Real training in a process that is interrupted, ended or killed, and that goes on."""

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
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests import notebook
from tests.sitting import LOG_EVERY

ROOT = notebook.PATH.parent


class Sitting:
    """A process that trains in A2C_OUT=out; `said` is what it has written so far."""

    def __init__(self, out):
        self.said, self._log = "", open(out / "said.txt", "w+")
        self.process = psutil.Popen(
            [sys.executable, "-m", "tests.sitting"],
            cwd=ROOT,
            env={**os.environ, "A2C_OUT": str(out)},
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )

    def wait_for(self, text, seconds=120):
        """Waits until the process has said this."""
        deadline = time.monotonic() + seconds
        while text not in self.listen():
            assert self.process.poll() is None and time.monotonic() < deadline, self.said
            time.sleep(0.02)

    def listen(self):
        self._log.seek(0)
        self.said = self._log.read()
        return self.said

    def end(self, number):
        """Sends a signal; returns the exit code and the processes that outlived it."""
        family = [self.process, *self.process.children(recursive=True)]
        self.process.send_signal(number)
        code = self.process.wait(60)
        self.listen()
        return code, psutil.wait_procs(family, timeout=5)[1]

    @property
    def saved(self):
        """The last agent step that was said to be saved, or the one that the run went on from."""
        steps = re.findall(r"(?:saved|at agent step) ([\d,]+)", self.said)
        return int(steps[-1].replace(",", "")) if steps else 0


def checkpoint_steps(out):
    """Reads every checkpoint through; returns their agent steps."""
    paths = sorted((out / "logs" / "first-run").glob("checkpoint-*.pt"))
    for path in paths:
        assert zipfile.ZipFile(path).testzip() is None
        assert torch.load(path, weights_only=True)["runner"]["step_var"] == int(path.stem[11:])
    return [int(path.stem[11:]) for path in paths]


def survive(out, kills, seed):
    """Kills a run at random moments; returns its last agent step and the seconds lost each time.

    Every fifth kill comes while the process still starts, the others while it trains.
    """
    reached, lost, rng = 0, [], np.random.default_rng(seed)
    for kill in range(kills):
        sitting = Sitting(out)
        if kill % 5 == 3:
            time.sleep(rng.uniform(0, 10))
            began = time.time()
        else:
            sitting.wait_for("training\n")
            assert ("starting" if not reached else f"at agent step {reached:,}") in sitting.said
            began = time.time()
            time.sleep(rng.uniform(0, 3))
        _, left = sitting.end(signal.SIGKILL)
        newest = max((out / "logs" / "first-run").glob("checkpoint-*.pt"))
        lost.append(time.time() - max(began, newest.stat().st_mtime))
        assert not left
        assert max(checkpoint_steps(out)) >= max(sitting.saved, reached)
        reached = max(checkpoint_steps(out))
    print(f"{kills} kills, {reached:,} agent steps, {max(lost):.1f} s of training lost at most")
    return reached, lost


def check_curves(out, reached):
    """Nothing is drawn twice, and nothing is missing up to the last checkpoint."""
    events = EventAccumulator(str(out / "logs" / "first-run"), size_guidance={"scalars": 0})
    tags = events.Reload().Tags()["scalars"]
    curves = {tag: [point.step for point in events.Scalars(tag)] for tag in tags}
    assert all(steps == sorted(set(steps)) for steps in curves.values())
    until_then = [step for step in curves["A2C/entropy"] if step <= reached]
    assert until_then == list(range(LOG_EVERY, reached + 1, LOG_EVERY))


@pytest.mark.parametrize("kills", [5, pytest.param(50, marks=pytest.mark.slow)])
def test_a_run_survives_being_killed_at_any_moment(tmp_path, kills):
    reached, lost = survive(tmp_path, kills, seed=kills)
    assert reached > 20 * kills and max(lost) < 5  # seconds; it saves every quarter of one
    check_curves(tmp_path, reached)


def test_an_interrupt_saves_and_leaves_what_the_next_cells_need(tmp_path):
    sitting = Sitting(tmp_path)
    sitting.wait_for("saved")
    code, left = sitting.end(signal.SIGINT)
    assert code == 0 and not left
    assert checkpoint_steps(tmp_path)[-1] == sitting.saved
    assert "stopped and saved" in sitting.said and "played [" in sitting.said


def test_sigterm_saves_and_exits_and_a_finished_run_is_not_trained_on(tmp_path):
    sitting = Sitting(tmp_path)
    sitting.wait_for("saved")
    code, left = sitting.end(signal.SIGTERM)
    assert code == -signal.SIGTERM and not left
    assert checkpoint_steps(tmp_path)[-1] == sitting.saved
    assert "stopped and saved" in sitting.said and "played" not in sitting.said

    path = sorted((tmp_path / "logs" / "first-run").glob("checkpoint-*.pt"))[-1]
    state = torch.load(path, weights_only=True)
    state["runner"]["step_var"] = 10_000_000
    torch.save(state, path.with_name("checkpoint-0010000000.pt"))
    sitting = Sitting(tmp_path)
    assert sitting.process.wait(120) == 0
    assert "first-run is finished, and is not trained on" in sitting.listen()
    kept = torch.load(path.with_name("checkpoint-0010000000.pt"), weights_only=True)
    assert max(checkpoint_steps(tmp_path)) == 10_000_000
    for name, weights in state["model"].items():
        assert torch.equal(weights, kept["model"][name])


@pytest.mark.slow
def test_the_stop_button_of_jupyter_leaves_a_kernel_that_goes_on(tmp_path, monkeypatch):
    monkeypatch.setenv("A2C_OUT", str(tmp_path))
    monkeypatch.setenv("A2C_MINUTES", "0")
    monkeypatch.setenv("JPY_SESSION_NAME", "a2c_assignment.ipynb")  # somebody watches
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
    said = {
        cell["id"]: "".join(output.get("text", "") for output in cell.outputs)
        for cell in book.cells
        if cell.cell_type == "code"
    }
    assert "stopped and saved as" in said["training-run"]
    assert "of 10,000,000 agent steps" in said["training-run"]
    assert "greedy actions, scores of whole games: [" in said["watching-play"]
