"""The table that tells whose each file of a folder is, where no system's names tell it."""

import csv
import io
import unicodedata
from pathlib import PurePosixPath

from languages import _, listed

__all__ = ["Mapping", "nfc"]


class Mapping:
    """The table that tells whose each file is, or each folder."""

    def __init__(self, path=None):
        """Reads the table, a CSV file with columns `file`, `name` and `id`, and any others.

        Args:
            path: The file; without one, no file is anybody's.

        Raises:
            ValueError: If it cannot be read, lacks a column, or has two rows for one file.
        """
        self._rows = {nfc(file): row for file, row in _read(path).items()} if path else {}
        self._used = set()

    def of(self, name, anywhere=True):
        """Returns whose a file is, None where the table does not tell.

        Args:
            name: PurePosixPath of the file.
            anywhere: Whether a row without a folder means the file in whatever folder it lies.

        Returns:
            The path that the table names, the file's own or that of a folder above, and (id, name).
        """
        places = name, *name.parents
        for place in (*places, PurePosixPath(name.name)) if anywhere else places:
            if row := self._rows.get(nfc(str(place))):
                self._used.add(nfc(str(place)))
                return (place if place in places else name), row
        return None

    def unused(self):
        """Returns a line for each file of the table that is not there."""
        text = _("the mapping names {file}, which is not there")
        return [text.format(file=file) for file in self._rows if file not in self._used]


def _read(path):
    """Returns {file: (id, name)} of a mapping."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as e:
        text = _("the mapping {file} cannot be read ({error}): save it as CSV in UTF-8")
        raise ValueError(text.format(file=path, error=e)) from e
    head = text.split("\n", 1)[0]
    table = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=head.count))
    header, *lines = [line for line in table if line] or [[]]
    columns = [cell.strip().casefold() for cell in header]
    if missing := [name for name in ("file", "name", "id") if name not in columns]:
        text = _("the mapping {file} has no column {names}; it has: {found}")
        told = dict(names=listed(missing), found=", ".join(header) or _("none"))
        raise ValueError(text.format(file=path, **told))
    at = [columns.index(name) for name in ("file", "id", "name")]
    cells = [[(line + [""] * len(columns))[k].strip() for k in at] for line in lines]
    return _once({}, [row for row in cells if row[0]], path)


def _once(rows, cells, path):
    """Returns {file: (id, name)} where no file has two rows."""
    for file, owner, name in cells:
        if file in rows:
            text = _("the mapping {file} has two rows for {twice}: keep one")
            raise ValueError(text.format(file=path, twice=file))
        rows[file] = owner, name
    return rows


def nfc(text):
    """Returns a name as most systems write it; macOS sets accents apart."""
    return unicodedata.normalize("NFC", text)
