"""A JupyterLab that ends with its block, and a notebook in it as a student sees and writes it."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

__all__ = ["Notebook", "jupyterlab"]

PANEL = "[...(window.jupyterapp?.shell.widgets('main') ?? [])][0]"
FIND = f"""
const book = {PANEL}.content;
const at = book.widgets.findIndex((cell) => cell.model.id === id);
const cell = book.widgets[at];
"""
SHOW = """
await book.scrollToItem(at, "start");
await cell.ready;
"""
FOCUS = f"""
book.activeCellIndex = at;
{SHOW}
book.mode = "edit";
cell.editor.focus();
"""
FOLDERS = ("CONFIG_DIR", "DATA_DIR", "RUNTIME_DIR")  # where Jupyter keeps things of its user
PATIENCE = 60  # seconds for anything to happen


@contextlib.contextmanager
def jupyterlab(folder, python=sys.executable, **environment):
    """Yields the address of a new JupyterLab; server, kernels and their programs end with it.

    Args:
        folder: What it shows.
        python: The interpreter of server and kernels.
        environment: Variables that they get beside those of this process.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as own:
        variables = {f"JUPYTER_{name}": str(Path(own, name)) for name in FOLDERS}
        variables |= {"IPYTHONDIR": own, **environment}
        options = ["--no-browser", "--allow-root", "--port=0", "--expose-app-in-browser"]
        with Path(own, "log").open("wb") as log:
            process = subprocess.Popen(
                [python, "-m", "jupyterlab", *options],
                **dict(cwd=folder, env=os.environ | variables, stdout=log, stderr=log),
            )
            try:
                yield _address(Path(own), process)
            finally:
                _end(psutil.Process(process.pid))
                process.wait()


def _address(own, process):
    """Returns where a server listens, once it does."""
    limit = time.monotonic() + PATIENCE
    told = ""
    while not told.strip().endswith("}"):
        alive = process.poll() is None and time.monotonic() < limit
        assert alive, f"JupyterLab does not start:\n{(own / 'log').read_text()}"
        time.sleep(0.05)
        told = "".join(file.read_text() for file in own.glob("RUNTIME_DIR/jpserver-*.json"))
    server = json.loads(told)
    return f"http://127.0.0.1:{server['port']}/lab?token={server['token']}"


def _end(server):
    """Ends a server, and whatever has begun in it and outlives it."""
    begun = server.children(recursive=True)
    server.terminate()
    psutil.wait_procs([server], PATIENCE)
    for process in psutil.wait_procs([server, *begun], 5)[1]:
        process.kill()


class Notebook:
    """The notebook that a JupyterLab shows in a Page; a cell is named by its id."""

    def __init__(self, page, address, name):
        """Opens a notebook and waits for its kernel."""
        self.page = page
        page.open(address.replace("/lab?", f"/lab/tree/{name}?"), width=1300)
        page.call("Emulation.setFocusEmulationEnabled", enabled=True)
        self.wait(f"{PANEL}?.content?.widgets?.length > 1")
        self.wait(f"{PANEL}.sessionContext.session?.kernel?.status === 'idle'")

    def wait(self, expression, seconds=PATIENCE):
        """Waits until a JavaScript expression is true."""
        limit = time.monotonic() + seconds
        while not self.page.evaluate(f"Boolean({expression})"):
            assert time.monotonic() < limit, f"not within {seconds} seconds: {expression}"
            time.sleep(0.1)

    def ask(self, cell, script):
        """Returns what a script returns that knows `cell`, the `book` around it, and its place."""
        return self.page.evaluate(f"(async (id) => {{ {FIND} {script} }})({json.dumps(cell)})")

    def write(self, cell, source):
        """Types a source in place of a cell's own."""
        self.ask(cell, FOCUS)
        self.page.press("a", held="Control")
        self.page.type(source)

    def run(self, cell, seconds=PATIENCE):
        """Runs a cell by Shift and Enter; returns the text that appears below it."""
        self.ask(cell, FOCUS + "cell.model.executionCount = null;")
        self.page.press("Enter", held="Shift")
        return self.output(cell, seconds)

    def output(self, cell, seconds=PATIENCE):
        """Waits until a cell has run; returns the text below it."""
        limit = time.monotonic() + seconds
        while not self.ask(cell, "return cell.model.executionCount"):
            assert time.monotonic() < limit, f"{cell} does not end within {seconds} seconds"
            time.sleep(0.1)
        return self.ask(cell, SHOW + "return cell.outputArea.node.innerText")

    def error(self, cell):
        """Returns the name of the exception with which a cell has ended, None without one."""
        script = "return cell.model.outputs.toJSON().find((output) => output.ename)?.ename"
        return self.ask(cell, script)
