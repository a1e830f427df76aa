"""The command `python -m grading grade`."""

import json
import sys
from argparse import ArgumentTypeError, RawDescriptionHelpFormatter
from pathlib import Path

from grading.marking.pool import cores
from grading.marking.table import TABLE, read
from grading.sandbox import NoWall
from grading.watched import LIMITS
from languages import _

__all__ = ["add_grade"]

DESCRIPTION = _("""Grades hand-ins: a page a student, a class page, and grades.csv.

Each hand-in is unpacked, its code is checked, its files are read and its weights play games, all
behind a wall; several are graded at a time. The page of each is there when it is graded, those of
the class and grades.csv now and then and at the end. Stop it at any point with Ctrl-C: the same
command goes on, and what has not changed is not graded again. To overrule a mark, write into the
columns `overrule` and `reason` of grades.csv and run the command again.

What Moodle, Canvas or Gradescope hand out for download is read as it is, unpacked or not. With
--sheet, points and comments are written into a copy of the sheet that Moodle or Canvas handed
out, and feedback.zip holds a page for each student, to be uploaded there. The reasons in
grades.csv are among what students read.

Pages and messages are in the language of assignment.json, or in another one for this call:
A2C_LANGUAGE=ru python -m grading grade ...
What was found in a hand-in stays in the language in which it was graded; grades.csv and JSON keep
their English columns and codes, which programs read.

Exit status: 0 where every hand-in was read, 1 where one was not, 2 where the call was wrong, 130
where it was stopped.""")


def add_grade(commands, limits):
    """Adds the command to argparse's; `limits` is a parser of options that it has in common."""
    added = commands.add_parser(
        "grade",
        help=_("from a folder of hand-ins to pages and marks"),
        description=DESCRIPTION,
        formatter_class=RawDescriptionHelpFormatter,
        parents=[limits],
    )
    told = _("a hand-in, a folder of them, or what Moodle, Canvas or Gradescope hand out")
    added.add_argument("paths", type=Path, nargs="+", metavar="PATH", help=told)
    told = _("the folder of pages, kept from one call to the next")
    added.add_argument("--out", type=Path, required=True, metavar="DIR", help=told)
    told = _("grade no hand-in but those with this in their file, name or number")
    added.add_argument("--only", default="", metavar="NAME", help=told)
    told = _("grade again, and only, where something could not be read or run")
    added.add_argument("--failed", action="store_true", help=told)
    told = _("an a2c.zip that students got, with marks and modules of its own (repeat it for each)")
    added.add_argument(
        "--release", type=Path, action="append", default=[], metavar="ZIP", help=told
    )
    _add_exports(added)
    told = _("how many hand-ins are graded at a time (%(default)s, one on each core)")
    added.add_argument("--jobs", type=_count, default=cores(), metavar="N", help=told)
    told = _("grade on a Ray cluster: auto on one of its nodes, or HOST:PORT of its head")
    added.add_argument("--ray", default="", metavar="ADDRESS", help=told)
    told = _("print the table as JSON too")
    added.add_argument("--json", action="store_true", help=told)
    added.set_defaults(run_command=_grade, parser=added)


def _count(text):
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise ArgumentTypeError(_("{text} is no whole number above 0").format(text=text))


def _add_exports(added):
    """Adds the options on what a course's system handed out."""
    told = _("Moodle's grading worksheet or Canvas' gradebook, to be filled in below DIR")
    added.add_argument("--sheet", type=Path, metavar="CSV", help=told)
    told = _("the gradebook's column, where several could be this assignment")
    added.add_argument("--column", default="", metavar="NAME", help=told)
    told = _("whose each file is, for folders of other systems: columns file, name and id")
    added.add_argument("--mapping", type=Path, metavar="CSV", help=told)


def _grade(options):
    if options.ray and options.unsafe_no_sandbox:
        options.parser.error(_("--ray needs a wall on each node: leave out --unsafe-no-sandbox"))
    # this takes seconds to load, which `check` would wait for
    from grading.marking.shelf import alone

    try:
        with alone(options.out):
            graded, left, lines = _graded(options)
    except (ValueError, FileNotFoundError, NoWall) as e:
        options.parser.error(str(e))
    except KeyboardInterrupt:
        print(_("stopped: the same command goes on from here"), file=sys.stderr)
        return 130
    if options.json:
        rows, _delimiter = read(options.out / TABLE)
        print(json.dumps(rows, indent=1, ensure_ascii=False))
    print(*lines, sep="\n", end="\n" if lines else "", file=sys.stderr)
    _tell_end(options, graded, left)
    return 1 if any(one.evidence["problem"] for one in graded) or left else 0


def _graded(options):
    """Returns what `grade` and `hand_back` return."""
    from grading.marking.feedback import hand_back
    from grading.marking.grade import grade
    from grading.marking.sheets import read_sheet

    if options.sheet or options.column:
        read_sheet(options.sheet, options.column)  # hours before it is filled in
    course = _course(options)
    graded, left = grade(
        *(options.paths, options.out, course, options.only, options.failed),
        lambda line: print(line, file=sys.stderr, flush=True),
        options.mapping,
        options.jobs,
        options.ray,
    )
    given = graded, left, options.out, course, options.sheet, options.column
    return graded, left, hand_back(*given)


def _course(options):
    from grading.marking.evidence import Course
    from grading.marking.releases import read_release

    limits = LIMITS._replace(total=options.timeout, memory=options.memory)
    releases = tuple(read_release(path) for path in options.release)
    return Course(options.wall(options), limits, releases)


def _tell_end(options, graded, left):
    marked = sum(one.verdict.points is not None for one in graded)
    told = _("{n} graded: {marked} with a mark, {asking} for the grader")
    if left:
        told = _("{n} graded: {marked} with a mark, {asking} for the grader; {left} not graded yet")
    counts = dict(n=len(graded), marked=marked, asking=len(graded) - marked, left=len(left))
    told = told.format(**counts)
    names = ["index.html", "grades.csv", *([options.sheet.name] if options.sheet else [])]
    paths = [options.out / name for name in (*names, "feedback.zip")]
    print(told, *(path for path in paths if path.is_file()), sep="\n", file=sys.stderr)
