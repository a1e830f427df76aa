import psutil
import pytest

from benchmarks import contenders, throughput


def test_a_ratio_is_the_median_over_rounds_and_not_the_ratio_of_medians():
    figures = {"kit": [100, 300, 900], "peer": [100, 100, 450], "limit": [200, 400, 1000]}
    table = throughput.compare({"kit": "the kit"}, figures, "limit", ["peer"])
    row = [cell.strip() for cell in table.splitlines()[-1].split("|")]
    assert row == ["", "the kit", "300", "100 to 900", "2.00", "0.75", ""]


def test_every_contender_that_is_named_exists():
    names = {*throughput.STEPPING, *throughput.TRAINING, *throughput.ALONE} - {"limit"}
    assert all(callable(getattr(contenders, name)) for name in names)


@pytest.mark.parametrize(
    "name",
    [
        "emulator",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("kit_training", "network")),
    ],
)
def test_a_contender_answers_in_agent_steps_per_second_and_leaves_nobody_behind(
    name, tmp_path, monkeypatch
):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with open(tmp_path / "log", "w") as log:
        figures, memory = throughput.interleave([name], 2, 1, 0.5, log)
    assert figures[name][0] > 10 and 0.01 < memory[name] < 3
    left = [p.cmdline() for p in psutil.Process().children(recursive=True)]
    assert not any("contenders.py" in word for command in left for word in command)


def test_a_contender_that_fails_says_why(tmp_path):
    with (
        open(tmp_path / "log", "w") as log,
        pytest.raises(RuntimeError, match="KeyError: 'nobody'"),
    ):
        throughput.Contender("nobody", 2, log)
