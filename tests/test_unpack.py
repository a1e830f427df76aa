import os
import zipfile

import nbformat
import pytest

from grading import unpack
from grading.__main__ import main
from grading.unpack import unpacked


def pack(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


BOOK = nbformat.writes(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 / 0")]))


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (["x/answer.ipynb", "__MACOSX/x/._answer.ipynb"], "x/answer.ipynb"),
        (["b.ipynb", "x/a2c_assignment.ipynb", ".ipynb_checkpoints/b.ipynb"], "x/a2c"),
        (["old/a2c_assignment.ipynb", "a2c_assignment.ipynb"], "a2c"),
    ],
)
def test_the_notebook_of_an_archive_is_found(names, chosen, tmp_path):
    archive = pack(tmp_path / "hand-in.zip", dict.fromkeys(names, BOOK))
    with unpacked(archive) as path:
        folder = path.parents[chosen.count("/")]
        assert path.relative_to(folder).as_posix().startswith(chosen) and path.is_file()
    assert not folder.exists()


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({}, "holds 0 notebooks"),
        ({"a.ipynb": BOOK, "b.ipynb": BOOK}, "holds 2 notebooks (a.ipynb, b.ipynb), expected one"),
        ({"a.ipynb": BOOK, "../b.py": "1"}, "would write '../b.py' outside its folder"),
        ({"a.ipynb": BOOK, "/b.py": "1"}, "would write '/b.py' outside its folder"),
        ({"a.ipynb": BOOK, "b": "1" * 3000}, "at most 5 of 0 MB are expected"),
        ({"a.ipynb": BOOK} | dict.fromkeys("bcdefg", ""), "holds 7 entries"),
        ({"a.ipynb": "half a noteb"}, "a.ipynb is no notebook"),
        ({"a.ipynb": BOOK, "a.ipynb/b": "1"}, "cannot be unpacked"),
    ],
)
def test_check_refuses_an_archive_in_one_line(files, told, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(unpack, "MOST_BYTES", 2000)
    monkeypatch.setattr(unpack, "MOST_ENTRIES", 5)
    archive = pack(tmp_path / "hand-in.zip", files)
    with pytest.raises(SystemExit) as left:
        main(["check", str(archive)])
    assert left.value.code == 2 and told in capsys.readouterr().err
    assert sorted(os.listdir(tmp_path)) == ["hand-in.zip"]


def test_check_refuses_an_archive_that_is_cut_short(tmp_path, capsys):
    (tmp_path / "hand-in.zip").write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(SystemExit) as left:
        main(["check", str(tmp_path / "hand-in.zip")])
    assert left.value.code == 2 and "cannot be unpacked" in capsys.readouterr().err
