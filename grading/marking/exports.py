"""Whose hand-in each file is, read from what a course's system hands out for download.

Moodle names files as in its `mod/assign/classes/downloader.php`, Canvas as in its
`lib/content_zipper.rb`; Gradescope lays a `submission_metadata.yml` beside its folders. For any
other system a table tells whose each file is.
"""

import hashlib
import itertools
import os
import re
import shutil
import zipfile
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import yaml

from grading.marking.loose import put_together
from grading.marking.mapping import Mapping, nfc
from grading.marking.shelf import find_hand_ins
from grading.unpack import OTHERS, is_aside, name_of, unzip
from languages import _

__all__ = ["Delivered", "find_delivered", "who"]

FOLDER = "exports"  # below the folder of pages: what was unpacked and put together
MOST_ENTRIES = 1_000_000  # of an export
MOST_BYTES, MOST_TIMES = 500_000_000, 20  # what it unpacks to, or so many times its own size
METADATA = "submission_metadata.yml"
ARCHIVES = {".zip", *OTHERS}
HAND_INS = {".ipynb", *ARCHIVES}
MOODLE = re.compile(
    r"(?P<name>[^_]+)(_(?P<owner>\d+))?_assignsubmission_(?P<plugin>[a-z]+)(_(?P<file>.*))?"
)
# The name has no space and no sign, and of the numbers the first two count: so Canvas reads it too.
# Ruby's [[:word:]], which Canvas keeps, holds marks of Indic and Thai letters, and \w does not.
WORD = r"[\w\x80-\U0010ffff]"
CANVAS = re.compile(
    rf"((?P<name>{WORD}+?)(?P<late>_LATE)?_(?P<owner>\d+)|(?P<late_too>LATE_)?anon_(?P<anon>[^\W_]+))"
    r"_\d+_(?P<file>.+)"
)
CANVAS_TEXT = re.compile(rf"({WORD}+_\d+|(LATE_)?anon_[^\W_]+)_(text|link)\.html")


class Delivered(NamedTuple):
    """A hand-in, and what the system that collected it says of it."""

    path: Path  # the archive or notebook that is graded
    place: str = ""  # of it, or of the files that it was put together from, in the export
    system: str = ""  # "Moodle", "Canvas", "Gradescope", "mapping", or "" for no export
    owner: str = ""  # the number of the student or the team there
    name: str = ""  # of the student or the team there
    late: bool = False  # the system says so


class _File(NamedTuple):
    """A file of an export."""

    system: str  # as of a Delivered
    path: Path
    place: PurePosixPath  # in the export
    top: PurePosixPath  # there: of the folder of one who handed in, or else the file's place
    given: PurePosixPath  # its name as the student gave it
    owner: str
    name: str
    late: bool = False


def find_delivered(paths, out, mapping=None):
    """Returns the hand-ins below some paths, and lines on what is not clear about them.

    Args:
        paths: Hand-ins, folders of them, and exports: folders or .zip files.
        out: The folder of pages, which is passed over, but for what is unpacked there.
        mapping: A CSV file with columns `file`, `name` and `id`, for what no system names.

    Returns:
        {path: Delivered}, each path once, and a list of lines.

    Raises:
        FileNotFoundError: If a path is not there, or holds no hand-in.
        ValueError: If an export cannot be unpacked, or the mapping cannot be used.
    """
    mapping = Mapping(mapping)
    found, told = {}, []
    for path in map(Path, paths):
        delivered, lines = _below(path, Path(out), mapping)
        found |= {each.path: each for each in delivered}
        told += lines
    told += mapping.unused()
    if not found:
        text = _("no hand-in was found below these paths: {paths}")
        text = text.format(paths=", ".join(map(str, paths)))
        raise FileNotFoundError("; ".join([text, *told]))
    return found, told


def who(delivered):
    """Returns a student or a team as a line names them."""
    name, owner = delivered.name, delivered.owner
    return f"{name} ({owner})" if name and owner else name or owner or delivered.path.name


def _below(path, out, mapping):
    """Returns what was delivered below one path, a list of Delivered, and lines."""
    names = _names(path, out)
    system = _system(names)
    if path.is_file() and system and _is_hand_in(names, _PARTS[system], mapping):
        system = ""
    if not system and not any(map(mapping.of, names)):
        return [_single(one, mapping) for one in find_hand_ins([path], out)], []
    if path.is_file():
        path = _unzipped(path, out)
        names = _names(path, out)
    files = _files(system, path, names, mapping)
    chosen = [_of_student(own, out) for own in _by_student(files)]
    told = [line for _some, lines in chosen for line in lines]
    others = _others(path, names, {file.path for file in files})
    return [*itertools.chain(*(some for some, _lines in chosen)), *others], told


def _single(path, mapping):
    """Returns the Delivered of a hand-in that lies in no export."""
    row = mapping.of(PurePosixPath(path.name))
    return Delivered(path, path.name, "mapping", *row[1]) if row else Delivered(path)


def _others(folder, names, theirs):
    """Returns the hand-ins in an export that nothing tells the owner of."""
    paths = (folder / name for name in names if name.suffix.lower() in HAND_INS)
    return [Delivered(path.resolve()) for path in paths if path not in theirs]


def _names(path, out):
    """Returns the names of all files below a folder or in a .zip, as PurePosixPath."""
    if path.is_dir():
        names = (PurePosixPath(file.relative_to(path).as_posix()) for file in _walk(path, out))
    else:
        names = _packed(path) if path.suffix.lower() == ".zip" and path.is_file() else ()
    return sorted(name for name in names if not any(map(is_aside, name.parts)))


def _packed(path):
    """Returns the names of the files in a .zip, none of one that is broken."""
    try:
        with zipfile.ZipFile(path) as archive:
            files = [name_of(entry) for entry in archive.infolist() if not entry.is_dir()]
    except Exception:  # in one of many ways; the hand-in's page will tell
        return []
    return [PurePosixPath(file.replace("\\", "/")) for file in files]


def _walk(folder, out):
    """Yields the plain files below a folder: a link could lead to any file of the grader's."""
    for where, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if Path(where, name).resolve() != out.resolve()]
        paths = (Path(where, name) for name in files)
        yield from (path for path in paths if path.is_file() and not path.is_symlink())


def _system(names):
    """Returns which system an export with these files is of, "" where it is none."""
    if _metadata(names):
        return "Gradescope"
    if any(_moodle_part(name) for name in names):
        return "Moodle"
    return "Canvas" if _is_canvas(names) else ""


def _is_hand_in(names, is_systems, mapping):
    """Says whether a .zip is one student's: with a notebook that its system would not put there."""
    books = [name for name in names if name.suffix.lower() == ".ipynb"]
    return any(not is_systems(name) and not mapping.of(name) for name in books)


def _is_canvas(names):
    """Says whether most of the hand-ins are called as Canvas calls them, and lie in one folder."""
    judged = [name for name in names if name.suffix.lower() in HAND_INS]
    judged = judged or [name for name in names if name.suffix.lower() != ".csv"]
    called = [name for name in judged if _canvas_part(name)]
    is_flat = len({name.parent for name in called}) == 1 and len(called[0].parts) <= 2
    return is_flat and len(called) > len(judged) / 2


# the files of each system


def _files(system, folder, names, mapping):
    """Returns the files whose owner is told: by the table, or else by the system."""
    read = _READERS[system](folder, names) if system else ()
    files = {file.path: file for file in read}
    for name in names:
        path = folder / name
        is_students = path in files and files[path].given.name == name.name  # who chose that name
        if row := mapping.of(name, anywhere=not is_students):
            files[path] = _mapped(path, name, *row)
    return [*files.values()]


def _mapped(path, name, base, whose):
    """Returns the file that a row of the table names, or whose folder it names."""
    given = name.relative_to(base) if base != name else PurePosixPath(name.name)
    return _File("mapping", path, name, base, given, *whose)


def _moodle_part(name):
    """Returns the match of the part of a path that Moodle wrote, and where it stands."""
    matches = ((MOODLE.fullmatch(nfc(part)), k) for k, part in enumerate(name.parts))
    return next(((match, k) for match, k in matches if match), None)


def _moodle(folder, names):
    files = []
    for name in names:
        match, k = _moodle_part(name) or (None, 0)
        if match and match["plugin"] == "file":
            given = name.relative_to(*name.parts[: k + 1]) if name.parts[k + 1 :] else match["file"]
            whose = match["owner"] or "", match["name"].strip()
            place = PurePosixPath(*name.parts[k:])
            given = PurePosixPath(given or "")
            top = PurePosixPath(name.parts[k])
            files.append(_File("Moodle", folder / name, place, top, given, *whose))
    return files


def _canvas_part(name):
    """Returns the match of a file's name that Canvas wrote."""
    return CANVAS.fullmatch(nfc(name.name)) or CANVAS_TEXT.fullmatch(nfc(name.name))


def _canvas(folder, names):
    files = []
    for name in names:
        if match := CANVAS.fullmatch(nfc(name.name)):
            whose = match["owner"] or match["anon"], match["name"] or ""
            late = bool(match["late"] or match["late_too"])
            given, place = PurePosixPath(match["file"]), PurePosixPath(name.name)
            files.append(_File("Canvas", folder / name, place, place, given, *whose, late))
    return files


def _metadata(names):
    """Returns the name of Gradescope's own table, and of none that a student handed in, or None."""
    named = [name for name in names if name.name == METADATA and len(name.parts) <= 2]
    named = [name for name in named if not _moodle_part(name)]
    return min(named, key=lambda name: len(name.parts), default=None)


def _gradescope_part(name):
    """Says whether a file lies in a folder that Gradescope named."""
    return any(re.fullmatch(r"submission_\d+", part) for part in name.parts[:2])


def _gradescope(folder, names):
    told = _metadata(names)
    try:
        submissions = yaml.load((folder / told).read_text(encoding="utf-8"), _Texts)
        whose = {key: _submitters(each["submitters"]) for key, each in submissions.items()}
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError, AttributeError) as e:
        text = _("{file} cannot be read ({error}): download the export again")
        raise ValueError(text.format(file=METADATA, error=f"{type(e).__name__}: {e}")) from e
    files = []
    for name in names:
        place = name.relative_to(told.parent) if told.parent in name.parents else name
        if place.parts[0] in whose and len(place.parts) > 1:
            top = PurePosixPath(place.parts[0])
            given, own = place.relative_to(top), whose[place.parts[0]]
            files.append(_File("Gradescope", folder / name, place, top, given, *own))
    return files


class _Texts(yaml.BaseLoader):
    """Reads each value as the text that stands there: no octal number, and no type of Ruby's."""

    def construct_scalar(self, node):
        text = super().construct_scalar(node)
        return "" if node.style is None and text.casefold() in ("~", "null") else text

    def construct_mapping(self, node, deep=False):
        held = super().construct_mapping(node, deep)
        return {key.removeprefix(":"): value for key, value in held.items()}  # a symbol's, or not


def _submitters(people):
    """Returns the numbers and the names of those who handed in together, each in one text."""
    numbers = [_text(one, "sid") or _text(one, "email") for one in people]
    names = [_text(one, "name") for one in people]
    return ", ".join(filter(None, numbers)), ", ".join(filter(None, names))


def _text(person, key):
    """Returns one value of a submitter, "" where there is none."""
    value = person.get(key, "")
    if isinstance(value, str):
        return value
    raise TypeError(type(value).__name__)


_READERS = {"Moodle": _moodle, "Canvas": _canvas, "Gradescope": _gradescope}
_PARTS = {"Moodle": _moodle_part, "Canvas": _canvas_part, "Gradescope": _gradescope_part}


# of one student


def _by_student(files):
    """Returns the files of each student, in order; two of whom nothing is told are not one."""
    groups = {}
    for file in files:
        whose = (file.owner, file.name) if file.owner or file.name else file.top
        groups.setdefault((file.system, whose, file.late), []).append(file)
    return groups.values()


def _of_student(files, out):
    """Returns the hand-ins of one student, one as a rule, and lines on what is not clear."""
    archives = [file for file in files if file.given.suffix.lower() in ARCHIVES]
    holding = [file for file in archives if _holds_notebook(file.path)]
    books = [file for file in files if file.given.suffix.lower() == ".ipynb"]
    taken = holding or archives
    if books and not holding:
        path, place = put_together(files, out / FOLDER / "together"), books[0].top
        return [_delivered(path, place, books[0])], []
    lines = _lines(files, taken, books)
    return [_delivered(file.path, file.place, file) for file in taken], lines


def _delivered(path, place, file):
    return Delivered(path.resolve(), str(place), file.system, file.owner, file.name, file.late)


def _lines(files, taken, books):
    """Returns lines on a student's files of which not exactly one can be the hand-in."""
    whose = who(_delivered(files[0].path, "", files[0]))
    given, others = (
        ", ".join(str(file.given) for file in some) for some in (taken or files, books)
    )
    if not taken:
        text = _("{student} handed in no archive and no notebook, but: {files}")
    elif len(taken) > 1:
        text = _(
            "{student} handed in several archives that may be the hand-in: {files}. Each is "
            "graded: overrule one in grades.csv, or take the others out of the export."
        )
    elif books:
        text = _("{student}: {files} is graded, and not what lies beside it: {others}")
    else:
        return []
    return [text.format(student=whose, files=given, others=others)]


def _holds_notebook(path):
    books = (name for name in _packed(path) if name.suffix.lower() == ".ipynb")
    return any(not any(map(is_aside, name.parts)) for name in books)


def _unzipped(path, out):
    """Unpacks an export below the folder of pages, once, and returns where it lies."""
    held = path.stat()
    made_of = f"{held.st_size} {held.st_mtime_ns}"
    folder = out / FOLDER / f"{path.stem[:40].strip()}-{_digest(str(path.resolve()))[:6]}"
    told = folder / ".unpacked"
    if not (told.is_file() and told.read_text() == made_of):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        most = min(max(MOST_BYTES, MOST_TIMES * held.st_size), shutil.disk_usage(folder).free)
        try:
            unzip(path, folder, most=(MOST_ENTRIES, most))
        except OSError as e:
            text = _("{archive} cannot be unpacked into {folder} ({error}): make room there")
            raise ValueError(text.format(archive=path.name, folder=folder, error=e)) from e
        told.write_text(made_of)
    return folder


def _digest(text):
    return hashlib.sha256(text.encode()).hexdigest()[:24]
