import pytest

from grading.anew import made_anew
from grading.cells import Notebook
from grading.check import OBJECTS
from tests import notebook

CLASS = "class A2C:\n    number = {}"
ALL = "env = settings = model = policy = runner = optimizer = 0\na2c = A2C()"
TRAIN = "def train(minutes):\n    while True:\n        a2c.step(runner.get_next())"
CATCH = "def learn_catch(a2c):\n    runner = EnvRunner(a2c)\n    runner.get_next()"
MADE = "a2c = A2C()"


def anew(*below):
    """The numbers of the cells below the first that are found."""
    cells = [(str(k), source) for k, source in enumerate([TRAIN, *below])]
    return "".join(name for name, _source in made_anew(cells, 1))


@pytest.mark.parametrize(
    ("below", "found"),
    [
        ((MADE,), "1"),
        (("x = 1", MADE, "print(a2c)"), "2"),
        (("optimizer, a2c = 1, 2", "model: object = 3", "for policy in []: pass"), "123"),
        (("from mine import A2C", "runner = a2c = 1"), "12"),
        (("%%time\na2c = 1", "%matplotlib inline\n!ls\na2c = 1"), "12"),
        (("class Policy: pass", "def MergeTimeBatch(): pass"), "12"),
        (("class Better(A2C): pass", "beta = 1", "x = 2", "a2c = Better(beta)"), "124"),
        (("a2c.x = 1", "A2C.step = other", "a2c.x += 1", "policy.act, x = 1, 2"), "1234"),
        (("def other():\n    a2c = 1", "a2c == 1", "x.a2c = 1", "x[a2c] = 1", "f(a2c=1)"), ""),
        (("print(a2c.x)", "x = a2c.x", "def other():\n    a2c.x = 1"), ""),
        (("class PPO(A2C): pass", "class Other:\n    a2c = 1", "[a2c for a2c in x]"), ""),
        (("env = 1", "settings = 2", "%%bash\nls -l", "a2c = ("), ""),
    ],
)
def test_cells_that_make_what_is_judged_are_found_with_what_they_use(below, found):
    assert anew(*below) == found


@pytest.mark.parametrize(
    ("below", "found"),
    [
        (("speed = train(10)", MADE), ""),
        ((MADE, "speed = train(10)", MADE), "1"),
        ((f"{MADE}\ntrain(10)", MADE), "1"),
        (("for _ in range(9):\n    runner.get_next()", MADE), ""),
        (("def go(runner):\n    runner.get_next()", MADE, "if True: go(runner)", MADE), "2"),
        (("class Go:\n    def on(self):\n        train(1)", MADE, "Go().on()", MADE), "2"),
        (("%%time\ntrain(1)", MADE), ""),
        ((CATCH, "learn_catch(a2c)", "train", MADE), ""),
        ((CATCH, "learn_catch(a2c)", MADE, "train(2)", MADE), "3"),
        (("def later():\n    train(1)", MADE, "x = 1"), "2"),
    ],
)
def test_nothing_below_the_training_is_found_and_catch_is_no_training(below, found):
    assert anew(*below) == found


def test_no_cell_of_the_solved_notebook_makes_anything_anew():
    cells = [*notebook.cells(notebook.read()).items()]
    first = [name for name, _source in cells].index("a2c-check") + 1
    assert made_anew(cells, first) == []


class Looking(Notebook):
    """A notebook that notes the A2C at each look."""

    def look(self):
        if not any(self._missing(task) for task in OBJECTS):
            self.numbers = [*getattr(self, "numbers", []), self.namespace["a2c"].number]


@pytest.mark.parametrize(
    ("below", "numbers"),
    [
        ([], [1]),
        (["a2c.number = 2"], [1, 2]),
        ([CLASS.format(2), MADE, TRAIN, "train(1)", CLASS.format(3), MADE], [1, 2]),
        (["class Other(A2C):\n    number = 2", "1 / 0", "a2c = Other()\n1 / 0"], [1, 2]),
    ],
)
def test_objects_that_are_made_anew_are_looked_at_again_once(below, numbers):
    cells = [(str(k), source) for k, source in enumerate([CLASS.format(1), ALL, *below])]
    looking = Looking({}, {"left_out": {}}, lambda **message: None)
    looking.run(cells)
    assert looking.numbers == numbers
