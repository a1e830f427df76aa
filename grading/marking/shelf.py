"""Hand-ins found on the disk, and evidence kept: what has not changed is not collected again.

Evidence lies in a folder of its own, named after all that it was made of: the hand-in's bytes and
those of the modules beside it, the grader's own files, the releases and the settings, but for the
limits: what kept to them is the same under others, and the rest is collected again where a grader
asks for it. It is complete where its file is there. What differs from one time to the next lies in
a second file: the seconds that each part took.
"""

import contextlib
import functools
import hashlib
import json
import os
import secrets
import shutil
from pathlib import Path

from filelock import FileLock, Timeout

from grading.unpack import OTHERS, modules_beside
from languages import _

__all__ = [
    "FILE",
    "Shelf",
    "alone",
    "clear",
    "digest_if_read",
    "digest_of",
    "find_hand_ins",
    "grader_version",
    "keep_evidence",
    "read_evidence",
    "take_in",
]

ROOT = Path(__file__).parents[2]
MAKERS = ("*.py", "assignment.json", "training/*.py", "tests/checks/*", "grading/**/*.py")
FILE, TIMES = "evidence.json", "seconds.json"
SECRET, LOCK = "secret", ".lock"
CHUNK = 2**20  # bytes
SHORT = 24  # hexadecimal digits of a folder's name


def find_hand_ins(paths, out):
    """Returns the hand-ins below some paths, in order, each once.

    An archive is one, of another kind than .zip too, so that it is named and not passed over; so
    is a notebook that lies in no archive.

    Args:
        paths: Files and folders.
        out: The folder of pages, which is passed over.

    Raises:
        FileNotFoundError: If a path is not there, or nothing below it is a hand-in.
    """
    found = {}
    for path in map(Path, paths):
        below = _below(path, Path(out).resolve()) if path.is_dir() else [path]
        if not path.exists():
            told = _("{path} is not there: name a hand-in or a folder of them")
            raise FileNotFoundError(told.format(path=path))
        if not below:
            told = _("{path} holds no hand-in: expected .zip files in it")
            raise FileNotFoundError(told.format(path=path))
        found |= {one.resolve(): one for one in below}
    return [*found]


def _below(folder, out):
    wanted = {".zip", ".ipynb", *OTHERS}
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in wanted
        and path.is_file()
        and out not in path.resolve().parents
        and not any(p.startswith((".", "__MACOSX")) for p in path.relative_to(folder).parts)
    )


@functools.cache
def grader_version():
    """Returns the first digits of the SHA-256 of all files that a verdict is made by."""
    found = sorted({path for pattern in MAKERS for path in ROOT.glob(pattern) if path.is_file()})
    files = {path.relative_to(ROOT).as_posix(): _digest(path.read_bytes()) for path in found}
    return _digest(json.dumps(files).encode())[:12]


class Shelf:
    """The evidence below a folder of pages."""

    def __init__(self, out, course):
        """Takes the folder of pages and the `evidence.Course` that evidence is collected for."""
        self._root = Path(out) / "evidence"
        releases = [[one.version, *sorted(one.files.items())] for one in course.releases]
        settings = [grader_version(), course.wall.name, course.games, releases]
        self._made_by = json.dumps(settings)

    def folder(self, hand_in, digest):
        """Returns the folder of a hand-in's evidence, whether it is there or not.

        Args:
            hand_in: Its path.
            digest: The `digest_if_read` of it.
        """
        beside = [[module.name, digest_if_read(module)] for module in modules_beside(hand_in)]
        own = digest or str(hand_in)
        return self._root / _digest(json.dumps([self._made_by, beside, own]).encode())[:SHORT]

    def reference(self):
        """Returns the folder of what is told of the reference run."""
        return self._root / f"reference-{grader_version()}"

    def secret(self):
        """Returns what hidden numbers are drawn from, the same one from one call to the next."""
        path, part = self._root / SECRET, self._root / f"{SECRET}.part"
        if not (path.is_file() and path.stat().st_size):  # a crash may leave an empty one
            self._root.mkdir(parents=True, exist_ok=True)
            flags = os.O_CREAT | os.O_WRONLY | os.O_TRUNC
            with open(os.open(part, flags, 0o600), "w") as file:
                file.write(secrets.token_hex())
            os.replace(part, path)
        return path.read_text()


@contextlib.contextmanager
def alone(out):
    """Keeps other calls of `grade` out of a folder of pages; the lock ends with the process.

    Raises:
        ValueError: If another one works there, or nothing can be written there.
    """
    is_new = not out.exists()
    lock = FileLock(out / LOCK)
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        told = _("another `grade` is working in {folder}: wait until it ends, or stop it")
        raise ValueError(told.format(folder=out)) from None
    except OSError as e:
        told = _("nothing can be written to {folder} ({error}): give another folder with --out")
        raise ValueError(told.format(folder=out, error=e)) from e
    try:
        yield
    finally:
        lock.release()
        if is_new and [path.name for path in out.iterdir()] == [LOCK]:
            shutil.rmtree(out)  # a wrong call leaves nothing


def clear(folder):
    """Empties a folder for evidence to come."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)


def keep_evidence(folder, evidence):
    """Writes evidence, which makes it complete."""
    evidence = dict(evidence)
    (folder / TIMES).write_text(json.dumps(evidence.pop("seconds")), encoding="utf-8")
    part = folder / f"{FILE}.part"
    part.write_text(json.dumps(evidence, indent=1, ensure_ascii=False), encoding="utf-8")
    os.replace(part, folder / FILE)


def take_in(folder, files):
    """Writes the files of evidence that was collected elsewhere, {name: bytes}."""
    clear(folder)
    for name in sorted(files, key=lambda name: name == FILE):  # which makes it complete
        part = folder / f"{Path(name).name}.part"
        part.write_bytes(files[name])
        os.replace(part, folder / Path(name).name)


def read_evidence(folder):
    """Returns the evidence in a folder, None where it is not there or not complete."""
    try:
        found = json.loads((folder / FILE).read_text(encoding="utf-8"))
        return found | {"seconds": json.loads((folder / TIMES).read_text(encoding="utf-8"))}
    except (OSError, ValueError, RecursionError):
        return None


def digest_of(path):
    """Returns the SHA-256 of what a file holds."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while some := file.read(CHUNK):
            digest.update(some)
    return digest.hexdigest()


def digest_if_read(path):
    """Returns the SHA-256 of a file, "" where it cannot be read."""
    try:
        return digest_of(path)
    except OSError:
        return ""


def _digest(data):
    return hashlib.sha256(data).hexdigest()
