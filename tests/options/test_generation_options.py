"""An option is declared once, and everything that knows options learns of it there."""

from __future__ import annotations

import inspect
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError, create_model
from small_models import slow_where_compiled
from typer.testing import CliRunner

import keras_s2s
from keras_s2s.cli.app import app
from keras_s2s.config import GenerationConfig
from keras_s2s.config.generation import _field
from keras_s2s.config.strict import Strict
from keras_s2s.model import Seq2SeqLM
from keras_s2s.options import strategies
from keras_s2s.options.forced_kinds import (
    ForcedIds,
    ForcedTexts,
    Glossary,
    Pattern,
    Schema,
    ShortlistFile,
)
from keras_s2s.options.generation import DEFAULTS, OPTIONS, GenerationOption, checked
from keras_s2s.options.kinds import (
    Function,
    Rules,
    Seed,
    StartAndFactor,
    Switch,
    Text,
    Texts,
    TokenId,
    TokenIds,
    TokenLists,
)
from keras_s2s.samplers.rules import RULES
from keras_s2s.samplers.strategy_choice import STRATEGIES

ROOT = Path(keras_s2s.__file__).parents[1]

#: A rule that is there already, under a new name.
NEW = """
        same("never_these", TokenIds(), "ids that no result holds", rule="Suppress"),
        # Rules
"""

PROBE = """
import inspect, io, contextlib
import numpy as np
from small_models import make_model, shrunken_preset, source_mapping
from keras_s2s.cli import main
from keras_s2s.config import GenerationConfig
from keras_s2s.model import Seq2SeqLM
from keras_s2s.options.descriptions import options_table

assert GenerationConfig(never_these=[5]).never_these == [5]
assert "| `never_these` |" in options_table()
assert "never_these: ids that no result holds." in Seq2SeqLM.generate.__doc__
for command in ("generate", "evaluate"):
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        assert main([command, "--help"]) == 0
    assert "--never-these" in text.getvalue(), command
model = make_model(shrunken_preset("bart_base"))
sources = source_mapping([[5, 6, 7, 3]])
before = model.generate(sources, max_length=8)
first = int(before[0, 0])
after = model.generate(sources, max_length=8, never_these=[first])
assert first not in after
try:
    model.generate(sources, never_these=[99])
except ValueError as error:
    assert "never_these[0]=99 is no id" in str(error)
else:
    raise AssertionError("an id outside the vocabulary")
try:
    model.generate(sources, never_those=[1])
except ValueError as error:
    assert "did you mean 'never_these'" in str(error)
print("seen everywhere")
"""


@slow_where_compiled
def test_a_line_in_the_table_is_seen_everywhere(tmp_path):
    for name in ("keras_s2s", "zoo", "recipes"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    table = tmp_path / "keras_s2s" / "options" / "generation.py"
    text = table.read_text(encoding="utf-8")
    place = "\n        # Rules\n"
    assert text.count(place) == 1
    table.write_text(text.replace(place, NEW), encoding="utf-8")
    paths = os.pathsep.join([str(tmp_path), str(ROOT / "tests")])
    done = subprocess.run(
        [sys.executable, "-c", PROBE],
        env={**os.environ, "PYTHONPATH": paths},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.endswith("seen everywhere\n"), done.stderr[-3000:]


def test_each_default_is_that_of_the_table():
    config = GenerationConfig()
    names = {option.name for option in OPTIONS.values() if option.configured}
    assert set(GenerationConfig.model_fields) == names
    assert {name: getattr(config, name) for name in names} == {
        name: OPTIONS[name].default for name in names
    }
    for name, (strategy, options) in STRATEGIES.items():
        parameters = inspect.signature(strategy).parameters
        assert set(parameters) == set(options), name
        for option in options:
            own = strategies.STRATEGIES[name].defaults
            wanted = own.get(option, getattr(DEFAULTS, option))
            assert parameters[option].default == wanted, (name, option)
        made = strategy()
        assert made.draws == strategies.STRATEGIES[name].draws, name
        assert hasattr(made, "num_beams") == strategies.STRATEGIES[name].beams, name
    assert list(STRATEGIES) == list(strategies.STRATEGIES)
    assert set(RULES) == {option.name for option in OPTIONS.values() if option.rule}


@pytest.mark.parametrize(
    ("kind", "value", "wrong"),
    [(TokenId(), 3, "three"), (TokenId(), 0, -1), (Text(), "Ein", 3), (Seed(), 3, "three")],
)
def test_every_kind_of_value_that_a_file_can_hold_may_be_configured(kind, value, wrong):
    option = GenerationOption("first", kind, "a meaning")
    config = create_model("Config", __base__=Strict, first=_field(option))
    assert config(first=value).first == value
    assert config().first is None
    with pytest.raises(ValidationError):
        config(first=wrong)


@pytest.mark.parametrize("kind", [Function(), Rules()])
def test_python_objects_cannot_be_configured(kind):
    with pytest.raises(TypeError, match=r"option first: .* configured=False"):
        _field(GenerationOption("first", kind, "a meaning"))


def test_the_table_says_which_default_may_be_null():
    nullable = {
        name
        for name, option in OPTIONS.items()
        if option.configured and option.default is not None and option.nullable
    }
    assert nullable == {"diversity_penalty"}
    assert GenerationConfig(diversity_penalty=None).diversity_penalty is None
    with pytest.raises(ValidationError):
        GenerationConfig(length_penalty=None)


def value_of(option: Any) -> tuple[str, Any]:
    """A value as a command line writes it, and as `generate` takes it."""
    kind = option.kind
    if isinstance(kind, TokenLists):
        return "7 12,9", [[7], [12, 9]]
    if isinstance(kind, TokenIds):
        return "5,6", [5, 6]
    if isinstance(kind, StartAndFactor):
        return "5,1.5", (5, 1.5)
    if isinstance(kind, ForcedIds):
        return "7 12,9|13", [[[7]], [[12, 9], [13]]]
    if isinstance(kind, ForcedTexts):
        return "ein;zwei|drei", [["ein"], ["zwei", "drei"]]
    if isinstance(kind, Glossary | ShortlistFile):
        return "terms.tsv", "terms.tsv"
    if isinstance(kind, Switch) and kind.others:
        return "never", "never"
    if isinstance(kind, TokenId | Seed):
        return "3", 3
    if isinstance(kind, Text):
        return "Ein", "Ein"
    if isinstance(kind, Texts):
        return "Ende;###", ["Ende", "###"]
    if isinstance(kind, Pattern):
        return "[0-9]+", "[0-9]+"
    if isinstance(kind, Schema):
        return '{"type": "integer"}', '{"type": "integer"}'
    if option.name == "length_normalization":
        return "gnmt", "gnmt"
    if option.name == "sampler":
        return "beam", "beam"
    return ("2", 2) if kind.words is int else ("0.5", 0.5)


@pytest.mark.parametrize("command", ["generate", "evaluate"])
def test_the_command_line_takes_every_option(command, monkeypatch, tmp_path):
    given: dict[str, Any] = {}

    class Stop(Exception):
        pass

    def generate_for_lines(network, lines, options, notes, **more):
        given.update(options)
        raise Stop

    module = sys.modules[f"keras_s2s.cli.commands.{command}"]
    monkeypatch.setattr(module, "generate_for_lines", generate_for_lines)
    monkeypatch.setattr(module, "check_files", lambda *arguments: None)
    ids = SimpleNamespace(languages=None)
    fake = SimpleNamespace(preprocessor=SimpleNamespace(special_ids=ids))
    monkeypatch.setattr(module, "load_text_model", lambda model, **options: fake)
    monkeypatch.setattr(module, "import_backend", lambda: None)
    monkeypatch.setattr(module, "show_messages", lambda: None)
    if command == "generate":
        monkeypatch.setattr(module, "texts_per_line", lambda network, options: 1)
        words = ["generate", "model", "a text"]
    else:
        files = [tmp_path / "source", tmp_path / "target"]
        for file in files:
            file.write_text("a\n", encoding="utf-8")
        words = ["evaluate", "model", "--source", str(files[0]), "--target", str(files[1])]
        words += ["--metrics", "exact_match"]
        import keras_s2s.text_metrics.target_language as target_language

        monkeypatch.setattr(target_language, "target_language", lambda text: None)
    wanted: dict[str, Any] = {}
    for option in OPTIONS.values():
        if option.kind.python_only:
            continue
        if option.kind.words is bool:
            words.append(option.flag)
            wanted[option.name] = True
            continue
        written, wanted[option.name] = value_of(option)
        words += [option.flag, written]
    result = CliRunner().invoke(app, words)
    assert isinstance(result.exception, Stop), (result.output, result.exception)
    assert {name: given[name] for name in wanted} == wanted
    assert len(wanted) == len(OPTIONS) - 2  # a function, and objects of Python


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--num-beams", "0"], "num_beams=0 must be a whole number of at least 1"),
        (["--early-stopping", "perhaps"], "--early-stopping is 'perhaps'; expected true, false"),
        (["--suppress-tokens", "5;6"], "--suppress-tokens is '5;6'; expected ids"),
        (
            ["--exponential-decay-length-penalty", "15"],
            "--exponential-decay-length-penalty is '15'; expected a start and a factor",
        ),
        (["--bad-words-ids", "7 x"], "--bad-words-ids is 'x'; expected words"),
        (["--top-p", "2"], "top_p=2.0 must lie above 0"),
        (["--sampler", "beem"], "--sampler 'beem' is unknown; did you mean 'beam'?"),
    ],
)
def test_a_value_that_cannot_be_meant_is_refused_before_a_model_is_read(words, message):
    result = CliRunner().invoke(app, ["generate", "nowhere", "a text", *words])
    assert message in str(result.exception)


def test_what_was_not_written_is_left_to_the_model():
    from keras_s2s.cli.generation_options import read_generation_options

    assert read_generation_options({"do_sample": False, "num_beams": None}) == {"do_sample": False}


def test_the_docstring_of_generate_lists_every_option():
    text = inspect.getdoc(Seq2SeqLM.generate) or ""
    assert "{generation_options}" not in text
    for option in OPTIONS.values():
        assert f"\n    {option.name}: {option.meaning[:20]}" in text
    assert max(len(line) for line in text.splitlines()) <= 100


def test_checks_name_the_option():
    assert checked("num_beams", np.int64(3)) == 3
    with pytest.raises(ValueError, match=r"temperature=0 must be above 0"):
        checked("temperature", 0)
    with pytest.raises(AttributeError, match="num_beems"):
        _ = DEFAULTS.num_beems
