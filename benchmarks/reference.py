"""The reference run: python benchmarks/reference.py reads its event files and prints its figures.

The run is the notebook's, with its settings unchanged; `logs/reference/` holds its event files and
weights. The figures are printed and written to `benchmarks/reference.md`; the doctor reads the
curve of scores, thinned, in `lesson/reference_run.json`. A word behind the command does one thing
more:

- `draw`: draws the pictures of `img/reference/`, and puts those of the notebook's top into it;
- `take FOLDER`: first makes a finished run the reference, the folder being its `A2C_OUT`; draws;
- `outputs`: runs every cell of the notebook but the training, and writes their outputs into it.
"""

import argparse
import json
import shutil
import sys
from pathlib import Path

KIT = Path(__file__).parent.parent
if __name__ == "__main__":
    sys.path.insert(0, str(KIT))

from benchmarks import figures, outputs, pictures, report
from training.curves import read_curves

GAME = "SpaceInvadersNoFrameskip-v4"
KINDS = ("False", "True")  # of videos: sampled actions, greedy ones


def take(out, kit=KIT):
    """Makes a finished run the reference: its event files, weights and videos replace the old.

    Raises:
        ValueError: If the folder holds more than one run, or a part is missing, or the run is not
            finished; nothing is changed then.
    """
    runs = {path.parent for path in out.glob("logs/*/events.out.*")} - {out / "logs" / "reference"}
    if len(runs) != 1:
        names = sorted(path.name for path in runs)
        raise ValueError(f"{out / 'logs'} holds the runs {names}, expected one: move others away")
    (run,) = runs
    films = [out / "videos" / kind / "rl-video-episode-0.mp4" for kind in KINDS]
    for path in (out / "weights.pt", *films):
        if not path.is_file():
            raise ValueError(f"{path} is missing: run the notebook to its end first")
    reached = read_curves(run)[figures.GRADED][0][-1]
    if reached < 0.99 * figures.TOTAL_STEPS:
        whole = f"{figures.TOTAL_STEPS:,}"
        raise ValueError(f"{run} ends at agent step {reached:,} of {whole}: train on first")
    _replace(kit / "logs" / "reference", [*sorted(run.glob("events.out.*")), out / "weights.pt"])
    for kind, film in zip(KINDS, films, strict=True):
        _replace(kit / "videos" / "reference" / kind, [film])


def _replace(folder, paths):
    """Puts copies of some files in the place of a folder."""
    new = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    for path in paths:
        shutil.copy2(path, new)
    shutil.rmtree(folder, ignore_errors=True)
    new.rename(folder)


def main():
    """Takes, draws, runs the notebook's cells and prints, as asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words = ["print", "draw", "take", "outputs"]
    parser.add_argument("what", nargs="?", choices=words, default="print")
    parser.add_argument("folder", nargs="?", type=Path, help="A2C_OUT of the run to take")
    asked = parser.parse_args()
    if (asked.what == "take") != (asked.folder is not None):
        parser.error("take needs a folder, and nothing else does")
    if asked.what == "take":
        take(asked.folder)
        print("next: evaluation.py; copy the output of the training cell; reference.py outputs")
    run = read_curves(figures.RUN)
    if asked.what in ("draw", "take"):
        pictures.draw_all(run, KIT / "videos" / "reference" / KINDS[0] / "rl-video-episode-0.mp4")
    if asked.what == "outputs":
        outputs.renew(figures.RUN, int(max(steps[-1] for steps, _, _ in run.values())))
    curve = {"game": GAME, "reward_mean_100": figures.thinned(run[figures.GRADED])}
    (KIT / "lesson" / "reference_run.json").write_text(json.dumps(curve) + "\n", encoding="utf-8")
    texts = figures.render(run, figures.sittings())
    report.fill(figures.PAGE, texts)
    print(*texts.values(), sep="\n\n", end="\n\n")


if __name__ == "__main__":
    main()
