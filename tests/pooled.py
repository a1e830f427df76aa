"""What the tests let processes do, in a module that is loaded quickly."""

import os
import signal
import subprocess
import sys
import time

from grading.watched import MARK

__all__ = ["break_off", "cannot", "die", "lack", "note", "on_node", "wait_beside_a_process"]

IDLE = [sys.executable, "-I", "-c", "import time; time.sleep(60)"]


def note(task, tell, folder):
    """Leaves the number of the process that did a task."""
    tell(f"{task} goes on")
    time.sleep(0.3)
    (folder / task).write_text(str(os.getpid()))


def break_off(task, tell, folder):
    """Ends its process: at the first try, or at each."""
    tried = folder / task
    with open(tried, "a") as file:
        file.write("x")
    if task == "always" or (task == "once" and tried.read_text() == "x"):
        os.kill(os.getpid(), signal.SIGKILL)


def wait_beside_a_process(task, tell, folder):
    """Starts a process as `watched` does, and waits in vain."""
    mark = f"{os.getpid()}-0123"
    ways = dict(start_new_session=True, stderr=subprocess.DEVNULL)
    other = subprocess.Popen(IDLE, env={**os.environ, MARK: mark}, **ways)
    (folder / task).write_text(f"{os.getpid()} {other.pid}")
    try:
        if task == "dies":
            while len([*folder.iterdir()]) < 2:
                time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(60)
    finally:
        other.kill()


def on_node(task):
    """Takes a moment; returns the task, and where it was done, by which code."""
    import ray

    time.sleep(1.5)
    return task, ray.get_runtime_context().get_node_id(), __file__


def cannot(task):
    raise ImportError("no such module here")


def lack(task):
    from grading.marking.cluster import ClusterError

    raise ClusterError(f"no {task} on the node") from ImportError("no such module here")


def die(task):
    os.kill(os.getpid(), signal.SIGKILL)
