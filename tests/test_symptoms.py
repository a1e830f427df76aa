import json
import re

import matplotlib.pyplot as plt
import numpy as np
import pytest

from benchmarks import symptoms as recorded
from lesson import symptoms
from lesson.assignment import read_assignment
from tests import notebook, record_runs

REFERENCE = notebook.PATH.parent / "logs" / "reference"


def test_the_kits_file_holds_the_recorded_runs():
    assert symptoms.FIGURES.read_text(encoding="utf-8") == recorded.text()
    assert len(recorded.text()) < 25_000


def test_a_curve_keeps_the_first_point_of_each_stretch():
    points = recorded.thinned("healthy", "entropy")
    assert points[:2] == [[4000, 1.75], [8000, 1.77]] and len(points) == 125
    assert points[-1][0] == 500_000


def test_what_is_not_finite_is_left_out():
    assert all(
        np.isfinite(points).all() for run in recorded.figures().values() for points in run.values()
    )
    assert recorded.thinned("healthy", "score")[0][0] > 2000  # no game has ended before


def test_every_sick_run_is_drawn():
    drawn = {run for curve in symptoms.CURVES.values() for run in curve.sick}
    assert drawn == set(symptoms.RUNS) == set(record_runs.RUNS) - {"healthy"}


@pytest.fixture
def figure(monkeypatch):
    """The figure of the reference run."""
    monkeypatch.setattr(plt, "show", lambda: None)
    symptoms.show_symptoms(REFERENCE)
    yield plt.gcf()
    plt.close("all")


def lines(axis):
    """{colour: points} of the pale lines, which are drawn as they are."""
    return {line.get_color(): line.get_xydata() for line in axis.lines if line.get_alpha()}


def test_healthy_and_yours_stand_beside_two_sick_runs(figure):
    rows = np.array(figure.axes).reshape(-1, 3)
    held = json.loads(symptoms.FIGURES.read_text(encoding="utf-8"))
    for row, (name, curve) in zip(rows, symptoms.CURVES.items(), strict=True):
        first = lines(row[0])
        assert set(first) == {symptoms.HEALTHY, symptoms.YOURS}
        assert first[symptoms.YOURS][:, 0].max() <= 0.5 and len(first[symptoms.YOURS]) > 100
        for axis, run in zip(row[1:], curve.sick, strict=True):
            points = lines(axis)[symptoms.SICK]
            assert points[:, 1].tolist() == [value for _step, value in held[run][name]]
            assert axis.get_title(loc="left") == symptoms.RUNS[run]


def test_a_run_that_has_only_begun_is_drawn_as_far_as_it_goes(monkeypatch):
    monkeypatch.setattr(plt, "show", lambda: None)
    curve = np.array([2000]), np.array([1.79]), np.array([0.0])
    empty = np.array([2000]), np.array([np.nan]), np.array([0.0])
    own = {"A2C/entropy": curve, "A2C/coefficient_of_determination": empty}
    monkeypatch.setattr(symptoms, "read_curves", lambda run: own)
    symptoms.show_symptoms("a run")
    rows = np.array(plt.gcf().axes).reshape(-1, 3)
    yours = [symptoms.YOURS in lines(row[0]) for row in rows]
    assert yours == [False, False, True, False, False]
    plt.close("all")


def test_a_run_of_another_game_is_drawn_where_it_can_be_compared(monkeypatch):
    monkeypatch.setattr(plt, "show", lambda: None)
    game = read_assignment()._replace(game="SeaquestNoFrameskip-v4")
    monkeypatch.setattr(symptoms, "read_assignment", lambda: game)
    steps = np.array([2000, 4000])
    own = {"A2C/entropy": (steps, np.array([2.89, 2.8]), steps)}
    own["Episodes/reward_mean_100"] = steps, np.array([200.0, 220.0]), steps
    monkeypatch.setattr(symptoms, "read_curves", lambda run: own)
    symptoms.show_symptoms("a run")
    rows = np.array(plt.gcf().axes).reshape(-1, 3)
    assert [symptoms.YOURS in lines(row[0]) for row in rows] == [False, False, True, False, False]
    assert rows[2][0].get_ylim()[1] >= 2.89 and rows[0][0].get_ylim() == (80, 240)
    plt.close("all")


# what the notebook says of them


def test_the_table_of_symptoms_shows_medians_of_the_recorded_runs():
    text = notebook.cells(notebook.read())["curves-health"]
    for name, curve in symptoms.CURVES.items():
        (row,) = re.findall(rf"^\| `?{curve.title}`?(?:, at the end)? \|(.*)$", text, re.MULTILINE)
        shown = [float(cell.replace("−", "-")) for cell in row.split("|")[:3]]
        for number, run in zip(shown, ["healthy", *curve.sick], strict=True):
            assert number == pytest.approx(late(run, name), rel=0.03, abs=0.005), (name, run)


def late(run, name):
    """Returns the score at the end of a recorded run, of another curve the later half's median."""
    points = [*record_runs.read(run)]
    half = points[-1]["agent step"] / 2
    values = [point[name] for point in points if point["agent step"] > half]
    return values[-1] if name == "score" else np.median(values)


def test_a_run_without_entropy_bonus_scores_more_than_the_healthy_one_at_first():
    text = notebook.cells(notebook.read())["curves-health"]
    scores = {
        run: max(point["score"] or 0 for point in record_runs.read(run))
        for run in ("no-entropy-bonus", "healthy")
    }
    assert f"had {late('no-entropy-bonus', 'score'):.0f}, more" in text
    assert late("no-entropy-bonus", "score") > scores["healthy"]


def test_the_answer_on_clipping_tells_the_norm_of_the_recorded_run():
    norm = late("rewards-not-clipped", "gradient norm")
    answer = notebook.cells(notebook.read())["question-clipping"]
    assert f"is about {norm:.0f}, some 50 times" in answer and 45 < norm / 0.5 < 55
