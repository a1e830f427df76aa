import ast
import os
import re
import statistics
import zipfile
from types import SimpleNamespace

import imageio.v3 as iio
import nbformat
import numpy as np
import psutil
import pytest
import torch
from nbclient import NotebookClient
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests import notebook
from tests.right_answers import RIGHT
from tests.wrong_answers import WRONG

ROOT = notebook.PATH.parent
TASKS = ["NatureModel", "Policy", "ComputeValueTargets", "MergeTimeBatch", "A2C"]
CURVES = [
    "Episodes/reward_mean_100",
    "Episodes/games",
    *(
        f"A2C/{name}"
        for name in (
            "coefficient_of_determination",
            "entropy",
            "value_loss",
            "policy_loss",
            "value_targets",
            "value_predictions",
            "gradient_norm",
            "advantages",
            "total_loss",
        )
    ),
]


@pytest.fixture(scope="module")
def solution():
    """The notebook's classes."""
    return SimpleNamespace(**notebook.definitions())


# the text


def test_cells_keep_to_the_house_style():
    book = notebook.read()
    assert (book.nbformat, book.nbformat_minor) == (4, 5)
    ids = [cell["id"] for cell in book.cells]
    assert all(
        re.fullmatch(r"[a-z0-9-]+", name) and not re.fullmatch(r"[0-9a-f]{8}", name) for name in ids
    )
    lines = {"code": [], "markdown": []}
    for cell in book.cells:
        lines[cell.cell_type].append(
            sum(bool(line.strip()) for line in cell["source"].splitlines())
        )
    assert statistics.median(lines["code"]) <= 18 and max(lines["code"]) <= 40
    assert max(lines["markdown"]) <= 12
    assert not any(cell.metadata for cell in book.cells)


def test_every_task_has_a_class_with_a_marked_solution_and_a_check_in_the_next_cell():
    book = notebook.read()
    code = [cell["source"] for cell in book.cells if cell.cell_type == "code"]
    for task in TASKS:
        (k,) = (k for k, source in enumerate(code) if f"\nclass {task}" in "\n" + source)
        assert 1 <= code[k].count("### BEGIN SOLUTION") == code[k].count("### END SOLUTION")
        assert "checks.check_" in code[k + 1]


def test_solutions_taken_out_leave_a_notebook_that_compiles():
    for name, source in notebook.cells(notebook.read()).items():
        if "### BEGIN SOLUTION" in source and not name.startswith("curves"):
            hole = r"### BEGIN SOLUTION.*?### END SOLUTION"
            ast.parse(re.sub(hole, "raise NotImplementedError", source, flags=re.DOTALL))


def test_outputs_name_no_path_of_a_machine():
    text = notebook.PATH.read_text(encoding="utf-8")
    assert not re.search(r"/(root|home|Users|work|tmp)/|site-packages|@@", text)


# the figures that are told


def test_readme_counts_the_answers_that_are_known():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"{len(WRONG)} mistakes are known so far, and {len(RIGHT)} right answers" in readme


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
        FloatingPointError, match="the loss is nan, expected a finite number: no update"
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


# the tiny game


def play_catch(solution, choose, games=400):
    env, scores = solution.Catch(), []
    env.reset(seed=0)
    rng = np.random.default_rng(1)
    for _ in range(games):
        env.reset()
        ended = False
        while not ended:
            _, reward, ended, _, _ = env.step(choose(env, rng))
        scores.append(reward)
    return np.mean(scores)


def test_catch_scores_one_at_best_and_minus_five_sevenths_at_random(solution):
    assert play_catch(solution, lambda env, rng: 1 + np.sign(env.column - env.paddle)) == 1.0
    at_random = play_catch(solution, lambda env, rng: rng.integers(3), games=4000)
    assert at_random == pytest.approx(-5 / 7, abs=0.045)  # four standard errors


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


# the whole notebook, twice over


def run_sitting(out, watched):
    """Executes every cell in a short sitting; returns the executed notebook."""
    before = dict(os.environ)
    os.environ.update(A2C_OUT=str(out), A2C_MINUTES="0.3", A2C_DRIVE=str(out / "drive"))
    if watched:
        os.environ["JPY_SESSION_NAME"] = "a2c_assignment.ipynb"
    try:
        client = NotebookClient(
            notebook.read(), timeout=600, resources={"metadata": {"path": ROOT}}
        )
        return client.execute()
    finally:
        os.environ.clear()
        os.environ.update(before)


def files_of_the_reader():
    return {
        path: path.stat().st_mtime_ns
        for folder in ("img", "logs", "videos")
        for path in (ROOT / folder).rglob("*")
    }


@pytest.fixture(scope="module")
def sittings(tmp_path_factory):
    """Two sittings of one run: its folder, both executed notebooks, the step after the first."""
    out, before = tmp_path_factory.mktemp("out"), files_of_the_reader()
    for path in REFERENCE:
        (out / path).parent.mkdir(parents=True)
        (out / path).write_bytes(b"the reference run")
    running = set(psutil.pids())
    first = run_sitting(out, watched=False)
    middle = newest_step(out)
    second = run_sitting(out, watched=True)
    assert files_of_the_reader() == before
    left = [process for process in started_since(running) if process.name() in SERVANTS]
    return SimpleNamespace(out=out, first=first, second=second, middle=middle, left=left)


SERVANTS = {"Xvfb", "tensorboard", "ffmpeg"}
REFERENCE = [
    "logs/reference/events.out.tfevents.1",
    "videos/reference/False/rl-video-episode-0.mp4",
    "img/reference/curve.png",
]


def test_the_reference_run_is_not_touched(sittings):
    for path in REFERENCE:
        folder = sittings.out / path.split("/")[0] / "reference"
        assert [each for each in folder.rglob("*") if each.is_file()] == [sittings.out / path]
        assert (sittings.out / path).read_bytes() == b"the reference run"


def started_since(running):
    """The processes that were not there before, a moment given to those that are ending."""
    new = [psutil.Process(pid) for pid in psutil.pids() if pid not in running]
    _, alive = psutil.wait_procs(new, timeout=3)
    return [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]


def newest_step(out):
    return int(sorted((out / "logs" / "first-run").glob("*.pt"))[-1].stem.split("-")[1])


def printed(executed, cell_id):
    (cell,) = (cell for cell in executed.cells if cell["id"] == cell_id)
    return "".join(output.get("text", "") for output in cell.outputs)


def test_a_second_sitting_goes_on_where_the_first_ended(sittings):
    assert sittings.middle > 1000
    assert printed(sittings.first, "training-start-cell") == "starting first-run\n"
    said = printed(sittings.second, "training-start-cell")
    assert said == f"going on with first-run at agent step {sittings.middle:,}\n"
    assert newest_step(sittings.out) > sittings.middle + 1000


def test_all_curves_join_in_order(sittings):
    events = EventAccumulator(
        str(sittings.out / "logs" / "first-run"), size_guidance={"scalars": 0}
    )
    events.Reload()
    for tag in CURVES:
        points = events.Scalars(tag)
        steps = [point.step for point in points]
        assert steps == sorted(set(steps)), tag
        assert steps[0] <= 20_000 and steps[-1] > sittings.middle
        assert np.isfinite([point.value for point in points]).all()
    steps = [point.step for point in events.Scalars("A2C/entropy")]
    assert np.diff(steps).max() <= 2 * 2_000


def test_the_drive_holds_the_whole_run(sittings):
    run, copy = sittings.out / "logs" / "first-run", sittings.out / "drive" / "first-run"
    files = {path.name: path.read_bytes() for path in run.iterdir()}
    assert {path.name: path.read_bytes() for path in copy.iterdir()} == files
    assert sum(name.startswith("checkpoint-") for name in files) == 2


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
    scripts = {"atari_wrappers.py", "env_batch.py", "runners.py", "checkpoints.py", "mirror.py"}
    videos = {f"videos/{kind}/rl-video-episode-0.mp4" for kind in (False, True)}
    pictures = {f"img/{tag.split('/')[1]}.png" for tag in CURVES} - {"img/games.png"}
    scripts |= {"health.py", "tests/__init__.py", "tests/checks.py"}
    events = {name for name in names if name.startswith("logs/first-run/events")}
    assert len(events) == 2
    assert names - events == scripts | videos | pictures | {"weights.pt", "a2c_assignment.ipynb"}
    assert inner.cells == notebook.read().cells
    assert "as saved does not show this run" in printed(sittings.first, "hand-in-cell")


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
    (cell,) = (cell for cell in sittings.second.cells if cell["id"] == "training-tensorboard")
    assert any(
        "tensorboard-frame" in output.get("data", {}).get("text/html", "")
        for output in cell.outputs
    )
    assert "nobody is watching" in printed(sittings.first, "training-tensorboard")


def test_no_process_is_left_behind(sittings):
    assert not sittings.left
