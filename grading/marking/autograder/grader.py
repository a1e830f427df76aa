"""From a submission to results.json: checks first, then games, written as they become known."""

import contextlib
import json
import os
import secrets
import sys
import tempfile
import time
import traceback
import zipfile
from pathlib import Path, PurePosixPath

import ale_py
import numpy as np

from grading.marking.autograder import games, student
from grading.marking.autograder.results import Results
from grading.marking.autograder.settings import FILE, HIDDEN, Settings
from grading.marking.reader import read_weights
from grading.sandbox import NoWall
from grading.unpack import is_aside, unpacked
from grading.verdicts import check_unpacked, on_one_line
from grading.watched import LIMITS
from languages import _
from lesson.assignment import read_assignment

__all__ = ["grade"]

HERE = Path(__file__).parent
CHECKS = 0.5  # of the time may go into the checks
CELL = 120.0  # seconds of one cell at half a core
READING = 90.0  # seconds
WEIGHTS = "weights.pt"


def grade(base):
    """Grades what lies in a folder `submission` and writes `results/results.json` beside it.

    Args:
        base: The folder `/autograder`.
    """
    began = time.monotonic()
    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    os.umask(0o022)
    student.protect(base, HERE)
    told = json.loads((HERE / FILE).read_text(encoding="utf-8"))
    settings = Settings(**{**told, "marks": {int(k): v for k, v in told["marks"].items()}})
    results = Results(base / "results" / "results.json", settings)
    results.write()
    try:
        with _notebook(base / "submission") as notebook:
            _grade(notebook, results, settings, began + 60 * settings.minutes)
    except NoWall as e:
        print(e)  # which instructors see
        told = _("The autograder found no wall for your code here. Tell your teachers, please.")
        results.refuse(told)
    except Exception as e:
        results.refuse(_refusal(e))


def _refusal(error):
    """Returns what a student is told of an error; one of the autograder's own is printed."""
    if isinstance(error, ValueError):
        return _("The submission cannot be used: {why}").format(why=on_one_line(str(error)))
    traceback.print_exception(error, file=sys.stdout)  # which instructors see
    return _("The autograder itself failed. Tell your teachers, please.")


def _grade(notebook, results, settings, until):
    wall = student.find_wall()
    results.tell("", wall=wall.name)
    limits = LIMITS._replace(cell=CELL, memory=settings.memory_mb / 1024)
    checks = limits._replace(total=CHECKS * (until - time.monotonic()))
    verdicts, _ended = check_unpacked(notebook, checks, wall, hidden=_hidden())
    results.set_checks(verdicts)
    student.end_all()
    for played in _played(notebook, wall, limits, settings, until):
        results.set_score(played)
    student.end_all()


def _played(notebook, wall, limits, settings, until):
    """Yields what the games come to, after each round."""
    game = read_assignment().game
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        reading = limits._replace(total=READING)
        found = read_weights(notebook.parent, game, Path(folder), wall, reading)
        student.end_all()
        if found["problem"] or not found["same_network"]:
            yield games.nothing(found["problem"])
            return
        limits = limits._replace(total=until - time.monotonic())
        weights = Path(folder, "weights.npz")
        yield from games.play(notebook, weights, game, wall, limits, settings.games, until)


def _hidden():
    """Returns {seed: expected arrays} of one of the pairs of hidden draws."""
    with np.load(HERE / HIDDEN, allow_pickle=False) as file:
        pairs = sorted({name.split("/")[0] for name in file.files})
        chosen, draws = secrets.choice(pairs), {}
        for name in file.files:
            pair, seed, key = name.split("/", 2)
            if pair == chosen:
                draws.setdefault(int(seed), {})[key] = file[name]
        return draws


@contextlib.contextmanager
def _notebook(submission):
    """Gives the notebook of a submission: of its one .zip, or of the files that were in it.

    A .zip beside a notebook without weights is the hand-in, where it holds a notebook, too.

    Raises:
        ValueError: As `unpack.unpacked` does.
    """
    files = {path.relative_to(submission): path for path in submission.rglob("*")}
    files = [path for name, path in files.items() if _is_theirs(name, path)]
    archives = [path for path in files if path.suffix.lower() == ".zip"]
    loose = any(path.suffix.lower() == ".ipynb" for path in files)
    bare = loose and not any(path.name == WEIGHTS for path in files)
    if len(archives) == 1 and (not loose or (bare and _holds_notebook(archives[0]))):
        with unpacked(archives[0]) as notebook:
            yield notebook
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "submission.zip")  # so that what holds for archives holds for files
        with zipfile.ZipFile(path, "w", strict_timestamps=False) as archive:
            for file in files:
                archive.write(file, _as_text(os.fsencode(file.relative_to(submission))))
        with unpacked(path) as notebook:
            path.unlink()
            yield notebook


def _holds_notebook(path):
    """Tells whether a .zip holds a notebook; one that is broken holds none."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = map(PurePosixPath, archive.namelist())
            own = [name for name in names if not any(map(is_aside, name.parts))]
            return any(name.suffix.lower() == ".ipynb" for name in own)
    except Exception:  # what zipfile raises differs from one broken file to the next
        return False


def _as_text(name):
    """Returns the bytes of a file's name as text; no two names become one."""
    try:
        return name.decode("utf-8")
    except UnicodeDecodeError:
        return name.decode("latin-1")


def _is_theirs(name, path):
    """Tells whether a path is a file of the student's, and not one that a system laid beside it."""
    return path.is_file() and not path.is_symlink() and not any(map(is_aside, name.parts))
