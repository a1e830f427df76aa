"""The mutants of the solution, what becomes of them, and a sample of all in `slow`."""

import ast
import subprocess
import sys

import pytest

from tests.mutating import find_keys, mutate

mutants = pytest.importorskip("tests.mutants", reason="Windows forks no process")
Killed, Mutant = mutants.Killed, mutants.Mutant

ACT = "observations = torch.as_tensor(np.asarray(inputs), device=self.device)"


@pytest.fixture(scope="module")
def every():
    return mutants.read_mutants()


def changed(cell, old, new):
    """A mutant of our own making."""
    source = mutants.notebook.cells(mutants.notebook.read())[cell]
    assert source.count(old) == 1
    return Mutant(cell, source.replace(old, new), f"@@ {cell}", f"-{old}\n+{new}")


# the changes of a source


@pytest.mark.parametrize(
    ("source", "some"),
    [
        ("f(1.5)", {"f(2.5)", "f(0.0)", "f(3.0)", "f(-1.5)", "f()", "1.5", "pass"}),
        ("(x - y).detach()", {"x - y", "(x + y).detach()", "x.detach()"}),
        ("f(x, y, z=2)", {"f(y, x, z=2)", "f(y, z=2)", "f(x, z=2)", "f(x, y)", "x"}),
        ("x = a[::-1]", {"x = a", "x = a[::+1]", "pass"}),
        ("x = a if b else c", {"x = a", "x = c", "x = a if not b else c"}),
        ("if a == 1: b()", {"if a != 1: b()", "if True: b()", "if False: b()", "if a == 1: pass"}),
        ("with f(): g()", {"if True: g()", "with f(): pass", "pass"}),
        ("for x in y: f()", {"for x in []: f()"}),
        ("@f\ndef g(): h()", {"def g(): h()"}),
        ("def f(a, b=3): return a", {"def f(a, b=6): return a", "def f(a, b=3): return b"}),
        ("self.a = self.b", {"self.a = self.a", "self.b = self.b"}),
        ("x = ~y", {"x = y", "x = -y"}),
        ("x['a'] = 1", {'x["b"] = 1', "x['a_'] = 1"}),
    ],
    ids=lambda case: case if isinstance(case, str) else "",
)
def test_a_source_is_changed_in_one_place(source, some):
    found = {ast.unparse(ast.parse(changed)) for changed in mutate(source, {"a", "b"})}
    assert {ast.unparse(ast.parse(one)) for one in some} <= found


def test_no_change_is_made_twice_or_changes_nothing():
    sources = mutate("x = a * (b + 1)  # → a comment\n", ())
    assert len({source.split("#")[0].replace(" ", "") for source in sources}) == len(sources) > 20
    assert all(source.endswith("# → a comment\n") for source in sources if "pass" not in source)


def test_docstrings_and_messages_stay():
    assert mutate('def f():\n    """x"""', ()) == ["pass"]
    assert mutate('raise f"{x.y()} is 0"', ()) == ["pass"]


def test_keys_are_found_in_brackets_in_dictionaries_and_in_comparisons():
    assert find_keys("f(x['a'], {'b': 'c'}) if k != 'd' else 'e'") == {"a", "b", "d"}


def test_every_cell_has_mutants_and_no_check_is_one(every):
    assert {mutant.cell for mutant in every} == set(mutants.MUTATED) and len(every) > 1000
    assert len({(mutant.title, mutant.change) for mutant in every}) == len(every)
    assert not any("checks." in mutant.change for mutant in every)
    assert all("checks.check_a2c(" in m.source for m in every if m.cell == "a2c-check")


def test_every_listed_mutant_is_one_and_has_a_reason(every):
    same = mutants.read_same()
    assert same.keys() <= {(mutant.title, mutant.change) for mutant in every}
    assert all(same.values())


# what becomes of a mutant


@pytest.fixture(scope="module")
def before():
    return mutants.prepare()


def test_a_mutant_is_killed_where_it_fails_whatever_it_does(before):
    merge = "class MergeTimeBatch:"
    tried = {
        changed("policy-class", ACT, ACT + "  "): ("", ""),
        changed("policy-class", ACT, "exit(0)"): ("policy-check", "SystemExit"),
        changed("policy-class", ACT, "import os; os._exit(0)"): ("policy-check", "process died"),
        changed("policy-class", ACT, "x = bytearray(2**33)"): ("policy-check", "MemoryError"),
        changed("merge-class", merge, "class M:"): ("merge-check", "NameError"),
        changed("merge-class", merge, f"del F\n{merge}"): ("a2c-check", "NameError"),
    }
    judged = dict(mutants.judge(list(tried), before, jobs=2))
    for mutant, (cell, told) in tried.items():
        assert judged[mutant].cell == cell and told in judged[mutant].told


def test_a_mutant_without_an_end_is_killed(before):
    endless = changed("policy-class", "class Policy:", "while True: pass\nclass Policy:")
    [(_, killed)] = mutants.judge([endless], before, limit=2)
    assert killed == ("policy-class", "no answer in time")


ONE = Mutant("a2c-class", "", "@@ a2c-class", "-x\n+y")


@pytest.mark.parametrize(
    ("killed", "same", "row", "status"),
    [
        (Killed("a2c-check", "why"), {}, [1, 1, 0, 0, 0], 0),
        (Killed("merge-check", "why"), {}, [1, 0, 1, 0, 0], 0),
        (Killed("", ""), {ONE[2:]: "no matter"}, [1, 0, 0, 1, 0], 0),
        (Killed("", ""), {}, [1, 0, 0, 0, 1], 1),
        (Killed("a2c-check", "why"), {ONE[2:]: "no matter"}, [1, 1, 0, 0, 0], 1),
        (Killed("a2c-check", "why"), {("@@ a2c-class", "-x\n+z"): "gone"}, [1, 1, 0, 0, 0], 1),
    ],
    ids=["own", "elsewhere", "same", "survived", "listed-but-killed", "listed-but-gone"],
)
def test_the_table_counts_and_the_exit_status_tells(killed, same, row, status, monkeypatch, capsys):
    monkeypatch.setattr(mutants, "read_mutants", lambda: [ONE])
    monkeypatch.setattr(mutants, "read_same", lambda: same)
    monkeypatch.setattr(mutants, "prepare", dict)
    monkeypatch.setattr(mutants, "judge", lambda *args: [(ONE, killed)])
    assert mutants.main([]) == status
    said = capsys.readouterr().out
    assert f"| a2c-class | {' | '.join(map(str, row))} |\n" in said
    assert ("@@ a2c-class\n-x\n+" in said) == (status == 1 or killed.cell == "merge-check")


def test_reasons_stand_above_the_mutants_that_they_are_for(tmp_path):
    (tmp_path / "same.txt").write_text("# one\n\n@@ a\n-x\n+y\n@@ a #2\n-x\n+y\n# two\n@@ b\n-z\n")
    assert mutants.read_same(tmp_path / "same.txt") == {
        ("@@ a", "-x\n+y"): "one",
        ("@@ a #2", "-x\n+y"): "one",
        ("@@ b", "-z"): "two",
    }


@pytest.mark.slow
def test_no_mutant_of_a_sample_survives():
    command = [sys.executable, "-m", "tests.mutants", "--sample", "40", "--jobs", "2"]
    root = mutants.notebook.PATH.parent
    run = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "| all | 40 |" in run.stdout
