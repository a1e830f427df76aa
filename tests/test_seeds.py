import json

import imageio.v3 as iio
import numpy as np
import pytest
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.summary import scalar

from benchmarks import figures, pictures, seeds
from training.curves import read_curves
from training.event_file import EventFile

STEPS = [4_000, 8_000, 12_000, 20_000, 38_000, 39_000, 9_992_000, 9_998_000, 9_999_000]


def write_run(folder, steps, purge_step=None):
    """One sitting of a run, its only curve drawn at some agent steps."""
    file = EventFile(folder, write_run, purge_step)
    for step in steps:
        file.add(Event(summary=scalar(figures.GRADED, step / 1000), step=step))
    file.flush()
    return folder


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """Where runs are kept, with one run's commit noted."""
    monkeypatch.setattr(figures, "SEEDS", tmp_path / "kept")
    monkeypatch.setattr(seeds, "COMMITS", tmp_path / "seeds.json")
    seeds.COMMITS.write_text('{"7": "older"}')
    return figures.SEEDS


def test_a_kept_run_has_the_first_point_of_every_span_and_the_last_of_all(tmp_path, kept):
    seeds.keep(8, write_run(tmp_path / "run", STEPS), "abc")
    steps, values, _ = read_curves(kept / "8")[figures.GRADED]
    assert steps.tolist() == [4_000, 12_000, 20_000, 38_000, 9_992_000, 9_999_000]
    assert values.tolist() == (steps / 1000).tolist()
    assert json.loads(seeds.COMMITS.read_text()) == {"7": "older", "8": "abc"}
    assert figures.runs() == {7: figures.RUN, 8: kept / "8"}


def test_what_a_lost_sitting_had_drawn_stays_dropped(tmp_path, kept):
    write_run(tmp_path / "run", [4_000, 12_000, 23_000])
    write_run(tmp_path / "run", [30_000, 10_000_000], purge_step=20_000)
    seeds.keep(8, tmp_path / "run", "abc")
    assert read_curves(kept / "8")[figures.GRADED][0].tolist() == [4_000, 12_000, 30_000, 10**7]


def test_an_unfinished_run_is_refused_and_the_kept_one_stays(tmp_path, kept):
    seeds.keep(8, write_run(tmp_path / "run", STEPS), "abc")
    with pytest.raises(ValueError, match="ends at agent step 39,000 of 10,000,000: train on first"):
        seeds.keep(8, write_run(tmp_path / "cut", STEPS[:-3]), "def")
    assert json.loads(seeds.COMMITS.read_text())["8"] == "abc"
    assert read_curves(kept / "8")[figures.GRADED][0][-1] == 9_999_000


def test_a_thinned_run_tells_what_the_whole_one_tells(tmp_path):
    for path in figures.RUN.glob("events.out.*"):
        seeds.thin(path, tmp_path / path.name)
    whole, thinned = (
        figures.figures(read_curves(run)[figures.GRADED], figures.sittings(run))
        for run in (figures.RUN, tmp_path)
    )
    assert (thinned["steps"], thinned["score"]) == (whole["steps"], whole["score"])
    assert thinned["hours"] == pytest.approx(whole["hours"], rel=1e-3)
    for score in figures.SCORES:
        assert 0 <= thinned["passed"][score][0] - whole["passed"][score][0] <= seeds.EVERY


def run(score, **passed):
    """What `figures.figures` tells of a run that passed 400, 600 after some agent steps."""
    passed = {int(mark[1:]): (steps, 0) for mark, steps in passed.items()}
    return {"passed": passed, "score": score}


TOLD = {
    7: run(900, _400=2_000_000, _600=4_000_000),
    8: run(500, _400=2_500_000),
    9: run(1000, _400=3_000_000, _600=6_000_000),
}


def cells(table):
    """The cells of a Markdown table below its head."""
    return [[cell.strip() for cell in row.split("|")[1:-1]] for row in table.splitlines()[2:]]


def test_times_are_means_with_the_lowest_and_highest_at_the_speed_given():
    curve = np.array([0, 500_000, 600_000]), np.array([150.0, 200.0, 400.0]), None
    high = np.array([0, 500_000, 600_000]), np.array([150.0, 260.0, 400.0]), None
    text = seeds.times(TOLD, {7: curve, 8: curve, 9: high}, speed=1000)
    head, table, _, counts = text.split("\n\n")
    assert head.startswith("Means of 3 runs, with the seeds 7, 8 and 9;")
    assert cells(table) == [
        ["150, play at random", "0", ""],
        ["220 (200 to 260)", "0.6 million", "10 minutes"],
        ["400", "2.5 million (2.0 to 3.0)", "42 minutes (33 to 50)"],
        ["600", "5.0 million (4.0 to 6.0)", "1.4 hours (1.1 to 1.7)"],
        ["800 (500 to 1000)", "10.0 million", "2.8 hours"],
    ]
    assert cells(counts) == [
        ["400", "2 of 3", "3 of 3", "3 of 3"],
        ["600", "0 of 3", "1 of 3", "2 of 3"],
    ]


def test_the_table_of_runs_names_their_code_and_what_was_not_passed():
    told = {8: {**TOLD[8], "hours": 2.25}}
    (row,) = cells(seeds.each(told, {"8": "abc"}))
    assert row == ["8", "2.50 million", "not passed", "500", "2.2", "abc"]


def test_the_band_goes_from_the_lowest_run_to_the_highest(tmp_path):
    steps = np.arange(0, 2_000_000, 20_000)
    pictures.draw_curve([(steps, 0 * steps + score, None) for score in (300, 500)], tmp_path / "x")
    assert np.ptp(iio.imread(tmp_path / "x.png")) > 100


def test_there_are_three_runs_and_the_code_of_each_is_named():
    assert {str(seed) for seed in figures.runs()} == json.loads(seeds.COMMITS.read_text()).keys()
    assert len(figures.runs()) == 3
