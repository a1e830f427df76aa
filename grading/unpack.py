"""Unpacks a hand-in and finds its notebook: nothing in an archive is believed to be well formed."""

import contextlib
import re
import shutil
import stat
import tempfile
import unicodedata
import zipfile
from pathlib import Path, PurePosixPath

from grading.notebook import NOTEBOOK

__all__ = ["unpacked"]

MOST_BYTES, MOST_ENTRIES = 500_000_000, 10_000


@contextlib.contextmanager
def unpacked(path):
    """Gives the notebook of a hand-in, while its files are there.

    Args:
        path: A .zip, which is unpacked into a temporary folder, or an .ipynb, which is copied there
            with the modules that lie beside it.

    Raises:
        ValueError: If the archive is broken, encrypted or too large, holds a link or two files of
            one name, would write outside its folder, or does not hold one notebook.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        if path.suffix.lower() != ".zip" and not zipfile.is_zipfile(path):
            for file in (path, *path.parent.glob("*.py")):
                if file.is_file():
                    shutil.copy(file, folder)
            yield Path(folder, path.name)
            return
        try:
            with zipfile.ZipFile(path) as archive:
                name = _extract(archive, path.name, Path(folder))
        except _Refused as e:
            raise ValueError(f"{path.name} {e}") from None
        except Exception as e:  # what zipfile raises differs from one broken file to the next
            raise ValueError(
                f"{path.name} cannot be unpacked ({type(e).__name__}: {_shown(e)}): pack it again"
            ) from e
        yield Path(folder, name)


class _Refused(Exception):
    """What an archive holds or would do; the sentence begins with its name."""


def _extract(archive, name, folder):
    """Unpacks an archive; returns its notebook's path in the folder."""
    entries = archive.infolist()
    size = sum(entry.file_size for entry in entries)
    if len(entries) > MOST_ENTRIES or size > MOST_BYTES:
        raise _Refused(
            f"holds {len(entries):,} entries of {size / 1e6:,.0f} MB, at most {MOST_ENTRIES:,} of "
            f"{MOST_BYTES / 1e6:,.0f} MB are expected: unzip it yourself"
        )
    places = _places([entry for entry in entries if not entry.is_dir()])
    notebook = _notebook(places)
    for place, entry in places.items():
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        with archive.open(entry) as packed, open(folder / place, "xb") as file:
            shutil.copyfileobj(packed, file)
            if file.tell() != entry.file_size:
                raise _Refused(f"holds only a part of {_shown(place)}: pack it again")
    return notebook


def _places(entries):
    """Returns {path in the folder: entry}; none leads outside, and no two are one file."""
    places, seen = {}, set()
    for entry in entries:
        name = _name(entry)
        place = PurePosixPath(name.replace("\\", "/"))
        if place.is_absolute() or ".." in place.parts or re.search(r"^\w:|[\0\r\n]", name):
            raise _Refused(f"would write {_shown(name)} outside its folder: nothing was unpacked")
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if kind not in (0, stat.S_IFREG):
            raise _Refused(f"holds {_shown(name)}, which is no plain file: pack it again without")
        if entry.flag_bits & 1:
            raise _Refused("is encrypted: pack it again without a password")
        same = unicodedata.normalize("NFC", str(place)).casefold()  # to some file system
        if same in seen:
            raise _Refused(f"holds {_shown(name)} twice: pack it again with one of them")
        seen.add(same)
        places[place] = entry
    return places


def _name(entry):
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


def _notebook(places):
    """Chooses the notebook of the hand-in, the one nearest to the top if it has the kit's name."""
    found = [path for path in places if path.suffix.lower() == ".ipynb"]
    found = [path for path in found if not any(_is_aside(part) for part in path.parts)]
    named = [path for path in found if path.name == NOTEBOOK]
    depth = min((len(path.parts) for path in named), default=0)
    chosen = [path for path in named if len(path.parts) == depth] or found
    if len(chosen) != 1:
        listed = ", ".join(_shown(path) for path in chosen[:5]) or "none"
        raise _Refused(
            f"holds {len(chosen)} notebooks ({listed}), expected one: name it {NOTEBOOK}"
        )
    return chosen[0]


def _is_aside(part):
    return part.startswith(".") or part == "__MACOSX"
