"""What a grader sees of a hand-in's files: whole ones, broken ones, and ones that mean harm."""

import base64
import io
import json
import os
import pickle
import shutil
import struct
import zipfile
import zlib

import imageio.v3 as iio
import nbformat
import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks import figures
from grading.checklist import CURVES
from grading.marking import reader
from grading.marking.read import curves, notebook, pictures, syntax, videos, weights
from grading.marking.schemas import EMPTY, check_part
from grading.sandbox import NO_WALL, find_wall
from grading.watched import LIMITS
from tests.test_grading import COMMENTS, comments, draw, printed, ran
from tests.test_odd_curves import GAME

ROOT = figures.RUN.parent.parent
TASKS = ["NatureModel", "Policy", "ComputeValueTargets", "MergeTimeBatch", "A2C"]
ORDER = {
    **dict(notebook="a2c_assignment.ipynb", run="", nenvs=None, game=GAME, actions=6, steps=1500),
    **dict(tags=[*CURVES, "Episodes/games"], captions={"entropy": "entropy, in nats"}),
    "tasks": TASKS,
}
GIGABYTES = 3 * 10**9


def looked_at(part, module, folder, **changes):
    """A part as its process reads it, and as evidence must hold it."""
    (folder / "out").mkdir(exist_ok=True)
    found = module.read({**ORDER, **changes}, folder, folder / "out")
    found = json.loads(json.dumps(found, allow_nan=False))
    for name, one in (found if part == "notebook" else {part: found}).items():
        check_part(name, one)
    return found


# weights


def network(actions=6, hidden=512, joint=False):
    """The state dict of the task's network, of numbers that are all different."""
    heads = [(actions + 1, hidden)] if joint else [(actions, hidden), (1, hidden)]
    shapes = [(32, 4, 8, 8), (64, 32, 4, 4), (64, 64, 3, 3), (hidden, 3136), *heads]
    generator = torch.Generator().manual_seed(1)
    state = {}
    for k, shape in enumerate(shapes):
        state[f"{k}.weight"] = torch.randn(shape, generator=generator)
        state[f"{k}.bias"] = torch.randn(shape[0], generator=generator)
    return state


def saved(thing):
    content = io.BytesIO()
    torch.save(thing, content)
    return content.getvalue()


class RunsCode:
    def __reduce__(self):
        return os.system, ("touch /tmp/a2c-weights-ran",)


def zeros_in_a_zip():
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(300 * 2**20))
    return content.getvalue()


def not_a_number():
    state = network()
    state["3.weight"][7, 7] = float("nan")
    return state


BROKEN_WEIGHTS = {
    "runs code": (lambda: saved({"w": RunsCode()}), "system, which is more than weights: it was"),
    "a bare pickle that runs code": (lambda: pickle.dumps(RunsCode(), 2), "weights.pt "),
    "a whole module": (lambda: saved(torch.nn.Linear(2, 2)), "Linear, which is more than weights"),
    "cut short": (lambda: saved(network())[:100_000], "weights.pt cannot be loaded (RuntimeError"),
    "empty": (lambda: b"", "weights.pt cannot be loaded (EOFError"),
    "text": (lambda: b"<script>alert(1)</script>", "weights.pt cannot be loaded (UnpicklingError"),
    "another archive": (
        lambda: zeros_in_a_zip(),
        "weights.pt has 315 MB, at most 210 are expected",
    ),
    "no number": (lambda: saved(not_a_number()), "weights.pt has values that are no numbers"),
    "one number as many": (
        lambda: saved({"w": torch.zeros(1).expand(10**9)}),
        "weights.pt holds 1,000,000,000 numbers, the task's network has 1.7 million",
    ),
    "a list": (lambda: saved([torch.zeros(3)]), "weights.pt holds no weights: expected a state"),
    "an empty dict": (lambda: saved({}), "weights.pt holds no weights: expected a state dict"),
    "a sparse tensor": (lambda: saved({"w": torch.eye(3).to_sparse()}), "that is not dense, as"),
    "a wider network": (lambda: saved(network(hidden=1024)), "it has no layer [512, 3136]"),
    "a Q-network": (
        lambda: saved({k: w for k, w in network().items() if not k.startswith("5")}),
        "it has no value head, as Q-networks have none",
    ),
    "another game's": (
        lambda: saved(network(4)),
        "it has [[4, 512], [4]] beside, and lacks [[6, 512], [6]]",
    ),
    "a second body": (
        lambda: saved(network() | {"critic": torch.ones(512, 3136)}),
        "it has [[512, 3136]] beside, and lacks nothing",
    ),
}


@pytest.mark.parametrize(("content", "line"), BROKEN_WEIGHTS.values(), ids=BROKEN_WEIGHTS)
def test_weights_that_are_not_the_tasks_get_their_line(content, line, tmp_path):
    (tmp_path / "weights.pt").write_bytes(content())
    found = looked_at("weights", weights, tmp_path)
    assert line in found["problem"] and "\n" not in found["problem"]
    assert found["sketch"] == [] and not (tmp_path / "out" / "weights.npz").exists()
    assert not os.path.exists("/tmp/a2c-weights-ran")


def test_weights_that_are_missing_or_of_gigabytes_are_not_opened(tmp_path):
    assert looked_at("weights", weights, tmp_path)["problem"] == "weights.pt is not there"
    with open(tmp_path / "weights.pt", "wb") as file:
        file.truncate(GIGABYTES)  # takes no space
    problem = looked_at("weights", weights, tmp_path)["problem"]
    assert problem == "weights.pt has 3,000 MB, at most 210 are expected"


@pytest.mark.parametrize(
    "content",
    [
        lambda: network(),
        lambda: network(joint=True),
        lambda: {"model": network(), "random": torch.get_rng_state(), "step": 5},
        lambda: {name: one.half() for name, one in network().items()},
        lambda: network() | {"another name": None},
    ],
    ids=["state dict", "joint head", "checkpoint", "half precision", "something else beside"],
)
def test_the_tasks_network_is_found_by_its_shapes(content, tmp_path):
    (tmp_path / "weights.pt").write_bytes(saved(content()))
    found = looked_at("weights", weights, tmp_path)
    assert found["problem"] == "" and found["same_network"]
    assert (found["network"]["actions"], found["network"]["parameters"]) == (6, 1_687_719)
    assert len(found["sketch"]) == 4096
    with np.load(tmp_path / "out" / "weights.npz") as arrays:
        assert arrays[arrays.files[0]].shape == (32, 4, 8, 8)
        assert {array.dtype.name for array in arrays.values()} == {"float32"}


def test_weights_under_other_names_in_another_order_are_the_same_weights(tmp_path):
    (tmp_path / "weights.pt").write_bytes(saved(network()))
    one = looked_at("weights", weights, tmp_path)
    other = {f"mine.{k}": w for k, w in enumerate(reversed(network().values()))}
    (tmp_path / "weights.pt").write_bytes(saved(other))
    two = looked_at("weights", weights, tmp_path)
    assert (one["digest"], one["sketch"]) == (two["digest"], two["sketch"])


# curves


def test_a_run_is_told_by_its_curves(tmp_path):
    draw(tmp_path / "logs" / "first-run")
    draw(tmp_path / "logs" / "better", scores=(450, 700), games=(60, 100))
    draw(tmp_path / "logs" / "reference", scores=(9000,), games=(100,))
    found = looked_at("curves", curves, tmp_path)
    assert [run["name"] for run in found["runs"]] == ["better", "first-run"]
    assert found["problem"] == "" and found["chosen"] == 0
    assert found["runs"][1] | {"oddities": [], "hours": 0} == {
        **dict(name="first-run", best=640.0, last=500.0, counted=640.0, games=100, steps=1500),
        **dict(missing=[], sittings=1, floats=[], oddities=[], hours=0),
    }
    assert found["points"][CURVES[0]] == {"steps": [500, 1000], "values": [450.0, 700.0]}
    assert looked_at("curves", curves, tmp_path, run="first-run")["chosen"] == 1


def garbage(folder):
    (folder / "events.out.tfevents.1").write_bytes(b"<script>" * 100)


def endless(folder):
    (folder / "events.out.tfevents.1").write_bytes(struct.pack("<Q", 2**64 - 1) + bytes(99))


def named_as_a_folder(folder):
    (folder / "events.out.tfevents.1").mkdir()


BROKEN_RUNS = {
    "nothing": (lambda folder: None, "logs/ holds no run with curves"),
    "garbage": (garbage, "first-run: no point of a curve is left in its event files"),
    "a record without end": (endless, "first-run: no point of a curve is left in its"),
    "a folder": (named_as_a_folder, "logs/ holds no run with curves"),
}


@pytest.mark.parametrize(("fill", "line"), BROKEN_RUNS.values(), ids=BROKEN_RUNS)
def test_a_run_that_cannot_be_read_gets_its_line(fill, line, tmp_path):
    (tmp_path / "logs" / "first-run").mkdir(parents=True)
    fill(tmp_path / "logs" / "first-run")
    found = looked_at("curves", curves, tmp_path)
    assert line in found["problem"] and found["runs"] == []


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("MOST_POINTS", "first-run: A2C/advantages has 3 points, more than 2"),
        ("MOST_EVENTS", "first-run: more than 2 points in all"),
    ],
)
def test_a_run_of_too_many_points_is_left_out(name, line, tmp_path, monkeypatch):
    monkeypatch.setattr(curves, name, 2)
    draw(tmp_path / "logs" / "first-run", tags=sorted(CURVES))
    assert looked_at("curves", curves, tmp_path)["problem"] == line


def test_a_run_whose_last_record_was_cut_short_is_read(tmp_path):
    draw(tmp_path / "logs" / "first-run")
    (events,) = (tmp_path / "logs" / "first-run").glob("*tfevents*")
    events.write_bytes(events.read_bytes() + bytes(5))
    found = looked_at("curves", curves, tmp_path)
    assert found["problem"] == "" and found["runs"][0]["steps"] == 1500


def test_a_broken_run_beside_the_one_that_counts_is_no_problem(tmp_path):
    draw(tmp_path / "logs" / "first-run")
    (tmp_path / "logs" / "broken").mkdir()
    garbage(tmp_path / "logs" / "broken")
    for run, is_problem in (("first-run", False), ("", False), ("broken", True)):
        found = looked_at("curves", curves, tmp_path, run=run)
        assert [run["name"] for run in found["runs"]] == ["first-run"]
        assert bool(found["problem"]) == is_problem


def test_a_point_that_is_no_number_is_odd_and_not_drawn(tmp_path):
    draw(tmp_path / "logs" / "first-run", scores=(450, float("nan"), 500))
    (run,) = looked_at("curves", curves, tmp_path)["runs"]
    assert run["oddities"] == ["Episodes/reward_mean_100 has a value that is no number"]
    assert (run["best"], run["counted"]) == (500.0, 500.0)


def test_what_is_no_count_of_games_or_steps_is_bounded(tmp_path):
    draw(tmp_path / "logs" / "first-run", games=(-7, 1e30, 1e30))
    (run,) = looked_at("curves", curves, tmp_path)["runs"]
    assert run["games"] == 100


def sitting(folder, content):
    folder.mkdir(parents=True)
    (folder / "events.out.tfevents.1").write_bytes(content)


def test_a_run_that_was_cut_has_stretches_of_the_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(curves, "MOST_FLOATS", 50)
    whole = sorted(figures.RUN.glob("events.out.*"))[0].read_bytes()
    sitting(tmp_path / "logs" / "whole", whole)
    sitting(tmp_path / "logs" / "cut", whole[: len(whole) // 2])
    found = looked_at("curves", curves, tmp_path)
    cut, whole = (set(run["floats"]) for run in found["runs"])
    assert found["problem"] == "" and len(cut) == len(whole) == 50
    assert len(cut & whole) > 15
    assert all(run["floats"] == sorted(run["floats"]) for run in found["runs"])


# videos


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """The content of a video of 20 frames, each another."""
    path = tmp_path_factory.mktemp("film") / "a.mp4"
    frames = np.arange(20, dtype=np.uint8)[:, None, None, None] * np.full((32, 64, 3), 9, np.uint8)
    iio.imwrite(path, frames, fps=15)
    return path.read_bytes()


def place(folder, name, content=b""):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)


def picture(kind="PNG", size=(40, 30), **more):
    content = io.BytesIO()
    Image.new("RGB", size, "red").save(content, kind, **more)
    return content.getvalue()


def test_a_video_is_told_by_its_frames(film, tmp_path):
    for name in ("videos/True/b.mp4", "videos/False/a.mp4", "videos/reference/True/c.mp4"):
        place(tmp_path, name, film)
    found = looked_at("videos", videos, tmp_path)
    one, two = found["files"]
    assert (one["name"], one["kind"]) == ("videos/False/a.mp4", "sampled")
    assert (two["name"], two["kind"]) == ("videos/True/b.mp4", "greedy")
    assert (one["frames"], one["rate"], one["seconds"]) == (20, 15.0, 1.33)
    assert one["problem"] == "" and one["digest"] == two["digest"] != ""
    assert iio.imread(tmp_path / "out" / one["strip"]).shape == (120, 8 * 240, 3)
    assert (tmp_path / "out" / two["copy"]).read_bytes() == film


def still():
    return iio.imwrite("<bytes>", np.full((20, 32, 32, 3), 9, np.uint8), extension=".mp4", fps=15)


BROKEN_VIDEOS = {
    "empty": (lambda film: b"", "does not play"),
    "text": (lambda film: b"<script>alert(1)</script>" * 99, "does not play"),
    "cut short": (lambda film: film[: len(film) // 2], "does not play"),
    "without its beginning": (lambda film: film[200:], "does not play"),
    "a list of files": (lambda film: b"#EXTM3U\n#EXTINF:9,\nfile:///etc/passwd\n", "does not play"),
    "a picture": (lambda film: picture(), "every frame is the same"),
    "still": (lambda film: still(), "every frame is the same"),
}


@pytest.mark.parametrize(("content", "line"), BROKEN_VIDEOS.values(), ids=BROKEN_VIDEOS)
def test_a_video_that_shows_nothing_gets_its_line(content, line, film, tmp_path):
    place(tmp_path, "videos/True/<b>.mp4", content(film))
    place(tmp_path, "videos/False/a.mp4", film)
    good, bad = looked_at("videos", videos, tmp_path)["files"]
    assert (bad["name"], bad["problem"], bad["copy"]) == ("videos/True/<b>.mp4", line, "")
    assert good["problem"] == ""


def test_videos_are_bounded_in_number_in_length_and_in_bytes(film, tmp_path, monkeypatch):
    assert looked_at("videos", videos, tmp_path)["problem"] == "videos/ holds no video"
    monkeypatch.setattr(videos, "MOST_LOOKED_AT", 2)
    for k in range(3):
        place(tmp_path, f"videos/False/{k}.mp4", film)
    place(tmp_path, "videos/True/0.mp4", film)
    found = looked_at("videos", videos, tmp_path)["files"]
    assert [one["kind"] for one in found] == ["sampled", "greedy", "sampled", "sampled"]
    assert [one["problem"] for one in found[1:3]] == ["", "not looked at: there are 4 videos"]
    monkeypatch.setattr(videos, "MOST_BYTES", 1)
    assert looked_at("videos", videos, tmp_path)["files"][0]["copy"] == ""
    monkeypatch.setattr(videos._Seen, "is_too_long", property(lambda seen: seen.count == 9))
    (one, *_) = looked_at("videos", videos, tmp_path)["files"]
    assert one["problem"] == "too long: only 9 frames were looked at"


# pictures


def book(*cells):
    return nbformat.writes(nbformat.v4.new_notebook(cells=list(cells))).encode()


def of_a_picture(content=None):
    data = {"image/png": base64.b64encode(content or picture()).decode(), "text/plain": "<Figure>"}
    return nbformat.v4.new_output("display_data", data=data)


def markdown(source, **more):
    return nbformat.v4.new_markdown_cell(source, **more)


def test_a_picture_has_what_the_notebook_says_of_it(tmp_path):
    for name in ("a", "b", "c", "d", "entropy"):
        place(tmp_path, f"img/{name}.png", picture())
    place(tmp_path, "img/reference/curve.png", picture())
    cells = [markdown("![It *climbs*](img/a.png)"), markdown("![](./img/b.png) It falls.\n\nNo.")]
    cells += [markdown("<img width=5 src='img/c.png' alt=\"It's flat\">")]
    cells += [ran("draw_curves(RUN, OUT / 'img')", of_a_picture())]
    place(tmp_path, "a2c_assignment.ipynb", book(*cells))
    found = looked_at("pictures", pictures, tmp_path)
    assert found["problem"] == ""
    assert [(one["caption"], one["shown"]) for one in found["files"]] == [
        *(("It *climbs*", True), ("It falls.", True), ("It's flat", True)),
        *(("", False), ("entropy, in nats", True)),
    ]
    assert [one["picture"] for one in found["files"]] == [f"picture-{k}.png" for k in range(5)]


def test_a_picture_is_drawn_anew_of_its_pixels_alone(tmp_path):
    content = picture("JPEG", (2400, 600), comment=b"<script>", icc_profile=b"<script>")
    place(tmp_path, "img/a.jpg", content + b"<script>")
    place(tmp_path, "a2c_assignment.ipynb", book())
    looked_at("pictures", pictures, tmp_path)
    drawn = (tmp_path / "out" / "picture-0.png").read_bytes()
    assert b"<script>" in content and b"<script>" not in drawn
    image = Image.open(io.BytesIO(drawn))
    assert image.size == (1200, 300) and image.info == {}


def bomb(width=30_000, height=30_000):
    """A PNG that claims more pixels than it has."""

    def chunk(kind, data):
        checked = kind + data
        return struct.pack(">I", len(data)) + checked + struct.pack(">I", zlib.crc32(checked))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")
    )


BROKEN_PICTURES = {
    "vector": ("a.svg", b"<svg><script>alert(1)</script></svg>", "a.svg: SVG is not shown"),
    "text": ("a.png", b"<script>alert(1)</script>", "a.png: is no picture (UnidentifiedImage"),
    "empty": ("a.webp", b"", "a.webp: is no picture (UnidentifiedImageError"),
    "cut short": ("a.png", picture()[:70], "a.png: is no picture ("),
    "a bomb": ("a.png", bomb(), "a.png: has more than 40 million pixels"),
    "a large one": ("a.png", bomb(9000, 9000), "a.png: has more than 40 million pixels"),
    "too few pixels": ("a.png", bomb(500, 500), "a.png: is no picture ("),
    "another format": ("a.png", picture("TIFF"), "a.png: is no picture (UnidentifiedImageError"),
    "a program for printers": ("a.jpg", picture("EPS"), "a.jpg: is no picture (UnidentifiedIm"),
}


@pytest.mark.parametrize(("name", "content", "line"), BROKEN_PICTURES.values(), ids=BROKEN_PICTURES)
def test_a_picture_that_is_none_gets_its_line(name, content, line, tmp_path):
    place(tmp_path, f"img/{name}", content)
    place(tmp_path, "img/b.gif", picture("GIF"))
    place(tmp_path, "a2c_assignment.ipynb", b"no notebook")
    found = looked_at("pictures", pictures, tmp_path)
    assert line in found["problem"]
    assert [one["picture"] for one in found["files"]] == ["", "picture-1.png"]


def test_pictures_are_bounded_in_number_and_in_bytes(tmp_path, monkeypatch):
    place(tmp_path, "a2c_assignment.ipynb", book())
    assert looked_at("pictures", pictures, tmp_path)["problem"] == "img/ holds no picture"
    for k in range(3):
        place(tmp_path, f"img/{k}.png", picture())
    monkeypatch.setattr(pictures, "MOST_PICTURES", 2)
    found = looked_at("pictures", pictures, tmp_path)
    assert found["problem"] == "3 pictures, the first 2 are shown" and len(found["files"]) == 2
    monkeypatch.setattr(pictures, "MOST_BYTES", 1)
    assert (
        "img/0.png: has 0 MB, at most 0 are" in looked_at("pictures", pictures, tmp_path)["problem"]
    )


# the notebook


def of_a_book(tmp_path, *cells, **changes):
    place(tmp_path, "a2c_assignment.ipynb", book(*cells))
    return looked_at("notebook", notebook, tmp_path, **changes)


def test_a_notebook_is_told_by_its_cells(tmp_path):
    failed = nbformat.v4.new_output(
        "error", ename="E", evalue="v", traceback=["\x1b[31mE\x1b[0m: v"]
    )
    bar = printed("1%\r50%\r100%\n\x1b]8;;http://evil\x07link <b>\u202e\n")
    cells = [ran("x = 1", bar, failed, of_a_picture()), markdown("# A <script>", id="head")]
    found = of_a_book(tmp_path, *cells)["notebook"]
    assert found["problem"] == ""
    assert found["cells"][0]["outputs"] == [
        *({"text": "100%\nlink <b>\n"}, {"error": "E: v"}, {"picture": "output-0-2.png"})
    ]
    assert (found["cells"][0]["kind"], found["cells"][0]["count"]) == ("code", 1)
    assert found["cells"][1] == {
        **dict(id="head", kind="markdown", source="# A <script>", count=None, outputs=[])
    }
    told = "save the notebook, or run it from this cell on: x = 1"
    assert ["cells that failed", "1", told] in found["rows"]


def test_the_end_of_a_run_may_lie_a_little_behind_the_last_point(tmp_path):
    cell = ran("train()", printed("20,000 of 10,000,000 agent steps"))
    for steps, told in ((19_000, "shows"), (60_000, "does not show")):
        rows = of_a_book(tmp_path, cell, steps=steps)["notebook"]["rows"]
        assert rows[1][:2] == ["notebook", f"{told} this run's end"]


def test_comments_are_told_without_the_task(tmp_path):
    found = of_a_book(tmp_path, comments(COMMENTS))
    assert found["comments"] == {
        **dict(problem="", text=("The score climbs as the agent aims. " * 5).strip(), words=35)
    }
    assert len(found["notebook"]["phrases"]) == 7
    found = of_a_book(tmp_path, markdown(COMMENTS))
    assert found["comments"]["problem"] == "the cell for comments is not there"


def test_comments_keep_spaces_that_hold_a_line_together(tmp_path):
    found = of_a_book(tmp_path, comments("The\xa0score climbs\u202fto 20\x1c0."))
    assert found["comments"]["text"] == "The\xa0score climbs\u202fto 200."
    assert reader._printable(found)["comments"]["text"] == "The\xa0score climbs\u202fto 200."


def test_pictures_that_a_cell_holds_itself_are_shown_below_it(tmp_path):
    code = base64.b64encode(picture()).decode()
    source = (
        f"![a curve](data:image/png;base64,{code})\n<img src='data:image/png;base64,{code}'>\n\n"
    )
    source += f"![agent][one] ![pasted](attachment:p.png)\n\n[one]: data:image/gif;base64,{code}"
    cell = markdown(source, attachments={"p.png": {"image/png": code}})
    (found,) = of_a_book(tmp_path, cell)["notebook"]["cells"]
    assert found["source"].split() == ["*[a", "curve]*", "*[agent]*", "![pasted](attachment:p.png)"]
    assert found["outputs"] == [{"picture": f"output-0-{k}.png"} for k in range(4)]


def test_texts_cells_and_pictures_of_a_notebook_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(notebook, "MOST_CELLS", 2)
    monkeypatch.setattr(notebook, "MOST_PICTURES", 1)
    cells = [ran("y" * 60_000, printed("x" * 30_000), of_a_picture(), of_a_picture())]
    found = of_a_book(tmp_path, *cells, ran("a"), ran("b"))["notebook"]
    assert found["problem"] == "3 cells, the first 2 are shown" and len(found["cells"]) == 2
    first = found["cells"][0]
    assert len(first["source"]) == 50_000 and len(first["outputs"][0]["text"]) == 20_000
    assert first["outputs"][2] == {"text": "more pictures than 1 are not shown"}


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", "a2c_assignment.ipynb is no notebook (JSONDecodeError): save it again"),
        (b"[" * 10**5, "a2c_assignment.ipynb is no notebook (RecursionError): save it again"),
        (b'{"cells": 3}', "a2c_assignment.ipynb is no notebook (TypeError): save it again"),
        (b"\xff\xfe", "a2c_assignment.ipynb is no notebook (UnicodeDecodeError): save it again"),
        (
            json.dumps({"cells": [{}] * 5001, "nbformat": 4}).encode(),
            "a2c_assignment.ipynb has 5,001 cells, at most 5,000 are read: delete some",
        ),
    ],
    ids=["empty", "deep", "cells that are none", "no text", "too many cells"],
)
def test_a_notebook_that_is_none_gets_its_line(content, line, tmp_path):
    place(tmp_path, "a2c_assignment.ipynb", content)
    found = looked_at("notebook", notebook, tmp_path)
    assert found["notebook"]["problem"] == found["comments"]["problem"] == line


def test_a_notebook_of_gigabytes_is_not_opened(tmp_path):
    with open(tmp_path / "a2c_assignment.ipynb", "wb") as file:
        file.truncate(GIGABYTES)  # takes no space
    found = looked_at("notebook", notebook, tmp_path)
    assert found["notebook"]["problem"] == "the notebook has 3,000 MB, at most 100 are read"


def test_cells_of_odd_types_are_read_as_far_as_they_go(tmp_path):
    code = {"cell_type": "code", "source": "c", "metadata": {}, "execution_count": "<b>", "id": "c"}
    outputs = [{"output_type": "error", "traceback": 3}, {"output_type": "stream", "text": 3}]
    outputs += [{"output_type": "display_data", "data": {"image/png": "!", "text/plain": 7}}]
    odd = [{**code, "metadata": {"nbgrader": 1, "id": []}}, {**code, "outputs": outputs}]
    odd += [{"cell_type": "raw", "source": ["a\n", "b"], "metadata": {}, "id": 5}]
    content = {"cells": odd, "nbformat": 4, "nbformat_minor": 5, "metadata": {}}
    place(tmp_path, "a2c_assignment.ipynb", json.dumps(content).encode())
    found = looked_at("notebook", notebook, tmp_path)["notebook"]
    assert found["problem"] == ""
    assert [cell["source"] for cell in found["cells"]] == ["c", "c", "a\nb"]
    assert [cell["count"] for cell in found["cells"]] == [None, None, None]
    error, text, picture = found["cells"][1]["outputs"]
    assert (error, text) == ({"error": ": "}, {"text": ""})
    assert picture["text"].startswith("a picture is no picture (")


# likeness of code

CLASS = """
class Policy:
    '''One way to say it.'''
    def act(self, inputs):
        # a comment
        logits, values = self.model(torch.as_tensor(np.asarray(inputs), device=self.device))
        return {"actions": logits, "values": values.squeeze(-1)}
"""


def test_a_class_under_other_names_has_the_same_shapes():
    other = CLASS.replace("logits", "scores").replace("inputs", "x").replace("One way", "Another")
    other = other.replace("        # a comment\n", "")
    (one,), (two,) = (syntax.read_shapes([s], ["Policy"]).values() for s in (CLASS, other))
    assert one == two and len(one) > 5


def test_a_class_that_does_something_else_has_other_shapes():
    other = CLASS.replace("squeeze(-1)", "squeeze(1)").replace("as_tensor", "tensor")
    (one,), (two,) = (syntax.read_shapes([s], ["Policy"]).values() for s in (CLASS, other))
    assert len(set(one) & set(two)) < len(one) / 2


@pytest.mark.parametrize(
    "source",
    [
        "class A2C:\n x = " + "(" * 500 + ")" * 500,
        "class A2C:\n x = " + "-" * 3000 + "1",
        "class A2C:\n x = [" + "1," * 6000 + "]",
        "class A2C:\n x = " + "+".join("x" * 1200),
        "class A2C:\n x = '\ud800'",
        "class A2C(",
    ],
    ids=["too deep to parse", "deep", "long", "a long sum", "half a character", "no Python"],
)
def test_a_class_that_nobody_writes_has_no_shapes(source):
    assert syntax.read_shapes(["%matplotlib inline\n!ls", source], ["A2C"]).get("A2C", []) == []


# what a process may leave

GOOD = {"problem": "", "files": []}
VIDEO = {
    **dict(name="a.mp4", kind="", problem="", seconds=1.0, frames=1, rate=1.0, digest=""),
    **dict(strip="strip-0.jpg", copy="", follows=None, moves=0, seen=0),
}


def leaves(monkeypatch, tmp_path, result, act=lambda out: None, ending="", part="videos"):
    """Stands for a process that leaves a result and does something; returns what is taken of it."""

    def watch(command, environment, out, limits):
        content = result if isinstance(result, bytes) else json.dumps(result).encode()
        (out / "result.json").write_bytes(content)
        act(out)
        yield {"ending": ending}

    monkeypatch.setattr(reader, "watch", watch)
    found = reader._read_part(part, ORDER, tmp_path, tmp_path, NO_WALL, LIMITS)
    for name, one in found.items():
        check_part(name, one)
    return found[part]


def link(out):
    (out / "strip-0.jpg").symlink_to("/etc/passwd")


def pipe(out):
    os.mkfifo(out / "strip-0.jpg")


def gone(out):
    (out / "result.json").unlink()


def link_for_the_result(out):
    gone(out)
    (out / "result.json").symlink_to("/etc/passwd")


def wrong_picture(out):
    (out / "strip-0.jpg").write_bytes(b"<script>")


def large_picture(out):
    with open(out / "strip-0.jpg", "wb") as file:
        file.truncate(GIGABYTES)


ONE = {"problem": "", "files": [VIDEO]}
FORGED = {
    "no result": (GOOD, gone, "it left no result.json (No such file or directory)"),
    "a link for a result": (GOOD, link_for_the_result, "it left no result.json (Too many levels"),
    "no JSON": (b"{", None, "it left no JSON ("),
    "deep JSON": (b"[" * 10**6, None, "it left no JSON (maximum recursion depth"),
    "too much": (b" " * 9 * 2**20, None, "result.json has more than 8,388,608 bytes"),
    "another type": ([], None, "it left something else at"),
    "no number": (b'{"problem": "", "files": NaN}', None, "it left no JSON (NaN is no number)"),
    "infinity": (b'{"problem": "", "files": 1e999}', None, "it left no JSON (1e999 is no number)"),
    "another key": (GOOD | {"points": 10}, None, "it left something else at"),
    "a key less": ({"files": []}, None, "it left something else at"),
    "too long a text": (GOOD | {"problem": "x" * 2001}, None, "it left something else at problem"),
    "too many": (GOOD | {"files": [VIDEO] * 25}, None, "it left something else at files"),
    "a path": (
        {"problem": "", "files": [VIDEO | {"copy": "../evidence.json"}]},
        *(None, "it left something else at files/0/copy"),
    ),
    "a path after a line end": (
        {"problem": "", "files": [VIDEO | {"copy": "video-0.mp4\n"}]},
        *(None, "it left something else at files/0/copy"),
    ),
    "no picture": (ONE, None, "it left no strip-0.jpg (No such file or directory)"),
    "a link": (ONE, link, "it left no strip-0.jpg (Too many levels of symbolic links)"),
    "a pipe": (ONE, pipe, "strip-0.jpg is no plain file"),
    "no JPEG": (ONE, wrong_picture, "strip-0.jpg is not what its name says"),
    "a picture without end": (ONE, large_picture, "strip-0.jpg has more than 20,971,520 bytes"),
}


@pytest.mark.parametrize(("result", "act", "line"), FORGED.values(), ids=FORGED)
def test_what_a_process_forges_is_not_taken(result, act, line, monkeypatch, tmp_path):
    found = leaves(monkeypatch, tmp_path, result, act or (lambda out: None))
    assert found["problem"].startswith(f"this part cannot be read: {line}")
    assert found["files"] == [] and os.listdir(tmp_path) == []


def test_a_process_that_breaks_tells_how(monkeypatch, tmp_path):
    found = leaves(monkeypatch, tmp_path, GOOD, ending="reading \x1b[31mx\n took\u202e more")
    assert found == {
        "problem": "this part cannot be read: reading [31mx took more",
        **EMPTY["videos"],
    }


def test_what_steers_a_terminal_is_taken_out_of_what_is_read(monkeypatch, tmp_path):
    found = leaves(monkeypatch, tmp_path, GOOD | {"problem": "\x1b[31ma\u202e\ud800b\x00"})
    assert found["problem"] == "[31mab"


@pytest.mark.parametrize(
    ("arrays", "line"),
    [
        ({"a": np.array([RunsCode()], object)}, "weights.npz cannot be read (Object arrays cannot"),
        ({"a": np.full(3, np.nan, np.float32)}, "weights.npz holds something else than numbers"),
        ({"a": np.zeros(3)}, "weights.npz holds something else than numbers"),
        ({"a": np.zeros(2**25, np.float32)}, "weights.npz is larger than it says"),
    ],
    ids=["a pickle", "no numbers", "another type", "too many"],
)
def test_arrays_that_a_process_forges_are_not_taken(arrays, line, monkeypatch, tmp_path):
    result = dict(problem="", network=None, same_network=True, digest="", sketch=[])

    def act(out):
        np.savez_compressed(out / "weights.npz", **arrays)

    found = leaves(monkeypatch, tmp_path, result, act, part="weights")
    assert found["problem"].startswith(f"this part cannot be read: {line}")
    assert not found["same_network"] and os.listdir(tmp_path) == []


# behind the wall


def test_a_part_is_read_behind_the_wall(film, tmp_path, monkeypatch):
    monkeypatch.setenv("LC_MESSAGES", "ru_RU.UTF-8")
    hand_in, into = tmp_path / "hand-in", tmp_path / "into"
    place(hand_in, "videos/False/a.mp4", film)
    into.mkdir()
    found = reader._read_part("videos", ORDER, hand_in, into, find_wall(), LIMITS)["videos"]
    assert found["problem"] == "" and found["files"][0]["frames"] == 20
    assert sorted(os.listdir(into)) == ["strip-0.jpg", "video-0.mp4"]


@pytest.mark.slow
def test_the_reference_run_is_read_whole(tmp_path):
    hand_in, into = tmp_path / "hand-in", tmp_path / "into"
    into.mkdir()
    shutil.copytree(figures.RUN, hand_in / "logs" / "first-run")
    shutil.move(hand_in / "logs" / "first-run" / "weights.pt", hand_in)
    shutil.copytree(ROOT / "videos" / "reference", hand_in / "videos")
    shutil.copytree(ROOT / "img" / "reference", hand_in / "img")
    shutil.copy(ROOT / "a2c_assignment.ipynb", hand_in)
    manifest = {"run": "first-run", "settings": {"nenvs": 16}}
    ways = (hand_in / "a2c_assignment.ipynb", manifest, GAME, into, find_wall(), LIMITS)
    found, seconds = reader.read(hand_in, *ways)
    assert list(seconds) == list(reader.HELD)
    for name, one in found.items():
        check_part(name, one)
        assert one["problem"] == "", name
    (run,) = found["curves"]["runs"]
    assert (round(run["counted"]), run["steps"], run["sittings"]) == (1035, 10_000_000, 7)
    assert run["oddities"] == run["missing"] == [] and round(run["hours"], 1) == 5.9
    assert found["weights"]["same_network"] and found["comments"]["words"] > 200
    assert {one["kind"]: one["frames"] for one in found["videos"]["files"]} == {
        **dict(sampled=1366, greedy=1569)
    }
    assert [row[2] for row in found["notebook"]["rows"]] == ["", "", "", ""]
    assert list(found["notebook"]["shapes"]) == TASKS


@pytest.mark.slow
def test_a_part_that_takes_too_long_leaves_the_others(tmp_path):
    hand_in, into = tmp_path / "hand-in", tmp_path / "into"
    without_end = "![a](data:image/png;base64," + "A" * 500_000
    place(hand_in, "a2c_assignment.ipynb", book(comments(COMMENTS), markdown(without_end)))
    place(hand_in, "img/a.png", picture())
    into.mkdir()
    few = LIMITS._replace(cell=4.0)
    ways = (hand_in / "a2c_assignment.ipynb", {}, GAME, into, find_wall(), few)
    found, _seconds = reader.read(hand_in, *ways)
    assert {name: one["problem"] for name, one in found.items()} == {
        "curves": "logs/ holds no run with curves",
        "weights": "weights.pt is not there",
        "videos": "videos/ holds no video",
        "pictures": "",
        **dict.fromkeys(
            ("comments", "notebook"),
            "this part cannot be read: reading the notebook ran longer than 4 s",
        ),
    }
