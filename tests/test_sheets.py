"""Sheets as Moodle's gradingtable.php and Canvas' gradebook_exporter.rb write them."""

import csv
import io
from pathlib import Path

import pytest

from grading.marking.exports import Delivered
from grading.marking.raw_csv import RawCsv
from grading.marking.sheets import Given, SheetError, fill, read_sheet

MOODLE = (
    'Identifier,"Full name","Email address",Status,Grade,"Maximum grade","Grade can be changed",'
    '"Last modified (submission)","Online text","Last modified (grade)","Feedback comments"\n'
    '"Participant 12","Ada Lovelace",ada@x.org,"Submitted for grading - ",,10.00,Yes,'
    '"Friday, 20 November 2026, 6:03 PM","<p>two\nlines, ""quoted""</p>",-,\n'
    '"Participant 7","Пётр Ёлкин",petr@x.org,Submitted,,10.00,Yes,-,,-,\n'
    '"Participant 9","Bo Li",bo@x.org,Graded,7.00,10.00,Yes,-,,"Monday, 23 November 2026",\n'
    '"Participant 3","Cy Roe",cy@x.org,"Submitted",,10.00,No,-,,-,\n'
    '"Participant 4","Dan Poe",,"No submission",,10.00,Yes,-,,-,"see me"\n'
)
RUSSIAN = (
    "\ufeffИдентификатор;Полное имя;Группы;Статус;Оценка;Максимальная оценка;"
    "Оценка может быть изменена;Последнее изменение (ответ);Последнее изменение (оценка);"
    "Отзыв в виде комментария\r\n"
    "Участник12;Ада Лавлейс;КИ-23;Отправлено;;10,00;Да;-;-;\r\n"
    "Участник7;Пётр Ёлкин;КИ-23;Отправлено;;10,00;Нет;-;-;\r\n"
)
CANVAS = (
    '\ufeffStudent,ID,SIS User ID,SIS Login ID,Section,Notes,Quiz (1) (77),"A2C, the run (4711)",'
    "Assignments Current Score,Final Score (2026)\n"
    ",,,,,,,Manual Posting,,\n"
    "    Points Possible,,,,,,5.00,10.00,(read only),(read only)\n"
    '"Lovelace, Ada",1234,S1,ada,RL-1,,4.50,,91.2,90\n'
    '"Hopper, Grace",77,S2,grace,"RL-1, RL-2",,5.00,6.00,,\n'
    '"Roe, Max",78,S3,max,RL-1,,,EX,,\n'
    '"Poe, Dan",79,S4,dan,RL-1,,,N/A,,\n'
    '"Student, Test",99,,,RL-1,,,,,\n'
)


def handed(number, name, points, comment="", place="", judged=False, system="Moodle"):
    """Returns a Given as an export and a verdict make it."""
    place = place or f"{name}_{number}/hand-in.zip"
    path = Path("/export", place)
    return Given(Delivered(path, place, system, number, name), points, comment, judged)


def filled(tmp_path, text, given, column="", highest=10):
    """Fills in a sheet; returns its rows before and after, the copy's bytes, and the Filled."""
    sheet = tmp_path / "Grades-RL.csv"
    sheet.write_bytes(text.encode())
    (tmp_path / "out").mkdir()
    told = fill(sheet, tmp_path / "out" / sheet.name, given, highest, column)
    after = (tmp_path / "out" / sheet.name).read_bytes()
    assert sheet.read_bytes() == text.encode()
    return text, after.decode(), told


def changes(before, after, parter=","):
    """Returns {(row, column): text} of all cells that differ, as the csv module reads them."""
    old, new = (
        [*csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), delimiter=parter)]
        for text in (before, after)
    )
    assert [len(row) for row in old] == [len(row) for row in new]
    cells = ((k, j) for k, row in enumerate(old) for j, _cell in enumerate(row))
    return {(k, j): new[k][j] for k, j in cells if old[k][j] != new[k][j]}


def test_fill_changes_grade_and_comment_in_moodles_sheet_and_nothing_else(tmp_path):
    given = [
        handed("12", "Ada Lovelace", 8.5, 'A correct A2C: "all" passed, &lt;5.'),
        handed("7", "Пётр Ёлкин", 10, "Верный A2C."),
    ]
    before, after, told = filled(tmp_path, MOODLE, given)
    assert changes(before, after) == {
        (1, 4): "8.5",
        (1, 10): 'A correct A2C: "all" passed, &lt;5.',
        (2, 4): "10",
        (2, 10): "Верный A2C.",
    }
    comment = '-,"A correct A2C: ""all"" passed, &lt;5."'
    plain = before.replace('grading - ",,', 'grading - ",8.5,').replace(
        "Submitted,,", "Submitted,10,"
    )
    plain = plain.replace('</p>",-,', f'</p>",{comment}')
    assert after == plain.replace(
        'Yes,-,,-,\n"Participant 9', 'Yes,-,,-,Верный A2C.\n"Participant 9'
    )
    assert told.lines == [
        "3 rows are left, for no hand-in is theirs: Bo Li (9); Cy Roe (3); Dan Poe (4)"
    ]
    assert [[row.owner for row in rows] for rows in told.holders.values()] == [["12"], ["7"]]


def test_fill_leaves_a_grade_and_a_comment_of_a_persons_and_names_them(tmp_path):
    given = [
        handed("9", "Bo Li", 8, "Good."),
        handed("4", "Dan Poe", 10, "Good."),
        handed("3", "Cy Roe", 10, "Good."),
    ]
    before, after, told = filled(tmp_path, MOODLE, given)
    assert changes(before, after) == {(5, 4): "10"}
    assert told.lines[:3] == [
        "Bo Li (9): points not written (8): the sheet holds the grade 7.00. Empty the cell if "
        "it is to be replaced.",
        "Dan Poe (4): the sheet holds a comment already, which was left as it is",
        "Cy Roe (3): points not written (10): locked there",
    ]
    assert len(told.holders) == 1


def test_fill_leaves_a_grade_that_is_there_already_as_it_is_written(tmp_path):
    before, after, told = filled(tmp_path, MOODLE, [handed("9", "Bo Li", 7.0, "Good.")])
    assert changes(before, after) == {(3, 10): "Good."}
    assert len(told.holders) == 1


@pytest.mark.parametrize("points", [10.5, -1])
def test_fill_writes_no_points_out_of_range(points, tmp_path):
    before, after, told = filled(tmp_path, MOODLE, [handed("12", "Ada Lovelace", points)])
    assert after == before and not told.holders
    assert told.lines[0] == (
        f"Ada Lovelace (12): points not written ({points:g}): the sheet allows 0 to 10"
    )


def test_fill_reads_a_russian_sheet_and_writes_a_comma_as_it_does(tmp_path):
    given = [handed("12", "Лавлейс Ада", 8.5, "Верно; всё."), handed("7", "Пётр Ёлкин", 10)]
    before, after, told = filled(tmp_path, RUSSIAN, given)
    assert changes(before, after, ";") == {(1, 4): "8,5", (1, 9): "Верно; всё."}
    assert after.startswith("\ufeff") and '-;"Верно; всё."\r\n' in after
    assert told.lines == ["Пётр Ёлкин (7): points not written (10): locked there"]


@pytest.mark.parametrize("field", ["Grade", "Maximum grade", "Feedback comments", "Status"])
def test_fill_leaves_a_field_of_a_profile_that_is_called_as_a_column(field, tmp_path):
    sheet = MOODLE.replace('"Email address"', f'"{field}"')
    before, after, _told = filled(tmp_path, sheet, [handed("12", "Ada Lovelace", 8, "Good.")])
    assert changes(before, after) == {(1, 4): "8", (1, 10): "Good."}


def test_fill_finds_the_columns_of_a_sheet_without_a_status(tmp_path):
    sheet = MOODLE.replace("Status", "x").replace("Email address", "Group")
    before, after, _told = filled(tmp_path, sheet, [handed("12", "Ada Lovelace", 8)])
    assert changes(before, after) == {(1, 4): "8"}


def test_fill_gives_each_member_of_a_team_its_points(tmp_path):
    sheet = MOODLE.replace("Status,Grade", "Status,Group,Grade")
    sheet = sheet.replace('grading - ",', 'grading - ",Team_A,').replace(
        "Submitted,,", "Submitted,Team_A,,"
    )
    sheet = sheet.replace("Graded,", "Graded,Team B,").replace(
        '"Submitted",', '"Submitted",Team B,'
    )
    sheet = sheet.replace('"No submission",', '"No submission",Default group,')
    given = [handed("9", "Team A", 8), handed("", "Default group", 10, "Good.")]
    before, after, told = filled(tmp_path, sheet, given)
    assert changes(before, after) == {(1, 5): "8", (2, 5): "8", (5, 5): "10"}
    assert [[row.owner for row in rows] for rows in told.holders.values()] == [["12", "7"], ["4"]]


def teams(first, second):
    """Returns a sheet in which Ada is of one team and Bo of another."""
    sheet = MOODLE.replace("Status,Grade", "Status,Group,Grade")
    sheet = sheet.replace('grading - ",', f'grading - ",{first},').replace("Submitted,", "x,,", 1)
    sheet = sheet.replace("Graded,", f"Graded,{second},").replace('"Submitted",', "x,,")
    return sheet.replace('"No submission",', "x,,")


@pytest.mark.parametrize(
    "first, second", [("Group 12", "Group 21"), ("C", "C++"), ("A/B: x", "X BA"), ("1.2", "12")]
)
def test_teams_that_differ_in_order_or_in_signs_get_each_their_own_points(first, second, tmp_path):
    given = [handed("31", second, 7), handed("32", first.replace("/", "").replace(":", ""), 8)]
    before, after, told = filled(tmp_path, teams(first, second), given)
    assert changes(before, after) == {(1, 5): "8"}
    assert [[row.team for row in rows] for rows in told.holders.values()] == [[second], [first]]


def test_fill_writes_nothing_where_two_teams_have_one_name_as_a_file(tmp_path):
    before, after, told = filled(tmp_path, teams("A/B", "A:B"), [handed("31", "AB", 8)])
    assert after == before and told.lines[0] == (
        "AB (31): in the sheet several teams may be called so: A/B, A:B; nothing was written. "
        "Rename one in Moodle."
    )


def test_fill_writes_nothing_where_the_number_is_another_students(tmp_path):
    before, after, told = filled(tmp_path, MOODLE, [handed("12", "Bo Li", 10)])
    assert after == before and told.lines[0] == (
        "Bo Li (12): in the sheet this is the number of Ada Lovelace; nothing was written. Is it "
        "the sheet of this assignment?"
    )


def test_fill_trusts_the_number_alone_where_marking_is_blind(tmp_path):
    blind = [handed("12", "Participant", 10), handed("7", "Участник", 8)]
    before, after, _told = filled(tmp_path, MOODLE, blind)
    assert changes(before, after) == {(1, 4): "10", (2, 4): "8"}


def test_fill_names_hand_ins_without_a_row_and_of_nobody(tmp_path):
    given = [handed("55", "Eve", 10), Given(Delivered(Path("/mail/bo.zip")), 10)]
    before, after, told = filled(tmp_path, MOODLE, given)
    assert after == before
    assert told.lines[:2] == [
        "Eve (55): the sheet has no such row; nothing was written",
        "bo.zip: nothing tells whose hand-in it is; nothing was written",
    ]


def test_fill_writes_nothing_for_two_hand_ins_of_one_number_unless_a_grader_chose(tmp_path):
    given = [
        handed("12", "Ada Lovelace", None, place="old.zip"),
        handed("12", "Ada Lovelace", 10, place="new.zip"),
    ]
    before, after, told = filled(tmp_path, MOODLE, given)
    assert after == before and told.lines[0] == (
        "Ada Lovelace (12): several hand-ins have this number; nothing was written: old.zip, "
        "new.zip. Overrule one in grades.csv, or take the others out of the export."
    )
    assert not any("no points yet" in line for line in told.lines)
    chosen = [given[0]._replace(points=8, judged=True), given[1]]
    sheet = tmp_path / "Grades-RL.csv"
    told = fill(sheet, tmp_path / "out" / "b.csv", chosen, 10)
    assert changes(before, (tmp_path / "out" / "b.csv").read_text()) == {(1, 4): "8"}


def test_fill_leaves_a_row_whose_number_stands_twice(tmp_path):
    twice = MOODLE + '"Participant 12","Ada Lovelace",,x,,10.00,Yes,-,,-,\n'
    before, after, told = filled(tmp_path, twice, [handed("12", "Ada Lovelace", 10)])
    assert after == before and "several rows of this number" in told.lines[0]


def test_fill_writes_nothing_where_a_grader_has_yet_to_judge(tmp_path):
    before, after, told = filled(tmp_path, MOODLE, [handed("12", "Ada Lovelace", None)])
    assert after == before and not told.holders
    assert told.lines[0] == ("1 row is left, for its hand-in has no points yet: Ada Lovelace (12)")


def test_fill_says_where_the_sheet_counts_up_to_another_number(tmp_path):
    hundred = MOODLE.replace("10.00", "100.00")
    before, after, told = filled(tmp_path, hundred, [handed("12", "Ada Lovelace", 10)])
    assert changes(before, after) == {(1, 4): "10"}
    assert told.lines[0] == (
        "The sheet counts up to 100 points and the marks up to 10: points are written as they are."
    )


@pytest.mark.parametrize(
    "change, message",
    [
        (("Identifier", "Bezeichner"), "has no column Identifier; it has: Bezeichner, Full name"),
        (('"Maximum grade"', "Scale"), "has no column Maximum grade"),
        (('"Last modified (grade)"', "x"), r"has no column Last modified \(grade\)"),
    ],
)
def test_fill_refuses_a_sheet_that_it_does_not_know(change, message, tmp_path):
    with pytest.raises(SheetError, match=message):
        filled(tmp_path, MOODLE.replace(*change, 1), [])


def test_fill_refuses_another_encoding_and_its_own_copy(tmp_path):
    sheet = tmp_path / "a.csv"
    sheet.write_bytes(RUSSIAN.encode("utf-16"))
    with pytest.raises(SheetError, match="a.csv is not in UTF-8"):
        fill(sheet, tmp_path / "b.csv", [], 10)
    with pytest.raises(SheetError, match="was written by this command"):
        fill(sheet, sheet, [], 10)
    with pytest.raises(SheetError, match="No such file"):
        fill(tmp_path / "c.csv", tmp_path / "b.csv", [], 10)


def canvas(number, name, points):
    place = f"{name}_{number}_5_hand-in.zip"
    return handed(number, name, points, "A comment.", place, system="Canvas")


@pytest.mark.parametrize("column", ["A2C, the run (4711)", "a2c, the run", "4711"])
def test_fill_changes_one_column_of_canvas_gradebook_and_nothing_else(column, tmp_path):
    given = [
        canvas("1234", "lovelaceada", 8.5),
        canvas("77", "hoppergrace", 6),
        canvas("78", "roemax", 10),
        canvas("79", "poedan", 10),
    ]
    before, after, told = filled(tmp_path, CANVAS, given, column)
    assert changes(before, after) == {(3, 7): "8.5"}
    assert after == before.replace("4.50,,91.2", "4.50,8.5,91.2")
    assert told.lines == [
        "Roe, Max (78): points not written (10): excused there",
        "Poe, Dan (79): points not written (10): not assigned to this student there",
        "1 row is left, for no hand-in is its own: Student, Test (99)",
    ]
    assert [[row.owner for row in rows] for rows in told.holders.values()] == [["1234"], ["77"]]


def test_the_only_column_of_an_assignment_needs_no_name(tmp_path):
    alone = CANVAS.replace("Quiz (1) (77)", "Old").replace(",5.00,10.00", ",(read only),10.00")
    before, after, _told = filled(tmp_path, alone, [canvas("1234", "lovelaceada", 10)])
    assert changes(before, after) == {(3, 7): "10"}


@pytest.mark.parametrize("column", ["", "A2C", "Final Score (2026)"])
def test_a_column_that_cannot_be_told_is_asked_for(column, tmp_path):
    message = r"name one of these with --column: Quiz \(1\) \(77\); A2C, the run \(4711\)"
    with pytest.raises(SheetError, match=message):
        filled(tmp_path, CANVAS, [], column)


def test_a_gradebook_with_names_in_two_columns_semicolons_and_commas_is_filled_in(tmp_path):
    sheet = (
        "LastName;FirstName;ID;SIS Login ID;Section;A2C (4711)\r\n"
        "    Points Possible;;;;;10,00\r\n"
        "Lovelace;Ada;1234;ada;RL-1;\r\n"
    )
    before, after, _told = filled(tmp_path, sheet, [canvas("1234", "lovelaceada", 8.5)])
    assert changes(before, after, ";") == {(2, 5): "8,5"}
    assert after.endswith("RL-1;8,5\r\n")


def test_a_column_is_asked_for_of_canvas_alone(tmp_path):
    with pytest.raises(SheetError, match="is no gradebook of Canvas"):
        filled(tmp_path, MOODLE, [], "Grade")
    with pytest.raises(SheetError, match="give the sheet too"):
        read_sheet(None, "A2C")


@pytest.mark.parametrize(
    "text",
    ["a,b\n", "a,b", "a,\n", '"a ""b""",c\r\n\r\nd,\r', "a;b\n;\n", '"a"b,c\n', "\ufeffa\tb\n\n\n"],
)
def test_raw_csv_gives_back_every_byte(text):
    assert RawCsv(text.encode(), "a.csv").content() == text.encode()


@pytest.mark.parametrize("text", ['a,b\n"c,d\ne,f\n', ""])
def test_raw_csv_refuses_what_it_could_not_write_again(text):
    with pytest.raises(ValueError, match="a.csv is no CSV: download it again"):
        RawCsv(text.encode(), "a.csv")


def test_raw_csv_puts_text_in_quotes_where_a_cell_had_or_needs_them():
    table = RawCsv(b'"a",b,c,d\n', "a.csv")
    for column, text in enumerate(["x", "x", 'x "y", z', " x"]):
        table.put(0, column, text)
    assert table.content() == b'"x",x,"x ""y"", z"," x"\n'
    assert table.rows == [["x", "x", 'x "y", z', " x"]]
