import re

import numpy as np
import pytest

from env_batch import EnvBatch
from tests.toys import Counting
from training.curves import read_curves
from training.summaries import TensorboardSummaries

TAG = "Episodes/reward_mean_100"


def sitting(folder, length, games, nenvs=1):
    """Plays games in a new environment and returns its event file."""
    env = TensorboardSummaries(EnvBatch([Counting(length)] * nenvs), folder)
    env.reset()
    for _ in range(length * games):
        env.step([0] * nenvs)
    env.close()
    return env.path


def test_read_curves_returns_every_curve(tmp_path):
    sitting(tmp_path, length=2, games=3)
    curves = read_curves(tmp_path)
    assert sorted(curves) == [
        "Episodes/games",
        "Episodes/length",
        "Episodes/maximum",
        "Episodes/minimum",
        "Episodes/reward_mean_100",
        "Episodes/total",
    ]
    steps, values, times = curves[TAG]
    assert steps.tolist() == [2, 4, 6] and values.tolist() == [25.0, 25.0, 25.0]
    assert steps.dtype == np.int64 and values.dtype == times.dtype == np.float64
    assert (np.diff(times) >= 0).all() and times[0] > 1e9


def test_read_curves_puts_the_points_of_joined_sittings_in_order(tmp_path):
    sitting(tmp_path, length=3, games=3)  # drawn at 3, 6 and 9
    sitting(str(tmp_path), length=2, games=2)  # drawn at 2 and 4, by a run that began again
    steps, values, _ = read_curves(str(tmp_path))[TAG]
    assert steps.tolist() == [2, 3, 4, 6, 9] and values.tolist() == [25.0, 35.0, 25.0, 35.0, 35.0]


def test_read_curves_reads_on_after_a_sitting_that_was_cut_off(tmp_path):
    path = sitting(tmp_path, length=1, games=2)
    path.write_bytes(path.read_bytes()[:-5])  # within the last record, Episodes/length
    sitting(tmp_path, length=3, games=1)
    curves = read_curves(tmp_path)
    assert curves["Episodes/length"][0].tolist() == [1, 3] and curves[TAG][0].tolist() == [1, 2, 3]


def test_read_curves_names_a_folder_without_curves(tmp_path):
    (tmp_path / "run").mkdir()
    sitting(tmp_path / "run", length=1, games=1)
    for folder in (tmp_path, tmp_path / "no-such-run"):
        with pytest.raises(FileNotFoundError, match=re.escape(f"{folder} holds no event file")):
            read_curves(folder)
