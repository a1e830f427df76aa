import ast
import errno
import itertools
import random

import numpy as np
import pytest

from grading.__main__ import main
from grading.marking import likeness as likenesses
from grading.marking import reference
from grading.marking.evidence import Course
from grading.marking.likeness import CODE, COMMENTS, Alike, Likeness
from grading.marking.read.syntax import read_shapes
from grading.marking.reference import ReferenceRunError, read_reference
from grading.marking.schemas import EMPTY
from grading.marking.shelf import Shelf
from grading.sandbox import NO_WALL
from grading.watched import LIMITS
from release.students import stubbed
from tests import notebook
from tests.records import alike, another, changed, record, refused
from tests.right_answers import LEARNERS, MERGES, MODELS, POLICIES, TARGETS, VARIED

WAYS = {  # cell: class, how it was written by different people
    "model-class": ("NatureModel", MODELS),
    "policy-class": ("Policy", POLICIES),
    "value-targets-class": ("ComputeValueTargets", TARGETS),
    "merge-class": ("MergeTimeBatch", MERGES),
    "a2c-class": ("A2C", LEARNERS),
}
WAYS = {
    cell: (task, {name: way for name, way in ways.items() if name not in VARIED})
    for cell, (task, ways) in WAYS.items()
}
TASKS = [task for task, _ in WAYS.values()]
SOLVED = notebook.cells(notebook.read())
GIVEN = {"shapes": read_shapes([stubbed(SOLVED[c], "code", c) for c in WAYS], TASKS), "phrases": []}
REFERENCE = {
    "given": GIVEN,
    "notebook": {"shapes": read_shapes([SOLVED[cell] for cell in WAYS], TASKS), "phrases": []},
}
MARIA, MAX = record(), another("Max Roe")


class Renamed(ast.NodeTransformer):
    """Gives each name of a class's own another one."""

    def __init__(self, own):
        self.own = own

    def visit_Name(self, node):
        node.id = self.own.get(node.id, node.id)
        return node

    def visit_arg(self, node):
        node.arg = self.own.get(node.arg, node.arg)
        return node

    def visit_Attribute(self, node):
        if isinstance(node.value, ast.Name) and node.value.id == "self":
            node.attr = self.own.get(node.attr, node.attr)
        return self.generic_visit(node)


def disguised(source):
    """A copy with other names, no comments, docstrings of its own and its methods turned round."""
    tree = ast.parse(source)
    stored = [node for node in ast.walk(tree) if isinstance(getattr(node, "ctx", 0), ast.Store)]
    own = {node.id for node in stored if isinstance(node, ast.Name)}
    own |= {node.attr for node in stored if isinstance(node, ast.Attribute)}
    own |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)} - {"self"}
    tree = Renamed({name: f"my_{name}_2" for name in own}).visit(tree)
    for node in [*ast.walk(tree)]:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            node.body.insert(0, ast.Expr(ast.Constant("What I thought of.")))
        if isinstance(node, ast.ClassDef):
            node.body[1:] = node.body[:0:-1]
    return ast.unparse(tree)


def written(name, sources):
    """The evidence of a student who wrote the classes so."""
    return changed(another(name), "notebook.shapes", read_shapes(sources, TASKS))


def picked(name):
    """The sources of classes by an independent author: each the one of its ways drawn by name."""
    drawn = random.Random(name)
    return [ways[drawn.choice(sorted(ways))] for _, ways in WAYS.values()]


def parts(one, other, reference=REFERENCE):
    found = alike([one, other], reference)
    assert len(found[one["digest"]]) == len(found[other["digest"]])
    return [each.part for each in found[one["digest"]]]


# code


def test_independent_right_answers_are_not_alike_at_their_most_alike():
    """Of each class the two ways that have the most in common, and the threshold above them."""
    one, other = [], []
    for task, ways in WAYS.values():
        given = {*GIVEN["shapes"][task]}
        shapes = {name: {*read_shapes([ways[name]], [task])[task]} - given for name in ways}
        first, second = max(
            itertools.combinations(shapes, 2),
            key=lambda pair: (
                len(shapes[pair[0]] & shapes[pair[1]])
                / min(len(shapes[pair[0]]), len(shapes[pair[1]]))
            ),
        )
        one, other = [*one, (task, shapes[first])], [*other, (task, shapes[second])]
    common = sum(len(a & b) for (_, a), (_, b) in zip(one, other, strict=True))
    share = common / min(sum(len(shapes) for _, shapes in side) for side in (one, other))
    assert 0.4 < share < 0.5 < CODE
    sides = [{task: sorted(shapes) for task, shapes in side} for side in (one, other)]
    maria, max_ = (changed(another(f"{k}"), "notebook.shapes", s) for k, s in enumerate(sides))
    assert parts(maria, max_) == []


def test_thirty_independent_authors_are_alike_with_nobody():
    class_ = [written(f"Student {k}", picked(f"{k}")) for k in range(30)]
    assert {part for found in alike(class_, REFERENCE).values() for part in found} == set()


@pytest.mark.parametrize("name", ["1", "2", "3"])
def test_a_copy_with_other_names_comments_and_docstrings_is_alike(name):
    sources = picked(name)
    copy = [disguised(source) for source in sources]
    assert all("my_" in source and source not in sources for source in copy)
    maria, max_ = written("Maria", sources), written("Max", copy)
    assert parts(maria, max_) == ["code"]
    (found,) = alike([maria, max_], REFERENCE)[maria["digest"]]
    assert found.other == "Max (max.zip)"
    assert found.how.endswith(
        "of the code in the five classes is written as in another hand-in, whatever its variables "
        "are called; independent right answers share up to 50%."
    )
    assert int(found.how.split("%")[0]) >= 80


def test_a_copy_of_the_solution_is_alike_with_the_reference():
    copy = written("Max", [disguised(SOLVED[cell]) for cell in WAYS])
    ((found,),) = alike([copy], REFERENCE).values()
    assert (found.part, found.other) == ("code", "the reference run")


@pytest.mark.parametrize("part", ["curves", "weights", "notebook", "given"])
def test_a_reference_run_that_cannot_be_read_is_told_of_and_not_kept(part, tmp_path, monkeypatch):
    """Else a copy of it would be alike with nothing, in this call and in each later one."""
    problems, limits = ["killed"], []

    def read(folder, notebook, manifest, game, into, wall, given):
        limits.append(given)
        broken = "notebook" if part == "given" else part
        found = {name: {"problem": "", **empty} for name, empty in EMPTY.items()}
        if problems and (part == "given") == (folder.name == "stubs"):
            found[broken]["problem"] = problems.pop()
        return found, {}

    monkeypatch.setattr(reference, "read", read)
    course = Course(NO_WALL, LIMITS._replace(total=5.0))
    with pytest.raises(ReferenceRunError, match=rf"cannot be read \({part}: killed\)"):
        read_reference(Shelf(tmp_path, course), course)
    found = read_reference(Shelf(tmp_path, course), course)
    assert found["given"]["problem"] == "" and {*limits} == {LIMITS}
    monkeypatch.setattr(reference, "read", None)
    assert read_reference(Shelf(tmp_path, course), course) == found


def test_a_full_disk_under_the_reference_run_ends_the_command_in_one_line(
    tmp_path, monkeypatch, capsys
):
    def read(*given):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(reference, "read", read)
    (tmp_path / "a.rar").write_text("")
    with pytest.raises(SystemExit) as left:
        main(["grade", str(tmp_path), "--out", str(tmp_path / "out")])
    assert left.value.code == 2 and "No space left on device): mend that" in capsys.readouterr().err


def test_what_students_start_from_makes_nobody_alike():
    started = [written(name, [SOLVED[cell] for cell in WAYS]) for name in ("Maria", "Max")]
    given = {"given": {"shapes": started[0]["notebook"]["shapes"], "phrases": []}}
    assert parts(*started, {}) == ["code"]
    assert parts(*started, given) == []


def test_a_few_pieces_of_code_are_too_few_to_compare():
    few = [changed(one, "notebook.shapes", {"A2C": ["a"] * 29}) for one in (MARIA, MAX)]
    assert parts(*few) == []
    of_29, of_30 = ([f"{k:x}" for k in range(n)] for n in (29, 30))
    assert parts(*(changed(one, "notebook.shapes", {"A2C": of_29}) for one in few)) == []
    assert parts(*(changed(one, "notebook.shapes", {"A2C": of_30}) for one in few)) == ["code"]


# the other parts


def runs_of(text):
    words = text.lower().replace(",", "").replace(".", "").split()
    return [" ".join(words[k : k + 6]) for k in range(len(words) - 5)]


COMMENTED = (
    "The reward climbs quickly at first, because the policy learns to shoot, then it stays flat "
    "for a million agent steps until it learns to hide behind the shields. The entropy falls from "
    "log 6 as the policy begins to prefer actions, and it never reaches zero thanks to the bonus."
)
OF_ANOTHER = (
    "At the beginning the reward rises since shooting is easy to learn; afterwards nothing happens "
    "for long. Entropy starts near log 6 because all six actions are equally likely, then it falls "
    "as the policy begins to prefer actions. The value loss grows with the size of the rewards."
)


def test_comments_of_a_students_own_are_not_alike():
    """Even where a whole clause is the same, of which six-word runs few are left."""
    one, other = runs_of(COMMENTED), runs_of(OF_ANOTHER)
    assert 0 < len({*one} & {*other}) < COMMENTS * len(one) / 4
    mine, theirs = changed(MARIA, "notebook.phrases", one), changed(MAX, "notebook.phrases", other)
    assert parts(mine, theirs) == []


def test_comments_that_were_copied_and_touched_up_are_alike():
    copied = COMMENTED.replace("quickly", "fast").replace("thanks to", "because of")
    mine = changed(MARIA, "notebook.phrases", runs_of(COMMENTED))
    theirs = changed(MAX, "notebook.phrases", runs_of(copied + " I like it."))
    (found,) = alike([mine, theirs], {})[MAX["digest"]]
    assert found == Alike(
        "comments",
        "Maria Lopez (maria.zip)",
        "Of 46 runs of six words in the comments, 38 stand in those of another hand-in too.",
    )
    assert parts(mine, theirs, {"given": {"phrases": runs_of(COMMENTED)}}) == []


def test_weights_are_alike_number_for_number_and_after_a_little_more_training():
    same = changed(MAX, "weights.digest", MARIA["weights"]["digest"])
    (found,) = alike([MARIA, same], {})[MAX["digest"]]
    assert found.how == "The weights are those of another hand-in, number for number."
    sketch, noise = np.array(MARIA["weights"]["sketch"]), np.array(MAX["weights"]["sketch"])
    near = changed(MAX, "weights.sketch", (sketch + 0.2 * noise).tolist())
    (found,) = alike([MARIA, near], {})[MAX["digest"]]
    assert found.part == "weights" and "correlate by 0.98 with" in found.how
    seed = changed(MAX, "weights.sketch", (sketch + 0.6 * noise).tolist())
    assert parts(MARIA, seed) == []
    short = changed(near, "curves.runs.0.steps", 999_999)  # one seed, and little training
    assert parts(MARIA, short) == []


@pytest.mark.parametrize(
    "sketch", [[], [0.0] * 4096, [1e300] * 4096, [1e300, -1e300] * 2048, [0.1]]
)
def test_weights_of_an_odd_sketch_are_alike_with_nobody(sketch):
    assert parts(MARIA, changed(MAX, "weights.sketch", sketch)) == []


@pytest.mark.parametrize("common, found", [(10, []), (11, ["curves"])])
def test_curves_are_alike_from_a_tenth_of_their_stretches_on(common, found):
    stretches = MARIA["curves"]["runs"][0]["floats"], MAX["curves"]["runs"][0]["floats"]
    mixed = [*stretches[0][:common], *stretches[1][common:]]
    assert parts(MARIA, changed(MAX, "curves.runs.0.floats", mixed)) == found


def test_curves_of_any_run_count_and_one_stretch_is_chance():
    run = MARIA["curves"]["runs"][0]
    both = changed(MAX, "curves.runs", [*MAX["curves"]["runs"], run])
    assert parts(MARIA, both) == ["curves"]
    short = changed(MAX, "curves.runs.0.floats", run["floats"][:1])
    assert parts(MARIA, short) == []


def test_a_video_of_another_hand_in_or_of_the_reference_is_alike():
    digest = MARIA["videos"]["files"][1]["digest"]
    copied = changed(MAX, "videos.files.0.digest", digest)
    assert parts(MARIA, copied) == ["videos"]
    (found,) = alike([MAX], {"videos": MAX["videos"]})[MAX["digest"]]
    assert found == Alike(
        "videos",
        "the reference run",
        "Videos that show the very same game as one of the reference run: 2. Two policies that "
        "always take the same action show such videos too.",
    )
    unread = [changed(one, "videos.files.0.digest", "") for one in (MARIA, MAX)]
    assert parts(*unread) == []


def test_videos_that_are_broken_in_one_way_are_no_copies():
    same = changed(MAX, "videos.files.0.digest", MARIA["videos"]["files"][0]["digest"])
    problem = "videos.files.0.problem", "every frame is the same"
    still = [changed(one, *problem) for one in (MARIA, same)]
    assert parts(MARIA, same) == ["videos"] and parts(*still) == []


def test_two_hand_ins_of_one_student_are_not_compared():
    again = changed(record(file="maria-2.zip"), "digest", "0" * 64)
    assert parts(record(), again) == []
    assert len(parts(record(), changed(again, "manifest.name", "Max Roe"))) == 5


def test_one_file_handed_in_under_two_names_is_told_whoever_it_names():
    copy = record(file="max.zip")
    found = alike([record(), copy], {})[copy["digest"]]
    assert {each.part for each in found} == {"archive"}
    assert {each.other for each in found} == {"Maria Lopez (maria.zip)", "Maria Lopez (max.zip)"}


def test_a_refused_archive_is_alike_with_nobody():
    broken = {**refused(), "digest": "1" * 64}
    assert alike([record(), broken], REFERENCE)[broken["digest"]] == []


# many hand-ins


def test_among_many_each_finds_those_that_it_is_alike_with_in_their_order():
    class_ = [another(f"Student {k}") for k in range(20)]
    floats = class_[3]["curves"]["runs"][0]["floats"]
    for k in (9, 17):
        class_[k] = changed(class_[k], "curves.runs.0.floats", floats)
    likeness = Likeness({})
    for k in random.Random(3).sample(range(20), 20):
        likeness.put(k, class_[k])
    others = {k: [one.other for one in likeness.of(k)] for k in range(20)}
    names = {k: f"Student {k} (student.zip)" for k in (3, 9, 17)}
    expected = {k: [name for j, name in names.items() if j != k] for k in names}
    assert others == {k: expected.get(k, []) for k in range(20)}


def test_a_hand_in_that_is_put_again_counts_as_it_is_now():
    likeness = Likeness({})
    copy = changed(MAX, "weights.digest", MARIA["weights"]["digest"])
    for key, evidence in enumerate((MARIA, copy)):
        likeness.put(key, evidence)
    assert [one.part for one in likeness.of(0)] == ["weights"]
    likeness.put(1, MAX)
    assert likeness.of(0) == likeness.of(1) == []
    likeness.put(1, copy)
    assert [one.part for one in likeness.of(0)] == ["weights"]


def test_of_two_that_share_pieces_but_are_not_alike_nothing_is_kept():
    """Or else what is kept would grow with the square of the class."""
    likeness, common = Likeness({}), [f"{k:x}" for k in range(25)]
    for k in range(5):
        one = another(f"Student {k}")
        own = [f"{k} {n}" for n in range(40)]
        likeness.put(k, changed(one, "notebook.shapes", {"A2C": common + own}))
    assert likeness._found == [{None: []}] * 5


def test_many_sketches_are_compared_with_all_that_came_before(monkeypatch):
    monkeypatch.setattr(likenesses, "ROWS", 2)
    sketches = likenesses._Sketches()
    made = [likenesses._standardized(_drawn_sketch(k)) for k in (0, 1, 2, 3, 4, 1)]
    near = [sketches.put(place, sketch) for place, sketch in enumerate(made)]
    assert near[:5] == [{}] * 5 and [*near[5]] == [1]
    assert near[5][1] == pytest.approx(1, abs=1e-3)


def _drawn_sketch(seed):
    return np.random.default_rng(seed).normal(size=4096).tolist()
