"""The recipes of Multi30k: the protocol of the paper, and a small run that is interrupted."""

from __future__ import annotations

import gzip
import io
import json
import random
from pathlib import Path
from typing import Any

import pytest
from recipes.small_runs import assert_same_runs, keep_checkpoints
from recipes.test_resuming import Stopped, stop_after
from small_models import slow_where_compiled

from keras_s2s import Seq2SeqLM
from keras_s2s.catalog import load_recipe
from keras_s2s.catalog.settings import collect_preset
from keras_s2s.config import PresetConfig, TrainingConfig
from keras_s2s.recipes import runner
from keras_s2s.recipes.progress import planned_epochs

SMALL = [
    "architecture.shared={hidden_dim: 8, num_heads: 2, intermediate_dim: 8, num_layers: 1}",
    "text.source.vocab_size=300",
    "training.epochs=9",
    "training.max_steps=60",
    "training.batch_size=256",
    "training.num_buckets=2",
    "training.optimizer.warmup_steps=5",
    "training.checkpoints={steps: 4, minutes: null}",
    "training.average.last_checkpoints=2",
    "generation.max_length=12",
    "generation.num_beams=2",
    "evaluation.samples=1",
]


@pytest.mark.parametrize("language", ["de", "fr"])
def test_the_protocol(language: str) -> None:
    recipe = load_recipe(f"multi30k_en_{language}")
    preset = collect_preset("transformer_tiny", None)
    preset.add({"architecture": recipe.architecture}, "the recipe")
    architecture = preset.read(PresetConfig, "test").architecture
    for side in (architecture.encoder, architecture.decoder):
        assert (side.num_layers, side.hidden_dim, side.intermediate_dim, side.num_heads) == (
            *(4, 128),
            *(256, 4),
        )
        assert (side.dropout, side.embedding.dropout) == (0.3, 0.3)
        assert (side.attention_dropout, side.activation_dropout) == (0.0, 0.0)
        assert side.norm_order == "post"
    assert architecture.share_embeddings and architecture.output.tie_embeddings
    assert recipe.text is not None and recipe.text.joint
    assert (recipe.text.source.kind, recipe.text.source.vocab_size) == ("sentencepiece_bpe", 10_000)
    training, optimizer = recipe.training, recipe.training.optimizer
    assert training.label_smoothing == 0.1
    assert (training.batch_unit, training.batch_size) == ("tokens", 2 * 4096)
    assert (training.max_steps, training.patience, training.accumulate) == (8000, 10, 1)
    assert training.average is not None and training.average.last_checkpoints == 10
    assert (optimizer.name, optimizer.beta_1, optimizer.beta_2) == ("adam", 0.9, 0.98)
    assert (optimizer.learning_rate, optimizer.schedule) == (0.005, "inverse_sqrt")
    assert (optimizer.warmup_steps, optimizer.clip_norm, optimizer.weight_decay) == (2000, None, 0)
    assert recipe.generation.num_beams == 5
    assert recipe.evaluation.bleu_tokenize == "none"
    files = {
        path
        for split in (recipe.data.train, recipe.data.validation, recipe.data.test)
        for path in (split.paths.values() if split is not None else ())
    }
    assert files == {
        f"{split}.lc.norm.tok.{side}.gz"
        for split in ("train", "val", "test_2016_flickr")
        for side in ("en", language)
    }


def test_both_languages_have_one_protocol() -> None:
    german, french = (
        load_recipe(f"multi30k_en_{language}").model_dump_json() for language in ("de", "fr")
    )
    assert german.replace(".de.gz", ".fr.gz").replace("German", "French") == french


def test_whole_epochs_in_so_many_steps() -> None:
    def planned(batches: int, **settings: Any) -> int:
        return planned_epochs(TrainingConfig(epochs=20, **settings), batches)

    assert planned(60) == 20
    assert planned(60, max_steps=8000) == 20
    assert planned(60, max_steps=599) == 9
    assert planned(60, max_steps=600) == 10
    assert planned(60, max_steps=600, accumulate=2) == 20
    assert planned(60, max_steps=299, accumulate=2) == 9
    assert planned(60, max_steps=59) == 1


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files as the field has them; a target is its source from the end."""
    folder = tmp_path_factory.mktemp("multi30k_tok")
    draw = random.Random(3)
    words = ["ein", "hund", "&apos;s", "läuft", "über", "gras", ".", ","]
    for split, count in (("train", 160), ("val", 12), ("test_2016_flickr", 4)):
        lines = [draw.choices(words, k=draw.randint(2, 9)) for _ in range(count)]
        for side in ("en", "de"):
            text = "".join(" ".join(w[:: 1 if side == "en" else -1]) + "\n" for w in lines)
            path = folder / f"{split}.lc.norm.tok.{side}.gz"
            path.write_bytes(gzip.compress(text.encode()))
    return folder


def run(directory: Path, data: Path, **options: Any) -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "can_draw", lambda: False)
        return runner.run_recipe(
            load_recipe("multi30k_en_de", [*SMALL, f"data.dir={data}"]),
            directory,
            make_model=Seq2SeqLM.from_preset,
            results=io.StringIO(),
            **options,
        )


@slow_where_compiled
def test_an_interrupted_run_ends_as_one_that_was_not(
    data: Path, tmp_path: Path, monkeypatch
) -> None:
    keep_checkpoints(monkeypatch)
    report = run(tmp_path / "undisturbed", data)
    steps = sum(
        json.loads(line)["kind"] == "epoch"
        for line in (tmp_path / "undisturbed" / "metrics.jsonl").open()
    )
    assert steps == report["epochs"] == len(report["history"]["loss"])
    assert 1 < report["epochs"] < 9, "max_steps ends it"
    assert "|tok:none|" in report["metrics"]["bleu_signature"]
    assert report["average"]["epochs"] == [report["epochs"] - 1, report["epochs"]]
    for number, calls in enumerate((6, 7)):
        with monkeypatch.context() as patch:
            stop_after(patch, "on_train_batch_end", calls)
            with pytest.raises(Stopped):
                run(tmp_path / "run", data, resume=number > 0)
    run(tmp_path / "run", data, resume=True)
    assert_same_runs(tmp_path / "run", tmp_path / "undisturbed")
