"""Writes results.json, which Gradescope reads: whole, and again after each thing that is known."""

import json
import math
import os
import time

from grading.marking.autograder.settings import SCORE, TASKS, TESTS, VISIBLE
from languages import _, ngettext

__all__ = ["Results"]

NEVER = _("The time was over before this was known. Submit again, or ask your teachers.")


class Results:
    """The results of one submission; until something is known, each test has failed."""

    def __init__(self, path, settings):
        """Takes the path of results.json and the Settings; writes nothing yet."""
        self._path, self._settings, self._began = path, settings, time.monotonic()
        self._tests = {task: self._test(task, settings.points[task]) for task in TASKS}
        self._tests[SCORE] = self._test(SCORE, max(settings.marks.values(), default=0))
        self._top = {"output": "", "extra_data": {}}

    def _test(self, name, most):
        """Returns the entry of a test of which nothing is known."""
        number = str([*TASKS, SCORE].index(name) + 1)
        shown = name if name in TASKS else _("the score of whole games")
        entry = {"name": shown, "number": number, "score": 0, "max_score": most}
        entry |= {"status": "failed", "output": NEVER, "output_format": "text"}
        return entry | {"visibility": self._settings.visibility[name]}

    def tell(self, output, **extra):
        """Sets the text above all tests, and what instructors see beside it."""
        self._top = {"output": output, "extra_data": self._top["extra_data"] | extra}
        self.write()

    def refuse(self, why):
        """Says of each test that is not decided why it cannot be."""
        for test in self._tests.values():
            test["output"] = why if test["output"] == NEVER else test["output"]
        self.write()

    def set_checks(self, verdicts):
        """Takes {task: Verdict}."""
        for task, verdict in verdicts.items():
            passed = verdict.result == "passed"
            test, message = self._tests[task], verdict.message
            test["status"] = "passed" if passed else "failed"
            test["score"] = test["max_score"] if passed else 0
            test["output"] = ": ".join(filter(None, [_(verdict.result), message]))
        self.write()

    def set_score(self, played):
        """Takes what `games.play` yields; the score earns points where all tasks passed."""
        test, marks = self._tests[SCORE], self._settings.marks
        right = all(self._tests[task]["status"] == "passed" for task in TASKS)
        sound = right and not played["problem"] and not played["oddities"]
        reached = [points for least, points in marks.items() if played["mean"] >= least]
        test["score"] = max(reached, default=0) if sound else 0
        test["status"] = "passed" if sound and (reached or not marks) else "failed"
        test["output"] = "\n".join(_told(played, right or not self._shows_tasks(), marks))
        self._top.pop("leaderboard", None)  # of the rounds before
        if self._settings.leaderboard and sound:
            entry = {"name": _("mean score"), "value": math.floor(10 * played["mean"]) / 10}
            self._top["leaderboard"] = [entry]
        self.write()

    def _shows_tasks(self):
        """Tells whether all who see the score see the checks of all tasks, too."""
        seen = [VISIBLE.index(self._settings.visibility[test]) for test in TESTS]
        return max(seen) == seen[TESTS.index(SCORE)]

    def write(self):
        """Writes the file beside the last one, and then in its place."""
        seconds = round(time.monotonic() - self._began, 1)
        results = self._top | {"execution_time": seconds, "stdout_visibility": "hidden"}
        results |= {"visibility": "visible", "tests": [*self._tests.values()]}
        part = self._path.with_suffix(".part")
        part.write_text(json.dumps(results, indent=1, ensure_ascii=False), encoding="utf-8")
        os.replace(part, self._path)


def _told(played, right, marks):
    """Yields sentences on the games, on what they earn, and on what is odd."""
    n = len(played["scores"])
    if n == 1:
        text = _("Your weights played one whole game: its score is {score:.0f}.")
        yield text.format(score=math.floor(played["mean"]))
    elif n:
        text = ngettext(
            "Your weights played {n} whole game: mean score {mean:.0f}; the 95% interval of the "
            "mean is {low:.0f} to {high:.0f}.",
            "Your weights played {n} whole games: mean score {mean:.0f}; the 95% interval of the "
            "mean is {low:.0f} to {high:.0f}.",
            n,
        )
        shown = dict(mean=math.floor(played["mean"]), low=played["low"], high=played["high"])
        yield text.format(n=n, **shown)  # a mean below a mark is not rounded up to it
    if played["instead"]:
        text = _(
            "Your notebook's policy did not play, so the network that your weights make played "
            "by itself: {why}"
        )
        yield text.format(why=played["instead"])
    for least, points in marks.items():
        text = ngettext(
            "{points:g} point needs a mean of {least}.",
            "{points:g} points need a mean of {least}.",
            int(points) if points == int(points) else 2,
        )
        yield text.format(points=points, least=least)
    if marks and not right:
        yield _("The score earns points once the checks of all five tasks pass.")
    for oddity in played["oddities"]:
        yield _("The policy that plays is odd: {oddity}.").format(oddity=oddity.rstrip("."))
    if played["problem"]:
        text = _("The weights could not play: {problem}")
        yield text.format(problem=played["problem"])
