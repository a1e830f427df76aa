"""The doctor: what is wrong with this machine, and how long the full run takes on it.

`python -m lesson.doctor` prints its table; exit status 1 where something must be mended.
"""

import contextlib
import hashlib
import importlib.util
import json
import os
import platform
import shutil
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

from languages import _, grouped, ngettext

__all__ = ["KIT", "PACKAGES", "THREADS", "Row", "examine", "show_doctor", "stand_in", "time_to"]

KIT = Path(__file__).parent.parent
PYTHONS = ">=3.10,<3.14"  # that the tests have run with
PACKAGES = {  # module: the package that brings it, as requirements.txt names it
    "gymnasium": "gymnasium",
    "ale_py": "ale-py",
    "shimmy": "shimmy",
    "cv2": "opencv-python",
    "tensorboardX": "tensorboardX",
    "moviepy": "moviepy",
    "pyvirtualdisplay": "pyvirtualdisplay",
    "tensorboard": "tensorboard",
    "matplotlib": "matplotlib",
    "tqdm": "tqdm",
    "filelock": "filelock",
    "tabulate": "tabulate",
    "packaging": "packaging",
    "psutil": "psutil",
    "babel": "babel",
}
NENVS, NSTEPS = 16, 5  # as in the notebook's settings
THREADS = {"GOMP_SPINCOUNT": "5000"}  # PyTorch's stay awake between layers, and no longer
LEAST = {"memory": 1.0, "disk": 1.0}  # GB free; training takes 0.7 of memory
HEADERS = ("", "", _("found"), _("expected"), _("what to do"))


class Row(NamedTuple):
    """One line of the table."""

    thing: str
    found: str
    expected: str = ""
    note: str = ""  # what is worth knowing
    mend: str = ""  # what must be done; empty where all is well


def show_doctor(seconds=2.0):
    """Shows the table in a notebook; `seconds` is the length of each of the two measurements."""
    from IPython.display import Markdown, display

    display(Markdown(_table(examine(seconds), "pipe")))


def main():
    """Prints the table; returns the exit status."""
    if not all(map(importlib.util.find_spec, ("packaging", "tabulate"))):
        print(_("packages are missing: python -m pip install -r requirements.txt"))
        return 1
    os.environ.update(THREADS)
    rows = examine()
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")  # Windows' code pages lack the signs
    print(_table(rows, "simple"))
    return 1 if any(row.mend for row in rows) else 0


def examine(seconds=2.0):
    """Returns the Rows; what needs a package that is not there is left out.

    Args:
        seconds: Length of each of the two measurements.
    """
    rows = [_python(), *_packages()]
    missing = any(row.mend for row in rows)
    rows += [*_kit(), _device(missing), Row(_("CPU cores"), str(os.cpu_count())), *_room()]
    game = [] if missing else [*_game()]
    if missing or any(row.mend for row in game):
        note = _("mend what is marked above first")
        return [*rows, *game, Row(_("speed"), _("not measured"), note=note)]
    return [*rows, *game, *_speeds(seconds)]


def _table(rows, kind):
    from tabulate import tabulate

    lines = [
        ("✗" if row.mend else "!" if row.note else "✓", *row[:3], row.mend or row.note)
        for row in rows
    ]
    return tabulate(lines, headers=HEADERS, tablefmt=kind, disable_numparse=True)


# packages


def _python():
    from packaging.specifiers import SpecifierSet

    expected = SpecifierSet(PYTHONS)
    return _version_row("Python", platform.python_version(), expected, _("install Python 3.11"))


def _packages():
    """Yields a row on each package that the notebook uses."""
    from packaging.requirements import Requirement

    lines = (KIT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    stripped = (line.split("#")[0].strip() for line in lines)
    for one in (Requirement(line) for line in stripped if line):
        modules = [module for module, package in PACKAGES.items() if package == one.name]
        if not modules and one.name not in ("torch", "numpy"):
            continue
        mend = f'python -m pip install "{one}"'
        try:
            yield _version_row(one.name, version(one.name), one.specifier, mend)
        except PackageNotFoundError:
            there = any(map(importlib.util.find_spec, modules))  # as Colab's OpenCV
            found = _("there under another name") if there else _("missing")
            yield Row(one.name, found, _range(one.specifier), mend="" if there else mend)


def _version_row(name, found, expected, mend):
    """Returns the row of a version; one newer than any that was tested is worth a note only."""
    from packaging.version import Version

    row = Row(name, found, _range(expected))
    if Version(found) in expected:
        return row
    newer = all(Version(found) >= Version(one.version) for one in expected)
    return row._replace(note=_("newer than what was tested")) if newer else row._replace(mend=mend)


def _range(specifiers):
    return ", ".join(sorted(map(str, specifiers), reverse=True))


# the kit, and the machine


def _kit():
    """Yields a row on the files that were released, where this is a released kit."""
    if not (KIT / "manifest.json").is_file():
        return
    manifest = json.loads((KIT / "manifest.json").read_text(encoding="utf-8"))
    own = {name: hash for name, hash in manifest["files"].items() if not name.endswith(".ipynb")}
    missing = [name for name in own if not (KIT / name).is_file()]
    changed = [
        name
        for name in own.keys() - missing
        if hashlib.sha256((KIT / name).read_bytes()).hexdigest() != own[name]
    ]
    found = _("release {version}").format(version=manifest["version"])
    expected = ngettext("{n} file", "{n} files", len(own)).format(n=len(own))
    mend = _("missing: {names}; unpack the .zip again").format(names=", ".join(missing))
    note = _("changed: {names}").format(names=", ".join(sorted(changed)))
    yield Row(_("files"), found, expected, note if changed else "", mend if missing else "")


def _device(missing):
    if missing:
        return Row(_("device"), _("unknown"))
    import torch

    if torch.cuda.is_available():
        return Row(_("device"), torch.cuda.get_device_name())
    note = _("Runtime → Change runtime type: a GPU") if "google.colab" in sys.modules else ""
    return Row(_("device"), _("no GPU"), note=note)


def _room():
    """Yields rows on memory and disk."""
    out = Path(os.environ.get("A2C_OUT", ".")).resolve()
    there = next(folder for folder in (out, *out.parents) if folder.exists())
    free = {"disk": shutil.disk_usage(there).free}
    with contextlib.suppress(ImportError):
        import psutil

        free["memory"] = psutil.virtual_memory().available
    words = {
        "memory": (_("memory"), _("close other programs")),
        "disk": (_("disk"), _("make space: delete what you do not need")),
    }
    for name in sorted(free, reverse=True):
        (thing, mend), gigabytes = words[name], free[name] / 1e9
        found = _("{gigabytes:.1f} GB free").format(gigabytes=gigabytes)
        expected = _("{gigabytes:g} GB").format(gigabytes=LEAST[name])
        yield Row(thing, found, expected, mend="" if gigabytes >= LEAST[name] else mend)


def _game():
    """Yields rows on the game's ROM and on ffmpeg, which writes videos."""
    import gymnasium
    from ale_py.roms import get_rom_path

    from lesson.assignment import read_assignment

    game = read_assignment().game
    try:
        rom = get_rom_path(gymnasium.spec(game).kwargs["game"])
        yield Row("ROM", rom.name)
    except Exception as e:
        yield Row("ROM", f"{game}: {e}", mend="python -m pip install --force-reinstall ale-py")
    try:
        import imageio_ffmpeg

        imageio_ffmpeg.get_ffmpeg_exe()
        yield Row("ffmpeg", imageio_ffmpeg.get_ffmpeg_version())
    except Exception as e:
        yield Row("ffmpeg", str(e), mend="python -m pip install --force-reinstall imageio-ffmpeg")


# speed and time


def _speeds(seconds):
    """Yields rows on the measured speeds, and on the time to each mark and to the end."""
    import torch

    from lesson.assignment import read_assignment

    assignment = read_assignment()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    emulators = _emulator_speed(assignment.game, seconds)
    network = _network_speed(device, seconds)
    speed = 1 / (1 / emulators + 1 / network)
    for thing, found in (
        (_("emulators alone"), emulators),
        (_("network alone"), network),
        (_("both, one after the other"), speed),
    ):
        n = round(found)
        told = ngettext("{n} agent step/s", "{n} agent steps/s", n).format(n=grouped(n))
        yield Row(thing, told)
    for mark, points in assignment.marks.items():
        thing = _("time to {mark}, {points:g} points").format(mark=mark, points=points)
        yield Row(thing, time_to(mark, speed, assignment))
    end = _("time to the end, {steps} agent steps").format(steps=grouped(assignment.agent_steps))
    yield Row(end, _duration(assignment.agent_steps / speed))


def time_to(mark, speed, assignment):
    """Says how long a run takes to a score, if it goes as the reference run went.

    Args:
        mark: A `reward_mean_100`.
        speed: Agent steps per second.
        assignment: The Assignment.
    """
    run = json.loads((KIT / "lesson" / "reference_run.json").read_text(encoding="utf-8"))
    if assignment.game != run["game"]:
        return _("unknown in this game")
    steps = next((steps for steps, score in run["reward_mean_100"] if score >= mark), None)
    if steps is None:
        return _("unknown: the reference run did not reach it")
    if steps > assignment.agent_steps:
        return _("not within {steps} agent steps").format(steps=grouped(assignment.agent_steps))
    return _("{time}, as the reference run went").format(time=_duration(steps / speed))


def _emulator_speed(game, seconds):
    from atari_wrappers import nature_dqn_env

    env = nature_dqn_env(game, nenvs=NENVS, summaries=False)
    env.reset()
    speed = _per_second(lambda: env.step(env.action_space.sample()), NENVS, seconds)
    env.close()
    return speed


def stand_in():
    """Returns a network with other layers than the assignment's and about the same cost."""
    from torch import nn

    return nn.Sequential(
        *(nn.Conv2d(4, 28, 10, 4), nn.ReLU(), nn.Conv2d(28, 60, 5, 2), nn.ReLU()),
        *(nn.Conv2d(60, 88, 3), nn.ReLU(), nn.Flatten(), nn.Linear(88 * 36, 512), nn.ReLU()),
        nn.Linear(512, 7),
    )


def _network_speed(device, seconds):
    import torch

    network = stand_in().to(device, memory_format=torch.channels_last)
    frames = torch.rand(NENVS, 4, 84, 84, device=device)
    frames = frames.contiguous(memory_format=torch.channels_last)

    def learn():
        loss = sum(network(frames).mean() for _ in range(NSTEPS))
        loss.backward()
        return loss.item()

    return _per_second(learn, NENVS * NSTEPS, seconds)


def _per_second(work, samples, seconds):
    """Returns how many samples per second work() gets through, after one call to warm up."""
    work()
    began, calls = time.perf_counter(), 0
    while not calls or time.perf_counter() - began < seconds:
        work()
        calls += 1
    return samples * calls / (time.perf_counter() - began)


def _duration(seconds):
    if seconds > 3600:
        return _("about {n:.1f} hours").format(n=seconds / 3600)
    return _("about {n:.0f} minutes").format(n=seconds / 60)


if __name__ == "__main__":
    sys.exit(main())
