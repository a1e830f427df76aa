"""What two hand-ins, or a hand-in and the reference run, have alike that is each student's own."""

import hashlib
from typing import NamedTuple

import numpy as np

from grading.marking.verdict import student
from languages import N_, _, pgettext

__all__ = ["Alike", "Likeness"]

# Of all pieces of code in the five classes, two independent right answers share a tenth as a rule
# and never half, even at their most alike; copies under other names keep 0.8 (test_likeness).
CODE, FEWEST_PIECES = 0.65, 30
COMMENTS, FEWEST_RUNS = 0.3, 8  # runs of six words: hardly any recurs in another student's words
# A network correlates by 0.98 with itself after 400,000 agent steps more, and by 0.5 with its first
# weights after 4 or 10 million: two long runs of one seed by about 0.25, but short ones by near 1.
WEIGHTS, FEWEST_STEPS = 0.9, 1_000_000
CURVES, FEWEST_STRETCHES = 0.1, 2  # stretches of 8 points, equal in every bit
REFERENCE = N_("the reference run")
FEWEST = {  # part: how many pieces two have in common where anything is told of it
    "archive": 1,
    "code": CODE * FEWEST_PIECES,
    "comments": FEWEST_RUNS,
    "weights": 1,
    "curves": FEWEST_STRETCHES,
    "videos": 1,
}
ROWS = 256  # sketches in one array


class Alike(NamedTuple):
    """One thing that a hand-in and another one have alike."""

    part: str  # "archive", "code", "comments", "weights", "curves" or "videos"
    other: str  # the other student and file, or REFERENCE
    how: str  # a sentence with figures that names nobody


class _Held(NamedTuple):
    """What of a hand-in is compared."""

    student: str
    name: str
    pieces: dict  # {part: uint64, sorted}, a number for each piece that a hand-in has of its own
    sketch: np.ndarray
    steps: int  # of the longest run


class _Known(NamedTuple):
    """What is kept of a hand-in beside its pieces and its sketch."""

    key: int
    student: str
    name: str
    sizes: dict  # {part: how many pieces}
    steps: int


class Likeness:
    """What hand-ins have alike; each is compared, as it comes, with those that are there.

    Hand-ins by one student are not compared with each other, unless they are the same file.
    """

    def __init__(self, reference):
        """Starts with no hand-in.

        Args:
            reference: Evidence of the reference run and the solution, as far as there is any; its
                "given" is {"shapes", "phrases"} of the notebook that students start from.
        """
        self._given = _held({"notebook": reference.get("given", {})})
        self._reference = _without(_held(reference), self._given)
        self._all, self._found = [], []  # of each that was put: _Known, {place or None: [Alike]}
        self._places = {}  # key: where the hand-in stands in these
        self._pieces = {part: _Pieces() for part in FEWEST}
        self._sketches = _Sketches()

    def put(self, key, evidence):
        """Adds a hand-in; one that was put under the same key before counts no more.

        Args:
            key: A number, by which hand-ins are ordered.
            evidence: Of the hand-in.
        """
        held = _without(_held(evidence), self._given)
        one, place = _known(key, held), len(self._all)
        self._places[key] = place
        shared = {part: each.put(place, held.pieces[part]) for part, each in self._pieces.items()}
        near = self._sketches.put(place, held.sketch)
        enough = [counts >= FEWEST[part] for part, counts in shared.items()]
        self._found.append(self._to_reference(one, held))
        # both of these stand in sentences after a noun: "the code of the reference run"
        another = pgettext("of", "another hand-in")
        for at in {*np.flatnonzero(np.any(enough, axis=0)).tolist(), *near}:
            counts, other = {part: int(n[at]) for part, n in shared.items()}, self._all[at]
            if told := [*_common(one, other, counts, near.get(at, 0.0), another)]:
                self._found[place][at] = [Alike(part, other.name, text) for part, text in told]
                self._found[at][place] = [Alike(part, one.name, text) for part, text in told]
        self._all.append(one)

    def _to_reference(self, one, held):
        """Returns {None: what a hand-in has alike with the reference}."""
        theirs = pgettext("of", "the reference run")
        other = self._reference
        both = ((part, numbers, other.pieces[part]) for part, numbers in held.pieces.items())
        counts = {part: len(np.intersect1d(mine, known)) for part, mine, known in both}
        near = _correlation(held.sketch, other.sketch)
        told = _common(one, _known(-1, other), counts, near, theirs)
        return {None: [Alike(part, REFERENCE, text) for part, text in told]}

    def of(self, key):
        """Returns what a hand-in has alike with others, a list of Alike in their order."""
        found = dict(self._found[self._places[key]])
        last = found.pop(None)
        here = {place for place in found if self._places[self._all[place].key] == place}
        order = sorted(here, key=lambda place: self._all[place].key)
        return [alike for place in order for alike in found[place]] + last


def _held(evidence):
    """Returns what is compared of evidence, any part of which may be missing."""
    notebook, weights = evidence.get("notebook", {}), evidence.get("weights", {})
    runs = evidence.get("curves", {}).get("runs", [])
    name = evidence.get("manifest", {}).get("name", "")
    files = evidence.get("videos", {}).get("files", [])
    shapes = notebook.get("shapes", {})
    pieces = {
        "archive": [evidence.get("digest", "")],
        "code": [f"{task} {shape}" for task, found in shapes.items() for shape in found],
        "comments": notebook.get("phrases", []),
        "weights": [weights.get("digest", "")],
        "curves": [stretch for run in runs for stretch in run["floats"]],
        "videos": [file["digest"] for file in files if not file["problem"]],
    }
    return _Held(
        student=student(evidence),
        name=f"{name} ({evidence.get('file')})" if name else evidence.get("file", ""),
        pieces={part: _numbers(texts) for part, texts in pieces.items()},
        sketch=_standardized(weights.get("sketch", [])),
        steps=max((run["steps"] for run in runs), default=0),
    )


def _numbers(texts):
    """Returns texts but "" as sorted numbers; two texts are one number once in 2**64 pairs."""
    made = [hashlib.blake2b(text.encode(), digest_size=8).digest() for text in {*texts} - {""}]
    return np.sort(np.frombuffer(b"".join(made), np.uint64))


def _without(held, given):
    """Returns what is left where nothing counts that every student was given."""
    own = {part: np.setdiff1d(held.pieces[part], given.pieces[part]) for part in FEWEST}
    return held._replace(pieces=own)


def _known(key, held):
    sizes = {part: len(numbers) for part, numbers in held.pieces.items()}
    return _Known(key, held.student, held.name, sizes, held.steps)


class _Pieces:
    """Whose each piece is, in sorted arrays: a short one is merged with the next as it grows."""

    def __init__(self):
        self._runs = []  # of (numbers, sorted; whose each is)

    def put(self, place, numbers):
        """Adds the numbers of a hand-in; returns how many each of those before it shares."""
        counts = np.zeros(place, np.int64)
        for known, places in self._runs:
            first = np.searchsorted(known, numbers, "left")
            last = np.searchsorted(known, numbers, "right")
            ranges = [places[k:m] for k, m in zip(first, last, strict=True) if k < m]
            if ranges:
                counts += np.bincount(np.concatenate(ranges), minlength=place)
        if len(numbers):
            self._runs.append((numbers, np.full(len(numbers), place, np.uint32)))
        while len(self._runs) > 1 and len(self._runs[-2][0]) < 2 * len(self._runs[-1][0]):
            self._merge()
        return counts

    def _merge(self):
        """Makes one of the last two arrays."""
        columns = zip(*(self._runs.pop() for _run in range(2)), strict=True)
        numbers, places = map(np.concatenate, columns)
        order = np.argsort(numbers, kind="stable")
        self._runs.append((numbers[order], places[order]))


class _Sketches:
    """Sketches of weights, each as half-precision numbers whose product is a correlation."""

    def __init__(self):
        self._blocks = {}  # length: [(places, [ROWS, length])]

    def put(self, place, sketch):
        """Adds a hand-in's; returns {place: correlation} of those that are near to it."""
        if not len(sketch):
            return {}
        blocks, near = self._blocks.setdefault(len(sketch), []), {}
        for places, rows in blocks:
            products = rows[: len(places)].astype(np.float32) @ sketch
            close = np.flatnonzero(products > WEIGHTS)
            near |= {places[k]: float(products[k]) for k in close}
        if not blocks or len(blocks[-1][0]) == ROWS:
            blocks.append(([], np.empty((ROWS, len(sketch)), np.float16)))
        places, rows = blocks[-1]
        rows[len(places)] = sketch
        places.append(place)
        return near


def _standardized(sketch):
    """Returns numbers less their mean, of length 1; none where they do not vary or are huge."""
    sketch = np.array(sketch, np.float64)
    with np.errstate(all="ignore"):
        sketch = sketch - sketch.mean() if len(sketch) > 1 else sketch[:0]
        sketch = sketch / np.linalg.norm(sketch)
    return (sketch if np.isfinite(sketch).all() else sketch[:0]).astype(np.float32)


def _correlation(one, other):
    """Returns Pearson's correlation of two sketches, 0 where there is none."""
    return float(one @ other) if len(one) == len(other) else 0.0


def _common(one, other, shared, near, whose):
    """Yields (part, sentence) for each part that two have alike.

    Args:
        one: A _Known.
        other: Another.
        shared: {part: pieces that they share}.
        near: The correlation of their weights.
        whose: The other's, in a sentence.
    """
    if shared["archive"]:
        yield "archive", _("The very same file was handed in twice, under two names.")
        return
    if one.student and one.student == other.student:
        return
    fewest = {part: min(size, other.sizes[part]) for part, size in one.sizes.items()}
    yield from _common_code(shared["code"], fewest["code"], whose)
    yield from _common_comments(shared["comments"], fewest["comments"], whose)
    yield from _common_weights(shared["weights"], near, min(one.steps, other.steps), whose)
    yield from _common_curves(shared["curves"], fewest["curves"], whose)
    if shared["videos"]:
        text = _(
            "Videos that show the very same game as one of {whose}: {n}. Two policies that always "
            "take the same action show such videos too."
        )
        yield "videos", text.format(n=shared["videos"], whose=whose)


def _common_code(n, fewest, whose):
    if fewest >= FEWEST_PIECES and (share := n / fewest) >= CODE:
        text = _(
            "{share:.0%} of the code in the five classes is written as in {whose}, whatever its "
            "variables are called; independent right answers share up to 50%."
        )
        yield "code", text.format(share=share, whose=whose)


def _common_comments(n, fewest, whose):
    if n >= FEWEST_RUNS and n >= COMMENTS * fewest:
        text = _(
            "Of {fewest} runs of six words in the comments, {n} stand in those of {whose} too."
        )
        yield "comments", text.format(fewest=fewest, n=n, whose=whose)


def _common_weights(same, near, steps, whose):
    if same:
        text = _("The weights are those of {whose}, number for number.")
        yield "weights", text.format(whose=whose)
    elif steps >= FEWEST_STEPS and near > WEIGHTS:
        text = _(
            "The weights correlate by {likeness:.2f} with those of {whose}; two long runs "
            "correlate by about 0.3 even where they began with the same weights."
        )
        yield "weights", text.format(likeness=near, whose=whose)


def _common_curves(n, fewest, whose):
    if n >= FEWEST_STRETCHES and n > CURVES * fewest:
        text = _(
            "Of {fewest} stretches of the curves, {n} are equal in every number to stretches of "
            "{whose}."
        )
        yield "curves", text.format(fewest=fewest, n=n, whose=whose)
