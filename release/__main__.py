"""The instructor's one line: `python -m release --out DIR`.

Writes DIR/a2c, the students' kit, and DIR/a2c.zip, as `assignment.json` says. Nothing is released
where a solution would show, where a check passes on the stubs, or where one fails on the solution.
"""

import argparse
import hashlib
import sys
import tempfile
from pathlib import Path

import nbformat

from grading.verdicts import check_notebook
from lesson.assignment import AssignmentError
from release import ReleaseError
from release.assigned import GRADED, bring_up_to_date
from release.kit import NOTEBOOK, ROOT, build


def main(arguments=None):
    """Builds the kit; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m release",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument(
        "--language", metavar="LANGUAGE", help="of the kit; that of assignment.json by default"
    )
    options = parser.parse_args(arguments)
    try:
        if changed := bring_up_to_date(ROOT):
            print(f"written anew, as assignment.json says: {', '.join(changed)}")
        with tempfile.TemporaryDirectory() as draft:
            _prove(build(draft, language=options.language)[0])
        folder, archive = build(options.out, language=options.language)
    except (ReleaseError, AssignmentError) as e:
        print(f"release: {e}", file=sys.stderr)
        return 1
    files = sum(path.is_file() for path in folder.rglob("*"))
    checksum = hashlib.sha256(archive.read_bytes()).hexdigest()
    print(f"{folder}: {files} files\n{archive}: {archive.stat().st_size:,} bytes")
    print(f'for a notebook that fetches it: KIT = "https://YOUR/a2c.zip#sha256={checksum}"')
    return 0


def _prove(folder):
    """Raises a ReleaseError if a check passes on the stubs, or fails on the solution."""
    for path, wanted in ((folder / NOTEBOOK, False), (ROOT / NOTEBOOK, True)):
        for task, verdict in check_notebook(path).items():
            if (verdict.result == "passed") != wanted:
                told = "fails on the solution" if wanted else "passes on the stub"
                reason = f" ({verdict.message or verdict.result})" if wanted else ""
                where = f"{NOTEBOOK}, cell {GRADED[task]}, line {_line(path, GRADED[task])}"
                raise ReleaseError(f"{where}: this check {told}{reason}: nothing was released")


def _line(path, name):
    """Returns the line of a cell in which it calls its check."""
    (cell,) = (cell for cell in nbformat.read(path, as_version=4).cells if cell.id == name)
    before, *_ = cell.source.partition("checks.check_")
    return before.count("\n") + 1


if __name__ == "__main__":
    sys.exit(main())
