"""Finds the notebook in a hand-in: nothing in an archive is believed to be well formed."""

import contextlib
import tempfile
import zipfile
from pathlib import Path, PurePosixPath

from grading.notebook import NOTEBOOK

__all__ = ["unpacked"]

MOST_BYTES, MOST_ENTRIES = 500_000_000, 10_000


@contextlib.contextmanager
def unpacked(path):
    """Gives the notebook of a hand-in, while its files are there.

    Args:
        path: An .ipynb, which is given back, or a .zip, which is unpacked into a temporary folder.

    Raises:
        ValueError: If the archive is broken or too large, would write outside its folder, or does
            not hold one notebook.
    """
    if path.suffix.lower() != ".zip" and not zipfile.is_zipfile(path):
        yield path
        return
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        try:
            with zipfile.ZipFile(path) as archive:
                name = _extract(archive, path.name, folder)
        except ValueError:
            raise
        except Exception as e:  # what zipfile raises differs from one broken file to the next
            raise ValueError(
                f"{path.name} cannot be unpacked ({type(e).__name__}: {e}): pack it again"
            ) from e
        yield Path(folder, name)


def _extract(archive, name, folder):
    """Unpacks an archive; returns its notebook's name."""
    entries = archive.infolist()
    size = sum(entry.file_size for entry in entries)
    if len(entries) > MOST_ENTRIES or size > MOST_BYTES:
        raise ValueError(
            f"{name} holds {len(entries):,} entries of {size / 1e6:,.0f} MB, at most "
            f"{MOST_ENTRIES:,} of {MOST_BYTES / 1e6:,.0f} MB are expected: unzip it yourself"
        )
    for entry in entries:
        place = PurePosixPath(entry.filename.replace("\\", "/"))
        if place.is_absolute() or ".." in place.parts or ":" in entry.filename:
            raise ValueError(
                f"{name} would write {entry.filename!r} outside its folder: nothing was unpacked"
            )
    notebook = _notebook(name, [entry.filename for entry in entries if not entry.is_dir()])
    archive.extractall(folder)
    return notebook


def _notebook(archive, names):
    """Chooses the notebook of the hand-in, the one nearest to the top if it has the kit's name."""
    found = [PurePosixPath(name) for name in names if name.lower().endswith(".ipynb")]
    found = [path for path in found if not any(_is_aside(part) for part in path.parts)]
    named = [path for path in found if path.name == NOTEBOOK]
    depth = min((len(path.parts) for path in named), default=0)
    chosen = [path for path in named if len(path.parts) == depth] or found
    if len(chosen) != 1:
        listed = ", ".join(map(str, chosen[:5])) or "none"
        raise ValueError(
            f"{archive} holds {len(chosen)} notebooks ({listed}), expected one: name it {NOTEBOOK}"
        )
    return str(chosen[0])


def _is_aside(part):
    return part.startswith(".") or part == "__MACOSX"
