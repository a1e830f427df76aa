"""What the readers of all parts share: which files belong to a part, and words about them."""

import json

__all__ = ["Unreadable", "begin", "files_below", "one_line", "shown"]


class Unreadable(Exception):
    """What is wrong with a file, in one line for people."""


def begin(what):
    """Starts the clock for one more thing to read."""
    print(json.dumps({"begins": what}), flush=True)


def files_below(folder, top, endings):
    """Returns the names of a hand-in's files that belong to a part, in their order.

    Args:
        folder: The hand-in's.
        top: The part's folder in it.
        endings: Lower-case endings, each with its dot.

    Returns:
        Paths from `folder` on, as text with slashes; the reference run's and hidden ones left out.
    """
    names = []
    for path in sorted((folder / top).rglob("*")):
        inside = path.relative_to(folder)
        aside = any(part.startswith(".") or part == "reference" for part in inside.parts)
        if path.suffix.lower() in endings and not aside and path.is_file():
            names.append(inside.as_posix())
    return names


def one_line(text, most=200):
    """Returns anybody's text on one line, without what steers a terminal, and not too long."""
    text = "".join(c if c.isprintable() else " " for c in str(text)[: 4 * most])
    text = " ".join(text.split())
    return text if len(text) <= most else f"{text[: most - 1]}…"


def shown(error):
    """Returns an error as one line."""
    return one_line(f"{type(error).__name__}: {error}")
