import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt

from benchmarks import figures
from lesson import catch, map, pictures, tensorboard, videos
from tests import notebook

GAME = "SpaceInvadersNoFrameskip-v4"


@pytest.fixture(autouse=True)
def no_window(monkeypatch):
    """Pictures are drawn and kept open for a test to look at."""
    monkeypatch.setattr(plt, "show", lambda: None)
    plt.close("all")


@pytest.fixture(scope="module")
def policy():
    given = notebook.definitions(("model-class", "policy-class"))
    torch.manual_seed(0)
    return given["Policy"](given["NatureModel"](6))


# Catch


def play_catch(choose, games=400):
    env, scores, rng = catch.Catch(), [], np.random.default_rng(1)
    env.reset(seed=0)
    for _ in range(games):
        env.reset()
        ended = False
        while not ended:
            _, reward, ended, _, _ = env.step(choose(env, rng))
        scores.append(reward)
    return np.mean(scores)


def test_catch_scores_one_at_best_and_minus_five_sevenths_at_random():
    assert play_catch(lambda env, rng: 1 + np.sign(env.column - env.paddle)) == 1.0
    at_random = play_catch(lambda env, rng: rng.integers(3), games=4000)
    assert at_random == pytest.approx(-5 / 7, abs=0.045)  # four standard errors


def test_the_games_of_a_batch_end_together_after_six_agent_steps():
    envs = catch.catch_batch(4, seed=0)
    envs.reset()
    ends = [envs.step([1] * 4)[2].tolist() for _ in range(12)]
    assert ends == ([[False] * 4] * 5 + [[True] * 4]) * 2


def test_catch_that_is_not_learnt_says_what_is_left_to_suspect(capsys):
    with pytest.raises(catch.NotLearnt, match="Catch scores -0.50 after 9,600 agent") as raised:
        catch.check_learnt([-0.5] * 100, nenvs=16)
    lines = raised.value._render_traceback_()
    assert lines[0].startswith("NotLearnt: Catch scores") and all(len(x) <= 100 for x in lines)
    suspects = [line.split(":")[0] for line in lines if line.startswith("- ")]
    assert len(lines) == 7 and len(suspects) == 5 and "optimizer" in suspects[1]
    catch.check_learnt([-1.0] * 50 + [0.95] * 100, nenvs=16)
    assert capsys.readouterr().out == "Catch is learnt: 0.95 of 1 after 14,400 agent steps\n"


def test_catch_pictures_show_scores_against_agent_steps():
    class Idle:
        def act(self, observations):
            return {"actions": np.array([1])}

    scores = np.linspace(-1, 1, 40)
    catch.plot_catch(scores, Idle(), nenvs=16)
    assert plt.gcf().axes[0].lines[0].get_xdata()[[0, -1]].tolist() == [960, 3840]
    names = ["a", "b", "c", "d", "e", "f"]
    catch.plot_laboratory(dict.fromkeys(names, scores), nenvs=16)
    assert [axis.get_title() for axis in plt.gcf().axes] == names


# pictures


def test_entries_are_shown_with_type_and_shape():
    entries = {
        "values": torch.zeros(3),
        "rewards": [np.zeros(4), np.zeros(4)],
        "state": {"env_steps": 2},
    }
    shown = pictures.entries_table(entries).splitlines()[2:]
    assert [re.sub(r"\s+", "", row) for row in shown] == [
        "|`values`|Tensor||[3]|",
        "|`rewards`|ndarray|2|[4]|",
    ]


class Collector:
    """Two environments: an episode ends in the first, a reward comes in the second."""

    def get_next(self):
        return {
            "rewards": [np.float32([0, 1]), np.float32([0, 0])],
            "resets": [np.array([True, False]), np.array([False, False])],
            "values": [torch.tensor([0.5, 0.25])] * 2,
        }


def test_targets_of_two_environments_are_printed(capsys):
    def targets(trajectory):
        trajectory["value_targets"] = [torch.tensor([1.0, 2.0])] * 2

    pictures.show_targets(Collector(), targets)
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "environment 0, where an episode ends:"
    assert out[1] == "  t = 0  reward 0  reset  True  V +0.500  target +1.000"
    assert out[3] == "environment 1, where a reward comes in:"
    assert out[4] == "  t = 0  reward 1  reset False  V +0.250  target +2.000"


def test_curves_are_drawn_from_event_files_one_picture_each(tmp_path):
    pictures.draw_curves(figures.RUN, tmp_path / "img")
    drawn = {path.stem for path in (tmp_path / "img").iterdir()}
    assert drawn == {tag.split("/")[1] for tag in pictures.CAPTIONS}
    titles = [axis.get_title() for axis in plt.gcf().axes]
    assert titles == list(pictures.CAPTIONS.values())


def test_the_map_names_every_class(tmp_path):
    map.draw_map(tmp_path / "map.png")
    assert (tmp_path / "map.png").stat().st_size > 10_000
    sources = notebook.cells(notebook.read())
    for name in map.BOXES:
        assert any(re.search(rf"\b{name}\b", source) for source in sources.values())


# videos


def test_a_camera_records_whole_games_of_raw_rewards(tmp_path):
    with videos.camera(GAME, tmp_path, seed=1) as env:
        env.reset()
        rewards = [env.step(1)[1] for _ in range(150)]
    assert len(list(tmp_path.glob("*.mp4"))) == 1 and max(rewards) >= 5


def test_the_inside_of_a_game_is_drawn_with_values_and_probabilities(policy):
    videos.show_inside(policy, GAME, seed=3, t_max=100)
    axes = {axis.get_title() or axis.get_ylabel() for axis in plt.gcf().axes}
    assert {"value", "highest value", "lowest value"} <= axes
    assert len(plt.gcf().axes[0].lines[0].get_ydata()) == 100


# TensorBoard


def test_nobody_is_shown_a_tensorboard_where_nobody_watches(monkeypatch, capsys):
    started = []
    monkeypatch.setattr(tensorboard.notebook, "start", started.append)
    tensorboard.show_tensorboard("logs/first-run")
    assert not started and "tensorboard --logdir logs/first-run" in capsys.readouterr().out


def test_a_tensorboard_ends_with_the_process(monkeypatch, tmp_path):
    started, at_exit, killed = [], [], []
    monkeypatch.setenv("VSCODE_PID", "1")
    monkeypatch.setattr(tensorboard.notebook, "start", started.append)
    monkeypatch.setattr(tensorboard.atexit, "register", lambda *call: at_exit.append(call))
    monkeypatch.setattr(tensorboard.os, "kill", lambda pid, number: killed.append(pid))
    mine = SimpleNamespace(logdir=str(tmp_path.resolve()), pid=5)
    others = SimpleNamespace(logdir="elsewhere", pid=6)
    monkeypatch.setattr(tensorboard.manager, "get_all", lambda: [mine, others])
    tensorboard.show_tensorboard(tmp_path)
    ((stop, logdir),) = at_exit
    stop(logdir)
    assert len(started) == 1 and killed == [5]
