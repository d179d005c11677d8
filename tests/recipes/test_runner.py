"""Recipes from end to end, as small as they can be."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from small_models import slow_where_compiled

from keras_s2s import Seq2SeqLM
from keras_s2s.catalog import list_recipes, load_recipe
from keras_s2s.config import ConfigError
from keras_s2s.data import DataError
from keras_s2s.recipes import run_callbacks
from keras_s2s.recipes import runner as recipes

SMALL = [
    "data.train_size=96",
    "data.validation_size=32",
    "data.test_size=8",
    "training.epochs=2",
    "training.batch_size=32",
    "training.num_buckets=1",
    "training.optimizer.warmup_steps=2",
    "evaluation.samples=3",
]
WIDTHS = {
    "dates": ["architecture.shared.hidden_dim=12", "architecture.shared.embedding.dim=8"],
    "multi30k_en_de_raw": [
        "architecture.shared.hidden_dim=12",
        "architecture.shared.num_heads=2",
        "architecture.shared.num_layers=1",
        "architecture.shared.intermediate_dim=16",
    ],
}


def run(
    directory: Path, *changes: str, name: str = "dates", overwrite: bool = False
) -> tuple[dict[str, Any], str]:
    printed = io.StringIO()
    report = recipes.run_recipe(
        load_recipe(name, [*SMALL, *WIDTHS[name], *changes]),
        directory,
        make_model=Seq2SeqLM.from_preset,
        results=printed,
        overwrite=overwrite,
    )
    return report, printed.getvalue()


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], str]:
    directory = tmp_path_factory.mktemp("runs") / "dates"
    return directory, *run(directory)


def test_a_run_leaves_a_model_and_its_results(first) -> None:
    directory, report, printed = first
    names = {path.name for path in directory.iterdir()}
    assert names == {
        "preset.yaml",
        "model.safetensors",
        "tokenizer",
        "recipe.yaml",
        "run.json",
        "metrics.jsonl",
        "results.json",
        "learning_curve.png",
        "attention.png",
    }
    assert json.loads((directory / "results.json").read_text()) == report
    assert len(report["history"]["val_loss"]) == 2
    last = json.loads(printed.strip().splitlines()[-1])
    assert last["exact_match"] == report["metrics"]["exact_match"]
    assert printed.count("\n  -> ") == 3, "three sample answers"


def test_the_saved_model_is_the_best_epoch_with_the_recipes_defaults(first) -> None:
    directory, report, _ = first
    model = Seq2SeqLM.from_preset(directory)
    assert model.generation_config.max_length == 16
    best = int(np.argmin(report["history"]["val_loss"]))
    assert report["best_epoch"] == best + 1
    assert isinstance(model.generate("March 3, 1999"), str)


@slow_where_compiled
def test_the_same_seed_gives_the_same_losses(first, tmp_path: Path) -> None:
    _, report, _ = first
    again, _ = run(tmp_path / "again")
    assert again["history"]["loss"] == report["history"]["loss"]
    assert again["history"]["val_loss"] == report["history"]["val_loss"]


@slow_where_compiled
def test_an_interrupt_leaves_a_usable_model(tmp_path: Path, monkeypatch) -> None:
    calls = 0

    def interrupt(self: Any, batch: int, logs: Any = None) -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(run_callbacks.ProgressBar, "on_train_batch_end", interrupt)
    with pytest.raises(KeyboardInterrupt, match=r"in epoch 1, after 3 of 3 .*as it was"):
        run(tmp_path / "run")
    model = Seq2SeqLM.from_preset(tmp_path / "run")
    assert isinstance(model.generate("March 3, 1999"), str)


@slow_where_compiled
def test_an_interrupt_in_the_second_epoch_leaves_the_first(tmp_path: Path, monkeypatch) -> None:
    finished: list[list[np.ndarray]] = []
    calls = 0
    real = run_callbacks.ProgressBar.on_epoch_end

    def remember(self: Any, epoch: int, logs: Any = None) -> None:
        finished.append([np.array(weight) for weight in self.model.get_weights()])
        real(self, epoch, logs)

    def interrupt(self: Any, batch: int, logs: Any = None) -> None:
        nonlocal calls
        calls += 1
        if calls == 5:  # an epoch has three batches
            raise KeyboardInterrupt

    monkeypatch.setattr(run_callbacks.ProgressBar, "on_epoch_end", remember)
    monkeypatch.setattr(run_callbacks.ProgressBar, "on_train_batch_end", interrupt)
    message = r"in epoch 2; .* has the model of epoch 1, .*--resume .* epoch 2, step 0"
    with pytest.raises(KeyboardInterrupt, match=message):
        run(tmp_path / "run")
    assert (calls, len(finished)) == (5, 1)
    model = Seq2SeqLM.from_preset(tmp_path / "run")
    for weight, expected in zip(model.get_weights(), finished[0], strict=True):
        np.testing.assert_array_equal(weight, expected)
    assert isinstance(model.generate("March 3, 1999"), str)
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names == {
        "preset.yaml",
        "model.safetensors",
        "tokenizer",
        "recipe.yaml",
        "run.json",
        "metrics.jsonl",
        "checkpoints",
    }


@slow_where_compiled
def test_an_interrupt_while_measuring_says_so(tmp_path: Path, monkeypatch) -> None:
    def interrupt(*args: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(recipes, "measure", interrupt)
    with pytest.raises(KeyboardInterrupt, match=r"measured; .*run has it, without results\.json"):
        run(tmp_path / "run", "training.epochs=1")
    assert isinstance(Seq2SeqLM.from_preset(tmp_path / "run").generate("March 3, 1999"), str)


def test_a_model_of_before_outlives_a_run_that_fails(first, tmp_path: Path, monkeypatch) -> None:
    directory = shutil.copytree(first[0], tmp_path / "run")
    before = {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}
    with pytest.raises(ConfigError, match="holds a model already"):
        run(directory)

    def interrupt(self: Any, batch: int, logs: Any = None) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(run_callbacks.ProgressBar, "on_train_batch_end", interrupt)
    with pytest.raises(KeyboardInterrupt, match="has the earlier model"):
        run(directory, overwrite=True)
    assert before == {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


@slow_where_compiled
def test_an_interrupt_in_the_middle_of_saving_leaves_a_usable_model(
    tmp_path: Path, monkeypatch
) -> None:
    real, calls = Seq2SeqLM.save_to_preset, 0

    def interrupted(self: Seq2SeqLM, directory: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise KeyboardInterrupt
        real(self, directory)

    monkeypatch.setattr(Seq2SeqLM, "save_to_preset", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "run")
    assert isinstance(Seq2SeqLM.from_preset(tmp_path / "run").generate("March 3, 1999"), str)


@slow_where_compiled
def test_files_of_a_folder(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    words = ["eins", "zwei", "drei", "vier", "fünf", "sechs"]
    lines = [f"{a} {b}" for a in words for b in words]
    for split in ("train", "val", "test_2016_flickr"):
        (data / f"{split}.en.gz").write_bytes(_gzip([line.upper() for line in lines]))
        (data / f"{split}.de.gz").write_bytes(_gzip(lines))
    changes = [
        f"data.dir={data}",
        "text.source.kind=character",
        "training.epochs=1",
        "generation.max_length=16",
        "generation.num_beams=2",
        "training.monitor=val_rougeL",
        "evaluation.metrics=[bleu, rouge]",
        "evaluation.tgt_lang=de",
        "evaluation.bleu_tokenize=char",
    ]
    report, printed = run(tmp_path / "run", *changes, name="multi30k_en_de_raw")
    assert report["test_pairs"] == 8  # data.test_size
    last = json.loads(printed.strip().splitlines()[-1])
    assert 0 <= last["bleu"] <= 100
    stored = json.loads((tmp_path / "run" / "results.json").read_text(encoding="utf-8"))["metrics"]
    for measured in (last, stored, report["metrics"]):
        assert "|tok:char|" in measured["bleu_signature"]
        assert "|tok:words|" in measured["rouge_signature"]
    assert len(report["history"]["val_rougeL"]) == 1


def test_a_metric_that_cannot_be_measured_is_refused_first(tmp_path: Path, monkeypatch) -> None:
    from sacrebleu.tokenizers import tokenizer_spm

    monkeypatch.setattr(tokenizer_spm, "SACREBLEU_DIR", str(tmp_path))
    monkeypatch.setattr(recipes, "load_splits", None)  # nothing may be read
    with pytest.raises(ValueError, match="'flores200' needs"):
        run(tmp_path, "evaluation.metrics=[bleu]", "evaluation.bleu_tokenize=flores200")


PAIR_FILES = """
description: Pairs in one file a split.
model: gru_bahdanau
architecture: {shared: {hidden_dim: 8, embedding: {dim: 8}}}
text: {source: {kind: character}}
data:
  dir: FOLDER
  train: {pairs: train.txt, columns: [2, 0]}
  validation: {pairs: val.jsonl.gz, source_key: en, target_key: de}
  test: {pairs: test.data, format: jsonl, source_key: en, target_key: de}
training: {epochs: 1, batch_size: 8, num_buckets: 1}
generation: {max_length: 8}
evaluation: {metrics: [exact_match], samples: 1}
"""


@slow_where_compiled
def test_columns_and_keys_of_pair_files(tmp_path: Path) -> None:
    pairs = [(a + b, (a + b).upper()) for a in "abcd" for b in "efgh"]
    table = "".join(f"{target}\tCC-BY\t{source}\n" for source, target in pairs)
    (tmp_path / "train.txt").write_text(table)
    lines = [json.dumps({"de": target, "en": source, "id": 1}) for source, target in pairs]
    (tmp_path / "val.jsonl.gz").write_bytes(_gzip(lines[:4]))
    (tmp_path / "test.data").write_text("\n".join(lines[4:6]))
    path = tmp_path / "mine.yaml"
    path.write_text(PAIR_FILES.replace("FOLDER", str(tmp_path)))
    recipe = load_recipe(path)
    splits = recipes.load_splits(recipe.data, seed=0)
    assert {name: list(split) for name, split in splits.items()} == {
        "train": pairs,
        "validation": pairs[:4],
        "test": pairs[4:6],
    }
    report = recipes.run_recipe(
        recipe, tmp_path / "run", make_model=Seq2SeqLM.from_preset, results=io.StringIO()
    )
    assert report["test_pairs"] == 2
    assert load_recipe(tmp_path / "run" / "recipe.yaml") == recipe, "what was done can be repeated"


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ([], ConfigError, r"data\.dir: no folder is named.*--set data\.dir=FOLDER"),
        (["data.dir=/no/such/folder"], ConfigError, "is not a folder"),
        (["data.dir=.", "data.test=null"], ConfigError, r"data\.test: required"),
    ],
)
def test_missing_data_is_named(tmp_path: Path, changes, error, message) -> None:
    with pytest.raises(error, match=message):
        run(tmp_path / "run", *changes, name="multi30k_en_de_raw")
    assert not (tmp_path / "run").exists(), "nothing is left behind"


def test_unequal_files_are_an_error_with_both_counts(tmp_path: Path) -> None:
    (tmp_path / "train.en.gz").write_bytes(_gzip(["a", "b", "c"]))
    (tmp_path / "train.de.gz").write_bytes(_gzip(["a", "b"]))
    with pytest.raises(DataError, match=r"(?s)3.*2"):
        run(tmp_path / "run", f"data.dir={tmp_path}", name="multi30k_en_de_raw")


def test_every_shipped_recipe_is_valid() -> None:
    names = list_recipes()
    assert {"dates", "multi30k_en_de"} <= set(names)
    for name in names:
        assert load_recipe(name, []).description


def _gzip(lines: list[str]) -> bytes:
    import gzip

    return gzip.compress("".join(f"{line}\n" for line in lines).encode())


def test_measuring_takes_the_first_of_several_answers() -> None:
    model = SimpleNamespace(
        generate=lambda sources, **options: [[source, "second"] for source in sources],
        preprocessor=None,
    )
    recipe = load_recipe("dates", ["evaluation.samples=2"])
    metrics, samples = recipes.measure(model, [("a", "a"), ("b", "c")], recipe)
    assert metrics["exact_match"] == 50.0
    assert samples == [("a", "a", "a"), ("b", "c", "b")]


@slow_where_compiled
@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        ({"train": (12, 3)}, r"data\.train: source 1 .*positions for 8.*data\.max_source_length"),
        ({"train": (3, 12)}, r"data\.train: target 1 .*positions for 8.*data\.max_target_length"),
        ({"validation": (12, 3)}, r"data\.validation: source 1 .* positions for 8"),
        ({"test": (12, 3)}, r"data\.test: source 1 .* positions for 8.*data\.overlong=truncate"),
    ],
)
def test_pairs_longer_than_learned_positions_are_found_before_training(
    tmp_path: Path, monkeypatch, lengths, message
) -> None:
    splits = {}
    for name in ("train", "validation", "test"):
        long = lengths.get(name, (3, 3))
        splits[name] = [("abc", "cba"), ("a" * long[0], "b" * long[1]), ("cab", "bac")]
    monkeypatch.setattr(recipes, "load_splits", lambda *_: splits)

    def fit(*_: Any, **__: Any) -> None:
        raise AssertionError("training has begun")

    monkeypatch.setattr(Seq2SeqLM, "fit", fit)
    shared = (
        "{hidden_dim: 8, num_heads: 2, embedding: {dim: 8, positions: learned, max_positions: 8}}"
    )
    changes = ["model=transformer_tiny", f"architecture.shared={shared}", "text.joint=true"]
    recipe = load_recipe("dates", [*SMALL, *changes])
    with pytest.raises(DataError, match=message):
        recipes.run_recipe(recipe, tmp_path / "run", make_model=Seq2SeqLM.from_preset)
    assert not (tmp_path / "run" / "model.safetensors").exists()


@slow_where_compiled
def test_a_recipe_freezes_and_has_learning_rates_of_groups(tmp_path, caplog) -> None:
    caplog.set_level("INFO")
    report, _ = run(
        tmp_path / "run",
        "training.epochs=1",
        "training.freeze=[embeddings]",
        "training.optimizer.learning_rates={encoder: 1.0e-5, decoder/attention: 0.02}",
    )
    lines = report["training"]
    assert lines[0].startswith("frozen: source_table, target_table (")
    assert [line.partition(":")[0] for line in lines[1:]] == [
        f"learning rate {rate} (CosineDecay)" for rate in ("1e-05", "0.003", "0.02")
    ]
    assert all(line in caplog.text for line in lines)


@slow_where_compiled
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("training.freeze=encodre", "training.freeze: 'encodre' is no part"),
        (
            "training.optimizer.learning_rates={encodre: 0.1}",
            "training.optimizer.learning_rates: 'encodre' is no part",
        ),
        ("training.optimizer.learning_rates={encoder: 0}", "greater than 0|above 0"),
    ],
)
def test_a_recipe_that_names_no_weights(tmp_path, change, message) -> None:
    with pytest.raises(ConfigError, match=message):
        run(tmp_path / "run", change)
