"""How well the reference agent plays: python benchmarks/evaluation.py lets it play whole games.

With the weights in `logs/reference/`: 100 games with sampled actions, 100 with greedy ones, and 100
at random beside them. Writes every score to `benchmarks/evaluation.json`, and draws
`img/reference/points.png`: what the points are scored with.
"""

import json
import sys
from collections import Counter
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch

KIT = Path(__file__).parent.parent
FIGURES = KIT / "benchmarks" / "evaluation.json"
WEIGHTS = KIT / "logs" / "reference" / "weights.pt"
GAME, N_ACTIONS = "SpaceInvadersNoFrameskip-v4", 6
GAMES = 100
PLAYERS = {"random": "at random", "sampled": "with sampled actions", "greedy": "greedy"}
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
    from tests import notebook

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


def play(choose, games=GAMES):
    """Plays one whole game in each of many environments, so that short games are not preferred.

    Returns:
        A dict of `scores` [games] (raw), `lengths` [games] (agent steps), `spare` [games] (lives
        left when the invaders landed, which ends a game at once; 0 where the last life was lost)
        and `hits`, {points: how often they were scored within an agent step}.
    """
    from atari_wrappers import nature_dqn_env

    env = nature_dqn_env(GAME, nenvs=games, seed=0, summaries=False, clip_reward=False)
    observations, _ = env.reset()
    actions, playing = np.zeros(games, int), np.full(games, True)
    episodes, spare, hits = [None] * games, np.full(games, 2), Counter()
    while playing.any():
        actions[playing] = choose(observations[playing])
        observations, rewards, _, _, infos = env.step(actions)
        hits.update(rewards[playing & (rewards > 0)].astype(int).tolist())
        for i in np.flatnonzero(playing):
            spare[i] -= infos[i].get("life_lost", False)
            if "episode" in infos[i]:
                episodes[i], playing[i] = infos[i]["episode"], False
    env.close()
    return {
        "scores": [float(episode["r"]) for episode in episodes],
        "lengths": [int(episode["l"]) for episode in episodes],
        "spare": spare.tolist(),
        "hits": {str(points): hits[points] for points in sorted(hits)},
    }


def summary(scores):
    """Returns mean, standard deviation, and half the width of the mean's 95% interval (normal)."""
    deviation = np.std(scores, ddof=1)
    return np.mean(scores), deviation, 1.96 * deviation / len(scores) ** 0.5


def table(results):
    """Returns the table that README shows, as Markdown; games differ in score or length."""
    lines = [
        "| | mean score, 95% interval | standard deviation | lowest to highest "
        "| agent steps a game | ended by a landing, lives to spare | different games |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, label in PLAYERS.items():
        scores, lengths = results[name]["scores"], results[name]["lengths"]
        mean, deviation, half = summary(scores)
        landed = np.count_nonzero(results[name]["spare"])
        different = len(set(zip(scores, lengths, strict=True)))
        lines.append(
            f"| {len(scores)} games {label} | {mean:.0f} ± {half:.0f} | {deviation:.0f} "
            f"| {min(scores):.0f} to {max(scores):.0f} | {np.mean(lengths):,.0f} "
            f"| {landed} | {different} |"
        )
    return "\n".join(lines)


def sources(result):
    """Returns the points per whole game by what was hit, the last for two hits at once."""
    games = len(result["scores"])
    points = {int(value): int(value) * count / games for value, count in result["hits"].items()}
    single = {label: points.pop(value, 0.0) for value, label in TARGETS.items()}
    return {**single, "two at once": sum(points.values())}


def draw(results, path):
    """Draws where the points come from, a bar for each player."""
    figure, axis = plt.subplots(figsize=(7, 2.6), layout="constrained", dpi=100)
    players = list(PLAYERS)[::-1]
    by_player = [sources(results[name]) for name in players]
    shades = [*plt.cm.viridis(np.linspace(0.05, 0.95, 6)), "tab:red", "gray"]
    left = np.zeros(len(players))
    for label, shade in zip(by_player[0], shades, strict=True):
        points = np.array([each[label] for each in by_player])
        if points.any():
            bars = [PLAYERS[name] for name in players]
            axis.barh(bars, points, left=left, color=shade, label=label)
        left += points
    axis.set(xlabel="points per whole game")
    axis.spines[["top", "right"]].set_visible(False)
    figure.legend(ncols=4, fontsize=9, loc="outside upper center", frameon=False)
    figure.savefig(path)
    plt.close(figure)


def main():
    """Plays, writes, draws, and prints the table."""
    results = {name: play(player(name)) for name in PLAYERS}
    FIGURES.write_text(json.dumps(results) + "\n")
    draw(results, KIT / "img" / "reference" / "points.png")
    print(table(results))


if __name__ == "__main__":
    sys.path.insert(0, str(KIT))
    main()
