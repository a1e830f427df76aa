"""What graders see: everything that they judge by, and nothing of it can do anything."""

import html.parser
import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from grading.marking import drawings, pages, schemas
from grading.marking.likeness import Alike
from grading.marking.replay import nothing
from grading.marking.verdict import decide
from lesson.assignment import read_assignment
from tests.browser import CHROMIUM, browser
from tests.records import alike, another, changed, record, refused, write_files

ASSIGNMENT = read_assignment()
ROOT = Path(__file__).parent.parent
TEMPLATES = Path(pages.__file__).parent / "templates"
NOTHING = {name: {"problem": f"no {name}", **schemas.EMPTY[name]} for name in schemas.EMPTY}
NOTHING |= {"replay": nothing("no weights"), "checks": {"problem": "no cells", "tasks": {}}}
NOTHING["checks"] |= {"helpers": [], "seeds": []}
SAME, CEM = Alike("code", "Ann A (ann.zip)", "So."), "Cem C (cem.zip)"
RUNS = "window.ran=(window.ran||0)+1"
HOSTILE = {
    "script": f"<script>{RUNS}</script>",
    "closing": f"</pre></style></title></textarea></svg><script>{RUNS}</script>",
    "attribute": f'" onmouseover="{RUNS}" autofocus onfocus="{RUNS}" x="',
    "apostrophe": f"' onmouseover='{RUNS}' style='background:url(http://127.0.0.1:9/a)",
    "picture": f"<img src=http://127.0.0.1:9/b onerror='{RUNS}'>",
    "style": "<style>body{display:none;background:url(http://127.0.0.1:9/c)}</style>",
    "frame": "<iframe src='data:text/html,<script>parent.ran=1</script>'></iframe>",
    "refresh": "<meta http-equiv=refresh content='0;url=http://127.0.0.1:9/d'><base href=//e>",
    "link": f"[x](javascript:{RUNS}) ![y](http://127.0.0.1:9/f) <http://127.0.0.1:9/g>",
    "data": f"[x](data:text/html;base64,PHNjcmlwdD4=) ![y](data:image/svg+xml,<svg onload={RUNS}>)",
    "table": f"|a|b|\n|:-:|-:|\n|<b onclick={RUNS}>|$$<script>{RUNS}</script>$$|",
    "math": f"$<script>{RUNS}</script>$\n\n$$\n<script>{RUNS}</script>\n$$",
    "wide": f"|{'a|' * 200}\n|{'-|' * 200}\n|{'1_000_000_000|' * 200}",
    "long": "x" * 3000,
    "template": "{{ 7 * 7 }}{% raw %}{# x #}",
    "reference": "[x]: javascript:alert(1) 'onclick=1'\n\n[x] [x][x] ```<script>",
}


class Elements(html.parser.HTMLParser):
    """All elements of a page with their attributes, and the text of its body."""

    def __init__(self, page):
        super().__init__()
        self.found, self.text = [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def handle_data(self, data):
        if "body" in dict(self.found):
            self.text.append(data)

    def words(self):
        return " ".join("".join(self.text).split())

    def all(self, wanted):
        return [attributes for tag, attributes in self.found if tag == wanted]


def entry(evidence, folder, alike=(), **given):
    verdict = decide(evidence, list(alike), ASSIGNMENT, **given)
    return pages.Entry(evidence["file"].removesuffix(".zip"), folder, evidence, verdict, [*alike])


def student(evidence, folder, **given):
    return pages.student(evidence, folder, entry(evidence, folder, **given).verdict, ASSIGNMENT)


def filled(evidence, text):
    """Returns evidence in which a text stands wherever a student can put one."""
    bare = {"kind", "result", "digest", "packed", "strip", "copy", "picture", "wall", "grader"}

    def put(value, key=""):
        if isinstance(value, dict):
            return {k: put(v, k) for k, v in value.items()}
        if isinstance(value, list):
            return [put(one, key) for one in value]
        return text if isinstance(value, str) and key not in {*bare, "floats"} else value

    changes = dict(problem="", seconds=evidence["seconds"], released=evidence["released"])
    return {**put(evidence), **changes}


@pytest.fixture
def complete(tmp_path):
    evidence = record()
    write_files(evidence, tmp_path)
    return evidence, tmp_path


def test_a_students_page_begins_with_the_verdict_and_its_reasons(complete):
    text = Elements(student(*complete)).words()
    marks = [
        "Maria Lopez",
        "10 points",
        "What holds",
        "A correct A2C",
        "The score:",
        "Checks of",
        "Curves, and",
    ]
    assert sorted(marks, key=text.index) == marks


def test_a_students_page_tells_first_what_a_grader_has_to_judge(complete):
    evidence = changed(complete[0], "checks.tasks.A2C", {"result": "failed", "message": "no sum"})
    text = Elements(student(evidence, complete[1])).words()
    marks = [
        "For the grader",
        "For a grader to judge",
        "The check of A2C failed. no sum",
        "What holds",
    ]
    assert sorted(marks, key=text.index) == marks


def test_a_students_page_tells_of_a_graders_own_points(complete):
    text = Elements(student(*complete, overruled=(8, "talked to her"))).words()
    assert text.index("8 points") < text.index("talked to her") < text.index("What holds")


def test_a_students_page_names_no_other_student(complete):
    alike = [Alike("code", "Jonas Weber, jonas.zip", "Its code is like another hand-in's.")]
    page = student(*complete, alike=alike)
    assert "Its code is like another hand-in&#39;s." in page
    assert "Jonas" not in page and "jonas" not in page


def test_a_students_page_holds_claim_and_replay(complete):
    text = Elements(student(*complete)).words()
    assert "Claimed: best with 100 games behind it655" in text
    assert "Replayed, sampled actions663600 to 726395 to 1,01032" in text
    assert "Replayed, greedy actions612560 to 665420 to 88032" in text


def test_a_students_page_holds_videos_and_pictures(complete):
    found = Elements(student(*complete))
    assert [v["src"][:22] for v in found.all("video")] == ["data:video/mp4;base64,"] * 2
    kinds = [picture["src"].partition(";")[0] for picture in found.all("img")]
    assert kinds == ["data:image/jpeg"] * 2 + ["data:image/png"] * 3
    assert all(picture["alt"] for picture in found.all("img"))


def test_a_students_page_shows_a_diff_line_by_line(complete):
    diff = "--- a\n+++ b\n@@ -1 +1 @@\n-x = 1\n+x = 2 < 3\n"
    helpers = [{"name": "runners.py", "diff": diff}]
    page = student(changed(complete[0], "checks.helpers", helpers), complete[1])
    assert '<span class="gone">-x = 1</span>' in page
    assert '<span class="added">+x = 2 &lt; 3</span>' in page


def test_a_students_page_of_a_refused_hand_in_says_why(tmp_path):
    evidence = refused()
    page = student(evidence, tmp_path)
    assert '<h1 dir="auto">maria.zip</h1>' in page
    assert "The archive cannot be used: maria.zip is no archive: pack again" in page


def test_a_students_page_holds_a_line_for_every_part_that_could_not_be_read(tmp_path):
    text = Elements(student({**record(), **NOTHING}, tmp_path)).words()
    below = text[text.index("The score: claimed and replayed") :]  # of the verdict
    for part in NOTHING.values():
        assert part["problem"] in below


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_page_shows_what_a_student_wrote_as_text(text, tmp_path):
    evidence = filled(record(), text)
    write_files(record(), tmp_path)
    one = entry(evidence, tmp_path, [Alike("code", text, text)])
    made = [pages.student(evidence, tmp_path, one.verdict, ASSIGNMENT)]
    made += [pages.task(part, [one], 1, ASSIGNMENT) for part in pages.PARTS]
    for page in made:
        found = Elements(page)
        assert not found.all("script") and not found.all("iframe")
        assert len(found.all("style")) == 1 and len(found.all("meta")) == 5
        _check_attributes(found)
    _check_attributes(Elements(pages.class_page([one], ASSIGNMENT)))


def _check_attributes(found):
    for tag, attributes in found.found:
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
        assert re.match(
            r"data:(image/(png|jpeg)|video/mp4);", attributes.get("src", "data:image/png;")
        )
        if "href" in attributes and tag != "link":
            assert re.match(r"#[a-z]+$|\.\./index\.html$|(\.\./)?(students|tasks)/[\w%.-]+\.html$",
                            attributes["href"])  # fmt: skip


@pytest.mark.parametrize("code", [0x202E, 0x2066, 0x200B, 0xAD, 0x1B, 0xE0041, 0xD800, 0xFEFF])
def test_a_page_shows_characters_that_hide_or_turn_what_stands_there(code, complete):
    evidence = changed(complete[0], "comments.text", f"up{chr(code)}down " * 3)
    page = student(changed(evidence, "manifest.name", f"Ma{chr(code)}ria"), complete[1])
    assert chr(code) not in page
    assert f"Ma⟨U+{code:04X}⟩ria</h1>" in page and f"up⟨U+{code:04X}⟩down" in page
    page.encode("utf-8")


def test_markdown_keeps_emphasis_lists_code_and_formulas_and_loses_links():
    text = "- *value loss*: [see](http://a.b/c) `x_1` and $L_\\pi$\n\n# Head\n\n![y](img/y.png)"
    assert pages._markdown(text) == (
        "<ul>\n<li><em>value loss</em>: see (http://a.b/c) <code>x_1</code> and "
        '<code>L_\\pi</code></li>\n</ul>\n<p class="heading">Head</p>\n<p>y (img/y.png)</p>\n'
    )


def test_markdown_that_is_long_is_shown_as_it_is():
    text = "*a* <b> " * 4000
    assert pages._markdown(text) == f"<pre>{text.replace('<b>', '&lt;b&gt;')}</pre>"


def test_markdown_leaves_out_pictures_that_are_written_into_it():
    data = f"data:image/png;base64,{'A' * 90_000}"
    shown = "<p>y (data:image/png)</p>\n"
    assert pages._markdown(f"![y]({data})") == shown
    assert pages._markdown(f"![y][z]\n\n[z]: {data}") == shown


def test_a_page_takes_no_file_but_regular_ones_of_known_kinds(tmp_path):
    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "a.png").write_bytes(b"\x89PNG....")
    (inside / "link.png").symlink_to(tmp_path / "a.png")
    (inside / "text.png").write_bytes(b"<svg onload=x>")
    (inside / "a.svg").write_bytes(b"<svg/>")
    (inside / "folder.png").mkdir()
    (inside / "right.png").write_bytes(b"\x89PNG....")
    embed = pages._Files(100)
    names = ["../a.png", str(tmp_path / "a.png"), "link.png", "text.png", "a.svg", "folder.png"]
    assert [embed(inside, name) for name in [*names, "missing.png", ""]] == [""] * 8
    assert embed(inside, "right.png") == "data:image/png;base64,iVBORy4uLi4="


def test_a_page_that_is_full_says_what_is_not_in_it(complete, monkeypatch):
    monkeypatch.setattr(pages, "LARGEST_PAGE", 400_000)  # each video fits alone
    page = student(*complete)
    assert page.count("<video") == 1
    assert "This one is not in the page: play it from the hand-in." in page


def test_a_task_page_has_no_names_outside_of_what_is_folded(tmp_path):
    entries = [entry(another(name), tmp_path) for name in ("Ann A", "Bob B", "Cem C")]
    page = pages.task("comments", entries, 7, ASSIGNMENT)
    open_text = re.sub(r"<details class=\"whose\">.*?</details>", "", page, flags=re.DOTALL)
    assert not re.search("ann|bob|cem", open_text, re.IGNORECASE)
    assert "Ann A" in page and 'href="../students/ann.html"' in page


def test_a_task_pages_order_hangs_on_the_seed_and_not_on_who_else_is_there(tmp_path):
    entries = [entry(another(f"Ann{k} A"), tmp_path) for k in range(6)]

    def order(entries, seed):
        return re.findall(r"students/(\w+)", pages.task("comments", entries, seed, ASSIGNMENT))

    assert sorted(order(entries, 7)) == [f"ann{k}" for k in range(6)]
    assert order(entries, 7) == order(entries[::-1], 7) != order(entries, 8)
    assert order(entries[:4], 7) == [n for n in order(entries, 7) if n < "ann4"]


def test_a_task_of_many_hand_ins_has_several_pages_that_lead_to_each_other(tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "PER_PAGE", 2)
    entries = [entry(another(f"Ann{k} A"), tmp_path) for k in range(5)]
    assert pages.count_pages(entries) == 3 and pages.count_pages([]) == 1
    made = [pages.task("comments", entries, 7, ASSIGNMENT, page) for page in (1, 2, 3)]
    shown = [re.findall(r"students/(\w+)", page) for page in made]
    assert [*map(len, shown)] == [2, 2, 1] and len({*sum(shown, [])}) == 5
    assert all("Comments, over 5 hand-ins" in page for page in made)
    assert "Hand-in 3 of 5" in made[1] and "Hand-in 5 of 5" in made[2]
    assert [re.findall(r'href="(comments[^"]*)"', page) for page in made[1:]] == [
        ["comments.html", "comments-3.html"],
        ["comments.html", "comments-2.html"],
    ]


def test_a_task_page_shows_the_class_that_a_check_is_of(tmp_path):
    page = pages.task("NatureModel", [entry(record(), tmp_path)], 7, ASSIGNMENT)
    assert "class NatureModel(nn.Module):\n    pass</pre>" in page
    page = pages.task("Policy", [entry(record(), tmp_path)], 7, ASSIGNMENT)
    assert "No cell of the notebook defines this class." in page


def test_a_cell_of_blank_lines_is_searched_in_no_time():
    cells = [dict(kind="code", source=source) for source in ("\n" * 50_000, "if 1:\n  class A2C:")]
    started = time.monotonic()
    assert pages._code({"notebook": {"cells": cells}}, "A2C") == cells[1:]
    assert time.monotonic() - started < 5  # and not 45 minutes


@pytest.mark.parametrize("part", pages.PARTS)
def test_a_task_page_stands_hand_ins_of_which_nothing_could_be_read(part, tmp_path):
    entries = [entry({**record(), **NOTHING}, tmp_path), entry(refused(), tmp_path)]
    assert "Hand-in 1 of 1" in pages.task(part, entries, 7, ASSIGNMENT)


def group(tmp_path):
    """A class: two fail alike, two are alike, one is refused."""
    failed = {
        "result": "failed",
        "message": "A2C: the policy term is 0.031 times what it should be",
    }
    other = {**failed, "message": failed["message"].replace("0.031", "12")}
    ann, bob = another("Ann A"), another("Bob B")
    cem = changed(another("Cem C"), "curves.runs.0.counted", 431.0)
    return [
        entry(changed(ann, "checks.tasks.A2C", failed), tmp_path, [SAME._replace(other=CEM)]),
        entry(changed(bob, "checks.tasks.A2C", other), tmp_path),
        entry(cem, tmp_path, [SAME]),
        entry(record(), tmp_path),
        entry(refused(file="dan.zip"), tmp_path),
    ]


def cells(page, heading):
    """The texts of a table's rows, in the section with a heading."""
    section = page[page.index(f">{heading}</h2>") :].partition("</section>")[0]
    rows = re.findall(r"<tr.*?</tr>", section, re.DOTALL)
    return [
        [" ".join(re.sub(r"<[^>]+>", "", cell).split()) for cell in re.split(r"</t[hd]>", row)[:-1]]
        for row in rows
    ]


def test_the_class_page_has_a_row_for_every_hand_in(tmp_path):
    rows = cells(pages.class_page(group(tmp_path), ASSIGNMENT), "Hand-ins")
    packed = "2026-11-20 18:03"
    assert rows[1:] == [
        ["Ann A", "A", "for the grader", "checks, alike", "655", "663 600–726", "4 of 5", packed],
        ["Bob B", "A", "for the grader", "checks", "655", "663 600–726", "4 of 5", packed],
        ["Cem C", "A", "for the grader", "alike", "431", "663 600–726", "5 of 5", packed],
        ["dan.zip", "", "for the grader", "archive", "–", "–", "–", packed],
        ["Maria Lopez", "A", "10", "", "655", "663 600–726", "5 of 5", packed],
    ]


def test_the_class_page_puts_failures_together_that_differ_in_numbers_only(tmp_path):
    rows = cells(pages.class_page(group(tmp_path), ASSIGNMENT), "Checks that fail alike")
    message = "A2C: the policy term is … times what it should be"
    assert rows[1:] == [["A2C", message, "2: Ann A, Bob B"]]


@pytest.mark.parametrize("number", ["7", "0.031", "1,234,567", "1 234 567", "1\u202f234.5"])
def test_the_class_page_knows_a_number_in_any_language(number, tmp_path):
    failed = {"result": "failed", "message": f"A2C: {number} is no norm of 12"}
    entries = [entry(changed(record(), "checks.tasks.A2C", failed), tmp_path)]
    rows = cells(pages.class_page(entries, ASSIGNMENT), "Checks that fail alike")
    assert rows[1][1] == "A2C: … is no norm of …"


def test_the_class_page_tells_each_pair_that_is_alike_once(tmp_path):
    rows = cells(pages.class_page(group(tmp_path), ASSIGNMENT), "Who is alike with whom")
    assert rows[1:] == [["Ann A", "Cem C", "code", "So."]]


def test_the_class_page_knows_hand_ins_by_the_names_that_likeness_gives_them(tmp_path):
    evidences = [record(), record(file="copy.zip", digest="c" * 64)]
    evidences[1]["manifest"] = {**evidences[1]["manifest"], "name": "Cem C"}
    found = alike(evidences, {})
    entries = [entry(one, tmp_path, found[one["digest"]]) for one in evidences]
    rows = cells(pages.class_page(entries, ASSIGNMENT), "Who is alike with whom")
    assert {(one, other) for one, other, *_ in rows[1:]} == {("Cem C", "Maria Lopez")}
    assert len(rows) == 1 + len(found["c" * 64])


def test_the_class_page_stands_no_hand_ins_at_all():
    assert "Space Invaders: 0 hand-ins" in pages.class_page([], ASSIGNMENT)


def test_a_curve_stands_where_its_values_are():
    svg = drawings.curve("score", [0, 50, 100], [0, 500, 1000], [500], (0, 1000))
    assert 'points="0.0,1000.0 500.0,500.0 1000.0,0.0"' in svg
    assert '<line class="mark" x1="0%" x2="100%" y1="50.00%" y2="50.00%">' in svg
    assert 'aria-label="score, over 100 agent steps: from 0 to 1,000"' in svg


def test_a_curve_with_other_numbers_of_steps_than_of_values_is_left_out(complete):
    points = complete[0]["curves"]["points"]
    points["A2C/entropy"]["steps"].pop()
    points["Episodes/reward_mean_100"]["values"].clear()
    page = student(*complete)
    assert page.count('class="plot curve"') == 8
    assert "entropy of the policy, in nats, over" not in page


def test_a_page_tells_who_played_where_the_students_own_policy_did_not(complete):
    text = "a network of the grader's with these weights played these games"
    assert text not in Elements(student(*complete)).words()
    played = changed(complete[0], "replay.player", "the reference network")
    assert text in Elements(student(played, complete[1])).words()


def test_a_curve_stands_where_its_values_are_below_0_too():
    svg = drawings.curve("score", [0, 100], [-20, 20], [0], (-20, 20))
    assert 'points="0.0,1000.0 1000.0,0.0"' in svg
    assert '<line class="mark" x1="0%" x2="100%" y1="50.00%" y2="50.00%">' in svg


@pytest.mark.parametrize("values", [[0.0], [5.0], [-3.0, -3.0], [1e300, -1e300], [1e-300, 0]])
def test_a_curve_stands_any_finite_values(values):
    assert "nan" not in drawings.curve("loss", range(len(values)), values)


def test_a_strip_has_a_dot_for_every_game_and_the_interval():
    played = dict(scores=[0.0, 500.0, 1000.0], mean=500.0, low=250.0, high=750.0)
    svg = drawings.strip({"greedy": played}, [400], (0, 1000))
    assert [*re.findall(r'cy="([\d.]+)%" r="3"', svg)] == ["88.00", "50.00", "12.00"]
    assert 'class="interval" x1="84.00%" x2="84.00%" y1="69.00%" y2="31.00%"' in svg


def test_a_histogram_counts_hand_ins():
    svg = drawings.histogram([110.0, 120.0, 990.0], [400])
    assert re.findall(r'class="mark"[^>]*>([^<]+)<', svg) == ["400"]
    assert re.findall(r'text-anchor="middle">(\d+)<', svg)[:2] == ["2", "1"]


@pytest.mark.parametrize("template", sorted(TEMPLATES.glob("*.html")), ids=lambda path: path.name)
def test_a_template_holds_no_word_that_cannot_be_translated(template):
    text = re.sub(r"{#.*?#}|{%.*?%}|{{.*?}}", "", template.read_text("utf-8"), flags=re.DOTALL)
    said = re.sub(r"<[^<>]*>", "", text)
    assert not re.findall(r"[^\W\d_]+", said)


def test_no_word_of_a_page_stays_english_where_every_message_is_translated():
    command = [sys.executable, "-m", "tests.foreign"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(told.stdout) == []


def test_a_page_says_in_which_language_it_is(complete, monkeypatch):
    monkeypatch.setattr(pages, "languages", lambda: ["en", "xx"])
    assert '<html lang="en">' in student(*complete)
    monkeypatch.setenv("A2C_LANGUAGE", "xx")
    assert '<html lang="xx">' in student(*complete)
    monkeypatch.setenv("A2C_LANGUAGE", "none such")
    assert '<html lang="en">' in student(*complete)


@pytest.mark.parametrize("points, text", [(1, "1 point"), (8, "8 points"), (1.5, "1.5 points")])
def test_points_are_counted_in_words(points, text, complete):
    page = student(*complete, overruled=(points, ""))
    assert f'<h2 id="verdict">{text}</h2>' in page
    assert f"A grader gave {text}, whatever the rules say." in page


def _luminance(colour):
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(w * p for w, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_every_colour_of_text_differs_enough_from_what_is_behind():
    style = (TEMPLATES / "style.css").read_text("utf-8")
    themes = [dict(re.findall(r"--([\w-]+): (#\w{6});", one)) for one in style.split(":root {")[1:]]
    assert len(themes) == 3  # light, dark, print
    for theme in themes:
        pairs = [(ink, back) for ink in ("ink", "soft", "link", "earned", "asks", "line")
                 for back in ("paper", "card")]  # fmt: skip
        for ink, back in [*pairs, ("earned", "earned-back"), ("asks", "asks-back")]:
            low, high = sorted(_luminance(theme[name]) for name in (ink, back))
            assert (high + 0.05) / (low + 0.05) >= 4.5, (ink, back)


# in a browser


@pytest.fixture(scope="module")
def tab():
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    with browser() as page:
        yield page


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Writes the pages of a class, one of whose hand-ins holds everything hostile."""
    tmp_path = tmp_path_factory.mktemp("pages")
    entries = group(tmp_path)
    hostile = filled(record(file="mallory.zip"), "\n\n".join(HOSTILE.values()))
    for figure in ("best", "last", "counted", "hours"):
        hostile["curves"]["runs"][0][figure] = 1e300
    hostile["curves"]["points"]["A2C/entropy"] = {"steps": [1e300, -1e300], "values": [1e300, -1]}
    entries.append(entry(hostile, tmp_path)._replace(slug="mallory"))
    write_files(record(), tmp_path)
    made = {"index": pages.class_page(entries, ASSIGNMENT)}
    made["small"] = pages.class_page(entries[:-1], ASSIGNMENT)
    for one in (entries[-1], entries[-3]):
        made[one.slug] = pages.student(one.evidence, tmp_path, one.verdict, ASSIGNMENT)
    for part in ("A2C", "curves", "videos", "comments"):
        made[part] = pages.task(part, entries, 7, ASSIGNMENT)
    for name, page in made.items():
        (tmp_path / f"{name}.html").write_text(page, encoding="utf-8")
    return tmp_path


NAMES = ["index", "maria", "mallory", "A2C", "curves", "videos", "comments"]


@pytest.mark.parametrize("name", NAMES)
def test_a_page_runs_nothing_and_asks_for_no_file_but_itself(name, written, tab):
    tab.open(written / f"{name}.html")
    tab.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true })")
    tab.evaluate("new Promise((done) => setTimeout(done, 100))")
    assert tab.errors == []
    assert [url for url in tab.requests if not url.startswith("data:")] == [
        (written / f"{name}.html").as_uri()
    ]
    assert tab.evaluate("window.ran") is None


@pytest.mark.parametrize("width", [390, 1100])
def test_a_page_is_as_wide_as_its_window(width, written, tab):
    for name in NAMES:
        tab.open(written / f"{name}.html", width)
        tab.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true })")
        assert tab.evaluate("document.documentElement.scrollWidth") == width, name


def test_a_pages_headings_leave_out_no_level(written, tab):
    for name in NAMES:
        tab.open(written / f"{name}.html")
        script = "[...document.querySelectorAll('h1,h2,h3,h4')].map((h) => Number(h.tagName[1]))"
        levels = tab.evaluate(script)
        assert levels[0] == 1 and levels.count(1) == 1
        assert all(b <= a + 1 for a, b in zip(levels, levels[1:], strict=False)), name


def test_a_students_videos_play(written, tab):
    tab.open(written / "maria.html")
    assert tab.evaluate("document.querySelectorAll('video').length") == 2
    script = """Promise.all([...document.querySelectorAll('video')].map(async (video) => {
        await video.play();
        while (video.currentTime < 0.1) await new Promise((done) => setTimeout(done, 20));
        return video.readyState >= 2 && video.videoWidth === 160;
    }))"""
    assert tab.evaluate(script) == [True, True]
    assert tab.errors == []


def test_a_page_lets_nothing_run_that_got_into_it(written, tab):
    tab.open(written / "maria.html")
    script = """(() => {
        document.body.insertAdjacentHTML("beforeend", "<b onclick='window.ran=1'>x</b>");
        document.body.lastChild.click();
        const made = document.createElement("script");
        made.textContent = "window.ran=1";
        document.head.append(made);
        const style = document.createElement("style");
        style.textContent = "body{display:none}";
        document.head.append(style);
        return [window.ran ?? 0, getComputedStyle(document.body).display];
    })()"""
    assert tab.evaluate(script) == [0, "block"]
    script = """new Promise((done) => {
        document.addEventListener("securitypolicyviolation", (e) => done(e.blockedURI));
        new Image().src = "http://127.0.0.1:9/a.png";
    })"""
    assert tab.evaluate(script) == "http://127.0.0.1:9/a.png"


def test_a_page_is_dark_where_the_grader_wants_it(written, tab):
    script = "getComputedStyle(document.documentElement).backgroundColor"
    assert tab.open(written / "maria.html").evaluate(script) == "rgb(251, 250, 248)"
    assert tab.open(written / "maria.html", dark=True).evaluate(script) == "rgb(22, 23, 26)"


FIRST = "[...document.querySelectorAll('table.class tbody tr')].filter((r) => !r.hidden)"
CLAIMED = f"{FIRST}.map((row) => row.cells[4].textContent)"


def test_the_class_page_sorts_by_keyboard(written, tab):
    tab.open(written / "small.html")
    tab.evaluate("document.querySelectorAll('th button')[3].focus()")
    tab.press("Tab")
    tab.press("Enter")
    assert tab.evaluate(CLAIMED) == ["431", "655", "655", "655", "–"]
    assert tab.evaluate("document.activeElement.parentElement.ariaSort") == "ascending"
    tab.press("Enter")
    assert tab.evaluate(CLAIMED) == ["655", "655", "655", "431", "–"]
    assert tab.evaluate("document.activeElement.parentElement.ariaSort") == "descending"
    assert tab.evaluate("document.querySelectorAll('[aria-sort]').length") == 1


def test_the_class_page_filters_by_word_and_by_mark(written, tab):
    tab.open(written / "small.html")
    names = f"{FIRST}.map((row) => row.cells[0].textContent)"
    enter = "(id, text) => {{ const e = document.getElementById(id); e.value = text; {} }}"
    enter = enter.format("e.dispatchEvent(new Event('input'))")
    tab.evaluate(f"({enter})('words', 'ALIKE')")
    assert tab.evaluate(names) == ["Ann A", "Cem C"]
    assert tab.evaluate("document.querySelector('[role=status]').textContent") == "2 of 5 shown"
    tab.evaluate(f"({enter})('words', 'cem')")
    assert tab.evaluate(names) == ["Cem C"]
    tab.evaluate(f"({enter})('words', '')")
    tab.evaluate(f"({enter})('mark', '10')")
    assert tab.evaluate(names) == ["Maria Lopez"]


def test_a_page_can_be_printed(written, tab):
    tab.open(written / "maria.html")
    tab.printed(written / "maria.pdf")
    assert 2 <= (written / "maria.pdf").read_bytes().count(b"/Type /Page\n") <= 5
