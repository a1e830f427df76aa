"""From the evidence of one hand-in to points with their reasons, or to the grader."""

import datetime
import re
import unicodedata
from typing import NamedTuple

from grading.check import TASKS
from grading.checklist import FEWEST_WORDS
from grading.marking import film
from languages import _, grouped, listed, ngettext

__all__ = ["Reason", "Verdict", "decide", "form_of", "is_late", "student", "superseded"]

FEWEST_GAMES = 16  # played again; the mean of fewer lies too wide to say anything
FOLLOWS = 0.45  # of videos: 48 of 49 of other runs were seen up to 0.31, a run's own from 0.67
FEWEST_SEEN = 100  # frames with a cannon; of a game's first 1,366 the reference run's has 1,338
MEASURING = {"atari_wrappers.py", "env_batch.py", "training/summaries.py"}  # what makes a score


class Reason(NamedTuple):
    """One reason, as a student reads it."""

    kind: str  # "earned", "asks" (only a grader can judge it) or "note"
    text: str  # a sentence or two
    part: str  # of the hand-in: "checks", "score", "weights", ...


class Verdict(NamedTuple):
    """What a hand-in earns, by the rules or by a grader."""

    points: float | None  # None: a grader has to judge
    mark: str  # "10", "for the grader" or "superseded"
    reasons: list  # of Reason
    flags: list  # parts that ask, and "late", "superseded", "overruled"
    by_rules: str = ""  # what `mark` would be without a grader


def decide(evidence, alike, assignment, overruled=None, newer=""):
    """Returns the Verdict on one hand-in.

    Points are given only where no reason asks for a grader, or where a grader gave them.

    Args:
        evidence: Of the hand-in.
        alike: What is alike with others, a list of `likeness.Alike`.
        assignment: The course's `Assignment`.
        overruled: (points, why) where a grader has judged.
        newer: The file of a newer hand-in by the same student, "" where there is none.
    """
    if evidence["problem"]:
        text = _("The archive cannot be used: {problem}").format(problem=evidence["problem"])
        reasons = [Reason("asks", text, "archive")]
    else:
        reasons = [r for rule in RULES for r in rule(evidence, assignment)]
    reasons += [Reason("asks", one.how, "alike") for one in alike]
    flags = [*dict.fromkeys(r.part for r in reasons if r.kind == "asks")]
    points = None if flags else _points(evidence, assignment.marks)
    of_time = [*_of_time(evidence, assignment, newer)]
    reasons, flags = [*of_time, *reasons], [*flags, *(r.part for r in of_time)]
    points = None if newer else points
    mark = "superseded" if newer and _is_known(evidence) else _mark_text(points)
    if not overruled:
        return Verdict(points, mark, reasons, flags, mark)
    points, why = overruled
    text = ngettext(
        "A grader gave {points:g} point, whatever the rules say. {why}",
        "A grader gave {points:g} points, whatever the rules say. {why}",
        form_of(points),
    )
    told = Reason("note", text.format(points=points, why=why).strip(), "overruled")
    return Verdict(points, f"{points:g}", [told, *reasons], [*flags, "overruled"], mark)


def form_of(points):
    """Returns the whole number whose noun points have: of 8.5 points one says "points", as of 2."""
    return int(points) if points == int(points) else 2


def student(evidence):
    """Returns whose hand-in it is, "" where nothing tells; one student's are equal.

    What the course's system says counts more than what the hand-in says of itself.
    """
    if _is_known(evidence):
        return f"{evidence['lms']['name']} | {evidence['lms']['owner']}"
    manifest = evidence.get("manifest", {})
    name = unicodedata.normalize("NFKC", manifest.get("name", ""))
    return " ".join([*name.casefold().split(), "|", manifest["group"]]) if name.strip() else ""


def _is_known(evidence):
    """Tells whether the course's system says whose hand-in it is, and not the hand-in alone."""
    lms = evidence.get("lms", {})
    return bool(lms.get("owner") or lms.get("name"))


def superseded(evidences):
    """Returns for each of some hand-ins the file of the one that counts, "" where itself does.

    Of hand-ins by one student the one that was packed last counts.
    """
    last = {}
    for k in sorted(range(len(evidences)), key=lambda k: evidences[k]["packed"]):
        last[student(evidences[k])] = k
    counts = [last[name] if (name := student(each)) else k for k, each in enumerate(evidences)]
    return ["" if k == j else evidences[j]["file"] for k, j in enumerate(counts)]


def is_late(packed, deadline):
    """Tells whether a hand-in was packed after the deadline; no date in the deadline, no lateness.

    Args:
        packed: Local time in ISO 8601, "" where it is not known.
        deadline: Free text; a date counts to its last second, local time where no zone is named.
    """
    named = re.sub(r"(:[\d.]+)Z$", r"\1+00:00", deadline.strip())  # Python 3.10 knows no Z
    try:
        due = datetime.datetime.fromisoformat(named)
        at = datetime.datetime.fromisoformat(packed)
    except ValueError:
        return False
    if _is_a_date(deadline):
        due += datetime.timedelta(days=1, seconds=-1)
    return at.astimezone() > due.astimezone()


def _is_a_date(text):
    try:
        return bool(datetime.date.fromisoformat(text.strip()))
    except ValueError:
        return False


def _mark_text(points):
    return "for the grader" if points is None else f"{points:g}"


def _earned(score, marks):
    """Returns the points that a score earns and the mark that it reaches, None below every mark."""
    reached = [(points, least) for least, points in marks.items() if score >= least]
    return max(reached, default=None)


def _points(evidence, marks):
    """Returns the points of the run's score."""
    return _earned(_chosen(evidence)["counted"], marks)[0]


def _chosen(evidence):
    """Returns the run that counts, None where the curves show none."""
    curves = evidence["curves"]
    return curves["runs"][curves["chosen"]] if curves["runs"] else None


# the rules: each yields reasons on one part of the evidence


def _of_time(evidence, assignment, newer):
    if newer and _is_known(evidence):
        text = _("A newer hand-in by the same student counts: {file}.").format(file=newer)
        yield Reason("note", text, "superseded")
    elif newer:  # anybody may have written the name into it
        text = _("A newer hand-in names this student too, and counts if it is theirs: {file}.")
        yield Reason("asks", text.format(file=newer), "superseded")
    if evidence.get("lms", {}).get("late"):
        yield Reason("note", _("The course's system calls this hand-in late."), "late")
    elif is_late(evidence["packed"], assignment.deadline):
        text = _(
            "Packed on {packed}, by the clock of the computer that packed it; the deadline was "
            "{deadline}."
        )
        when = evidence["packed"].replace("T", " ")
        yield Reason("note", text.format(packed=when, deadline=assignment.deadline), "late")


def _of_manifest(evidence, assignment):
    manifest = evidence["manifest"]
    settings = manifest["settings"] or {}
    if manifest["problem"]:
        yield Reason("note", manifest["problem"], "manifest")
    elif not manifest["name"].strip():
        yield Reason("note", _("The hand-in names no student."), "manifest")
    if not evidence["known"]:
        text = _("The grader does not know release {release} of the assignment.")
        yield Reason("note", text.format(release=manifest["release"]), "manifest")
    if (game := settings.get("game", assignment.game)) != assignment.game:
        text = _("The run played {game}, but the assignment asks for {asked}.")
        yield Reason("asks", text.format(game=game, asked=assignment.game), "manifest")


def _of_checks(evidence, assignment):
    checks = evidence["checks"]
    if checks["problem"]:
        text = _("The five tasks could not be checked: {problem}")
        yield Reason("asks", text.format(problem=checks["problem"]), "checks")
        return
    missing = {"result": "not reached", "message": _("nothing tells of it")}
    told = {task: checks["tasks"].get(task, missing) for task in TASKS}
    for task, check in told.items():
        text = {
            "failed": _("The check of {task} failed. {message}"),
            "not reached": _("The check of {task} was not reached: {message}"),
        }.get(check["result"])
        if text:
            message = check["message"]
            yield Reason("asks", text.format(task=task, message=message), "checks")
    if all(check["result"] == "passed" for check in told.values()):
        text = _("A correct A2C: the checks of all five tasks passed, also on hidden numbers.")
        yield Reason("earned", text, "checks")
    yield from _of_helpers([helper["name"] for helper in checks["helpers"]])


def _of_helpers(names):
    measuring = [name for name in names if name in MEASURING]
    others = [name for name in names if name not in MEASURING]
    if measuring:
        text = _("{files} differs from the given file, and games and scores are made there.")
        yield Reason("asks", text.format(files=listed(measuring)), "helpers")
    if others:
        text = _("{files} differs from the given file; the difference is shown below.")
        yield Reason("note", text.format(files=listed(others)), "helpers")


def _of_score(evidence, assignment):
    run, marks = _chosen(evidence), assignment.marks
    if evidence["curves"]["problem"] or run is None:
        problem = evidence["curves"]["problem"] or _("there are none of any run")
        text = _("The curves cannot be used: {problem}").format(problem=problem)
        yield Reason("asks", text, "score")
        return
    yield _of_claim(run, marks)
    if run["missing"]:
        text = _("These curves of the run are missing: {tags}.")
        yield Reason("asks", text.format(tags=", ".join(run["missing"])), "curves")
    for oddity in run["oddities"]:
        text = _("The curves do not fit together: {oddity}.").format(oddity=oddity.rstrip("."))
        yield Reason("asks", text, "curves")


def _of_claim(run, marks):
    """Returns the reason on `reward_mean_100` itself."""
    if run["counted"] is None:
        text = _(
            "No score counts: a score counts from 100 games in every environment on, and the run "
            "{run} has {games}."
        )
        return Reason("asks", text.format(run=run["name"], games=run["games"]), "score")
    figures = dict(run=run["name"], score=run["counted"], steps=grouped(run["steps"]))
    if earned := _earned(run["counted"], marks):
        text = ngettext(
            "reward_mean_100 of the run {run} reached {score:.0f} within {steps} agent steps, "
            "with 100 games of every environment behind it; {points:g} point needs {least}.",
            "reward_mean_100 of the run {run} reached {score:.0f} within {steps} agent steps, "
            "with 100 games of every environment behind it; {points:g} points need {least}.",
            form_of(earned[0]),
        )
        text = text.format(points=earned[0], least=earned[1], **figures)
        return Reason("earned", text, "score")
    text = _(
        "reward_mean_100 of the run {run} reached {score:.0f} within {steps} agent steps; the "
        "lowest mark is at {least}."
    )
    return Reason("asks", text.format(least=min(marks), **figures), "score")


def _of_weights(evidence, assignment):
    weights = evidence["weights"]
    if weights["problem"] or not weights["same_network"]:
        problem = weights["problem"] or _("they are of another network than the assignment's")
        text = _("The weights cannot be used: {problem}").format(problem=problem)
        yield Reason("asks", text, "weights")


def _of_replay(evidence, assignment):
    replay, run = evidence["replay"], _chosen(evidence)
    sampled = replay["sampled"]
    if evidence["weights"]["problem"]:
        return  # which says enough
    if replay["problem"]:
        text = _("The policy could not play again: {problem}").format(problem=replay["problem"])
        yield Reason("asks", text, "replay")
    elif not replay["compared"]:
        text = _("What act gives was never compared with what the weights give.")
        yield Reason("asks", text, "replay")
    for oddity in replay["oddities"]:
        text = _("The policy that plays is odd: {oddity}.").format(oddity=oddity.rstrip("."))
        yield Reason("asks", text, "replay")
    if len(sampled["scores"]) >= FEWEST_GAMES:
        yield from _of_games(sampled, run, assignment.marks)
    elif not replay["problem"]:
        games = len(sampled["scores"])
        text = ngettext(
            "Only {games} game was played again; {needed} are needed to judge the mean.",
            "Only {games} games were played again; {needed} are needed to judge the mean.",
            games,
        )
        yield Reason("asks", text.format(games=games, needed=FEWEST_GAMES), "replay")


def _of_games(sampled, run, marks):
    """Yields the reason on the games played again, beside what the run claims."""
    figures = {name: sampled[name] for name in ("mean", "low", "high", "cut")}
    figures |= dict(games=len(sampled["scores"]))
    text = ngettext(
        "The weights played {games} whole game again in the grader's own environments: mean score "
        "{mean:.0f}; the 95% interval of the mean is {low:.0f} to {high:.0f}.",
        "The weights played {games} whole games again in the grader's own environments: mean score "
        "{mean:.0f}; the 95% interval of the mean is {low:.0f} to {high:.0f}.",
        figures["games"],
    )
    kind, compared = _compared(sampled, run, marks)
    yield Reason(kind, f"{text.format(**figures)} {compared}".strip(), "replay")
    if sampled["cut"]:
        text = ngettext(
            "{cut} game went on for so long that it was cut; its score counts so far.",
            "{cut} games went on for so long that they were cut; their scores count so far.",
            sampled["cut"],
        )
        yield Reason("note", text.format(**figures), "replay")


def _compared(sampled, run, marks):
    """Returns the kind of the reason on games played again, and a sentence on the claim."""
    if run is None or run["counted"] is None:
        return "note", ""
    figures = {"claim": run["counted"]}
    claimed, held = _earned(run["counted"], marks), _earned(sampled["high"], marks)
    if claimed and (not held or held < claimed):
        figures |= {"missed": claimed[1]}
        kind = "asks"
        text = _("Even its upper end lies below {missed}, which the run's {claim:.0f} reaches.")
    elif claimed:
        kind, text = "earned", _("A justified score: that fits the run's {claim:.0f}.")
    else:
        kind, text = "note", _("The run itself reached {claim:.0f}.")
    return kind, text.format(**figures)


def _of_videos(evidence, assignment):
    videos = evidence["videos"]
    if videos["problem"]:
        text = _("The videos cannot be used: {problem}").format(problem=videos["problem"])
        yield Reason("asks", text, "videos")
        return
    playing = [file for file in videos["files"] if not file["problem"]]
    lacks = {
        "sampled": _("No video of sampled play is there that plays."),
        "greedy": _("No video of greedy play is there that plays."),
    }
    for kind, text in lacks.items():
        if not any(file["kind"] == kind for file in playing):
            yield Reason("asks", text, "videos")
    digests = [file["digest"] for file in playing if file["digest"]]
    if len({*digests}) < len(digests):
        yield Reason("asks", _("Two videos show the very same game."), "videos")
    yield from filter(None, map(_of_film, videos["files"]))
    if assignment.game == film.GAME and not evidence["weights"]["problem"]:
        yield from _of_unseen(playing)


def _of_unseen(playing):
    """Yields the reason on videos of which none of a kind could be compared with the weights."""
    for kind in ("sampled", "greedy"):
        files = [file for file in playing if file["kind"] == kind]
        if files and max(file["seen"] for file in files) < FEWEST_SEEN:
            text = _(
                "Whether these weights played what {names} shows cannot be told: it is not the "
                "game's picture as the kit records it, too short, or too large."
            )
            names = listed([file["name"] for file in files])
            yield Reason("asks", text.format(names=names), "videos")


def _of_film(file):
    """Returns the reason on one video, None where there is nothing to say."""
    figures = {name: file[name] for name in ("name", "problem", "follows", "moves")}
    if file["problem"]:
        text = _("The video {name} does not play: {problem}").format(**figures)
        return Reason("note", text, "videos")
    if file["follows"] is not None and file["follows"] < FOLLOWS:
        text = _(
            "In the video {name} the cannon does not move as these weights would move it: "
            "agreement {follows:.2f} over {moves} moves; a run's own videos showed 0.67 or more."
        )
        return Reason("asks", text.format(**figures), "videos")
    return None


def _of_pictures(evidence, assignment):
    pictures = evidence["pictures"]
    problem = pictures["problem"] or _("there are none")
    if not any(file["picture"] for file in pictures["files"]):
        text = _("No picture of the curves can be shown: {problem}").format(problem=problem)
        yield Reason("asks", text, "pictures")
    elif pictures["problem"]:
        text = _("Not every picture can be shown: {problem}").format(problem=problem)
        yield Reason("note", text, "pictures")
    if bare := [file["name"] for file in pictures["files"] if not file["caption"].strip()]:
        text = _("Without a caption: {names}.").format(names=listed(bare))
        yield Reason("note", text, "pictures")


def _of_comments(evidence, assignment):
    comments = evidence["comments"]
    if comments["problem"]:
        text = _("The comments cannot be read: {problem}").format(problem=comments["problem"])
        yield Reason("asks", text, "comments")
    elif comments["words"] < FEWEST_WORDS:
        text = ngettext(
            "The comments on the curves have {words} word; expected at least {fewest}.",
            "The comments on the curves have {words} words; expected at least {fewest}.",
            comments["words"],
        )
        figures = dict(words=comments["words"], fewest=FEWEST_WORDS)
        yield Reason("asks", text.format(**figures), "comments")
    else:
        text = ngettext(
            "The curves are commented on, in {words} word; a grader judges what they say.",
            "The curves are commented on, in {words} words; a grader judges what they say.",
            comments["words"],
        )
        yield Reason("note", text.format(words=comments["words"]), "comments")


def _of_notebook(evidence, assignment):
    notebook = evidence["notebook"]
    if notebook["problem"]:
        text = _("The notebook cannot be shown: {problem}").format(problem=notebook["problem"])
        yield Reason("asks", text, "notebook")
    for thing, found, mend in notebook["rows"]:
        if mend and thing != "comments":  # their words are counted above
            text = _("Seen in the notebook, {thing}: {found}.").format(thing=_(thing), found=found)
            yield Reason("note", text, "notebook")


RULES = [
    _of_checks,
    _of_score,
    _of_weights,
    _of_replay,
    _of_videos,
    _of_pictures,
    _of_comments,
    _of_notebook,
    _of_manifest,
]
