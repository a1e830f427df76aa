"""A copy of this kit with another game, from its release to its grading.

Nothing but the game in `assignment.json` differs from the original.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import imageio.v3 as iio
import nbformat
import numpy as np
from nbclient import NotebookClient

from benchmarks.figures import sittings
from benchmarks.outputs import UNSET
from training.curves import read_curves

__all__ = ["KitCopy"]

KIT = Path(__file__).parent.parent
NOTEBOOK, RUN = "a2c_assignment.ipynb", "first-run"
NO_PART_OF_IT = (".git", ".venv", ".hypothesis", ".*_cache", "__pycache__", "study", "*.zip", RUN)
LAST = "hand-in-cell"
CATCH = ("catch-train", "laboratory-run")  # cells above it that know nothing of the game
POINTS = "points.jsonl"  # in the folder of the runs
WATCHED = """

def keep_points(judge=health.judge):
    import json

    def keep(point):
        with open(OUT / {name!r}, "a") as file:
            file.write(json.dumps(point) + "\\n")
        return judge(point)

    return keep

health.judge = keep_points()
"""
KINDS = {"sampled": "False", "greedy": "True"}
GRADE = """
import json, sys
from pathlib import Path
from grading.marking.evidence import Course
from grading.marking.grade import grade
from grading.sandbox import find_wall

hand_in, out, games = sys.argv[1:]
((entry,), _) = grade([Path(hand_in)], Path(out), Course(find_wall(), games=int(games)))
if problem := entry.evidence["problem"]:
    sys.exit(problem)
told = {"flags": entry.verdict.flags}
told |= {name: entry.evidence["replay"][name] for name in ("problem", "player", "oddities")}
told |= {"checks": {n: t["result"] for n, t in entry.evidence["checks"]["tasks"].items()}}
print(json.dumps(told | {k: entry.evidence["replay"][k]["mean"] for k in ("sampled", "greedy")}))
"""


class KitCopy:
    """The kit in a folder of its own, and what its runs write."""

    def __init__(self, game, folder):
        """Copies the kit.

        Args:
            game: A game's name.
            folder: Where the copy, `kit`, and its runs, `out`, go.

        Raises:
            FileExistsError: If there is a copy already.
        """
        self.kit, self.out, self.folder = folder / "kit", folder / "out", folder
        shutil.copytree(KIT, self.kit, ignore=shutil.ignore_patterns(*NO_PART_OF_IT))
        path = self.kit / "assignment.json"
        setting = json.loads(path.read_text(encoding="utf-8")) | {"game": game}
        path.write_text(json.dumps(setting, indent=1) + "\n", encoding="utf-8")

    def release(self):
        """Makes the students' kit; returns "passed", or what the command printed."""
        ended = self._python("-m", "release", "--out", str(self.folder / "released"))
        return ended.stdout if ended.returncode else "passed"

    def sit(self, minutes):
        """Runs the solved notebook up to its packing; returns what each cell printed, {id: text}.

        Cells that play Catch are left out, and what `Health` judges is kept.

        Args:
            minutes: Training time.

        Raises:
            CellExecutionError: If a cell fails; the notebook is written all the same.
        """
        book = nbformat.read(self.kit / NOTEBOOK, as_version=4)
        end = [cell.id for cell in book.cells].index(LAST) + 1
        book.cells = [cell for cell in book.cells[:end] if cell.id not in CATCH]
        for cell in book.cells:
            cell.source += WATCHED.format(name=POINTS) if cell.id == "training-start-cell" else ""
        environ = {name: value for name, value in os.environ.items() if name not in UNSET}
        environ |= {"A2C_OUT": str(self.out.resolve()), "A2C_MINUTES": str(minutes)}
        client = NotebookClient(book, timeout=3600, resources={"metadata": {"path": self.kit}})
        try:
            client.execute(env=environ)
        finally:
            nbformat.write(book, self.kit / "a2c_run.ipynb")
        return {cell.id: _printed(cell) for cell in book.cells if cell.cell_type == "code"}

    def hand_in(self):
        """Packs what the last sitting left; returns the checklist."""
        out, notebook = str(self.out.resolve()), "a2c_run.ipynb"
        return self._python("-m", "grading", "pack", notebook, "--out", out, "--name", "Ada").stdout

    def grade(self, games):
        """Grades the hand-in; returns its checks, flags, and what its weights played.

        Args:
            games: Whole games that the weights play, sampled, and as many greedy.
        """
        where = self.out / "hand-in.zip", self.folder / "graded"
        ended = self._python("-c", GRADE, *(str(path.resolve()) for path in where), str(games))
        if ended.returncode:
            raise ChildProcessError(ended.stdout + ended.stderr)
        return json.loads(ended.stdout.splitlines()[-1])

    def run_facts(self):
        """Returns how far the run came: agent steps, seconds, score, games behind it, entropy."""
        folder = self.out / "logs" / RUN
        curves = read_curves(folder)
        last = {tag: values[-1] for tag, (_, values, _) in curves.items()}
        return {
            "agent steps": int(max(steps[-1] for steps, _, _ in curves.values())),
            "seconds": round(sum(end - begin for begin, end in sittings(folder))),
            "reward_mean_100": round(float(last["Episodes/reward_mean_100"]), 2),
            "games": int(last["Episodes/games"]),
            "entropy": round(float(last["A2C/entropy"]), 3),
        }

    def points(self):
        """Returns what `Health` has judged, a list of dicts."""
        lines = (self.out / POINTS).read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]

    def keep_scores(self, path):
        """Writes the curves of whole games, an .npz: `steps` [N], and values [N] by their tags."""
        curves = read_curves(self.out / "logs" / RUN)
        values = {tag: curve[1] for tag, curve in curves.items() if tag.startswith("Episodes/")}
        steps = curves["Episodes/games"][0]
        np.savez_compressed(path, steps=steps, **{k: np.float32(v) for k, v in values.items()})

    def film_facts(self):
        """Returns {kind of play: number of frames} of the videos that play and show something."""
        found = {}
        for kind, name in KINDS.items():
            (film,) = (self.out / "videos" / name).glob("*.mp4")
            frames = iio.imread(film, plugin="FFMPEG")
            if np.ptp(frames) and (frames != frames[0]).any():
                found[kind] = len(frames)
        return found

    def _python(self, *words):
        return subprocess.run(
            [sys.executable, *words], cwd=self.kit, capture_output=True, text=True, encoding="utf-8"
        )


def _printed(cell):
    return "".join(re.sub(r".*\r", "", output.get("text", "")) for output in cell.outputs)
