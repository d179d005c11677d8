"""A recipe with an objective, from lines to a model."""

from __future__ import annotations

import io
import json
import random
from pathlib import Path

import pytest
from small_models import slow_where_compiled

from keras_s2s import Seq2SeqLM
from keras_s2s.catalog import load_recipe
from keras_s2s.config import ConfigError
from keras_s2s.data import SentencePermutation, SpanCorruption, TextInfilling
from keras_s2s.recipes import runner as recipes
from keras_s2s.recipes.data import make_objective

TINY = [
    "architecture.shared.hidden_dim=16",
    "architecture.shared.num_heads=2",
    "architecture.shared.num_layers=1",
    "architecture.shared.intermediate_dim=24",
    "architecture.shared.dropout=0.0",
    "text.source.kind=word",
    "text.source.sentinels=4",
    "training.epochs=3",
    "training.batch_size=16",
    "training.num_buckets=1",
    "training.optimizer.warmup_steps=2",
    "training.optimizer.learning_rate=0.02",
    "generation.max_length=8",
    "evaluation.samples=3",
]
BART = [
    "data.objective.span_corruption=null",
    "data.objective.text_infilling={}",
    "data.objective.sentence_permutation={}",
    "text.source.mask=true",
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    draw = random.Random(0)
    words = ["ein", "Hund", "läuft", "im", "Schnee", "und", "bellt"]
    for name, count in (("train", 96), ("val", 16), ("test", 8)):
        lines = (" ".join(draw.choices(words, k=draw.randint(4, 9))) + "." for _ in range(count))
        (tmp_path / f"{name}.txt").write_text("\n".join(lines), encoding="utf-8")
    return tmp_path


def run(folder: Path, *changes: str):
    printed = io.StringIO()
    recipe = load_recipe("pretrain_t5_tiny", [f"data.dir={folder}", *TINY, *changes])
    report = recipes.run_recipe(
        recipe, folder / "run", make_model=Seq2SeqLM.from_preset, results=printed
    )
    return recipe, report, printed.getvalue()


@slow_where_compiled
def test_span_corruption(folder: Path) -> None:
    recipe, report, printed = run(folder)
    assert report["history"]["loss"][-1] < report["history"]["loss"][0] - 0.2
    assert report["history"]["val_loss"][-1] < report["history"]["val_loss"][0]
    assert set(report["metrics"]) == {"loss", "perplexity", "token_accuracy"}
    assert report["test_pairs"] == 8
    assert json.loads(printed.strip().splitlines()[-1])["perplexity"] > 1
    assert printed.count("\n  -> ") == 3, "three samples"
    assert printed.count("  ≠  <extra_id_0> ") + printed.count("  =  <extra_id_0> ") == 3
    assert load_recipe(folder / "run" / "recipe.yaml") == recipe, "what was done can be repeated"
    model = Seq2SeqLM.from_preset(folder / "run")
    assert len(model.preprocessor.source.sentinel_ids) == 4
    assert isinstance(model.generate("ein Hund läuft."), str)


@slow_where_compiled
def test_barts_objective(folder: Path) -> None:
    _, report, printed = run(folder, *BART, "training.epochs=1")
    assert report["metrics"]["loss"] > 0
    assert "<mask>" in printed


def test_rules_of_a_recipe() -> None:
    config = load_recipe("pretrain_t5_tiny", []).data.objective
    (rule,) = make_objective(config)
    assert isinstance(rule, SpanCorruption)
    assert (rule.noise_density, rule.mean_span_length, rule.ends_in_span) == (0.15, 3.0, False)
    changes = [*BART, "data.objective.text_infilling.mask_share=0.5"]
    config = load_recipe("pretrain_t5_tiny", changes).data.objective
    first, second = make_objective(config)
    assert isinstance(first, SentencePermutation)
    assert isinstance(second, TextInfilling)
    assert (second.mask_share, second.mean_span_length) == (0.5, 3.0)
    assert make_objective(None) is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["text.source.sentinels=0"], r"text\.source\.sentinels: span_corruption needs sentinels"),
        (["text.joint=false"], r"text\.joint: .*set joint: true"),
        ([*BART, "text.source.mask=false"], r"text\.source\.mask: text_infilling needs a mask"),
        (BART[1:2], "span_corruption and text_infilling exclude each other"),
        (BART[:1], "name one, with its settings"),
        (["data.objective=null"], r"data\.train: lines need an objective"),
        (
            ["data.train.lines=null", "data.train.pairs=a.tsv"],
            r"data\.train: an objective works on single texts",
        ),
        (["data.train.pairs=a.tsv"], "give either source and target, or pairs, or lines"),
        (["data.train.columns=[0, 1]"], "columns: for a file of pairs, not for lines"),
        (["data.objective.spam_corruption={}"], "did you mean 'span_corruption'"),
        (["data.objective.span_corruption.noise_densty=0.1"], "did you mean 'noise_density'"),
        (["data.objective.span_corruption.noise_density=1.0"], r"noise_density: .*less than 1"),
        (["evaluation.metrics=[bleu]"], r"evaluation\.metrics: .*set metrics: \[\]"),
        (["training.monitor=val_bleu"], r"training\.monitor: val_bleu compares generated"),
        (["data.train=null", "data.task=dates"], r"data\.objective: works on lines"),
    ],
)
def test_what_does_not_fit_is_named(changes, message) -> None:
    with pytest.raises(ConfigError, match=message):
        load_recipe("pretrain_t5_tiny", changes)


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"data\.dir: no folder is named"):
        recipes.load_splits(load_recipe("pretrain_t5_tiny", []).data, seed=0)
    data = load_recipe("pretrain_t5_tiny", [f"data.dir={tmp_path}"]).data
    with pytest.raises(ValueError, match=r"train\.txt: no such file"):
        recipes.load_splits(data, seed=0)
