import json
import os
import re
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import imageio.v3 as iio
import numpy as np
import pytest

from atari_wrappers import TensorboardSummaries, nature_dqn_env
from benchmarks import evaluation, figures, pictures, reference, study
from env_batch import EnvBatch
from tests import notebook
from tests.toys import Counting
from training.curves import read_curves

VIDEOS = notebook.PATH.parent / "videos" / "reference"


@pytest.fixture(scope="module")
def results():
    """The recorded games."""
    return json.loads(evaluation.FIGURES.read_text())


# the curve


def test_the_notebook_shows_the_end_of_the_reference_run():
    (cell,) = (cell for cell in notebook.read().cells if cell["id"] == "training-run")
    shown = "\n".join(o.get("text") or o["data"]["text/plain"] for o in cell.outputs)
    last_sitting = sorted(figures.RUN.glob("events.out.*"))[-1]
    score = read_curves(last_sitting)[figures.GRADED][1][-1]
    assert "10,000,000 of 10,000,000 agent steps" in shown
    assert f"reward_mean_100 {score:.0f}" in shown


def test_the_settings_are_the_notebooks():
    cells, names = notebook.cells(notebook.read()), ["start-imports", "settings-cell"]
    given = notebook.run(names, cells, {"os": os, "Path": Path})
    assert given["RANDOM_SCORE"] == figures.RANDOM_SCORE
    assert (given["NENVS"], given["TOTAL_STEPS"]) == (figures.NENVS, figures.TOTAL_STEPS)
    assert given["MAX_GRAD_NORM"] == figures.MAX_GRAD_NORM


def test_the_notebook_embeds_the_pictures_of_the_reference_run(tmp_path):
    source = notebook.PATH.read_text(encoding="utf-8")
    older, changed = re.subn(r"(data:image/\w+;base64,)[\w+/]{9}", r"\1AnOlderOne", source)
    copy = tmp_path / "copy.ipynb"
    copy.write_text(older, encoding="utf-8")
    pictures.embed(copy)
    assert changed == len(pictures.EMBEDDED)
    assert copy.read_text(encoding="utf-8") == source


def curve(*points):
    """A curve of (agent step, value, wall time) points."""
    return tuple(np.array(column) for column in zip(*points, strict=True))


def test_hours_are_those_of_the_sittings():
    spans = [(100, 460), (5000, 5720)]  # 0.1 and 0.2 hours
    points = (10, 300, 280), (20, 400, 460), (30, 500, 5360), (40, 700, 5720)
    told = figures.figures(curve(*points), spans)
    assert (told["steps"], told["score"]) == (40, 700)
    assert told["hours"] == pytest.approx(0.3)
    assert told["early"] == (20, 400)  # the last point of the first ten minutes
    assert told["passed"] == {400: (20, pytest.approx(0.1)), 600: (40, pytest.approx(0.3))}


def test_a_score_that_was_not_passed_is_left_out():
    told = figures.figures(curve((3600, 399, 0), (7200, 450, 7200)), [(0, 7200)])
    assert list(told["passed"]) == [400]


def test_a_span_holds_its_end_and_not_its_beginning():
    points = (100_000, 1, 0), (150_000, 2, 0), (200_000, 4, 0), (250_000, 8, 0)
    assert figures.within(curve(*points), (0.1, 0.2)).tolist() == [2, 4]


def test_pictures_show_the_run(tmp_path):
    points = [(k * 100_000, 150 + k, 0) for k in range(1, 20)]
    run = dict.fromkeys((figures.GRADED, figures.SCORE, figures.LENGTH), curve(*points))
    pictures.draw_breakthrough(run, tmp_path / "breakthrough.png")
    assert np.ptp(iio.imread(tmp_path / "breakthrough.png")) > 100


def write_run(out, steps):
    """A folder as a run leaves it, its curve drawn up to some agent step."""
    env = TensorboardSummaries(EnvBatch([Counting()]), out / "logs" / "mine")
    for env.step_var in (1000, steps):
        env.add_summary(figures.GRADED, 500.0)
    env.close()
    (out / "weights.pt").write_bytes(b"weights")
    for kind in ("False", "True"):
        (out / "videos" / kind).mkdir(parents=True)
        shutil.copy(next((VIDEOS / kind).glob("*.mp4")), out / "videos" / kind)


@pytest.fixture
def kit(tmp_path):
    """A kit with an old reference run."""
    (tmp_path / "kit" / "logs" / "reference").mkdir(parents=True)
    (tmp_path / "kit" / "logs" / "reference" / "weights.pt").write_bytes(b"old")
    return tmp_path / "kit"


def test_take_puts_a_finished_run_in_the_place_of_the_old(tmp_path, kit):
    write_run(tmp_path / "out", 10_000_000)
    reference.take(tmp_path / "out", kit)
    assert (kit / "logs" / "reference" / "weights.pt").read_bytes() == b"weights"
    assert read_curves(kit / "logs" / "reference")[figures.GRADED][0].tolist() == [1000, 10_000_000]
    assert len(list(kit.glob("videos/reference/*/rl-video-episode-0.mp4"))) == 2


def test_a_video_becomes_an_animation(tmp_path):
    pictures.animate(VIDEOS / "False" / "rl-video-episode-0.mp4", tmp_path / "agent.gif")
    assert iio.imread(tmp_path / "agent.gif").shape[1:] == (315, 240, 3)


@pytest.mark.parametrize("lack", ["weights.pt", "videos/True/rl-video-episode-0.mp4", "steps"])
def test_take_refuses_what_is_not_whole_and_leaves_the_old(tmp_path, kit, lack):
    write_run(tmp_path / "out", 5_000_000 if lack == "steps" else 10_000_000)
    if lack != "steps":
        (tmp_path / "out" / lack).unlink()
    with pytest.raises(ValueError, match="train on first" if lack == "steps" else f"{lack} is"):
        reference.take(tmp_path / "out", kit)
    assert (kit / "logs" / "reference" / "weights.pt").read_bytes() == b"old"
    assert not (kit / "videos").exists()


# the games


def test_play_at_random_scores_what_is_said_everywhere(results):
    mean, _, half = evaluation.summary(results["random"]["scores"])
    assert abs(figures.RANDOM_SCORE - mean) < half


@pytest.mark.parametrize("name", evaluation.PLAYERS)
def test_the_points_of_every_game_add_up_to_its_score(results, name):
    points = np.array(results[name]["hits"]) @ list(evaluation.TARGETS)
    assert len(points) == 100 and points.tolist() == results[name]["scores"]


class Scripted:
    """Three games: a life lost and a landing; an end at once; three lives lost."""

    nenvs = 3
    script = [  # reward, life lost, ended
        [(5, False, False), (30, False, True), (0, True, False)],
        [(200, True, False), (10, False, False), (0, True, False)],
        [(5, False, True), (10, False, False), (0, False, True)],
    ]

    def reset(self, seed):
        self.t, self.scores = 0, np.zeros(3)
        return np.arange(3), [{}] * 3

    def step(self, actions):
        assert actions[[0, 2]].tolist() == [7, 9]  # observation + 7, where a game is under way
        rewards, lost, ended = zip(*self.script[self.t], strict=True)
        self.t, self.scores = self.t + 1, self.scores + rewards
        infos = [{"life_lost": True} if one else {} for one in lost]
        for i in np.flatnonzero(ended):
            infos[i]["episode"] = {"r": self.scores[i], "l": self.t}
        return np.arange(3), np.float32(rewards), np.array(ended), np.zeros(3, bool), infos


def test_play_counts_the_first_game_of_each_environment():
    result = evaluation.play(lambda observations: observations + 7, Scripted())
    assert result["scores"] == [210, 30, 0] and result["lengths"] == [3, 1, 3]
    assert result["spare"] == [1, 2, 0]
    assert result["hits"] == [[2, 0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 0, 1, 0], [0] * 7]
    assert evaluation.left(result).tolist() == [34, 35]  # of the two games with lives to spare
    assert evaluation.sources(result)["command ship"] == pytest.approx(200 / 3)


def test_an_interval_by_hand():
    mean, deviation, half = evaluation.summary([1, 2, 3, 4, 5, 6, 7, 8, 9])
    assert (mean, deviation) == (5, pytest.approx(7.5**0.5))
    assert half == pytest.approx(1.96 * 7.5**0.5 / 3)


@pytest.mark.slow
def test_the_weights_play_as_well_as_is_told(results):
    env = nature_dqn_env(evaluation.GAME, nenvs=8, summaries=False, clip_reward=False)
    scores = evaluation.play(evaluation.player("sampled"), env)["scores"]
    env.close()
    mean, deviation, _ = evaluation.summary(results["sampled"]["scores"])
    assert min(scores) > 300 and abs(np.mean(scores) - mean) < 4 * deviation / 8**0.5


@pytest.mark.parametrize("kind", ["False", "True"])
def test_a_video_of_each_kind_is_there(kind):
    (video,) = (VIDEOS / kind).glob("*.mp4")
    frames = iio.imread(video, plugin="FFMPEG")
    assert frames.shape[1:] == (210, 160, 3) and len(frames) > 300
    assert iio.immeta(video, plugin="FFMPEG")["fps"] == 15


# the study


def test_the_best_mean_comes_first_and_a_choice_without_all_seeds_is_left_out():
    def run(*late):
        return {"scores": [9] * 8 + list(late)}

    results = {
        "low": {"1": run(0, 2), "2": run(2, 2)},
        "high": {"1": run(3, 3), "2": run(4, 6)},
        "half": {"1": run(9, 9)},
    }
    caption, _, _, _, *rows = study.render(results).splitlines()
    assert [row.split() for row in rows] == [
        ["|", "high", "|", "4", "|", "3", "|", "5", "|"],
        ["|", "low", "|", "2", "|", "1", "|", "2", "|"],
    ]
    assert caption.endswith(
        "from agent step 800,000 to 1,000,000; seeds of one choice differ by up to 2 points."
    )


def test_a_run_of_the_study_that_fails_is_reported_after_the_others(monkeypatch, tmp_path):
    monkeypatch.setattr(study, "FIGURES", tmp_path / "study.json")
    ended = [(("low", 1), None, "killed"), (("high", 2), {"scores": [1.0]}, "")]
    failed = study.record(ended, {})
    assert failed == ["low, seed 1: killed"]
    assert json.loads((tmp_path / "study.json").read_text()) == {"high": {"2": {"scores": [1.0]}}}


def test_figures_stay_whole_where_writing_them_is_cut_short(monkeypatch, tmp_path):
    monkeypatch.setattr(study, "FIGURES", tmp_path / "study.json")
    study.record([(("low", 1), {"scores": [1.0]}, "")], {})
    before = (tmp_path / "study.json").read_text()

    def cut(*paths):
        raise KeyboardInterrupt

    monkeypatch.setattr(study.os, "replace", cut)
    with pytest.raises(KeyboardInterrupt):
        study.record([(("low", 2), {"scores": [2.0]}, "")], {})
    assert (tmp_path / "study.json").read_text() == before


def test_the_study_without_a_cluster_ends_with_one_message(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setattr(study, "FIGURES", tmp_path / "study.json")
    monkeypatch.setenv("A2C_OUT", str(tmp_path))
    with pytest.raises(SystemExit) as left:
        study.main([1], "auto")
    assert str(left.value.code).startswith("--ray needs Ray") and not [*tmp_path.iterdir()]


def test_runs_on_the_cores_tell_their_figures_or_what_went_wrong(monkeypatch):
    def train(choice, seed, core):
        if choice == "low":
            raise OSError("killed")
        return {"scores": [seed, core in os.sched_getaffinity(0)]}

    monkeypatch.setattr(study, "train_apart", train)
    ended = sorted(study.on_cores([("low", 1), ("high", 2)]), key=str)
    assert ended == [(("high", 2), {"scores": [2, True]}, ""), (("low", 1), None, "killed")]


def test_a_run_on_a_node_writes_into_a_folder_of_its_own_and_tells_what_went_wrong(monkeypatch):
    made = {}
    monkeypatch.setattr(study, "train_apart", lambda *run, **env: made.update(env) or {"a": run})
    assert study.train_there("high", 2) == {"a": ("high", 2)} and not Path(made["A2C_OUT"]).exists()
    monkeypatch.setattr(study, "train_apart", lambda *run, **env: json.loads(""))
    assert study.train_there("high", 2).startswith("Expecting value")


def test_every_choice_of_the_study_is_recorded():
    assert set(json.loads(study.FIGURES.read_text())) == set(study.CHOICES)


@pytest.mark.parametrize("choice", study.CHOICES)
def test_every_choice_changes_the_settings(choice):
    source = notebook.cells(notebook.read())["settings-cell"]
    assert all(source.count(old) == 1 and old != new for old, new in study.CHOICES[choice])


@pytest.mark.parametrize(
    ("scores", "sittings"), [([None, 599.0, 600.0, 900.0], 3), ([None, *[599.0] * 9], 5)]
)
def test_a_race_ends_where_the_score_passes_the_mark_or_at_its_last_step(
    scores, sittings, monkeypatch
):
    summaries = SimpleNamespace(reward_mean_100=scores[0], flush=lambda: None)
    runner, sat = SimpleNamespace(step_var=0, summaries=summaries), []

    def train(minutes):
        sat.append(minutes)
        runner.step_var = 800_000 * len(sat)
        summaries.reward_mean_100 = scores[len(sat) - 1]

    given = {"runner": runner, "train": train, "RUN": None}
    monkeypatch.setattr(study, "prepare", lambda name, seed, changes, steps: given)
    told = {"steps": np.int64(5), "passed": {400: (np.int64(3), 1.0)}, "score": 7}
    monkeypatch.setattr(study.figures, "of_run", lambda folder: told)
    assert study.race("learning rate 1.4e-3", 8) == {
        "steps": 5,
        "passed": {"400": 3},
        "reward_mean_100": 7.0,
    }
    assert len(sat) == sittings


def test_the_table_of_races_begins_with_the_notebooks_own_runs():
    told = {"steps": 4_000_000, "passed": {"400": 2_340_000}, "reward_mean_100": 590.0}
    _headers, _line, *rows = study.render_races({"another": {"8": told}}).splitlines()
    assert [row.split("|")[1].strip() for row in rows] == ["the notebook's"] * len(
        figures.runs()
    ) + ["another"]
    last = [cell.strip() for cell in rows[-1].split("|")[2:-1]]
    assert last == ["8", "2.34 million", "590 at 4.00 million"]


@pytest.mark.parametrize("asked", [("no such choice", "8"), ("learning rate 1.4e-3", "x")])
def test_a_race_that_cannot_be_run_is_one_message(asked, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["study.py", "--race", *asked])
    with pytest.raises(SystemExit):
        study._options()
    assert capsys.readouterr().err.splitlines()[-1].endswith("and a number")
