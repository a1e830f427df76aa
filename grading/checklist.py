"""What a hand-in holds and what is missing, each with its mend."""

import re
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from grading.curves import oddities
from lesson.assignment import read_assignment
from lesson.pictures import CAPTIONS
from training.checkpoints import CheckpointStore
from training.curves import read_curves

__all__ = ["CURVES", "Row", "Score", "checklist", "outlook", "plays", "read_score"]

SCORE, GAMES = "Episodes/reward_mean_100", "Episodes/games"
CURVES = list(CAPTIONS)
PICTURES = {".png", ".jpg", ".jpeg", ".gif", ".svg", ".webp"}
LARGEST = 50_000_000  # bytes of a file
FEWEST_WORDS = 10  # of comments: one a curve


class Row(NamedTuple):
    """One thing of a hand-in."""

    thing: str
    found: str
    mend: str = ""  # empty where nothing is missing


class Score(NamedTuple):
    """`reward_mean_100` of a run, as far as its event files tell; None where they do not."""

    last: float | None
    best: float | None
    counted: float | None  # the best of those with 100 games of each environment behind them
    games: int  # the fewest games of an environment so far, at most 100


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
        _videos_row(out, "sampled", "videos/False"),
        _videos_row(out, "greedy", "videos/True"),
        _pictures_row(out, book),
        _weights_row(out),
        *_size_rows(out),
        *_notebook_rows(book, steps),
    ]
    return rows, score


# the run


def _read(run):
    try:
        return read_curves(run)
    except FileNotFoundError:
        return {}


def read_score(curves):
    """Returns the Score that a run's curves hold."""
    if SCORE not in curves:
        return Score(None, None, None, 0)
    steps, values, _ = curves[SCORE]
    game_steps, games, _ = curves.get(GAMES, [np.zeros(0)] * 3)
    counted = values[np.isin(steps, game_steps[games >= 100])]
    fewest = int(games[-1]) if len(games) else 0
    best = float(counted.max()) if len(counted) else None
    return Score(float(values[-1]), float(values.max()), best, fewest)


def outlook(score):
    """Says in one sentence what a score would earn, and what raises it."""
    marks = read_assignment().marks
    more = "More training raises it: ten minutes are only a beginning."
    if score.counted is None:
        return f"No score counts yet: every environment needs 100 games behind it. {more}"
    earned = max((points for least, points in marks.items() if score.counted >= least), default=0)
    missed = [
        f"{points:g} from {least}" for least, points in marks.items() if score.counted < least
    ]
    told = f"reward_mean_100 reached {score.counted:.0f} with 100 games behind it"
    if not earned:
        return f"{told}, which earns no points yet: {', '.join(missed)}. {more}"
    told += f": {earned:g} points, if the checks pass and curves, videos and comments fit it."
    return f"{told} More points: {', '.join(missed)}." if missed else told


def _name_row(name):
    mend = "" if name.strip() else "write your name into this cell, or pack with --name"
    return Row("name", name.strip() or "none", mend)


def _agent_steps(curves, run):
    """Returns how far the run came: by its newest checkpoint, or else by its curves."""
    saved = CheckpointStore(Path(run)).newest_step
    return max([saved] if saved >= 0 else [int(steps[-1]) for steps, *_ in curves.values()] or [0])


def _score_rows(score):
    if score.last is None:
        yield Row("score", "none", "run the training cell until games have ended")
        return
    yield Row("score", f"reward_mean_100 {score.last:.0f} at the end, {score.best:.0f} at its best")
    mend = "" if score.games >= 100 else "train on: a score counts from 100 games on"
    yield Row("games", f"at least {score.games} in every environment", mend)


def _steps_row(steps, out, run):
    """Tells how far the run came, and whether another one came further."""
    if not steps:
        return Row("agent steps", "0", "run the training cell")
    others = [
        path for path in (out / "logs").glob("*/") if path.name not in (run.name, "reference")
    ]
    further = {
        path.name: reached
        for path in others
        if (reached := CheckpointStore(path).newest_step) > steps
    }
    name = max(further, key=further.get, default="")
    mend = f"{name} came further, to {further[name]:,}: pack that run, or delete it" if name else ""
    return Row("agent steps", f"{steps:,}", mend)


def _curves_row(curves):
    there = [tag for tag in CURVES if tag in curves]
    missing = ", ".join(tag.split("/")[1] for tag in CURVES if tag not in curves)
    mend = f"train with curves drawn, missing: {missing}" if missing else ""
    return Row("curves", f"{len(there)} of {len(CURVES)}", mend)


def _odd(curves, run, settings):
    """Returns what a grader will ask about; nothing where no game has ended yet."""
    if SCORE not in curves or not settings or not {"game", "nenvs"} <= settings.keys():
        return []
    return oddities(run, settings["game"], settings["nenvs"])


def _odd_row(line):
    return Row("odd curve", line, "tell your grader how it came, or train again, under a new name")


# what lies in folders


def _videos_row(out, kind, folder):
    videos = sorted((out / folder).rglob("*.mp4"))
    broken = [path.name for path in videos if not plays(path)]
    mend = "" if videos else f"run the cell that records games, it writes to {folder}"
    if broken:
        mend = f"{broken[0]} does not play: run the cell that records games again"
    return Row(f"videos, {kind}", f"{len(videos)} in {folder}", mend)


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
        mend = "run the cell that draws the curves, or put screenshots into img"
        return Row("pictures", "0 in img", mend)
    drawn = {tag.split("/")[1] for tag in CURVES}
    text = "\n".join(cell.source for cell in book.cells) if book else ""
    bare = [
        path.as_posix()
        for path in pictures
        if path.stem not in drawn
        and not re.search(rf"!\[[^\]\s][^\]]*\]\((\./)?img/{re.escape(path.as_posix())}\)", text)
    ]
    mend = f"show it in the notebook: ![what it shows](img/{bare[0]})" if bare else ""
    return Row("pictures", f"{len(pictures)} in img, {len(bare)} without a caption", mend)


def _weights_row(out):
    if (out / "weights.pt").is_file():
        return Row("weights", "weights.pt")
    return Row("weights", "none", "run the training cell to its end, it writes weights.pt")


def _size_rows(out):
    """Yields a row on each file that is too large to be one of the run's."""
    for folder in ("videos", "img", "weights.pt"):
        for path in ((out / folder), *(out / folder).rglob("*")):
            if path.is_file() and (size := path.stat().st_size) > LARGEST:
                mend = f"expected at most {LARGEST / 1e6:.0f} MB: delete or shorten it"
                yield Row("large file", f"{path.name}, {size / 1e6:.0f} MB", mend)


# the notebook


def _notebook_rows(book, steps):
    if book is None:
        yield Row("notebook", "cannot be read", "open it, save it, and pack again")
        return
    yield _comments_row(book)
    shows = any(steps in _printed_steps(cell) for cell in book.cells)
    mend = "" if shows else "save the notebook after the training cell has ended, and pack again"
    yield Row("notebook", f"{'shows' if shows else 'does not show'} this run's end", mend)
    yield from _cells_rows(book)


def _comments_row(book):
    cell = next((cell for cell in book.cells if "curves-comments" in _names(cell)), None)
    if cell is None:
        return Row("comments", "not found", "keep the cell for comments on the curves")
    words = count_words(cell.source)
    mend = "" if words >= FEWEST_WORDS else "write what each curve shows, and why"
    return Row("comments", f"{words} words", mend)


def _names(cell):
    """Returns a cell's id, wherever Jupyter, Colab or nbgrader keep it."""
    held = cell.metadata
    return {cell.get("id"), held.get("id"), held.get("nbgrader", {}).get("grade_id")}


def count_words(source):
    """Counts the words of a student's comments in their cell.

    Not counted are headings, HTML comments, the task's own paragraph (it begins with `**Task`), the
    stub that stands for an answer, and a bullet's label (`- *entropy*:`).
    """
    source = re.sub(r"<!--.*?-->", "", source, flags=re.DOTALL)
    paragraphs = [
        re.sub(r"^#.*$|YOUR ANSWER HERE", "", paragraph, flags=re.MULTILINE)
        for paragraph in re.split(r"\n\s*\n", source)
        if not paragraph.lstrip().startswith("**Task")
    ]
    labels = r"^\s*[-*]\s+\*+[^*\n]+\*+\s*:"
    answer = re.sub(labels, "", "\n\n".join(paragraphs), flags=re.MULTILINE)
    return len(re.findall(r"[^\W\d_]{2,}", answer))


def _printed_steps(cell):
    """Returns the numbers that a code cell printed as in "9,980,880 of 10,000,000"."""
    outputs = cell.get("outputs", [])
    text = "\n".join(o.get("text") or o.get("data", {}).get("text/plain", "") for o in outputs)
    return {int(n.replace(",", "")) for n in re.findall(r"(?<![\d,])(\d[\d,]*) of ", text)}


def _cells_rows(book):
    """Counts the cells that failed and that were not run; the one that packs is running."""
    code = [cell for cell in book.cells if cell.cell_type == "code" and cell.source.strip()]
    code = [cell for cell in code if "grading.pack" not in cell.source]
    failed = [c for c in code if any(o.output_type == "error" for o in c.get("outputs", []))]
    idle = [cell for cell in code if cell.get("execution_count") is None]
    for thing, cells in (("cells that failed", failed), ("cells not run", idle)):
        first = cells[0].source.strip().splitlines()[0][:40] if cells else ""
        yield Row(thing, str(len(cells)), f"run from this one on: {first}" if cells else "")
