"""The kit on other games: `python -m benchmarks.games GAME ...` tries it on each, one at a time.

GAME is a name as Breakout. For each, 100 whole games are played at random; then a copy of the kit
gets the game in its `assignment.json`. There the students' kit is released, the solved notebook
trains for some minutes and resumes for one more, and its hand-in is graded. What came of it is kept
in `benchmarks/games.json`. Without GAME only README is filled again from there.
"""

import argparse
import json
import re
import tempfile
from pathlib import Path

import numpy as np
from tabulate import tabulate

from atari_wrappers import SkipFrames, make_atari, nature_dqn_env
from benchmarks import report
from benchmarks.evaluation import summary
from benchmarks.figures import NENVS
from benchmarks.kit_copy import KitCopy
from languages import N_
from lesson.assignment import title
from lesson.games import EXPECT
from tests import record_runs

__all__ = ["FIGURES", "README", "render", "students_table"]

KIT = Path(__file__).parent.parent
README, FIGURES = KIT / "README.md", KIT / "benchmarks" / "games.json"
RUNS = KIT / "benchmarks" / "games"  # what `Health` judged in each run, and its scores
SUFFIX = "NoFrameskip-v4"
MORE = 1  # minute of the second sitting
GAMES = 100  # played at random
REPLAYED = 2  # of each kind, by the grader
WAITED = 1_000  # agent steps in which nothing happens where a game waits for FIRE
OTHERS = {  # A2C agents after 10 million agent steps
    "RL Baselines3 Zoo": (
        "https://github.com/DLR-RM/rl-baselines3-zoo/blob/master/benchmark.md",
        {"Breakout": 280, "Pong": 17},
    ),
    "SLM Lab": (
        "https://github.com/kengz/SLM-Lab/blob/master/docs/BENCHMARKS.md",
        {"Freeway": 23, "MsPacman": 2110},
    ),
}


def main():
    """Tries the games that were asked for, and fills README."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("games", nargs="*", metavar="GAME", help="its name, as Breakout")
    parser.add_argument("--minutes", type=float, default=6, help="of the first sitting (6)")
    parser.add_argument("--folder", type=Path, help="where the copies stay; else they are removed")
    asked = parser.parse_args()
    for name in asked.games:
        with tempfile.TemporaryDirectory() as temporary:
            folder = (asked.folder or Path(temporary)) / name
            found = try_game(name, folder, asked.minutes)
        results = json.loads(FIGURES.read_text(encoding="utf-8")) if FIGURES.exists() else {}
        results[name] = found
        FIGURES.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        print(name, json.dumps(found, indent=1), flush=True)
    texts = {"games": render(json.loads(FIGURES.read_text(encoding="utf-8")))}
    report.fill(README, texts)
    print(texts["games"])


# one game


def try_game(name, folder, minutes):
    """Returns what came of a game, as JSON holds it.

    Args:
        name: Of the game.
        folder: Where the copy of the kit and its runs go.
        minutes: Training time of the first sitting.
    """
    copy = KitCopy(name + SUFFIX, folder)
    found = rules(name + SUFFIX) | {"random": play_at_random(name + SUFFIX)}
    found["released"] = copy.release()
    copy.sit(minutes)
    told = copy.sit(MORE)
    found |= {"checks": re.findall(r"(\w+): passed\.", "".join(told.values()))}
    found |= {"resumed": told["training-start-cell"].strip(), "run": copy.run_facts()}
    found |= {"scores": re.findall(r"games:? \[(.*)\]", told["watching-play"])}
    copy.hand_in()
    record_runs.write(name, copy.points(), RUNS)
    copy.keep_scores(RUNS / f"{name}.npz")
    return found | {"videos": copy.film_facts(), "graded": copy.grade(REPLAYED)}


def rules(game):
    """Returns a game's numbers of actions and lives, and whether nothing happens without FIRE."""
    env = SkipFrames(make_atari(game))
    _, info = env.reset(seed=0)
    meanings, lives = env.unwrapped.get_action_meanings(), info["lives"]
    others = [k for k, meaning in enumerate(meanings) if "FIRE" not in meaning]
    rng, happened = np.random.default_rng(0), False
    for _ in range(WAITED):
        _, reward, terminated, truncated, info = env.step(int(rng.choice(others)))
        happened |= bool(reward or terminated or truncated or info["lives"] < lives)
        if terminated or truncated:
            env.reset()
    env.close()
    waits = "FIRE" in meanings and not happened
    return {"actions": len(meanings), "lives": int(lives), "waits for FIRE": waits}


def play_at_random(game):
    """Plays one whole game in each environment: short games are not preferred.

    Returns:
        A dict: number of games, their mean score, half the width of its 95% interval, lowest and
        highest score, and mean length in agent steps.
    """
    env = nature_dqn_env(game, GAMES, summaries=False, clip_reward=False)
    env.reset(seed=0)
    rng, games, n_actions = np.random.default_rng(0), {}, env.action_space[0].n
    while len(games) < GAMES:
        _, _, _, _, infos = env.step(rng.integers(n_actions, size=GAMES))
        for i, info in enumerate(infos):
            if "episode" in info:
                games.setdefault(i, (float(info["episode"]["r"]), int(info["episode"]["l"])))
    env.close()
    scores, lengths = zip(*games.values(), strict=True)
    mean, _, half = summary(scores)
    return {
        "games": GAMES,
        "mean": round(float(mean), 2),
        "half": round(float(half), 2),
        "lowest": min(scores),
        "highest": max(scores),
        "agent steps": round(float(np.mean(lengths))),
    }


# what is shown


def render(results):
    """Returns README's block on other games, as Markdown.

    Args:
        results: {name: what `try_game` returns}.
    """
    headers = ["game", "actions", "lives", "random play, 95% interval", "trained, agent steps"]
    headers += ["`reward_mean_100` then", "a score counts from", "A2C of others"]
    rows = [_row(name, found) for name, found in results.items()]
    links = [f"[{by}]({address}) ({_listed(games)})" for by, (address, games) in OTHERS.items()]
    expected = [f"- *{title(name + SUFFIX)}*: {EXPECT[name + SUFFIX]}" for name in results]
    return "\n\n".join(
        [
            report.table(headers, rows),
            f"{_passed(results)} A score counts from 100 games in each of {NENVS} environments on: "
            "that many agent steps are given for games as long as random ones. What A2C agents of "
            f"others scored after 10 million agent steps: {', '.join(links)}.",
            "\n".join(expected),
        ]
    )


def students_table(results, say=str):
    """Returns the table that the notebook shows its readers, as Markdown.

    Args:
        results: As above.
        say: Translates a message.
    """
    rows = [
        (
            title(name + SUFFIX),
            found["actions"],
            _plain(found["random"]["mean"]),
            _others(name),
            say(EXPECT[name + SUFFIX]),
        )
        for name, found in results.items()
    ]
    headers = [N_("game"), N_("actions"), N_("random play"), N_("A2C of others")]
    headers = [say(header) for header in (*headers, N_("what to expect"))]
    aligned = ["left", "right", "right", "right", "left"]
    return tabulate(rows, headers, tablefmt="pipe", colalign=aligned, disable_numparse=True)


def _row(name, found):
    chance, run = found["random"], found["run"]
    return (
        title(name + SUFFIX),
        found["actions"],
        found["lives"] or "none",
        f"{_plain(chance['mean'])} ± {_plain(chance['half'])}",
        f"{run['agent steps']:,}",
        _plain(run["reward_mean_100"]),
        f"{GAMES * NENVS * chance['agent steps'] / 1e6:.1f} million",
        _others(name),
    )


def _plain(number):
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.1f}"


def _others(name):
    scores = [games[name] for _, games in OTHERS.values() if name in games]
    return f"{scores[0]:,}" if scores else ""


def _listed(names):
    return ", ".join(title(name + SUFFIX) for name in names)


def _passed(results):
    """Says what worked in each game, and what did not."""
    failed = [f"{name}: {what}" for name, found in results.items() for what in failures(found)]
    told = (
        "In each of them the kit was released, trained, resumed, wrote two videos and packed its "
        "hand-in; all five checks passed, for the student and for the grader, and the grader's "
        "replay played on."
    )
    return f"{told} But {'; '.join(failed)}." if failed else told


def failures(found):
    """Returns what did not work in a game, a few words each."""
    graded = found["graded"]
    works = {
        "release": found["released"] == "passed",
        "checks": len(found["checks"]) == 5,
        "resuming": "resuming" in found["resumed"],
        "videos": len(found["videos"]) == 2,
        "the grader's checks": [*graded["checks"].values()] == ["passed"] * 5,
        "replay": not graded["problem"] and not graded["oddities"],
        "curves": "curves" not in graded["flags"],
    }
    return [what for what, worked in works.items() if not worked]


if __name__ == "__main__":
    main()
