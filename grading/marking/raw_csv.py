"""A table as CSV in which single cells are replaced, and every other byte stays as it was."""

import csv
import io
import re

from languages import _

__all__ = ["RawCsv"]

BOM = "\ufeff"
LONGEST_CELL = 50_000_000  # characters; Python's own limit is below what students write online
PARTERS = ",;\t"


class RawCsv:
    """The cells of a CSV file.

    Attributes:
        rows: Lists of texts, as `csv` reads them; a blank line is an empty list.
    """

    def __init__(self, content, name):
        """Reads a file.

        Args:
            content: Its bytes.
            name: How a message calls it.

        Raises:
            ValueError: If it is not UTF-8, or no CSV.
        """
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError:
            told = _("{file} is not in UTF-8: give it as it was downloaded, not saved by a program")
            raise ValueError(told.format(file=name)) from None
        self._bom = BOM if text.startswith(BOM) else ""
        text = text.removeprefix(BOM)
        csv.field_size_limit(LONGEST_CELL)
        self._parter = PARTERS[0]
        try:
            self._parter = max(PARTERS, key=lambda parter: len(next(_cells(text, parter), [])))
            self.rows = [*_cells(text, self._parter)]
        except csv.Error:
            self.rows = []
        self._raw = _split(text, self._parter)
        if not self.rows or [len(row) or 1 for row in self.rows] != [*map(len, self._raw)]:
            raise ValueError(_("{file} is no CSV: download it again").format(file=name))

    def put(self, row, column, text):
        """Writes a text into a cell, in quotes where the cell had them or needs them."""
        raw, end = self._raw[row][column]
        if raw.startswith('"') or re.search(rf'[{self._parter}"\r\n]|^\s|\s$', text):
            raw = '"' + text.replace('"', '""') + '"'
        else:
            raw = text
        self._raw[row][column] = raw, end
        self.rows[row][column] = text

    def content(self):
        """Returns the bytes of the file with what was put in."""
        return (self._bom + "".join(raw + end for row in self._raw for raw, end in row)).encode()


def _cells(text, parter):
    return csv.reader(io.StringIO(text, newline=""), delimiter=parter)


def _split(text, parter):
    """Returns rows of (cell as it is written, what ends it)."""
    cell = re.compile(rf'((?:"(?:[^"]|"")*")?[^{parter}\r\n]*)({parter}|\r\n|\r|\n|\Z)')
    rows, at, row = [], 0, []
    while at < len(text) or row:
        found = cell.match(text, at)
        at = found.end()
        row.append(found.groups())
        if found[2] != parter:
            rows.append(row)
            row = []
    return rows
