import os
import re
import statistics
import subprocess
import sys
import zipfile
from types import SimpleNamespace

import imageio.v3 as iio
import nbformat
import numpy as np
import psutil
import pytest
import torch
from nbclient import NotebookClient

from lesson.pictures import CAPTIONS
from tests import notebook
from training.curves import read_curves

ROOT = notebook.PATH.parent
TASKS = ["NatureModel", "Policy", "ComputeValueTargets", "MergeTimeBatch", "A2C"]
CURVES = [*CAPTIONS, "Episodes/games"]


@pytest.fixture(scope="module")
def solution():
    """The notebook's classes."""
    return SimpleNamespace(**notebook.definitions())


# the text


def lines_of(cell):
    return sum(bool(line.strip()) for line in cell["source"].splitlines())


def test_cells_keep_to_the_house_style():
    book = notebook.read()
    assert (book.nbformat, book.nbformat_minor) == (4, 5)
    ids = [cell["id"] for cell in book.cells]
    assert all(
        re.fullmatch(r"[a-z0-9-]+", name) and not re.fullmatch(r"[0-9a-f]{8}", name) for name in ids
    )
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    lengths = [lines_of(cell) for cell in code]
    assert statistics.median(lengths) <= 18 and max(lengths) <= 40
    needed = [cell for cell in code if not cell["id"].startswith("further-")]
    assert sum(lines_of(cell) for cell in needed if cell["id"] not in notebook.TASKS) <= 250


def test_the_ideas_come_before_the_code():
    kinds = {cell["id"]: cell.cell_type for cell in notebook.read().cells}
    names = list(kinds)
    first_code = next(k for k, name in enumerate(names) if kinds[name] == "code")
    assert max(names.index("map"), names.index("why")) < first_code


def test_every_task_has_its_five_beats():
    """Why, the class with a marked solution, its check in the next cell, and a look."""
    book = notebook.read()
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    texts = [cell["source"] for cell in book.cells if cell.cell_type == "markdown"]
    for number, task in enumerate(TASKS, start=1):
        (k,) = (k for k, cell in enumerate(code) if f"\nclass {task}" in "\n" + cell["source"])
        source = code[k]["source"]
        assert 1 <= source.count("### BEGIN SOLUTION") == source.count("### END SOLUTION")
        assert "checks.check_" in code[k + 1]["source"]
        assert code[k + 2]["id"].endswith("-look")
        (text,) = (t for t in texts if re.search(rf"\*\*Task {number}\*\* \(\d+ minutes, ", t))
        assert text.count("<details>") >= 2


def test_hints_hold_no_statement_of_a_solution():
    book = notebook.read()
    sources = "\n".join(cell["source"] for cell in book.cells if cell["id"] in notebook.TASKS)
    solutions = re.findall(r"### BEGIN SOLUTION\n(.*?)### END SOLUTION", sources, re.DOTALL)
    statements = {line.strip() for text in solutions for line in text.splitlines()}
    hints = [text for cell in book.cells for text in re.findall(DETAILS, cell["source"], re.DOTALL)]
    assert len(hints) >= 10
    for hint in hints:
        assert not any(len(line) > 15 and line in hint for line in statements)


DETAILS = r"<details>.*?</details>"


def test_outputs_name_no_path_of_a_machine():
    text = notebook.PATH.read_text(encoding="utf-8")
    assert not re.search(r"/(root|home|Users|work|tmp)/|site-packages|@@", text)


# the figures in the text


def test_the_worked_example_of_targets(solution):
    trajectory = {
        "rewards": [np.float32([0, 1]), np.float32([1, 0]), np.float32([0, 0])],
        "resets": [np.array([False, False]), np.array([True, False]), np.array([False, False])],
        "state": {"latest_observation": np.float32([[2, 2], [2, 2]])},
    }
    solution.ComputeValueTargets(Values(), gamma=0.9)(trajectory)
    targets = torch.stack(trajectory["value_targets"]).tolist()
    told = re.findall(r"\*\*([\d.]+)\*\*", notebook.cells(notebook.read())["value-targets"])
    assert [float(number) for number in told] == pytest.approx(sum(targets, []), abs=1e-6)


def test_the_worked_examples_of_log_probs_and_of_the_gradient():
    sources = notebook.cells(notebook.read())
    log_probs = torch.log_softmax(torch.tensor([0.0, 1.0, 2.0]), 0)
    for numbers in (log_probs, log_probs.exp()):
        text = ", ".join(f"{number:.3f}".replace("-", "−") for number in numbers)
        assert f"({text})" in sources["policy"]
    logits = torch.zeros(2, requires_grad=True)
    (2 * torch.log_softmax(logits, 0)[0]).backward()
    assert logits.grad.tolist() == [1, -1] and "$(1, -1)$" in sources["a2c"]
    assert f"{np.log(2):.3f}" in sources["a2c"] and f"{0.99**100:.2f}" in sources["why"]
    assert (
        f"{np.log(6):.3f}" in sources["policy-see"]
        and f"{0.01 * np.log(6):.3f}" in sources["a2c-see"]
    )


# the mathematics, by hand


class Values:
    """A policy whose V(s) is the mean of an observation."""

    def act(self, inputs):
        return {"values": torch.as_tensor(inputs).mean(dim=1)}


def test_value_targets_by_hand(solution):
    trajectory = {
        "rewards": [np.float32([1, 2]), np.float32([4, 8]), np.float32([16, 32])],
        "resets": [np.array([False, True]), np.array([False, False]), np.array([False, False])],
        "state": {"latest_observation": np.float32([[64, 64], [0, 256]])},
    }
    solution.ComputeValueTargets(Values(), gamma=0.5)(trajectory)
    got = torch.stack(trajectory["value_targets"]).tolist()
    # environment 0: 16 + 32 = 48, 4 + 24 = 28, 1 + 14 = 15; environment 1: 32 + 64 = 96, 8 + 48, 2
    assert got == [[15, 2], [28, 56], [48, 96]]


def test_value_targets_keep_the_reward_of_the_last_step_of_an_episode(solution):
    trajectory = {
        "rewards": [np.float32([1]), np.float32([4])],
        "resets": [np.array([False]), np.array([True])],
        "state": {"latest_observation": np.float32([[100, 100]])},
    }
    solution.ComputeValueTargets(Values(), gamma=0.5)(trajectory)
    assert torch.stack(trajectory["value_targets"]).tolist() == [[3], [4]]


def test_merge_puts_step_t_of_environment_b_in_row_tb(solution):
    trajectory = {
        "rewards": [np.array([1, 2, 3]), np.array([4, 5, 6])],
        "logits": [torch.tensor([[1, 1], [2, 2], [3, 3]]), torch.tensor([[4, 4], [5, 5], [6, 6]])],
        "state": {"env_steps": 2},
    }
    solution.MergeTimeBatch()(trajectory)
    assert trajectory["rewards"].tolist() == [1, 2, 3, 4, 5, 6]
    assert trajectory["logits"].tolist() == [[k, k] for k in range(1, 7)]
    assert trajectory["state"] == {"env_steps": 2}


def test_losses_by_hand(solution):
    a2c = solution.A2C(None, None, value_loss_coef=0.25, entropy_coef=0.1)
    trajectory = {
        "value_targets": torch.tensor([3.0, -1.0]),
        "values": torch.tensor([1.0, 1.0]),  # advantages 2 and -2
        "log_probs": torch.tensor([-0.5, -1.5]),
        "logits": torch.tensor([[0.0, 0.0], [0.0, 0.0]]),
    }
    assert a2c.policy_loss(trajectory).item() == pytest.approx(-(2 * -0.5 + -2 * -1.5) / 2)  # -1
    assert a2c.value_loss(trajectory).item() == pytest.approx(4.0)
    assert a2c.entropy(trajectory).item() == pytest.approx(np.log(2))
    assert a2c.loss(trajectory).item() == pytest.approx(-1 + 0.25 * 4 - 0.1 * np.log(2))


def test_a_loss_that_is_not_finite_is_refused_before_any_weight_moves(solution):
    torch.manual_seed(0)
    policy = solution.Policy(solution.NatureModel(6))
    a2c = solution.A2C(policy, torch.optim.RMSprop(policy.model.parameters()))
    before = policy.model.value.weight.clone()
    act = policy.act(np.random.default_rng(0).random((2, 4, 84, 84), dtype=np.float32))
    with pytest.raises(
        FloatingPointError, match="the loss is nan, not finite: no update; lower the learning rate"
    ):
        a2c.step({**act, "value_targets": torch.tensor([1.0, float("nan")])})
    assert torch.equal(policy.model.value.weight, before)


def test_the_order_in_memory_changes_neither_outputs_nor_gradient(solution):
    frames, results = torch.rand(8, 4, 84, 84), []
    for order in (torch.contiguous_format, torch.channels_last):
        torch.manual_seed(0)
        model = solution.NatureModel(6).double().to(memory_format=order)
        logits, values = model(frames.double())
        (logits.square().sum() + values.square().sum()).backward()
        results.append([logits, values, *(p.grad for p in model.parameters())])
    assert results[0][2].stride() != results[1][2].stride()
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other)


# playing


def test_evaluate_plays_whole_games_and_returns_raw_scores(solution):
    class Two:
        """Two lives of three steps; the game pays 7 a step."""

        def __init__(self):
            self.steps = 0

        def reset(self):
            self.steps = 0
            return np.zeros(1), {}

        def step(self, action):
            self.steps += 1
            return np.zeros(1), 7.0, self.steps == 6, False, {}

    class First:
        def act(self, inputs):
            return {"actions": np.array([0]), "logits": torch.zeros(1, 2)}

        def reset(self):
            pass

    assert solution.evaluate(Two(), First(), n_games=2) == [42.0, 42.0]
    assert solution.evaluate(Two(), First(), greedy=True, t_max=4) == [28.0]


# the whole notebook, twice over: first alone, then as a person watches it


CATCH = ("catch-train", "laboratory-run", "further-")
WHOLE_GAME = """from training.curves import read_curves
started = runner.step_var
while read_curves(RUN).get("Episodes/games", [[0]])[0][-1] <= started:
    {training}"""


def run_sitting(out, watched):
    """Executes the cells in a short sitting, Catch only at first; returns the executed notebook.

    A slow machine trains again until a whole game has ended: else there is no curve of scores.
    """
    before, book = dict(os.environ), notebook.read()
    (cell,) = (cell for cell in book.cells if cell["id"] == "training-run")
    cell["source"] = WHOLE_GAME.format(training=cell["source"].replace("\n", "\n    "))
    os.environ.update(A2C_OUT=str(out))
    if watched:
        os.environ.update(JPY_SESSION_NAME="a2c_assignment.ipynb", A2C_DRIVE=str(out / "drive"))
        book.cells = [cell for cell in book.cells if not cell["id"].startswith(CATCH)]
    try:
        client = NotebookClient(book, timeout=600, resources={"metadata": {"path": ROOT}})
        return client.execute()
    finally:
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture(scope="module")
def sittings(tmp_path_factory):
    """Two sittings of one run: its folder, the second's notebook, the step after the first."""
    out, before = tmp_path_factory.mktemp("out"), files_of_the_reader()
    for path in [*REFERENCE, ABORTED]:
        (out / path).parent.mkdir(parents=True)
        (out / path).write_bytes(b"not of this run")
    first = run_sitting(out, watched=False)
    middle = newest_step(out)
    second = run_sitting(out, watched=True)
    left = [process.name() for process in processes_of(out)]
    assert files_of_the_reader() == before
    return SimpleNamespace(out=out, first=first, second=second, middle=middle, left=left)


def files_of_the_reader():
    return {
        path: path.stat().st_mtime_ns
        for folder in ("img", "logs", "videos")
        for path in (ROOT / folder).rglob("*")
    }


@pytest.mark.slow
def test_pytest_runs_the_notebook_and_leaves_a_readers_files_alone():
    before = files_of_the_reader()
    command = [sys.executable, "-m", "pytest", notebook.PATH.name, "--numprocesses=0", "-q"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout
    assert files_of_the_reader() == before


SERVANTS = {"Xvfb", "tensorboard", "ffmpeg"}
REFERENCE = [
    "logs/reference/events.out.tfevents.1",
    "videos/reference/False/rl-video-episode-0.mp4",
    "img/reference/curve.png",
]
ABORTED = "logs/aborted/events.out.tfevents.1"


def test_the_reference_run_is_not_touched(sittings):
    for path in REFERENCE:
        folder = sittings.out / path.split("/")[0] / "reference"
        assert [each for each in folder.rglob("*") if each.is_file()] == [sittings.out / path]
        assert (sittings.out / path).read_bytes() == b"not of this run"


def processes_of(out):
    """The programs that a sitting has started, a moment given to those that are ending."""
    found = [process for process in psutil.process_iter() if started_for(out, process)]
    _, alive = psutil.wait_procs(found, timeout=20)
    return [process for process in alive if started_for(out, process)]


def started_for(out, process):
    try:
        return process.name() in SERVANTS and process.environ().get("A2C_OUT") == str(out)
    except psutil.Error:  # it has ended, or is somebody else's
        return False


def newest_step(out):
    return int(sorted((out / "logs" / "first-run").glob("*.pt"))[-1].stem.split("-")[1])


def printed(executed, cell_id):
    (cell,) = (cell for cell in executed.cells if cell["id"] == cell_id)
    return "".join(output.get("text", "") for output in cell.outputs)


def test_a_second_sitting_resumes_where_the_first_ended(sittings):
    assert sittings.middle > 1000
    assert printed(sittings.first, "training-start-cell") == "starting first-run\n"
    said = printed(sittings.second, "training-start-cell")
    assert f"resuming first-run at agent step {sittings.middle:,}" in said
    assert newest_step(sittings.out) > sittings.middle + 1000


def test_all_curves_join_in_order(sittings):
    curves = read_curves(sittings.out / "logs" / "first-run")
    for tag in CURVES:
        steps, values, _ = curves[tag]
        assert (np.diff(steps) > 0).all(), tag
        assert steps[0] <= 20_000 and steps[-1] > sittings.middle
        assert np.isfinite(values).all()
    assert np.diff(curves["A2C/entropy"][0]).max() <= 2 * 2_000


def test_the_drive_holds_the_whole_run(sittings):
    run, copy = sittings.out / "logs" / "first-run", sittings.out / "drive" / "first-run"
    files = {path.name: path.read_bytes() for path in copy.iterdir()}
    assert {path.name: path.read_bytes() for path in run.iterdir() if path.name in files} == files
    assert sum(name.startswith("checkpoint-") for name in files) == 2
    assert sum(name.startswith("events.") for name in files) == 2


def test_videos_of_both_kinds_play_at_the_speed_of_a_person(sittings):
    for kind in ("False", "True"):
        (video,) = (sittings.out / "videos" / kind).glob("*.mp4")
        frames = iio.imread(video, plugin="FFMPEG")
        assert frames.shape[1:] == (210, 160, 3) and len(frames) > 100
        assert np.ptp(frames) > 100 and (frames[0] != frames[-1]).any()
        assert iio.immeta(video, plugin="FFMPEG")["fps"] == 15


def test_pictures_of_all_curves_are_drawn(sittings):
    names = {tag.split("/")[1] for tag in CURVES} - {"games"}
    assert {path.stem for path in (sittings.out / "img").glob("*.png")} == names
    for path in (sittings.out / "img").glob("*.png"):
        assert np.ptp(iio.imread(path)) > 100


def test_the_hand_in_holds_the_run_and_nothing_else(sittings):
    with zipfile.ZipFile(sittings.out / "hand-in.zip") as package:
        names = set(package.namelist())
        inner = nbformat.reads(package.read("a2c_assignment.ipynb").decode(), as_version=4)
    videos = {f"videos/{kind}/rl-video-episode-0.mp4" for kind in (False, True)}
    pictures = {f"img/{tag.split('/')[1]}.png" for tag in CURVES} - {"img/games.png"}
    scripts = {name for name in names if name.endswith(".py")}
    events = {name for name in names if name.startswith("logs/first-run/events")}
    assert len(events) == 2
    kit = {"assignment.json", "requirements.txt", "lesson/reference_run.json"}
    kit |= {"lesson/symptoms.json", "languages/ru.po"}
    own = {"weights.pt", "a2c_assignment.ipynb", "hand-in.json"}
    assert names - events - scripts == videos | pictures | own | kit
    assert {"runners.py", "training/health.py", "tests/checks/__init__.py"} <= scripts
    tests = {name for name in scripts if name.startswith("tests/")}
    assert all(name.startswith("tests/checks/") for name in tests - {"tests/__init__.py"})
    assert inner.cells == notebook.read().cells


def test_the_saved_weights_are_those_of_the_checkpoint(sittings, solution):
    model = solution.NatureModel(6)
    model.load_state_dict(torch.load(sittings.out / "weights.pt", weights_only=True))
    path = sorted((sittings.out / "logs" / "first-run").glob("*.pt"))[-1]
    saved = torch.load(path, weights_only=True)["model"]
    assert all(torch.equal(value, saved[name]) for name, value in model.state_dict().items())


def test_videos_are_embedded_and_tensorboard_is_shown_to_who_watches(sittings):
    (cell,) = (cell for cell in sittings.second.cells if cell["id"] == "watching-play")
    shown = [
        output.data["text/html"] for output in cell.outputs if output.output_type == "display_data"
    ]
    assert len(shown) == 2 and all("data:video/mp4;base64," in html for html in shown)
    assert "nobody is watching" in printed(sittings.first, "training-tensorboard")
    (cell,) = (cell for cell in sittings.second.cells if cell["id"] == "training-tensorboard")
    assert any(
        "tensorboard-frame" in output.get("data", {}).get("text/html", "")
        for output in cell.outputs
    )


def test_no_process_is_left_behind(sittings):
    assert not sittings.left
