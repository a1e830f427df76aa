import json
import re
import subprocess
import sys

import pytest

from release import matrix

RESULT = {
    "date": "2026-01-02",
    "commit": "abc",
    "python": "3.11.7",
    "versions": {"torch": "2.13.0"},
    "steps": {"install": "passed", "doctor": "passed", "notebook": "passed", "tests": "9 passed"},
}


def test_the_lowest_versions_are_the_lower_bounds_of_every_requirement():
    text = (matrix.ROOT / "requirements.txt").read_text(encoding="utf-8")
    names = re.findall(r"(?m)^([\w-]+)[\[>]", text)
    pins = dict(pin.split("==") for pin in matrix.lowest())
    assert list(pins) == names and pins["torch"] == "2.5" and pins["gymnasium"] == "1.1"


def test_colabs_list_lacks_what_colab_lacks():
    text = (matrix.ROOT / "release" / "colab.txt").read_text(encoding="utf-8")
    assert not re.search("tensorboardX|shimmy|nbval|pyvirtualdisplay", text)
    assert {"torch==2.11.0", "numpy==2.1.3"} <= set(matrix._pins(matrix.COLAB))


def test_a_result_is_a_row_and_a_failure_is_seen():
    failed = {**RESULT, "steps": {"install": "passed", "doctor": "failed: no ROM"}}
    told = matrix.render({"Python 3.11": RESULT, "lowest versions": failed})
    assert "torch 2.13.0" in told and "doctor: failed: no ROM" in told and "tests: 9 passed" in told
    assert matrix.render({}) == "None has been recorded yet."
    assert matrix._passed(RESULT) and not matrix._passed(failed)
    assert not matrix._passed({**RESULT, "steps": {"tests": "1 failed, 8 passed, 2 warnings"}})


def test_a_step_that_fails_ends_its_environment_with_its_last_line(tmp_path, monkeypatch):
    monkeypatch.setattr(matrix, "build", lambda out: (None, tmp_path / "a2c.zip"))
    monkeypatch.setattr(matrix, "_python", lambda version: sys.executable)
    monkeypatch.setattr(matrix, "_install", lambda *words: "passed")
    command = [sys.executable, "-c", "print('a'); print('no ROM'); raise SystemExit(1)"]
    monkeypatch.setattr(matrix, "_doctor", lambda *words: matrix._output(command))
    result = matrix._try("Python 3.11", tmp_path)
    assert result["steps"] == {"install": "passed", "doctor": "failed: no ROM"}
    assert result["python"] == ""


def test_a_python_that_is_not_there_is_not_tried(tmp_path, monkeypatch):
    monkeypatch.setitem(matrix.ENVIRONMENTS, "Python 3.11", "2.99")
    assert matrix._try("Python 3.11", tmp_path)["steps"] == {"not tried": "no Python 2.99 here"}


def test_an_unknown_environment_is_named(capsys):
    with pytest.raises(SystemExit):
        matrix.main(["Python 4"])
    assert "Python 4 is no environment: expected Python 3.10, " in capsys.readouterr().err


def test_the_stand_in_for_colab_is_there_when_a_kernel_starts(tmp_path):
    book = tmp_path / "a.ipynb"
    book.write_text(json.dumps({"cells": []}))
    (tmp_path / "kit.zip").write_bytes(b"zip")
    matrix._write_stand_in(tmp_path / "stand-in", tmp_path / "kit.zip", book)
    code = "import sys; assert 'google.colab' in sys.modules; import google.protobuf\n"
    code += "from google.colab import _message, files; print(list(files.upload()))\n"
    code += "print(_message.blocking_request('get_ipynb'))"
    environment = {"PYTHONPATH": str(tmp_path / "stand-in")}
    told = matrix._output([sys.executable, "-c", code], tmp_path, environment)
    assert told == "['a2c.zip']\n{'ipynb': {'cells': []}}"
    assert (tmp_path / "a2c.zip").read_bytes() == b"zip"


def test_a_program_that_fails_raises_with_what_it_printed():
    with pytest.raises(subprocess.CalledProcessError) as raised:
        matrix._output([sys.executable, "-c", "print(1); raise SystemExit(3)"])
    assert raised.value.stdout == "1\n"
