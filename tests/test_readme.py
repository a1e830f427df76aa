import json
import re
import subprocess
import sys

import nbformat
import pytest

from benchmarks import evaluation, figures, games, grading, report, seeds, study, throughput
from lesson.assignment import read_assignment
from release import matrix
from release.assigned import texts as texts_of_assignment
from tests import notebook
from tests.checking import SETTINGS
from training.curves import read_curves

ROOT = notebook.PATH.parent
README = ROOT / "README.md"
PAGES = [README, *(ROOT / "benchmarks" / f"{name}.md" for name in ("reference", "throughput"))]
PAGES += [study.PAGE, grading.PAGE, seeds.PAGE]


def read(path):
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def printed():
    """What the scripts print from the recorded figures, {path: {name of a block: text}}."""
    speeds = json.loads(read(throughput.FIGURES))
    texts = seeds.render()
    texts[figures.PAGE] = figures.render(read_curves(figures.RUN), figures.sittings())
    assigned = texts_of_assignment(read_assignment())
    texts[README] |= {"speed": throughput.line(speeds)}
    texts[README] |= {name: assigned[name] for name in ("heading", "marks")}
    texts[README] |= {"games": games.render(json.loads(read(games.FIGURES)))}
    texts[README] |= {"matrix": matrix.render(json.loads(read(matrix.RESULTS)))}
    texts[figures.PAGE] |= evaluation.render(json.loads(read(evaluation.FIGURES)))
    texts[throughput.PAGE] = {"tables": throughput.render(speeds)}
    texts[grading.PAGE] = grading.render(json.loads(read(grading.FIGURES)))
    texts[study.PAGE] = {
        "study": study.render(json.loads(read(study.FIGURES))),
        "races": study.render_races(json.loads(read(study.PASSED))),
    }
    return texts


def measures(text):
    """The figures of a text that carry a unit, as '3.3 million' and '1.8 hours'."""
    return set(re.findall(r"\d[\d.,]*\s(?:million|hours)", text))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_block_shows_what_its_script_prints(path, printed):
    assert report.blocks(path) == printed[path]


def test_what_the_notebook_says_of_millions_and_hours_is_printed_by_a_script(printed):
    known = set().union(*(measures(text) for text in printed[README].values()))
    known |= set().union(*(measures(text) for text in printed[figures.PAGE].values()))
    spans = {f"{end:g} million" for _, _, spans in figures.MEANS for span in spans for end in span}
    book = notebook.read()
    text = " ".join(cell["source"] for cell in book.cells if cell.cell_type == "markdown")
    said = {re.sub(r"\s", " ", measure) for measure in measures(text)}
    assert said - known - spans - {f"{figures.TOTAL_STEPS / 1e6:.0f} million"} == set()


def rows(table):
    """The cells of a Markdown table below its head."""
    return [[cell.strip() for cell in row.split("|")[1:-1]] for row in table.splitlines()[2:]]


def test_the_notebook_promises_what_the_seeds_reached(printed):
    source = notebook.cells(notebook.read())["promise-cost"]
    promised = source[source.index("| | agent steps |") :].split("\n\n")[0]
    reached = printed[README]["times"].split("\n\n")[1]
    for (score, *way), (label, *said) in zip(rows(reached), rows(promised), strict=True):
        assert said == way and score.split(",")[0] in label


def test_the_notebook_tells_how_the_reference_run_ended(printed):
    end = re.search(r"at the end it was (\d+)", printed[figures.PAGE]["story"])[1]
    others = re.search(r"reach (\d+ to \d+)", printed[figures.PAGE]["published"])[1]
    text = " ".join(" ".join(notebook.cells(notebook.read()).values()).split())
    assert end in text and others in text


def test_every_figure_in_the_comments_on_the_curves_is_printed_by_a_script(printed):
    number = r"\d+(?:[.,]\d+)*%?"
    known = set(re.findall(number, " ".join(printed[figures.PAGE].values())))
    known |= {"6", "1.79", "0"}  # actions, the log of their number, and the lowest entropy
    known |= {str(figures.MAX_GRAD_NORM), "100", "200"}  # settings, and a round score
    written = notebook.cells(notebook.read())["curves-comments"].split("SOLUTION", 1)[1]
    assert set(re.findall(number, written)) - known == set()


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_to_files_of_the_kit_lead_somewhere(path):
    links = re.findall(r"\]\((?!http)([^)#]+)\)", read(path))
    assert [link for link in links if not (path.parent / link).exists()] == []


def test_a_block_is_filled_and_the_prose_around_it_stays(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "before\n\n<!-- a: printed by x -->\nold\n<!-- end of a -->\n\nafter é\n", "utf-8"
    )
    report.fill(page, {"a": "new \\1"})
    assert report.blocks(page) == {"a": "new \\1"}
    assert read(page).startswith("before\n") and read(page).endswith("-->\n\nafter é\n")
    with pytest.raises(ValueError, match="page.md has no block 'b': add its two comments"):
        report.fill(page, {"a": "newer", "b": "text"})
    assert report.blocks(page) == {"a": "new \\1"}


@pytest.mark.slow
def test_the_sample_is_what_the_grader_sees_of_a_notebook_with_that_mistake(tmp_path):
    cells = notebook.cells(notebook.read())
    detached = '(trajectory["value_targets"] - trajectory["values"]).detach()'
    assert cells["a2c-class"].count(detached) == 1
    cells["a2c-class"] = cells["a2c-class"].replace(detached, detached[:-9])
    env = f"env = nature_dqn_env({evaluation.GAME!r}, nenvs=2, summaries=False)"
    settings = f'import os\nN_ACTIONS, GAMMA, DEVICE = 6, 0.99, "cpu"\n{cells["start-imports"]}'
    settings += f"\nsettings = {SETTINGS | dict(nenvs=2)}"
    runner = f"{notebook.GLUE}\nrunner = EnvRunner(env, policy, 5, transforms)"
    sources = [settings, env, *(cells[name] for name in notebook.TASKS), runner]
    book = nbformat.v4.new_notebook(cells=[*map(nbformat.v4.new_code_cell, sources)])
    nbformat.write(book, tmp_path / "answer.ipynb")
    command = [sys.executable, "-m", "grading", "check", tmp_path / "answer.ipynb"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, encoding="utf-8")
    assert f"```text\n{done.stdout}```" in read(README) and done.returncode == 1
