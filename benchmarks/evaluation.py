"""How well the reference agent plays: python benchmarks/evaluation.py lets it play whole games.

With the weights in `logs/reference/`: 100 games with sampled actions, 100 with greedy ones, and 100
at random beside them, in minutes. Writes every game to `benchmarks/evaluation.json` and the figures
to `benchmarks/reference.md`, and draws `img/reference/points.png`, what the points are scored with.
"""

import json
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch

KIT = Path(__file__).parent.parent
if __name__ == "__main__":
    sys.path.insert(0, str(KIT))

from atari_wrappers import nature_dqn_env
from benchmarks import report
from tests import notebook

PAGE = KIT / "benchmarks" / "reference.md"
FIGURES = KIT / "benchmarks" / "evaluation.json"
WEIGHTS = KIT / "logs" / "reference" / "weights.pt"
GAME, N_ACTIONS = "SpaceInvadersNoFrameskip-v4", 6
GAMES = 100
PLAYERS = {"random": "at random", "sampled": "with sampled actions", "greedy": "greedy"}
WAVE = 36  # invaders, six in each row
TARGETS = {  # points: what they are scored with; the ship crosses the screen above, now and then
    5: "lowest row",
    10: "row 5",
    15: "row 4",
    20: "row 3",
    25: "row 2",
    30: "top row",
    200: "command ship",
}


def player(name):
    """Returns choose(observations [B, 4, 84, 84]) → actions [B], of one of PLAYERS."""
    given, rng = notebook.definitions(), np.random.default_rng(0)
    model = given["NatureModel"](N_ACTIONS)
    model.load_state_dict(torch.load(WEIGHTS, weights_only=True))
    policy = given["Policy"](model)
    torch.manual_seed(0)

    @torch.no_grad()
    def choose(observations):
        if name == "random":
            return rng.integers(N_ACTIONS, size=len(observations))
        act = policy.act(observations)
        return act["actions"] if name == "sampled" else act["logits"].argmax(1).numpy()

    return choose


def play(choose, env):
    """Plays one whole game in each environment of a batch: short games are not preferred.

    Args:
        choose: What `player` returns.
        env: A batch that gives raw rewards.

    Returns:
        A dict of lists with an entry for each game: `scores` (raw), `lengths` (agent steps),
        `spare` (lives left where the invaders landed, which ends a game at once; 0 where the last
        life was lost) and `hits` (how often each of TARGETS was hit).
    """
    observations, _ = env.reset(seed=0)
    actions, playing = np.zeros(env.nenvs, int), np.full(env.nenvs, True)
    episodes, spare = [None] * env.nenvs, np.full(env.nenvs, 2)
    hits = np.zeros((env.nenvs, len(TARGETS)), int)
    while playing.any():
        actions[playing] = choose(observations[playing])
        observations, rewards, _, _, infos = env.step(actions)
        hits[playing] += rewards[playing, None] == list(TARGETS)
        for i in np.flatnonzero(playing):
            spare[i] -= infos[i].get("life_lost", False)
            if "episode" in infos[i]:
                episodes[i], playing[i] = infos[i]["episode"], False
    return {
        "scores": [float(episode["r"]) for episode in episodes],
        "lengths": [int(episode["l"]) for episode in episodes],
        "spare": spare.tolist(),
        "hits": hits.tolist(),
    }


def summary(scores):
    """Returns mean, standard deviation, and half the width of the mean's 95% interval (normal)."""
    deviation = np.std(scores, ddof=1)
    return np.mean(scores), deviation, 1.96 * deviation / len(scores) ** 0.5


def table(results):
    """Returns the table of the games, as Markdown."""
    headers = ["", "mean score, 95% interval", "standard deviation", "lowest to highest"]
    headers += ["different scores", "agent steps a game", "ended by a landing, lives to spare"]
    rows = []
    for name, label in PLAYERS.items():
        scores, lengths = results[name]["scores"], results[name]["lengths"]
        mean, deviation, half = summary(scores)
        rows.append(
            (
                f"{len(scores)} games {label}",
                f"{mean:.0f} ± {half:.0f}",
                f"{deviation:.0f}",
                f"{min(scores):.0f} to {max(scores):.0f}",
                len(set(scores)),
                f"{np.mean(lengths):,.0f}",
                np.count_nonzero(results[name]["spare"]),
            )
        )
    return report.table(headers, rows)


def sources(result):
    """Returns the points per whole game by what was hit."""
    points = np.mean(result["hits"], axis=0) * list(TARGETS)
    return dict(zip(TARGETS.values(), points.tolist(), strict=True))


def left(result):
    """Returns how many invaders were left of the wave in each game that ended by a landing."""
    invaders = np.array(result["hits"])[:, :-1].sum(axis=1)  # the last column is the ship
    return (WAVE - invaders % WAVE)[np.array(result["spare"]) > 0]


def render(results):
    """Returns what `benchmarks/reference.md` shows of the games, {name of a block: text}."""
    sampled, greedy = results["sampled"], results["greedy"]
    ship, landed = sources(sampled)["command ship"], left(sampled)
    few, more = landed[landed <= 2], landed[landed > 2]
    games = [f"{score:.0f}" for score in sorted(set(greedy["scores"]))]
    known = (
        f"Greedy play knows only {len(games)} games, of {', '.join(games[:-1])} and {games[-1]} "
        "points: nothing in this game is left to chance, so the no-ops that open it decide which "
        f"of them follows. Its interval says how well {len(greedy['scores'])} openings tell the "
        "mean of these games; it does not say whether greedy play beats sampled actions."
    )
    ends = (
        f"With sampled actions, {ship:.0f} points of a game come from the command ship, "
        f"{ship / np.mean(sampled['scores']):.0%} of its score, though a clipped reward counts "
        f"these {max(TARGETS)} points as one. What the agent has not learnt is to finish a wave in "
        f"time: {len(landed)} of {len(sampled['scores'])} games end by a landing with lives to "
        f"spare, {len(few)} of them with one or two invaders left and {len(more)} with "
        f"{more.min()} to {more.max()}."
    )
    return {"games": table(results), "greedy": known, "endings": ends}


def draw(results, path):
    """Draws where the points come from, a bar for each player."""
    figure, axis = plt.subplots(figsize=(7, 2.6), layout="constrained", dpi=100)
    players = list(PLAYERS)[::-1]
    by_player = [sources(results[name]) for name in players]
    shades = [*plt.cm.viridis(np.linspace(0.05, 0.95, 6)), "tab:red"]
    end = np.zeros(len(players))
    for label, shade in zip(by_player[0], shades, strict=True):
        points = np.array([each[label] for each in by_player])
        axis.barh([PLAYERS[name] for name in players], points, left=end, color=shade, label=label)
        end += points
    axis.set(xlabel="points per whole game")
    axis.spines[["top", "right"]].set_visible(False)
    figure.legend(ncols=4, fontsize=9, loc="outside upper center", frameon=False)
    figure.savefig(path)
    plt.close(figure)


def main():
    """Plays, writes, draws, and prints."""
    env = nature_dqn_env(GAME, nenvs=GAMES, summaries=False, clip_reward=False)
    results = {name: play(player(name), env) for name in PLAYERS}
    env.close()
    FIGURES.write_text(json.dumps(results) + "\n")
    draw(results, KIT / "img" / "reference" / "points.png")
    texts = render(results)
    report.fill(PAGE, texts)
    print(*texts.values(), sep="\n\n")


if __name__ == "__main__":
    main()
