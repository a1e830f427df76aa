import base64
import json
from types import SimpleNamespace

import imageio.v3 as iio
import numpy as np
import pytest

from benchmarks import evaluation, reference, study
from tests import notebook

ROOT = notebook.PATH.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def told():
    """The figures of the event files."""
    return reference.figures(reference.curve())


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


def test_readme_and_notebook_tell_what_the_event_files_show(told):
    speeds = json.loads((ROOT / "benchmarks" / "throughput.json").read_text())
    assert reference.table(told, np.median(speeds["training 16"]["kit_training"])) in README
    steps = {mark: f"{step / 1e6:.1f} million" for mark, (step, _) in told["passed"].items()}
    early, score = told["early"]
    texts = [" ".join(README.split())]
    assert f"After its first ten minutes, {early / 1e6:.1f} million agent steps, " in texts[0]
    assert f"it stood at {score:.0f}" in texts[0]
    texts.append(" ".join(notebook.cells(notebook.read())["promise-cost"].split()))
    for text in texts:
        assert f"passes 400 after {steps[400]} agent steps and 600 after {steps[600]}" in text
        assert f"ends at {told['score']:.0f}" in text
        assert f"{told['hours']:.1f} hours on two cores" in text


@pytest.mark.parametrize(
    ("cell_id", "name"), [("promise", "agent.gif"), ("promise-cost", "curve.png")]
)
def test_the_notebook_embeds_the_pictures_of_the_reference_run(cell_id, name):
    picture = (ROOT / "img" / "reference" / name).read_bytes()
    assert base64.b64encode(picture).decode() in notebook.cells(notebook.read())[cell_id]


def test_a_wait_between_two_sittings_is_not_training():
    times = [0, 36, 72, 5000, 5036]
    points = [
        SimpleNamespace(step=10 * k, value=300 + 100 * k, wall_time=time)
        for k, time in enumerate(times)
    ]
    told = reference.figures(points)
    assert (told["steps"], told["score"], told["early"]) == (40, 700, (40, 700))
    assert told["hours"] == pytest.approx(0.03)
    assert told["passed"] == {400: (10, pytest.approx(0.01)), 600: (30, pytest.approx(0.02))}


# the games


def test_readme_shows_the_recorded_games(results):
    assert evaluation.table(results) in README


def test_readme_tells_where_the_score_comes_from(results):
    curves = reference.curve(name="total"), reference.curve(name="length")
    text = " ".join(README.split())
    for since, until, told in (
        (0, 0.1, "a game lasts {:,.0f} agent steps and scores {:.0f} points in each 100 of them"),
        (0.5, 0.8, "{:,.0f} and {:.0f} between 0.5 and 0.8 million agent steps"),
        (2.5, 3.3, "{:,.0f} and {:.0f} between 2.5 and 3.3 million"),
        (9, 10, "in the last million, both are high: {:,.0f} and {:.0f}"),
    ):
        assert told.format(*reference.window(*curves, 1e6 * since, 1e6 * until)) in text
    sampled, landed = results["sampled"], "{} of 100 with sampled actions and {} of 100 greedy ones"
    ship, score = evaluation.sources(sampled)["command ship"], np.mean(sampled["scores"])
    assert f"ship, for {ship:.0f} points a game" in text and f"{ship / score:.0%} of its" in text
    spare = (np.count_nonzero(results[name]["spare"]) for name in ("sampled", "greedy"))
    assert landed.format(*spare) in text


@pytest.mark.parametrize("name", evaluation.PLAYERS)
def test_the_points_add_up_to_the_scores(results, name):
    scores = results[name]["scores"]
    assert len(scores) == 100
    assert sum(evaluation.sources(results[name]).values()) == pytest.approx(np.mean(scores))


def test_an_interval_by_hand():
    mean, deviation, half = evaluation.summary([1, 2, 3, 4, 5, 6, 7, 8, 9])
    assert (mean, deviation) == (5, pytest.approx(7.5**0.5))
    assert half == pytest.approx(1.96 * 7.5**0.5 / 3)


def test_the_weights_play_as_well_as_is_told(results):
    scores = evaluation.play(evaluation.player("sampled"), games=4)["scores"]
    mean, deviation, _ = evaluation.summary(results["sampled"]["scores"])
    assert max(scores) > 400 and abs(np.mean(scores) - mean) < 4 * deviation / 4**0.5


@pytest.mark.parametrize("kind", ["False", "True"])
def test_a_video_of_each_kind_is_there(kind):
    (video,) = (ROOT / "videos" / "reference" / kind).glob("*.mp4")
    frames = iio.imread(video, plugin="FFMPEG")
    assert frames.shape[1:] == (210, 160, 3) and len(frames) > 300
    assert iio.immeta(video, plugin="FFMPEG")["fps"] == 15


# the study


def test_the_best_mean_comes_first_and_a_choice_without_all_seeds_is_left_out():
    results = {
        "low": {"1": {"score": 1, "reward_mean_100": 5}, "2": {"score": 2, "reward_mean_100": 6}},
        "high": {"1": {"score": 3, "reward_mean_100": 7}, "2": {"score": 5, "reward_mean_100": 7}},
        "half": {"1": {"score": 9, "reward_mean_100": 9}},
    }
    rows = study.render(results).splitlines()[2:]
    assert rows == ["| high | 3 | 5 | 4 | 7 |", "| low | 1 | 2 | 2 | 6 |"]


@pytest.mark.parametrize("choice", study.CHOICES)
def test_every_choice_changes_the_settings(choice):
    source = notebook.cells(notebook.read())["settings-cell"]
    assert all(source.count(old) == 1 and old != new for old, new in study.CHOICES[choice])
