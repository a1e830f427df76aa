"""The command line: `python -m grading check NOTEBOOK [--json]`."""

import argparse
import json
import sys
from pathlib import Path

from grading.check import check_notebook


def main(arguments=None):
    """Runs one command; returns the exit status, 0 where every check passed."""
    parser = argparse.ArgumentParser(prog="python -m grading", description=__doc__)
    commands = parser.add_subparsers(required=True)
    check = commands.add_parser("check", help="run a notebook's definitions and check each task")
    check.add_argument("notebook", type=Path)
    check.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    if not options.notebook.is_file():
        parser.error(f"{options.notebook} is no file: name a notebook, as a2c_assignment.ipynb")
    verdicts = check_notebook(options.notebook)
    if options.json:
        print(json.dumps({task: verdict._asdict() for task, verdict in verdicts.items()}, indent=1))
    else:
        for task, verdict in verdicts.items():
            print(f"{task}: {verdict.result}" + (f": {verdict.message}" if verdict.message else ""))
    return 0 if all(verdict.result == "passed" for verdict in verdicts.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
