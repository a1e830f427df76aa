import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grading.marking.likeness import Alike
from grading.marking.verdict import decide, is_late, superseded
from lesson.assignment import Assignment
from tests.records import another, changed, record, refused

COURSE = Assignment(
    game="SpaceInvadersNoFrameskip-v4",
    agent_steps=10_000_000,
    marks={400: 8, 600: 10},
    deadline="2026-11-30 12:00",
    hand_in="Moodle",
    ask="the teachers",
    points={},
)
COPY = Alike("weights", "Max Roe (max.zip)", "The weights are those of another hand-in.")
DIFFERENT = [{"name": "runners.py", "diff": "-a\n+b"}]
ASKS = [  # what differs from a hand-in that earns 10 points: what a grader is asked
    ("checks.problem", "the notebook cannot be read", "could not be checked: the notebook"),
    (
        "checks.tasks.A2C",
        {"result": "failed", "message": "A2C: the loss is 0."},
        "The check of A2C failed. A2C: the loss is 0.",
    ),
    (
        "checks.tasks.Policy",
        {"result": "not reached", "message": "no class Policy"},
        "The check of Policy was not reached: no class Policy",
    ),
    ("checks.tasks", {}, "The check of MergeTimeBatch was not reached: nothing tells of it"),
    (
        "checks.helpers",
        [{"name": "env_batch.py", "diff": "-a"}],
        "env_batch.py differs from the given file, and games and scores are made there.",
    ),
    ("curves.problem", "cut short", "The curves cannot be used: cut short"),
    ("curves.runs", [], "The curves cannot be used: there are none of any run"),
    ("curves.runs.0.counted", None, "100 games in every environment on, and the run first-run"),
    ("curves.runs.0.counted", 399.9, "the lowest mark is at 400."),
    ("curves.runs.0.missing", ["A2C/entropy"], "curves of the run are missing: A2C/entropy."),
    ("curves.runs.0.oddities", ["steps run backwards"], "together: steps run backwards."),
    ("weights.problem", "weights.pt is cut short", "cannot be used: weights.pt is cut short"),
    ("weights.same_network", False, "they are of another network than the assignment's"),
    ("replay.problem", "act gave nothing", "The policy could not play again: act gave nothing"),
    ("replay.oddities", ["actions are not drawn"], "odd: actions are not drawn."),
    ("replay.compared", 0, "was never compared with what the weights give"),
    ("replay.sampled.scores", [700.0] * 15, "Only 15 games were played again; 16 are needed"),
    ("replay.sampled.high", 599.9, "upper end lies below 600, which the run's 655 reaches."),
    ("replay.sampled.high", 399.9, "upper end lies below 600, which the run's 655 reaches."),
    ("videos.problem", "the reader ended", "The videos cannot be used: the reader ended"),
    ("videos.files", [], "No video of greedy play is there that plays."),
    ("videos.files.0.kind", "", "No video of sampled play is there that plays."),
    ("videos.files.1.problem", "no frame", "No video of greedy play is there that plays."),
    ("videos.files.0.follows", 0.44, "agreement 0.44 over 214 moves"),
    (
        "videos.files.0.seen",
        99,
        "Whether these weights played what videos/False/rl-video-episode-0.mp4 shows cannot be",
    ),
    ("pictures.files", [], "No picture of the curves can be shown: there are none"),
    (
        "pictures.files",
        [{"name": "img/a.svg", "picture": "", "caption": "a", "shown": True}],
        "No picture of the curves can be shown: there are none",
    ),
    ("comments.words", 9, "have 9 words; expected at least 10."),
    ("comments.problem", "no cell", "The comments cannot be read: no cell"),
    ("notebook.problem", "too deep", "The notebook cannot be shown: too deep"),
    ("manifest.settings.game", "PongNoFrameskip-v4", "The run played PongNoFrameskip-v4, but"),
]
FITS = [  # what differs, and is a note at most
    ("curves.runs.0.counted", 600.0, "reached 600 within 6,000,000 agent steps, with 100 games"),
    ("replay.sampled.high", 600.0, "A justified score: that fits the run's 655."),
    ("replay.sampled.low", 720.0, "mean score 663; the 95% interval of the mean is 720 to 726."),
    ("replay.sampled.cut", 2, "2 games went on for so long that they were cut"),
    ("videos.files.0.follows", 0.45, "the curves"),
    ("videos.files.0.follows", None, "the curves"),
    ("checks.helpers", DIFFERENT, "runners.py differs from the given file; the difference is"),
    ("comments.words", 10, "commented on, in 10 words; a grader judges what they say."),
    ("pictures.problem", "img/a.svg: SVG", "Not every picture can be shown: img/a.svg: SVG"),
    ("pictures.files.1.caption", " ", "Without a caption: img/entropy.png."),
    ("manifest.problem", "there is no hand-in.json", "there is no hand-in.json"),
    ("manifest.name", " ", "The hand-in names no student."),
    ("manifest.settings", None, "the curves"),
    ("known", False, "does not know release 2026.1-0a1b2c3d4e5f"),
    ("notebook.rows", [["cells that failed", "3", "run on"]], "cells that failed: 3."),
]
OFTEN = dict(deadline=None, max_examples=60)


def texts(verdict, kind):
    return " ".join(reason.text for reason in verdict.reasons if reason.kind == kind)


def test_decide_gives_points_with_each_reason_in_a_sentence():
    verdict = decide(record(), [], COURSE)
    assert (verdict.points, verdict.mark, verdict.flags) == (10, "10", [])
    assert [(reason.kind, reason.text) for reason in verdict.reasons[:3]] == [
        (
            "earned",
            "A correct A2C: the checks of all five tasks passed, also on hidden numbers.",
        ),
        (
            "earned",
            "reward_mean_100 of the run first-run reached 655 within 6,000,000 agent steps, with "
            "100 games of every environment behind it; 10 points need 600.",
        ),
        (
            "earned",
            "The weights played 32 whole games again in the grader's own environments: mean score "
            "663; the 95% interval of the mean is 600 to 726. A justified score: that fits the "
            "run's 655.",
        ),
    ]


@pytest.mark.parametrize("path, value, told", ASKS)
def test_decide_asks_a_grader_where_something_does_not_fit(path, value, told):
    verdict = decide(changed(record(), path, value), [], COURSE)
    assert (verdict.points, verdict.mark) == (None, "for the grader") and verdict.flags
    assert told in texts(verdict, "asks")


@pytest.mark.parametrize("path, value, told", FITS)
def test_decide_gives_points_where_what_differs_is_no_matter(path, value, told):
    verdict = decide(changed(record(), path, value), [], COURSE)
    assert (verdict.points, verdict.flags) == (10, [])
    assert told.lower() in " ".join(reason.text for reason in verdict.reasons).lower()


def test_videos_are_compared_where_one_of_each_kind_is_and_the_game_is_known():
    evidence = record()
    files = evidence["videos"]["files"]
    files += [{**file, "seen": 0, "digest": ""} for file in files]
    assert decide(evidence, [], COURSE).points == 10
    for file in files:
        file["seen"] = 0
    assert decide(evidence, [], COURSE).flags == ["videos"]
    told = changed(evidence, "manifest.settings.game", "PongNoFrameskip-v4")
    assert decide(told, [], COURSE._replace(game="PongNoFrameskip-v4")).points == 10


def test_decide_gives_no_more_than_the_curve_claims():
    claims = changed(record(), "curves.runs.0.counted", 599.9)
    assert decide(claims, [], COURSE).points == 8


def test_decide_tells_what_the_weights_played_without_the_students_policy():
    played = changed(record(), "replay.problem", "act raised TypeError")
    verdict = decide(changed(played, "replay.compared", 0), [], COURSE)
    assert [reason.text for reason in verdict.reasons if reason.part == "replay"] == [
        "The policy could not play again: act raised TypeError",
        "The weights played 32 whole games again in the grader's own environments: mean score "
        "663; the 95% interval of the mean is 600 to 726. A justified score: that fits the run's "
        "655.",
    ]
    nothing = changed(played, "replay.sampled", dict(scores=[], cut=0, mean=0.0, low=0.0, high=0.0))
    verdict = decide(nothing, [], COURSE)
    assert [reason.kind for reason in verdict.reasons if reason.part == "replay"] == ["asks"]


def test_decide_reads_the_chosen_run_alone():
    runs = [{**record()["curves"]["runs"][0], "counted": 20.0, "oddities": ["odd"]}]
    two = changed(record(), "curves.runs", runs + record()["curves"]["runs"])
    assert decide(changed(two, "curves.chosen", 1), [], COURSE).points == 10
    assert decide(two, [], COURSE).points is None


def test_decide_asks_about_two_videos_of_one_game():
    digest = record()["videos"]["files"][0]["digest"]
    verdict = decide(changed(record(), "videos.files.1.digest", digest), [], COURSE)
    assert verdict.flags == ["videos"] and "the very same game" in texts(verdict, "asks")


def test_decide_asks_about_what_is_alike_and_names_nobody():
    verdict = decide(record(), [COPY], COURSE)
    assert (verdict.points, verdict.flags) == (None, ["alike"])
    assert "The weights are those of another hand-in." in texts(verdict, "asks")
    assert not any("Max" in reason.text for reason in verdict.reasons)


def test_decide_passes_on_an_archive_that_was_refused():
    verdict = decide(refused("maria.zip is no archive"), [], COURSE)
    assert (verdict.points, verdict.flags) == (None, ["archive"])
    assert [r.text for r in verdict.reasons] == [
        "The archive cannot be used: maria.zip is no archive"
    ]


def test_decide_lets_a_grader_overrule_and_keeps_what_the_rules_say():
    verdict = decide(record(), [COPY], COURSE, overruled=(8.5, "They showed me their run."))
    assert (verdict.points, verdict.mark, verdict.by_rules) == (8.5, "8.5", "for the grader")
    assert verdict.flags == ["alike", "overruled"]
    assert verdict.reasons[0].text == (
        "A grader gave 8.5 points, whatever the rules say. They showed me their run."
    )
    assert COPY.how in texts(verdict, "asks")


def test_decide_gives_nothing_for_a_superseded_hand_in():
    known = record(lms={"system": "Moodle", "owner": "12", "name": "Maria Lopez", "late": False})
    verdict = decide(known, [], COURSE, newer="maria-2.zip")
    assert (verdict.points, verdict.mark, verdict.flags) == (None, "superseded", ["superseded"])
    assert "A newer hand-in by the same student counts: maria-2.zip." in texts(verdict, "note")


def test_decide_asks_a_grader_where_only_a_newer_hand_in_says_whose_it_is():
    verdict = decide(record(), [], COURSE, newer="maria-2.zip")
    assert (verdict.points, verdict.mark, verdict.flags) == (None, "for the grader", ["superseded"])
    told = "A newer hand-in names this student too, and counts if it is theirs: maria-2.zip."
    assert told in texts(verdict, "asks")


def test_decide_flags_what_is_late_and_leaves_its_points():
    verdict = decide(record(packed="2026-11-30T12:01:00"), [], COURSE)
    assert (verdict.points, verdict.flags) == (10, ["late"])
    assert "Packed on 2026-11-30 12:01:00" in texts(verdict, "note")


@pytest.mark.parametrize(
    "packed, deadline, late",
    [
        ("2026-11-30T12:00:00", "2026-11-30 12:00", False),
        ("2026-11-30T12:00:01", "2026-11-30 12:00", True),
        ("2026-11-30T23:59:59", "2026-11-30", False),
        ("2026-12-01T00:00:00", "2026-11-30", True),
        ("2026-12-02T12:00:01", "2026-11-30T12:00:00+00:00", True),
        ("2026-11-28T12:00:01", "2026-11-30T12:00:00+00:00", False),
        ("", "2026-11-30 12:00", False),
        ("2026-12-01T00:00:00", "the date that your course names", False),
    ],
)
def test_is_late_reads_a_date_and_leaves_other_words(packed, deadline, late):
    assert is_late(packed, deadline) is late


class Older(datetime.datetime):
    """Reads what Python 3.10 does."""

    @classmethod
    def fromisoformat(cls, text):
        if text.endswith("Z"):
            raise ValueError(f"Invalid isoformat string: {text!r}")
        return super().fromisoformat(text)


@pytest.mark.parametrize(
    "packed, deadline, late",
    [
        ("2026-12-02T12:00:01", "2026-11-30T12:00:00Z", True),
        ("2026-12-02T12:00:01", " 2026-11-30 12:00Z ", True),
        ("2026-11-28T12:00:01", "2026-11-30T12:00:00.500Z", False),
        ("2026-12-02T12:00:01", "2026-11-30Z", False),
    ],
)
def test_a_deadline_in_utc_is_one_in_every_python(packed, deadline, late, monkeypatch):
    monkeypatch.setattr(datetime, "datetime", Older)
    assert is_late(packed, deadline) is late


def test_superseded_lets_the_newest_of_a_students_hand_ins_count():
    old = another("Max Roe", file="hand-in.zip", packed="2026-11-20T18:00:00")
    new = another("Max Roe", file="hand-in.zip", packed="2026-11-21T18:00:00")
    new["manifest"]["name"] = "  max  ROE"
    unnamed = changed(record(), "manifest.name", "")
    group_b = changed(old, "manifest.group", "B")
    hand_ins = [new, record(), old, unnamed, unnamed, refused(), group_b]
    assert superseded(hand_ins) == ["", "", "hand-in.zip", "", "", "", ""]


@settings(**OFTEN)
@given(
    st.lists(st.sampled_from([*ASKS, *FITS]), max_size=4),
    st.booleans(),
    st.floats(0, 2000),
    st.floats(0, 2000),
)
def test_decide_never_gives_points_beside_a_reason_to_ask(changes, copied, counted, high):
    evidence = changed(record(), "curves.runs.0.counted", counted)
    evidence = changed(evidence, "replay.sampled.high", high)
    for path, value, _ in changes:
        try:
            evidence = changed(evidence, path, value)
        except (KeyError, IndexError, TypeError):
            continue  # an earlier change has taken the place of this one
    verdict = decide(evidence, [COPY] if copied else [], COURSE)
    asks = any(reason.kind == "asks" for reason in verdict.reasons)
    assert asks == (verdict.points is None) == (verdict.mark == "for the grader")
    assert verdict.points in (None, 8, 10) and bool(verdict.flags) == asks
    assert not any("proved" in reason.text for reason in verdict.reasons)
