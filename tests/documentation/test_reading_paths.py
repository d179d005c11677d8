"""The reading paths of docs/architecture.md name classes, functions and methods that exist."""

from __future__ import annotations

import ast
import importlib
import re
from functools import cache
from pathlib import Path

import pytest
from small_models import COMPILES

# No backend has a part in this.
pytestmark = [pytest.mark.slow] if COMPILES else []

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "keras_s2s"
PAGE = (ROOT / "docs" / "architecture.md").read_text("utf-8")

#: "`Plan.ended` in `samplers/plan.py`"
PLACED = re.compile(r"`([A-Za-z_][\w.]*)` in\s+`([\w/]+\.py)`")
NAMES = re.compile(r"`([A-Z]\w+\.(?!md`)\w+)`(?! in)")


def section(heading: str) -> str:
    (found,) = re.findall(rf"^## {heading}\n(.*?)^## ", PAGE, re.MULTILINE | re.DOTALL)
    return str(found)


@cache
def definitions(path: Path) -> frozenset[str]:
    """Names that a module defines, methods as `Class.method`."""
    found = set()
    for node in ast.parse(path.read_text("utf-8")).body:
        if not isinstance(node, ast.ClassDef | ast.FunctionDef):
            continue
        found.add(node.name)
        if isinstance(node, ast.ClassDef):
            inner = [each for each in node.body if isinstance(each, ast.FunctionDef)]
            found |= {f"{node.name}.{each.name}" for each in inner}
    return frozenset(found)


def test_names_are_in_the_files_that_they_are_said_to_be_in() -> None:
    placed = PLACED.findall(section("Where to begin reading"))
    # Elsewhere a name may be that of a setting.
    placed += [each for each in PLACED.findall(PAGE) if each[0][0].isupper()]
    assert len(set(placed)) >= 15
    wrong = [(name, path) for name, path in placed if name not in definitions(PACKAGE / path)]
    assert not wrong


def test_methods_of_the_paths_exist() -> None:
    everywhere = frozenset().union(*map(definitions, PACKAGE.rglob("*.py")))
    named = NAMES.findall(section("Where to begin reading"))
    assert len(named) >= 10
    assert not [name for name in named if name not in everywhere]


def test_methods_of_the_model_are_in_the_classes_of_the_table() -> None:
    from keras_s2s import Seq2SeqLM

    rows = re.findall(r"^\| (`.+?`) \| `(\w+)` \| `(.+?)` \|$", PAGE, re.MULTILINE)
    rows = [row for row in rows if row[1] in {base.__name__ for base in Seq2SeqLM.__mro__}]
    own = [base for base in Seq2SeqLM.__mro__ if base.__module__.startswith("keras_s2s.")]
    assert [name for _, name, _ in rows] and {name for _, name, _ in rows} == {
        base.__name__ for base in own
    }
    for methods, name, path in rows:
        module = importlib.import_module("keras_s2s." + path.removesuffix(".py").replace("/", "."))
        for method in re.findall(r"`(\w+)`", methods):
            assert method in vars(getattr(module, name)), f"{name}.{method}"
