"""What a grader's process makes of arrays that may be anything."""

import io
import zipfile

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from grading.check import TASKS, judge_task, judge_together, observe_task
from grading.verdicts import LARGEST, _judge, _read, _Told
from tests.checking import make
from tests.checks.expected import read_expected

EXPECTED = read_expected(1)


@pytest.fixture(scope="module")
def seen():
    """What a right answer gives for each task."""
    given = make()
    return {task: observe_task(task, given, 1, EXPECTED) for task in TASKS}


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


@pytest.mark.parametrize(
    "content",
    [b"", b"PK no zip", archive(a=np.array([{}], object)), bomb(), claiming_too_much()],
    ids=["empty", "no zip", "pickle", "bomb", "false claim"],
)
def test_a_file_that_holds_no_plain_arrays_is_a_failed_task(content, tmp_path):
    told = _Told(raised=dict.fromkeys(TASKS, ""), lacks={}, culprit="", ending="")
    (tmp_path / "Policy-1.npz").write_bytes(content)
    assert _read(tmp_path / "Policy-1.npz")[0] == {}
    verdicts = _judge(told, {task: {1: EXPECTED} for task in TASKS}, tmp_path)
    assert {verdict.result for verdict in verdicts.values()} == {"failed"}
    assert "cannot be read" in verdicts["Policy"].message


def test_what_a_right_answer_gives_passes(seen, tmp_path):
    assert [judge_task(task, seen[task], 1, EXPECTED) for task in TASKS] == [None] * 5
    assert judge_together(seen["A2C"], 1, EXPECTED) is None
    told = _Told(raised=dict.fromkeys(TASKS, ""), lacks={}, culprit="", ending="")
    for task in TASKS:
        np.savez(tmp_path / f"{task}-1.npz", **seen[task])
    verdicts = _judge(told, {task: {1: EXPECTED} for task in TASKS}, tmp_path)
    assert {verdict.result for verdict in verdicts.values()} == {"passed"}


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
    task = data.draw(st.sampled_from(TASKS))
    names = data.draw(st.lists(st.sampled_from(sorted(seen[task])), min_size=1, max_size=3))
    changed = dict(seen[task])
    for name in names:
        if data.draw(st.booleans()):
            changed.pop(name, None)
        else:
            changed[name] = data.draw(replacements(seen[task][name]))
    assert isinstance(judge_task(task, changed, 1, EXPECTED), str | None)
    assert isinstance(judge_together(changed, 1, EXPECTED), str | None)


@pytest.mark.parametrize("task", TASKS)
def test_arrays_of_another_draw_fail(task, seen):
    assert judge_task(task, seen[task], 2, read_expected(2))


@pytest.mark.parametrize("claims", [[6], [19, *[1.0] * 9], [6, *[np.nan] * 9], [6, *[0.0] * 9]])
def test_claims_that_no_notebook_makes_fail(claims, seen):
    changed = {**seen["A2C"], "claims": np.array(claims)}
    assert "cannot be read" in judge_task("A2C", changed, 1, EXPECTED)
