"""In which environments the released kit works: `python -m release.matrix [NAME ...]`.

Each is a new venv, one after the other, removed afterwards (several GB): the released .zip in an
empty folder, its doctor, the whole notebook with the solutions put back, and then the tests. What
came of it is kept in `release/matrix.json`, and shown by README.
"""

import argparse
import contextlib
import datetime
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from packaging.requirements import Requirement

from benchmarks import report
from release.kit import NOTEBOOK, ROOT, build
from release.students import filled

__all__ = ["ENVIRONMENTS", "RESULTS", "lowest", "render"]

RESULTS = ROOT / "release" / "matrix.json"
COLAB = "Colab's list"
ENVIRONMENTS = {  # name: Python
    "Python 3.10": "3.10",
    "Python 3.11": "3.11",
    "Python 3.12": "3.12",
    "Python 3.13": "3.13",
    "lowest versions": "3.10",
    COLAB: "3.13",
}
SHOWN = ("torch", "numpy", "gymnasium", "ale-py")
LIMIT = 3600  # seconds of a step
SHORT = {"A2C_MINUTES": "0.3", "A2C_CATCH_STEPS": "500", "MPLBACKEND": "agg"}
STAND_IN = {  # for what Colab's runtime brings; its kernel has imported google.colab already
    "sitecustomize.py": "import google.colab",
    "google/colab/__init__.py": "from google.colab import _message, drive, files",
    "google/colab/drive.py": "mount = print",
    "google/colab/files.py": """
import shutil
import signal

download = print

def upload():
    shutil.copy({archive!r}, "a2c.zip")
    return {{"a2c.zip": b""}}
""",
    "google/colab/_message.py": """
import json, pathlib

def blocking_request(name, timeout_sec=5):
    return {{"ipynb": json.loads(pathlib.Path({notebook!r}).read_text(encoding="utf-8"))}}
""",
}


def main(arguments=None):
    """Tries the environments that were asked for; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(ENVIRONMENTS))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # ends what runs, too
    names = parser.parse_args(arguments).names or list(ENVIRONMENTS)
    if unknown := set(names) - set(ENVIRONMENTS):
        parser.error(f"{min(unknown)} is no environment: expected {', '.join(ENVIRONMENTS)}")
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    for name in names:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as work:
            results[name] = _try(name, Path(work).resolve())
        print(json.dumps({name: results[name]}, indent=1), flush=True)
        ordered = {name: results[name] for name in ENVIRONMENTS if name in results}
        RESULTS.write_text(json.dumps(ordered, indent=1) + "\n", encoding="utf-8")
        report.fill(ROOT / "README.md", {"matrix": render(ordered)})
    return 0 if all(_passed(results[name]) for name in names) else 1


def render(results):
    """Returns README's table of what passed where."""
    if not results:
        return "None has been recorded yet."
    rows = [
        (
            name,
            result["python"],
            ", ".join(f"{package} {version}" for package, version in result["versions"].items()),
            "; ".join(f"{step}: {told}" for step, told in result["steps"].items()),
            result["date"],
        )
        for name, result in results.items()
    ]
    return report.table(["environment", "Python", "versions", "result", "date"], rows)


def _passed(result):
    return all(told.endswith("passed") for told in result["steps"].values())


# one environment


def _try(name, work):
    """Returns what came of one environment; a step that fails ends it."""
    commit = _output(["git", "rev-parse", "--short", "HEAD"], ROOT)
    result = {"date": str(datetime.date.today()), "commit": commit, "python": "", "versions": {}}
    result["steps"] = steps = {}
    if (base := _python(ENVIRONMENTS[name])) is None:
        return {**result, "steps": {"not tried": f"no Python {ENVIRONMENTS[name]} here"}}
    python = work / "venv" / "bin" / "python"
    _, archive = build(work / "release")
    try:
        for step, run in {
            "install": lambda: _install(name, base, work),
            "doctor": lambda: _doctor(python, archive, work) if name != COLAB else "passed",
            "notebook": lambda: _notebook(name, python, archive, work),
            "tests": lambda: _tests(name, python, work),
        }.items():
            began = time.monotonic()
            steps[step] = run()
            print(f"{name}, {step}: {steps[step]}, {time.monotonic() - began:.0f} s", flush=True)
    except subprocess.CalledProcessError as e:
        lines = [line for line in (e.stdout or "").splitlines() if line.strip()]
        print("\n".join(lines[-60:]), flush=True)
        steps[step] = f"failed: {lines[-1][:200] if lines else e}"
    with contextlib.suppress(subprocess.CalledProcessError, FileNotFoundError):
        result |= _versions(python)
    return result


def _versions(python):
    """Returns the versions of a venv's Python and of the packages that are SHOWN."""
    own = _output([python, "-c", "import platform as p; print(p.python_version())"])
    listed = json.loads(_output([python, "-m", "pip", "list", "--format=json"]))
    versions = {one["name"]: one["version"].split("+")[0] for one in listed}
    return {"python": own, "versions": {one: versions[one] for one in SHOWN if one in versions}}


def _install(name, base, work):
    """Makes the venv with what the environment's list names."""
    _output([base, "-m", "venv", work / "venv"])
    (work / "pins.txt").write_text("\n".join(_pins(name)) + "\n", encoding="utf-8")
    wanted = ROOT / ("release/colab.txt" if name == COLAB else "requirements.txt")
    _pip(work, "-r", wanted)
    _output([work / "venv" / "bin" / "python", "-m", "pip", "check"])
    return "passed"


def _pip(work, *words):
    pip = [work / "venv" / "bin" / "python", "-m", "pip", "install", "--quiet"]
    return _output([*pip, "-c", work / "pins.txt", *words])


def _pins(name):
    """Returns the versions that pip must keep to in an environment."""
    if name == "lowest versions":
        return lowest()
    if name == COLAB:
        lines = (ROOT / "release" / "colab.txt").read_text(encoding="utf-8").splitlines()
        return [line for line in lines if "==" in line]
    return []


def lowest():
    """Returns each package of requirements.txt at the lowest version that it admits."""
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    stripped = (line.split("#")[0].strip() for line in lines)
    requirements = [Requirement(line) for line in stripped if line]
    return [
        f"{one.name}=={bound.version}"
        for one in requirements
        for bound in one.specifier
        if bound.operator == ">="
    ]


def _doctor(python, archive, work):
    """Asks the doctor of the unpacked kit whether something must be mended."""
    shutil.unpack_archive(archive, work / "unpacked")
    _output([python, "-m", "lesson.doctor"], work / "unpacked" / "a2c")
    return "passed"


def _notebook(name, python, archive, work):
    """Runs the released notebook with its solutions put back, and checks it."""
    folder = work / "alone" if name == COLAB else work / "unpacked" / "a2c"
    folder.mkdir(exist_ok=True)
    students = nbformat.read(work / "release" / "a2c" / NOTEBOOK, as_version=4)
    book = filled(students, nbformat.read(ROOT / NOTEBOOK, as_version=4))
    nbformat.write(book, folder / NOTEBOOK)
    environment = {**SHORT, "A2C_OUT": str(work / "out")}
    if name == COLAB:
        _write_stand_in(work / "stand-in", archive, folder / NOTEBOOK)
        environment["PYTHONPATH"] = str(work / "stand-in")
        environment["A2C_DRIVE"] = str(work / "drive")
    command = [python, "-m", "nbconvert", "--to", "notebook", "--execute", "--output", "run.ipynb"]
    _output([*command, "--ExecutePreprocessor.timeout=1200", NOTEBOOK], folder, environment)
    check = [python, "-m", "grading", "check", folder / "run.ipynb"]
    told = _output(check, folder / "a2c" if name == COLAB else folder)
    if name == COLAB and not list((work / "drive").rglob("checkpoint-*.pt")):
        raise subprocess.CalledProcessError(1, check, "the drive holds no copy of the run")
    return "passed" if told.count(": passed") == 5 else told


def _write_stand_in(folder, archive, notebook):
    (folder / "google" / "colab").mkdir(parents=True)
    for name, text in STAND_IN.items():
        text = text.format(archive=str(archive), notebook=str(notebook))
        (folder / name).write_text(text, encoding="utf-8")


def _tests(name, python, work):
    """Runs the quick tests in a clone; returns how many passed."""
    _output(["git", "clone", "--quiet", ROOT, work / "clone"])
    _pip(work, "-r", ROOT / "requirements.txt", "-r", ROOT / "tests" / "requirements.txt")
    told = _output([python, "-m", "pytest", "-q"], work / "clone")
    return told.strip().splitlines()[-1].split(" in ")[0].strip("= ")


# processes


def _python(version):
    """Returns the path of a Python, found on the path or by pyenv; None where there is none."""
    if (path := shutil.which(f"python{version}")) and not subprocess.call(
        [path, "-c", ""], stderr=subprocess.DEVNULL
    ):
        return path
    if pyenv := shutil.which("pyenv"):
        for name in _output([pyenv, "versions", "--bare"]).split():
            if name.startswith(f"{version}."):
                return Path(_output([pyenv, "prefix", name])) / "bin" / "python"
    return None


def _output(command, folder=None, environment=()):
    """Returns what a program printed, both streams; raises CalledProcessError if it fails."""
    programs = f"{Path(command[0]).parent}{os.pathsep}{os.environ['PATH']}"
    kept = {
        k: v for k, v in os.environ.items() if k not in ("VIRTUAL_ENV", "PYTHONPATH", "DISPLAY")
    }
    done = subprocess.run(
        [*map(str, command)],
        cwd=folder,
        env={**kept, "PATH": programs, **dict(environment)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=LIMIT,
        check=True,
    )
    return done.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
