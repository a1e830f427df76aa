"""What a mark rests on, collected from one hand-in: plain values, and the files that they name.

What each part holds is written beside what makes it: `reader` for curves, weights, videos,
pictures, comments and notebook, `replay` and `film` for the games. Nothing is judged here.
"""

import contextlib
import datetime
import json
import random
import time
from typing import NamedTuple

from grading.marking import film, reader, replay
from grading.marking.releases import changes, is_of_here, release_of
from grading.marking.shelf import clear, digest_of, grader_version, keep_evidence
from grading.pack import MANIFEST
from grading.reference import draw_seeds
from grading.sandbox import Wall
from grading.unpack import unpacked
from grading.verdicts import check_unpacked, on_one_line
from grading.watched import LIMITS, Limits
from languages import _

__all__ = ["Course", "assignment_of", "collect", "gather", "give_up"]

LONGEST_NAME = 200  # characters of a student's name
WEIGHTS = "weights.npz"  # where `reader` leaves them
LARGEST_MANIFEST = 100_000  # bytes


class Course(NamedTuple):
    """How hand-ins are graded."""

    wall: Wall
    limits: Limits = LIMITS  # of each process that runs a student's code or reads their files
    releases: tuple = ()  # Releases, beside the kit that grades
    games: int = replay.GAMES  # whole games that the weights play, sampled, and as many greedy
    threads: int = replay.THREADS  # of the games
    secret: str = ""  # what hidden numbers and games are drawn from; "": nobody draws them again


def gather(path, folder, course, tell=lambda line: None):
    """Collects the evidence of a hand-in and keeps it in a folder, whatever happens.

    Args:
        path: As in `collect`.
        folder: Of the evidence; it is emptied first.
        course: A Course.
        tell: As in `collect`.
    """
    clear(folder)
    try:
        _keep(folder, collect(path, folder, course, tell))
    except Exception as e:  # a mistake of ours must not stop the others
        problem = _("this program failed at it, no mistake of the student's: {kind}: {told}")
        told = on_one_line(str(e))[:500]
        give_up(path, folder, course, problem.format(kind=type(e).__name__, told=told))


def give_up(path, folder, course, problem):
    """Keeps evidence that tells of a problem alone."""
    clear(folder)
    _keep(folder, _refused(path, course, problem))


def _keep(folder, evidence):
    keep_evidence(folder, evidence | {"grader": grader_version()})


def collect(path, into, course, tell):
    """Collects the evidence of one hand-in.

    Args:
        path: A .zip, or a notebook.
        into: A folder for the files that the evidence names.
        course: A Course.
        tell: Takes lines on the progress of the games.

    Returns:
        A dict of plain values: "digest" (SHA-256 of the hand-in), "packed" (local time),
        "manifest", "wall", "seconds" {part: s}, a dict for each part, and "problem", a line where
        the hand-in cannot be opened; the parts are not there then.
    """
    told = _refused(path, course)
    if told["problem"]:
        return told
    lots = _lots(told["digest"], course.secret)
    try:
        with unpacked(path) as notebook:
            return told | _parts(notebook, into, course, lots, told["seconds"], tell)
    except ValueError as e:
        return told | {"problem": on_one_line(str(e))}


def _refused(path, course, problem=""):
    """Returns the evidence of a hand-in of which no part was read, "" its digest if none can be."""
    try:
        digest = digest_of(path)
    except OSError as e:
        text = _("{file} cannot be read ({error})")
        digest, problem = "", text.format(file=path.name, error=on_one_line(str(e)))
    told = {
        "digest": digest,
        "problem": problem,
        "packed": "",
        "released": "",
        "known": True,
    }
    return told | {"wall": course.wall.name, "seconds": {}}


def _lots(digest, secret):
    """Returns what draws the numbers of one hand-in, again where it is graded again."""
    return random.Random(f"{secret} {digest}") if secret else random.SystemRandom()


def _parts(notebook, into, course, lots, seconds, tell):
    """Returns all that an unpacked hand-in holds."""
    manifest = _manifest(notebook.parent)
    release = release_of(manifest["release"], course.releases)
    packed = datetime.datetime.fromtimestamp(notebook.stat().st_mtime)
    told = {"packed": packed.isoformat(timespec="seconds"), "manifest": manifest}
    known = manifest["release"] in ("", release.version) or is_of_here(notebook.parent)
    told |= {"released": release.version, "known": known}
    with _timed(seconds, "checks"):
        told["checks"] = _checks(notebook, release, course, draw_seeds(lots.randrange))
    where = notebook.parent, notebook, manifest, release.assignment.game, into
    read, took = reader.read(*where, course.wall, course.limits)
    told |= read
    seconds |= took
    with _timed(seconds, "replay"):
        seed = lots.randrange(2**31)
        told["replay"] = _replay(notebook, read["weights"], into, release, course, seed, tell)
    with _timed(seconds, "film"):
        _follow(read["videos"], into, release, course)
    return told


def _manifest(folder):
    """Returns what hand-in.json says, with a problem where it is missing or cannot be read."""
    empty = {"problem": "", "name": "", "group": "", "release": "", "run": "", "settings": None}
    try:
        with open(folder / MANIFEST, encoding="utf-8") as file:
            given = json.loads(file.read(LARGEST_MANIFEST))
        named = {
            key: on_one_line(str(given[key] or ""))[:LONGEST_NAME]
            for key in ("name", "group", "release", "run")
        }
        settings = _used(given["settings"]) if isinstance(given["settings"], dict) else None
    except FileNotFoundError:
        told = _("there is no {file}: packed by hand")
        return empty | {"problem": told.format(file=MANIFEST)}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as e:
        told = _("{file} cannot be read ({error})")
        told = told.format(file=MANIFEST, error=f"{type(e).__name__}: {e}")
        return empty | {"problem": on_one_line(told)[:500]}
    return empty | named | {"settings": settings}


def _used(settings):
    """Returns what is used of a run's settings, each a plain value of bounded size."""
    used = {key: settings[key] for key in ("game", "nenvs") if key in settings}
    if "game" in used:
        used["game"] = on_one_line(str(used["game"]))[:LONGEST_NAME]
    if type(used.get("nenvs")) is not int:
        used.pop("nenvs", None)
    return used


def _checks(notebook, release, course, seeds):
    """Returns the verdict on each task, what ended them, and which modules were changed."""
    try:
        verdicts, ended = check_unpacked(notebook, course.limits, course.wall, seeds)
    except ValueError as e:
        problem = on_one_line(str(e))
        return {"problem": problem, "ended": "", "tasks": {}, "helpers": [], "seeds": []}
    tasks = {task: verdict._asdict() for task, verdict in verdicts.items()}
    helpers = changes(notebook.parent, release)
    told = {"problem": "", "ended": ended, "tasks": tasks}
    return told | {"helpers": helpers, "seeds": seeds}


def _replay(notebook, weights, into, release, course, seed, tell):
    game = release.assignment.game
    if not weights["same_network"]:
        return replay.nothing(weights["problem"])
    ways = game, course.games, course.wall, course.limits
    drawn = dict(seed=seed, threads=course.threads)
    return replay.replay(notebook, into / WEIGHTS, *ways, tell=tell, **drawn)


def _follow(videos, into, release, course):
    """Adds to each video that plays how well its moves follow the weights."""
    for video in videos["files"]:
        if video["copy"] and (into / WEIGHTS).is_file():
            told = film.follow(
                *(into / video["copy"], into / WEIGHTS, release.assignment.game),
                *(course.wall, course.limits),
            )
            video |= told


def assignment_of(evidence, course):
    """Returns the Assignment that a hand-in is judged by: that of the release it was made with."""
    return release_of(evidence.get("manifest", {}).get("release", ""), course.releases).assignment


@contextlib.contextmanager
def _timed(seconds, part):
    began = time.monotonic()
    yield
    seconds[part] = round(time.monotonic() - began, 2)
