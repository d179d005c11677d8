"""Imports run one way: nothing knows what is built on top of it.

    cli, serving -> recipes, analysis, documents -> model -> export, checkpoints, training
    -> builder, decoding -> network, samplers, data -> layers, text -> catalog, config -> options

An arrow may skip floors, never run back.  Libraries that are large, optional, or bound to one
backend are imported inside the function that needs them.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_models import slow_where_compiled

PACKAGE = Path(__file__).resolve().parents[1] / "keras_s2s"
FILES = sorted(PACKAGE.rglob("*.py"))

# From the ground up; a part may import what stands on a lower floor, and its neighbours.
FLOORS: list[set[str]] = [
    {"options"},
    {"atomic_writing", "config", "moved_modules", "registration", "fair_lock", "typing", "version"},
    {"catalog"},
    {"layers", "text"},
    {"network", "network_size", "samplers", "data"},
    {"builder", "decoding", "text_metrics"},
    {"export", "checkpoints", "training", "preset_changes"},
    {"model"},
    {"analysis", "documents", "callbacks", "reranking", "trimming"},
    {"recipes"},
    {"serving"},
    {"cli"},
    {"__init__", "__main__"},
]

# Narrower than the stairs: samplers receive a network's moves, never a network, and layers know
# nothing of text.
ONLY: dict[str, set[str]] = {
    "config": {"options"},
    "options": set(),
    "text": {"atomic_writing", "config", "moved_modules"},
    "layers": {"config", "moved_modules", "typing"},
    "samplers": {"config", "layers", "moved_modules", "options", "typing"},
    "network": {"config", "layers", "typing"},
    "decoding": {
        "config",
        "data",
        "layers",
        "network",
        "options",
        "samplers",
        "text",
        "fair_lock",
        "typing",
    },
}

NO_KERAS = {"atomic_writing", "catalog", "config", "options", "text", "typing"}

# Optional or large: not at the top of a module.
INSIDE_FUNCTIONS = {
    "babel",
    "ctranslate2",
    "datasets",
    "huggingface_hub",
    "jax",
    "jaxlib",
    "keras_hub",
    "keras_nlp",
    "llguidance",
    "matplotlib",
    "rouge_score",
    "sacrebleu",
    "sentencex",
    "sentencepiece",
    "tensorflow",
    "tensorflow_text",
    "tokenizers",
    "torch",
    "transformers",
}


def part_of(path: Path) -> str:
    """`keras_s2s/layers/masks.py` -> `layers`; `keras_s2s/model.py` -> `model`."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def floor_of(part: str) -> int:
    for number, parts in enumerate(FLOORS):
        if part in parts:
            return number
    raise AssertionError(f"keras_s2s/{part} has no floor yet: add it to FLOORS")


def imports(tree: ast.Module, package: str) -> Iterator[tuple[str, int, bool]]:
    """Every imported module: its full name, its line, and whether it loads with the module.

    `package` is the dotted package the module lies in, for relative imports.
    """
    pending: list[tuple[ast.AST, bool]] = [(tree, True)]
    while pending:
        node, at_top = pending.pop()
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno, at_top
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, base] if base else above)
            for alias in node.names:
                # `from keras_s2s import layers` names a part, not a thing of the package.
                yield f"{base}.{alias.name}" if base == "keras_s2s" else base, node.lineno, at_top
        only_types = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            pending.append((child, at_top and not inside and not only_types))


def problems(source: str, path: Path) -> list[str]:
    """What is wrong with the imports of one file, a line each."""
    part = part_of(path)
    floor = floor_of(part)
    package = ".".join(["keras_s2s", *path.relative_to(PACKAGE).parts[:-1]])
    found = []
    for module, line, at_top in imports(ast.parse(source), package):
        place = f"{path.relative_to(PACKAGE.parent)}:{line}: {part} imports {module}"
        root, *rest = module.split(".")
        if root == "keras_s2s":
            # A plain `import keras_s2s` reaches everything.
            target = rest[0] if rest else "__init__"
            if not any(target in parts for parts in FLOORS):
                target = "__init__"
            if target == part:
                continue
            if floor_of(target) > floor:
                found.append(f"{place}: an arrow that runs back")
            elif part in ONLY and target not in ONLY[part]:
                found.append(f"{place}: it may know {sorted(ONLY[part])} only")
        elif root in INSIDE_FUNCTIONS and at_top:
            found.append(f"{place}: import it inside the function that needs it")
        elif root == "keras" and part in NO_KERAS:
            found.append(f"{place}: {part} works without keras")
    return found


@slow_where_compiled
def test_imports_run_one_way():
    assert len(FILES) >= 50
    count = 0
    for path in FILES:
        source = path.read_text(encoding="utf-8")
        count += sum(1 for _ in imports(ast.parse(source), "keras_s2s"))
        assert problems(source, path) == []
    assert count >= 250


def test_every_part_is_on_one_floor_and_exists():
    parts = [part for floor in FLOORS for part in floor]
    assert len(parts) == len(set(parts))
    assert {part_of(path) for path in FILES} <= set(parts)


def test_there_is_no_drawer_for_everything():
    assert [path for path in FILES if path.stem in ("utils", "util", "helpers", "common")] == []


def test_files_are_short_or_say_why_not():
    long = {path: path.read_text(encoding="utf-8") for path in FILES}
    long = {path: text for path, text in long.items() if text.count("\n") > 450}
    unexplained = [
        str(path.relative_to(PACKAGE))
        for path, text in long.items()
        if "longer than others because" not in (ast.get_docstring(ast.parse(text)) or "")
    ]
    assert unexplained == []


def length_of_body(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines below the docstring."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def test_functions_can_be_read_at_once():
    lengths = {
        f"{path.relative_to(PACKAGE)}: {node.name}": length_of_body(node)
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert len(lengths) >= 3000
    long = {name: length for name, length in lengths.items() if length > 80}
    # A table, one entry after the other.
    assert set(long) == {"options/generation.py: _table"}


@pytest.mark.parametrize(
    ("file", "source", "part"),
    [
        ("layers/masks.py", "from keras_s2s.model import Seq2SeqLM", "runs back"),
        ("layers/masks.py", "import keras_s2s.training.losses.loss", "runs back"),
        ("layers/masks.py", "import keras_s2s", "runs back"),
        ("layers/masks.py", "from keras_s2s import builder", "runs back"),
        ("layers/masks.py", "from keras_s2s import Seq2SeqLM", "runs back"),
        ("layers/masks.py", "from .. import model", "runs back"),
        ("layers/masks.py", "from ..model import Seq2SeqLM", "runs back"),
        ("layers/masks.py", "def f():\n    from keras_s2s import model", "runs back"),
        ("layers/masks.py", "from keras_s2s.text import Tokenizer", "may know"),
        ("samplers/strategies/beam.py", "from keras_s2s.network import Network", "may know"),
        ("network.py", "from keras_s2s.builder import build_network", "runs back"),
        ("model.py", "from keras_s2s.cli import main", "runs back"),
        ("config.py", "from keras_s2s.catalog import read_yaml", "runs back"),
        ("text/trained/word.py", "import keras", "without keras"),
        ("text/trained/word.py", "def f():\n    from keras import ops", "without keras"),
        ("config.py", "import keras.saving", "without keras"),
        ("model.py", "import tensorflow as tf", "inside the function"),
        ("model.py", "from jax import lax", "inside the function"),
        ("model.py", "try:\n    import torch\nexcept ImportError:\n    torch = None", "inside"),
        ("model.py", "class A:\n    import matplotlib.pyplot as plt", "inside the function"),
        ("text/trained/word.py", "from sentencepiece import SentencePieceProcessor", "inside"),
    ],
)
def test_a_wrong_import_is_found(file, source, part):
    found = problems(source, PACKAGE / file)
    assert len(found) == 1
    assert part in found[0]
    assert f"keras_s2s/{file}:" in found[0]


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("layers/masks.py", "import keras\nfrom keras import ops\nimport numpy as np"),
        ("layers/masks.py", "from keras_s2s.layers.base import X\nfrom .base import X"),
        ("layers/masks.py", "from . import base"),
        ("model.py", "from keras_s2s import catalog\nfrom keras_s2s.config import ConfigError"),
        ("model.py", "def f():\n    import tensorflow as tf"),
        ("model.py", "if TYPE_CHECKING:\n    import tensorflow as tf"),
        ("cli/commands/zoo.py", "from keras_s2s.model import Seq2SeqLM"),
        ("training/losses/loss.py", "from keras_s2s.checkpoints import preset_folder"),
        ("__init__.py", "from keras_s2s.model import Seq2SeqLM"),
    ],
)
def test_a_right_import_is_let_through(file, source):
    assert problems(source, PACKAGE / file) == []
