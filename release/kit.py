"""What students get: files by an allow-list, a manifest, and a .zip that is the same every time."""

import hashlib
import json
import shutil
import zipfile
from pathlib import Path

import nbformat

from lesson.assignment import parse_assignment
from release import ReleaseError
from release.fit import problems
from release.students import make_students_notebook
from release.translated import translated

__all__ = ["ALLOWED", "build"]

ROOT = Path(__file__).parent.parent
NOTEBOOK = "a2c_assignment.ipynb"
MANIFEST = "manifest.json"
ALLOWED = [  # beside the notebook and the students' README; paths or patterns below ROOT
    *("LICENSE", "requirements.txt", "assignment.json", "atari_wrappers.py", "env_batch.py"),
    *("runners.py", "training/*.py", "lesson/*.py", "lesson/*.json"),
    *("languages/__init__.py", "tests/__init__.py", "tests/checks/*.py"),
    *("tests/checks/expected.npz", "grading/*.py"),
    "grading/requirements.txt",
    "img/reference/curve.png",
]
LARGEST = 1_000_000  # bytes of the .zip


def build(out, root=ROOT, language=None):
    """Writes the kit into a folder, and beside it as a .zip; returns the paths of both.

    Args:
        out: A folder; a kit that is there already is replaced.
        root: Where the solved notebook and the kit are.
        language: Of the kit; that of `assignment.json` by default.

    Raises:
        ReleaseError: If something would be released that must not be, or something else lies where
            the kit goes; nothing is written then.
    """
    files = _collect(Path(root), language)
    manifest = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    version = hashlib.sha256(json.dumps(manifest).encode()).hexdigest()[:12]
    text = json.dumps({"version": version, "files": manifest}, indent=1) + "\n"
    files[MANIFEST] = text.encode()
    folder, archive = Path(out) / "a2c", Path(out) / "a2c.zip"
    if folder.exists() and not (folder / MANIFEST).is_file():
        raise ReleaseError(f"{folder} holds something else: choose another folder")
    shutil.rmtree(folder, ignore_errors=True)
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    _write_zip(archive, files)
    return folder, archive


def _collect(root, language):
    """Returns {name: bytes} of all files of the kit, in order, once they are fit to be released."""
    solved = nbformat.read(root / NOTEBOOK, as_version=4)
    files = {path.relative_to(root).as_posix(): path.read_bytes() for path in _allowed(root)}
    files["README.md"] = (root / "release" / "students.md").read_bytes()
    students = make_students_notebook(solved)
    files[NOTEBOOK] = (nbformat.writes(students) + "\n").encode()
    assignment = parse_assignment(files["assignment.json"].decode(), "assignment.json")
    files = translated(files, language or assignment.language)
    if found := problems(files, NOTEBOOK, solved):
        raise ReleaseError("nothing was released:\n" + "\n".join(found))
    return dict(sorted(files.items()))


def _allowed(root):
    for pattern in ALLOWED:
        found = sorted(path for path in root.glob(pattern) if path.is_file())
        if not found:
            raise ReleaseError(f"{pattern} is in no file of {root}: the kit would lack it")
        yield from found


def _write_zip(archive, files):
    """Writes a .zip whose bytes depend on the files alone."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as bundle:
        for name, data in files.items():
            entry = zipfile.ZipInfo(f"a2c/{name}", date_time=(1980, 1, 1, 0, 0, 0))
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            bundle.writestr(entry, data)
    if archive.stat().st_size > LARGEST:
        size = archive.stat().st_size
        raise ReleaseError(f"{archive} has {size:,} bytes, expected at most {LARGEST:,}")
