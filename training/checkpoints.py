"""A training run saved whole, found again and resumed."""

import contextlib
import copy
import io
import os
import pickle
import random
import re
import secrets
import signal
import warnings
import zipfile
from pathlib import Path

import numpy as np
import torch

from languages import _, grouped
from training import RunError
from training.curves import read_curves
from training.mirror import Mirror, write_whole
from training.parts import AGAIN, check_new, check_parts, mark_trained
from training.sitting import Sitting, alone, caught, flushed

__all__ = ["CheckpointStore", "Run", "save_weights"]


class Run:
    """A training run: what is saved of it, with which settings, and where.

    Attributes:
        folder: The run's own folder, absolute: a later `%cd` does not move it.
        settings: What a run must not change on its way.

    Example:
        run = Run(folder, settings, model=model, optimizer=optimizer, runner=runner)
        print(run.resume(TOTAL_STEPS))
        with run.sitting(minutes=10, model=model, optimizer=optimizer, runner=runner) as sitting:
            while runner.step_var < TOTAL_STEPS and sitting.continues():
                ...  # one update
    """

    def __init__(self, folder, settings, *, copy_to=None, **parts):
        """Names the run; `resume` comes next.

        Args:
            folder: The run's own folder.
            settings: A dict of plain values that a run must not change on its way: game, network,
                batch, schedule.
            copy_to: A folder that outlives this machine, in Google Drive for example; the run's
                folder is copied there, under its name, with each checkpoint. None or "": no copy.
            parts: All objects that a resumed run needs, by name; each has state_dict and
                load_state_dict. Among them are `model`, `optimizer` and `runner`, an EnvRunner.

        Raises:
            FileNotFoundError: If the folder above copy_to is missing.
            RunError: If the copy would be the run's folder itself.
        """
        self.folder, self.settings, self._parts = Path(folder).absolute(), settings, parts
        self._store, self._runner = CheckpointStore(self.folder), parts["runner"]
        self._mirror = Mirror(self.folder, copy_to) if copy_to else None
        self._id = None  # drawn at random for each run, known once it is resumed

    def resume(self, total_steps):
        """Restores the newest readable checkpoint, the copy's if it is further, or starts the run.

        A run that starts saves its first checkpoint. Agent steps that its runner has made before
        count; what earlier processes drew in its folder without training is dropped.

        Args:
            total_steps: The agent step at which the run is finished.

        Returns:
            A line that says which of the two it was.

        Raises:
            RunError: If the folder holds a run with other settings or another kind of optimizer, or
                one without a readable checkpoint; if the copy is another run's; if a new run would
                start with a model that has trained; if the objects do not belong together, or the
                curves go elsewhere.
            OSError: If a checkpoint or the copy cannot be read, or the first checkpoint not be
                written.
            MemoryError: If there is no memory for a checkpoint.
        """
        self._id = None
        self._check_logdir()
        check_parts(self._parts)
        if self._mirror:
            self._check_copy()
            self._mirror.pull()
        found = self._store.read_newest({"settings", "random", "run", *self._parts})
        if found is None:
            self._start()
            return _("starting {run}").format(run=self.folder.name)
        self._restore(*found)
        if self._runner.step_var < total_steps:
            told = _("resuming {run} at agent step {step}")
        else:
            told = _(
                "{run} is finished at agent step {step} and is not trained further; "
                "a new name starts a new run"
            )
        return told.format(run=self.folder.name, step=grouped(self._runner.step_var))

    def save(self):
        """Writes a checkpoint; those before the last two are removed.

        Returns:
            Its path.

        Raises:
            RunError: If a number in it is not finite, if it could not be read again, or `resume`
                was not called; what was saved before is kept.
            OSError: If there is no space to write it; what was saved before is kept.
        """
        self._check_resumed()
        state = {name: part.state_dict() for name, part in self._parts.items()}
        self._check_finite(state)
        state.update(settings=self.settings, random=_random_state(), run=self._id)
        state = _plain(state)
        _check_readable(state)
        path = self._store.write(self._runner.step_var, state)
        if self._mirror:
            self._mirror.push()
        return path

    @contextlib.contextmanager
    def sitting(self, minutes, **used):
        """One stretch of training, which ends between two updates and leaves a checkpoint.

        It saves every minute and at its end. The stop button (SIGINT) ends it early; SIGTERM does,
        and then the process; a second SIGINT does not wait for the update. After an error nothing
        is saved: the last good checkpoint stays the newest.

        Args:
            minutes: Its length at most; 0 means until the `with` block ends.
            used: The objects that the loop trains with, by name, those that are saved among them.

        Yields:
            A Sitting.

        Raises:
            RunError: If another process is training in the run's folder, or has since the run was
                resumed; if it was not resumed at all; if an object is another than the one that is
                saved, or does not belong to the others, or its class was edited.
        """
        self._check_used(used)
        sitting = Sitting(self, minutes)
        with alone(self.folder), caught(sitting.stop), flushed():
            self._check_resumed()
            for left_by_a_kill in self.folder.glob("*.part"):
                left_by_a_kill.unlink()
            mark_trained(self._parts["model"], self.folder.name)
            yield sitting
            sitting.finish()
        if sitting.stopped_by == signal.SIGTERM:
            signal.raise_signal(signal.SIGTERM)

    def wait(self, seconds):
        """Waits until the copy is complete, if there is one to be made; says so if it is not."""
        if self._mirror:
            self._mirror.wait(seconds)

    def _start(self):
        """Makes this a new run and saves its first checkpoint."""
        if not _untrained(self.folder):
            told = _(
                "{folder} already holds another run, and no readable checkpoint of it: give "
                "this run another name, or move that folder away"
            )
            raise RunError(told.format(folder=self.folder))
        check_new(self._parts["model"], self.folder.name)
        if hasattr(self._runner.summaries, "logdir"):
            self._runner.summaries.drop_earlier_points()
        self._id = secrets.token_hex(8)
        self.save()

    def _restore(self, path, state):
        self._check_settings(state, path)
        for name, part in self._parts.items():
            part.load_state_dict(state[name])
        _set_random_state(state["random"])
        self._id = state["run"]
        mark_trained(self._parts["model"], self.folder.name)

    def _check_logdir(self):
        logdir = getattr(self._runner.summaries, "logdir", self.folder)
        if logdir.resolve() != self.folder.resolve():
            told = _(
                "the environment draws its curves in {logdir}, and the run is {folder}: "
                "nothing was changed. Run the cells again from the one that makes the environment "
                "on, or restart the kernel and run all cells"
            )
            raise RunError(told.format(logdir=logdir, folder=self.folder))

    def _check_used(self, used):
        for name, part in used.items():
            if part is not self._parts.get(name, part):
                told = _(
                    "the {name} was made again after the run was resumed, and would not be saved: "
                    "nothing was trained. {again}"
                )
                raise RunError(told.format(name=name, again=AGAIN))
        check_parts({**self._parts, **used})

    def _check_resumed(self):
        newest = self._store.newest_step
        if newest > self._runner.step_var:
            told = _("the run in {folder} is further already (agent step {step})")
        elif self._id is None:
            told = _("the run in {folder} was not resumed")
        else:
            return
        problem = told.format(folder=self.folder, step=grouped(newest))
        told = _(
            "{problem}: nothing was trained or saved. "
            "Restart the kernel and run all cells to resume it"
        )
        raise RunError(told.format(problem=problem))

    def _check_copy(self):
        """Raises if what was copied is another run than what is here."""
        here, there = self._store.peek("run"), CheckpointStore(self._mirror.target).peek("run")
        if here and there and here != there:
            told = _(
                "{folder} holds a copy of another run: give this run another name, "
                "or move that folder away; nothing was changed"
            )
            raise RunError(told.format(folder=self._mirror.target))

    def _check_finite(self, state):
        for name, part in state.items():
            if not _all_finite(part):
                kept = [path.name for path in self._store.paths[-1:]] or [_("none yet")]
                told = _(
                    "the {name} holds numbers that are not finite, so nothing was saved; the last "
                    "good checkpoint is kept ({kept}). Restart the kernel and run all cells to "
                    "resume from it, or give the run a new name and a lower learning rate"
                )
                raise RunError(told.format(name=name, kept=kept[0]))

    def _check_settings(self, state, path):
        saved, now = state["settings"], self.settings
        each = [(name, saved.get(name), now.get(name)) for name in {**saved, **now}]
        each.append(("optimizer", *_only_in(state["optimizer"], self._parts["optimizer"])))
        changed = _("{name} was {before!r} and is {now!r}")
        changes = [
            changed.format(name=name, before=before, now=now)
            for name, before, now in each
            if before != now
        ]
        if changes:
            told = _(
                "{path} belongs to another run: {changes}. Set the old values to "
                "resume it, or give this run another name to start a new one, and run all cells "
                "again; nothing was changed"
            )
            raise RunError(told.format(path=path, changes=", ".join(changes)))


class CheckpointStore:
    """The checkpoints in one folder: a file each, named after its agent step, the last two kept.

    Attributes:
        folder: Where they are; it need not exist.
    """

    def __init__(self, folder):
        """Names the folder."""
        self.folder = folder

    @property
    def paths(self):
        """The paths of the checkpoints, the newest last."""
        paths = self.folder.glob("checkpoint-*.pt")
        return sorted(path for path in paths if re.fullmatch(r"checkpoint-\d+", path.stem))

    @property
    def newest_step(self):
        """The agent step of the newest checkpoint, -1 if there is none."""
        return max((int(path.stem.split("-")[1]) for path in self.paths), default=-1)

    def write(self, step, state):
        """Writes a checkpoint, under its final name only when it is whole; returns its path.

        Raises:
            OSError: If there is no space to write it; what was saved before is kept.
        """
        content = io.BytesIO()
        torch.save(state, content)
        path = self.folder / f"checkpoint-{step:010d}.pt"
        self.folder.mkdir(parents=True, exist_ok=True)
        write_whole(path, content.getbuffer())
        for old in self.paths[:-2]:
            with contextlib.suppress(PermissionError):  # Windows keeps what is being copied
                old.unlink()
        return path

    def read_newest(self, keys):
        """Returns path and content of the newest readable checkpoint, None if there is none.

        A damaged one is set aside with a warning; one for which the disk does not answer, or the
        memory does not suffice, may be whole and is left where it is.

        Args:
            keys: What a checkpoint must hold.

        Raises:
            OSError: If the newest cannot be read.
            MemoryError: If there is no memory for it.
        """
        for path in reversed(self.paths):
            try:
                state = _load(path)
                if isinstance(state, dict) and keys <= state.keys():
                    return path, state
                reason = _("it is no checkpoint of this kit")
            except _DAMAGED as e:
                error = f"{type(e).__name__}: {e}"
                reason = _("it is cut short or damaged ({error})").format(error=error)
            aside = path.with_suffix(".unreadable")
            os.replace(path, aside)
            told = _("{path} cannot be read, {reason}: set aside as {name}, trying the one before")
            warnings.warn(told.format(path=path, reason=reason, name=aside.name), stacklevel=3)
        return None

    def peek(self, key):
        """Returns what the newest readable checkpoint holds under a key, None if no file tells."""
        for path in reversed(self.paths):
            with contextlib.suppress(*_DAMAGED, OSError, MemoryError, KeyError, TypeError):
                return _load(path)[key]
        return None


def save_weights(model, path):
    """Writes a model's weights alone, whole: older ones stay until the new ones are on the disk.

    Raises:
        OSError: If there is no space to write them.
    """
    content = io.BytesIO()
    torch.save(model.state_dict(), content)
    write_whole(Path(path), content.getbuffer())


_DAMAGED = (EOFError, RuntimeError, ValueError, pickle.UnpicklingError, zipfile.BadZipFile)


def _load(path):
    """Returns what a file holds, its tensors on the CPU.

    Raises:
        OSError: If it cannot be read.
        MemoryError: If there is no memory for it.
        One of _DAMAGED: If what was read is no whole file of torch's.
    """
    content = io.BytesIO(path.read_bytes())  # zipfile takes a disk's error for a damaged file
    with zipfile.ZipFile(content) as archive:  # torch.load does not look at the check sums
        if damaged := archive.testzip():
            raise zipfile.BadZipFile(f"in {damaged}")
    content.seek(0)
    try:
        return torch.load(content, map_location="cpu", weights_only=True)
    except RuntimeError as e:
        if "DefaultCPUAllocator" in str(e):  # torch has no class for it
            raise MemoryError(str(e)) from e
        raise


def _plain(value):
    """Returns a nested value with Python's numbers for NumPy's, which torch.load refuses."""
    if isinstance(value, np.generic):
        return value.item()
    if type(value) in (list, tuple):
        return type(value)(map(_plain, value))
    if not isinstance(value, dict):
        return value
    plain = copy.copy(value)  # with what a model's state_dict says of its versions
    plain.clear()
    plain.update((_plain(key), _plain(part)) for key, part in value.items())
    return plain


def _check_readable(state):
    """Raises RunError if a part of a checkpoint could not be read when the run is resumed."""
    for name, part in state.items():
        content = io.BytesIO()
        torch.save(part, content)
        content.seek(0)
        try:
            torch.load(content, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as e:
            told = _(
                "what the {name} holds could not be read from a checkpoint again, so nothing was "
                "saved: use numbers, text, tensors, and lists and dicts of them"
            )
            raise RunError(told.format(name=name)) from e


def _only_in(saved, optimizer):
    """Returns the names of settings that a saved optimizer has alone, and those of the present one.

    Both are empty where one side has none: another version of torch adds or drops a few.
    """
    before, now = set(saved["param_groups"][0]), set(optimizer.param_groups[0])
    if before <= now or now <= before:
        return [], []
    return sorted(before - now), sorted(now - before)


def _untrained(folder):
    """Tells whether nothing was trained in a folder: it holds curves of games at the most."""
    files = [path for path in folder.glob("[!.]*") if path.is_file() and path.suffix != ".part"]
    if not all("tfevents" in path.name for path in files):
        return False
    return not files or all(tag.startswith("Episodes/") for tag in read_curves(folder))


def _all_finite(part):
    """Looks through the tensors of a nested dict."""
    if torch.is_tensor(part):
        return not part.is_floating_point() or bool(torch.isfinite(part).all())
    return not isinstance(part, dict) or all(_all_finite(value) for value in part.values())


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
