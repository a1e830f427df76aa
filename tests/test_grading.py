import io
import json
import sys
import tracemalloc
import types
import warnings
import zipfile
from pathlib import Path

import imageio.v3 as iio
import nbformat
import numpy as np
import pytest
import torch
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.summary import scalar

from grading import checklist
from grading.__main__ import main
from grading.checklist import CURVES, count_words, outlook, read_comments
from grading.curves import read_score
from grading.notebook import code_cells
from grading.pack import MANIFEST, hand_in, pack, report
from grading.verdicts import Verdict
from tests import notebook
from tests.checking import SETTINGS
from training.curves import read_curves
from training.event_file import EventFile

TASKS = ["NatureModel", "Policy", "ComputeValueTargets", "MergeTimeBatch", "A2C"]
ENDED = "1,600 of 10,000,000 agent steps, 742 a second in this sitting\n"


# check


@pytest.fixture(scope="module")
def sources():
    return {**notebook.cells(notebook.read()), "glue": notebook.GLUE}


def write(folder, sources):
    """A small notebook of the given sources."""
    book = nbformat.v4.new_notebook()
    for name, source in sources.items():
        book.cells.append(nbformat.v4.new_code_cell(source, id=name))
    path = folder / "answer.ipynb"
    nbformat.write(book, path)
    return path


def small(sources, **changes):
    """The cells of a notebook that gets to its runner at once."""
    head = 'N_ACTIONS, GAMMA, DEVICE = 6, 0.99, "cpu"\n%matplotlib inline\n!false'
    head += f"\nsettings = {SETTINGS | dict(nenvs=2)}"
    env = 'env = nature_dqn_env("SpaceInvadersNoFrameskip-v4", nenvs=2, summaries=False)'
    tail = "runner = EnvRunner(env, policy, 5, transforms)\nrunner.get_next()\nraise SystemExit"
    given = {"start-imports": f"import os\n{sources['start-imports']}", "head": head, "env": env}
    given |= {name: sources[name] for name in notebook.TASKS}
    return {**given, "glue": sources["glue"], "run": tail, **changes}


def test_check_reports_every_task_and_stops_before_training(tmp_path, sources, capsys):
    assert main(["check", str(write(tmp_path, small(sources)))]) == 0
    assert capsys.readouterr().out.split("\n")[:-1] == [f"{task}: passed" for task in TASKS]


def test_check_gives_json_with_failures_and_what_was_not_reached(tmp_path, sources, capsys):
    wrong = sources["policy-class"].replace("distribution.sample()", "logits.argmax(-1)")
    hole = "def MergeTimeBatch():\n    raise NotImplementedError('task 4')"
    cells = small(sources, **{"policy-class": wrong, "merge-class": hole})
    assert main(["check", str(write(tmp_path, cells)), "--json"]) == 1
    verdicts = json.loads(capsys.readouterr().out)
    assert list(verdicts) == TASKS
    assert verdicts["NatureModel"]["result"] == "passed"
    assert verdicts["Policy"] == {
        "result": "failed",
        "message": "Policy: the same action 1000 times: greedy, the policy must sample.",
    }
    for task in TASKS[2:]:
        assert verdicts[task]["result"] == "not reached"
        assert "cell glue raised NotImplementedError: task 4" in verdicts[task]["message"]


@pytest.mark.parametrize(
    ("cell", "told"),
    [
        ("import sys\nsys.exit()", "SystemExit (line 2 of leave)"),
        pytest.param("exit(0)", "SystemExit: 0 (line", marks=pytest.mark.slow),
        pytest.param("quit()", "SystemExit", marks=pytest.mark.slow),
        pytest.param(
            "raise KeyboardInterrupt",
            "KeyboardInterrupt (line 1 of leave)",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_check_gives_a_verdict_on_a_notebook_that_leaves(cell, told, tmp_path, capsys):
    path = write(tmp_path, {"leave": cell})
    assert main(["check", str(path)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == TASKS
    assert all(f"not reached: cell leave raised {told}" in line for line in lines)


def test_check_takes_a_path_relative_to_another_folder(tmp_path, monkeypatch, capsys):
    write(tmp_path, {"only": "raise ValueError('reached')"})
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert main(["check", "../answer.ipynb"]) == 1
    assert "cell only raised ValueError: reached" in capsys.readouterr().out


@pytest.mark.parametrize("content", ["", "[]", "no json", '{"cells": 3}'])
def test_check_refuses_what_is_no_notebook(content, tmp_path, capsys):
    (tmp_path / "answer.ipynb").write_text(content)
    with pytest.raises(SystemExit) as left:
        main(["check", str(tmp_path / "answer.ipynb")])
    assert left.value.code == 2 and "is no notebook" in capsys.readouterr().err


def test_check_parses_no_notebook_that_is_too_large(tmp_path, capsys):
    with open(tmp_path / "answer.ipynb", "wb") as file:
        file.truncate(101_000_000)  # takes no space
    with pytest.raises(SystemExit) as left:
        main(["check", str(tmp_path / "answer.ipynb")])
    told = capsys.readouterr().err
    assert left.value.code == 2 and "the notebook has 101 MB, at most 100 are read" in told


def test_what_code_cells_have_put_out_is_not_kept_while_they_are_parsed(tmp_path):
    cell = {"cell_type": "code", "metadata": {}, "execution_count": None, "source": "x"}
    cell |= {"attachments": [], "outputs": [[]] * 200_000}
    book = {"cells": [{**cell, "id": str(k)} for k in range(4)], "metadata": {}, "nbformat": 4}
    (tmp_path / "a.ipynb").write_text(json.dumps(book | {"nbformat_minor": 5}))
    tracemalloc.start()
    assert code_cells(tmp_path / "a.ipynb") == [(str(k), "x") for k in range(4)]
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 30e6


def test_check_names_a_missing_file(capsys):
    with pytest.raises(SystemExit) as left:
        main(["check", "nowhere.ipynb"])
    assert left.value.code == 2
    assert "nowhere.ipynb is no file: name a notebook" in capsys.readouterr().err


@pytest.mark.parametrize("limit", ["--timeout=0", "--memory=-1", "--timeout=soon"])
def test_check_refuses_a_limit_that_is_no_number_above_zero(limit, tmp_path, capsys):
    with pytest.raises(SystemExit) as left:
        main(["check", str(write(tmp_path, {})), limit])
    assert left.value.code == 2 and "is no number above 0" in capsys.readouterr().err


def test_check_prints_on_a_console_that_lacks_the_characters(tmp_path, monkeypatch):
    console = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", console)
    failed = {"Policy": Verdict("failed", "Policy: √2.")}
    monkeypatch.setattr("grading.__main__.check_notebook", lambda path, limits, wall: failed)
    assert main(["check", str(write(tmp_path, {}))]) == 1
    console.flush()
    assert console.buffer.getvalue().strip() == b"Policy: failed: Policy: ?2."


@pytest.mark.slow
def test_check_passes_the_solved_notebook():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert main(["check", str(notebook.PATH)]) == 0


# pack

COMMENTS = "**Task 6.** Comment each curve.\n\n" + "The score climbs as the agent aims. " * 5


def comments(source):
    return nbformat.v4.new_markdown_cell(source, id="curves-comments")


def ran(source, *outputs):
    return nbformat.v4.new_code_cell(source, execution_count=1, outputs=list(outputs))


def printed(text):
    return nbformat.v4.new_output("stream", name="stdout", text=text)


def whole():
    """The cells of a notebook that shows its run."""
    packing = nbformat.v4.new_code_cell("from grading.pack import pack")  # runs, so no count yet
    return [ran("train()", printed(ENDED)), comments(COMMENTS), packing]


def save(folder, cells):
    path = folder / "a2c_assignment.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path


def draw(folder, scores=(450, 640, 500), games=(60, 100, 100), tags=CURVES):
    """Writes a run's event file with a point of each curve every 500 agent steps."""
    file = EventFile(folder, owner=draw)
    for k, (score, count) in enumerate(zip(scores, games, strict=True), 1):
        values = {**dict.fromkeys(tags, 0.5), "Episodes/games": count}
        values |= {CURVES[0]: score} if CURVES[0] in tags else {}
        for tag, value in values.items():
            file.add(Event(summary=scalar(tag, float(value)), step=500 * k))
    file.flush()


def fill(out, files):
    for name in files:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_bytes(b"content")


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """The content of a video that plays."""
    path = tmp_path_factory.mktemp("film") / "a.mp4"
    iio.imwrite(path, np.zeros((20, 32, 32, 3), np.uint8), fps=15)
    return path.read_bytes()


SCRIPTS = {
    *("atari_wrappers.py", "env_batch.py", "runners.py", "training/curves.py", "lesson/start.py"),
    *("tests/checks/__init__.py", "tests/checks/a2c.py", "grading/__init__.py", "grading/pack.py"),
}
RESULTS = {
    *("videos/False/rl-video-episode-0.mp4", "videos/True/rl-video-episode-0.mp4"),
    *("img/entropy.png", "weights.pt"),
}
LEFT_OUT = {
    *("release.py", "tests/test_checks.py", "training/.ipynb_checkpoints/curves-checkpoint.py"),
    *("logs/first-run/checkpoint-0000001600.pt", "logs/first-run/.lock", "logs/old/events.out.1"),
    *("logs/reference/events.out.1", "videos/reference/True/a.mp4", "img/reference/curve.png"),
    *("img/.gitkeep", "logs/first-run/weights.part"),
}


@pytest.fixture
def folder(tmp_path, monkeypatch, film):
    """A folder with everything that a hand-in needs, and with what must stay out of it."""
    fill(tmp_path, SCRIPTS | RESULTS | LEFT_OUT)
    for name in (name for name in RESULTS if name.endswith(".mp4")):
        (tmp_path / name).write_bytes(film)
    save(tmp_path, whole())
    draw(tmp_path / "logs" / "first-run")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def missing(folder):
    """{thing: mend} of what a hand-in lacks."""
    _, rows, _ = hand_in("a2c_assignment.ipynb", folder, folder / "logs" / "first-run", "Ada")
    return {row.thing: row.mend for row in rows if row.mend}


def test_pack_writes_the_run_and_nothing_else(folder, capsys):
    archive = pack("a2c_assignment.ipynb", folder, folder / "logs" / "first-run", "Ada")
    with zipfile.ZipFile(archive) as package:
        names = package.namelist()
    (events,) = (folder / "logs" / "first-run").glob("events*")
    assert sorted(names) == sorted(
        SCRIPTS | RESULTS | {"a2c_assignment.ipynb", f"logs/first-run/{events.name}", MANIFEST}
    )
    assert archive == folder / "hand-in.zip" and not (folder / "hand-in.part").exists()
    told = capsys.readouterr().out
    assert "missing" not in told and "1,600" in told
    assert "500 at the end" in told and "640 at its best" in told


def test_pack_is_a_command_with_defaults_from_the_folder(folder, monkeypatch, capsys):
    monkeypatch.setenv("A2C_OUT", str(folder))
    assert main(["pack", "--name", "Ada"]) == 0
    (folder / "weights.pt").unlink()
    assert main(["pack", "--run", "old", "a2c_assignment.ipynb", "--out", "."]) == 1
    assert "logs/old/events.out.1" in zipfile.ZipFile(folder / "hand-in.zip").namelist()
    assert "run the training cell" in capsys.readouterr().out


def test_the_report_is_no_wider_than_a_line_of_jupyterlab(folder):
    for path in (folder / "videos").rglob("*.mp4"):
        path.unlink()
    save(folder, [nbformat.v4.new_code_cell("look(" + 40 * "x" + ")")])
    given = hand_in("a2c_assignment.ipynb", folder, folder / "logs" / "first-run")
    lines = report(*given).splitlines()
    assert 80 < max(len(line) for line in lines if "hand-in.zip" not in line) <= 100


RUSSIAN = {"name": "имя", "there": "есть", "score": "счёт"}


def test_the_report_is_translated_and_the_rows_are_keys(folder, monkeypatch):
    monkeypatch.setattr("grading.pack._", lambda message: RUSSIAN.get(message, message))
    monkeypatch.setattr("grading.pack.pgettext", lambda context, message: "исправить")
    archive, rows, score = hand_in("a2c_assignment.ipynb", folder, folder / "logs" / "first-run")
    lines = [line.split() for line in report(archive, rows, score).splitlines()]
    assert [row.thing for row in rows[:2]] == ["name", "score"]
    assert lines[2][:3] == ["исправить", "имя", "none"] and lines[4][:2] == ["есть", "счёт"]


def test_check_prints_its_results_in_the_language_of_the_course(tmp_path, monkeypatch, capsys):
    verdicts = {"Policy": Verdict("passed"), "A2C": Verdict("failed", "A2C: why.")}
    monkeypatch.setattr("grading.__main__.check_notebook", lambda *given: verdicts)
    russian = {"passed": "пройдено", "failed": "не пройдено"}
    monkeypatch.setattr("grading.__main__._", lambda message: russian.get(message, message))
    path = str(write(tmp_path, {}))
    assert main(["check", path]) == 1
    assert capsys.readouterr().out == "Policy: пройдено\nA2C: не пройдено: A2C: why.\n"
    assert main(["check", path, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["Policy"]["result"] == "passed"


def test_the_hand_in_says_whose_it_is_of_which_release_and_of_which_settings(folder):
    run, settings = folder / "logs" / "first-run", {"game": "Pong", "nenvs": 4}
    (run / "checkpoint-0000001600.pt").unlink()
    torch.save({"settings": settings}, run / "checkpoint-0000001600.pt")
    torch.save({"settings": {}}, run / "checkpoint-0000000800.pt")
    (folder / "manifest.json").write_text(json.dumps({"version": "abc", "files": {}}))
    archive, _, _ = hand_in(Path("a2c_assignment.ipynb"), folder, run, " Ада ", "B-1")
    told = json.loads(zipfile.ZipFile(archive).read(MANIFEST))
    assert told == {
        **{"name": "Ада", "group": "B-1", "run": "first-run", "release": "abc"},
        "settings": settings,
    }


def test_a_hand_in_without_a_checkpoint_or_a_release_says_so(folder):
    (folder / "logs" / "first-run" / "checkpoint-0000001600.pt").write_bytes(b"cut short")
    archive, _, _ = hand_in(Path("a2c_assignment.ipynb"), folder, folder / "logs" / "first-run")
    told = json.loads(zipfile.ZipFile(archive).read(MANIFEST))
    assert (told["release"], told["settings"], told["name"]) == ("", None, "")
    assert (folder / "logs" / "first-run" / "checkpoint-0000001600.pt").read_bytes() == b"cut short"


def test_the_checklist_asks_for_a_name(folder):
    run = folder / "logs" / "first-run"
    _, rows, _ = hand_in("a2c_assignment.ipynb", folder, run)
    assert {row.thing: row.mend for row in rows if row.mend}.keys() == {"name"}


def test_the_checklist_names_a_video_that_does_not_play(folder):
    (folder / "videos" / "True" / "rl-video-episode-0.mp4").write_bytes(b"no video")
    told = missing(folder)
    assert told["videos, greedy"].startswith("rl-video-episode-0.mp4 does not play")
    assert told.keys() == {"videos, greedy"}


def test_the_checklist_names_another_run_that_came_further(folder):
    (folder / "logs" / "second").mkdir()
    (folder / "logs" / "second" / "checkpoint-0000009600.pt").write_bytes(b"")
    assert missing(folder) == {
        "agent steps": "second came further, to 9,600: pack that run, or delete it"
    }


def test_the_checklist_of_a_name_without_a_run_names_the_run_that_is_there(folder):
    _, rows, _ = hand_in("a2c_assignment.ipynb", folder, folder / "logs" / "other", "Ada")
    (row,) = (row for row in rows if row.thing == "agent steps")
    assert row.mend == "first-run came further, to 1,600: pack that run, or delete it"


def test_the_checklist_names_a_picture_without_a_caption(folder):
    (folder / "img" / "mine.png").write_bytes(b"picture")
    assert missing(folder) == {
        "pictures": "show it in the notebook: ![what it shows](img/mine.png)"
    }
    for source, bare in (("![](img/mine.png)", 1), ("see ![my curve](img/mine.png)", 0)):
        save(folder, [*whole(), nbformat.v4.new_markdown_cell(source)])
        assert len(missing(folder)) == bare


def test_the_checklist_names_what_a_grader_will_ask_about(folder):
    run = folder / "logs" / "first-run"
    (run / "checkpoint-0000001600.pt").unlink()
    torch.save({"settings": {"game": "Pong", "nenvs": 4}}, run / "checkpoint-0000001600.pt")
    _, rows, _ = hand_in(Path("a2c_assignment.ipynb"), folder, run, "Ada")
    (row,) = (row for row in rows if row.mend)
    assert row.thing == "odd curve" and row.found.startswith("curves of Episodes/ are missing")
    assert row.mend.startswith("tell your grader how it came")


def test_the_checklist_names_a_file_that_is_far_too_large(folder, monkeypatch):
    monkeypatch.setattr(checklist, "LARGEST", 6)
    told = missing(folder)
    assert told == {"large file": "expected at most 0 MB: delete or shorten it"}


@pytest.mark.parametrize(
    ("gone", "thing", "mend"),
    [
        ("weights.pt", "weights", "run the training cell"),
        ("videos/False/rl-video-episode-0.mp4", "videos, sampled", "videos/False"),
        ("videos/True/rl-video-episode-0.mp4", "videos, greedy", "videos/True"),
        ("img/entropy.png", "pictures", "screenshots"),
    ],
)
def test_the_checklist_names_a_file_that_is_missing(gone, thing, mend, folder):
    (folder / gone).unlink()
    lacks = missing(folder)
    assert lacks.keys() == {thing} and mend in lacks[thing]


@pytest.mark.parametrize(
    ("cells", "thing", "mend"),
    [
        ([ran("train()", printed(ENDED)), comments(COMMENTS[:32])], "comments", "each curve shows"),
        ([ran("train()", printed(ENDED))], "comments", "keep the cell"),
        ([ran("train()"), comments(COMMENTS)], "notebook", "save the notebook"),
        ([ran("train()", printed("9" + ENDED)), comments(COMMENTS)], "notebook", "save"),
        ([nbformat.v4.new_code_cell("look()"), *whole()], "cells not run", "look()"),
        ([nbformat.v4.new_code_cell("# A\n@b()\ndef c():"), *whole()], "cells not run", "def c()"),
        (
            [ran("fail()", nbformat.v4.new_output("error", ename="E", evalue="")), *whole()],
            "cells that failed",
            "fail()",
        ),
    ],
)
def test_the_checklist_names_what_the_notebook_lacks(cells, thing, mend, folder):
    save(folder, cells)
    lacks = missing(folder)
    assert lacks.keys() == {thing} and mend in lacks[thing]


def test_cells_below_the_one_that_packs_are_not_needed(folder):
    failed = ran("fail()", nbformat.v4.new_output("error", ename="E", evalue=""))
    save(folder, [*whole(), nbformat.v4.new_code_cell("further()"), failed])
    assert missing(folder) == {}


def test_an_answer_to_a_question_is_no_comment_on_a_curve():
    book = notebook.read()
    questions = [cell for cell in book.cells if cell.id.startswith("question-")]
    told = read_comments(book)
    assert len(questions) == 5 and told.startswith('"Early on" is')
    for cell in questions:
        cell.source += "\n\n- *entropy*: many words that answer no task at all, in another cell."
    assert read_comments(book) == told
    (cell,) = (cell for cell in book.cells if cell.id == "curves-comments")
    cell.source = "**Task 6**"
    assert (read_comments(book), count_words(cell.source)) == ("", 0)


def test_a_notebook_that_cannot_be_read_is_packed_and_named(folder):
    (folder / "a2c_assignment.ipynb").write_text("half a noteb")
    assert missing(folder).keys() == {"notebook"}
    assert zipfile.ZipFile("hand-in.zip").read("a2c_assignment.ipynb") == b"half a noteb"


def test_the_checklist_names_curves_and_games_that_are_missing(folder):
    (events,) = (folder / "logs" / "first-run").glob("events*")
    events.unlink()
    assert missing(folder).keys() == {"score", "curves"}
    draw(folder / "logs" / "first-run", games=(10, 20, 30), tags=CURVES[:-1])
    lacks = missing(folder)
    assert lacks.keys() == {"games", "curves"} and "total_loss" in lacks["curves"]


def test_a_folder_without_a_run_is_packed_and_told_what_to_run(tmp_path):
    save(tmp_path, whole())
    _, rows, score = hand_in(tmp_path / "a2c_assignment.ipynb", tmp_path, tmp_path / "logs" / "no")
    assert {"score", "agent steps", "curves", "weights"} < {row.thing for row in rows if row.mend}
    assert "No score counts yet" in outlook(score)


@pytest.mark.parametrize(
    ("scores", "games", "told"),
    [
        ((700, 700), (60, 99), "No score counts yet: every environment needs 100 games"),
        ((700, 390), (60, 100), "reached 390 with 100 games behind it, which earns no points yet"),
        ((400, 390), (100, 100), "reached 400 with 100 games behind it: 8 points, if the checks"),
        ((300, 600), (100, 100), "reached 600 with 100 games behind it: 10 points, if the checks"),
    ],
)
def test_the_outlook_says_what_a_score_earns_and_what_raises_it(scores, games, told, tmp_path):
    draw(tmp_path, scores, games)
    said = outlook(read_score(read_curves(tmp_path)))
    assert told in said
    assert ("10 from 600" in said or "training raises" in said) == (scores[-1] < 600 or 99 in games)


def test_comments_are_counted_without_what_the_assignment_wrote():
    given = "### Task 6\n\n**Task 6.** Comment\neach curve.\n\n<!-- BEGIN\nSOLUTION -->\n"
    assert count_words(given + "YOUR ANSWER HERE\n- *value loss, entropy*:\n- *norm*:") == 0
    assert count_words(given + "- *entropy*: it *sinks* to 0.5,\n  and rests") == 5
    assert count_words("**Всё** растёт") == 2


def test_the_task_is_no_comment_in_any_language_and_a_students_paragraph_is_one():
    given = "**Задание 6** (20 минут). Прокомментируйте каждую кривую.\n\nYOUR ANSWER HERE\n"
    assert count_words(given) == 0
    assert count_words(f"{given}\n**Кривая 6** растёт.") == 2
    assert count_words("**Entropy: 1.6** at first, 0.6 later") == 4


@pytest.mark.parametrize(
    "printed_last",
    [
        "1,600 of 10,000,000 agent steps",
        "1\u202f600 из 10\u202f000\u202f000 шагов агента",
        "Пройдено 1 600 из 10 000 000 шагов агента",
        "1.600 von 10.000.000 Schritten",
        "1600 of 10000000 agent steps",
    ],
)
def test_the_runs_end_is_found_in_any_language(printed_last, folder):
    save(folder, [ran("train()", printed(printed_last)), comments(COMMENTS)])
    assert not missing(folder)


def test_the_solved_notebooks_comments_are_the_answer_alone():
    source = notebook.cells(notebook.read())["curves-comments"]
    begin, end = source.index("<!-- BEGIN"), source.index("<!-- END")
    assert count_words(source[:begin] + source[end:]) == 0 < 100 < count_words(source)


@pytest.fixture
def colab(monkeypatch):
    """Stands for Colab: how long its page is asked, what it answers, and what it downloads."""
    told = types.SimpleNamespace(answers={}, asked=[], downloads=[])

    def request(what, timeout_sec=5):
        told.asked.append(timeout_sec)
        return told.answers.get(what)

    module = types.ModuleType("google.colab")
    module._message = types.SimpleNamespace(blocking_request=request)
    module.files = types.SimpleNamespace(download=told.downloads.append)
    monkeypatch.setitem(sys.modules, "google.colab", module)
    return told


def test_pack_in_colab_takes_the_notebook_as_seen_and_offers_the_download(folder, colab):
    (folder / "a2c_assignment.ipynb").unlink()
    seen = nbformat.v4.new_notebook(cells=whole())
    seen.cells[1] = nbformat.v4.new_markdown_cell(COMMENTS, metadata={"id": "curves-comments"})
    colab.answers["get_ipynb"] = {"ipynb": seen}
    archive = pack("a2c_assignment.ipynb", folder, folder / "logs" / "first-run")
    assert colab.downloads == [str(archive)] and not missing(folder)
    inside = nbformat.reads(zipfile.ZipFile(archive).read("a2c_assignment.ipynb").decode(), 4)
    assert [cell.source for cell in inside.cells] == [cell.source for cell in seen.cells]


def test_pack_waits_two_minutes_for_colab_and_then_says_what_to_do(folder, colab):
    with pytest.raises(TimeoutError, match="Colab did not give the notebook within 120 s: run"):
        pack("a2c_assignment.ipynb", folder, folder / "logs" / "first-run")
    assert colab.asked == [120] and not colab.downloads


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["pack", "renamed.ipynb"], "there is no notebook renamed.ipynb in"),
        (["pack", "--out", "nowhere"], "nowhere is no folder"),
    ],
)
def test_pack_refuses_a_wrong_call_and_keeps_the_archive(arguments, told, folder, capsys):
    (folder / "hand-in.zip").write_bytes(b"older")
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2 and told in capsys.readouterr().err
    assert (folder / "hand-in.zip").read_bytes() == b"older"


def test_a_language_that_there_is_not_is_refused(monkeypatch, capsys):
    monkeypatch.setenv("A2C_LANGUAGE", "russian")
    with pytest.raises(SystemExit) as left:
        main(["check", "a.ipynb"])
    assert left.value.code == 2
    assert (
        "the language is 'russian', expected one of en, ru: A2C_LANGUAGE sets it"
        in capsys.readouterr().err
    )
