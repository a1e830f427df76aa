"""Unpacks a hand-in and finds its notebook: nothing in an archive is believed to be well formed."""

import contextlib
import datetime
import errno
import os
import re
import shutil
import stat
import tempfile
import unicodedata
import zipfile
from pathlib import Path, PurePosixPath

from grading.notebook import NOTEBOOK
from languages import _, grouped

__all__ = ["OTHERS", "is_aside", "modules_beside", "name_of", "unpacked", "unzip"]

MOST_BYTES, MOST_ENTRIES = 500_000_000, 10_000
FULL = (errno.ENOSPC, errno.EDQUOT)  # this machine's fault, and no archive's
OTHERS = {".rar", ".7z", ".tar", ".gz", ".tgz", ".bz2", ".xz"}


@contextlib.contextmanager
def unpacked(path):
    """Gives the notebook of a hand-in, while its files are there.

    Args:
        path: A .zip, which is unpacked into a temporary folder with the times of its files, or an
            .ipynb, which is copied there with the modules that lie beside it.

    Raises:
        ValueError: If the archive is no .zip, broken, encrypted or too large, holds a link or two
            files of one name, would write outside its folder, or does not hold one notebook.
        OSError: If there is no room for its files, or they cannot be read.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        if path.suffix.lower() in OTHERS:
            text = _("{archive} is no .zip: unpack it, and pack it again as a .zip")
            raise ValueError(text.format(archive=path.name))
        if path.suffix.lower() != ".zip" and not zipfile.is_zipfile(path):
            for file in (path, *modules_beside(path)):
                shutil.copy2(file, folder)
            yield Path(folder, path.name)
            return
        yield Path(folder, unzip(path, Path(folder), _notebook))


def modules_beside(path):
    """Returns the modules that belong to a hand-in: those beside a notebook in no archive."""
    if path.suffix.lower() in {".zip", *OTHERS}:
        return []
    return sorted(module for module in path.parent.glob("*.py") if module.is_file())


def unzip(path, folder, choose=lambda places, archive: None, most=None):
    """Unpacks a .zip into a folder, with the times of its files.

    Args:
        path: The .zip.
        folder: Where to, an empty folder.
        choose: Takes {path in the folder: entry} and the archive's name before anything is written.
        most: (entries, bytes) that it may hold; without it, what a hand-in may.

    Returns:
        What `choose` returns.

    Raises:
        ValueError: As `unpacked`.
        OSError: If there is no room for it.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = _entries(archive, path.name, most or (MOST_ENTRIES, MOST_BYTES))
            places = _places([entry for entry in entries if not entry.is_dir()], path.name)
            chosen = choose(places, path.name)
            _extract(archive, path.name, places, folder)
            return chosen
    except _Refused:
        raise
    except Exception as e:  # what zipfile raises differs from one broken file to the next
        if isinstance(e, OSError) and e.errno in FULL:
            raise
        text = _("{archive} cannot be unpacked ({error}): pack it again")
        error = f"{type(e).__name__}: {_shown(e)}"
        raise ValueError(text.format(archive=path.name, error=error)) from e


class _Refused(ValueError):
    """What an archive holds or would do."""


def _entries(archive, name, most):
    """Returns the entries of an archive, unless there are too many or they are too large."""
    entries = archive.infolist()
    size = sum(entry.file_size for entry in entries)
    if len(entries) <= most[0] and size <= most[1]:
        return entries
    text = _(
        "{archive} holds {entries} entries of {size} MB, at most {most_entries} of {most_size} "
        "MB are expected: unzip it yourself"
    )
    figures = dict(entries=grouped(len(entries)), size=grouped(round(size / 1e6)))
    most = dict(most_entries=grouped(most[0]), most_size=grouped(round(most[1] / 1e6)))
    raise _Refused(text.format(archive=name, **figures, **most))


def _extract(archive, name, places, folder):
    """Unpacks the entries of an archive."""
    for place, entry in places.items():
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        with archive.open(entry) as packed, open(folder / place, "xb") as file:
            shutil.copyfileobj(packed, file)
            if file.tell() != entry.file_size:
                text = _("{archive} holds only a part of {file}: pack it again")
                raise _Refused(text.format(archive=name, file=_shown(place)))
        with contextlib.suppress(ValueError, OverflowError, OSError):  # a date that is none
            packed_at = datetime.datetime(*entry.date_time).timestamp()
            os.utime(folder / place, (packed_at, packed_at))


def _places(entries, archive):
    """Returns {path in the folder: entry}; none leads outside, and no two are one file."""
    places, seen = {}, set()
    for entry in entries:
        name = name_of(entry)
        place = PurePosixPath(name.replace("\\", "/"))
        if place.is_absolute() or ".." in place.parts or re.search(r"^\w:|[\0\r\n]", name):
            text = _("{archive} would write {file} outside its folder: nothing was unpacked")
            raise _Refused(text.format(archive=archive, file=_shown(name)))
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if kind not in (0, stat.S_IFREG):
            text = _("{archive} holds {file}, which is no plain file: pack it again without")
            raise _Refused(text.format(archive=archive, file=_shown(name)))
        if entry.flag_bits & 1:
            text = _("{archive} is encrypted: pack it again without a password")
            raise _Refused(text.format(archive=archive))
        same = unicodedata.normalize("NFC", str(place)).casefold()  # to some file system
        if same in seen:
            text = _("{archive} holds {file} twice: pack it again with one of them")
            raise _Refused(text.format(archive=archive, file=_shown(name)))
        seen.add(same)
        places[place] = entry
    return places


def name_of(entry):
    """Returns an entry's name, read as what wrote it: UTF-8, or Windows' Russian code pages."""
    if entry.flag_bits & 0x800:
        return entry.filename
    raw = entry.filename.encode("cp437")
    with contextlib.suppress(UnicodeDecodeError):
        return raw.decode("utf-8")
    drawn = any(0xB0 <= byte < 0xE0 for byte in raw)  # lines in cp866, capitals in cp1251
    return raw.decode("cp1251" if drawn else "cp866", errors="replace")


def _shown(text):
    """Returns anybody's text on one line, quoted, and not too long."""
    return ascii(str(text))[:200] if not str(text).isprintable() else repr(str(text)[:200])


def _notebook(places, archive):
    """Chooses the notebook of the hand-in, the one nearest to the top if it has the kit's name."""
    found = [path for path in places if path.suffix.lower() == ".ipynb"]
    found = [path for path in found if not any(is_aside(part) for part in path.parts)]
    named = [path for path in found if path.name == NOTEBOOK]
    depth = min((len(path.parts) for path in named), default=0)
    chosen = [path for path in named if len(path.parts) == depth] or found
    if len(chosen) != 1:
        listed = ", ".join(_shown(path) for path in chosen[:5]) or _("none")
        text = _("{archive} holds {n} notebooks ({listed}), expected one: name it {name}")
        figures = dict(n=len(chosen), listed=listed, name=NOTEBOOK)
        raise _Refused(text.format(archive=archive, **figures))
    return chosen[0]


def is_aside(part):
    """Says whether a part of a path is a program's own, and none of a student's."""
    return part.startswith(".") or part == "__MACOSX"
