"""Pictures and tables of what the notebook computes, and the curves of a run as captioned files."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from IPython.display import Markdown, display
from tabulate import tabulate
from torch import nn

from languages import _, grouped, ngettext
from training.curves import read_curves

__all__ = [
    "CAPTIONS",
    "draw_curves",
    "entries_table",
    "show_entries",
    "show_layers",
    "show_observation",
    "show_targets",
]

CAPTIONS = {  # tag: what stands above the picture
    "Episodes/reward_mean_100": _("reward_mean_100: raw score of whole games"),
    "A2C/coefficient_of_determination": _("coefficient of determination of values and targets"),
    "A2C/entropy": _("entropy of the policy, in nats"),
    "A2C/value_loss": _("value loss"),
    "A2C/policy_loss": _("policy loss"),
    "A2C/value_targets": _("value targets, batch mean"),
    "A2C/value_predictions": _("value predictions, batch mean"),
    "A2C/gradient_norm": _("gradient norm before clipping"),
    "A2C/advantages": _("advantages, batch mean"),
    "A2C/total_loss": _("total A2C loss"),
}


def show_observation(observation):
    """Draws the four stacked frames of one observation [4, 84, 84], the newest on the right."""
    figure, axes = plt.subplots(1, 4, figsize=(11, 3))
    for k, axis in enumerate(axes):
        axis.imshow(observation[k], cmap="gray", vmin=0, vmax=1)
        title = _("agent step t − {n}").format(n=3 - k) if k < 3 else _("agent step t, now")
        axis.set_title(title, fontsize=10)
        axis.axis("off")
    figure.suptitle(_("One observation: four agent steps of one environment"), fontsize=11)
    plt.show()


def show_layers(model, observations):
    """Prints what each layer makes of observations [B, 4, 84, 84], and the number of parameters."""

    def show(layer, given, output):
        print(f"{type(layer).__name__:>8} → {list(output.shape)}")

    layers = [layer for layer in model.modules() if isinstance(layer, (nn.Conv2d, nn.Linear))]
    hooks = [layer.register_forward_hook(show) for layer in layers]
    with torch.no_grad():
        model(torch.as_tensor(observations, device=next(model.parameters()).device))
    for hook in hooks:
        hook.remove()
    n = sum(parameter.numel() for parameter in model.parameters())
    print(ngettext("{n} parameter", "{n} parameters", n).format(n=grouped(n)))


def show_entries(entries):
    """Shows the type and shape of each entry of a dict; arguments as in `entries_table`."""
    display(Markdown(entries_table(entries)))


def entries_table(entries):
    """Returns a Markdown table with a row for each entry of a dict.

    Args:
        entries: What `policy.act` or `runner.get_next` returns; of a list, its length T and the
            shape of its first element are told. `state` is left out.
    """
    rows = []
    for key, value in entries.items():
        if key != "state":
            is_list = isinstance(value, (list, tuple))
            first, length = (value[0], len(value)) if is_list else (value, "")
            rows.append([f"`{key}`", type(first).__name__, length, list(np.shape(first))])
    headers = [_("key"), _("type"), "T", _("shape")]
    return tabulate(rows, headers=headers, tablefmt="pipe")


def show_targets(collector, compute_value_targets, tries=500):
    """Prints the targets of two environments: in one an episode ends, in the other a reward comes.

    What never happens is told: in some games chance finds no reward.

    Args:
        collector: A runner without transforms; it plays until both have happened in one partial
            trajectory.
        compute_value_targets: The transform of Task 3.
        tries: Partial trajectories to look through; then those count in which one of them happened.
    """
    says = {
        "ends": _("environment {b}, where an episode ends:"),
        "earns": _("environment {b}, where a reward comes in:"),
    }
    never = {
        "ends": _("In {steps} steps of all environments no episode ended."),
        "earns": _("In {steps} steps of all environments no reward came in."),
    }
    for event, (trajectory, where) in _look_for_events(collector, tries).items():
        if not where.any():
            steps = grouped(tries * len(trajectory["rewards"]))
            print(never[event].format(steps=steps))
            continue
        if "value_targets" not in trajectory:
            compute_value_targets(trajectory)
        b = int(where.argmax())
        print(says[event].format(b=b))
        _print_targets(trajectory, b)


def _look_for_events(collector, tries):
    """Returns for two events a trajectory, and in which environments it happens there [B]."""
    found = {}
    for _trial in range(tries):
        trajectory = collector.get_next()
        happens = {
            "ends": np.any(trajectory["resets"][:-1], axis=0),
            "earns": np.any(trajectory["rewards"][:-1], axis=0),
        }
        for event, where in happens.items():
            if where.any() or event not in found:
                found[event] = trajectory, where
        if all(where.any() for where in happens.values()):
            break
    return found


def _print_targets(trajectory, b):
    """Prints one environment's column of a trajectory, a row for each step."""
    keys = ("rewards", "resets", "values", "value_targets")
    columns = ([torch.as_tensor(step[b]).item() for step in trajectory[key]] for key in keys)
    for t, (reward, reset, value, target) in enumerate(zip(*columns, strict=True)):
        told = _(
            "  t = {t}  reward {reward:.0f}  reset {reset!s:>5}  "
            "V {value:+.3f}  target {target:+.3f}"
        )
        print(told.format(t=t, reward=reward, reset=reset, value=value, target=target))


def draw_curves(run, folder):
    """Draws a run's curves in the cell, and each as a picture with a caption.

    Args:
        run: The run's folder of event files.
        folder: Where the pictures go, `<curve>.png` each; made if it is missing.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    curves = read_curves(run)
    drawn = [tag for tag in CAPTIONS if tag in curves]
    for tag in drawn:
        figure, axis = plt.subplots(figsize=(6, 3.5), layout="constrained")
        _draw_curve(axis, CAPTIONS[tag], *curves[tag][:2])
        figure.savefig(folder / f"{tag.split('/')[1]}.png")
        plt.close(figure)
    figure, axes = plt.subplots(5, 2, figsize=(11, 14), layout="constrained")
    for axis, tag in zip(axes.flat, drawn, strict=False):
        _draw_curve(axis, CAPTIONS[tag], *curves[tag][:2])
    plt.show()


def _draw_curve(axis, caption, steps, values):
    """Draws one curve, pale as it is and strong as a mean over a fiftieth of its points."""
    axis.plot(steps, values, color="tab:blue", alpha=0.3, linewidth=0.8)
    width = max(1, len(values) // 50)
    smooth = np.convolve(values, np.ones(width) / width, mode="valid")
    axis.plot(steps[width - 1 :], smooth, color="tab:blue")
    axis.set_title(caption, fontsize=10)
    axis.set_xlabel(_("agent steps"), fontsize=9)
    axis.ticklabel_format(axis="x", style="sci", scilimits=(0, 5))
