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
    assert overruled(path) == {}
    fill(path, "max.zip", overrule="8,5", reason="- showed me the run", notes="called me")
    assert overruled(path) == {key(MAX): (8.5, "- showed me the run")}
    judged = Verdict(8.5, "8.5", [], ["overruled"], "for the grader")
    write(path, [row(MAX, judged, []), row(record(), TEN, [])])
    other, maria = table(path)
    assert (other["points"], other["mark by the rules"]) == ("8.5", "for the grader")
    assert (other["overrule"], other["reason"]) == ("8,5", "'- showed me the run")
    assert (other["notes"], maria["notes"], maria["overrule"]) == ("called me", "", "")
    assert overruled(path) == {key(MAX): (8.5, "- showed me the run")}


def test_overruled_tells_one_file_under_two_names_apart(tmp_path):
    path = tmp_path / "grades.csv"
    copy = record(file="max.zip")
    write(path, [row(record(), ASKED, []), row(copy, ASKED, [])])
    fill(path, "max.zip", overrule="0", reason="copied")
    assert overruled(path) == {key(copy): (0, "copied")}


def test_write_keeps_a_judged_row_whose_hand_in_is_gone(tmp_path):
    path = written(tmp_path)
    fill(path, "max.zip", overrule="9")
    write(path, [row(record(), TEN, [])])
    assert [each["file"] for each in table(path)] == ["maria.zip", "max.zip"]
    assert table(path)[1]["flags"] == "no longer handed in"
    write(path, [row(MAX, ASKED, [])])
    assert [each["file"] for each in table(path)] == ["max.zip"]


def test_overruled_reads_a_table_that_excel_saved_its_own_way(tmp_path):
    path = written(tmp_path)
    fill(path, "max.zip", overrule="9", reason="Müller hat recht")
    text = path.read_text(encoding="utf-8-sig").replace(",", ";")
    path.write_bytes(text.encode("cp1252"))
    assert overruled(path) == {key(MAX): (9, "Müller hat recht")}
    write(path, [row(MAX, ASKED, [])])
    assert table(path, delimiter=";")[0]["reason"] == "Müller hat recht"


@pytest.mark.parametrize("given", ["ten", "-1", "nan", "inf", "1e9"])
def test_overruled_names_points_that_are_no_number(tmp_path, given):
    path = written(tmp_path)
    fill(path, "max.zip", overrule=given)
    told = f"grades.csv: overrule of max.zip is '{given}': expected points as in 8.5, or nothing"
    with pytest.raises(TableError) as raised:
        overruled(path)
    assert str(raised.value) == told


@pytest.mark.parametrize("content", [b"", b"name,file,overrule\na,b,c\n", b"\xff\xfe\x00", b"PK\0"])
def test_a_file_that_is_no_such_table_is_named_and_stays(tmp_path, content):
    path = tmp_path / "grades.csv"
    path.write_bytes(content)
    told = "grades.csv has no column .*digest: put it back, or move the file away"
    with pytest.raises(TableError, match=told):
        overruled(path)
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
