"""Exports as Moodle's downloader.php, Canvas' content_zipper.rb and Gradescope write them."""

import errno
import io
import os
import zipfile

import pytest

from grading.marking import exports
from grading.marking.exports import Delivered, find_delivered, who

BOOK = b'{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}'
METADATA = """
submission_1001:
  :submitters:
  - :name: Ada Lovelace
    :sid: '900001'
    :email: ada@example.org
  :created_at: 2026-11-20 18:03:00.000000000 Z
  :score: 0.0
  :status: processed
submission_1002:
  :submitters:
  - :name: Пётр Ёлкин
    :sid: '900002'
    :email: petr@example.org
  - :name: Grace Hopper
    :sid:
    :email: grace@example.org
  :created_at: 2026-11-20 18:05:00.000000000 Z
"""


def packed(files):
    """Returns the bytes of a .zip."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return held.getvalue()


HAND_IN = packed({"a2c_assignment.ipynb": BOOK, "weights.pt": b"w"})


def lay(folder, files):
    """Writes files below a folder, as unpacking an export does."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def told(found):
    """Returns what was delivered without the paths, in order."""
    return [(one.place, one.owner, one.name, one.late) for one in found.values()]


def names_in(path):
    with zipfile.ZipFile(path) as archive:
        return sorted(archive.namelist())


def read(tmp_path, files, mapping=None):
    """Lays out an export, and returns its hand-ins and lines."""
    return find_delivered([lay(tmp_path / "export", files)], tmp_path / "out", mapping)


MOODLE = {
    "Ada Lovelace_12_assignsubmission_file/hand-in.zip": HAND_IN,
    "Пётр Ёлкин_7_assignsubmission_file_/lab/hand-in.zip": HAND_IN + b"",
    "Пётр Ёлкин_7_assignsubmission_onlinetext_/onlinetext.html": b"<p>see the file</p>",
    "Team Rocket_31_assignsubmission_file/hand-in.zip": HAND_IN,
    "Default group_assignsubmission_file/hand-in.zip": HAND_IN,
    "Bo Li_9_assignsubmission_onlinetext/onlinetext.html": b"<p>nothing</p>",
}
OF_MOODLE = [
    ("Ada Lovelace_12_assignsubmission_file/hand-in.zip", "12", "Ada Lovelace", False),
    ("Default group_assignsubmission_file/hand-in.zip", "", "Default group", False),
    ("Team Rocket_31_assignsubmission_file/hand-in.zip", "31", "Team Rocket", False),
    ("Пётр Ёлкин_7_assignsubmission_file_/lab/hand-in.zip", "7", "Пётр Ёлкин", False),
]


def test_moodle_folders_tell_whose_each_hand_in_is(tmp_path):
    found, lines = read(tmp_path, MOODLE)
    assert (told(found), lines) == (OF_MOODLE, [])
    assert {one.system for one in found.values()} == {"Moodle"}
    assert all(path.is_file() and path == one.path for path, one in found.items())


def test_moodle_export_is_read_from_its_zip_and_unpacked_once(tmp_path):
    export = tmp_path / "RL-A2C-4711.zip"
    export.write_bytes(packed(MOODLE))
    found, _lines = find_delivered([export], tmp_path / "out")
    assert told(found) == OF_MOODLE
    first = next(iter(found))
    assert (tmp_path / "out" / "exports") in first.parents
    when = first.stat().st_ctime_ns
    assert next(iter(find_delivered([export], tmp_path / "out")[0])).stat().st_ctime_ns == when
    export.write_bytes(packed({"Ada Lovelace_12_assignsubmission_file/b.zip": HAND_IN}))
    os.utime(export, (1, 1))
    again, _lines = find_delivered([export], tmp_path / "out")
    assert told(again) == [
        ("Ada Lovelace_12_assignsubmission_file/b.zip", "12", "Ada Lovelace", False)
    ]
    assert not first.exists()


def test_a_wrapped_or_flat_or_blind_moodle_export_is_read(tmp_path):
    found, lines = read(
        tmp_path,
        {
            "RL-A2C-4711/Ada Lovelace_12_assignsubmission_file_hand-in_2.zip": HAND_IN,
            "RL-A2C-4711/Ada Lovelace_12_assignsubmission_onlinetext_onlinetext.html": b"x",
            "RL-A2C-4711/Participant_44_assignsubmission_file_hand-in.zip": HAND_IN,
            "__MACOSX/RL-A2C-4711/._Ada Lovelace_12_assignsubmission_file_hand-in_2.zip": b"x",
        },
    )
    assert told(found) == [
        ("Ada Lovelace_12_assignsubmission_file_hand-in_2.zip", "12", "Ada Lovelace", False),
        ("Participant_44_assignsubmission_file_hand-in.zip", "44", "Participant", False),
    ]
    assert lines == []


def test_a_student_cannot_take_another_number_by_the_name_of_a_file(tmp_path):
    found, _lines = read(
        tmp_path,
        {
            "Eve_5_assignsubmission_file/Ada_12_assignsubmission_file/hand-in.zip": HAND_IN,
            "Mallory_6_assignsubmission_file_Ada_12_assignsubmission_file_x.zip": HAND_IN,
        },
    )
    assert [(one.owner, one.name) for one in found.values()] == [("5", "Eve"), ("6", "Mallory")]


@pytest.mark.parametrize(
    "files",
    [
        {"lab/Ada_12_assignsubmission_file/hand-in.zip": HAND_IN},
        {"submission_metadata.yml": METADATA.encode(), "submission_1001/a2c.ipynb": BOOK},
        {"ada_12_5_a.zip": HAND_IN, "bo_13_6_b.zip": HAND_IN},
    ],
)
def test_a_students_zip_is_no_export_whatever_lies_in_it(files, tmp_path):
    hand_in = tmp_path / "eve.zip"
    hand_in.write_bytes(packed({"a2c_assignment.ipynb": BOOK, **files}))
    found, lines = find_delivered([hand_in], tmp_path / "out")
    assert ([*found.values()], lines) == ([Delivered(hand_in)], [])


def test_an_export_is_read_from_a_zip_with_unpacked_hand_ins(tmp_path):
    exports = [
        {"x/Ada_12_assignsubmission_file/lab/a.ipynb": BOOK},
        {"ada_12_5_a.ipynb": BOOK},
        {"x/submission_metadata.yml": METADATA.encode(), "x/submission_1001/a/b.ipynb": BOOK},
    ]
    for k, files in enumerate(exports):
        export = tmp_path / f"{k}.zip"
        export.write_bytes(packed(files))
        (one,) = find_delivered([export], tmp_path / "out")[0].values()
        assert one.owner in ("12", "900001")


def test_an_export_for_which_there_is_no_room_is_told_of_with_what_to_do(tmp_path, monkeypatch):
    def unzip(path, folder, most):
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "a.zip").write_bytes(packed({"ada_12_5_a.ipynb": BOOK}))
    monkeypatch.setattr(exports, "unzip", unzip)
    with pytest.raises(ValueError, match=r"a.zip cannot .* No space .*: make room there"):
        find_delivered([tmp_path / "a.zip"], tmp_path / "out")


def test_a_student_cannot_hand_in_a_table_of_gradescope(tmp_path):
    forged = METADATA.replace("Ada Lovelace", "Eve").encode()
    exports = [
        ("Ada_12_assignsubmission_file", {}),
        ("submission_1001", {"submission_metadata.yml": METADATA.encode()}),
    ]
    for k, (own, files) in enumerate(exports):
        files |= {f"{own}/submission_metadata.yml": forged, f"{own}/hand-in.zip": HAND_IN}
        (one,) = read(tmp_path / str(k), files)[0].values()
        assert one.name in ("Ada", "Ada Lovelace")


def test_canvas_files_tell_whose_each_hand_in_is_and_which_is_late(tmp_path):
    found, lines = read(
        tmp_path,
        {
            "lovelaceada_1234_998_hand-in.zip": HAND_IN,
            "hoppergrace_LATE_77_999_3_4_work.zip": HAND_IN,
            "ёлкинпётр_5_6_hand-in-2.zip": HAND_IN,
            "libo_88_text.html": b"<p>a text</p>",
            "2026-11-27T1000_Grades-RL.csv": b"Student,ID\n",
        },
    )
    assert told(found) == [
        ("hoppergrace_LATE_77_999_3_4_work.zip", "77", "hoppergrace", True),
        ("lovelaceada_1234_998_hand-in.zip", "1234", "lovelaceada", False),
        ("ёлкинпётр_5_6_hand-in-2.zip", "5", "ёлкинпётр", False),
    ]
    assert {one.system for one in found.values()} == {"Canvas"} and lines == []


def test_an_anonymous_canvas_export_is_read(tmp_path):
    found, _lines = read(
        tmp_path,
        {"anon_Ab3x9_41_hand-in.zip": HAND_IN, "LATE_anon_Zz1_42_hand-in.zip": HAND_IN},
    )
    assert [(one.owner, one.name, one.late) for one in found.values()] == [
        ("Zz1", "", True),
        ("Ab3x9", "", False),
    ]


def test_a_canvas_export_is_read_whatever_letters_a_name_has(tmp_path):
    names = ["प्रियाशर्मा", "น้ำฝน", "lovelaceada"]
    files = {f"{name}_{k}_2_a.zip": HAND_IN for k, name in enumerate(names)}
    files |= {"สมชายใจดี_LATE_7_8_b.zip": HAND_IN, "प्रियाशर्मा_9_text.html": b"<p>a text</p>"}
    found, _lines = read(tmp_path, files)
    assert {(one.owner, one.name, one.late) for one in found.values()} == {
        *((str(k), name, False) for k, name in enumerate(names)),
        ("7", "สมชายใจดี", True),
    }


def test_a_canvas_export_is_read_whatever_else_lies_there(tmp_path):
    files = {
        "lovelaceada_1234_998_hand-in.zip": HAND_IN,
        "hoppergrace_77_999_work.zip": HAND_IN,
        "bo.zip": HAND_IN,
        "Thumbs.db": b"",
        "notes/read me.txt": b"",
    }
    for found, lines in as_folder_and_as_zip(tmp_path, files):
        assert {*found} == {
            ("lovelaceada_1234_998_hand-in.zip", "1234", "Canvas"),
            ("hoppergrace_77_999_work.zip", "77", "Canvas"),
            ("bo.zip", "", ""),
        }
        assert lines == []


def test_a_name_that_macos_took_apart_is_read(tmp_path):
    files = {"и\u0306ода_5_6_a.zip": HAND_IN, "lovelaceada_1234_998_b.zip": HAND_IN}
    assert [one.name for one in read(tmp_path, files)[0].values()] == ["lovelaceada", "йода"]


def test_what_a_student_handed_in_file_by_file_becomes_one_archive(tmp_path):
    files = {
        "lovelaceada_1234_1_a2c_assignment-2.ipynb": BOOK,
        "lovelaceada_1234_2_weights-1.pt": b"w",
        "lovelaceada_1234_3_videos.zip": packed({"videos/True/a.mp4": b"v"}),
        "lovelaceada_1234_4_logs.zip": packed({"first-run/events": b"e"}),
        "lovelaceada_1234_5_img.zip": b"no archive",
        "hoppergrace_77_6_hand-in.zip": HAND_IN,
    }
    found, lines = read(tmp_path, files)
    grace, ada = found.values()
    assert (ada.place, ada.owner) == ("lovelaceada_1234_1_a2c_assignment-2.ipynb", "1234")
    assert names_in(ada.path) == [
        "a2c_assignment-2.ipynb",
        "logs/first-run/events",
        "videos/True/a.mp4",
        "weights.pt",
    ]
    assert grace.place == "hoppergrace_77_6_hand-in.zip" and lines == []
    held = ada.path.read_bytes()
    ada.path.unlink()
    assert (
        next(path for path in read(tmp_path, files={})[0] if path == ada.path).read_bytes() == held
    )


@pytest.mark.parametrize("first, second", [("run", "run/x"), ("run/x", "run"), ("", "x")])
def test_files_of_which_one_is_called_as_a_folder_stop_nobody(first, second, tmp_path):
    logs = packed({first: b"e"}) if first else b"no archive"
    files = {
        "adaada_1_2_a2c_assignment.ipynb": BOOK,
        "adaada_1_3_logs-1.zip": logs,
        "adaada_1_4_logs-2.zip": packed({second: b"e", "other": b"e"}),
        "adaada_1_5_logs": b"a file",
        "bobo_2_6_hand-in.zip": HAND_IN,
    }
    (ada, _bo), _lines = read(tmp_path, files)
    held = ["a2c_assignment.ipynb", f"logs/{first or 'x'}", "logs/other"]
    assert names_in(ada) == sorted(held)


def test_one_archive_with_a_notebook_is_the_hand_in_whatever_lies_beside_it(tmp_path):
    found, lines = read(
        tmp_path,
        {
            "Ada_12_assignsubmission_file/hand-in.zip": HAND_IN,
            "Ada_12_assignsubmission_file/more.zip": packed({"videos/a.mp4": b"v"}),
            "Ada_12_assignsubmission_file/report.pdf": b"%PDF",
            "Bo_13_assignsubmission_file/hand-in.zip": HAND_IN,
            "Bo_13_assignsubmission_file/a2c_assignment.ipynb": BOOK,
            "Cy_14_assignsubmission_file/work.rar": b"Rar!",
        },
    )
    assert [one.path.name for one in found.values()] == ["hand-in.zip", "hand-in.zip", "work.rar"]
    assert lines == [
        "Bo (13): hand-in.zip is graded, and not what lies beside it: a2c_assignment.ipynb"
    ]


def test_what_cannot_be_told_is_named_and_not_guessed(tmp_path):
    found, lines = read(
        tmp_path,
        {
            "Ada_12_assignsubmission_file/old.zip": HAND_IN,
            "Ada_12_assignsubmission_file/new.zip": packed({"x/b.ipynb": BOOK}),
            "Bo_13_assignsubmission_file/report.pdf": b"%PDF",
        },
    )
    assert [(one.owner, one.path.name) for one in found.values()] == [
        ("12", "new.zip"),
        ("12", "old.zip"),
    ]
    assert lines == [
        "Ada (12) handed in several archives that may be the hand-in: new.zip, old.zip. Each is "
        "graded: overrule one in grades.csv, or take the others out of the export.",
        "Bo (13) handed in no archive and no notebook, but: report.pdf",
    ]


def test_gradescope_folders_are_unpacked_hand_ins_of_one_or_several(tmp_path):
    found, lines = read(
        tmp_path,
        {
            "assignment_8_export/submission_metadata.yml": METADATA.encode(),
            "assignment_8_export/submission_1001/a2c_assignment.ipynb": BOOK,
            "assignment_8_export/submission_1001/weights.pt": b"w",
            "assignment_8_export/submission_1001/videos/True/a.mp4": b"v",
            "assignment_8_export/submission_1002/hand-in.zip": HAND_IN,
        },
    )
    assert told(found) == [
        ("submission_1001", "900001", "Ada Lovelace", False),
        (
            "submission_1002/hand-in.zip",
            "900002, grace@example.org",
            "Пётр Ёлкин, Grace Hopper",
            False,
        ),
    ]
    ada, _both = found
    assert names_in(ada) == ["a2c_assignment.ipynb", "videos/True/a.mp4", "weights.pt"]
    assert lines == []


def test_two_who_are_not_told_stay_two(tmp_path):
    nobody = ":submitters: []\n"
    yml = f"submission_1:\n  {nobody}submission_2:\n  {nobody}".encode()
    files = {
        "submission_metadata.yml": yml,
        "submission_1/a2c_assignment.ipynb": BOOK,
        "submission_1/weights.pt": b"1",
        "submission_2/a2c_assignment.ipynb": BOOK,
    }
    found, _lines = read(tmp_path, files)
    assert [one.place for one in found.values()] == ["submission_1", "submission_2"]
    assert [names_in(path) for path in found] == [
        ["a2c_assignment.ipynb", "weights.pt"],
        ["a2c_assignment.ipynb"],
    ]


def test_two_rows_of_a_mapping_without_name_and_id_stay_two(tmp_path):
    table = tmp_path / "table.csv"
    table.write_text("file,name,id\na.ipynb,,\nb.ipynb,,\n", encoding="utf-8")
    found, _lines = read(tmp_path, {"mail/a.ipynb": BOOK, "mail/b.ipynb": BOOK}, table)
    assert [one.place for one in found.values()] == ["mail/a.ipynb", "mail/b.ipynb"]


@pytest.mark.parametrize(
    "person, owner, name",
    [
        ("{':name': null, ':sid': 12}", "12", ""),
        ("{':name': , ':sid': ~, ':email': a@x.org}", "a@x.org", ""),
        ("{':name': 'Null', ':sid': 0123}", "0123", "Null"),
        ("{':name': No, ':sid': 1_000}", "1_000", "No"),
        ("{':name': 2026-11-20, ':sid': 1.50}", "1.50", "2026-11-20"),
        ("!ruby/hash:ActiveSupport::HashWithIndifferentAccess {name: Ada, sid: 7}", "7", "Ada"),
        ("!ruby/object:Person {':name': !binary QWRh, ':sid': !ruby/sym x}", "x", "QWRh"),
    ],
)
def test_each_value_of_gradescopes_table_is_read_as_it_stands(person, owner, name, tmp_path):
    yml = f"submission_1: !ruby/hash:Some::Hash\n  :submitters:\n  - {person}\n".encode()
    files = {"submission_metadata.yml": yml, "submission_1/a.zip": HAND_IN}
    assert told(read(tmp_path, files)[0]) == [("submission_1/a.zip", owner, name, False)]


def test_of_two_submitters_the_one_without_a_name_leaves_no_gap(tmp_path):
    people = "{':name': Ada, ':sid': 1}, {':name': , ':sid': }, {':name': Bo, ':sid': 3}"
    yml = f"submission_1:\n  submitters: !ruby/array:People [{people}]\n".encode()
    files = {"submission_metadata.yml": yml, "submission_1/a.zip": HAND_IN}
    assert told(read(tmp_path, files)[0]) == [("submission_1/a.zip", "1, 3", "Ada, Bo", False)]


@pytest.mark.parametrize("yml", ["{", "a: 1", "a: {':submitters': [{':name': [1]}]}"])
def test_an_unreadable_table_of_gradescope_is_named(yml, tmp_path):
    with pytest.raises(ValueError, match="submission_metadata.yml cannot be read"):
        read(tmp_path, {"submission_metadata.yml": yml.encode()})


@pytest.mark.parametrize("start, parter", [("", ","), ("\ufeff", ";")])
def test_a_mapping_tells_whose_each_file_or_folder_is(start, parter, tmp_path):
    rows = [
        ("File", "No", "ID", "Name"),
        ("ada.zip", "1", "12", "Ada"),
        ("Bo's folder", "2", "13", "Bo"),
        ("cy.zip", "3", "14", "Cy"),
    ]
    table = tmp_path / "table.csv"
    table.write_text(start + "\r\n".join(map(parter.join, rows)), encoding="utf-8", newline="")
    found, lines = read(
        tmp_path,
        {
            "ada.zip": HAND_IN,
            "Bo's folder/a2c_assignment.ipynb": BOOK,
            "Bo's folder/weights.pt": b"w",
            "dan.zip": HAND_IN,
        },
        mapping=table,
    )
    assert told(found) == [
        ("Bo's folder", "13", "Bo", False),
        ("ada.zip", "12", "Ada", False),
        ("", "", "", False),
    ]
    assert [one.path.name for one in found.values()][-1] == "dan.zip"
    assert lines == ["the mapping names cy.zip, which is not there"]


def as_folder_and_as_zip(tmp_path, files, mapping=None):
    """Yields what is found in an export, and lines: laid out as a folder, and in a .zip."""
    folder, export = lay(tmp_path / "export", files), tmp_path / "export.zip"
    export.write_bytes(packed(files))
    for path in (folder, export):
        found, lines = find_delivered([path], tmp_path / "out", mapping)
        yield [(one.path.name, one.owner, one.system) for one in found.values()], lines


def test_what_nobody_owns_is_delivered_from_a_folder_and_from_a_zip_alike(tmp_path):
    files = {
        "submission_metadata.yml": METADATA.encode(),
        "submission_1001/a.zip": HAND_IN,
        "submission_2/b.zip": HAND_IN,
        "submission_2/c/d.ipynb": BOOK,
    }
    for found, lines in as_folder_and_as_zip(tmp_path, files):
        assert found == [("a.zip", "900001", "Gradescope"), ("b.zip", "", ""), ("d.ipynb", "", "")]
        assert lines == []


def test_a_mapping_that_is_not_whole_loses_nobody(tmp_path):
    table = tmp_path / "table.csv"
    table.write_text("file,name,id\nada.zip,Ada,12\n", encoding="utf-8")
    files = {"A2C/ada.zip": HAND_IN, "A2C/dan.zip": HAND_IN}
    for found, _lines in as_folder_and_as_zip(tmp_path, files, table):
        assert found == [("ada.zip", "12", "mapping"), ("dan.zip", "", "")]


def test_a_mapping_tells_of_what_lies_in_an_export_beside_what_the_system_names(tmp_path):
    table = tmp_path / "table.csv"
    table.write_text("file,name,id\nbo.zip,Bo,13\ncy.ipynb,Cy,14\n", encoding="utf-8")
    files = {
        "Ada_12_assignsubmission_file/hand-in.zip": HAND_IN,
        "Eve_5_assignsubmission_file/bo.zip": HAND_IN,
        "mail/bo.zip": HAND_IN,
        "mail/cy.ipynb": BOOK,
    }
    for found, lines in as_folder_and_as_zip(tmp_path, files, table):
        *most, (_put_together, owner, system) = found
        assert most == [
            ("hand-in.zip", "12", "Moodle"),
            ("bo.zip", "5", "Moodle"),
            ("bo.zip", "13", "mapping"),
        ]
        assert (owner, system, lines) == ("14", "mapping", [])


def test_a_mapping_counts_more_than_names_that_look_like_canvas(tmp_path):
    table = tmp_path / "table.csv"
    table.write_text("file,name,id\nlab_3_2_ada.zip,Ada,12\n", encoding="utf-8")
    for found, _lines in as_folder_and_as_zip(tmp_path, {"A2C/lab_3_2_ada.zip": HAND_IN}, table):
        assert found == [("lab_3_2_ada.zip", "12", "mapping")]


def test_a_mapping_serves_a_zip_and_single_files_too(tmp_path):
    table = tmp_path / "table.csv"
    table.write_text("file,name,id\nada.zip,Ada,12\n", encoding="utf-8")
    drive = tmp_path / "drive-download.zip"
    drive.write_bytes(packed({"A2C/ada.zip": HAND_IN}))
    lay(tmp_path, {"ada.zip": HAND_IN})
    for path in (drive, tmp_path / "ada.zip"):
        found, lines = find_delivered([path], tmp_path / "out", table)
        assert [(one.owner, one.name, one.system) for one in found.values()] == [
            ("12", "Ada", "mapping")
        ]
        assert lines == []


@pytest.mark.parametrize(
    "text, message",
    [
        ("file;surname\na.zip;Ada", "has no column name and id; it has: file, surname"),
        ("", "has no column file, name and id; it has: none"),
        ("file,name,id\na.zip,Ada,1\na.zip,Bo,2", "has two rows for a.zip: keep one"),
        (b"file,name,id\n\xff", "cannot be read"),
    ],
)
def test_a_mapping_that_cannot_be_used_is_named(text, message, tmp_path):
    table = tmp_path / "table.csv"
    table.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=message):
        read(tmp_path, {"a.zip": HAND_IN}, mapping=table)


@pytest.mark.parametrize(
    "names",
    [
        ["101/bo.ipynb", "ada.zip", "lab_1_2_x.zip"],
        ["ada.zip", "lab_1_2_x.zip"],
        ["101/lab_1_2_x.zip", "102/lab_1_3_x.zip"],
    ],
)
def test_a_folder_that_is_no_export_is_read_as_before(names, tmp_path):
    found, lines = read(tmp_path, {**dict.fromkeys(names, HAND_IN), "note.csv": b""})
    assert [*found.values()] == [
        Delivered((tmp_path / "export" / name).resolve()) for name in names
    ]
    assert lines == []


def test_a_hand_in_laid_into_an_export_by_hand_is_not_lost(tmp_path):
    files = {"Ada_12_assignsubmission_file/hand-in.zip": HAND_IN, "by mail/bo.zip": HAND_IN}
    found, _lines = read(tmp_path, files)
    assert told(found)[1] == ("", "", "", False)
    assert [path.name for path in found] == ["hand-in.zip", "bo.zip"]


def test_a_broken_hand_in_is_delivered_for_its_page_to_tell(tmp_path):
    found, _lines = read(tmp_path, {"Ada_12_assignsubmission_file/hand-in.zip": b"PK\3\4 cut"})
    assert told(found)[0][1] == "12"


def test_links_in_an_export_are_passed_over(tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("of the grader's")
    folder = lay(tmp_path / "export", {"submission_1001/a2c_assignment.ipynb": BOOK})
    lay(folder, {"submission_metadata.yml": METADATA.encode()})
    (folder / "submission_1001" / "weights.pt").symlink_to(secret)
    found, _lines = find_delivered([folder], tmp_path / "out")
    assert names_in(next(iter(found))) == ["a2c_assignment.ipynb"]


def test_an_export_that_would_unpack_to_much_more_than_it_holds_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(exports, "MOST_BYTES", 10_000)
    export = tmp_path / "bomb.zip"
    with zipfile.ZipFile(export, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("Ada_12_assignsubmission_file/a.zip", b"0" * 1_000_000)
    with pytest.raises(ValueError, match="bomb.zip holds 1 entries of 1 MB, at most"):
        find_delivered([export], tmp_path / "out")


def test_an_export_without_any_hand_in_says_what_is_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"export; Bo \(13\) handed in no archive"):
        read(tmp_path, {"Bo_13_assignsubmission_file/report.pdf": b"%PDF"})


def test_who_names_a_student_as_far_as_it_is_told(tmp_path):
    path = tmp_path / "a.zip"
    assert who(Delivered(path, owner="12", name="Ada")) == "Ada (12)"
    assert [who(Delivered(path, owner="12")), who(Delivered(path))] == ["12", "a.zip"]
