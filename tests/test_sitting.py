import re
import signal
import subprocess
import sys
import warnings

import pytest
import torch
from tqdm import tqdm

import training.sitting as module
from tests.toy_run import make_parts, make_run, names, new_run, sit, train
from tests.toys import full_disk
from training import RunError


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "logs" / "run"


def test_a_sitting_ends_in_time_and_saves(folder):
    run, parts = new_run(folder)
    with run.sitting(minutes=0.1 / 60) as sitting:
        while sitting.continues():
            train(parts, 1)
    assert sitting.seconds >= 0.1
    later, others = make_run(folder)
    later.resume(10**9)
    assert others["runner"].step_var == parts["runner"].step_var > 0


def test_a_sitting_saves_on_its_way(folder, monkeypatch):
    monkeypatch.setattr(module, "SAVE_EVERY", 0.0)
    run, parts = new_run(folder)
    with run.sitting(0) as sitting:
        train(parts, 1)
        assert sitting.continues()
        assert names(folder) == ["checkpoint-0000000000.pt", "checkpoint-0000000080.pt"]


def test_numbers_too_small_for_full_precision_are_0_in_a_sitting_alone(folder):
    run, _parts = new_run(folder)
    tiny = torch.tensor(1e-39)
    assert (tiny * 0.5).item() > 0
    with pytest.raises(ZeroDivisionError), run.sitting(0):
        assert (tiny * 0.5).item() == 0
        raise ZeroDivisionError
    assert (tiny * 0.5).item() > 0


def test_the_stop_button_ends_a_sitting_after_the_update_and_saves(folder, capsys):
    run, parts = new_run(folder)
    before = signal.getsignal(signal.SIGINT)
    with tqdm(total=1000, file=sys.stdout), run.sitting(0) as sitting:
        assert sitting.continues()
        signal.raise_signal(signal.SIGINT)
        train(parts, 1)  # the update that is under way
        assert not sitting.continues()
    assert signal.getsignal(signal.SIGINT) is before
    shown = [line.strip() for line in re.split("[\r\n]", capsys.readouterr().out)]
    assert "stopped and saved as checkpoint-0000000080.pt; run this cell again to resume" in shown
    assert make_run(folder)[0].resume(1000) == "resuming run at agent step 80"


def test_a_second_press_of_the_stop_button_does_not_wait(folder):
    run, parts = new_run(folder)
    with pytest.raises(KeyboardInterrupt, match="the last checkpoint is kept"):
        with run.sitting(0):
            train(parts, 1)
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
    assert names(folder) == ["checkpoint-0000000000.pt"]


def test_sigterm_saves_before_it_does_what_it_did(folder):
    run, parts = new_run(folder)
    ended = []
    before = signal.signal(signal.SIGTERM, lambda *_: ended.extend(names(folder)))
    try:
        with run.sitting(0) as sitting:
            train(parts, 1)
            signal.raise_signal(signal.SIGTERM)
            assert not sitting.continues() and not ended
    finally:
        signal.signal(signal.SIGTERM, before)
    assert ended == ["checkpoint-0000000000.pt", "checkpoint-0000000080.pt"]


def test_an_error_in_a_sitting_leaves_the_last_good_checkpoint_the_newest(folder):
    run, parts = new_run(folder)
    with pytest.raises(FloatingPointError), run.sitting(0):
        train(parts, 1)
        raise FloatingPointError("the loss is nan")
    assert names(folder) == ["checkpoint-0000000000.pt"]
    with run.sitting(0):
        pass  # the folder is free again


def test_a_full_disk_costs_a_warning_and_the_training_continues(folder, monkeypatch):
    monkeypatch.setattr(module, "SAVE_EVERY", 0.0)
    run, parts = new_run(folder)
    with full_disk(100), run.sitting(0) as sitting:
        train(parts, 1)
        with pytest.warns(
            UserWarning, match="no checkpoint could be saved: .*File too large.*kept"
        ):
            assert sitting.continues()
        assert names(folder) == ["checkpoint-0000000000.pt"]
        warnings.simplefilter("ignore")
    assert names(folder) == ["checkpoint-0000000000.pt"]


# who may train


def test_nothing_is_trained_or_saved_that_was_not_resumed(folder):
    new_run(folder)
    other, _ = make_run(folder, game="Breakout")
    with pytest.raises(RunError, match="belongs to another run"):
        other.resume(1000)
    with pytest.raises(RunError, match="was not resumed: nothing was trained or saved"):
        other.save()
    with pytest.raises(RunError, match="was not resumed"), other.sitting(0):
        pytest.fail("it trains")
    assert names(folder) == ["checkpoint-0000000000.pt"]


def test_two_sittings_do_not_train_in_one_folder(folder):
    run, parts = new_run(folder)
    other, _ = make_run(folder)
    other.resume(1000)
    with run.sitting(0):
        with (
            pytest.raises(RunError, match="another process is training in .*another name"),
            other.sitting(0),
        ):
            pytest.fail("both train")
        train(parts, 1)
    with (
        pytest.raises(RunError, match="is further already .agent step 80.*Restart the kernel"),
        other.sitting(0),
    ):
        pytest.fail("it would go back and delete what the other saved")


HOLD = """
import pathlib, sys, time
from training.sitting import alone
with alone(pathlib.Path(sys.argv[1])):
    print("mine", flush=True)
    time.sleep(60)
"""


def test_a_process_keeps_a_folder_to_itself_until_it_is_killed(folder):
    run, parts = new_run(folder)
    command = [sys.executable, "-c", HOLD, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "mine\n"
        with pytest.raises(RunError, match="another process is training"), run.sitting(0):
            pytest.fail("both train")
        process.kill()
    sit(run, parts, until=80)
    assert names(folder) == ["checkpoint-0000000000.pt", "checkpoint-0000000080.pt"]


@pytest.mark.parametrize("name", ["model", "optimizer", "runner"])
def test_an_object_that_was_made_again_is_not_trained_unsaved(folder, name):
    run, parts = new_run(folder)
    with run.sitting(0, **parts):
        pass
    again = {**parts, name: make_parts()[name]}
    with (
        pytest.raises(RunError, match=f"the {name} was made again after the run was resumed"),
        run.sitting(0, **again),
    ):
        pytest.fail("it trains")
