"""Reads one part of a hand-in: `python -m grading.marking.read ORDER.json FOLDER`.

What is found goes into result.json and pictures beside the order.
"""

import importlib
import json
import sys
from pathlib import Path

from grading.marking.read.common import begin
from languages import _

BEGINS = {
    "curves": _("reading the curves"),
    "weights": _("reading the weights"),
    "videos": _("reading the videos"),
    "pictures": _("reading the pictures"),
    "notebook": _("reading the notebook"),
}


def main():
    """Reads the part that the order names, and says that it is through."""
    path, folder = map(Path, sys.argv[1:])
    order = json.loads(path.read_text(encoding="utf-8"))
    part = importlib.import_module(f"grading.marking.read.{order['part']}")
    begin(BEGINS[order["part"]])
    result = part.read(order, folder, path.parent)
    (path.parent / "result.json").write_text(json.dumps(result), encoding="utf-8")
    print(json.dumps({"ending": ""}), flush=True)


if __name__ == "__main__":
    main()
