"""Builds the .zip that Gradescope takes as an autograder: `python -m grading gradescope`."""

import io
import json
import zipfile
from argparse import RawDescriptionHelpFormatter
from pathlib import Path

import numpy as np

from grading.marking.autograder.settings import FILE, HIDDEN, parse_settings
from grading.sandbox import KIT, ROOT
from languages import _, grouped, ngettext
from lesson.assignment import read_assignment

__all__ = ["add_gradescope", "write_autograder"]

PROGRAMS = ("setup.sh", "run_autograder")  # at the top of the .zip
OWN = "grading/marking/autograder"
MARKING = ("__init__", "audit", "network", "player", "reader", "replay", "schemas")
PATTERNS = [  # of the grader's files that it needs
    *("grading/*.py", "grading/requirements.txt", "grading/marking/read/*.py", f"{OWN}/*.py"),
    *(f"grading/marking/{name}.py" for name in MARKING),
]
PAIRS = 4  # of hidden draws; each run takes one
WHEN = (1980, 1, 1, 0, 0, 0)
DESCRIPTION = _("""Writes an autograder for Gradescope: upload it under Configure Autograder.

It checks the five tasks as `grade` does, on numbers that students never see, and lets the weights
play whole games as long as there is time. Each call draws new hidden numbers: keep the .zip from
students. Gradescope shows a leaderboard to all students at once: it needs a visible score.
SETTINGS is a JSON object; every key may be left out:

  {"points": {"A2C": 2}, "marks": {"400": 8, "600": 10},
   "visibility": {"score": "after_due_date"}, "leaderboard": false,
   "games": 32, "minutes": 8, "memory_mb": 600}""")


def add_gradescope(commands):
    """Adds the command to argparse's."""
    added = commands.add_parser(
        "gradescope",
        help=_("write an autograder for Gradescope"),
        description=DESCRIPTION,
        formatter_class=RawDescriptionHelpFormatter,
    )
    told = _("where to (%(default)s)")
    added.add_argument("--out", type=Path, default=Path("autograder.zip"), metavar="ZIP", help=told)
    told = _("points, marks, visibility and more, as above")
    added.add_argument("--settings", type=Path, metavar="FILE", help=told)
    added.set_defaults(run_command=_gradescope, parser=added)


def _gradescope(options):
    try:
        write_autograder(options.out, options.settings)
    except (ValueError, OSError) as e:
        options.parser.error(str(e))
    size = options.out.stat().st_size
    told = ngettext("{file}: {n} byte", "{file}: {n} bytes", size)
    print(told.format(file=options.out, n=grouped(size)))
    return 0


def write_autograder(out, settings=None, pairs=PAIRS):
    """Writes the .zip.

    Args:
        out: Its path.
        settings: Path of the instructor's file, None for the defaults.
        pairs: Number of pairs of hidden draws.

    Raises:
        ValueError: If the settings are not as they must be.
        OSError: If a file cannot be read or written.
    """
    text, name = ("{}", "") if settings is None else (settings.read_text("utf-8"), settings.name)
    found = parse_settings(text, name, read_assignment())
    own = {FILE: json.dumps(found._asdict(), indent=1).encode(), HIDDEN: _hidden(pairs)}
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in PROGRAMS:
            _write(archive, name, (ROOT / OWN / name).read_bytes(), mode=0o755)
        for path in _files():
            _write(archive, f"kit/{path.relative_to(ROOT).as_posix()}", path.read_bytes())
        for name, data in own.items():
            _write(archive, f"kit/{OWN}/{name}", data)


def _files():
    """Returns the kit's files, and the grader's that run on Gradescope."""
    found = {path for pattern in PATTERNS for path in ROOT.glob(pattern)}
    for name in KIT:
        path = ROOT / name
        found |= {path} if path.is_file() else {*path.rglob("*")}
    return sorted(path for path in found if path.is_file() and path.parent.name != "__pycache__")


def _hidden(pairs):
    """Returns an .npz of what a right answer gives for hidden draws, <pair>/<seed>/<name>."""
    from grading import reference  # takes a second to load, which `check` would wait for

    arrays, file = {}, io.BytesIO()
    for pair in range(pairs):
        for seed in reference.draw_seeds():
            found = reference.expect(seed)
            arrays |= {f"{pair}/{seed}/{name}": array for name, array in found.items()}
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def _write(archive, name, data, mode=0o644):
    entry = zipfile.ZipInfo(name, WHEN)
    entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, (0o100000 | mode) << 16
    archive.writestr(entry, data)
