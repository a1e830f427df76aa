import json
import os
import re
import shutil
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace

import imageio.v3 as iio
import numpy as np
import pytest

from atari_wrappers import TensorboardSummaries, nature_dqn_env
from benchmarks import evaluation, reference, study
from env_batch import EnvBatch
from tests import notebook
from tests.toys import Counting

ROOT = notebook.PATH.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def run():
    """The curves of the event files."""
    return reference.curves()


@pytest.fixture(scope="module")
def told(run):
    """The figures of the event files."""
    return reference.figures(run[reference.GRADED], reference.sittings())


@pytest.fixture(scope="module")
def results():
    """The recorded games."""
    return json.loads(evaluation.FIGURES.read_text())


def printed(cell_id):
    """What a cell of the notebook shows as text."""
    (cell,) = (cell for cell in notebook.read().cells if cell["id"] == cell_id)
    texts = (o.get("text") or o["data"]["text/plain"] for o in cell.outputs)
    return "\n".join(texts)


# the curve


def test_the_notebook_shows_the_end_of_the_reference_run(told):
    shown = printed("training-run")
    assert "10,000,000 of 10,000,000 agent steps" in shown
    assert f"reward_mean_100 {told['score']:.0f}" in shown


def test_readme_tells_what_the_event_files_show(told, run):
    speeds = json.loads((ROOT / "benchmarks" / "throughput.json").read_text())
    assert reference.table(told, np.median(speeds["training 16"]["kit_training"])) in README
    assert reference.stages(run) in README
    text = " ".join(README.split())
    assert f"It was made in {len(reference.sittings())} sittings" in text
    early, score = told["early"]
    assert f"first ten minutes, {early / 1e6:.1f} million agent steps, the run stood at" in text
    assert f"stood at {score:.0f}; play at random scores about {reference.RANDOM_SCORE}" in text
    assert f"looks back {reference.looks_back(run, reference.END):.1f} million agent steps" in text


def test_readme_and_notebook_agree_with_the_event_files(told):
    opening = " ".join(notebook.cells(notebook.read())["promise-cost"].split())
    steps = {mark: f"{step / 1e6:.1f} million" for mark, (step, _) in told["passed"].items()}
    others = reference.PUBLISHED.values()
    for text in (" ".join(README.split()), opening):
        assert f"passes 400 after {steps[400]} agent steps and 600 after {steps[600]}" in text
        assert f"ends at {told['score']:.0f}" in text
        assert f"{told['hours']:.1f} hours on two cores" in text
        assert f"reach {min(others)} to {max(others)}" in text
    for name, score in reference.PUBLISHED.items():
        assert re.search(rf"\[{name}\]\(https://[^)]*\)[^|]*\| {score} \|", README)


def test_the_notebook_tells_how_far_its_figure_looks_back(run):
    opening = " ".join(notebook.cells(notebook.read())["promise-cost"].split())
    spans = (reference.START, reference.END)
    start, end = (f"{reference.looks_back(run, span):.1f} million" for span in spans)
    assert f"the last {start} agent steps at the start" in opening
    assert f"the last {end} at the end" in opening


def test_the_settings_are_the_notebooks():
    cells, names = notebook.cells(notebook.read()), ["start-imports", "settings-cell"]
    given = notebook.run(names, cells, {"os": os, "Path": Path})
    assert given["RANDOM_SCORE"] == reference.RANDOM_SCORE
    assert (given["NENVS"], given["TOTAL_STEPS"]) == (reference.NENVS, reference.TOTAL_STEPS)
    assert given["MAX_GRAD_NORM"] == reference.MAX_GRAD_NORM


def test_the_notebook_embeds_the_pictures_of_the_reference_run(tmp_path):
    source = notebook.PATH.read_text(encoding="utf-8")
    older, changed = re.subn(r"(data:image/\w+;base64,)[\w+/]{9}", r"\1AnOlderOne", source)
    copy = tmp_path / "copy.ipynb"
    copy.write_text(older, encoding="utf-8")
    reference.embed(copy)
    assert changed == len(reference.EMBEDDED)
    assert copy.read_text(encoding="utf-8") == source


def test_the_comments_on_the_curves_tell_what_the_event_files_show(run, told):
    written = notebook.cells(notebook.read())["curves-comments"]
    assert [comment for comment in reference.comments(run) if comment not in written] == []
    assert f"ends at {told['score']:.0f}" in written


def point(step, value, wall_time):
    return SimpleNamespace(step=step, value=value, wall_time=wall_time)


def test_hours_are_those_of_the_sittings():
    spans = [(100, 460), (5000, 5720)]  # 0.1 and 0.2 hours
    points = [point(10, 300, 280), point(20, 400, 460), point(30, 500, 5360), point(40, 700, 5720)]
    told = reference.figures(points, spans)
    assert (told["steps"], told["score"]) == (40, 700)
    assert told["hours"] == pytest.approx(0.3)
    assert told["early"] == (20, 400)  # the last point of the first ten minutes
    assert told["passed"] == {400: (20, pytest.approx(0.1)), 600: (40, pytest.approx(0.3))}


def test_a_mark_that_was_not_passed_is_left_out():
    told = reference.figures([point(10, 399, 0), point(20, 450, 7200)], [(0, 7200)])
    assert list(told["passed"]) == [400]
    assert "| agent steps/s | to 400 | to the end |" in reference.table(told, 1)


def write_run(out, steps):
    """A folder as a run leaves it, its curve drawn up to some agent step."""
    env = TensorboardSummaries(EnvBatch([Counting()]), out / "logs" / "mine")
    for env.step_var in (1000, steps):
        env.add_summary(reference.GRADED, 500.0)
    env.close()
    (out / "weights.pt").write_bytes(b"weights")
    for kind in ("False", "True"):
        (out / "videos" / kind).mkdir(parents=True)
        shutil.copy(next((reference.VIDEOS / kind).glob("*.mp4")), out / "videos" / kind)


@pytest.fixture
def kit(tmp_path):
    """A kit with an old reference run."""
    for name in ("logs", "img"):
        (tmp_path / "kit" / name / "reference").mkdir(parents=True)
    (tmp_path / "kit" / "logs" / "reference" / "weights.pt").write_bytes(b"old")
    return tmp_path / "kit"


def test_take_puts_a_finished_run_in_the_place_of_the_old(tmp_path, kit):
    write_run(tmp_path / "out", 10_000_000)
    reference.take(tmp_path / "out", kit)
    assert (kit / "logs" / "reference" / "weights.pt").read_bytes() == b"weights"
    assert reference.curves(kit / "logs" / "reference")[reference.GRADED][-1].step == 10_000_000
    assert len(list(kit.glob("videos/reference/*/rl-video-episode-0.mp4"))) == 2
    assert iio.imread(kit / "img" / "reference" / "agent.gif").shape[1:] == (315, 240, 3)


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


def test_readme_shows_the_recorded_games(results):
    assert evaluation.table(results) in README
    text = " ".join(README.split())
    assert [sentence for sentence in evaluation.told(results) if sentence not in text] == []


def test_play_at_random_scores_what_is_said_everywhere(results):
    mean, _, half = evaluation.summary(results["random"]["scores"])
    assert abs(reference.RANDOM_SCORE - mean) < half


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


def test_the_weights_play_as_well_as_is_told(results):
    env = nature_dqn_env(evaluation.GAME, nenvs=8, summaries=False, clip_reward=False)
    scores = evaluation.play(evaluation.player("sampled"), env)["scores"]
    env.close()
    mean, deviation, _ = evaluation.summary(results["sampled"]["scores"])
    assert min(scores) > 300 and abs(np.mean(scores) - mean) < 4 * deviation / 8**0.5


@pytest.mark.parametrize("kind", ["False", "True"])
def test_a_video_of_each_kind_is_there(kind):
    (video,) = (ROOT / "videos" / "reference" / kind).glob("*.mp4")
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
    assert rows == ["| high | 4 | 3 | 5 |", "| low | 2 | 1 | 2 |"]
    assert caption.endswith(
        "from agent step 800,000 to 1,000,000; seeds of one choice differ by up to 2 points."
    )


def test_a_run_of_the_study_that_fails_is_reported_after_the_others(monkeypatch, tmp_path):
    monkeypatch.setattr(study, "FIGURES", tmp_path / "study.json")
    good, bad = Future(), Future()
    good.set_result({"scores": [1.0]})
    bad.set_exception(OSError("killed"))
    failed = study.record({bad: ("low", "1"), good: ("high", "2")}, {})
    assert failed == ["low, seed 1: killed"]
    assert json.loads((tmp_path / "study.json").read_text()) == {"high": {"2": {"scores": [1.0]}}}


def test_readme_and_the_table_show_the_recorded_study():
    results = json.loads(study.FIGURES.read_text())
    assert set(results) == set(study.CHOICES)
    assert study.render(results) in README
    table = (study.FOLDER / "study.md").read_text(encoding="utf-8")
    assert table == study.render(results) + "\n"


@pytest.mark.parametrize("choice", study.CHOICES)
def test_every_choice_changes_the_settings(choice):
    source = notebook.cells(notebook.read())["settings-cell"]
    assert all(source.count(old) == 1 and old != new for old, new in study.CHOICES[choice])
