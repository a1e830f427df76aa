"""The words that people read, in the language of their course.

English stands in the code. A file `xx.po` beside this one holds another language: each message,
and each passage of the notebook and of the students' README, with its translation.
"""

import gettext
import io
import json
import os
from pathlib import Path

__all__ = [
    *("FOLDER", "SOURCE", "N_", "_", "chosen", "grouped", "languages", "listed", "ngettext"),
    *("pgettext", "translation"),
]

FOLDER = Path(__file__).parent
SOURCE = "en"  # the language of the code


def languages():
    """Returns the languages that there are, English first."""
    return [SOURCE, *sorted(path.stem for path in FOLDER.glob("*.po"))]


def chosen():
    """Returns the language: that of `A2C_LANGUAGE`, else that of `assignment.json`, else "en"."""
    try:
        text = (FOLDER.parent / "assignment.json").read_text(encoding="utf-8")
        language = json.loads(text)["language"]
    except (OSError, ValueError, KeyError, TypeError):  # who reads the rest of it says so
        language = SOURCE
    return os.environ.get("A2C_LANGUAGE") or language


def translation(language):
    """Returns the gettext translations of a language; without a file of its own, English ones."""
    path = FOLDER / f"{Path(str(language)).name}.po"
    if language == SOURCE or not path.is_file():
        return gettext.NullTranslations()
    try:
        from babel.messages import mofile, pofile  # takes a tenth of a second
    except ImportError:  # the notebook's first cell installs it
        return gettext.NullTranslations()
    with path.open("rb") as file:
        catalogue = pofile.read_po(file)
    compiled = io.BytesIO()
    mofile.write_mo(compiled, catalogue)
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)


_words = translation(chosen())
_, ngettext, pgettext = _words.gettext, _words.ngettext, _words.pgettext


def N_(message):  # noqa: N802, gettext's own name
    """Marks a message that is translated elsewhere, by `_`, and returns it as it is."""
    return message


def grouped(number, form=""):
    """Returns a number with its thousands set apart, as the language does.

    Args:
        number: Any number.
        form: Its digits, as in a format: ".0f" rounds it.
    """
    return f"{number:,{form}}".replace(",", pgettext("between thousands", ","))


def listed(names):
    """Returns names as people list them: "one", "one and another", "one, another and a third"."""
    *first, last = names or [""]
    return _("{these} and {that}").format(these=", ".join(first), that=last) if first else last
