"""The drawing of how the five classes fit together: python -m lesson.map draws it again."""

from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.patches import FancyBboxPatch

from languages import _

__all__ = ["draw_map"]

PICTURE = Path(__file__).parent.parent / "img" / "reference" / "map.png"
GIVEN, TASK = "#e8e8e8", "#cfe3f5"
BOXES = {  # name: (x, y, colour, text below the name)
    "nature_dqn_env": (0.6, 2.4, GIVEN, _("16 games at once")),
    "Policy": (0.6, 0.6, TASK, _("Task 2: samples actions")),
    "NatureModel": (3.1, 0.6, TASK, _("Task 1: logits, values")),
    "EnvRunner": (3.1, 2.4, GIVEN, _("collects T × B steps")),
    "ComputeValueTargets": (5.6, 2.4, TASK, _("Task 3: what V should be")),
    "MergeTimeBatch": (8.1, 2.4, TASK, _("Task 4: [T, B] → [T · B]")),
    "A2C": (8.1, 0.6, TASK, _("Task 5: loss, clip, step")),
}
WIDTH, HEIGHT = 1.9, 0.9
ARROWS = [  # from, to, label, where the label is
    ((1.15, 2.4), (1.15, 1.5), _("observations"), (1.1, 1.95), "right"),
    ((1.9, 1.5), (1.9, 2.4), _("actions"), (1.95, 1.95), "left"),
    ((2.5, 1.05), (3.1, 1.05), "", None, None),
    ((2.5, 2.85), (3.1, 2.85), "", None, None),
    ((5.0, 2.85), (5.6, 2.85), "", None, None),
    ((7.5, 2.85), (8.1, 2.85), "", None, None),
    ((9.05, 2.4), (9.05, 1.5), _("one batch"), (9.1, 1.95), "left"),
    ((8.1, 1.05), (5.0, 1.05), _("new weights"), (6.55, 1.15), "center"),
]


def draw_map(path=PICTURE):
    """Draws boxes for the classes and arrows for what passes between them, and saves a PNG."""
    figure, axis = plt.subplots(figsize=(10, 3.3), dpi=110, layout="constrained")
    inside = []
    for name, (x, y, colour, text) in BOXES.items():
        box = FancyBboxPatch((x, y), WIDTH, HEIGHT, boxstyle="round,pad=0.02,rounding_size=0.08")
        box.set(facecolor=colour, edgecolor="#555555")
        axis.add_patch(box)
        middle = x + WIDTH / 2
        axis.text(middle, y + 0.58, name, ha="center", family="monospace", weight="bold", size=8.5)
        inside.append((axis.text(middle, y + 0.24, text, ha="center", size=8.5), box))
    for start, end, label, place, align in ARROWS:
        axis.annotate("", end, start, arrowprops=dict(arrowstyle="-|>", color="#333333"))
        if label:
            axis.text(*place, label, ha=align, size=8.5, style="italic")
    legend = _("blue: you write it   gray: given")
    axis.text(5.6, 0.2, legend, size=8.5, color="#555555")
    axis.set(xlim=(0.4, 10.2), ylim=(0.1, 3.5))
    axis.axis("off")
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # what follows moves nothing
    for text, box in inside:
        _fit(text, box)
    figure.savefig(path)
    plt.close(figure)


def _fit(text, box):
    """Makes a text smaller that is too long for its box: some languages need more letters."""
    room, width = (one.get_window_extent().width for one in (box, text))
    text.set_size(text.get_size() * min(1, 0.96 * room / width))


if __name__ == "__main__":
    draw_map()
