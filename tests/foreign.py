"""Prints what the grader's pages say in English where every message is translated: `python -m`.

Every letter of a message becomes another one, so that a Latin word was never given to translation.
"""

import json
import re
from pathlib import Path

import languages

__all__ = ["left_in_english"]

CODES = {"kind", "result", "player", "wall", "game", "packed", "digest", "strip", "copy", "picture"}
NAMES = {"NatureModel", "Policy", "ComputeValueTargets", "MergeTimeBatch", "A2C", "bubblewrap"}
NAMES |= {"Space", "Invaders", "SpaceInvadersNoFrameskip", "PongNoFrameskip", "v4"}
SHOWN = re.compile(r'(?:aria-label|alt|placeholder|title)="([^"]*)"')
HIDDEN = re.compile(r"<(style|script)>.*?</\1>", re.DOTALL)


def translated(message):
    """Returns a message in a language of one letter; what braces hold stays."""
    return re.sub(r"{[^}]*}|[a-zA-Z]", lambda one: one[0] if one[0][0] == "{" else "ж", message)


def speak():
    """Lets all modules that are imported from now on speak that language."""
    languages._ = translated
    languages.ngettext = lambda one, many, n: translated(one if n == 1 else many)
    languages.pgettext = lambda context, message: translated(message)


def without_words(value, key=""):
    """Returns evidence whose texts, but for codes, hold no word."""
    if isinstance(value, dict):
        return {name: without_words(one, name) for name, one in value.items()}
    if isinstance(value, list):
        return [without_words(one, key) for one in value]
    return "1" if isinstance(value, str) and value and key not in CODES else value


def words(page, known):
    """Returns the Latin words that a page, or a text, shows; hexadecimal digits are none."""
    page = HIDDEN.sub("", page)
    texts = [*SHOWN.findall(page), re.sub(r"<[^>]*>", " ", page)]
    found = re.findall(r"(?<!\w)[A-Za-z]\w*(?!\w)", " ".join(texts))
    return {one for one in found if not re.fullmatch("[0-9a-f]{64}", one)} - known


def left_in_english(folder):
    """Returns the words that are left on pages of many hand-ins, sorted."""
    from grading.marking import pages
    from grading.marking.verdict import decide
    from lesson.assignment import read_assignment
    from lesson.pictures import CAPTIONS
    from tests.records import alike, another, changed, record, refused
    from tests.test_verdict import ASKS, FITS

    course = read_assignment()._replace(deadline="2026-11-01")  # which is before all of them
    known = NAMES | {word for text in CAPTIONS.values() for word in re.findall(r"\w+", text)}
    twice = record()["videos"]["files"][:1] * 2
    changes = [*ASKS, *FITS, ("replay.player", "the reference network", "")]
    changes += [("videos.files", twice, ""), ("pictures.files.0.shown", False, "")]
    made = [changed(another(f"{k}"), path, value) for k, (path, value, _) in enumerate(changes)]
    made = [without_words(one) for one in [*made, record(), record(file="2"), refused()]]
    found = alike([{**one, "digest": f"{k}"} for k, one in enumerate(made)], made[0])
    entries = []
    for k, (same, one) in enumerate(zip(found.values(), made, strict=True)):
        ruled, newer = (8.5, "") if k % 3 == 1 else None, "1" if k % 3 == 2 else ""
        verdict = decide(one, same, course, ruled, newer)
        entries.append(pages.Entry(f"{k}", folder, one, verdict, same))
    told = [pages.class_page(entries, read_assignment())]  # with a deadline that nobody set
    told += [pages.task(part, entries, 7, course) for part in pages.PARTS]
    told += [pages.student(one.evidence, folder, one.verdict, course) for one in entries]
    for one in entries:
        told.append(pages.feedback(one.evidence, one.verdict, one.verdict.reasons, course))
    return sorted({word for page in told for word in words(page, known)})


if __name__ == "__main__":
    speak()
    print(json.dumps(left_in_english(Path("nowhere"))))
