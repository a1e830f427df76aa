import json

import numpy as np

from benchmarks import laboratory
from tests import notebook


def test_the_notebook_shows_the_table_of_the_recorded_runs():
    results = json.loads(laboratory.FIGURES.read_text(encoding="utf-8"))
    assert laboratory.render(results) in notebook.cells(notebook.read())["laboratory-see"]
    assert list(results) == [str(seed) for seed in laboratory.SEEDS]


def test_a_row_of_the_table_holds_each_seed_and_their_mean():
    table = laboratory.render({"1": {"n = 1": 0.25}, "2": {"n = 1": 0.75}})
    assert [cell.strip() for cell in table.splitlines()[-1].split("|")[1:-1]] == [
        "n = 1",
        "0.25",
        "0.75",
        "0.50",
    ]


def test_every_experiment_of_the_notebook_was_run():
    source = notebook.cells(notebook.read())["laboratory-run"]
    results = json.loads(laboratory.FIGURES.read_text(encoding="utf-8"))
    assert all(f'"{name}"' in source for name in results["7"]) and len(results["7"]) == 6
    assert np.all(np.abs([list(scores.values()) for scores in results.values()]) <= 1)
