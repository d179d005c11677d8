"""Docstrings say what a thing does, in plain words and in one mood: "Returns ...", "Reads ..."."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_models import COMPILES

# No backend has a part in this.
pytestmark = [pytest.mark.slow] if COMPILES else []

PACKAGE = Path(__file__).resolve().parents[2] / "keras_s2s"

#: Share of functions whose docstring begins with a verb in the third person. A name or a formula
#: may come first where that is clearer.
DESCRIPTIVE = 0.98

#: Figures of speech that a reader in a second language has to guess.
RIDDLES = re.compile(
    r"\b(opinion|affair|whatever|whoever|nobody|somebody|road|at home|kin|answers? sources)\b",
    re.IGNORECASE,
)


def docstrings() -> Iterator[tuple[str, str, str]]:
    """Kind ("module", "class", "property" or "function"), name and first paragraph of each."""
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE.parent).as_posix()
        tree = ast.parse(path.read_text("utf-8"))
        for node in ast.walk(tree):
            if not isinstance(
                node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
            ):
                continue
            text = ast.get_docstring(node)
            if text is None:
                continue
            kind = "function"
            if isinstance(node, ast.Module):
                kind = "module"
            elif isinstance(node, ast.ClassDef):
                kind = "class"
            elif any("property" in ast.unparse(each) for each in node.decorator_list):
                kind = "property"
            where = name if isinstance(node, ast.Module) else f"{name}: {node.name}"
            yield kind, where, " ".join(text.split("\n\n")[0].split())


def test_docstrings_of_functions_begin_with_what_they_do() -> None:
    found = [(where, text) for kind, where, text in docstrings() if kind == "function"]
    assert len(found) > 900
    others = [f"{where}: {text}" for where, text in found if not begins_with_a_verb(text)]
    assert len(others) <= (1 - DESCRIPTIVE) * len(found), "\n".join(others)


def begins_with_a_verb(text: str) -> bool:
    """Whether the first word could be a verb in the third person."""
    first, second = [*text.split(), "", ""][:2]
    first = first.rstrip(",;:.")
    # "Names of the presets" begins with a noun.
    return first[0].isupper() and re.search(r"[^s]s$", first) is not None and second != "of"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Returns the rows.", True),
        ("Return the rows.", False),
        ("The rows.", False),
        ("Address of a row.", False),
        ("Names of every row.", False),
        ("`x` in float32.", False),
    ],
)
def test_what_counts_as_a_verb(text: str, expected: bool) -> None:
    assert begins_with_a_verb(text) is expected


def test_every_module_says_what_it_is() -> None:
    described = {where for kind, where, _ in docstrings() if kind == "module"}
    modules = {path.relative_to(PACKAGE.parent).as_posix() for path in PACKAGE.rglob("*.py")}
    assert len(modules) > 500
    assert not modules - described


def test_first_sentences_are_no_riddles() -> None:
    found = [f"{where}: {text}" for _, where, text in docstrings() if RIDDLES.search(text)]
    assert not found, "\n".join(found)
    assert RIDDLES.search("The model's opinion of sequences."), "or nothing would be found"
