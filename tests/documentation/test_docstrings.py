"""The examples in docstrings run, and print what they say.

An example sees the names of its own module, the public names, and those of `SUPPLIED`; it runs in a
folder with the files that `supplies` writes. Where it shows no output, its output is not compared.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import doctest
import importlib
import os
import pkgutil
import re
import symtable
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from documentation import supplies
from rounded_types import is_here
from small_models import COMPILES

import keras_s2s as s2s

pytest.importorskip("transformers")
pytestmark = [pytest.mark.skipif(COMPILES, reason="once is enough")]

ROOT = Path(__file__).resolve().parents[2]
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE

#: Learnt by heart by the model of the examples.
PAIRS = [
    ("ein Hund", "a dog"),
    ("der Hund", "the dog"),
    ("der schwarze Hund", "the black dog"),
    ("eine Katze", "a cat"),
]


@cache
def model() -> s2s.Seq2SeqLM:
    """A small Transformer that has learnt `PAIRS`."""
    keras.utils.set_random_seed(1)
    text = s2s.text.Preprocessor.train(PAIRS, "character", joint=True)
    sizes = {"hidden_dim": 32, "num_layers": 1, "num_heads": 2, "intermediate_dim": 64}
    trained = s2s.Seq2SeqLM.from_preset(
        "transformer_tiny",
        load_weights=False,
        preprocessor=text,
        architecture={"shared": {**sizes, "dropout": 0.0, "embedding": {"dropout": 0.0}}},
    )
    trained.compile(keras.optimizers.Adam(1e-2))
    batches = s2s.data.Batches(PAIRS, text, batch_size=len(PAIRS))
    trained.fit(batches, epochs=80, verbose=0)
    return trained


def pairs() -> Any:
    return s2s.data.read_pairs("train.en", "train.de")


def some_batches() -> s2s.data.Batches:
    pair_list = [PAIRS[number % len(PAIRS)] for number in range(100)]
    return s2s.data.Batches(pair_list, model().preprocessor, batch_size=64)


def inputs() -> dict[str, Any]:
    arrays = some_batches()[0][0]
    return {name: keras.ops.convert_to_tensor(array) for name, array in arrays.items()}


#: Name that examples may use: what makes it.
SUPPLIED: dict[str, Callable[[], Any]] = {
    "model": model,
    "pairs": lambda: PAIRS,
    "texts": lambda: s2s.data.read_lines("train.txt"),
    "batches": some_batches,
    "inputs": inputs,
    "tokenizer": lambda: s2s.text.Preprocessor.train([("hello", "hello")], "character").source,
}

PUBLIC = {"s2s": s2s, "keras": keras, "np": np}
for part in (s2s, s2s.data, s2s.text, s2s.samplers, s2s.layers, s2s.callbacks, s2s.training):
    PUBLIC.update({name: getattr(part, name) for name in part.__all__})

#: Files and presets that they read are made first, or a model is trained or exported.
NEEDS_MODEL = ("model", "batches", "inputs")
#: TensorFlow is started, in this process or another one.
STARTS_TENSORFLOW = ("as_tf_dataset", "import tensorflow", "version=1")


def docstrings() -> list[doctest.DocTest]:
    finder = doctest.DocTestFinder(exclude_empty=True)
    found = []
    for info in pkgutil.walk_packages(s2s.__path__, "keras_s2s."):
        if not info.name.endswith("__main__"):
            module = importlib.import_module(info.name)
            found += [test for test in finder.find(module, info.name) if test.examples]
    return found


def names_in(test: doctest.DocTest) -> set[str]:
    """Names that the examples of a docstring use."""
    found: set[str] = set()
    for example in test.examples:
        # What is no Python fails when it is run.
        with contextlib.suppress(SyntaxError):
            nodes = ast.walk(ast.parse(example.source))
            found |= {node.id for node in nodes if isinstance(node, ast.Name)}
    return found


def is_slow(test: doctest.DocTest) -> bool:
    source = "".join(example.source for example in test.examples)
    return bool(names_in(test) & set(NEEDS_MODEL)) or any(s in source for s in STARTS_TENSORFLOW)


TESTS = docstrings()
QUICK = [test for test in TESTS if not is_slow(test)]
SLOW = [test for test in TESTS if is_slow(test)]
#: What each module defines; an example that has run has lost it.
MODULE_NAMES = {test.name: frozenset(test.globs) for test in TESTS}


class Checker(doctest.OutputChecker):
    """Compares outputs as they are under any backend; an example without one is a call alone."""

    def check_output(self, want: str, got: str, flags: int) -> bool:
        got = re.sub(r"(?:torch\.Size|TensorShape)\(\[([\d, ]*)\]\)", r"(\1)", got)
        return not want or super().check_output(want, got, flags)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the examples read."""
    here = tmp_path_factory.mktemp("docstrings") / "here"
    supplies.write_texts(here)
    supplies.write_questions(here / "questions.json")
    supplies.write_halves(here)
    supplies.write_kerashub(here)
    supplies.fill_hub_cache(here / "hub", "google/flan-t5-small", "t5")
    supplies.fill_hub_cache(here / "hub", "facebook/bart-base", "bart")
    supplies.fill_hub_cache(here / "hub", "facebook/mbart-large-50", "mbart50")
    supplies.write_checkpoint("marian", here / "opus-mt-en-de")
    (here / "zoo").symlink_to(ROOT / "zoo")
    return here


@pytest.fixture
def place(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def problems(test: doctest.DocTest) -> str:
    """What a docstring's examples print otherwise than they say; empty where all is well."""
    if "compute_type" in test.docstring and "int8" in test.docstring and not is_here("int8"):
        pytest.skip("not on this processor")
    supplied = {name: SUPPLIED[name]() for name in names_in(test) & set(SUPPLIED)}
    if "model" in supplied and "trim_vocabulary(" in test.docstring:
        supplied["model"] = model.__wrapped__()  # without the adapters that other examples add
    elif "model" in supplied:
        # Another example may have frozen weights, or added some, since it was compiled. What it has
        # learnt stays learnt.
        supplied["model"].compile(keras.optimizers.Adam(1e-6))
    test.globs = {**PUBLIC, **supplied, **test.globs}
    reports: list[str] = []
    runner = doctest.DocTestRunner(Checker(), verbose=False, optionflags=FLAGS)
    # Without the module's `from __future__ import annotations`, which a reader does not see.
    runner.run(test, compileflags=0, out=reports.append)
    return "".join(reports)


def names(tests: list[doctest.DocTest]) -> list[str]:
    return [test.name.removeprefix("keras_s2s.") for test in tests]


@pytest.mark.parametrize("test", QUICK, ids=names(QUICK))
def test_examples_run(test: doctest.DocTest, place: None) -> None:
    assert not problems(test)


@pytest.mark.slow
@pytest.mark.parametrize("test", SLOW, ids=names(SLOW))
def test_examples_with_a_model_run(test: doctest.DocTest, place: None) -> None:
    assert not problems(test)


def unknown_names(test: doctest.DocTest) -> set[str]:
    """Names that the examples of a docstring read and nothing supplies or assigns."""
    known = {*dir(builtins), *PUBLIC, *SUPPLIED, *MODULE_NAMES.get(test.name, ())}
    read: set[str] = set()
    for example in test.examples:
        table = symtable.symtable(example.source, test.name, "exec")
        symbols = table.get_symbols()
        known |= {name.get_name() for name in symbols if name.is_assigned() or name.is_imported()}
        read |= {name for scope in scopes(table) for name in global_names(scope)} - known
    return read


def scopes(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    yield table
    for child in table.get_children():
        yield from scopes(child)


def global_names(table: symtable.SymbolTable) -> Iterator[str]:
    """Names that a scope reads and does not define itself."""
    for symbol in table.get_symbols():
        outside = table.get_type() == "module" or symbol.is_global()
        if outside and symbol.is_referenced():
            yield symbol.get_name()


@pytest.mark.parametrize("test", SLOW, ids=names(SLOW))
def test_slow_examples_read_names_that_exist(test: doctest.DocTest) -> None:
    assert not unknown_names(test)


def test_the_examples_are_found() -> None:
    assert len(QUICK) >= 70
    assert len(SLOW) >= 25
    assert sum(len(test.examples) for test in TESTS) >= 150
    # One for each `>>>` of the package.
    files = (ROOT / "keras_s2s").rglob("*.py")
    text = "".join(path.read_text(encoding="utf-8") for path in files)
    assert sum(len(test.examples) for test in TESTS) == len(re.findall(r"^ *>>> ", text, re.M))


@pytest.mark.parametrize(
    ("text", "fine"),
    [
        (">>> 1 + 1\n2\n", True),
        (">>> 1 + 1\n3\n", False),
        (">>> 1 + 1\n", True),
        (">>> no_such_name\n", False),
        (">>> keras.ops.zeros((2, 3)).shape\n(2, 3)\n", True),
        (">>> keras.ops.zeros((2, 3)).shape\n(2, 4)\n", False),
        (">>> len(pairs)\n4\n", True),
    ],
)
def test_a_wrong_example_is_found(text: str, fine: bool) -> None:
    test = doctest.DocTestParser().get_doctest(text, {}, "example", None, None)
    assert (problems(test) == "") == fine
