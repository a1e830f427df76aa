"""Brings a translation up to date with its source: `python -m release.catalogue LANGUAGE`.

Writes languages/LANGUAGE.po: what is new stands there without a translation, what changed with the
older one, marked fuzzy. It says how much is left to do, and exits with 1 until nothing is.
"""

import argparse
import sys
from datetime import datetime, timezone
from pathlib import Path

import nbformat
from babel import Locale, UnknownLocaleError
from babel.messages import Catalog, extract, pofile

from languages import FOLDER
from release.passages import translate_markdown, translate_notebook
from release.students import make_students_notebook

__all__ = ["STUDENTS_README", "bring_up_to_date", "lacking", "source"]

ROOT = Path(__file__).parent.parent
NO_DATE = datetime(2000, 1, 1, tzinfo=timezone.utc)  # of today, it would change at every call
NOTEBOOK = "a2c_assignment.ipynb"
STUDENTS_README = "release/students.md"
GLOSSARY = (  # terms that a language calls by one name everywhere; alternatives stand after a slash
    *("actor", "advantage", "agent step", "baseline", "checkpoint", "clip", "critic", "entropy"),
    *("coefficient of determination", "entropy bonus", "environment", "episode", "gradient norm"),
    *("hand-in", "learning rate", "observation", "partial trajectory", "policy", "policy loss"),
    *("reward", "seed", "total loss", "value function", "value loss", "value target"),
)
WORDS = {"_": None, "N_": None, "ngettext": (1, 2), "pgettext": ((1, "c"), 2)}
METHODS = [("**/templates/**.html", "jinja2"), ("**.py", "python")]
FOLDERS = ("languages", "training", "lesson", "tests/checks", "grading", "benchmarks", "release")
MODULES = ("env_batch.py", "atari_wrappers.py", "runners.py")


def source(root=ROOT):
    """Returns the Catalog of all that is translated, each message with where it stands.

    Messages of code have no context; a passage of the notebook has the id of its cell, one of the
    students' README the name of that file, a term of the glossary "glossary".
    """
    catalogue = Catalog(fuzzy=False, creation_date=NO_DATE)
    for term in GLOSSARY:
        catalogue.add(term, context="glossary")
    for name, line, message, comments, context in _messages(Path(root)):
        catalogue.add(message, None, [(name, line)], auto_comments=comments, context=context)
    for context, passage in _passages(Path(root)):
        name = STUDENTS_README if context == STUDENTS_README else NOTEBOOK
        catalogue.add(passage, None, [(name, None)], context=context)
    return catalogue


def _messages(root):
    """Yields (file, line, message, comments, context) of what the code says."""
    for folder in FOLDERS:
        found = extract.extract_from_dir(root / folder, METHODS, keywords=WORDS)
        yield from ((f"{folder}/{name}", *rest) for name, *rest in found)
    for name in MODULES:
        with (root / name).open("rb") as file:
            found = extract.extract("python", file, keywords=WORDS)
            yield from ((name, *rest) for rest in found)


def _passages(root):
    """Returns (context, passage) of the students' notebook and README."""
    found = []

    def note(context, passage):
        found.append((context, passage))
        return passage

    solved = nbformat.read(root / NOTEBOOK, as_version=4)
    translate_notebook(make_students_notebook(solved), note)
    text = (root / STUDENTS_README).read_text(encoding="utf-8")
    translate_markdown(text, lambda passage: note(STUDENTS_README, passage))
    return found


def bring_up_to_date(language, root=ROOT, folder=FOLDER):
    """Writes the file of a language as the source is now; returns its Catalog.

    Raises:
        ValueError: If there is no such language.
    """
    try:
        Locale.parse(language)
    except (UnknownLocaleError, ValueError) as e:
        raise ValueError(f"{e}: expected a code as ru or de") from e
    path, catalogue = Path(folder) / f"{language}.po", Catalog(language, fuzzy=False)
    if path.is_file():
        with path.open("rb") as file:
            catalogue = pofile.read_po(file, locale=language)
    catalogue.update(source(root))
    catalogue.header_comment = f"# The kit in {Locale.parse(language).english_name}."
    with path.open("wb") as file:
        pofile.write_po(file, catalogue, width=100, ignore_obsolete=True, include_lineno=False)
    return catalogue


def lacking(catalogue):
    """Returns the messages that have no translation, or that of an older source."""
    return [
        message
        for message in catalogue
        if message.id and (message.fuzzy or not all(_strings(message)))
    ]


def _strings(message):
    return message.string if isinstance(message.string, tuple) else (message.string,)


def main(arguments=None):
    """Brings a file up to date; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m release.catalogue", description=__doc__)
    parser.add_argument("language", metavar="LANGUAGE", help="its code, as ru")
    try:
        catalogue = bring_up_to_date(parser.parse_args(arguments).language)
    except ValueError as e:
        print(f"catalogue: {e}", file=sys.stderr)
        return 1
    left = lacking(catalogue)
    fuzzy = sum(message.fuzzy for message in left)
    print(f"{len(catalogue)} messages, {len(left) - fuzzy} to translate, {fuzzy} to read again")
    return int(bool(left))


if __name__ == "__main__":
    sys.exit(main())
