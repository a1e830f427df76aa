import random
import signal
import statistics
import time
import warnings

import numpy as np
import pytest
import torch

import training.checkpoints as module
from tests.toys import full_disk
from training.checkpoints import CheckpointError, Checkpoints

SETTINGS = {"game": "SpaceInvaders", "nenvs": 16, "network": "Linear(2, 2)"}


class Runner:
    """Stands for the runner: it tells the agent step."""

    def __init__(self):
        self.step_var = 0

    def state_dict(self):
        return {"step_var": self.step_var}

    def load_state_dict(self, state):
        self.step_var = state["step_var"]


def make_run(folder, copy_to=None, **settings):
    torch.manual_seed(1)
    model = torch.nn.Linear(2, 2)
    optimizer = torch.optim.RMSprop(model.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda k: 1 / (1 + k))
    parts = dict(model=model, optimizer=optimizer, schedule=schedule, runner=Runner())
    return Checkpoints(folder, {**SETTINGS, **settings}, copy_to=copy_to, **parts), parts


def new_run(folder, **kwargs):
    checkpoints, parts = make_run(folder, **kwargs)
    assert not checkpoints.restore()
    return checkpoints, parts


def train(parts, updates):
    for _ in range(updates):
        parts["optimizer"].zero_grad()
        parts["model"](torch.randn(4, 2)).square().sum().backward()
        parts["optimizer"].step()
        parts["schedule"].step()
        parts["runner"].step_var += 80


def test_a_run_goes_on_exactly_where_it_was_saved(tmp_path):
    checkpoints, parts = new_run(tmp_path)
    train(parts, 3)
    checkpoints.save()
    train(parts, 4)

    later, others = make_run(tmp_path)
    assert later.restore() and others["runner"].step_var == 240
    train(others, 4)
    assert torch.equal(others["model"].weight, parts["model"].weight)
    assert others["schedule"].get_last_lr() == parts["schedule"].get_last_lr()


def test_the_last_two_checkpoints_are_kept(tmp_path):
    checkpoints, parts = new_run(tmp_path / "logs" / "run")
    for _ in range(4):
        train(parts, 1)
        checkpoints.save()
    names = sorted(path.name for path in (tmp_path / "logs" / "run").iterdir())
    assert names == ["checkpoint-0000000240.pt", "checkpoint-0000000320.pt"]


def test_a_checkpoint_that_is_cut_short_gives_way_to_the_one_before(tmp_path):
    checkpoints, parts = new_run(tmp_path)
    for _ in range(2):
        train(parts, 1)
        newest = checkpoints.save()
    newest.write_bytes(newest.read_bytes()[:1000])
    later, others = make_run(tmp_path)
    with pytest.warns(
        UserWarning,
        match="checkpoint-0000000160.pt cannot be read, it is cut short.*trying the one",
    ):
        assert later.restore()
    assert others["runner"].step_var == 80


def test_one_wrong_bit_is_noticed_and_gives_way_to_the_one_before(tmp_path):
    checkpoints, parts = new_run(tmp_path)
    for _ in range(2):
        train(parts, 1)
        newest = checkpoints.save()
    content = bytearray(newest.read_bytes())
    content[content.index(parts["model"].weight.detach().numpy().tobytes())] ^= 16
    newest.write_bytes(content)
    assert torch.load(newest)["runner"]["step_var"] == 160  # torch itself does not notice
    later, others = make_run(tmp_path)
    with pytest.warns(UserWarning, match="cannot be read, it is cut short or damaged.*in .*data/"):
        assert later.restore()
    assert others["runner"].step_var == 80


@pytest.mark.filterwarnings("ignore:.*cannot be read")
def test_a_folder_without_a_readable_checkpoint_is_not_written_to(tmp_path):
    (tmp_path / "events.out.tfevents.1.host").write_bytes(b"curves of another run")
    checkpoints, _ = make_run(tmp_path)
    with pytest.raises(
        CheckpointError, match="already holds another run.*give this run another name"
    ):
        checkpoints.restore()
    (tmp_path / "checkpoint-0000000080.pt").write_bytes(b"")
    with pytest.raises(CheckpointError, match="already holds another run"):
        checkpoints.restore()
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"events.out.tfevents.1.host", "checkpoint-0000000080.unreadable"}


def test_somebody_elses_file_is_set_aside_and_not_lost(tmp_path):
    torch.save({"weights": torch.ones(2)}, tmp_path / "checkpoint-0000000080.pt")
    checkpoints, _ = make_run(tmp_path)
    with (
        pytest.warns(UserWarning, match="it is no checkpoint of this kit: set aside as"),
        pytest.raises(CheckpointError, match="already holds another run"),
    ):
        checkpoints.restore()
    assert torch.load(tmp_path / "checkpoint-0000000080.unreadable")["weights"].sum() == 2


def test_a_run_killed_within_its_first_save_starts_anew(tmp_path):
    (tmp_path / "checkpoint-0000000000.pt.part").write_bytes(b"half")
    checkpoints, parts = new_run(tmp_path)
    sit(checkpoints, parts, until=160)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-0000000160.pt"]


def test_the_random_states_go_on(tmp_path):
    def draw():
        return torch.rand(3).tolist(), np.random.rand(3).tolist(), random.random()

    checkpoints, _ = new_run(tmp_path)
    checkpoints.save()
    drawn = draw()
    assert draw() != drawn
    checkpoints.restore()
    assert draw() == drawn


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"game": "Breakout"}, "game was 'SpaceInvaders' and is 'Breakout'"),
        ({"network": "Linear(3, 2)"}, r"network was 'Linear\(2, 2\)' and is 'Linear\(3, 2\)'"),
        ({"nenvs": 8, "gamma": 0.9}, "nenvs was 16 and is 8, gamma was None and is 0.9"),
    ],
)
def test_another_game_network_or_setting_is_a_clear_error(tmp_path, change, message):
    checkpoints, parts = new_run(tmp_path)
    path = checkpoints.save()
    before = path.read_bytes()
    other, others = make_run(tmp_path, **change)
    with pytest.raises(
        CheckpointError, match=f"belongs to another run: {message}.*another name to start anew"
    ):
        other.restore()
    assert path.read_bytes() == before and others["runner"].step_var == 0


def test_a_checkpoint_made_on_a_gpu_goes_on_without_one(tmp_path, monkeypatch):
    checkpoints, parts = new_run(tmp_path)
    train(parts, 2)
    with monkeypatch.context() as on_a_gpu:
        on_a_gpu.setattr(torch.serialization, "location_tag", lambda storage: "cuda:0")
        path = checkpoints.save()
    if not torch.cuda.is_available():
        with pytest.raises(RuntimeError, match="deserialize object on a CUDA device"):
            torch.load(path)
    later, others = make_run(tmp_path)
    assert later.restore()
    train(others, 1)
    assert others["model"].weight.device.type == "cpu"


@pytest.mark.parametrize("part", ["model", "optimizer"])
def test_numbers_that_are_not_finite_are_not_saved(tmp_path, part):
    checkpoints, parts = new_run(tmp_path)
    train(parts, 1)
    good = checkpoints.save()
    train(parts, 1)
    with torch.no_grad():
        tensors = {
            "model": parts["model"].weight,
            "optimizer": parts["optimizer"].state_dict()["state"][0]["square_avg"],
        }
        tensors[part][0, 0] = float("nan")
    with pytest.raises(
        CheckpointError, match=rf"the {part} holds numbers.*is kept \({good.name}\). Restart"
    ):
        checkpoints.save()
    assert [path.name for path in tmp_path.iterdir()] == [good.name]


# sittings


def sit(checkpoints, parts, minutes=0.0, until=10**9):
    """Trains in one sitting, update by update; returns the number of updates."""
    first = parts["runner"].step_var
    with checkpoints.sitting(minutes) as sitting:
        while sitting.goes_on() and parts["runner"].step_var < until:
            train(parts, 1)
    return (parts["runner"].step_var - first) // 80


def test_a_sitting_ends_in_time_and_saves(tmp_path):
    checkpoints, parts = new_run(tmp_path)
    began = time.monotonic()
    assert sit(checkpoints, parts, minutes=0.3 / 60) > 10
    assert 0.3 < time.monotonic() - began < 2
    later, others = make_run(tmp_path)
    assert later.restore() and others["runner"].step_var == parts["runner"].step_var


def test_a_sitting_saves_on_its_way(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SAVE_EVERY", 0.05)
    checkpoints, parts = new_run(tmp_path)
    with checkpoints.sitting(0) as sitting:
        assert sitting.goes_on() and not list(tmp_path.iterdir())
        train(parts, 1)
        time.sleep(0.1)
        assert sitting.goes_on()
        assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-0000000080.pt"]


def test_the_stop_button_ends_a_sitting_after_the_update_and_saves(tmp_path, capsys):
    checkpoints, parts = new_run(tmp_path)
    before = signal.getsignal(signal.SIGINT)
    with checkpoints.sitting(0) as sitting:
        assert sitting.goes_on()
        signal.raise_signal(signal.SIGINT)
        train(parts, 1)  # the update that is under way
        assert not sitting.goes_on()
    assert signal.getsignal(signal.SIGINT) is before
    assert "stopped and saved as checkpoint-0000000080.pt" in capsys.readouterr().out
    later, others = make_run(tmp_path)
    assert later.restore() and others["runner"].step_var == 80


def test_a_second_press_of_the_stop_button_does_not_wait(tmp_path):
    checkpoints, _ = new_run(tmp_path)
    with pytest.raises(KeyboardInterrupt, match="the last checkpoint is kept"):
        with checkpoints.sitting(0):
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
    assert not list(tmp_path.iterdir())


def test_two_processes_do_not_train_in_one_folder(tmp_path):
    checkpoints, parts = new_run(tmp_path)
    other, _ = new_run(tmp_path)  # a lock of its own: what counts is the open folder
    with checkpoints.sitting(0):
        with (
            pytest.raises(CheckpointError, match="another process is training in .*another name"),
            other.sitting(0),
        ):
            pytest.fail("both train")
        train(parts, 1)
    with (
        pytest.raises(CheckpointError, match="is further already .*000080.pt.*Restart the kernel"),
        other.sitting(0),
    ):
        pytest.fail("it would go back and delete what the other saved")


def test_nothing_is_trained_or_saved_that_was_not_restored(tmp_path):
    checkpoints, parts = new_run(tmp_path)
    path = checkpoints.save()
    other, _ = make_run(tmp_path, game="Breakout")
    with pytest.raises(CheckpointError, match="belongs to another run"):
        other.restore()
    with pytest.raises(CheckpointError, match="was not restored: nothing was trained or saved"):
        other.save()
    with pytest.raises(CheckpointError, match="was not restored"), other.sitting(0):
        pytest.fail("it trains")
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_runner_that_was_made_anew_is_not_trained_unsaved(tmp_path):
    checkpoints, parts = new_run(tmp_path)
    with checkpoints.sitting(0, runner=parts["runner"]):
        pass
    with (
        pytest.raises(CheckpointError, match="the runner was made anew after the run was restored"),
        checkpoints.sitting(0, runner=Runner()),
    ):
        pytest.fail("it trains")


def test_sigterm_saves_before_it_does_what_it_did(tmp_path):
    checkpoints, parts = new_run(tmp_path)
    ended = []
    before = signal.signal(signal.SIGTERM, lambda *_: ended.extend(tmp_path.iterdir()))
    try:
        with checkpoints.sitting(0) as sitting:
            train(parts, 1)
            signal.raise_signal(signal.SIGTERM)
            assert not sitting.goes_on() and not ended
    finally:
        signal.signal(signal.SIGTERM, before)
    assert [path.name for path in ended] == ["checkpoint-0000000080.pt"]


def test_an_error_in_a_sitting_leaves_the_last_good_checkpoint_the_newest(tmp_path):
    checkpoints, parts = new_run(tmp_path)
    good = checkpoints.save()
    with pytest.raises(FloatingPointError), checkpoints.sitting(0):
        train(parts, 1)
        raise FloatingPointError("the loss is nan")
    assert [path.name for path in tmp_path.iterdir()] == [good.name]


def test_a_full_disk_costs_a_warning_and_the_training_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SAVE_EVERY", 0.0)
    checkpoints, parts = new_run(tmp_path)
    good = checkpoints.save()
    with full_disk(100), checkpoints.sitting(0) as sitting:
        train(parts, 1)
        with pytest.warns(
            UserWarning, match="no checkpoint could be saved: .*File too large.*kept"
        ):
            assert sitting.goes_on()
        assert [path.name for path in tmp_path.iterdir()] == [good.name]
        warnings.simplefilter("ignore")
    assert [path.name for path in tmp_path.iterdir()] == [good.name]


# the copy


def test_a_run_goes_on_from_its_copy_on_a_new_machine(tmp_path):
    checkpoints, parts = new_run(tmp_path / "vm" / "run", copy_to=tmp_path / "drive")
    sit(checkpoints, parts, until=240)
    later, others = make_run(tmp_path / "new vm" / "run", copy_to=tmp_path / "drive")
    assert later.restore() and others["runner"].step_var == 240
    assert torch.equal(others["model"].weight, parts["model"].weight)


def test_a_copy_that_cannot_be_read_is_an_error_and_no_new_beginning(tmp_path):
    checkpoints, parts = new_run(tmp_path / "vm" / "run", copy_to=tmp_path / "drive")
    sit(checkpoints, parts, until=240)
    later, _ = make_run(tmp_path / "new vm" / "run", copy_to=tmp_path / "drive")
    with full_disk(100), pytest.raises(OSError, match="File too large"):
        later.restore()


def test_a_copy_of_another_run_is_neither_taken_nor_overwritten(tmp_path):
    drive = tmp_path / "drive"
    ours, parts = new_run(tmp_path / "vm" / "run", copy_to=drive)
    sit(ours, parts, until=240)
    before = {path.name: path.read_bytes() for path in (drive / "run").iterdir()}
    theirs, others = new_run(tmp_path / "laptop" / "run")
    sit(theirs, others, until=400)
    later, _ = make_run(tmp_path / "laptop" / "run", copy_to=drive)
    with pytest.raises(CheckpointError, match="drive/run holds a copy of another run: give this"):
        later.restore()
    assert {path.name: path.read_bytes() for path in (drive / "run").iterdir()} == before


# what it costs


def test_a_checkpoint_takes_less_than_a_hundredth_of_the_time_between_two(tmp_path):
    checkpoints, parts = new_run(tmp_path)
    with torch.no_grad():
        weights = torch.nn.Parameter(torch.rand(1_687_719))  # as many as the assignment's network
    model = torch.nn.ParameterList([weights])
    optimizer = torch.optim.RMSprop(model.parameters())
    weights.square().sum().backward()
    optimizer.step()
    parts = {**parts, "model": model, "optimizer": optimizer}
    checkpoints = Checkpoints(tmp_path, SETTINGS, **parts)
    checkpoints.restore()
    seconds = []
    for _ in range(5):
        began = time.perf_counter()
        path = checkpoints.save()
        seconds.append(time.perf_counter() - began)
    assert path.stat().st_size > 13e6
    assert statistics.median(seconds) < 0.01 * module.SAVE_EVERY <= 0.6
