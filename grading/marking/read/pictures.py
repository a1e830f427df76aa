"""The pictures of a hand-in, drawn anew, each with what the notebook says of it."""

import io
import re
import warnings
from pathlib import PurePosixPath

import numpy as np
from PIL import Image

from grading.marking.read.book import read_book
from grading.marking.read.common import Unreadable, files_below, one_line, shown
from languages import _, grouped

__all__ = ["draw_anew", "read"]

ENDINGS = {".png", ".jpg", ".jpeg", ".gif", ".svg", ".webp"}
FORMATS = ["PNG", "JPEG", "GIF", "WEBP"]
MOST_PICTURES = 60
MOST_BYTES, MOST_PIXELS = 50_000_000, 40_000_000  # of a file; of its picture
WIDEST, HIGHEST = 1200, 4000  # pixels as pages show them


def read(order, folder, out):
    """Returns the part "pictures", and leaves each as `picture-<k>.png`.

    Args:
        order: With "notebook" (its name) and "captions" ({name of a drawn picture: its caption}).
        folder: The hand-in's folder.
        out: Where the pictures go.
    """
    names = files_below(folder, "img", ENDINGS)
    cells = _cells(folder / order["notebook"])
    files, problems = [], []
    for k, name in enumerate(names[:MOST_PICTURES]):
        caption, is_shown = _caption(name, cells, order["captions"])
        told = dict(
            name=one_line(name), picture="", caption=one_line(caption, 1000), shown=is_shown
        )
        try:
            if name.lower().endswith(".svg"):
                raise Unreadable(_("SVG is not shown"))
            _draw_file(folder / name, out / f"picture-{k}.png")
            told["picture"] = f"picture-{k}.png"
        except Unreadable as e:
            problems.append(f"{told['name']}: {e}")
        files.append(told)
    if not names:
        problems.append(_("img/ holds no picture"))
    if len(names) > MOST_PICTURES:
        told = _("{n} pictures, the first {most} are shown")
        problems.append(told.format(n=len(names), most=MOST_PICTURES))
    return dict(problem="; ".join(problems[:5]), files=files)


def _draw_file(path, place):
    if path.stat().st_size > MOST_BYTES:
        told = _("has {size} MB, at most {most:.0f} are expected")
        size = grouped(path.stat().st_size / 1e6, ".0f")
        raise Unreadable(told.format(size=size, most=MOST_BYTES / 1e6))
    draw_anew(path.read_bytes(), place)


def draw_anew(content, place):
    """Writes a picture anew as PNG: its pixels alone, the first ones of a film, and not too many.

    Args:
        content: Bytes that should be a picture.
        place: The path to write to.

    Raises:
        Unreadable: If they are none, or have more pixels than any screen.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of sizes that are refused below, and odd metadata
            image = Image.open(io.BytesIO(content), formats=FORMATS)
            if image.width * image.height > MOST_PIXELS:
                raise Image.DecompressionBombError
            clear = image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info
            image = image.convert("RGBA" if clear else "RGB")
            image.thumbnail((WIDEST, HIGHEST))
            Image.fromarray(np.asarray(image)).save(place, format="PNG")
    except Image.DecompressionBombError as e:
        told = _("has more than {most} million pixels")
        raise Unreadable(told.format(most=MOST_PIXELS // 10**6)) from e
    except Exception as e:  # what Pillow raises differs from one broken file to the next
        raise Unreadable(_("is no picture ({error})").format(error=shown(e))) from e


# what the notebook says


def _cells(path):
    """Returns the notebook's cells, none where it cannot be read: another part tells that."""
    try:
        return read_book(path).cells
    except Unreadable:
        return []


def _caption(name, cells, captions):
    """Returns the caption of a picture, and whether the notebook shows it."""
    stem, drawn = PurePosixPath(name).stem, False
    for cell in cells:
        if cell.cell_type == "markdown":
            if (caption := _caption_in(cell.source, name)) is not None:
                return caption, True
        elif any(kind.startswith("image/") for output in cell.outputs for kind in output.data):
            drawn |= name in cell.source or (stem in captions and "draw_curves" in cell.source)
    return captions.get(stem, ""), drawn


def _caption_in(source, name):
    """Returns what a Markdown cell writes to a picture, None where it does not show it."""
    place = rf"<?(?:\./)?{re.escape(name)}>?"
    image = re.search(rf"!\[([^\]]*)\]\(\s*{place}[^)\n]*\)", source)
    tag = re.search(rf"<img\s[^>]*src\s*=\s*[\"']?(?:\./)?{re.escape(name)}[^>]*>", source, re.I)
    if image:
        return image[1].strip() or _paragraph_beside(source, image)
    if tag:
        alt = re.search(r"\balt\s*=\s*([\"'])(.*?)\1", tag[0], re.I)
        return (alt[2].strip() if alt else "") or _paragraph_beside(source, tag)
    return None


def _paragraph_beside(source, image):
    """Returns the rest of the paragraph that a picture stands in, else the one below it."""
    before = source[: image.start()].rpartition("\n\n")[2]
    after, _gap, below = source[image.end() :].partition("\n\n")
    return f"{before} {after}".strip() or below.strip().partition("\n\n")[0]
