"""What a student sees in JupyterLab: checks that fail and pass, and a video that plays."""

import pytest

from release import kit
from tests import notebook
from tests.browser import CHROMIUM, browser
from tests.jupyterlab import Notebook, jupyterlab

pytestmark = pytest.mark.slow
BEFORE = ("start-files", "start-imports", "settings-cell", "environment-make")
SOLVED = notebook.cells(notebook.read())
PLAY = """
const video = cell.outputArea.node.querySelector("video");
await video.play();
while (video.currentTime < 0.5) await new Promise((done) => setTimeout(done, 20));
return [video.videoWidth, video.videoHeight, video.duration > 5];
"""


@pytest.fixture(scope="module", params=["en", "ru"])
def book(request, tmp_path_factory):
    """Yields the released notebook, its first cells run."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    folder, _ = kit.build(tmp_path_factory.mktemp("jupyter"), language=request.param)
    given = dict(A2C_LANGUAGE=request.param, A2C_OUT=str(folder))
    with jupyterlab(folder, **given) as address, browser() as page:
        book = Notebook(page, address, kit.NOTEBOOK)
        for cell in BEFORE:
            book.run(cell)
            assert book.error(cell) is None, cell
        yield book


def write_task(book, name, old="", new=""):
    """Types a solution, some of it changed, and runs it; returns what its check shows."""
    assert old in SOLVED[f"{name}-class"]
    book.write(f"{name}-class", SOLVED[f"{name}-class"].replace(old, new, 1))
    book.run(f"{name}-class")
    return book.run(f"{name}-check")


def test_a_check_of_the_stub_shows_the_line_to_write(book):
    book.run("model-class")
    shown = book.run("model-check")
    assert book.error("model-check") == "NotImplementedError"
    assert "# YOUR CODE HERE" in shown


def test_a_check_of_a_wrong_answer_shows_a_message_and_no_traceback(book):
    shown = write_task(book, "model", "self.value(hidden)", "F.relu(self.value(hidden))")
    assert book.error("model-check") == "CheckError"
    assert shown.startswith("CheckError: NatureModel: ") and len(shown.strip().splitlines()) <= 5


def test_a_check_of_a_right_answer_shows_one_line(book):
    shown = write_task(book, "model")
    assert book.error("model-check") is None
    assert shown.startswith("NatureModel: ") and len(shown.strip().splitlines()) == 1


def test_the_videos_of_a_game_play_below_their_cell(book):
    for name in ("model", "policy"):
        write_task(book, name)
    book.run("watching-evaluate")
    book.run("watching-play")
    assert book.ask("watching-play", PLAY) == [160, 210, True]
