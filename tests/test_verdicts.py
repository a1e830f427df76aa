"""What a grader's process makes of arrays that may be anything."""

import io
import os
import warnings
import zipfile

import hypothesis
import nbformat
import numpy as np
import pytest
from hypothesis import strategies as st

from grading.check import OBJECTS, TASKS, judge_task, observe_task
from grading.sandbox import NO_WALL
from grading.verdicts import (
    LARGEST,
    LONGEST,
    _collected,
    _judge,
    _largest,
    _Told,
    check_unpacked,
    on_one_line,
    read_arrays,
)
from grading.watched import LIMITS
from tests.checking import make
from tests.checks.expected import read_expected

EXPECTED = read_expected(1)
DRAWS = {task: {1: EXPECTED} for task in OBJECTS}


@pytest.fixture(scope="module")
def seen():
    """What a right answer gives for each task."""
    given = make()
    return {task: observe_task(task, given, 1, EXPECTED) for task in OBJECTS}


def archive(**arrays):
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def bomb():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as bundle:
        with bundle.open("logits.npy", "w") as one:
            for _ in range(LARGEST // 2**20 + 1):
                one.write(bytes(2**20))
    return file.getvalue()


def claiming_too_much():
    """An array that claims more numbers than its file holds."""
    header = "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }"
    data = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode()
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as bundle:
        bundle.writestr("logits.npy", data)
    return file.getvalue()


def verdicts_on(folder):
    """The verdicts on the files of a folder, where every task was observed."""
    files = {(task, 1): read_arrays(folder / f"{task}-1.npz", _largest(task)) for task in OBJECTS}
    told = _Told(dict.fromkeys(OBJECTS, ""), lacks={}, culprit="", ending="", seen=files)
    return _judge(told, DRAWS)


@pytest.mark.parametrize(
    "content",
    [b"", b"PK no zip", archive(a=np.array([{}], object)), bomb(), claiming_too_much()],
    ids=["empty", "no zip", "pickle", "bomb", "false claim"],
)
def test_a_file_that_holds_no_plain_arrays_is_a_failed_task(content, tmp_path):
    (tmp_path / "Policy-1.npz").write_bytes(content)
    verdicts = verdicts_on(tmp_path)
    assert {verdict.result for verdict in verdicts.values()} == {"failed"}
    assert "cannot be read" in verdicts["Policy"].message


@pytest.mark.parametrize("put", [os.mkdir, os.mkfifo, lambda path: os.symlink("/dev/zero", path)])
def test_what_is_no_file_is_not_opened(put, tmp_path):
    put(tmp_path / "Policy-1.npz")
    assert "left no arrays to judge" in verdicts_on(tmp_path)["Policy"].message


def test_a_file_larger_than_a_task_gives_is_not_opened(tmp_path):
    with open(tmp_path / "Policy-1.npz", "wb") as file:
        file.truncate(2**40)  # holds nothing, and takes no room
    assert "more than 1,048,576 bytes" in verdicts_on(tmp_path)["Policy"].message


def test_no_message_makes_a_task_pass(tmp_path):
    forged = {"task": "Policy", "raised": "", "result": "passed"}
    told = _collected([forged, {"lacks": {"A2C": "x\nA2C: passed"}}, {"ending": ""}])
    told = told._replace(seen={("Policy", 1): read_arrays(tmp_path / "Policy-1.npz", LARGEST)})
    verdicts = _judge(told, DRAWS)
    assert verdicts["Policy"].result == "failed"
    assert verdicts["A2C"] == ("not reached", "x A2C: passed")


def test_what_ended_a_check_is_told_beside_the_verdicts(tmp_path, monkeypatch):
    """Where the system killed it, memory was short there, and nothing is wrong with the task."""
    ended = "the check of Policy ended the process (signal SIGKILL)"
    runs = [[{"begins": "check Policy"}, {"ending": ended + "\x1b"}], [{"ending": ""}]]
    monkeypatch.setattr("grading.verdicts.watch", lambda *given: runs.pop(0))
    nbformat.write(nbformat.v4.new_notebook(), tmp_path / "a.ipynb")
    given = tmp_path / "a.ipynb", LIMITS, NO_WALL, None, {1: EXPECTED, 2: EXPECTED}
    told, how = check_unpacked(*given)
    assert (told["Policy"], how, runs) == (("failed", ended), ended, [])
    runs.append([{"ending": ""}])
    assert check_unpacked(*given)[1] == ""


def test_a_message_starts_no_line_and_steers_no_terminal():
    assert on_one_line("x\nPolicy: passed\r\x1b[2J \ud800 √") == "x Policy: passed [2J √"
    assert len(on_one_line("x" * 10**6)) == LONGEST


def test_what_a_right_answer_gives_passes(seen, tmp_path):
    assert [judge_task(task, seen[task], 1, EXPECTED) for task in OBJECTS] == [None] * 6
    for task in OBJECTS:
        np.savez(tmp_path / f"{task}-1.npz", **seen[task])
    verdicts = verdicts_on(tmp_path)
    assert {verdict.result for verdict in verdicts.values()} == {"passed"}


def test_tasks_that_were_not_seen_together_do_not_all_pass(seen, tmp_path):
    for task in TASKS:
        np.savez(tmp_path / f"{task}-1.npz", **seen[task])
    verdicts = verdicts_on(tmp_path)
    assert [task for task in TASKS if verdicts[task].result != "passed"] == ["A2C"]
    assert verdicts["A2C"].message == "A2C: its check left no arrays to judge."


def replacements(array):
    """Strategies of what may stand in an array's place."""
    numeric = array.dtype.kind in "fiub"
    wrong = [np.array([]), np.zeros((3, 5, 2)), np.array("text"), np.array(np.nan)]
    wrong += [np.full_like(array, -7)] if numeric else [np.array(["a", "b"])]
    if numeric and array.size:
        wrong += [array.astype(float) * np.nan, array.astype(float) + 1e30, array[None]]
    return st.sampled_from(wrong)


@hypothesis.settings(deadline=None, max_examples=60, derandomize=True)
@hypothesis.given(data=st.data())
def test_no_array_makes_the_judge_raise(data, seen):
    task = data.draw(st.sampled_from([*OBJECTS]))
    names = data.draw(st.lists(st.sampled_from(sorted(seen[task])), min_size=1, max_size=3))
    changed = dict(seen[task])
    for name in names:
        if data.draw(st.booleans()):
            changed.pop(name, None)
        else:
            changed[name] = data.draw(replacements(seen[task][name]))
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        assert isinstance(judge_task(task, changed, 1, EXPECTED), str | None)
    assert not [one for one in warned if one.category is not ResourceWarning]  # of other tests


@pytest.mark.parametrize("task", OBJECTS)
def test_arrays_of_another_draw_fail(task, seen):
    assert judge_task(task, seen[task], 2, read_expected(2))


@pytest.mark.parametrize("claims", [[6], [19, *[1.0] * 9], [6, *[np.nan] * 9], [6, *[0.0] * 9]])
def test_claims_that_no_notebook_makes_fail(claims, seen):
    changed = {**seen["A2C"], "claims": np.array(claims)}
    assert "cannot be read" in judge_task("A2C", changed, 1, EXPECTED)
