"""Packs the hand-in, and says what is there and what is missing."""

import json
import os
import sys
import textwrap
import zipfile
from pathlib import Path, PurePosixPath

from tabulate import tabulate

from grading.checklist import checklist, outlook
from grading.notebook import NOTEBOOK, parse
from languages import _, ngettext, pgettext
from lesson.assignment import read_assignment
from training.checkpoints import CheckpointStore

__all__ = ["MANIFEST", "hand_in", "pack", "report"]

MANIFEST = "hand-in.json"
WIDTH, FOUND, MEND = 98, 31, 36  # characters of a line, and of columns: what JupyterLab shows
PATIENCE = 120  # seconds for Colab's page, which is slow with a long notebook
SCRIPTS = [
    "assignment.json",
    "manifest.json",
    "requirements.txt",
    "atari_wrappers.py",
    "env_batch.py",
    "runners.py",
    "training/**/*.py",
    "lesson/**/*.py",
    "lesson/*.json",
    "languages/*.py",
    "languages/*.po",
    "tests/__init__.py",
    "tests/checks/**/*.py",
    "grading/**/*.py",
]


def pack(notebook, out, run, name="", group=""):
    """Prints the checklist, writes the archive, and in Colab offers it for download.

    Args:
        notebook: The notebook's path; in Colab it is taken as it is seen, not from the disk.
        out: The folder of all that the run wrote.
        run: The run's folder of event files, below `out`.
        name: The student's, as the course knows it.
        group: The student's, where the course has groups.

    Returns:
        The path of hand-in.zip, in `out`.

    Raises:
        FileNotFoundError: If the notebook or `out` is not there.
        TimeoutError: If Colab does not give the notebook.
    """
    archive, rows, score = hand_in(notebook, out, run, name, group)
    print(report(archive, rows, score))
    if "google.colab" in sys.modules:
        from google.colab import files

        files.download(str(archive))
    return archive


def hand_in(notebook, out, run, name="", group=""):
    """Writes the archive; arguments as in `pack`; returns its path, the checklist and the Score."""
    out, run = Path(out), Path(run)
    if not out.is_dir():
        text = _("{folder} is no folder: name the one that the run wrote to")
        raise FileNotFoundError(text.format(folder=out))
    source = _notebook_source(Path(notebook))
    try:
        book = parse(source, notebook)
    except ValueError:
        book = None
    settings, kit = CheckpointStore(run).peek("settings"), Path(notebook).parent
    rows, score = checklist(book, out, run, name, settings)
    told = _manifest(kit, name, group) | dict(run=run.name, settings=settings)
    return _write(out / "hand-in.zip", source, told, _files(kit, out, run)), rows, score


def _manifest(kit, name, group):
    """Returns what a grader's program reads first: whose hand-in, and of which release."""
    told = dict(name=name.strip(), group=group.strip(), release="")
    if (kit / "manifest.json").is_file():
        told["release"] = json.loads((kit / "manifest.json").read_text(encoding="utf-8"))["version"]
    return told


def report(archive, rows, score):
    """Returns the checklist as text for people."""
    table = [
        (
            pgettext("in a checklist", "missing") if row.mend else _("there"),
            _(row.thing),
            textwrap.fill(row.found, FOUND),
            textwrap.fill(row.mend, MEND),
        )
        for row in rows
    ]
    headers = ["", _("thing"), _("found"), _("mend")]
    table = tabulate(table, headers=headers, disable_numparse=True)
    score_told, where = (textwrap.fill(line, WIDTH) for line in (outlook(score), _where()))
    return f"{table}\n\n{score_told}\n{archive}: {_size(archive)}\n{where}"


def _size(archive):
    with zipfile.ZipFile(archive) as package:
        n = len(package.namelist())
    text = ngettext("{n} file, {size:.1f} MB", "{n} files, {size:.1f} MB", n)
    return text.format(n=n, size=archive.stat().st_size / 1e6)


def _where():
    """Returns what the course says of handing in."""
    course = read_assignment()
    text = _("Hand it in: {where}. Deadline: {deadline}. Questions: {whom}.")
    return text.format(where=course.hand_in, deadline=course.deadline, whom=course.ask)


def _notebook_source(notebook):
    """Returns the notebook's bytes: in Colab as it is seen, elsewhere as last saved."""
    if "google.colab" in sys.modules:
        return json.dumps(_seen_in_colab()).encode()
    if not notebook.is_file():
        text = _("there is no notebook {name} in {folder}: save it, and give its present name")
        raise FileNotFoundError(text.format(name=notebook, folder=Path.cwd()))
    return notebook.read_bytes()


def _seen_in_colab():
    """Returns the notebook as Colab's page shows it, parsed."""
    from google.colab import _message

    answer = _message.blocking_request("get_ipynb", timeout_sec=PATIENCE)
    if answer is None:
        text = _("Colab did not give the notebook within {seconds} s: run this cell again")
        raise TimeoutError(text.format(seconds=PATIENCE))
    return answer["ipynb"]


def _files(folder, out, run):
    """Yields (path, name in the archive) of the scripts, what the run wrote, and the weights."""
    for pattern in SCRIPTS:
        yield from _below(folder, PurePosixPath(), pattern)
    yield from _below(out / "videos", PurePosixPath("videos"))
    yield from _below(run, PurePosixPath("logs", run.name))
    yield from _below(out / "img", PurePosixPath("img"))
    yield from _below(out, PurePosixPath(), "weights.pt")


def _below(root, name, pattern="**/*"):
    """Yields (path, name in the archive) of a folder's files that belong to a hand-in."""
    for path in sorted(root.glob(pattern)):
        inside = name.joinpath(*path.relative_to(root).parts)
        hidden = any(part.startswith(".") or part == "reference" for part in inside.parts)
        left_over = path.name.startswith("checkpoint-") or path.suffix in {".part", ".lock"}
        if path.is_file() and not hidden and not left_over:
            yield path, str(inside)


def _write(archive, source, told, files):
    """Writes the archive beside an older one, and then in its place."""
    part = archive.with_suffix(".part")
    with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, strict_timestamps=False) as package:
        package.writestr(NOTEBOOK, source)
        package.writestr(MANIFEST, json.dumps(told, indent=1, ensure_ascii=False))
        for path, name in files:
            package.write(path, name)
    os.replace(part, archive)
    return archive
