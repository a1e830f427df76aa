import os
import warnings

import pytest
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.summary import scalar

from tests.toys import full_disk
from training.curves import read_curves
from training.event_file import EventFile


class Owner:
    """Stands for the environment whose curves are drawn."""


def draw(file, *steps):
    for step in steps:
        file.add(Event(summary=scalar("score", 10.0 * step), step=step))


def steps_of(folder):
    return read_curves(folder)["score"][0].tolist()


def test_the_first_event_is_written_at_once_and_then_every_few_seconds(tmp_path, monkeypatch):
    now, owner = [100.0], Owner()
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    file = EventFile(tmp_path, owner)
    assert not file.path.exists()
    draw(file, 1)
    assert steps_of(tmp_path) == [1]
    draw(file, 2, 3)
    assert steps_of(tmp_path) == [1]
    now[0] += 10
    draw(file, 4)
    assert steps_of(tmp_path) == [1, 2, 3, 4]


def test_a_file_makes_its_folder_and_names_no_file_twice(tmp_path):
    owner = Owner()
    files = [EventFile(tmp_path / "logs" / "run", owner) for _ in range(2)]
    for step, file in enumerate(files):
        draw(file, step)
    assert files[0].path.name < files[1].path.name  # read in this order
    assert steps_of(tmp_path / "logs" / "run") == [0, 1]


def test_earlier_points_are_dropped_from_the_purge_step(tmp_path):
    owner = Owner()
    draw(EventFile(tmp_path, owner), 1, 2, 3, 4)
    del owner
    owner = Owner()
    draw(EventFile(tmp_path, owner, purge_step=3), 5)
    assert steps_of(tmp_path) == [1, 2, 5]


def test_events_wait_for_space_on_a_full_disk_and_none_is_lost(tmp_path):
    owner = Owner()
    file = EventFile(tmp_path, owner)
    draw(file, 1)
    with full_disk(file.path.stat().st_size + 10):  # amid the next record
        draw(file, *range(2, 8))
        with pytest.warns(UserWarning, match="the curves cannot be written.*wait in memory"):
            file.flush()
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # it was said once
            file.flush()
        assert steps_of(tmp_path) == [1]
    draw(file, 8)
    file.flush()
    assert steps_of(tmp_path) == [1, 2, 3, 4, 5, 6, 7, 8]


def test_a_file_that_was_deleted_is_told_and_not_written_in_part(tmp_path):
    owner = Owner()
    file = EventFile(tmp_path, owner)
    draw(file, 1)
    file.path.unlink()
    draw(file, 2)
    with pytest.warns(UserWarning, match=f"cannot be written: .*{file.path.name}"):
        file.flush()
    assert not file.path.exists()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows does not fork")
def test_a_forked_process_does_not_cut_what_its_parent_wrote(tmp_path):
    owner = Owner()
    file = EventFile(tmp_path, owner)
    draw(file, 1, 2)
    child_reads, parent_writes = os.pipe()
    child = os.fork()
    if child == 0:
        os.read(child_reads, 1)
        del owner  # with point 2 still waiting here
        os._exit(0)
    draw(file, 3)
    file.flush()
    os.write(parent_writes, b" ")
    os.waitpid(child, 0)
    assert steps_of(tmp_path) == [1, 2, 3]
