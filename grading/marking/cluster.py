"""Work on the nodes of a Ray cluster: the code goes there, and what comes back is kept here.

Ray is needed where `--ray` is given, and nowhere else: grading/ray.txt. A node needs the kit's
requirements and a wall of its own; it is sent the code without runs, pictures and hand-ins.
"""

import collections
import contextlib
import datetime
import os
import re
import shutil
import socket
import tempfile
from pathlib import Path

from grading.marking.evidence import gather
from grading.marking.shelf import take_in
from grading.sandbox import NoWall, find_wall
from grading.unpack import modules_beside
from grading.verdicts import on_one_line
from languages import _, chosen

__all__ = ["ClusterError", "each", "graded"]

ROOT = Path(__file__).parents[2]
CODE = (
    *("*.py", "assignment.json", "a2c_assignment.ipynb", "requirements.txt", "benchmarks/*"),
    *("training/*.py", "lesson/*", "languages/*", "tests/*.py", "tests/checks/*", "grading/**/*"),
)
TRIES = 3  # of a task whose node or process dies
SPARE = 2  # tasks under way beside one on each core, so that none waits for what it needs
LINE = 500  # characters of a problem


class ClusterError(ValueError):
    """The cluster cannot be used; the message says why, and the mend."""


def graded(paths, folders, course, address, begins):
    """Grades hand-ins on a cluster; arguments and errors as in `each`.

    Args:
        paths: Of hand-ins.
        folders: {path: the folder of its evidence}.
        course: An `evidence.Course`; each node puts up its own wall.
        address: Of the cluster.
        begins: Takes the path of each when it is sent.

    Yields:
        (path, problem) when the evidence of one is on the shelf, or why there is none.
    """

    def given(path):
        return path.name, _files(path), course._replace(wall=None)

    sent = [path for path in paths if _is_readable(path)]
    for path in sorted({*paths} - {*sent}):
        begins(path)
        gather(path, folders[path], course)  # which tells why it cannot be read
        yield path, ""
    with contextlib.closing(each(_grade, sent, given, address, begins)) as running:
        for path, files, problem in running:
            if not problem:
                take_in(folders[path], files)
            yield path, problem


def each(work, tasks, given, address, begins):
    """Does work on each of some tasks, on all cores of a cluster.

    Close the generator, or leave it to its end: what is under way ends with it.

    Args:
        work: A function of one of the kit's modules.
        tasks: In the order in which they begin.
        given: Takes a task and returns the arguments for `work`.
        address: "auto" on a node of the cluster, or HOST:PORT of its head.
        begins: Takes a task when it is sent.

    Yields:
        (task, result, problem) as each ends; where the node or the process died at every try, or
        what `work` is given could not be read, there is no result, and the problem is a line.

    Raises:
        ClusterError: If the cluster cannot be reached, or a node cannot do the work.
    """
    if not tasks:
        return  # the cluster may be gone by now
    ray = _ray()
    with _connected(ray, address):
        yield from _done(ray, work, tasks, given, begins)


def _done(ray, work, tasks, given, begins):
    """Yields what `each` yields, on a cluster that was joined."""
    there = ray.remote(num_cpus=1, max_retries=0)(work)  # Ray has no end where memory was full
    waiting, tries, sent = list(reversed(tasks)), collections.Counter(), {}
    try:
        while waiting or sent:
            while waiting and len(sent) < _cores(ray) + SPARE:
                task = waiting.pop()
                if not tries[task]:
                    begins(task)
                tries[task] += 1
                try:
                    arguments = given(task)
                except OSError as e:  # a file has gone meanwhile
                    yield task, None, _line(e)
                else:
                    sent[there.remote(*arguments)] = task
            for ended in ray.wait([*sent], num_returns=1)[0] if sent else []:
                task = sent.pop(ended)  # Ray ends this process where it is cancelled below
                result, problem = _result(ray, ended)
                if problem and tries[task] < TRIES:
                    waiting.append(task)
                else:
                    yield task, result, problem
    finally:
        for one in sent:
            ray.cancel(one, force=True)


def _ray():
    try:
        import ray
    except ImportError as e:
        text = _("--ray needs Ray: python -m pip install -r grading/ray.txt")
        raise ClusterError(text) from e
    return ray


@contextlib.contextmanager
def _connected(ray, address):
    """Joins a cluster for a while, with the kit's code on its nodes."""
    quiet = dict(log_to_driver=False, logging_level="ERROR")
    with tempfile.TemporaryDirectory() as code:
        _copy_code(Path(code))
        own = {"A2C_LANGUAGE": str(chosen()), "TZ": "UTC"}  # a zone without a missing hour
        needed = {"working_dir": code, "env_vars": own}
        try:
            ray.init(address=address, runtime_env=needed, **quiet)
        except (ConnectionError, RuntimeError, ValueError) as e:
            text = _(
                "the cluster {address} cannot be used ({error}): run this on one of its nodes, "
                "with the same Python and Ray, and with its token"
            )
            error = on_one_line(str(e))[:LINE]
            raise ClusterError(text.format(address=address, error=error)) from e
        try:
            yield
        finally:
            ray.shutdown()


def _copy_code(into):
    for pattern in CODE:
        for path in ROOT.glob(pattern):
            place = path.relative_to(ROOT)
            if path.is_file() and "__pycache__" not in place.parts:
                (into / place).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(path, into / place)


def _cores(ray):
    return int(ray.cluster_resources().get("CPU", 1))


def _result(ray, ended):
    """Returns what a task gave, and why there is nothing.

    Raises:
        ClusterError: If a node cannot do such work at all.
    """
    errors = ray.exceptions
    try:
        return ray.get(ended), ""
    except (errors.RayTaskError, errors.RuntimeEnvSetupError) as e:
        if isinstance(cause := getattr(e, "cause", None), ClusterError):
            raise ClusterError(str(cause)) from e
        text = _("a node of the cluster cannot do its work: {error}")
        if at := re.search(r"\bip=([^\s,)]+)", str(e)):  # which Ray says of a task that raised
            text = _("the node {node} of the cluster cannot do its work: {error}")
        lines, node = str(e).strip().splitlines(), at and at[1]
        raise ClusterError(text.format(node=node, error=on_one_line(lines[-1])[:LINE])) from e
    except errors.RayError as e:
        return None, _line(e)


def _line(error):
    return f"{type(error).__name__}: {on_one_line(str(error))}"[:LINE]


# a hand-in


def _files(path):
    """Returns {name: (bytes, local time of change)} of a hand-in and the modules beside it."""
    local, files = datetime.datetime.fromtimestamp, [path, *modules_beside(path)]
    return {one.name: (one.read_bytes(), local(one.stat().st_mtime)) for one in files}


def _is_readable(path):
    """Says whether all files of a hand-in can be read here."""
    return all(os.access(one, os.R_OK) for one in (path, *modules_beside(path)))


def _grade(name, files, course):
    """Grades a hand-in on a node; returns {name: bytes} of the evidence's files."""
    course = course._replace(wall=_wall())
    with tempfile.TemporaryDirectory() as folder:
        given, into = Path(folder, "given"), Path(folder, "evidence")
        given.mkdir()
        for file, (data, changed) in files.items():
            (given / file).write_bytes(data)
            os.utime(given / file, (changed.timestamp(),) * 2)  # the same time by the node's clock
        gather(given / name, into, course)
        return {path.name: path.read_bytes() for path in into.iterdir()}


def _wall():
    """Returns the wall of this node.

    Raises:
        ClusterError: If there is none.
    """
    try:
        return find_wall()
    except NoWall as e:
        text = _(
            "no wall works on the node {node} ({tried}): install bubblewrap on each node, and "
            "allow it there"
        )
        tried = on_one_line("; ".join(e.tried))[:LINE]
        raise ClusterError(text.format(node=socket.gethostname(), tried=tried)) from e
