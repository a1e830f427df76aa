"""Hand-ins are graded on a cluster of two nodes, both on this machine, as they are without it."""

import contextlib
import datetime
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from unittest import mock

import nbformat
import pytest

from benchmarks import study
from grading import unpack
from grading.__main__ import main
from grading.marking import cluster
from grading.marking import grade as grading
from grading.marking.cluster import ClusterError, each
from grading.marking.evidence import Course
from grading.marking.grade import grade
from grading.marking.shelf import read_evidence
from grading.sandbox import NO_WALL, NoWall, Wall, find_wall, strongest
from tests import hand_ins, pooled

ROOT = Path(__file__).parent.parent
TOKEN = "0123456789abcdef0123456789abcdef"
PORTS = ("metrics_agent_port", "metrics_export_port")
PORTS += ("dashboard_agent_listen_port", "runtime_env_agent_port")
BROKEN = Wall(
    "bubblewrap", lambda command, read, write: ["sh", "-c", "echo no such thing >&2; false"]
)
NODE = dict(num_cpus=1, object_store_memory=100 * 2**20)
NODE |= dict(include_dashboard=False, include_log_monitor=False, no_monitor=True)  # start sooner


# without a cluster


def test_nodes_are_sent_the_code_and_no_run_and_no_hand_in(tmp_path, monkeypatch):
    for name in ("grading/x.py", "grading/marking/templates/a.html", "runners.py"):
        (tmp_path / "kit" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "kit" / name).write_text(name)
    for name in ("logs/run/events", "in/ada.zip", "weights.pt", "grading/__pycache__/x.pyc"):
        (tmp_path / "kit" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "kit" / name).write_text(name)
    monkeypatch.setattr(cluster, "ROOT", tmp_path / "kit")
    cluster._copy_code(tmp_path / "sent")
    sent = [path.relative_to(tmp_path / "sent").as_posix() for path in tmp_path.rglob("sent/**/*")]
    files = [name for name in sent if (tmp_path / "sent" / name).is_file()]
    assert sorted(files) == ["grading/marking/templates/a.html", "grading/x.py", "runners.py"]


def test_the_code_for_nodes_is_small(tmp_path):
    cluster._copy_code(tmp_path)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert (tmp_path / "grading" / "marking" / "cluster.py") in files
    assert sum(path.stat().st_size for path in files) < 20e6  # bytes; Ray takes 512 MiB


def test_a_notebook_goes_with_the_modules_beside_it_and_their_times(tmp_path):
    for name in ("a.ipynb", "b.zip", "runners.py"):
        (tmp_path / name).write_text(name)
        os.utime(tmp_path / name, (5, 7))
    then = datetime.datetime.fromtimestamp(7)
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "dangling.py").symlink_to(tmp_path / "nowhere")
    assert cluster._files(tmp_path / "a.ipynb") == {
        "a.ipynb": (b"a.ipynb", then),
        "runners.py": (b"runners.py", then),
    }
    assert cluster._files(tmp_path / "b.zip") == {"b.zip": (b"b.zip", then)}


@pytest.fixture
def zone(monkeypatch):
    """Changes this process's time zone."""

    def change(name):
        monkeypatch.setenv("TZ", name)
        time.tzset()

    yield change
    monkeypatch.undo()
    time.tzset()


def test_a_notebook_was_packed_at_the_graders_time_on_a_node_in_another_zone(
    zone, tmp_path, monkeypatch
):
    def gather(path, folder, course):
        folder.mkdir()
        packed = datetime.datetime.fromtimestamp(path.stat().st_mtime)
        (folder / "packed").write_text(packed.isoformat())

    monkeypatch.setattr(cluster, "gather", gather)
    monkeypatch.setattr(cluster, "find_wall", lambda: NO_WALL)
    (tmp_path / "a.ipynb").write_text("")
    os.utime(tmp_path / "a.ipynb", (0, 0))
    zone("JST-9")
    files = cluster._files(tmp_path / "a.ipynb")
    zone("PST8")
    told = cluster._grade("a.ipynb", files, Course(None))
    assert told == {"packed": b"1970-01-01T09:00:00"}


def test_a_hand_in_that_cannot_be_read_is_told_of_here_and_sent_nowhere(tmp_path, monkeypatch):
    (tmp_path / "in").mkdir()
    for name in ("a.ipynb", "m.py"):
        (tmp_path / "in" / name).write_text(name)
    monkeypatch.setattr(cluster.os, "access", lambda path, mode: Path(path).name != "m.py")
    monkeypatch.setattr(unpack.shutil, "copy2", lambda path, into: open(path / "refused"))
    monkeypatch.setattr(cluster, "each", lambda work, tasks, *ways: (one for one in tasks))
    monkeypatch.setattr(grading, "read_reference", lambda shelf, course: {})
    (entry,), _left = grade([tmp_path / "in"], tmp_path / "out", Course(NO_WALL), ray="auto")
    assert entry.evidence["problem"].startswith("this program failed at it")


def test_without_ray_it_is_said_where_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ClusterError, match="pip install -r grading/ray.txt"):
        next(each(pooled.cannot, ["a"], lambda task: (task,), "auto", print))


def test_a_task_that_failed_is_not_cancelled_as_the_others_are(monkeypatch):
    def fails(ray, ended):
        raise ClusterError("no such module here")

    ray, cancelled = mock.Mock(), []
    ray.remote.return_value.return_value.remote = str
    ray.wait = lambda sent, num_returns: (sent[:1], sent[1:])
    ray.cancel = lambda one, force: cancelled.append(one)
    ray.cluster_resources.return_value = {"CPU": 1}
    monkeypatch.setattr(cluster, "_ray", lambda: ray)
    monkeypatch.setattr(cluster, "_connected", lambda *given: contextlib.nullcontext())
    monkeypatch.setattr(cluster, "_result", fails)
    with pytest.raises(ClusterError):
        next(each(pooled.cannot, ["a", "b", "c"], lambda task: (task,), "auto", print))
    assert cancelled == ["b", "c"]


class Lost(Exception):
    """Stands for Ray's errors where a node or process died, a memory was full, an object lost."""


class Raised(Exception):
    """Stands for Ray's error of a task that raised."""


@pytest.fixture
def ended(monkeypatch):
    """A cluster of one core in which each try of a task ends as the next of its list says."""
    ray, ends = mock.Mock(), {}
    ray.remote.return_value.return_value.remote = lambda task: (task, object())
    ray.wait = lambda sent, num_returns: (sent[:1], sent[1:])
    ray.get.side_effect = lambda one: end(ends[one[0]].pop(0))
    ray.cluster_resources.return_value = {"CPU": 1}
    ray.exceptions = mock.Mock(RayTaskError=Raised, RuntimeEnvSetupError=Raised, RayError=Lost)
    monkeypatch.setattr(cluster, "_ray", lambda: ray)
    monkeypatch.setattr(cluster, "_connected", lambda *given: contextlib.nullcontext())
    ends["ray"] = ray
    return ends


def end(how):
    if isinstance(how, Exception):
        raise how
    return how


def test_what_a_node_lost_is_sent_again_twice_and_then_given_up(ended):
    """Ray itself would send what fills a node's memory again, for ever."""
    full, begun = Lost("Task was killed\ndue to the node running low on memory"), []
    ended |= {"a": [1], "b": [full] * 9, "c": [full, full, 3]}
    told = sorted(each(pooled.cannot, ["a", "b", "c"], lambda task: (task,), "auto", begun.append))
    problem = "Lost: Task was killed due to the node running low on memory"
    assert told == [("a", 1, ""), ("b", None, problem), ("c", 3, "")]
    assert (begun, len(ended["b"])) == (["a", "b", "c"], 9 - 3)
    assert ended["ray"].remote.call_args.kwargs["max_retries"] == 0


@pytest.mark.parametrize("gone", ["a", "b", "c", "abc"])
def test_a_file_that_has_gone_is_told_of_and_the_others_are_done(gone, ended):
    def given(task):
        return (end(FileNotFoundError("no such file") if task in gone else task),)

    ended |= {task: [1] for task in "abc"}
    told = sorted(each(pooled.cannot, ["a", "b", "c"], given, "auto", print))
    lost = (None, "FileNotFoundError: no such file")
    assert told == [(task, *(lost if task in gone else (1, ""))) for task in "abc"]


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("ray::f() (pid=7, ip=10.0.0.5)\n  File x\nImportError: no y", "the node 10.0.0.5 of the"),
        ("Failed to set up.\nImportError: no y", "a node of the"),
    ],
)
def test_a_node_that_cannot_do_its_work_is_named_where_ray_names_it(said, told, ended):
    ended["a"] = [Raised(said)]
    with pytest.raises(ClusterError) as raised:
        next(each(pooled.cannot, ["a"], lambda task: (task,), "auto", print))
    assert str(raised.value) == f"{told} cluster cannot do its work: ImportError: no y"


def test_where_nothing_is_left_to_do_no_cluster_is_needed(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    assert not [*each(pooled.cannot, [], lambda task: (task,), "auto", print)]


def test_a_cluster_without_walls_is_refused(tmp_path, capsys):
    call = ["grade", str(tmp_path), "--out", str(tmp_path / "out"), "--ray", "auto"]
    with pytest.raises(SystemExit) as left:
        main([*call, "--unsafe-no-sandbox"])
    assert left.value.code == 2 and "--ray needs a wall on each node" in capsys.readouterr().err


def test_a_node_without_a_wall_is_named_with_what_to_do_there(monkeypatch):
    monkeypatch.setattr(cluster, "find_wall", lambda: strongest([BROKEN]))
    with pytest.raises(ClusterError) as raised:
        cluster._grade("a.rar", {}, Course(None))
    told = f"no wall works on the node {socket.gethostname()} (bubblewrap: no such thing): "
    assert str(raised.value) == told + "install bubblewrap on each node, and allow it there"


# on one


@pytest.fixture(scope="module")
def nodes():
    """A cluster that asks for a token, with a head and another node of one core each."""
    if not find_spec("ray"):
        pytest.skip("Ray is not here: pip install -r grading/ray.txt")
    environment = dict(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=TOKEN)
    environment |= dict(RAY_raylet_start_wait_time_s="120", RAY_USAGE_STATS_ENABLED="0")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        from ray.cluster_utils import Cluster  # reads the environment once

        made = two_nodes(Cluster)
        yield made
        made.shutdown()


def two_nodes(make, tries=6):
    """Returns a cluster; a node's parts have 15 s to start, which is short beside other work."""
    for left in reversed(range(tries)):
        made = make()
        try:
            for _ in range(2):
                made.add_node(**NODE, **free_ports())
            return made
        except Exception:  # Ray has no class for it
            made.shutdown()
            if not left:
                raise


def free_ports():
    """Ports for each service of a node: one that seeks its own for 15 s gives up."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _name in PORTS]
        for one in sockets:
            one.bind(("", 0))
        return {name: one.getsockname()[1] for name, one in zip(PORTS, sockets, strict=True)}


@pytest.fixture
def wall():
    try:
        return find_wall()
    except NoWall:
        pytest.skip("no wall works here")


def done(nodes, work, tasks, begins=print, ended=lambda *one: None):
    """What `each` yields on a cluster, sorted."""
    found = []
    ways = lambda task: (task,), nodes.address, begins  # noqa: E731
    with contextlib.closing(each(work, tasks, *ways)) as running:
        for one in running:
            found.append(one)
            ended(*one)
    return sorted(found)


@pytest.mark.slow
def test_tasks_are_done_on_all_nodes_by_the_code_that_was_sent_few_at_a_time(nodes):
    begun, under_way = [], []
    told = done(
        nodes,
        pooled.on_node,
        tasks := [f"{k}" for k in range(8)],
        begun.append,
        lambda *one: under_way.append(len(begun)),
    )
    assert [task for task, (_same, *_rest), _problem in told] == tasks == begun
    assert len({node for _task, (_same, node, _file), _problem in told}) == 2
    assert not [one for one in told if one[1][2] == pooled.__file__]
    assert under_way == [4, 5, 6, 7, 8, 8, 8, 8]  # a task on each core, and two


@pytest.mark.slow
def test_a_task_that_a_node_cannot_do_stops_all(nodes):
    with pytest.raises(ClusterError) as raised:
        done(nodes, pooled.cannot, ["a"])
    told = r"the node [\d.]+ of the cluster cannot do its work: ImportError: no such module here"
    assert re.fullmatch(told, str(raised.value))


@pytest.mark.slow
def test_what_a_node_says_of_itself_is_told_as_it_is(nodes):
    with pytest.raises(ClusterError) as raised:
        done(nodes, pooled.lack, ["a"])
    assert str(raised.value) == "no a on the node"


@pytest.mark.slow
def test_a_run_of_the_study_that_fails_on_a_node_is_told_of(nodes):
    ((run, _figures, problem),) = study.on_cluster([("no such choice", 1)], nodes.address)
    assert run == ("no such choice", 1) and "returned non-zero exit status 1" in problem


@pytest.mark.slow
def test_a_task_whose_process_dies_at_every_try_has_a_problem(nodes):
    ((task, result, problem),) = done(nodes, pooled.die, ["a"])
    assert (task, result) == ("a", None) and problem.startswith("WorkerCrashedError: ")


@pytest.mark.slow
def test_without_the_token_no_one_gets_in(nodes):
    code = "from grading.marking import cluster; from tests import pooled\n"
    code += f"list(cluster.each(pooled.on_node, ['a'], list, '{nodes.address}', print))"
    environment = {**os.environ, "RAY_AUTH_TOKEN": "another" * 5}
    ways = dict(cwd=ROOT, env=environment, capture_output=True, text=True)
    ended = subprocess.run([sys.executable, "-c", code], **ways)
    assert ended.returncode == 1
    assert "ClusterError: the cluster" in ended.stderr and "with its token" in ended.stderr


def spy(path, address):
    """A notebook that says what it sees of the cluster."""
    host, port = address.split(":")
    source = f"""
        import os, socket
        found = [name for name in os.environ if "RAY" in name or "TOKEN" in name]
        try:
            socket.create_connection(("{host}", {port}), 5)
            found.append("the network")
        except OSError:
            pass
        class NatureModel:
            def __init__(self, *given):
                raise ValueError(f"seen: {{found}}")
        model = NatureModel(6)"""
    lines = [line.removeprefix(" " * 8) for line in source.strip("\n").splitlines()]
    cell = nbformat.v4.new_code_cell("\n".join(lines))
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), path)


@pytest.mark.slow
def test_evidence_from_nodes_is_that_from_here_byte_for_byte(
    nodes, wall, zone, tmp_path, monkeypatch
):
    zone("JST-9")
    monkeypatch.setattr(grading, "read_reference", lambda shelf, course: {})
    (tmp_path / "in").mkdir()
    hand_ins.write_class(tmp_path / "in", ["honest", "rar"])
    spy(tmp_path / "in" / "spy.ipynb", nodes.address)
    course, held = Course(wall, games=1, secret="0123", threads=1), {}
    for name, ways in (("here", {}), ("there", {"ray": nodes.address})):
        entries, left = grade([tmp_path / "in"], tmp_path / name, course, **ways)
        assert len(entries) == 3 and not left
        held[name] = files_of(tmp_path / name / "evidence")
    assert len(entries[0].evidence["replay"]["sampled"]["scores"]) == 1
    assert held["here"].keys() == held["there"].keys() and len(held["here"]) > 12
    assert not [file for file, data in held["here"].items() if held["there"][file] != data]
    seen = [json.dumps(entry.evidence.get("checks", {})) for entry in entries]
    assert [text.count("seen: []") > 0 for text in seen] == [False, False, True]


def files_of(folder):
    """{name: bytes} of evidence, without the seconds that each part took."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "seconds.json"]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


DRIVER = """
import sys
from pathlib import Path
from grading.marking import grade as grading
from grading.marking.evidence import Course
from grading.sandbox import find_wall
if __name__ == "__main__":
    grading.read_reference = lambda shelf, course: {}
    paths = [Path(sys.argv[1])], Path(sys.argv[2])
    grading.grade(*paths, Course(find_wall()), tell=print, ray=sys.argv[3])
"""


@pytest.mark.slow
def test_a_driver_that_is_killed_goes_on(nodes, wall, tmp_path, monkeypatch):
    monkeypatch.setattr(grading, "read_reference", lambda shelf, course: {})
    (tmp_path / "in").mkdir()
    for k in range(300):
        (tmp_path / "in" / f"{k}.rar").write_text(f"{k}")
    (tmp_path / "driver.py").write_text(DRIVER)
    given = [str(tmp_path / "in"), str(tmp_path / "out"), nodes.address]
    ways = dict(env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.DEVNULL)
    with subprocess.Popen([sys.executable, str(tmp_path / "driver.py"), *given], **ways) as driver:
        while driver.poll() is None and complete(tmp_path / "out") < 10:
            time.sleep(0.05)
        driver.send_signal(signal.SIGKILL)
    kept, told = complete(tmp_path / "out"), []
    assert 10 <= kept < 300
    paths = [tmp_path / "in"], tmp_path / "out"
    entries, left = grade(*paths, Course(wall), tell=told.append, ray=nodes.address)
    assert (told[0], len(entries), left) == (f"300 hand-ins, {300 - kept} to be graded", 300, [])


def complete(out):
    return sum(read_evidence(folder) is not None for folder in (out / "evidence").glob("*"))


@pytest.mark.slow
def test_what_a_lost_node_did_is_done_by_another(nodes):
    """The last test, as it takes the second node away, in the middle of a task there."""
    (other,) = [node for node in nodes.list_all_nodes() if node is not nodes.head_node]
    where, before = [], []

    def lose(task, result, problem):
        where.append(result[1])
        if not before and len({*where}) == 2:
            before.append(len(where))
            nodes.remove_node(other, allow_graceful=False)

    tasks = [f"{k}" for k in range(8)]
    told = done(nodes, pooled.on_node, tasks, ended=lose)
    assert [(result[0], problem) for _task, result, problem in told] == [(t, "") for t in tasks]
    assert len({*where}) == 2 and {*where[before[0] :]} == {nodes.head_node.node_id}
