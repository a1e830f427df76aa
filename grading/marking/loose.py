"""Files that a student handed in one by one become one archive, as if packed on one disk."""

import contextlib
import hashlib
import os
import re
import shutil
import tempfile
import zipfile
from pathlib import Path

from grading.unpack import unzip

__all__ = ["put_together"]

RENAMED = re.compile(  # Canvas counts files of one name that a student hands in again
    r"(?P<name>weights|videos|logs|img|hand-in|atari_wrappers|env_batch|runners)-\d+(?P<kind>\.\w+)"
)
TWICE = (FileExistsError, NotADirectoryError)  # a folder is called as a file is


def put_together(files, into):
    """Packs files that a student handed in one by one; the same files make the same archive.

    Args:
        files: Each with a `path`, its `place` in the export and its `given` name.
        into: The folder of such archives.

    Returns:
        The path of the archive.
    """
    held = [(str(file.place), file.path.stat()) for file in sorted(files, key=lambda f: f.place)]
    made_of = repr([(place, told.st_size, told.st_mtime_ns) for place, told in held])
    archive = into / f"{hashlib.sha256(made_of.encode()).hexdigest()[:24]}.zip"
    if archive.is_file():
        return archive
    into.mkdir(parents=True, exist_ok=True)
    part = archive.with_suffix(".part")
    with tempfile.TemporaryDirectory(dir=into) as folder:
        _lay_out(files, Path(folder))
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, strict_timestamps=False) as package:
            for path in sorted(path for path in Path(folder).rglob("*") if path.is_file()):
                package.write(path, path.relative_to(folder))
    os.replace(part, archive)
    return archive


def _lay_out(files, folder):
    """Copies a student's files as they lay on the student's disk; what was zipped is unzipped."""
    given = {str(file.given) for file in files}
    for file in files:
        renamed = RENAMED.fullmatch(file.given.name)
        plain = str(file.given.with_name(renamed["name"] + renamed["kind"])) if renamed else ""
        target = folder / (plain if plain and plain not in given else file.given)
        if target.suffix.lower() == ".zip":
            _unzip_at(file.path, target.with_suffix(""), folder)
        else:
            _copy(file.path, target)


def _copy(path, target):
    """Copies a file, unless a folder has its name already, or a file that of its folder."""
    with contextlib.suppress(*TWICE):
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.is_dir():
            shutil.copy2(path, target)


def _unzip_at(path, target, aside):
    """Unpacks a folder that was handed in as a .zip: videos.zip holds `videos/` or its files."""
    with tempfile.TemporaryDirectory(dir=aside) as folder:
        try:
            unzip(path, Path(folder))
        except ValueError:
            return  # it stays away, as the page will show
        inside = [*Path(folder).iterdir()]
        is_named = len(inside) == 1 and inside[0].is_dir() and inside[0].name == target.name
        top = inside[0] if is_named else Path(folder)
        for file in sorted(file for file in top.rglob("*") if file.is_file()):
            _copy(file, target / file.relative_to(top))
