"""A training run saved whole, found again and gone on with."""

import os
import pickle
import re
import warnings
from pathlib import Path

import torch

__all__ = ["CheckpointError", "Checkpoints"]


class CheckpointError(RuntimeError):
    """A run's folder cannot be gone on with."""


class Checkpoints:
    """Keeps the last two checkpoints of one run in its folder.

    Attributes:
        folder: The run's own folder.
        settings: What a run must not change on its way.
    """

    def __init__(self, folder, settings, **parts):
        """Names the run; nothing is read or written yet.

        Args:
            folder: The run's own folder.
            settings: A dict of plain values that a run must not change on its way: game, network,
                batch, schedule.
            parts: Everything that training needs to go on, by name; each has state_dict and
                load_state_dict. One of them is `runner`, which tells the agent step.
        """
        self.folder, self.settings, self._parts = Path(folder), settings, parts

    def save(self):
        """Writes a checkpoint beside the last one, under its final name only when it is whole.

        Returns:
            Its path.
        """
        state = {name: part.state_dict() for name, part in self._parts.items()}
        state.update(settings=self.settings, random=_random_state())
        path = self.folder / f"checkpoint-{self._parts['runner'].step_var:010d}.pt"
        self.folder.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        with open(part, "wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
        for old in self._files()[:-2]:
            old.unlink()
        return path

    def restore(self):
        """Goes on from the newest readable checkpoint.

        Returns:
            True if there was one, False if the run is new.

        Raises:
            CheckpointError: If the folder holds a run with other settings, or one without a
                readable checkpoint.
        """
        for path in reversed(self._files()):
            if (state := _read(path)) is not None:
                self._check(state["settings"], path)
                for name, part in self._parts.items():
                    part.load_state_dict(state[name])
                _set_random_state(state["random"])
                return True
        if any(path.suffix != ".part" for path in self.folder.glob("*")):
            raise CheckpointError(
                f"{self.folder} already holds another run, and no readable checkpoint of it: "
                "give this run another name, or move that folder away"
            )
        return False

    def _files(self):
        return sorted(
            path
            for path in self.folder.glob("checkpoint-*.pt")
            if re.fullmatch(r"checkpoint-\d+", path.stem)
        )

    def _check(self, saved, path):
        names = [
            name
            for name in {**saved, **self.settings}
            if saved.get(name) != self.settings.get(name)
        ]
        if names:
            changes = ", ".join(
                f"{name} was {saved.get(name)!r} and is {self.settings.get(name)!r}"
                for name in names
            )
            raise CheckpointError(
                f"{path} belongs to another run: {changes}. Set the old values to go on with it, "
                "or give this run another name to start anew; nothing was changed"
            )


def _read(path):
    """Returns the content, or None with a warning; the file is then set aside."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        if {"settings", "random"} <= state.keys():
            return state
        reason = "it is no checkpoint of this kit"
    except (EOFError, RuntimeError, pickle.UnpicklingError) as e:
        reason = f"it was cut short ({type(e).__name__})"
    aside = path.with_suffix(".unreadable")
    os.replace(path, aside)
    warnings.warn(
        f"{path} cannot be read, {reason}: set aside as {aside.name}, trying the one before",
        stacklevel=3,
    )
    return None


def _random_state():
    on_gpus = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"cpu": torch.get_rng_state(), "gpus": on_gpus}


def _set_random_state(state):
    torch.set_rng_state(state["cpu"])
    if len(state["gpus"]) == torch.cuda.device_count() > 0:
        torch.cuda.set_rng_state_all(state["gpus"])
