"""The parts of made-up hand-ins: weights, curves, videos, pictures, notebooks, the kit's modules.

They are stand-ins made from the reference run in seconds; nobody trained them.

- `weights(seed)` gives the reference's network with its units in another order: it plays the same,
  with other numbers in each place.
- `curves(seed, until)` gives the reference's event files up to an agent step, drawn some days later
  on another machine, with values that are slightly lower and still fit each other.
- The agent of a run that is not over must be weaker than the reference: `sharpness` makes it so.
- `film` gives real videos of these weights, some seconds long.
"""

import copy
import functools
import io
import tempfile
from pathlib import Path
from unittest import mock

import nbformat
import numpy as np
import torch
from matplotlib import pyplot as plt
from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader
from tensorboard.summary.writer.record_writer import RecordWriter

from grading.pack import SCRIPTS
from lesson import pictures, videos
from release.kit import build
from release.students import filled, make_students_notebook
from tests import notebook

__all__ = [
    "GAME",
    "REFERENCE",
    "SETTINGS",
    "curves",
    "drawn",
    "film",
    "kit",
    "made_for",
    "saved",
    "solved_notebook",
    "students_notebook",
    "untrained",
    "weights",
]

GAME = "SpaceInvadersNoFrameskip-v4"
REFERENCE = Path(__file__).parent.parent / "logs" / "reference"
SETTINGS = {  # as hand-in.json tells them: the notebook's settings; the network comes beside them
    "game": GAME,
    "nenvs": 16,
    "nsteps": 5,
    "total_steps": 10_000_000,
    "gamma": 0.99,
    "value_loss_coef": 0.25,
    "entropy_coef": 0.01,
    "max_grad_norm": 0.5,
    "lr": 7e-4,
    "alpha": 0.99,
    "eps": 1e-5,
}
DAY = 86_400  # seconds
TRAINED = {"training-run", "watching-play", "watching-inside-look", "curves-draw", "hand-in-cell"}


# weights


def weights(seed=None, sharpness=1.0):
    """Returns the reference's weights by name; with a seed their units are in another order.

    Logits are multiplied by the sharpness: 0.65 makes an agent that scores about 700 with sampled
    actions, 0.4 one that scores about 500, and 1.0 the reference's own.
    """
    state = torch.load(REFERENCE / "weights.pt", weights_only=True)
    for name in ("logits.weight", "logits.bias"):
        state[name] = state[name] * sharpness
    return state if seed is None else _reordered(state, torch.Generator().manual_seed(seed))


def _reordered(state, generator):
    """Returns a network that computes the same: three layers of channels and 512 hidden units."""
    names = [name.removesuffix(".weight") for name in state if name.endswith(".weight")]
    orders = [torch.randperm(n, generator=generator) for n in (32, 64, 64, 512)]
    new = {}
    for k, name in enumerate(names):
        weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
        if k in (1, 2):
            weight = weight[:, orders[k - 1]]
        elif k == 3:  # 64 channels of 7 × 7 each
            weight = weight.unflatten(1, (64, 49))[:, orders[2]].flatten(1)
        elif k > 3:  # heads
            weight = weight[:, orders[3]]
        if k <= 3:
            weight, bias = weight[orders[k]], bias[orders[k]]
        new |= {f"{name}.weight": weight.contiguous(), f"{name}.bias": bias.clone()}
    return new


def untrained(seed):
    """Returns the weights that a network starts with."""
    torch.manual_seed(seed)
    return notebook.definitions(("model-class",))["NatureModel"](6).state_dict()


def made_for(model, state):
    """Returns weights under the names that a student's model gives them.

    Raises:
        ValueError: If the model does not give with them what the reference's network gives.
    """
    pictures = torch.rand(2, 4, 84, 84, generator=torch.Generator().manual_seed(0))
    solved = notebook.definitions(("model-class",))["NatureModel"](6)
    solved.load_state_dict(state)
    model(pictures)  # lazy layers get their shapes
    for joint in (("logits", "value"), ("value", "logits")):
        found = {name: state[name] for name in state}
        for kind in ("weight", "bias"):
            found[f"joint.{kind}"] = torch.cat([state[f"{head}.{kind}"] for head in joint])
        for given in model.state_dict().values():
            taken = next(key for key in found if found[key].shape == given.shape)
            given.copy_(found.pop(taken))
        if _same(model(pictures), solved(pictures)):
            return model.state_dict()
    raise ValueError("the model gives other logits with these weights: choose another answer")


def _same(given, expected):
    return all(
        torch.allclose(a.flatten(), b.flatten(), atol=1e-4)
        for a, b in zip(given, expected, strict=True)
    )


def saved(state):
    """Returns what torch.save writes."""
    file = io.BytesIO()
    torch.save(state, file)
    return file.getvalue()


# curves


def curves(seed=None, until=10_000_000, change=None):
    """Returns {name: bytes} of the reference's event files, cut and, with a seed, drawn anew.

    Args:
        seed: None leaves every value, time and name as it is.
        until: The agent step of the last point.
        change: What becomes of a point: takes tag, agent step and value, returns the value.
    """
    files, number = {}, 0 if seed is None else seed
    for name, events in _reference_events():
        kept = [event for event in events if event.step <= until]
        if any(event.summary.value for event in kept):
            name = name if seed is None else _renamed(name, number)
            points = (_redrawn(copy.deepcopy(event), seed, change) for event in kept)
            files[name] = _recorded(points)
    return files


@functools.cache
def _reference_events():
    paths = sorted(REFERENCE.glob("*tfevents*"))
    return [(path.name, list(LegacyEventFileLoader(str(path)).Load())) for path in paths]


def _renamed(name, seed):
    """Returns the name of an event file that began some days later, on a machine of its own."""
    began = int(name.split(".")[3]) + seed * DAY
    return f"events.out.tfevents.{began}.desk-{seed}.{began}{seed:09}"


def _redrawn(event, seed, change):
    if seed is not None:
        event.wall_time += seed * DAY
    for point in event.summary.value:
        if seed is not None:
            point.simple_value = _lowered(point.tag, event.step, point.simple_value, seed)
        if change:
            point.simple_value = change(point.tag, event.step, point.simple_value)
    return event


def _lowered(tag, step, value, seed):
    """Returns a value that is lower by half a percent at most.

    Everything that one update logged is lowered alike, so that sums still fit: the total loss, and
    the advantages. Least and highest scores stay multiples of 5.
    """
    if tag.startswith("A2C/"):
        return value * (1 - 0.005 * np.random.default_rng([seed, step]).random())
    return value * (1 - 0.0005 * seed) if tag == "Episodes/reward_mean_100" else value


def _recorded(events):
    file = io.BytesIO()
    writer = RecordWriter(file)
    for event in events:
        writer.write(event.SerializeToString())
    return file.getvalue()


@functools.cache
def drawn(seed, until):
    """Returns {name: bytes} of the pictures that the notebook draws of `curves(seed, until)`."""
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(plt, "show"):
        run, img = Path(folder, "run"), Path(folder, "img")
        run.mkdir()
        for name, data in curves(seed, until).items():
            (run / name).write_bytes(data)
        pictures.draw_curves(run, img)
        plt.close("all")
        return {path.name: path.read_bytes() for path in sorted(img.iterdir())}


# videos


@functools.cache
def film(seed, greedy, sharpness=1.0, trained=True, steps=300):
    """Returns the bytes of a video, as the notebook records it.

    Args:
        seed: Of the game and of the actions.
        greedy: Whether the likeliest action is taken each time.
        sharpness: As in `weights`.
        trained: Whether the reference's weights play, or those of an untrained network.
        steps: Agent steps at most.
    """
    given = notebook.definitions()
    model = given["NatureModel"](6)
    model.load_state_dict(weights(None, sharpness) if trained else untrained(seed))
    torch.manual_seed(seed)
    with tempfile.TemporaryDirectory() as folder:
        with videos.camera(GAME, Path(folder), seed) as env:
            given["evaluate"](env, given["Policy"](model), greedy=greedy, t_max=steps)
        return Path(folder, "rl-video-episode-0.mp4").read_bytes()


# the kit, and notebooks


@functools.cache
def kit():
    """Returns {name: bytes} of what a hand-in takes from the released kit, manifest.json too."""
    with tempfile.TemporaryDirectory() as folder:
        root, _ = build(folder)
        paths = [path for pattern in SCRIPTS for path in sorted(root.glob(pattern))]
        return {path.relative_to(root).as_posix(): path.read_bytes() for path in paths}


@functools.cache
def _books():
    solved = notebook.read()
    return make_students_notebook(solved), solved


def students_notebook():
    """Returns the notebook as it is released: stubs, no outputs."""
    return copy.deepcopy(_books()[0])


def solved_notebook(sources=(), comments="", name="", end=""):
    """Returns a student's notebook that ran.

    Args:
        sources: {cell id: source} in place of the solution's.
        comments: The student's on the curves, in place of the solution's.
        name: What is written in the last cell.
        end: What the training cell printed last.
    """
    students, solved = _books()
    book, outputs = filled(students, solved), {cell.id: cell for cell in solved.cells}
    for k, cell in enumerate(cell for cell in book.cells if cell.cell_type == "code"):
        cell.execution_count = k + 1
        if cell.id not in TRAINED:
            cell.outputs = outputs[cell.id].outputs
    by_id = {cell.id: cell for cell in book.cells}
    for cell, source in dict(sources).items():
        by_id[cell].source = source.strip("\n")
    if comments:
        task = by_id["curves-comments"]
        task.source = task.source.split("\n\n")[0] + f"\n\n{comments}"
    by_id["training-run"].outputs = [nbformat.v4.new_output("stream", name="stdout", text=end)]
    last = by_id["hand-in-cell"]
    last.source = last.source.replace('NAME = ""', f"NAME = {name!r}")
    return book
