"""What students get: files by an allow-list, a manifest, and a .zip that is the same every time."""

import hashlib
import json
import re
import shutil
import zipfile
from pathlib import Path

import nbformat

from release import ReleaseError
from release.leaks import find_leaks, fragments
from release.students import make_students_notebook, solutions

__all__ = ["ALLOWED", "build"]

ROOT = Path(__file__).parent.parent
NOTEBOOK = "a2c_assignment.ipynb"
MANIFEST = "manifest.json"
ALLOWED = [  # beside the notebook and the students' README; paths or patterns below ROOT
    *(
        "LICENSE",
        "requirements.txt",
        "assignment.json",
        "atari_wrappers.py",
        "env_batch.py",
        "runners.py",
    ),
    *(
        "training/*.py",
        "lesson/*.py",
        "lesson/reference_run.json",
        "tests/__init__.py",
        "tests/checks/*.py",
    ),
    *("tests/checks/expected.npz", "grading/*.py", "img/reference/curve.png"),
]
PLACE = re.compile(r"/(root|home|Users|work|tmp)/\w")  # a path of somebody's machine
LARGEST = 1_000_000  # bytes of the .zip


def build(out, root=ROOT):
    """Writes the kit into a folder, and beside it as a .zip; returns the paths of both.

    Args:
        out: A folder, made anew: what is in its subfolder `a2c` is replaced.
        root: Where the solved notebook and the kit are.

    Raises:
        ReleaseError: If something would be released that must not be; nothing is written then.
    """
    files = _collect(Path(root))
    manifest = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    version = hashlib.sha256(json.dumps(manifest).encode()).hexdigest()[:12]
    text = json.dumps({"version": version, "files": manifest}, indent=1) + "\n"
    files[MANIFEST] = text.encode()
    folder, archive = Path(out) / "a2c", Path(out) / "a2c.zip"
    shutil.rmtree(folder, ignore_errors=True)
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    _write_zip(archive, files)
    return folder, archive


def _collect(root):
    """Returns {name: bytes} of all files of the kit, in order, once they are fit to be released."""
    solved = nbformat.read(root / NOTEBOOK, as_version=4)
    students = make_students_notebook(solved)
    files = {path.relative_to(root).as_posix(): path.read_bytes() for path in _allowed(root)}
    files["README.md"] = (root / "release" / "students.md").read_bytes()
    files[NOTEBOOK] = (nbformat.writes(students) + "\n").encode()
    forbidden = fragments(
        one
        for cell in solved.cells
        if cell.cell_type == "code"
        for one in solutions(cell.source, cell.id)
    )
    problems = [*_leaks(files, students, forbidden), *_places_of_machines(files)]
    if problems:
        raise ReleaseError("nothing was released:\n" + "\n".join(problems))
    return dict(sorted(files.items()))


def _allowed(root):
    for pattern in ALLOWED:
        found = sorted(path for path in root.glob(pattern) if path.is_file())
        if not found:
            raise ReleaseError(f"{pattern} is in no file of {root}: the kit would lack it")
        yield from found


def _leaks(files, students, forbidden):
    """Yields a line for each trace of a solution in the files and the notebook's cells."""
    for name, data in files.items():
        if name.endswith(".py"):
            yield from find_leaks(name, data.decode(), forbidden)
    for cell in students.cells:
        if cell.cell_type == "code":
            source = re.sub(r"^[%!].*$", "", cell.source, flags=re.M)
            yield from find_leaks(f"{NOTEBOOK}, cell {cell.id}", source, forbidden)


def _places_of_machines(files):
    for name, data in files.items():
        if name.endswith((".py", ".md", ".txt", ".ipynb")):
            for number, line in enumerate(data.decode().splitlines(), 1):
                if found := PLACE.search(line):
                    yield f"{name}, line {number}: {found[0]} is a path of one machine"


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
