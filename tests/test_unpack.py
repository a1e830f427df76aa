import errno
import os
import stat
import struct
import time
import zipfile

import nbformat
import pytest

from grading import unpack
from grading.__main__ import main
from grading.marking import evidence
from grading.marking.evidence import Course, gather
from grading.marking.grade import _has_problem
from grading.marking.shelf import read_evidence
from grading.sandbox import NO_WALL
from grading.unpack import unpacked

BOOK = nbformat.writes(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 / 0")]))


def pack(path, files):
    """Writes a .zip of (name or ZipInfo, content)."""
    pairs = files.items() if isinstance(files, dict) else files
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in pairs:
            archive.writestr(name, content)
    return path


def entry(name, mode=stat.S_IFREG, flags=0):
    info = zipfile.ZipInfo(name)
    info.external_attr, info.flag_bits = mode << 16, flags
    return info


def renamed(path, name, encoding):
    """Packs a notebook under a name as a program writes it that knows no UTF-8."""
    raw = name.encode(encoding)
    pack(path, {"x" * len(raw): BOOK})
    path.write_bytes(path.read_bytes().replace(b"x" * len(raw), raw))
    return path


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (["x/answer.ipynb", "__MACOSX/x/._answer.ipynb"], "x/answer.ipynb"),
        (["b.ipynb", "x/a2c_assignment.ipynb", ".ipynb_checkpoints/b.ipynb"], "x/a2c"),
        (["old/a2c_assignment.ipynb", "a2c_assignment.ipynb"], "a2c"),
        (["Ada's hand-in\\a2c_assignment.ipynb", "Ada's hand-in\\runners.py"], "Ada's hand-in/a2c"),
        (["Ада Иванова (1)/Решение.ipynb"], "Ада Иванова (1)/Решение.ipynb"),
    ],
)
def test_the_notebook_of_an_archive_is_found(names, chosen, tmp_path):
    archive = pack(tmp_path / "hand-in.zip", dict.fromkeys(names, BOOK))
    with unpacked(archive) as path:
        folder = path.parents[chosen.count("/")]
        assert path.relative_to(folder).as_posix().startswith(chosen) and path.is_file()
    assert not folder.exists()


@pytest.mark.parametrize("encoding", ["cp866", "cp1251", "utf-8"])
@pytest.mark.parametrize("name", ["Решение Ады.ipynb", "ЯГОДЫ ёжика.ipynb"])
def test_a_russian_name_is_read_whatever_wrote_it(name, encoding, tmp_path):
    with unpacked(renamed(tmp_path / "a.zip", name, encoding)) as path:
        assert path.name == name


REFUSED = {
    "nothing": ({}, "holds 0 notebooks"),
    "two": ({"a.ipynb": BOOK, "b.ipynb": BOOK}, "holds 2 notebooks ('a.ipynb', 'b.ipynb'), exp"),
    "up": ({"a.ipynb": BOOK, "../b.py": "1"}, "would write '../b.py' outside its folder"),
    "up on Windows": ({"a.ipynb": BOOK, "c\\..\\..\\b": "1"}, "outside its folder"),
    "absolute": ({"a.ipynb": BOOK, "/b.py": "1"}, "would write '/b.py' outside its folder"),
    "drive": ({"a.ipynb": BOOK, "C:\\b.py": "1"}, "outside its folder"),
    "share": ({"a.ipynb": BOOK, "\\\\host\\b.py": "1"}, "outside its folder"),
    "new line": ({"a.ipynb": BOOK, "b\nPolicy: passed": "1"}, "would write 'b\\nPolicy: passed'"),
    "large": ({"a.ipynb": BOOK, "b": "1" * 3000}, "at most 5 of 0 MB are expected"),
    "many": ({"a.ipynb": BOOK} | dict.fromkeys("bcdefg", ""), "holds 7 entries"),
    "half a notebook": ({"a.ipynb": "half a noteb"}, "a.ipynb is no notebook"),
    "a file as folder": ({"a.ipynb": BOOK, "a.ipynb/b": "1"}, "cannot be unpacked"),
    "twice": ([("a.ipynb", BOOK), ("a.ipynb", "1")], "holds 'a.ipynb' twice"),
    "twice to some": ({"é.py": "1", "e\u0301.PY": "2", "a.ipynb": BOOK}, "twice"),
    "link": ([("a.ipynb", BOOK), (entry("b", stat.S_IFLNK), "/etc/passwd")], "no plain file"),
    "link as notebook": ([(entry("a.ipynb", stat.S_IFLNK), "/etc/passwd")], "no plain file"),
    "device": ([("a.ipynb", BOOK), (entry("b", stat.S_IFCHR), "")], "no plain file"),
    "pipe": ([("a.ipynb", BOOK), (entry("b", stat.S_IFIFO), "")], "'b', which is no plain file"),
    "long name": ({"a.ipynb": BOOK, "b" * 300: "1"}, "cannot be unpacked"),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(("files", "told"), REFUSED.values(), ids=REFUSED)
def test_check_refuses_an_archive_in_one_line(files, told, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(unpack, "MOST_BYTES", 2000)
    monkeypatch.setattr(unpack, "MOST_ENTRIES", 5)
    is_refused(pack(tmp_path / "hand-in.zip", files), told, capsys)


def is_refused(archive, told, capsys):
    """Checks that an archive gets one line, and that nothing is written beside it."""
    beside = sorted(os.listdir(archive.parent))
    with pytest.raises(SystemExit) as left:
        main(["check", str(archive)])
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert left.value.code == 2 and told in said
    assert sorted(os.listdir(archive.parent)) == beside


def rewritten(path, change):
    data = bytearray(path.read_bytes())
    change(data, data.rindex(b"PK\x01\x02"))  # where the last entry of the directory begins
    path.write_bytes(data)
    return path


def claim(offset, form, value):
    return lambda data, at: struct.pack_into(form, data, at + offset, value)


BROKEN = {
    "cut short": (lambda data, at: data.__delitem__(slice(len(data) // 2, None)), "cannot be unp"),
    "a few bytes": (
        lambda data, at: data.__setitem__(slice(4, None), b"few"),
        "cannot be unpacked",
    ),
    "encrypted": (claim(8, "<H", 1), "is encrypted: pack it again without a password"),
    "a smaller size": (claim(24, "<I", 3), "cannot be unpacked"),
    "a larger size": (claim(24, "<I", 400_000_000), "holds only a part of 'a.ipynb'"),
    "another checksum": (claim(16, "<I", 7), "cannot be unpacked"),
    "an unknown way to pack": (claim(10, "<H", 77), "cannot be unpacked"),
    "a place beyond the end": (claim(42, "<I", 2**31), "cannot be unpacked"),
}


@pytest.mark.parametrize(("change", "told"), BROKEN.values(), ids=BROKEN)
def test_check_refuses_an_archive_that_lies(change, told, tmp_path, capsys):
    archive = pack(tmp_path / "hand-in.zip", {"b.py": "x = 1\n" * 9, "a.ipynb": BOOK})
    is_refused(rewritten(archive, change), told, capsys)


def test_zeros_that_fill_a_disk_and_a_hundred_thousand_entries_are_refused_in_no_time(
    tmp_path, capsys
):
    with zipfile.ZipFile(tmp_path / "zeros.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.ipynb", BOOK)
        with archive.open("zeros", "w", force_zip64=True) as file:
            for _ in range(600):
                file.write(bytes(2**20))
    pack(tmp_path / "many.zip", [(f"{k}.py", "") for k in range(100_000)])
    began = time.monotonic()
    is_refused(tmp_path / "zeros.zip", "holds 2 entries of 629 MB", capsys)
    is_refused(tmp_path / "many.zip", "holds 100,000 entries of 0 MB", capsys)
    assert time.monotonic() - began < 20


def test_archives_in_an_archive_stay_packed(tmp_path):
    pack(tmp_path / "inner.zip", {"b.ipynb": BOOK})
    inner = (tmp_path / "inner.zip").read_bytes()
    archive = pack(tmp_path / "outer.zip", {"inner.zip": inner, "a.ipynb": BOOK})
    with unpacked(archive) as path:
        assert sorted(os.listdir(path.parent)) == ["a.ipynb", "inner.zip"]


def test_entries_that_share_their_bytes_count_each(tmp_path, monkeypatch, capsys):
    """As a bomb without recursion does: every entry of the directory points at the same data."""
    archive = pack(tmp_path / "a.zip", {"a.ipynb": BOOK, "b": "0" * 1000})
    data = archive.read_bytes()
    at = data.rindex(b"PK\x01\x02")
    end = data.rindex(b"PK\x05\x06")
    copies = b"".join(data[at:end].replace(b"b", b"%d" % k, 1) for k in range(8))
    tail = bytearray(data[end:])
    struct.pack_into("<HHI", tail, 8, 10, 10, end - data.index(b"PK\x01\x02") + len(copies))
    archive.write_bytes(data[:end] + copies + tail)
    monkeypatch.setattr(unpack, "MOST_BYTES", 5000)
    is_refused(archive, "holds 10 entries of 0 MB, at most", capsys)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_no_mistake_of_the_students(number, tmp_path, monkeypatch):
    def copy(packed, file):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(unpack.shutil, "copyfileobj", copy)
    archive = pack(tmp_path / "a.zip", {"a.ipynb": BOOK})
    with pytest.raises(OSError, match=os.strerror(number)), unpacked(archive):
        pass
    monkeypatch.setattr(evidence, "grader_version", lambda: "0123456789ab")
    gather(archive, tmp_path / "evidence", Course(NO_WALL))
    told = read_evidence(tmp_path / "evidence")
    assert told["problem"].startswith("this program failed at it, no mistake of the student's")
    assert _has_problem(told)


def test_another_mistake_of_the_system_is_told_as_before(tmp_path, monkeypatch, capsys):
    def copy(packed, file):
        raise OSError(errno.ENAMETOOLONG, "File name too long")

    monkeypatch.setattr(unpack.shutil, "copyfileobj", copy)
    is_refused(pack(tmp_path / "a.zip", {"a.ipynb": BOOK}), "cannot be unpacked", capsys)
