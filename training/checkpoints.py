"""A training run saved whole, found again and gone on with."""

import contextlib
import io
import os
import pickle
import random
import re
import secrets
import signal
import time
import warnings
import zipfile
from pathlib import Path

import numpy as np
import torch

from training.mirror import Mirror, write_whole

try:
    import fcntl
except ImportError:  # Windows has no locks of this kind
    fcntl = None

__all__ = ["CheckpointError", "Checkpoints", "Sitting"]

SAVE_EVERY = 60.0  # seconds


class CheckpointError(RuntimeError):
    """A run's folder cannot be gone on with, or its weights are not worth keeping."""


class Checkpoints:
    """Keeps the last two checkpoints of one run in its folder.

    Attributes:
        folder: The run's own folder.
        settings: What a run must not change on its way.
    """

    def __init__(self, folder, settings, *, copy_to=None, **parts):
        """Names the run; `restore` comes next.

        Args:
            folder: The run's own folder.
            settings: A dict of plain values that a run must not change on its way: game, network,
                batch, schedule.
            copy_to: A folder that outlives this machine, in Google Drive for example; the run's
                folder is copied there, under its name, with each checkpoint.
            parts: Everything that training needs to go on, by name; each has state_dict and
                load_state_dict. One of them is `runner`, which tells the agent step.

        Raises:
            FileNotFoundError: If the place of copy_to is not there.
        """
        self.folder, self.settings, self._parts = Path(folder), settings, parts
        self._mirror = Mirror(self.folder, copy_to) if copy_to else None
        self._run = None  # drawn at random for each run, known once it is restored

    def save(self):
        """Writes a checkpoint beside the last one, under its final name only when it is whole.

        Returns:
            Its path.

        Raises:
            CheckpointError: If a number in it is not finite, or `restore` was not called; what was
                saved before is kept.
            OSError: If there is no space to write it; what was saved before is kept.
        """
        self._check_restored()
        state = {name: part.state_dict() for name, part in self._parts.items()}
        self._check_finite(state)
        state.update(settings=self.settings, random=_random_state(), run=self._run)
        content = io.BytesIO()
        torch.save(state, content)
        path = self.folder / f"checkpoint-{self._step():010d}.pt"
        self.folder.mkdir(parents=True, exist_ok=True)
        write_whole(path, content.getbuffer())
        for old in _checkpoints(self.folder)[:-2]:
            old.unlink()
        if self._mirror:
            self._mirror.push()
        return path

    def restore(self):
        """Goes on from the newest readable checkpoint, that of the copy if it is further.

        Returns:
            True if there was one, False if the run is new.

        Raises:
            CheckpointError: If the folder holds a run with other settings, or one without a
                readable checkpoint, or if the copy is another run's.
            OSError: If the copy cannot be read.
        """
        if self._mirror:
            self._check_copy()
            self._mirror.pull()
        for path in reversed(_checkpoints(self.folder)):
            if (state := self._read(path)) is not None:
                self._check_settings(state["settings"], path)
                for name, part in self._parts.items():
                    part.load_state_dict(state[name])
                _set_random_state(state["random"])
                self._run = state["run"]
                return True
        if any(path.is_file() and path.suffix != ".part" for path in self.folder.glob("*")):
            raise CheckpointError(
                f"{self.folder} already holds another run, and no readable checkpoint of it: "
                "give this run another name, or move that folder away"
            )
        self._run = secrets.token_hex(8)
        return False

    @contextlib.contextmanager
    def sitting(self, minutes, **used):
        """One stretch of training, which ends between two updates and leaves a checkpoint.

        It saves every minute and at its end. The stop button (SIGINT) ends it early; SIGTERM does,
        and then the process; a second SIGINT does not wait for the update. After an error nothing
        is saved: the last good checkpoint stays the newest.

        Args:
            minutes: Its length at most; 0 means until the `with` block ends.
            used: The parts that the loop trains with, by name: those that are saved, to be sure.

        Yields:
            A Sitting.

        Raises:
            CheckpointError: If another process is training in the run's folder, or has since it
                was restored; if it was not restored at all; if a part is another than is saved.

        Example:
            with checkpoints.sitting(minutes=10, runner=runner) as sitting:
                while sitting.goes_on():
                    ...  # one update
        """
        for name, part in used.items():
            if part is not self._parts[name]:
                raise CheckpointError(
                    f"the {name} was made anew after the run was restored, and would not be "
                    "saved: run the notebook from the top"
                )
        sitting = Sitting(self, minutes)
        with _alone(self.folder), _caught(sitting.stop):
            self._check_restored()
            for left_by_a_kill in self.folder.glob("*.part"):
                left_by_a_kill.unlink()
            yield sitting
            sitting.finish()
        if sitting.stopped_by == signal.SIGTERM:
            signal.raise_signal(signal.SIGTERM)

    def wait(self, seconds):
        """Waits until the copy is complete, if there is one to be made; says so if it is not."""
        if self._mirror:
            self._mirror.wait(seconds)

    def _check_restored(self):
        ahead = [path.name for path in _checkpoints(self.folder) if _step(path) > self._step()]
        if self._run is None or ahead:
            reason = f"is further already ({ahead[-1]})" if ahead else "was not restored"
            raise CheckpointError(
                f"the run in {self.folder} {reason}: nothing was trained or saved. Restart the "
                "kernel and run the notebook from the top to go on with it"
            )

    def _step(self):
        return self._parts["runner"].step_var

    def _check_copy(self):
        """Raises if what was copied is another run than what is here."""
        here, there = _run_in(self.folder), _run_in(self._mirror.target)
        if here and there and here != there:
            raise CheckpointError(
                f"{self._mirror.target} holds a copy of another run: give this run another name, "
                "or move that folder away; nothing was changed"
            )

    def _check_finite(self, state):
        for name, part in state.items():
            if not _all_finite(part):
                kept = [path.name for path in _checkpoints(self.folder)[-1:]] or ["none yet"]
                raise CheckpointError(
                    f"the {name} holds numbers that are not finite, so nothing was saved; the last "
                    f"good checkpoint is kept ({kept[0]}). Restart the kernel and run the notebook "
                    "to go on from there, or give the run a new name and a lower learning rate"
                )

    def _check_settings(self, saved, path):
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
                "or give this run another name to start anew, and run the notebook from the top; "
                "nothing was changed"
            )

    def _read(self, path):
        """Returns the content, or None with a warning; the file is then set aside."""
        try:
            state = _load(path)
            if isinstance(state, dict) and {"settings", "random", "run", *self._parts} <= set(
                state
            ):
                return state
            reason = "it is no checkpoint of this kit"
        except _UNREADABLE as e:
            reason = f"it is cut short or damaged ({type(e).__name__}: {e})"
        aside = path.with_suffix(".unreadable")
        os.replace(path, aside)
        warnings.warn(
            f"{path} cannot be read, {reason}: set aside as {aside.name}, trying the one before",
            stacklevel=3,
        )
        return None


class Sitting:
    """Tells a training loop whether to go on, and saves on its way.

    Attributes:
        stopped_by: The signal that ended it early, None without one.
    """

    def __init__(self, checkpoints, minutes):
        """Starts the clock."""
        self._checkpoints, self._length = checkpoints, 60 * minutes or float("inf")
        self._began = self._saved = time.perf_counter()
        self.stopped_by = self._ended = None

    @property
    def seconds(self):
        """Seconds of training: since the sitting began, or until it ended."""
        return (self._ended or time.perf_counter()) - self._began

    def goes_on(self):
        """Tells whether to make another update; saves when a minute has passed."""
        on = self.stopped_by is None and self.seconds < self._length
        if on and time.perf_counter() - self._saved > SAVE_EVERY:
            self._save()
            self._saved = time.perf_counter()
        return on

    def stop(self, number, frame):
        """Takes a signal: ends the sitting after the update, and at once at the second SIGINT."""
        if self.stopped_by is not None and number == signal.SIGINT:
            raise KeyboardInterrupt("stopped at once; the last checkpoint is kept")
        self.stopped_by = number

    def finish(self):
        """Saves and waits for the copy; a process that is being ended waits for seconds only."""
        self._ended = time.perf_counter()
        self._save()
        self._checkpoints.wait(3 if self.stopped_by == signal.SIGTERM else 60)

    def _save(self):
        try:
            path = self._checkpoints.save()
        except OSError as e:
            warnings.warn(
                f"no checkpoint could be saved: {e}. The last one is kept; make space, and the "
                "next is tried within a minute of training",
                stacklevel=2,
            )
        else:
            if self.stopped_by is not None:
                print(f"stopped and saved as {path.name}; run again to go on")


@contextlib.contextmanager
def _caught(handler):
    """Hands SIGINT and SIGTERM to a handler."""
    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _alone(folder):
    """Keeps other processes from training in a folder, where the system has such locks.

    The lock ends with the process.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if fcntl is None:
        yield
        return
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise CheckpointError(
            f"another process is training in {folder} at this moment: end that kernel, or give "
            "this run another name"
        ) from None
    try:
        yield
    finally:
        os.close(lock)


def _all_finite(part):
    """Looks through the tensors of a nested dict."""
    if torch.is_tensor(part):
        return not part.is_floating_point() or bool(torch.isfinite(part).all())
    return not isinstance(part, dict) or all(_all_finite(value) for value in part.values())


_UNREADABLE = (
    OSError,
    EOFError,
    RuntimeError,
    ValueError,
    pickle.UnpicklingError,
    zipfile.BadZipFile,
)


def _load(path):
    """Returns what a file holds, its tensors on the CPU; raises one of _UNREADABLE."""
    with zipfile.ZipFile(path) as archive:  # torch.load does not look at the check sums
        if damaged := archive.testzip():
            raise zipfile.BadZipFile(f"in {damaged}")
    return torch.load(path, map_location="cpu", weights_only=True)


def _checkpoints(folder):
    """Returns the paths of a folder's checkpoints, the newest last."""
    paths = folder.glob("checkpoint-*.pt")
    return sorted(path for path in paths if re.fullmatch(r"checkpoint-\d+", path.stem))


def _run_in(folder):
    """Returns the name that was drawn for the run in a folder, None if nothing there tells it."""
    for path in reversed(_checkpoints(folder)):
        with contextlib.suppress(*_UNREADABLE, KeyError, TypeError):
            return _load(path)["run"]
    return None


def _step(path):
    return int(path.stem.split("-")[1])


def _random_state():
    kind, keys, *rest = np.random.get_state()
    on_gpus = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {
        "python": random.getstate(),
        "numpy": [kind, keys.tolist(), *rest],
        "cpu": torch.get_rng_state(),
        "gpus": on_gpus,
    }


def _set_random_state(state):
    random.setstate(state["python"])
    np.random.set_state(state["numpy"])
    torch.set_rng_state(state["cpu"])
    if len(state["gpus"]) == torch.cuda.device_count() > 0:
        torch.cuda.set_rng_state_all(state["gpus"])
