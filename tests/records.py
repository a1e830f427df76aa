"""Evidence of hand-ins, complete and true to the contract, for tests of verdicts and pages."""

import copy
import hashlib
import shutil
from pathlib import Path

import cv2
import numpy as np

from grading.marking.likeness import Likeness
from lesson.pictures import CAPTIONS

__all__ = ["alike", "another", "changed", "record", "refused", "write_files"]

VIDEOS = Path(__file__).parent.parent / "videos" / "reference"
SETTINGS = dict(game="SpaceInvadersNoFrameskip-v4", nenvs=16, nsteps=5, total_steps=10_000_000)
SETTINGS |= dict(gamma=0.99, value_loss_coef=0.25, entropy_coef=0.01, max_grad_norm=0.5)
SETTINGS |= dict(lr=7e-4, alpha=0.99, eps=1e-5)
TASKS = ["NatureModel", "Policy", "ComputeValueTargets", "MergeTimeBatch", "A2C"]
SAMPLED = [515, 880, 640, 395, 720, 1010, 560, 605, 450, 770, 690, 830, 540, 615, 905, 480]
GREEDY = [460, 790, 610, 420, 655, 880, 520, 595, 430, 705, 640, 765, 500, 570, 815, 445]
COMMENTS = """- *reward_mean_100*: it climbs to 652 after 4 million agent steps and stays there.
- *entropy*: from log 6 = 1.79 down to 1.38, because the policy begins to prefer actions.
- *value loss*: it grows with the rewards, from 0.03 to 0.09."""


def record(**changes):
    """Returns evidence that earns 10 points, with some of its parts replaced."""
    return {**copy.deepcopy(_COMPLETE), **changes}


def changed(evidence, path, value):
    """Returns a copy of evidence in which one thing differs.

    Args:
        evidence: Of one hand-in, as `record` gives it.
        path: Where, as in "replay.sampled.high"; "videos.files.0.digest" counts in a list.
        value: What stands there.
    """
    *parts, last = path.split(".")
    held = evidence = copy.deepcopy(evidence)
    for part in parts:
        held = held[int(part) if isinstance(held, list) else part]
    held[int(last) if isinstance(held, list) else last] = value
    return evidence


def refused(problem="maria.zip is no archive: pack again", file="maria.zip"):
    """Returns the evidence of a hand-in whose archive was refused."""
    kept = ("digest", "packed", "wall", "grader", "released", "seconds")
    return {"file": file, "problem": problem, **{key: _COMPLETE[key] for key in kept}}


def another(name, **changes):
    """Returns the evidence of another student, alike with nobody's, with some parts replaced.

    Args:
        name: The student's; everything that is a student's own differs from name to name.
        changes: As in `record`.
    """
    made = record(file=f"{name.split()[0].lower()}.zip", digest=_hashes(name, 1, 64)[0])
    made["manifest"]["name"] = name
    made["notebook"]["shapes"] = {task: _hashes(name + task, 60) for task in TASKS}
    made["notebook"]["phrases"] = _hashes(name + "phrases", 40)
    made["curves"]["runs"][0]["floats"] = _hashes(name + "floats", 100)
    made["weights"] |= dict(digest=_hashes(name + "weights", 1, 64)[0], sketch=_sketch(name))
    for kind, file in zip(("sampled", "greedy"), made["videos"]["files"], strict=True):
        file["digest"] = _hashes(name + kind, 1, 64)[0]
    return {**made, **changes}


def alike(evidences, reference):
    """Returns {digest: what hand-ins with this digest have alike with others}."""
    likeness, found = Likeness(reference), {}
    for key, evidence in enumerate(evidences):
        likeness.put(key, evidence)
    for key, evidence in enumerate(evidences):
        found.setdefault(evidence["digest"], []).extend(likeness.of(key))
    return found


def write_files(evidence, folder):
    """Writes small files under the names that the evidence gives them: pictures and videos."""
    folder.mkdir(parents=True, exist_ok=True)
    picture = np.full((60, 100, 3), 90, np.uint8)
    for file in evidence["videos"]["files"]:
        source = next((VIDEOS / str(file["kind"] == "greedy")).glob("*.mp4"))
        if file["copy"]:
            shutil.copyfile(source, folder / file["copy"])
        cv2.imwrite(str(folder / file["strip"]), np.hstack([picture] * 8))
    shown = [file["picture"] for file in evidence["pictures"]["files"]]
    for cell in evidence["notebook"]["cells"]:
        shown += [output["picture"] for output in cell["outputs"] if "picture" in output]
    for name in shown:
        cv2.imwrite(str(folder / name), picture)


def _hashes(text, n, length=16):
    return [hashlib.sha256(f"{text} {k}".encode()).hexdigest()[:length] for k in range(n)]


def _sketch(text):
    seed = int(_hashes(text, 1)[0], 16)
    return [float(x) for x in np.random.default_rng(seed).normal(0, 0.05, 4096).round(6)]


def _mode(scores):
    scores = [float(score) for score in [*scores, *scores[::-1]]]
    half = 2.0395 * np.std(scores, ddof=1) / len(scores) ** 0.5  # Student's t of 31 degrees
    mean = float(np.mean(scores))
    low, high = (round(float(edge), 1) for edge in (mean - half, mean + half))
    lengths = [800 + int(score) // 2 for score in scores]
    return dict(scores=scores, lengths=lengths, cut=0, mean=mean, low=low, high=high)


def _points():
    steps = np.arange(1, 61) * 100_000
    rising = 1 - np.exp(-steps / 2e6)
    heights = {tag: 0.1 * k + rising for k, tag in enumerate(CAPTIONS)}
    heights |= {"Episodes/reward_mean_100": 180 + 500 * rising, "Episodes/games": 100 * rising}
    return {
        tag: {"steps": steps.tolist(), "values": values.round(4).tolist()}
        for tag, values in heights.items()
    }


def _video(k, kind, folder):
    return {
        "name": f"videos/{folder}/rl-video-episode-0.mp4",
        "kind": kind,
        "problem": "",
        "seconds": 58.3,
        "frames": 874,
        "rate": 15.0,
        "digest": _hashes(f"Maria {kind}", 1, 64)[0],
        "strip": f"strip-{k}.jpg",
        "copy": f"video-{k}.mp4",
        "follows": 0.62,
        "moves": 214,
        "seen": 851,
    }


def _picture(k, stem, caption):
    name = f"img/{stem}.png"
    return {"name": name, "picture": f"picture-{k}.png", "caption": caption, "shown": True}


def _cell(name, kind, source, count=None, outputs=()):
    return dict(id=name, kind=kind, source=source, count=count, outputs=list(outputs))


_RUN = {
    "name": "first-run",
    "best": 655.2,
    "last": 649.8,
    "counted": 655.2,
    "games": 100,
    "steps": 6_000_000,
    "hours": 3.4,
    "missing": [],
    "oddities": [],
    "sittings": 2,
    "floats": _hashes("Maria floats", 100),
}
_NETWORK = {
    "actions": 6,
    "parameters": 1_687_719,
    "layers": [[32, 4, 8, 8], [64, 32, 4, 4], [64, 64, 3, 3], [512, 3136], [6, 512], [1, 512]],
}
_COMPLETE = {
    "file": "maria.zip",
    "digest": _hashes("Maria Lopez", 1, 64)[0],
    "packed": "2026-11-20T18:03:00",
    "problem": "",
    "manifest": {
        "problem": "",
        "name": "Maria Lopez",
        "group": "A",
        "release": "2026.1-0a1b2c3d4e5f",
        "run": "first-run",
        "settings": SETTINGS,
    },
    "wall": "bubblewrap",
    "grader": "0123456789ab",
    "released": "2026.1-0a1b2c3d4e5f",
    "known": True,
    "seconds": {"checks": 21.4, "curves": 2.2, "weights": 1.9, "replay": 183.0, "videos": 6.5},
    "checks": {
        "problem": "",
        "tasks": {task: {"result": "passed", "message": ""} for task in TASKS},
        "helpers": [],
        "seeds": [412_345, 2_098_765],
    },
    "curves": {"problem": "", "chosen": 0, "runs": [_RUN], "points": _points()},
    "weights": {
        "problem": "",
        "network": _NETWORK,
        "same_network": True,
        "digest": _hashes("Maria weights", 1, 64)[0],
        "sketch": _sketch("Maria"),
    },
    "replay": {
        "problem": "",
        "player": "the notebook's own policy",
        "sampled": _mode(SAMPLED),
        "greedy": _mode(GREEDY),
        "oddities": [],
        "compared": 160,
        "logits": 2.1e-6,
        "values": 3.4e-6,
        "seed": 731_482,
    },
    "videos": {
        "problem": "",
        "files": [_video(0, "sampled", "False"), _video(1, "greedy", "True")],
    },
    "pictures": {
        "problem": "",
        "files": [
            _picture(0, "reward_mean_100", "reward_mean_100: raw score of whole games"),
            _picture(1, "entropy", "entropy of the policy, in nats"),
        ],
    },
    "comments": {"problem": "", "text": COMMENTS, "words": 28},
    "notebook": {
        "problem": "",
        "cells": [
            _cell("promise", "markdown", "# A2C on Atari\n\nThe loss is $L = L_\\pi + c L_v$."),
            _cell(
                "model-class",
                "code",
                "class NatureModel(nn.Module):\n    pass",
                3,
                [{"text": "1,687,719 parameters\n"}],
            ),
            _cell("curves-draw", "code", "draw_curves(RUN)", 9, [{"picture": "output-2-0.png"}]),
            _cell(
                "a2c-see", "code", "a2c", 10, [{"error": "NameError: name 'a2c' is not defined"}]
            ),
            _cell("curves-comments", "markdown", COMMENTS),
        ],
        "rows": [
            ["comments", "28 words", ""],
            ["notebook", "shows this run's end", ""],
            ["cells that failed", "1", "save the notebook, or run it from this cell on: a2c"],
        ],
        "shapes": {task: _hashes("Maria " + task, 60) for task in TASKS},
        "phrases": _hashes("Maria phrases", 40),
    },
}
