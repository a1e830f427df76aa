import json
import re
from types import SimpleNamespace

import imageio.v3 as iio
import numpy as np
import pytest

from benchmarks import evaluation, reference, study
from tests import notebook

ROOT = notebook.PATH.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def run():
    """The curves of the event files."""
    return reference.curves()


@pytest.fixture(scope="module")
def told(run):
    """The figures of the event files."""
    return reference.figures(run[reference.GRADED])


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


def test_the_notebook_embeds_the_pictures_of_the_reference_run(tmp_path):
    source = notebook.PATH.read_text(encoding="utf-8")
    older, changed = re.subn(r"(data:image/\w+;base64,)[\w+/]{9}", r"\1AnOlderOne", source)
    copy = tmp_path / "copy.ipynb"
    copy.write_text(older, encoding="utf-8")
    reference.embed(copy)
    assert changed == len(reference.EMBEDDED)
    assert copy.read_text(encoding="utf-8") == source


EARLY, END = (0.15, 0.3), (9, 10)  # spans in million agent steps


@pytest.mark.parametrize(
    ("comment", "name", "spans"),
    [
        ("near {:.0f} up to 0.8 million", reference.GRADED, [(0.3, 0.8)]),
        ("near {:.0f} up to 5.3 million", reference.GRADED, [(3.4, 5.3)]),
        ("{:.2f} early on, {:.2f} at", "A2C/coefficient_of_determination", [EARLY, END]),
        (
            "to {:.2f} while the first tactic pays off, back to {:.2f} up to 0.8 million, down to "
            "{:.2f} between 1.2 and 2 million as it learns to survive; then it settles at {:.2f}",
            "A2C/entropy",
            [EARLY, (0.3, 0.8), (1.2, 2), END],
        ),
        ("with the rewards, from {:.2f} to {:.2f}", "A2C/value_loss", [EARLY, END]),
        ("rise together, from {:.1f} to {:.1f}", "A2C/value_targets", [EARLY, END]),
        ("rise together, from {:.1f} to {:.1f}", "A2C/value_predictions", [EARLY, END]),
        ("grows from {:.2f} to {:.2f}", "A2C/gradient_norm", [EARLY, END]),
    ],
)
def test_a_comment_on_a_curve_tells_its_means(run, comment, name, spans):
    means = [reference.mean(run[name], 1e6 * since, 1e6 * until) for since, until in spans]
    assert comment.format(*means) in notebook.cells(notebook.read())["curves-comments"]


def test_the_comments_tell_scores_and_clipped_updates(run, told):
    comments = notebook.cells(notebook.read())["curves-comments"]
    climbed = [point.value for point in run[reference.GRADED] if point.step <= 3.4e6][-1]
    assert f"it climbs, to {climbed:.0f} at 3.4 million" in comments
    assert f"ends at {told['score']:.0f}" in comments
    early, end = (
        np.mean([p.value > 0.5 for p in run["A2C/gradient_norm"] if since < p.step / 1e6 <= until])
        for since, until in (EARLY, END)
    )
    assert f"touches {early:.0%} of the updates early on and {end:.0%} at the end" in comments


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


def test_readme_tells_where_the_score_comes_from(results, run):
    curves = run[reference.SCORE], run[reference.LENGTH]
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
    def run(*late, graded):
        return {"scores": [9] * 8 + list(late), "reward_mean_100": graded}

    results = {
        "low": {"1": run(0, 2, graded=5), "2": run(2, 2, graded=6)},
        "high": {"1": run(3, 3, graded=7), "2": run(4, 6, graded=7)},
        "half": {"1": run(9, 9, graded=9)},
    }
    rows = study.render(results).splitlines()[2:]
    assert rows == ["| high | 3 | 5 | 4 | 7 |", "| low | 1 | 2 | 2 | 6 |"]


@pytest.mark.parametrize("choice", study.CHOICES)
def test_every_choice_changes_the_settings(choice):
    source = notebook.cells(notebook.read())["settings-cell"]
    assert all(source.count(old) == 1 and old != new for old, new in study.CHOICES[choice])
