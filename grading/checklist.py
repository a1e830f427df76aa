"""What a hand-in holds and what is missing, each with its mend."""

import itertools
import re
from pathlib import Path
from typing import NamedTuple

import cv2

from grading.curves import SCORE, oddities, read_score
from languages import N_, _, grouped, ngettext
from lesson.assignment import read_assignment
from lesson.pictures import CAPTIONS
from training.checkpoints import CheckpointStore
from training.curves import read_curves

__all__ = [
    "CURVES",
    "FEWEST_WORDS",
    "PICTURES",
    "Row",
    "checklist",
    "count_words",
    "notebook_rows",
    "outlook",
    "plays",
    "read_comments",
]

CURVES = list(CAPTIONS)
PICTURES = {".png", ".jpg", ".jpeg", ".gif", ".svg", ".webp"}
LARGEST = 50_000_000  # bytes of a file
TASK = re.compile(r"\s*\*\*\w+ 6\b")  # where its paragraph begins, in the cell for comments
PROGRESS = re.compile(  # "9,980,880 of 10", whatever sets thousands apart
    r"(?<![\d,])(\d{1,3}(?:[ \u00a0\u202f,.'’]\d{3})+|\d+)(?= [^\W\d]+ \d)"
)
FEWEST_WORDS = 10  # of comments: one a curve


class Row(NamedTuple):
    """One thing of a hand-in."""

    thing: str  # in English, a key; people see its translation
    found: str
    mend: str = ""  # empty where nothing is missing


def checklist(book, out, run, name, settings):
    """Goes through the parts of a hand-in.

    Args:
        book: The notebook, None where it cannot be read.
        out: The folder of `weights.pt`, `videos/` and `img/`.
        run: The run's folder of event files.
        name: The student's.
        settings: The run's, None where no checkpoint tells them.

    Returns:
        A Row each, and the Score.
    """
    curves = _read(run)
    score, steps = read_score(curves), _agent_steps(curves, run)
    rows = [
        _name_row(name),
        *_score_rows(score),
        _steps_row(steps, out, run),
        _curves_row(curves),
        *(_odd_row(line) for line in _odd(curves, run, settings)),
        _videos_row(out, N_("videos, sampled"), "videos/False"),
        _videos_row(out, N_("videos, greedy"), "videos/True"),
        _pictures_row(out, book),
        _weights_row(out),
        *_size_rows(out),
        *notebook_rows(book, steps),
    ]
    return rows, score


# the run


def _read(run):
    try:
        return read_curves(run)
    except FileNotFoundError:
        return {}


def outlook(score):
    """Says in one sentence what a score would earn, and what raises it."""
    marks = read_assignment().marks
    more = _("More training raises it: ten minutes are only a beginning.")
    if score.counted is None:
        text = _("No score counts yet: every environment needs 100 games behind it.")
        return f"{text} {more}"
    earned = max((points for least, points in marks.items() if score.counted >= least), default=0)
    mark = _("{points:g} from {score}")
    missed = ", ".join(
        mark.format(points=points, score=least)
        for least, points in marks.items()
        if score.counted < least
    )
    if not earned:
        text = _(
            "reward_mean_100 reached {score:.0f} with 100 games behind it, which earns no points "
            "yet: {missed}."
        )
        return f"{text.format(score=score.counted, missed=missed)} {more}"
    text = _(
        "reward_mean_100 reached {score:.0f} with 100 games behind it: {points:g} points, if the "
        "checks pass and curves, videos and comments fit it."
    )
    told, text = text.format(score=score.counted, points=earned), _("More points: {missed}.")
    return f"{told} {text.format(missed=missed)}" if missed else told


def _name_row(name):
    mend = "" if name.strip() else _("write your name into this cell, or pack with --name")
    return Row(N_("name"), name.strip() or _("none"), mend)


def _agent_steps(curves, run):
    """Returns how far the run came: by its newest checkpoint, or else by its curves."""
    saved = CheckpointStore(Path(run)).newest_step
    return max([saved] if saved >= 0 else [int(steps[-1]) for steps, *_ in curves.values()] or [0])


def _score_rows(score):
    if score.last is None:
        yield Row("score", _("none"), _("run the training cell until games have ended"))
        return
    found = _("reward_mean_100 {last:.0f} at the end, {best:.0f} at its best")
    yield Row(N_("score"), found.format(last=score.last, best=score.best))
    mend = "" if score.games >= 100 else _("train on: a score counts from 100 games on")
    found = _("at least {n} in every environment").format(n=score.games)
    yield Row(N_("games"), found, mend)


def _steps_row(steps, out, run):
    """Tells how far the run came, and whether another one came further."""
    others = [
        path for path in (out / "logs").glob("*/") if path.name not in (run.name, "reference")
    ]
    further = {
        path.name: reached
        for path in others
        if (reached := CheckpointStore(path).newest_step) > steps
    }
    mend = "" if steps else _("run the training cell")
    if name := max(further, key=further.get, default=""):
        told = _("{run} came further, to {steps}: pack that run, or delete it")
        mend = told.format(run=name, steps=grouped(further[name]))
    return Row(N_("agent steps"), grouped(steps), mend)


def _curves_row(curves):
    there = [tag for tag in CURVES if tag in curves]
    missing = ", ".join(tag.split("/")[1] for tag in CURVES if tag not in curves)
    mend = _("train with curves drawn, missing: {names}").format(names=missing) if missing else ""
    found = _("{n} of {all}").format(n=len(there), all=len(CURVES))
    return Row(N_("curves"), found, mend)


def _odd(curves, run, settings):
    """Returns what a grader will ask about; nothing where no game has ended yet."""
    if SCORE not in curves or not settings or not {"game", "nenvs"} <= settings.keys():
        return []
    return oddities(run, settings["game"], settings["nenvs"])


def _odd_row(line):
    mend = _("tell your grader how it came, or train again, under a new name")
    return Row(N_("odd curve"), line, mend)


# what lies in folders


def _videos_row(out, thing, folder):
    videos = sorted((out / folder).rglob("*.mp4"))
    broken = [path.name for path in videos if not plays(path)]
    mend = "" if videos else _("run the cell that records games, it writes to {folder}")
    if broken:
        mend = _("{file} does not play: run the cell that records games again")
    found = _("{n} in {folder}").format(n=len(videos), folder=folder)
    return Row(thing, found, mend.format(folder=folder, file=next(iter(broken), "")))


def plays(path):
    """Tells whether a video has a frame to show."""
    video = cv2.VideoCapture(str(path))
    try:
        return video.read()[0]
    finally:
        video.release()


def _pictures_row(out, book):
    files = (path.relative_to(out / "img") for path in (out / "img").rglob("*"))
    pictures = [p for p in files if p.suffix.lower() in PICTURES and "reference" not in p.parts]
    if not pictures:
        mend = _("run the cell that draws the curves, or put screenshots into img")
        return Row(N_("pictures"), _("{n} in {folder}").format(n=0, folder="img"), mend)
    drawn = {tag.split("/")[1] for tag in CURVES}
    text = "\n".join(cell.source for cell in book.cells) if book else ""
    bare = [
        path.as_posix()
        for path in pictures
        if path.stem not in drawn
        and not re.search(rf"!\[[^\]\s][^\]]*\]\((\./)?img/{re.escape(path.as_posix())}\)", text)
    ]
    mend = _("show it in the notebook: ![what it shows](img/{file})") if bare else ""
    found = _("{n} in img, {bare} without a caption").format(n=len(pictures), bare=len(bare))
    return Row("pictures", found, mend.format(file=next(iter(bare), "")))


def _weights_row(out):
    if (out / "weights.pt").is_file():
        return Row(N_("weights"), "weights.pt")
    mend = _("run the training cell to its end, it writes weights.pt")
    return Row("weights", _("none"), mend)


def _size_rows(out):
    """Yields a row on each file that is too large to be one of the run's."""
    for folder in ("videos", "img", "weights.pt"):
        for path in ((out / folder), *(out / folder).rglob("*")):
            if path.is_file() and (size := path.stat().st_size) > LARGEST:
                mend = _("expected at most {most:.0f} MB: delete or shorten it")
                found = _("{file}, {size:.0f} MB").format(file=path.name, size=size / 1e6)
                yield Row(N_("large file"), found, mend.format(most=LARGEST / 1e6))


# the notebook


def notebook_rows(book, steps, near=0):
    """Yields a Row on each thing that a notebook shows of its run.

    Args:
        book: The notebook, None where it cannot be read.
        steps: Agent steps of the run.
        near: Agent steps by which the number that the notebook prints may differ from these.
    """
    if book is None:
        yield Row("notebook", _("cannot be read"), _("open it, save it, and pack again"))
        return
    yield _comments_row(book)
    shows = any(abs(n - steps) <= near for cell in book.cells for n in _printed_steps(cell))
    found, mend = _("shows this run's end"), ""
    if not shows:
        found = _("does not show this run's end")
        mend = _("save the notebook after the training cell has ended, and pack again")
    yield Row(N_("notebook"), found, mend)
    yield from _cells_rows(book)


def _comments_row(book):
    cell = _comments_cell(book)
    if cell is None:
        return Row("comments", _("not found"), _("keep the cell for comments on the curves"))
    words = count_words(cell.source)
    mend = "" if words >= FEWEST_WORDS else _("write what each curve shows, and why")
    found = ngettext("{n} word", "{n} words", words).format(n=words)
    return Row(N_("comments"), found, mend)


def _comments_cell(book):
    return next((cell for cell in book.cells if "curves-comments" in _names(cell)), None)


def _names(cell):
    """Returns a cell's id, wherever Jupyter, Colab or nbgrader keep it."""
    held = cell.metadata
    return {cell.get("id"), held.get("id"), held.get("nbgrader", {}).get("grade_id")}


def read_comments(book):
    """Returns a student's comments as they wrote them, None where their cell is not there."""
    cell = _comments_cell(book)
    return None if cell is None else _answer(cell.source)


def count_words(source):
    """Counts the words of a student's comments in their cell.

    Not counted are headings, HTML comments, the task's own paragraph (it begins with its number, as
    `**Task 6**` in any language), the stub that stands for an answer, and a bullet's label
    (`- *entropy*:`).
    """
    labels = r"^\s*[-*]\s+\*+[^*\n]+\*+\s*:"
    answer = re.sub(labels, "", _answer(source), flags=re.MULTILINE)
    return len(re.findall(r"[^\W\d_]{2,}", answer))


def _answer(source):
    """Returns a cell's source without headings, HTML comments, the task and the stub."""
    source = re.sub(r"<!--.*?-->", "", source, flags=re.DOTALL)
    source = re.sub(r"^#.*$|YOUR ANSWER HERE", "", source, flags=re.MULTILINE)
    paragraphs = [each for each in re.split(r"\n\s*\n", source) if each.strip()]
    tasks = [each for each in paragraphs if TASK.match(each)]
    return "\n\n".join(each for each in paragraphs if each not in tasks[:1]).strip()


def _printed_steps(cell):
    """Returns the numbers that a code cell printed as in "9,980,880 of 10,000,000".

    The word between them, and what sets thousands apart, are those of any language.
    """
    outputs = cell.get("outputs", [])
    text = "\n".join(o.get("text") or o.get("data", {}).get("text/plain", "") for o in outputs)
    return {int(re.sub(r"\D", "", number)) for number in PROGRESS.findall(text)}


def _cells_rows(book):
    """Counts the cells that failed and that were not run, up to the one that packs."""
    code = [cell for cell in book.cells if cell.cell_type == "code" and cell.source.strip()]
    code = itertools.takewhile(lambda cell: "grading.pack" not in cell.source, code)
    code = [*code]
    failed = [c for c in code if any(o.output_type == "error" for o in c.get("outputs", []))]
    idle = [cell for cell in code if cell.get("execution_count") is None]
    for thing, cells in ((N_("cells that failed"), failed), (N_("cells not run"), idle)):
        mend = _("save the notebook, or run it from this cell on: {line}") if cells else ""
        yield Row(thing, str(len(cells)), mend.format(line=_first_line(cells)))


def _first_line(cells):
    """Returns the line by which people know the first of some cells, without what is after it."""
    lines = [line for cell in cells[:1] for line in cell.source.strip().splitlines()]
    telling = [line for line in lines if line.strip() and not line.startswith(("#", "@"))]
    return "".join([*telling, *lines][:1])[:40]
