"""The students' files in the language of their course."""

import io
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat
from babel.messages import Catalog, pofile

from benchmarks.pictures import renewed
from benchmarks.report import filled
from languages import FOLDER, SOURCE, languages, translation
from lesson.assignment import parse_assignment
from release import ReleaseError
from release.assigned import in_words, texts
from release.catalogue import NOTEBOOK, STUDENTS_README
from release.passages import translate_markdown, translate_notebook

__all__ = ["translated"]

ROOT = Path(__file__).parent.parent
SETTINGS, README, PICTURES = "assignment.json", "README.md", "img/reference"
REFERENCE = "grading/reference/"  # names the mistakes that tests/checks/expected.npz knows


def translated(files, language):
    """Returns what students get in a language; what is not yet translated stays in English.

    Args:
        files: {name: bytes} of the kit in English.
        language: Its code, as `languages.languages` gives it.

    Raises:
        ReleaseError: If there is no such language.
    """
    if language not in languages():
        raise ReleaseError(f"language is {language!r}: expected one of {', '.join(languages())}")
    words = translation(language)
    assignment = parse_assignment(files[SETTINGS].decode(), SETTINGS)
    told = texts(assignment, words.gettext)
    readme = translate_markdown(
        files[README].decode(), lambda passage: words.pgettext(STUDENTS_README, passage)
    )
    book, pictures = nbformat.reads(files[NOTEBOOK].decode(), as_version=4), _draw(language)
    translate_notebook(book, words.pgettext)
    for cell in book.cells:
        if cell.cell_type == "markdown":
            cell.source = renewed(filled(cell.source, told), pictures)
    kept = {f"{PICTURES}/{name}.png": data for name, data in pictures.items()}
    return {
        **files,
        **{name: data for name, data in kept.items() if name in files},
        **_messages(language, files),
        SETTINGS: _settings(files[SETTINGS], in_words(assignment, words.gettext), language),
        README: filled(readme, told).encode(),
        NOTEBOOK: (nbformat.writes(book) + "\n").encode(),
    }


def _draw(language):
    """Returns {label: PNG} of the pictures that hold words, but for those in English."""
    if language == SOURCE:
        return {}
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [sys.executable, "-m", "benchmarks.pictures", folder],
            env={**os.environ, "A2C_LANGUAGE": language},
            cwd=ROOT,
            check=True,
        )
        return {path.stem: path.read_bytes() for path in sorted(Path(folder).glob("*.png"))}


def _messages(language, files):
    """Returns {name: bytes} of the translation of what the files of a kit say."""
    if language == SOURCE:
        return {}
    with (FOLDER / f"{language}.po").open("rb") as file:
        whole = pofile.read_po(file)
    said = Catalog(language, fuzzy=False, creation_date=whole.creation_date)
    code = {name for name in files if name.endswith(".py")}
    for message in whole:
        places = [name for name, _line in message.locations]
        if message.id and any(name in code or name.startswith(REFERENCE) for name in places):
            said.add(message.id, message.string, context=message.context)
    said.header_comment = whole.header_comment
    written = io.BytesIO()
    pofile.write_po(written, said, width=100)
    return {f"languages/{language}.po": written.getvalue()}


def _settings(given, told, language):
    """Returns `assignment.json` with the language, and with what nobody has set in it."""
    new = {key: getattr(told, key) for key in ("deadline", "hand_in", "ask")}
    new, values = {"language": language, **new}, json.loads(given)
    if all(values.get(key) == value for key, value in new.items()):
        return given
    return (json.dumps(values | new, indent=1, ensure_ascii=False) + "\n").encode()
