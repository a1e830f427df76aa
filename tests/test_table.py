import csv

import pytest

from grading.marking.likeness import Alike
from grading.marking.table import TableError, key, overruled, row, write
from grading.marking.verdict import Verdict
from tests.records import another, record, refused

TEN = Verdict(10, "10", [], [], "10")
ASKED = Verdict(None, "for the grader", [], ["alike", "late"], "for the grader")
COPY = Alike("weights", "Max Roe (max.zip)", "The weights are those of another hand-in.")
MAX = another("Max Roe")
BOTH = [key(record()), key(MAX)]


def table(path, **kwargs):
    with open(path, encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file, **kwargs))


def fill(path, file, **cells):
    """Writes into a row as a grader does."""
    rows = table(path)
    names = [*rows[0], *(name for name in cells if name not in rows[0])]
    for each in rows:
        each.update(cells if each["file"] == file else {})
    with open(path, "w", encoding="utf-8-sig", newline="") as out:
        writer = csv.DictWriter(out, names, restval="")
        writer.writeheader()
        writer.writerows(rows)


def written(tmp_path):
    path = tmp_path / "grades.csv"
    write(path, [row(record(), TEN, []), row(MAX, ASKED, [COPY])])
    return path


def test_write_tells_of_each_hand_in_in_one_row(tmp_path):
    maria, other = table(written(tmp_path))
    assert {name: maria[name] for name in [*maria][:-1]} == {
        "name": "Maria Lopez",
        "group": "A",
        "file": "maria.zip",
        "LMS name": "",
        "LMS id": "",
        "points": "10",
        "mark by the rules": "10",
        "overrule": "",
        "reason": "",
        "late": "",
        "flags": "",
        "alike with": "",
        "reward_mean_100": "655",
        "played again": "663",
    }
    assert maria["digest"] == record()["digest"]
    assert (other["points"], other["mark by the rules"]) == ("", "for the grader")
    assert (other["late"], other["flags"]) == ("late", "alike, late")
    assert other["alike with"] == "weights: Max Roe (max.zip)"


def test_write_tells_of_a_refused_archive(tmp_path):
    path = tmp_path / "grades.csv"
    write(path, [row(refused(), ASKED, [])])
    assert (table(path)[0]["file"], table(path)[0]["name"]) == ("maria.zip", "")


def test_write_begins_as_excel_expects_utf_8(tmp_path):
    assert written(tmp_path).read_bytes().startswith(b"\xef\xbb\xbfname,group,file,")


@pytest.mark.parametrize(
    "name, cell",
    [
        ('=HYPERLINK("http://x","y")', '\'=HYPERLINK("http://x","y")'),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1+1", "'=1+1"),
        ("two\r\nlines", "two  lines"),
        ("a, b; c", "a, b; c"),
        ("a\ud800b", "a b"),
    ],
)
def test_write_leaves_no_formula_and_no_second_line_in_a_cell(tmp_path, name, cell):
    evidence = record(file=name)
    evidence["manifest"]["name"] = name
    path = tmp_path / "grades.csv"
    for _ in range(2):  # the second time, beside a table that holds it
        write(path, [row(evidence, TEN, [])])
    assert [(each["name"], each["file"]) for each in table(path)] == [(cell, cell)]


def test_overruled_reads_what_a_grader_wrote_and_rewriting_keeps_it(tmp_path):
    path = written(tmp_path)
    assert overruled(path, BOTH) == {}
    fill(path, "max.zip", overrule="8,5", reason="- showed me the run", notes="called me")
    assert overruled(path, BOTH) == {key(MAX): (8.5, "- showed me the run")}
    judged = Verdict(8.5, "8.5", [], ["overruled"], "for the grader")
    write(path, [row(MAX, judged, []), row(record(), TEN, [])])
    other, maria = table(path)
    assert (other["points"], other["mark by the rules"]) == ("8.5", "for the grader")
    assert (other["overrule"], other["reason"]) == ("8,5", "'- showed me the run")
    assert (other["notes"], maria["notes"], maria["overrule"]) == ("called me", "", "")
    assert overruled(path, BOTH) == {key(MAX): (8.5, "- showed me the run")}


def test_overruled_tells_one_file_under_two_names_apart(tmp_path):
    path = tmp_path / "grades.csv"
    copy = record(file="max.zip")
    write(path, [row(record(), ASKED, []), row(copy, ASKED, [])])
    fill(path, "max.zip", overrule="0", reason="copied")
    assert overruled(path, [key(record()), key(copy)]) == {key(copy): (0, "copied")}


def test_write_keeps_a_judged_row_whose_hand_in_is_gone(tmp_path):
    path = written(tmp_path)
    fill(path, "max.zip", overrule="9")
    write(path, [row(record(), TEN, [])])
    assert [each["file"] for each in table(path)] == ["maria.zip", "max.zip"]
    assert table(path)[1]["flags"] == "no longer handed in"
    write(path, [row(MAX, ASKED, [])])
    assert [each["file"] for each in table(path)] == ["max.zip"]


@pytest.mark.parametrize("file", ["group1/max.zip", "other.zip"])
def test_what_a_grader_wrote_follows_a_file_that_moved(tmp_path, file):
    path, moved = written(tmp_path), {**MAX, "file": file}
    fill(path, "max.zip", overrule="9", reason="saw the run", notes="called me")
    keys = [key(record()), key(moved)]
    assert overruled(path, keys) == {key(moved): (9, "saw the run")}
    write(path, [row(record(), TEN, []), row(moved, ASKED, [])])
    rows = [(each["file"], each["overrule"], each["notes"]) for each in table(path)]
    assert rows == [("maria.zip", "", ""), (file, "9", "called me")]


def test_of_twins_that_moved_only_those_whose_names_stay_have_their_rows(tmp_path):
    path = tmp_path / "grades.csv"
    files = ["a/x.zip", "b/x.zip", "ada.zip", "bo.zip"]
    write(path, [row(record(file=file), ASKED, []) for file in files])
    for points, file in enumerate(files):
        fill(path, file, overrule=points)
    keys = [key(record(file=file)) for file in ("c/x.zip", "d/x.zip", "g/ada.zip", "g/bo.zip")]
    assert overruled(path, keys) == {keys[2]: (2, ""), keys[3]: (3, "")}
    unread = record(file="ada.zip", digest="")
    write(path, [row(unread, ASKED, [])])
    fill(path, "ada.zip", overrule="1")
    assert overruled(path, [key({**unread, "file": "bo.zip"})]) == {}


def test_write_leaves_every_row_that_a_grader_wrote_into(tmp_path):
    path = written(tmp_path)
    fill(path, "max.zip", reason="ask him")
    fill(path, "maria.zip", notes="called me")
    write(path, [])
    kept = [(each["reason"], each["notes"], each["flags"]) for each in table(path)]
    assert kept == [
        ("", "called me", "no longer handed in"),
        ("ask him", "", "no longer handed in"),
    ]


def test_write_leaves_the_row_of_a_hand_in_that_is_not_graded_yet(tmp_path):
    path, moved = written(tmp_path), {**MAX, "file": "group1/max.zip"}
    fill(path, "max.zip", overrule="9")
    for waiting in (MAX, moved, moved):
        write(path, [], [key(waiting), key(record(digest="new"))])
        (left,) = table(path)
        cells = [left[name] for name in ("name", "file", "overrule", "flags")]
        assert cells == ["Max Roe", waiting["file"], "9", "not graded yet"]


@pytest.mark.parametrize(("language", "page"), [("en", "cp1252"), ("ru", "cp1251")])
def test_read_knows_how_excel_saves_in_each_language(tmp_path, monkeypatch, language, page):
    path, reason = written(tmp_path), {"en": "Müller", "ru": "Пётр"}[language]
    fill(path, "max.zip", overrule="9", reason=reason)
    path.write_bytes(path.read_text(encoding="utf-8-sig").encode(page))
    monkeypatch.setattr("grading.marking.table.chosen", lambda: language)
    assert overruled(path, BOTH) == {key(MAX): (9, reason)}


def test_read_says_that_another_program_holds_the_table(tmp_path, monkeypatch):
    path = written(tmp_path)

    def held(_path):
        raise PermissionError(13, "in use")

    monkeypatch.setattr("pathlib.Path.read_bytes", held)
    with pytest.raises(TableError, match="grades.csv is open in another program: close it there"):
        overruled(path, BOTH)


def test_overruled_reads_a_table_that_excel_saved_its_own_way(tmp_path):
    path = written(tmp_path)
    fill(path, "max.zip", overrule="9", reason="Müller hat recht")
    text = path.read_text(encoding="utf-8-sig").replace(",", ";")
    path.write_bytes(text.encode("cp1252"))
    assert overruled(path, BOTH) == {key(MAX): (9, "Müller hat recht")}
    write(path, [row(MAX, ASKED, [])])
    assert table(path, delimiter=";")[0]["reason"] == "Müller hat recht"


@pytest.mark.parametrize("given", ["ten", "-1", "nan", "inf", "1e9"])
def test_overruled_names_points_that_are_no_number(tmp_path, given):
    path = written(tmp_path)
    fill(path, "max.zip", overrule=given)
    told = f"grades.csv: overrule of max.zip is '{given}': expected points as in 8.5, or nothing"
    with pytest.raises(TableError) as raised:
        overruled(path, BOTH)
    assert str(raised.value) == told


@pytest.mark.parametrize("content", [b"", b"name,file,overrule\na,b,c\n", b"\xff\xfe\x00", b"PK\0"])
def test_a_file_that_is_no_such_table_is_named_and_stays(tmp_path, content):
    path = tmp_path / "grades.csv"
    path.write_bytes(content)
    told = "grades.csv has no column .*digest: put it back, or move the file away"
    with pytest.raises(TableError, match=told):
        overruled(path, BOTH)
    with pytest.raises(TableError, match=told):
        write(path, [row(record(), TEN, [])])
    assert path.read_bytes() == content


def test_write_says_that_another_program_holds_the_table(tmp_path, monkeypatch):
    path = written(tmp_path)

    def held(*_):
        raise PermissionError(13, "in use")

    monkeypatch.setattr("os.replace", held)
    with pytest.raises(TableError, match="grades.csv is open in another program: close it there"):
        write(path, [row(record(), TEN, [])])
