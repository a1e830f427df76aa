"""Curves read back from a run's event files."""

import logging

import numpy as np
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

__all__ = ["read_curves"]


def read_curves(folder):
    """Returns every curve of a run, all its sittings joined.

    Args:
        folder: The run's folder of event files.

    Returns:
        {tag: (agent steps [N] int, values [N], wall times [N] in s)}; points that a later sitting
        drew again are there once.
    """
    logging.getLogger("tensorboard").setLevel(logging.ERROR)  # joined sittings are no news
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
    curves = {}
    for tag in events.Tags()["scalars"]:
        if points := events.Scalars(tag):  # none are left where a later sitting dropped them all
            columns = zip(*((p.step, p.value, p.wall_time) for p in points), strict=True)
            curves[tag] = tuple(np.array(column) for column in columns)
    return curves
