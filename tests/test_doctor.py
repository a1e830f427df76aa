import hashlib
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from packaging.requirements import Requirement

from benchmarks import figures, reference
from lesson import doctor
from lesson.assignment import read_assignment
from tests import notebook
from training.curves import read_curves

ASSIGNMENT = read_assignment()


@pytest.fixture
def rows():
    """Examines this machine; gives {thing: Row}."""
    return lambda: {row.thing: row for row in doctor.examine(seconds=0)}


def test_a_machine_that_is_well_has_nothing_to_mend(rows):
    told = rows()
    assert not [row for row in told.values() if row.mend]
    assert told["torch"].expected == ">=2.5, <2.14" and told["ROM"].found == "space_invaders.bin"
    assert float(told["both, one after the other"].found.split()[0].replace(",", "")) > 0


def test_every_package_of_the_notebook_is_a_row(rows):
    text = (doctor.KIT / "requirements.txt").read_text(encoding="utf-8")
    lines = (line.split("#")[0].strip() for line in text.splitlines())
    names = {Requirement(line).name for line in lines if line}
    assert names - {"jupyter", "nbval", "pytest"} == {"torch", "numpy", *doctor.PACKAGES.values()}
    assert names - {"jupyter", "nbval", "pytest"} <= rows().keys()


@pytest.mark.parametrize(
    ("found", "note", "mend"),
    [
        ("2.4.1", "", 'python -m pip install "torch<2.14,>=2.5"'),
        ("2.5", "", ""),
        ("2.13.0+cpu", "", ""),
        ("2.14.0", "newer than what was tested", ""),
    ],
)
def test_an_older_version_must_be_mended_and_a_newer_one_is_noted(
    found, note, mend, rows, monkeypatch
):
    versions = doctor.version
    monkeypatch.setattr(doctor, "version", lambda n: found if n == "torch" else versions(n))
    row = rows()["torch"]
    assert (row.found, row.note, row.mend) == (found, note, mend)


def test_a_missing_package_is_named_and_what_needs_it_is_not_measured(rows, monkeypatch):
    def version(name):
        if name in ("shimmy", "opencv-python"):
            raise doctor.PackageNotFoundError(name)
        return "99"

    find = doctor.importlib.util.find_spec
    monkeypatch.setattr(doctor, "version", version)
    monkeypatch.setattr(
        doctor.importlib.util, "find_spec", lambda name: None if name == "shimmy" else find(name)
    )
    told = rows()
    assert told["shimmy"].mend == 'python -m pip install "shimmy<3,>=2"'
    assert told["opencv-python"].found == "there under another name"
    assert told["speed"].note == "mend what is marked above first" and "ROM" not in told


def test_a_folder_that_a_run_has_yet_to_make_is_measured(rows, tmp_path, monkeypatch):
    monkeypatch.setenv("A2C_OUT", str(tmp_path / "not" / "yet"))
    assert not rows()["disk"].mend


def test_a_full_disk_and_a_full_memory_must_be_mended(rows, monkeypatch):
    monkeypatch.setattr(doctor, "LEAST", {"memory": 1e6, "disk": 1e6})
    told = rows()
    assert told["memory"].mend == "close other programs" and "make space" in told["disk"].mend


def test_a_game_or_an_ffmpeg_that_is_not_there_must_be_mended(rows, monkeypatch):
    def missing(*_):
        raise RuntimeError("it is gone")

    monkeypatch.setattr("ale_py.roms.get_rom_path", missing)
    monkeypatch.setattr("imageio_ffmpeg.get_ffmpeg_exe", missing)
    told = rows()
    assert told["ROM"].mend and told["ffmpeg"].found == "it is gone" and told["ffmpeg"].mend


def test_files_that_are_not_as_released_are_told(tmp_path, monkeypatch):
    released = {"same.py": b"1", "other.py": b"2", "gone.py": b"3", "own.ipynb": b"4"}
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in released.items()}
    text = json.dumps({"version": "abc", "files": hashes})
    for name, data in {"same.py": b"1", "other.py": b"5", "manifest.json": text.encode()}.items():
        (tmp_path / name).write_bytes(data)
    monkeypatch.setattr(doctor, "KIT", tmp_path)
    (row,) = doctor._kit()
    assert (row.found, row.expected, row.note) == ("release abc", "3 files", "changed: other.py")
    assert row.mend == "missing: gone.py; unpack the .zip again"
    (tmp_path / "manifest.json").unlink()
    assert not [*doctor._kit()]


# the time


def test_the_doctor_measures_what_the_notebook_runs():
    given = notebook.run(
        ["start-imports", "settings-cell"],
        notebook.cells(notebook.read()),
        {"os": doctor.os, "Path": doctor.Path},
    )
    assert (given["NENVS"], given["NSTEPS"]) == (doctor.NENVS, doctor.NSTEPS)


def test_the_time_to_a_mark_is_that_of_the_reference_run():
    steps, values, _ = read_curves(figures.RUN)[figures.GRADED]
    for mark in (300, 400, 600, 1000):
        passed = steps[np.argmax(values >= mark)]
        hours = float(doctor.time_to(mark, 100, ASSIGNMENT).split()[1])
        assert abs(hours - passed / 100 / 3600) < 0.35  # 0.1 million steps
    assert "did not reach it" in doctor.time_to(2000, 100, ASSIGNMENT)
    other = ASSIGNMENT._replace(game="PongNoFrameskip-v4")
    assert doctor.time_to(400, 100, other) == "unknown in this game"
    short = ASSIGNMENT._replace(agent_steps=1_000_000)
    assert doctor.time_to(400, 100, short) == "not within 1,000,000 agent steps"


def test_the_curve_that_the_doctor_reads_is_the_reference_runs():
    curve = read_curves(figures.RUN)[figures.GRADED]
    kept = json.loads((doctor.KIT / "lesson" / "reference_run.json").read_text())
    assert kept == {"game": reference.GAME, "reward_mean_100": figures.thinned(curve)}
    assert kept["reward_mean_100"][-1][0] == 9_900_000


def test_other_marks_and_steps_are_in_the_table(rows, monkeypatch):
    other = ASSIGNMENT._replace(marks={500: 9}, agent_steps=5_000_000)
    monkeypatch.setattr("lesson.assignment.read_assignment", lambda: other)
    told = rows()
    assert "as the reference run went" in told["time to 500, 9 points"].found
    assert "time to the end, 5,000,000 agent steps" in told and "time to 400, 8 points" not in told


@pytest.mark.parametrize(("least", "status"), [(1.0, 0), (1e6, 1)])
def test_the_exit_status_says_whether_something_must_be_mended(least, status, monkeypatch, capsys):
    monkeypatch.setitem(doctor.LEAST, "disk", least)
    monkeypatch.setattr(doctor, "_speeds", lambda seconds: [])
    assert doctor.main() == status
    assert ("✗   disk" in capsys.readouterr().out) == bool(status)


def test_without_the_packages_of_the_table_the_first_mend_is_told():
    hide = "import sys; sys.modules['tabulate'] = None; from lesson import doctor; "
    hide += "sys.exit(doctor.main())"
    ended = subprocess.run([sys.executable, "-c", hide], cwd=doctor.KIT, capture_output=True)
    assert ended.returncode == 1 and b"pip install -r requirements.txt" in ended.stdout


def test_without_babel_a_translated_kit_says_what_is_missing_in_english():
    hide = "import sys; sys.modules['babel'] = None; import languages; print(languages._('found'))"
    environment = {**os.environ, "A2C_LANGUAGE": "ru"}
    ended = subprocess.run(
        [sys.executable, "-c", hide], cwd=doctor.KIT, env=environment, capture_output=True
    )
    assert ended.stdout.split() == [b"found"] and doctor.PACKAGES["babel"] == "babel"


def test_the_stand_in_costs_what_the_assignments_network_costs():
    """Multiplications of a forward pass, counted layer by layer."""
    costs, definitions = [], notebook.definitions()
    for network in (definitions["NatureModel"](6), doctor.stand_in()):
        cost, hooks = [], []

        def count(layer, _, output, cost=cost):
            cost.append(output[0].numel() * layer.weight[0].numel())
            if isinstance(layer, torch.nn.Linear):
                cost[-1] = layer.weight.numel()

        for layer in network.modules():
            if isinstance(layer, (torch.nn.Conv2d, torch.nn.Linear)):
                hooks.append(layer.register_forward_hook(count))
        network(torch.zeros(1, 4, 84, 84))
        for hook in hooks:
            hook.remove()
        costs.append(sum(cost))
    assert costs[1] == pytest.approx(costs[0], rel=0.1)
