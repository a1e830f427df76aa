"""The commands of the assignment: `python -m grading check`, `pack`, and the graders' own."""

import argparse
import contextlib
import json
import math
import os
import sys
from importlib.util import find_spec
from pathlib import Path

from grading.notebook import NOTEBOOK
from grading.sandbox import NO_WALL, NoWall, find_wall
from grading.verdicts import PASSED, check_notebook
from grading.watched import LIMITS
from languages import N_, _, chosen, languages

OWN_WORDS = [  # of argparse, which looks them up with the `_` that it finds in its module
    *(N_("usage: "), N_("positional arguments"), N_("options")),
    N_("show this help message and exit"),
    N_("%(prog)s: error: %(message)s\n"),
    N_("argument %(argument_name)s: %(message)s"),
    N_("the following arguments are required: %s"),
    N_("unrecognized arguments: %s"),
    N_("invalid choice: %(value)r (choose from %(choices)s)"),
    N_("expected one argument"),
]


def main(arguments=None):
    """Runs one command; returns the exit status."""
    argparse._ = _
    parser = argparse.ArgumentParser(
        prog="python -m grading",
        description=_(
            "The commands of the assignment: `python -m grading check`, `pack`, and, for graders, "
            "`grade` and `gradescope`.\n\n"
            "Exit status: 0 where all passed or is there, 1 where something failed or is missing, "
            "2 where the\ncall itself was wrong."
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands, limits = parser.add_subparsers(required=True), _limits()
    _add_check(commands, limits)
    _add_pack(commands)
    if find_spec("grading.marking"):  # which students do not have
        from grading.marking.command import add_grade

        add_grade(commands, limits)
        from grading.marking.gradescope import add_gradescope

        add_gradescope(commands)
    if (language := chosen()) not in (known := languages()):
        text = _("the language is {given!r}, expected one of {known}: A2C_LANGUAGE sets it")
        parser.error(text.format(given=language, known=", ".join(known)))
    options = parser.parse_args(arguments)
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")  # Windows' code pages have no √
    return options.run_command(options)


def _limits():
    """Returns what the commands that run a student's code have in common."""
    limits = argparse.ArgumentParser(add_help=False)
    said = {"type": _positive, "metavar": _("SECONDS"), "default": LIMITS.total}
    limits.add_argument("--timeout", help=_("of all cells together (%(default)g)"), **said)
    said = {"type": _positive, "metavar": _("GIB"), "default": LIMITS.memory}
    limits.add_argument("--memory", help=_("that the cells may take (%(default)g)"), **said)
    told = _("run the cells with your rights, where your machine has no sandbox")
    limits.add_argument("--unsafe-no-sandbox", action="store_true", help=told)
    limits.set_defaults(wall=_wall)
    return limits


def _add_check(commands, limits):
    told = _("run a notebook's definitions and check each task")
    check = commands.add_parser("check", help=told, parents=[limits])
    check.add_argument("notebook", type=Path, metavar=_("NOTEBOOK|ZIP"))
    check.add_argument("--json", action="store_true", help=_("print one JSON object"))
    check.set_defaults(run_command=_check, parser=check)


def _positive(text):
    with contextlib.suppress(ValueError):
        if 0 < float(text) < math.inf:
            return float(text)
    raise argparse.ArgumentTypeError(_("{text} is no number above 0").format(text=text))


def _check(options):
    if not options.notebook.is_file():
        text = _("{path} is no file: name a notebook, as {example}")
        options.parser.error(text.format(path=options.notebook, example=NOTEBOOK))
    limits = LIMITS._replace(total=options.timeout, memory=options.memory)
    try:
        verdicts = check_notebook(options.notebook, limits, options.wall(options))
    except (ValueError, OSError, NoWall) as e:
        options.parser.error(str(e))
    if options.json:
        print(json.dumps({task: verdict._asdict() for task, verdict in verdicts.items()}, indent=1))
    else:
        for task, verdict in verdicts.items():
            print(": ".join(filter(None, [task, _(verdict.result), verdict.message])))
    return 0 if all(verdict.result == PASSED for verdict in verdicts.values()) else 1


def _wall(options):
    """Returns the wall between notebook and machine; students, who have no reference, need none."""
    if options.unsafe_no_sandbox or find_spec("grading.reference") is None:
        return NO_WALL
    wall = find_wall()
    print(_("sandbox: {wall}").format(wall=_(wall.name)), file=sys.stderr)
    return wall


def _add_pack(commands):
    told = _("write hand-in.zip and say what is missing in it")
    pack = commands.add_parser("pack", help=told)
    pack.add_argument("notebook", type=Path, nargs="?", default=Path(NOTEBOOK))
    out = Path(os.environ.get("A2C_OUT", "."))
    told = _("what the run wrote to (%(default)s)")
    pack.add_argument("--out", type=Path, default=out, help=told)
    told = _("its name below logs (%(default)s)")
    pack.add_argument("--run", default="first-run", help=told)
    pack.add_argument("--name", default="", help=_("yours, as your course knows you"))
    pack.add_argument("--group", default="", help=_("yours, if your course has groups"))
    pack.set_defaults(run_command=_pack, parser=pack)


def _pack(options):
    from grading.pack import hand_in, report  # takes seconds to load, which a check would wait for

    run = options.out / "logs" / options.run
    try:
        named = options.name, options.group
        archive, rows, score = hand_in(options.notebook, options.out, run, *named)
    except FileNotFoundError as e:
        options.parser.error(str(e))
    print(report(archive, rows, score))
    return 1 if any(row.mend for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
