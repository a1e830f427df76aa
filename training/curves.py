"""Curves read back from a run's event files."""

import logging
from pathlib import Path

import numpy as np
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from languages import _

__all__ = ["read_curves"]


def read_curves(folder):
    """Returns every curve of a run, all its sittings joined.

    Args:
        folder: The run's folder of event files, not one above it; or a single event file.

    Returns:
        {tag: (agent steps [N] int64, values [N] float64, wall times [N] float64 in s)}, in the
        order of agent steps. Points that a lost sitting had drawn, and the one that resumed the run
        drew again, are there once.

    Raises:
        FileNotFoundError: If the folder holds no event file.
    """
    if not (Path(folder).is_file() or any(Path(folder).glob("*tfevents*"))):
        told = _(
            "{folder} holds no event file (events.out.tfevents...): give the folder of one run "
            "in which a point was drawn"
        )
        raise FileNotFoundError(told.format(folder=folder))
    logging.getLogger("tensorboard").setLevel(logging.ERROR)  # joined sittings are no news
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
    curves = {tag: events.Scalars(tag) for tag in events.Tags()["scalars"]}
    # none are left of a curve where a later sitting dropped them all
    return {tag: _columns(points) for tag, points in curves.items() if points}


def _columns(points):
    steps = np.array([point.step for point in points], np.int64)
    order = np.argsort(steps, kind="stable")
    values = np.array([point.value for point in points], np.float64)
    times = np.array([point.wall_time for point in points], np.float64)
    return steps[order], values[order], times[order]
