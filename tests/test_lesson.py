import json
import os
import re
import shlex
import subprocess
import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import torch
from matplotlib import pyplot as plt

import languages
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


@pytest.fixture(params=languages.languages())
def language(request, monkeypatch):
    """Draws with the words of a language, also those that a module looked up as it was imported."""
    say = languages.translation(request.param).gettext
    for module in (catch, map, pictures, videos):
        monkeypatch.setattr(module, "_", say)
    boxes = {name: (*place, say(text)) for name, (*place, text) in map.BOXES.items()}
    monkeypatch.setattr(map, "BOXES", boxes)
    arrows = [(start, end, text and say(text), *place) for start, end, text, *place in map.ARROWS]
    monkeypatch.setattr(map, "ARROWS", arrows)
    captions = {tag: say(caption) for tag, caption in pictures.CAPTIONS.items()}
    monkeypatch.setattr(pictures, "CAPTIONS", captions)
    return request.param


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


def test_a_curve_of_catch_with_few_rounds_is_the_mean_of_all():
    steps, smooth = catch.smooth_curve(np.array([-1.0, 0.0, 1.0, 1.0]), nenvs=16)
    assert (steps.tolist(), smooth.tolist()) == ([4 * 6 * 16], [0.25])
    steps, smooth = catch.smooth_curve(np.arange(12.0), nenvs=16)
    assert steps.tolist() == [960, 1056, 1152] and smooth == pytest.approx([4.5, 5.5, 6.5])


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


def test_targets_of_a_game_in_which_chance_finds_no_reward_say_so(capsys):
    class NoReward(Collector):
        def get_next(self):
            nothing = [np.float32([0, 0])] * 2
            return super().get_next() | {"rewards": nothing, "value_targets": nothing}

    pictures.show_targets(NoReward(), None, tries=500)
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "environment 0, where an episode ends:" and len(out) == 4
    assert out[3] == "In 1,000 steps of all environments no reward came in."


def test_curves_are_drawn_from_event_files_each_in_a_file_of_its_name(language, tmp_path):
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


def test_the_time_of_an_explosion_is_shaded_in_the_game_it_was_measured_in_alone(monkeypatch):
    lives = np.array([3] * 50 + [2] * 50)
    frames = dict.fromkeys(("highest", "lowest"), np.zeros((210, 160, 3), np.uint8))
    seen = np.zeros(100), np.full((100, 18), 1 / 18), lives, frames
    monkeypatch.setattr(videos, "_look_inside", lambda *args: seen)
    shaded = []
    for game in (GAME, "SeaquestNoFrameskip-v4"):
        videos.show_inside(None, game, seed=3)
        axis, _, below, _ = plt.gcf().axes
        shaded.append(len(axis.patches))
        assert axis.lines[1].get_xdata()[0] == 50  # the life that was lost
    assert shaded == [1, 0]
    assert len({tuple(area.get_facecolor()[0]) for area in below.collections}) == 18


# words in pictures


def words(figure):
    """Each text of a figure, but for numbers at the axes, and its place."""
    texts = [*figure.texts, *(text for legend in figure.legends for text in legend.texts)]
    for axis in figure.axes:
        texts += [axis.title, *axis.texts]
        texts += [axis.xaxis.label, axis.yaxis.label] if axis.axison else []
    return [(text.get_text(), text.get_window_extent()) for text in texts if text.get_text()]


def cut_or_overlapping(figure):
    """The texts of a figure that leave it or lie on each other."""
    for _drawing in range(2):  # the layout takes the numbers of the drawing before
        figure.draw_without_rendering()
    places, page = words(figure), figure.bbox
    for text, box in places:
        over = [other for other, there in places if there is not box and box.overlaps(there)]
        if over or min(box.min) < 0 or box.x1 > page.x1 or box.y1 > page.y1:
            yield text, over


def test_words_of_pictures_fit_in_every_language(language, policy, tmp_path, monkeypatch):
    monkeypatch.setattr(plt, "close", lambda figure: None)
    map.draw_map(tmp_path / "map.png")
    pictures.show_observation(np.zeros((4, 84, 84)))
    pictures.draw_curves(figures.RUN, tmp_path)
    catch.plot_catch(np.zeros(40), policy, nenvs=16)
    catch.plot_laboratory(dict.fromkeys("abcdef", np.zeros(40)), nenvs=16)
    videos.show_inside(policy, GAME, seed=3, t_max=20)
    drawn = [plt.figure(number) for number in plt.get_fignums()]
    assert len(drawn) == 16
    assert [found for figure in drawn for found in cut_or_overlapping(figure)] == []


def test_words_of_the_map_stay_in_their_boxes_in_every_language(language, tmp_path, monkeypatch):
    monkeypatch.setattr(plt, "close", lambda figure: None)
    map.draw_map(tmp_path / "map.png")
    places = [place for _text, place in words(plt.gcf())]
    for box in (patch.get_window_extent() for patch in plt.gca().patches):
        held = [place for place in places if box.contains(*(place.min + place.max) / 2)]
        assert len(held) == 2 and all(box.x0 < place.x0 < place.x1 < box.x1 for place in held)


# TensorBoard


def test_nobody_is_shown_a_tensorboard_where_nobody_watches(monkeypatch, capsys):
    started = []
    monkeypatch.setattr(tensorboard.notebook, "start", started.append)
    tensorboard.show_tensorboard("logs/first-run")
    assert not started and "tensorboard --logdir logs/first-run" in capsys.readouterr().out


def test_a_tensorboard_that_a_power_cut_ended_is_not_shown_again(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("VSCODE_PID", "1")
    monkeypatch.setattr(tensorboard.atexit, "register", lambda *call: None)
    ended = subprocess.Popen(["true"])
    ended.wait()
    now = psutil.Process().create_time()
    for pid, start in ((ended.pid, now), (os.getpid(), now + 1), (os.getppid(), now - 1e6)):
        told = dict(version="2", start_time=int(start), pid=pid, port=6006, db="", cache_key="")
        note = json.dumps(told | dict(path_prefix="", logdir=str(tmp_path)))
        Path(tensorboard.manager._get_info_dir(), f"pid-{pid}.info").write_text(note)
    assert len(tensorboard.manager.get_all()) == 3
    seen = []

    def start(_arguments):
        seen.extend(info.pid for info in tensorboard.manager.get_all())

    monkeypatch.setattr(tensorboard.notebook, "start", start)
    tensorboard.show_tensorboard(tmp_path)
    assert seen == [os.getpid()]


def test_a_tensorboard_takes_a_folder_of_any_name(monkeypatch, tmp_path):
    started = []
    monkeypatch.setenv("VSCODE_PID", "1")
    monkeypatch.setattr(tensorboard.notebook, "start", started.append)
    monkeypatch.setattr(tensorboard.atexit, "register", lambda *call: None)
    tensorboard.show_tensorboard(tmp_path / "Master's course")
    assert shlex.split(started[0])[:2] == ["--logdir", str(tmp_path / "Master's course")]


def test_a_tensorboard_ends_with_the_process(monkeypatch, tmp_path, capsys):
    started, at_exit, killed = [], [], []
    monkeypatch.setenv("VSCODE_PID", "1")
    monkeypatch.setattr(tensorboard.notebook, "start", started.append)
    monkeypatch.setattr(tensorboard.atexit, "register", lambda *call: at_exit.append(call))
    monkeypatch.setattr(tensorboard.os, "kill", lambda pid, number: killed.append(pid))
    mine = SimpleNamespace(logdir=str(tmp_path.resolve()), pid=5)
    others = SimpleNamespace(logdir="elsewhere", pid=6)
    monkeypatch.setattr(tensorboard, "_forget_ended", lambda: None)
    monkeypatch.setattr(tensorboard.manager, "get_all", lambda: [mine, others])
    tensorboard.show_tensorboard(tmp_path)
    ((stop, logdir),) = at_exit
    stop(logdir)
    assert len(started) == 1 and killed == [5]
    assert capsys.readouterr().out.startswith("Press ↻ at the top right")
