"""Translations are whole and keep what they must; the kit is the same program in each language."""

import ast
import os
import re
import subprocess
import sys

import nbformat
import pytest
from babel.messages import pofile

from grading.checklist import read_comments
from languages import FOLDER, SOURCE, languages
from release import ReleaseError, catalogue, kit
from release.passages import (
    has_words,
    protected,
    translate_code,
    translate_markdown,
    translate_notebook,
)
from release.students import make_students_notebook
from tests import notebook
from tests.checks.expected import read_expected

OTHERS = [language for language in languages() if language != SOURCE]
SENTENCE = re.compile(r"(?s)[^\W\d_]{2,}.*\s.*[^\W\d_]{2,}")  # two words or more
MARKS = {"_", "N_", "ngettext", "pgettext"}
PROGRAMS = (  # how texts begin that programs read: commands, code, names in arrays, a pattern
    *("python -m grading", "  printf 'abi", "  docker run", "  --security-opt", "\nimport os"),
    *("\n    fork vfork", "biases/", "^#.*$|YOUR ANSWER HERE"),
)


def read(language, folder=FOLDER):
    with (folder / f"{language}.po").open("rb") as file:
        return pofile.read_po(file)


@pytest.fixture(scope="module")
def source():
    return catalogue.source()


def keys(messages):
    return {(message.context, message.id) for message in messages if message.id}


def pairs(translated):
    """Each English text with its translation; of several forms the last is the plural."""
    for message in translated:
        if message.id and message.context != "glossary":
            forms = message.string if message.pluralizable else (message.string,)
            english = message.id if message.pluralizable else (message.id,)
            yield from ((english[-1], form) for form in forms)


# every language


def test_there_is_a_russian_translation():
    assert "ru" in OTHERS


@pytest.mark.parametrize("language", OTHERS)
def test_a_translation_has_every_message_as_the_source_is_now(language, source):
    translated = read(language)
    assert sorted(map(str, keys(source) ^ keys(translated))) == []
    assert [message.id for message in catalogue.lacking(translated)] == []


@pytest.mark.parametrize("language", OTHERS)
def test_a_translation_keeps_code_formulas_links_and_placeholders(language):
    unlike = [
        (english, other)
        for english, other in pairs(read(language))
        if protected(english) != protected(other)
    ]
    assert unlike == []


@pytest.mark.parametrize("language", OTHERS)
def test_a_translation_keeps_the_marks_of_markdown(language):
    def marks(text):
        return re.match(r"(#+ |- |\d+\. |\| )?", text)[0], text.count("|"), text.count("**") % 2

    passages = [message for message in read(language) if message.context]
    unlike = [m.id for m in passages if marks(m.id) != marks(m.string)]
    assert unlike == []


def stems(term):
    """What each form of a translated term holds: its words without their endings."""
    return [word[: max(3, len(word) - 2)] for word in term.lower().replace("ё", "е").split()]


NAME = re.compile(r"[\w./\[\]-]*[A-Za-z][\w./\[\]-]*")


def words_alone(text, kept):
    """A text in small letters, without what a translation keeps."""
    for one in kept:
        text = text.replace(one, " ")
    return text.lower().replace("ё", "е")


@pytest.mark.parametrize("language", OTHERS)
def test_a_translation_calls_a_term_by_its_name(language):
    translated = read(language)
    glossary = {m.id: m.string.split(" / ") for m in translated if m.context == "glossary"}
    unlike = []
    for english, other in pairs(translated):
        kept = protected(english)
        said = words_alone(other, kept)
        words = words_alone(english, [*kept, "Advantage Actor-Critic"])
        alone = re.sub(r"\([^()]*\)", "", said)  # a term in brackets stands beside its translation
        for name in NAME.findall(alone):
            words = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", " ", words)
        for term in glossary:
            if re.search(rf"\b{term}s?\b", words) and not any(
                all(stem in said for stem in stems(one)) for one in glossary[term]
            ):
                unlike.append((term, english, other))
    assert unlike == []


# what is to be translated


def students_code():
    """The kit's modules, and those that make a grader's pages."""
    found = {path for pattern in kit.ALLOWED for path in kit.ROOT.glob(pattern)}
    found |= set(kit.ROOT.glob("grading/marking/**/*.py"))
    return sorted(path for path in found if path.suffix == ".py")


CODES = {  # of programs, which are put into words where they are shown
    *("agent step", "always clipped", "another gamma", "array of integers", "entropy gone"),
    *("coefficient of determination", "entropy at its maximum", "environments alike"),
    *("gradient norm", "list of ", "tuple of ", "no better than random", "no reward"),
    *("NumPy array", "true, false"),
    *("policy head", "value head", "total loss", "values explain nothing", "wrong axis"),
    *("alike with", "for the grader", "mark by the rules", "no longer handed in"),
    *("not graded yet", "not reached"),
    *("LMS name", "LMS id", "Points Possible"),  # of tables
    *("played again", "the notebook's own policy", "the reference network"),
    *("found dtype", "does not require grad", "modified by an inplace operation"),  # PyTorch's
    *("view size is not compatible", ".*Overwriting existing videos.*"),
    *(
        "controls muted loop",
        "outside lower center",
        "outside upper center",
        "offset points",
        "<th scope=col>",
    ),
}
NO_WORDS = re.compile(  # commands, code, patterns, keys of arrays
    r"\s*(python -m|#!/bin/sh|printf|docker|--security|import os|fork vfork|biases/)"
    r"|.*\[\\w|.*BEGIN SOLUTION|.*YOUR ANSWER HERE|[\w ]+/$"
)


def is_marked(node):
    """Whether a node marks all texts in it for translation, or is a docstring."""
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)
    called = getattr(node, "func", None)
    return getattr(called, "id", getattr(called, "attr", "")) in MARKS


def unmarked(path):
    """The sentences of a module that no translation is looked up for, without docstrings."""
    nodes = [*ast.walk(ast.parse(path.read_text(encoding="utf-8")))]
    skipped = {id(part) for node in nodes if is_marked(node) for part in ast.walk(node)}
    for node in nodes:
        is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
        if is_text and id(node) not in skipped and SENTENCE.search(node.value):
            if node.value not in CODES and not NO_WORDS.match(node.value):
                yield f"{path.relative_to(kit.ROOT)}:{node.lineno}: {node.value[:60]}"


def test_every_sentence_that_a_student_or_a_grader_sees_is_marked():
    assert [line for path in students_code() for line in unmarked(path)] == []


def test_a_sentence_in_the_code_becomes_a_message(source):
    assert source.get("{these} and {that}").locations[0][0] == "languages/__init__.py"
    assert source.get("## 1 · Start", "start").locations[0][0] == "a2c_assignment.ipynb"
    assert source.get("## Hand in", "release/students.md")
    assert source.get("advantage", "glossary")


def test_no_solution_is_handed_to_a_translator(source):
    solved = notebook.read().cells
    texts = "\n".join(message.id for message in source if isinstance(message.id, str))
    (answer,) = (cell.source for cell in solved if cell.id == "curves-comments")
    begun = answer.split("BEGIN SOLUTION -->")[1].split("\n\n")[1]
    assert begun[:60] in answer and begun[:60] not in texts


# passages


MARKDOWN = """# Two words

Prose with `code` and $x$,
over two lines.

- an item
- another item with a [link](https://example.org)

$$a = \\text{a word}
- b$$

| a head | another |
|---|---|
| $x$ | `y` |

<details><summary>A hint</summary>

```python
words = "in code"
```
</details>

<!-- marks: from assignment.json -->

| what an instructor set |

<!-- end of marks -->

![A picture][map]

YOUR ANSWER HERE

[map]: data:image/png;base64,AAAA"""


def test_the_passages_of_markdown_are_its_paragraphs_items_and_rows():
    found = []
    assert translate_markdown(MARKDOWN, lambda one: found.append(one) or one) == MARKDOWN
    assert found == [
        "# Two words",
        "Prose with `code` and $x$,\nover two lines.",
        "- an item",
        "- another item with a [link](https://example.org)",
        "$$a = \\text{a word}\n- b$$",
        "| a head | another |",
        "A hint",
        "![A picture][map]",
    ]


CODE = '''# @title A form { display-mode: "form" }
KIT = ""  # @param {type: "string"}


def play(n):
    """Plays n games."""
    # YOUR CODE HERE
    raise NotImplementedError()


print(f"{n:,} games, {'on' if n else 'off'} — done", "key", "total loss")  # for you'''


def test_the_passages_of_code_are_comments_docstrings_and_sentences():
    found = []
    assert translate_code(CODE, lambda one: found.append(one) or one) == CODE
    assert found == [
        '@title A form { display-mode: "form" }',
        "Plays n games.",
        "{n:,} games, {'on' if n else 'off'} — done",
        "total loss",
        "for you",
    ]


def test_a_passage_is_replaced_where_it_stands_and_nowhere_else():
    assert translate_markdown("a word\n\nword", lambda one: one.upper()) == "A WORD\n\nWORD"
    code = translate_code('x = "é two words"  # two words', lambda one: one.upper())
    assert code == 'x = "É TWO WORDS"  # TWO WORDS'


def test_a_sentence_of_several_literals_is_refused():
    with pytest.raises(ValueError, match="line 2: write this sentence as one literal"):
        translate_code('x = 1\nprint("two words"\n      "and more words")', str)


def test_what_a_translation_must_keep_is_found():
    text = r"Run `x` for $\pi_a$, see [this](https://a.org) and <b>{n:,}</b> &emsp;"
    assert protected(text) == sorted(
        ["`x`", r"$\pi_a$", "](https://a.org)", "<b>", "{n:,}", "</b>", "&emsp;"]
    )
    assert protected(r"$$a \text{some words}$$") == protected(r"$$a \text{andere}$$")
    assert protected("$a$ `b`") != protected("$a$ `c`")


@pytest.mark.parametrize(
    ("passage", "has"),
    [("`code` $x$", False), ("| 1 | **2** |", False), (r"$$\text{a word}$$", True), ("Да", True)],
)
def test_a_passage_has_words_or_not(passage, has):
    assert has_words(passage) == has


# the file of a language


def test_a_new_language_begins_with_nothing_translated(tmp_path, capsys):
    begun = catalogue.bring_up_to_date("de", folder=tmp_path)
    assert len(catalogue.lacking(begun)) == len(begun) == len(catalogue.source())
    assert keys(read("de", tmp_path)) == keys(begun)


def test_a_changed_source_makes_its_translation_stale_and_a_removed_one_goes(tmp_path, source):
    begun = catalogue.bring_up_to_date("de", folder=tmp_path)
    for message in begun:
        if message.id:
            message.string = ("x", "x") if message.pluralizable else "x"
    begun.add("Choose the .zip of the assignement, as you received it.", "alt", context="start")
    begun.delete(passage := "Choose the .zip of the assignment, as you received it.", "start-files")
    begun.add("{place}: a message that is no more", "alt")
    with (tmp_path / "de.po").open("wb") as file:
        pofile.write_po(file, begun)
    renewed = catalogue.bring_up_to_date("de", folder=tmp_path)
    left = catalogue.lacking(renewed)
    assert [message.id for message in left] == [passage]
    assert "is no more" not in (tmp_path / "de.po").read_text(encoding="utf-8")


def test_the_command_says_how_much_is_left(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(catalogue.bring_up_to_date, "__defaults__", (kit.ROOT, tmp_path))
    assert catalogue.main(["de"]) == 1
    total = len(catalogue.source())
    assert capsys.readouterr().out == f"{total} messages, {total} to translate, 0 to read again\n"


def test_a_language_that_is_none_is_refused(capsys):
    assert catalogue.main(["Klingon"]) == 1
    assert "expected a code as ru or de" in capsys.readouterr().err


# the kit in another language


@pytest.fixture(scope="module", params=OTHERS)
def released(request, tmp_path_factory):
    return request.param, kit.build(tmp_path_factory.mktemp("kit"), language=request.param)[0]


def code_without_words(source):
    """A cell's code with its texts taken out, and what they are filled in with in one order."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node.value = ""
        if isinstance(node, ast.JoinedStr):
            filled_in = [one for one in node.values if isinstance(one, ast.FormattedValue)]
            node.values = sorted(filled_in, key=ast.dump)
    return ast.dump(tree)


def test_a_translated_notebook_is_the_same_program(released):
    language, folder = released
    ours = make_students_notebook(notebook.read())
    theirs = nbformat.read(folder / kit.NOTEBOOK, as_version=4)
    assert [cell.id for cell in theirs.cells] == [cell.id for cell in ours.cells]
    for one, other in zip(ours.cells, theirs.cells, strict=True):
        assert one.metadata == other.metadata
        if one.cell_type == "code":
            assert code_without_words(one.source) == code_without_words(other.source), one.id


def test_no_passage_of_a_translated_notebook_is_left_in_english(released):
    language, folder = released
    theirs, left = nbformat.read(folder / kit.NOTEBOOK, as_version=4), []
    same = {(m.context, m.id) for m in read(language) if m.id == m.string}
    known = keys(catalogue.source()) - same
    translate_notebook(theirs, lambda *key: left.append(key) if key in known else key[1])
    assert left == []


def test_a_translated_cell_for_comments_holds_no_comment_yet(released):
    language, folder = released
    theirs = nbformat.read(folder / kit.NOTEBOOK, as_version=4)
    assert read_comments(theirs) == ""


def test_a_translated_kit_says_what_language_it_is_in(released):
    language, folder = released
    told = (folder / "assignment.json").read_text(encoding="utf-8")
    assert f'"language": "{language}"' in told
    assert (folder / "languages" / f"{language}.po").is_file()


def test_a_translated_kit_speaks_its_language_wherever_it_runs(released):
    language, folder = released
    spoken = subprocess.run(
        [sys.executable, "-c", "from languages import chosen, listed; print(listed('ab'))"],
        env={key: x for key, x in os.environ.items() if key != "A2C_LANGUAGE"},
        cwd=folder,
        capture_output=True,
        check=True,
    ).stdout.decode()
    assert spoken.strip() == {"ru": "a и b"}[language]


def test_a_translated_kit_names_the_mistakes_in_its_language(released):
    language, folder = released
    said = {message.id for message in read(language, folder / "languages")}
    named = {name.partition("/")[2] for name in read_expected(1) if name.startswith("mistake/")}
    assert named and sorted(named - said) == []


def test_a_language_without_a_file_is_no_language_of_a_kit(tmp_path):
    with pytest.raises(ReleaseError, match="language is 'xx': expected one of en"):
        kit.build(tmp_path, language="xx")
    assert not any(tmp_path.iterdir())
