"""Imports run one way through the rooms, and nothing imports the notebook."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = [  # a room imports only rooms of a later row
    {"release"},
    {"benchmarks"},
    {"grading"},
    {"lesson", "tests.checks"},
    {"atari_wrappers", "runners"},
    {"training"},
    {"env_batch"},
    {"languages"},
]


def room_of(module):
    """The room that a dotted module name belongs to, None for a package of others."""
    names = {name for row in ROOMS for name in row}
    parts = module.split(".")
    return next((name for name in (".".join(parts[:2]), parts[0]) if name in names), None)


def files():
    """All files of the rooms, as (room, path)."""
    folders = (name.replace(".", "/") for row in ROOMS for name in row)
    for path in (*ROOT.glob("*.py"), *(p for name in folders for p in (ROOT / name).rglob("*.py"))):
        room = room_of(".".join(path.relative_to(ROOT).with_suffix("").parts))
        if room is not None and "study" not in path.parts:
            yield room, path


def imports(path):
    """The dotted names that a file imports, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: name the room in an import"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def row_of(room):
    return next(k for k, row in enumerate(ROOMS) if room in row)


@pytest.mark.parametrize("room", sorted(name for row in ROOMS[1:] for name in row))
def test_a_room_has_files(room):
    assert any(found == room for found, _ in files())


def test_a_room_imports_itself_and_rooms_to_its_right_only():
    wrong = []
    for room, path in files():
        for module in imports(path):
            other = room_of(module)
            if other and other != room and row_of(other) <= row_of(room):
                wrong.append(f"{path.relative_to(ROOT)} imports {module}")
    assert not wrong


def test_only_benchmarks_read_the_tests_for_their_notebook():
    for room, path in files():
        tests = {module for module in imports(path) if module.startswith("tests.")}
        foreign = {module for module in tests if not module.startswith("tests.checks")}
        assert room == "benchmarks" or not foreign, f"{path} imports {foreign}"


def test_no_file_imports_the_notebook():
    for _, path in files():
        assert not any(module.startswith("a2c_assignment") for module in imports(path)), path
