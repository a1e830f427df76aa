import pathlib
import random
import re

import numpy as np
import pytest
import torch

from tests.toy_run import (
    SETTINGS,
    games,
    make_parts,
    make_run,
    names,
    new_run,
    sit,
    train,
)
from tests.toys import full_disk
from training import RunError
from training.curves import read_curves


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "logs" / "run"


def test_a_notebook_shows_the_message_of_an_error_alone():
    shown = RunError("the run is another's. " * 9)._render_traceback_()
    assert shown[0].startswith("RunError: the run is another's.") and len(shown) == 3
    assert all(len(line) <= 100 for line in shown)


def test_a_run_resumes_exactly_where_it_was_saved(folder):
    run, parts = new_run(folder)
    train(parts, 3)
    run.save()
    train(parts, 4)

    later, others = make_run(folder)
    assert later.resume(1000) == "resuming run at agent step 240"
    train(others, 4)
    assert torch.equal(others["model"].weight, parts["model"].weight)
    assert others["schedule"].get_last_lr() == parts["schedule"].get_last_lr()


def test_a_run_that_starts_saves_its_first_checkpoint(folder):
    parts = make_parts()
    train(parts, 1)  # the agent steps that were made before count
    new_run(folder, parts=parts)
    assert names(folder) == ["checkpoint-0000000080.pt"]


def test_a_finished_run_says_so_and_keeps_its_weights(folder):
    run, parts = new_run(folder)
    sit(run, parts, until=240)
    later, others = make_run(folder)
    line = later.resume(total_steps=240)
    assert line.startswith("run is finished at agent step 240") and "a new name" in line
    sit(later, others, until=240)
    assert "at agent step 240" in make_run(folder)[0].resume(1000)
    assert torch.equal(others["model"].weight, parts["model"].weight)


def test_the_last_two_checkpoints_are_kept(folder):
    run, parts = new_run(folder)
    for _ in range(3):
        train(parts, 1)
        run.save()
    assert names(folder) == ["checkpoint-0000000160.pt", "checkpoint-0000000240.pt"]


def test_an_old_checkpoint_that_is_in_use_is_removed_with_the_next_save(folder, monkeypatch):
    def refuse(path):
        raise PermissionError("the process cannot access the file")

    run, parts = new_run(folder)
    with monkeypatch.context() as on_windows:
        on_windows.setattr(pathlib.Path, "unlink", refuse)
        for _ in range(2):
            train(parts, 1)
            run.save()
    assert len(names(folder)) == 3
    train(parts, 1)
    run.save()
    assert names(folder) == ["checkpoint-0000000160.pt", "checkpoint-0000000240.pt"]


def test_a_checkpoint_that_is_cut_short_gives_way_to_the_one_before(folder):
    run, parts = new_run(folder)
    for _ in range(2):
        train(parts, 1)
        newest = run.save()
    newest.write_bytes(newest.read_bytes()[:1000])
    later, others = make_run(folder)
    with pytest.warns(
        UserWarning,
        match="checkpoint-0000000160.pt cannot be read, it is cut short.*trying the one",
    ):
        later.resume(1000)
    assert others["runner"].step_var == 80


def test_one_wrong_bit_is_noticed_and_gives_way_to_the_one_before(folder):
    run, parts = new_run(folder)
    for _ in range(2):
        train(parts, 1)
        newest = run.save()
    content = bytearray(newest.read_bytes())
    content[content.index(parts["model"].weight.detach().numpy().tobytes())] ^= 16
    newest.write_bytes(content)
    assert torch.load(newest)["runner"]["step_var"] == 160  # torch itself does not notice
    later, others = make_run(folder)
    with pytest.warns(UserWarning, match="cannot be read, it is cut short or damaged.*in .*data/"):
        later.resume(1000)
    assert others["runner"].step_var == 80


def test_somebody_elses_file_is_set_aside_and_not_lost(folder):
    folder.mkdir(parents=True)
    torch.save({"weights": torch.ones(2)}, folder / "checkpoint-0000000080.pt")
    run, _ = make_run(folder)
    with (
        pytest.warns(UserWarning, match="it is no checkpoint of this kit: set aside as"),
        pytest.raises(RunError, match="already holds another run.*give this run another name"),
    ):
        run.resume(1000)
    assert torch.load(folder / "checkpoint-0000000080.unreadable")["weights"].sum() == 2
    with pytest.raises(RunError, match="already holds another run"):
        run.resume(1000)


def test_a_run_killed_within_its_first_save_starts_again(folder):
    folder.mkdir(parents=True)
    (folder / "checkpoint-0000000000.pt.part").write_bytes(b"half")
    run, parts = new_run(folder)
    sit(run, parts, until=160)
    assert names(folder) == ["checkpoint-0000000000.pt", "checkpoint-0000000160.pt"]


def test_the_random_states_are_restored(folder):
    def draw():
        return torch.rand(3).tolist(), np.random.rand(3).tolist(), random.random()

    run, _ = new_run(folder)
    drawn = draw()
    assert draw() != drawn
    run.resume(1000)
    assert draw() == drawn


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"game": "Breakout"}, "game was 'SpaceInvaders' and is 'Breakout'"),
        ({"network": "Linear(3, 2)"}, r"network was 'Linear\(2, 2\)' and is 'Linear\(3, 2\)'"),
        ({"nenvs": 8, "gamma": 0.9}, "nenvs was 16 and is 8, gamma was None and is 0.9"),
    ],
)
def test_another_game_network_or_setting_is_a_clear_error(folder, change, message):
    new_run(folder)
    (path,) = folder.iterdir()
    before = path.read_bytes()
    parts = make_parts()
    train(parts, 1)
    other, _ = make_run(folder, parts=parts, **change)
    with pytest.raises(RunError, match=f"belongs to another run: {message}.*another name to start"):
        other.resume(1000)
    assert path.read_bytes() == before and parts["runner"].step_var == 80


def with_another_optimizer():
    """Returns the parts of a run whose optimizer is another kind than in `make_parts`."""
    parts = make_parts()
    parts["optimizer"] = torch.optim.Adam(parts["model"].parameters(), lr=0.1)
    parts["schedule"] = torch.optim.lr_scheduler.LambdaLR(parts["optimizer"], lambda k: 1.0)
    return parts


def test_another_kind_of_optimizer_is_a_clear_error_and_nothing_is_loaded(folder):
    run, parts = new_run(folder)
    train(parts, 1)
    run.save()
    others = with_another_optimizer()
    before = others["model"].weight.clone()
    later, _ = make_run(folder, parts=others)
    with pytest.raises(RunError, match=r"another run: optimizer was \['alpha'.*and is .*'betas'"):
        later.resume(1000)
    assert torch.equal(others["model"].weight, before)


@pytest.mark.parametrize("older", [True, False])
def test_an_optimizer_of_another_version_of_torch_resumes(folder, older):
    run, parts = new_run(folder)
    others = make_parts()
    del (parts if older else others)["optimizer"].param_groups[0]["foreach"]
    run.save()
    assert make_run(folder, parts=others)[0].resume(1000) == "resuming run at agent step 0"


def test_a_checkpoint_made_on_a_gpu_resumes_without_one(folder, monkeypatch):
    run, parts = new_run(folder)
    train(parts, 2)
    with monkeypatch.context() as on_a_gpu:
        on_a_gpu.setattr(torch.serialization, "location_tag", lambda storage: "cuda:0")
        path = run.save()
    if not torch.cuda.is_available():
        with pytest.raises(RuntimeError, match="deserialize object on a CUDA device"):
            torch.load(path)
    later, others = make_run(folder)
    assert "at agent step 160" in later.resume(1000)
    train(others, 1)
    assert others["model"].weight.device.type == "cpu"


def test_a_checkpoint_of_the_first_layout_resumes(folder):
    parts = make_parts()
    kind, keys, *rest = np.random.get_state()
    state = {
        "model": {"weight": torch.tensor([[1.0, 2.0], [3.0, 4.0]]), "bias": torch.zeros(2)},
        "optimizer": parts["optimizer"].state_dict(),
        "schedule": parts["schedule"].state_dict(),
        "runner": {"step_var": 800, "summaries": None},
        "settings": SETTINGS,
        "random": {
            "python": random.getstate(),
            "numpy": [kind, keys.tolist(), *rest],
            "cpu": torch.get_rng_state(),
            "gpus": [],
        },
        "run": "0123456789abcdef",
    }
    folder.mkdir(parents=True)
    torch.save(state, folder / "checkpoint-0000000800.pt")
    run, _ = make_run(folder, parts=parts)
    assert run.resume(1000) == "resuming run at agent step 800"
    assert parts["model"].weight.tolist() == [[1, 2], [3, 4]]
    assert torch.load(run.save()).keys() == state.keys()


def with_numpys_numbers():
    """Returns the parts of a run, and settings, that hold numbers of NumPy's."""
    parts = make_parts()
    parts["optimizer"].param_groups[0].update(lr=0.1 * np.sqrt(2), initial_lr=0.1 * np.sqrt(2))
    parts["schedule"] = torch.optim.lr_scheduler.LambdaLR(
        parts["optimizer"], lambda k: np.maximum(0.0, 1 - k / 9)
    )
    return parts, dict(gamma=np.float64(0.99), nsteps=np.int64(5), layers=[(np.float32(0.5),)])


def test_numpys_numbers_are_saved_as_pythons_and_the_run_resumes(folder):
    parts, settings = with_numpys_numbers()
    run, _ = new_run(folder, parts=parts, **settings)
    train(parts, 2)
    saved = torch.load(run.save(), weights_only=True)
    assert type(saved["schedule"]["_last_lr"][0]) is type(saved["settings"]["gamma"]) is float
    assert saved["model"]._metadata == parts["model"].state_dict()._metadata
    later, others = with_numpys_numbers()
    run, _ = make_run(folder, parts=later, **others)
    assert run.resume(1000) == "resuming run at agent step 160"


def test_what_could_not_be_read_again_is_not_saved_and_is_named(folder):
    run, _ = make_run(folder, layers=np.arange(3))
    with pytest.raises(
        RunError, match="what the settings holds could not be read.*nothing was saved"
    ):
        run.resume(1000)
    assert not folder.exists()


def refuse_to_read(path):
    raise OSError(5, "Input/output error", str(path))


def lack_memory(*args, **kwargs):
    raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")


@pytest.mark.parametrize(
    ("place", "name", "fails", "error"),
    [
        (pathlib.Path, "read_bytes", refuse_to_read, OSError),
        (torch, "load", lack_memory, MemoryError),
    ],
)
def test_a_checkpoint_that_may_be_whole_is_not_set_aside(
    folder, monkeypatch, place, name, fails, error
):
    new_run(folder)
    later, _ = make_run(folder)
    with monkeypatch.context() as failing, pytest.raises(error):
        failing.setattr(place, name, fails)
        later.resume(1000)
    assert names(folder) == ["checkpoint-0000000000.pt"]
    assert later.resume(1000) == "resuming run at agent step 0"


@pytest.mark.parametrize("part", ["model", "optimizer"])
def test_numbers_that_are_not_finite_are_not_saved(folder, part):
    run, parts = new_run(folder)
    train(parts, 1)
    good = run.save()
    before = names(folder)
    train(parts, 1)
    with torch.no_grad():
        tensors = {
            "model": parts["model"].weight,
            "optimizer": parts["optimizer"].state_dict()["state"][0]["square_avg"],
        }
        tensors[part][0, 0] = float("nan")
    with pytest.raises(
        RunError, match=rf"the {part} holds numbers.*is kept \({good.name}\). Restart"
    ):
        run.save()
    assert names(folder) == before


def test_a_run_stays_in_its_folder_when_the_current_one_changes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    parts = make_parts(games("logs/run"))
    run, _ = new_run(pathlib.Path("logs/run"), parts=parts, copy_to="drive")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    sit(run, parts, until=240)
    assert not names(tmp_path / "elsewhere")
    kept = names(tmp_path / "logs" / "run")
    assert "checkpoint-0000000240.pt" in kept and names(tmp_path / "drive" / "run") == kept
    assert read_curves(tmp_path / "logs" / "run")["Episodes/games"][0].max() == 240


# what a folder held before


def play(folder, calls):
    """Plays some games in a folder as a notebook does before it trains; returns the parts."""
    parts = make_parts(games(folder))
    for _ in range(calls):
        parts["runner"].get_next()
    parts["runner"].summaries.flush()
    return parts


def test_a_folder_in_which_nothing_was_trained_starts_a_run_with_its_own_curves(folder):
    play(folder, calls=7)  # in a process that has ended
    parts = play(folder, calls=1)
    assert read_curves(folder)["Episodes/games"][0].max() == 528
    run, _ = new_run(folder, parts=parts)
    sit(run, parts, until=240)
    parts["runner"].summaries.flush()
    steps, *_ = read_curves(folder)["Episodes/games"]
    assert steps.tolist() == [96, 144, 192, 240]
    assert "at agent step 240" in make_run(folder)[0].resume(1000)


def test_games_that_were_played_before_a_start_are_dropped_even_if_it_draws_none(folder):
    parts = play(folder, calls=7)
    new_run(folder, parts=parts)
    assert not read_curves(folder)


def test_a_folder_with_curves_of_training_and_no_checkpoint_is_not_written_to(folder):
    play(folder, calls=1)
    env = games(folder)
    env.add_summary("A2C/entropy", 1.7)
    env.close()
    before = names(folder)
    run, _ = make_run(folder)
    with pytest.raises(RunError, match="already holds another run.*give this run another name"):
        run.resume(1000)
    assert names(folder) == before


def test_curves_that_go_elsewhere_are_a_clear_error(folder, tmp_path):
    run, _ = make_run(folder, parts=make_parts(games(tmp_path / "logs" / "old")))
    with pytest.raises(
        RunError,
        match=f"curves in {re.escape(str(tmp_path / 'logs' / 'old'))}, and the run is "
        f"{re.escape(str(folder))}: nothing was changed. Run the cells again from the one that",
    ):
        run.resume(1000)
    assert not folder.exists()


# a model that has trained


def refuse_a_new_run(parts, folder, trained_in):
    later, _ = make_run(folder, parts=parts)
    with pytest.raises(
        RunError,
        match=rf"{folder.name} is a new run, and the model has already trained in {trained_in}: .*"
        r"Nothing was changed. Run the cells again from the one that makes the model \(Task 1\)",
    ):
        later.resume(1000)
    assert not folder.exists()


def test_a_new_run_does_not_start_with_a_model_that_has_trained(folder):
    run, parts = new_run(folder)
    sit(run, parts, until=80)
    refuse_a_new_run(parts, folder.with_name("second"), "run")
    refuse_a_new_run(make_parts(model=parts["model"]), folder.with_name("second"), "run")


def test_a_new_run_does_not_start_with_a_model_that_was_restored(folder):
    run, parts = new_run(folder)
    train(parts, 1)
    run.save()
    later, others = make_run(folder)
    later.resume(1000)
    refuse_a_new_run(make_parts(model=others["model"]), folder.with_name("second"), "run")


def test_a_run_resumes_with_a_model_that_has_trained_in_another(folder):
    first, parts = new_run(folder.with_name("first"))
    sit(first, parts, until=80)
    second, others = new_run(folder.with_name("second"))
    sit(second, others, until=160)
    again, _ = make_run(folder.with_name("first"), parts=make_parts(model=others["model"]))
    assert again.resume(1000) == "resuming first at agent step 80"
    assert torch.equal(others["model"].weight, parts["model"].weight)


# the copy


@pytest.mark.parametrize("nowhere", [None, ""])
def test_a_run_without_a_copy_writes_to_its_folder_alone(folder, tmp_path, nowhere):
    run, parts = new_run(folder, copy_to=nowhere)
    sit(run, parts, until=80)
    assert all(folder in path.parents for path in tmp_path.rglob("*.pt"))


def test_a_run_resumes_from_its_copy_on_a_new_machine(tmp_path):
    run, parts = new_run(tmp_path / "vm" / "run", copy_to=tmp_path / "drive")
    sit(run, parts, until=240)
    later, others = make_run(tmp_path / "new vm" / "run", copy_to=tmp_path / "drive")
    assert "at agent step 240" in later.resume(1000)
    assert torch.equal(others["model"].weight, parts["model"].weight)
    assert names(tmp_path / "drive") == ["run"]
    assert names(tmp_path / "drive" / "run") == names(tmp_path / "vm" / "run")


def test_a_copy_that_cannot_be_read_is_an_error_and_no_new_beginning(tmp_path):
    run, parts = new_run(tmp_path / "vm" / "run", copy_to=tmp_path / "drive")
    sit(run, parts, until=240)
    later, _ = make_run(tmp_path / "new vm" / "run", copy_to=tmp_path / "drive")
    with full_disk(100), pytest.raises(OSError, match="File too large"):
        later.resume(1000)


def test_a_copy_of_another_run_is_neither_taken_nor_overwritten(tmp_path):
    drive = tmp_path / "drive"
    ours, parts = new_run(tmp_path / "vm" / "run", copy_to=drive)
    sit(ours, parts, until=240)
    before = {path.name: path.read_bytes() for path in (drive / "run").iterdir()}
    theirs, others = new_run(tmp_path / "laptop" / "run")
    sit(theirs, others, until=400)
    later, _ = make_run(tmp_path / "laptop" / "run", copy_to=drive)
    with pytest.raises(RunError, match=r"drive\Wrun holds a copy of another run: give this"):
        later.resume(1000)
    assert {path.name: path.read_bytes() for path in (drive / "run").iterdir()} == before
