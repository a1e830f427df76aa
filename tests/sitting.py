"""One sitting of the notebook's training in a process of its own, for tests that interrupt it."""

from tests import notebook
from training import sitting

LOG_EVERY = 40  # agent steps: two updates
SMALL = [  # what makes a sitting start sooner
    (
        "start-imports",
        "from tests import checks",
        "from unittest import mock; checks = mock.Mock()",
    ),
    ("settings-cell", "NENVS, NSTEPS = 16, 5", "NENVS, NSTEPS = 4, 5"),
    ("settings-cell", "LOG_EVERY = 2_000", f"LOG_EVERY = {LOG_EVERY}"),
    ("environment-make", "playground = nature_dqn_env(GAME, nenvs=NENVS, ", "dict("),
]


def main():
    """Trains, says what is saved, and plays a little with what there is."""
    sitting.SAVE_EVERY = 0.25
    given = notebook.training(SMALL, ["watching-evaluate"])
    save = given["run"].save

    def save_and_say():
        path = save()
        print("saved", int(path.stem.split("-")[1]), flush=True)
        return path

    given["run"].save = save_and_say
    print("training", flush=True)
    given["train"](minutes=0)
    game = given["nature_dqn_env"](given["GAME"], summaries=False, clip_reward=False)
    print("played", given["evaluate"](game, given["policy"], t_max=50), flush=True)


if __name__ == "__main__":
    main()
