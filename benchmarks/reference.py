"""What the reference run shows: python benchmarks/reference.py reads its event files.

The run is the notebook's, with the default settings as they stand; `logs/reference/` holds its
event files and its last checkpoint. Draws `img/reference/curve.png` and prints the figures that
README and notebook quote.
"""

import logging
from pathlib import Path

import matplotlib.pyplot as plt
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

KIT = Path(__file__).parent.parent
LINES = {  # raw scores of whole games after 10M agent steps, and the marks of the assignment
    "random play": 149,
    "8 points": 400,
    "10 points": 600,
    "A2C of the PPO paper": 744.5,
}


def curve(folder=KIT / "logs" / "reference"):
    """Returns reward_mean_100 as a list of points with step, value and wall_time (in seconds)."""
    logging.getLogger("tensorboard").setLevel(logging.ERROR)  # a run that goes on is no news
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
    return events.Scalars("Episodes/reward_mean_100")


def figures(points):
    """Returns agent steps, score, hours of training, and the agent step at which a mark was passed.

    The hours leave out what lies between two sittings: waits of more than a minute.
    """
    times = [point.wall_time for point in points]
    waits = [later - earlier for earlier, later in zip(times, times[1:], strict=False)]
    passed = {
        mark: next((point.step for point in points if point.value >= mark), None)
        for mark in (400, 600)
    }
    return {
        "steps": points[-1].step,
        "score": points[-1].value,
        "hours": sum(wait for wait in waits if wait < 60) / 3600,
        "passed": passed,
    }


def draw(points, path):
    """Draws the curve with the marks and what others have published."""
    plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False})
    figure, axis = plt.subplots(figsize=(7, 3.2), layout="constrained", dpi=100)
    axis.plot([point.step for point in points], [point.value for point in points])
    for name, score in LINES.items():
        axis.axhline(score, color="gray", linestyle=":", linewidth=1)
        axis.text(points[-1].step, score + 6, name, color="gray", fontsize=9, ha="right")
    axis.set(xlabel="agent steps", ylabel="reward_mean_100", xlim=(0, None), ylim=(0, None))
    axis.ticklabel_format(axis="x", style="sci", scilimits=(6, 6))
    figure.savefig(path)
    plt.close(figure)


def main():
    """Draws and prints."""
    points = curve()
    draw(points, KIT / "img" / "reference" / "curve.png")
    told = figures(points)
    print(
        f"{told['steps']:,} agent steps in {told['hours']:.1f} hours: {told['score']:.0f}; "
        f"400 passed at {told['passed'][400]}, 600 at {told['passed'][600]}"
    )


if __name__ == "__main__":
    main()
