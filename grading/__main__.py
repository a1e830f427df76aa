"""The commands of the assignment: `python -m grading check` and `python -m grading pack`.

Exit status: 0 where all passed or is there, 1 where something failed or is missing, 2 where the
call itself was wrong.
"""

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
from grading.verdicts import check_notebook
from grading.watched import LIMITS


def main(arguments=None):
    """Runs one command; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m grading",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True)
    _add_check(commands)
    _add_pack(commands)
    options = parser.parse_args(arguments)
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")  # Windows' code pages have no √
    return options.run_command(options)


def _add_check(commands):
    check = commands.add_parser("check", help="run a notebook's definitions and check each task")
    check.add_argument("notebook", type=Path, metavar="NOTEBOOK|ZIP")
    check.add_argument("--json", action="store_true", help="print one JSON object")
    said = {"type": _positive, "metavar": "SECONDS", "default": LIMITS.total}
    check.add_argument("--timeout", help="of all cells together (%(default)g)", **said)
    said = {"type": _positive, "metavar": "GIB", "default": LIMITS.memory}
    check.add_argument("--memory", help="that the cells may take (%(default)g)", **said)
    told = "run the cells with your rights, where your machine has no sandbox"
    check.add_argument("--unsafe-no-sandbox", action="store_true", help=told)
    check.set_defaults(run_command=_check, parser=check)


def _positive(text):
    with contextlib.suppress(ValueError):
        if 0 < float(text) < math.inf:
            return float(text)
    raise argparse.ArgumentTypeError(f"{text} is no number above 0")


def _check(options):
    if not options.notebook.is_file():
        options.parser.error(f"{options.notebook} is no file: name a notebook, as {NOTEBOOK}")
    limits = LIMITS._replace(total=options.timeout, memory=options.memory)
    try:
        verdicts = check_notebook(options.notebook, limits, _wall(options))
    except (ValueError, OSError, NoWall) as e:
        options.parser.error(str(e))
    if options.json:
        print(json.dumps({task: verdict._asdict() for task, verdict in verdicts.items()}, indent=1))
    else:
        for task, verdict in verdicts.items():
            print(f"{task}: {verdict.result}" + (f": {verdict.message}" if verdict.message else ""))
    return 0 if all(verdict.result == "passed" for verdict in verdicts.values()) else 1


def _wall(options):
    """Returns the wall between notebook and machine; students, who have no reference, need none."""
    if options.unsafe_no_sandbox or find_spec("grading.reference") is None:
        return NO_WALL
    wall = find_wall()
    print(f"sandbox: {wall.name}", file=sys.stderr)
    return wall


def _add_pack(commands):
    pack = commands.add_parser("pack", help="write hand-in.zip and say what is missing in it")
    pack.add_argument("notebook", type=Path, nargs="?", default=Path(NOTEBOOK))
    out = Path(os.environ.get("A2C_OUT", "."))
    pack.add_argument("--out", type=Path, default=out, help="what the run wrote to (%(default)s)")
    pack.add_argument("--run", default="first-run", help="its name below logs (%(default)s)")
    pack.add_argument("--name", default="", help="yours, as your course knows you")
    pack.add_argument("--group", default="", help="yours, if your course has groups")
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
