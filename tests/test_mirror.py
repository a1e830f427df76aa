import os
import re
import shutil
import sys
import threading
import types
import warnings

import pytest

import training.mirror as module
from tests.toys import full_disk
from training import RunError
from training.mirror import Mirror, write_whole


@pytest.fixture
def run(tmp_path):
    """A run's folder and a mounted drive."""
    folder = tmp_path / "logs" / "run"
    folder.mkdir(parents=True)
    (tmp_path / "drive").mkdir()
    put(folder, events=b"curves", checkpoint=80)
    return folder


def put(folder, events=None, checkpoint=None):
    if events:
        (folder / "events.out.tfevents.1").write_bytes(events)
    if checkpoint:
        name = f"checkpoint-{checkpoint:010d}.pt"
        (folder / name).write_bytes(f"weights of {checkpoint}".encode() * 1000)
        return name


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def copy_of(run, tmp_path):
    return Mirror(run, tmp_path / "drive" / "a2c")


def test_a_push_copies_every_file_and_then_what_changed(run, tmp_path):
    mirror = copy_of(run, tmp_path)
    mirror.push()
    mirror.wait(10)
    assert contents(mirror.target) == contents(run) and len(contents(run)) == 2
    put(run, events=b"curves that grew", checkpoint=160)
    mirror.wait(10)
    assert contents(mirror.target) == contents(run) and len(contents(run)) == 3


def test_what_has_not_changed_is_neither_read_nor_written_again(run, tmp_path, monkeypatch):
    mirror = copy_of(run, tmp_path)
    mirror.wait(10)
    touched = []
    monkeypatch.setattr(module, "write_whole", lambda path, content: touched.append(path))
    monkeypatch.setattr(module.Path, "read_bytes", touched.append)
    mirror.wait(10)
    assert not touched


def test_a_checkpoint_that_gave_way_to_newer_ones_leaves_the_copy_too(run, tmp_path):
    mirror = copy_of(run, tmp_path)
    mirror.wait(10)
    put(run, checkpoint=160)
    (run / put(run, checkpoint=80)).unlink()
    mirror.wait(10)
    assert contents(mirror.target) == contents(run)


def test_a_folder_within_the_run_is_left_alone(run, tmp_path):
    (run / "plugins").mkdir()
    mirror = copy_of(run, tmp_path)
    mirror.wait(10)
    assert len(contents(mirror.target)) == 2


def test_what_is_half_written_or_unreadable_is_not_copied(run, tmp_path):
    (run / "checkpoint-0000000160.pt.part").write_bytes(b"half")
    (run / "checkpoint-0000000040.unreadable").write_bytes(b"broken")
    mirror = copy_of(run, tmp_path)
    mirror.wait(10)
    assert len(contents(mirror.target)) == 2


def test_training_does_not_wait_for_a_drive_that_hangs_and_warns(run, tmp_path, monkeypatch):
    mirror, answers = copy_of(run, tmp_path), threading.Event()
    monkeypatch.setattr(os, "fsync", lambda file: answers.wait(10))
    mirror.push()
    mirror.push()
    assert not any((mirror.target / name).exists() for name in contents(run))  # still under way
    with pytest.warns(UserWarning, match="could not copy the run.*no answer within 0.2 s. Its"):
        mirror.wait(0.2)
    monkeypatch.setattr(module, "PATIENCE", 0.1)
    with pytest.warns(UserWarning, match="no answer within 0.1 s"):
        mirror.push()  # long before the sitting ends
    answers.set()
    mirror.wait(10)
    assert contents(mirror.target) == contents(run)


def test_a_full_drive_costs_a_warning_and_leaves_the_last_copy_whole(run, tmp_path):
    mirror = copy_of(run, tmp_path)
    mirror.wait(10)
    before = contents(mirror.target)
    name = put(run, checkpoint=160)
    with full_disk(1000):
        with pytest.warns(UserWarning, match="could not copy the run to.*File too large"):
            mirror.wait(10)
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # it was warned of once
            mirror.wait(10)
    assert contents(mirror.target) == before
    mirror.wait(10)
    assert contents(mirror.target)[name] == (run / name).read_bytes()
    put(run, checkpoint=240)
    with full_disk(1000), pytest.warns(UserWarning, match="File too large"):
        mirror.wait(10)  # a new failure is warned of again


def test_a_drive_that_goes_away_is_not_made_on_the_own_disk_and_is_found_again(run, tmp_path):
    mirror = copy_of(run, tmp_path)
    mirror.wait(10)
    drive, away = tmp_path / "drive", tmp_path / "away"
    drive.rename(away)
    put(run, checkpoint=160)
    with pytest.warns(UserWarning, match="could not copy the run"):
        mirror.wait(10)
    assert not drive.exists()
    away.rename(drive)
    mirror.wait(10)
    assert contents(mirror.target) == contents(run)


def test_a_drive_that_goes_away_in_the_middle_of_a_copy_leaves_no_half_file(
    run, tmp_path, monkeypatch
):
    mirror = copy_of(run, tmp_path)
    drive, away, sync = tmp_path / "drive", tmp_path / "away", os.fsync
    with monkeypatch.context() as middle:
        middle.setattr(os, "fsync", lambda file: (sync(file), drive.rename(away)))
        with pytest.warns(UserWarning, match="could not copy"):
            mirror.push()
            mirror.wait(10)
    away.rename(drive)
    assert any(path.suffix == ".part" for path in mirror.target.iterdir())
    (run / put(run, checkpoint=80)).unlink()
    put(run, checkpoint=160)
    mirror.wait(10)
    assert contents(mirror.target) == contents(run)


@pytest.mark.skipif(not hasattr(os, "pwrite"), reason="Windows has no pwrite")
def test_a_copy_that_reads_back_otherwise_does_not_take_the_place_of_the_last(
    tmp_path, monkeypatch
):
    path = tmp_path / "file"
    write_whole(path, b"first")
    monkeypatch.setattr(os, "fsync", lambda file: os.pwrite(file, b"X", 2))
    with pytest.raises(OSError, match="file.part does not hold what was written"):
        write_whole(path, b"second")
    assert contents(tmp_path) == {"file": b"first"}


def test_a_file_that_the_drive_lost_is_copied_again(run, tmp_path):
    mirror = copy_of(run, tmp_path)
    mirror.wait(10)
    (mirror.target / "events.out.tfevents.1").write_bytes(b"")
    (mirror.target / "checkpoint-0000000080.pt").unlink()
    mirror.wait(10)
    assert contents(mirror.target) == contents(run)


def test_a_new_machine_fetches_the_run_and_an_old_one_keeps_its_own(run, tmp_path):
    mirror = copy_of(run, tmp_path)
    mirror.wait(10)
    shutil.copytree(run, tmp_path / "kept")
    shutil.rmtree(run)
    copy_of(run, tmp_path).pull()
    assert contents(run) == contents(tmp_path / "kept")

    (run / put(run, checkpoint=80)).unlink()
    put(run, events=b"curves that grew", checkpoint=160)
    later = contents(run)
    copy_of(run, tmp_path).pull()  # the copy is behind
    assert contents(run) == later


def test_a_fetch_that_is_killed_is_repeated(run, tmp_path, monkeypatch):
    mirror = copy_of(run, tmp_path)
    mirror.wait(10)
    shutil.copytree(run, tmp_path / "kept")
    shutil.rmtree(run)

    def killed_after_one(path, content):
        if any(run.iterdir()):
            raise KeyboardInterrupt
        write_whole(path, content)

    with monkeypatch.context() as dying, pytest.raises(KeyboardInterrupt):
        dying.setattr(module, "write_whole", killed_after_one)
        mirror.pull()
    mirror.pull()
    assert contents(run) == contents(tmp_path / "kept")


def test_a_run_that_was_resumed_elsewhere_is_fetched_and_never_overwritten(run, tmp_path):
    mirror = copy_of(run, tmp_path)
    mirror.wait(10)
    further = put(mirror.target, checkpoint=800)
    mirror.wait(10)
    assert further in contents(mirror.target)
    mirror.pull()
    assert contents(run)[further] == contents(mirror.target)[further]


def test_a_place_that_is_not_there_is_named(run, tmp_path):
    missing = re.escape(str(tmp_path / "elsewhere"))
    with pytest.raises(FileNotFoundError, match=f"there is no folder {missing}. Is the drive"):
        Mirror(run, tmp_path / "elsewhere" / "a2c")
    assert not (tmp_path / "elsewhere").exists()


def test_a_place_where_the_run_itself_is_cannot_hold_its_copy(run, tmp_path, monkeypatch):
    before = contents(run)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunError, match="the run to logs: the run itself is there; name another"):
        Mirror(run, "logs")
    assert contents(run) == before


def test_google_drive_is_mounted_in_colab(run, monkeypatch):
    mounted = []
    drive = types.ModuleType("google.colab.drive")
    drive.mount = mounted.append
    colab = types.ModuleType("google.colab")
    colab.drive = drive
    monkeypatch.setitem(sys.modules, "google", types.ModuleType("google"))
    monkeypatch.setitem(sys.modules, "google.colab", colab)
    with pytest.raises(FileNotFoundError, match=r"no folder \Wcontent\Wdrive\WMyDrive"):
        Mirror(run, "/content/drive/MyDrive/a2c")  # this mount brings nothing
    assert mounted == ["/content/drive"]


def test_no_thread_outlives_its_copy(run, tmp_path):
    before = threading.active_count()
    copy_of(run, tmp_path).wait(10)
    assert threading.active_count() == before
