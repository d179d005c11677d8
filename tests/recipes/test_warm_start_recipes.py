"""Recipes that begin with a pretrained encoder and a pretrained decoder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from documentation import supplies
from small_models import slow_where_compiled

from keras_s2s import ConfigError, Seq2SeqLM
from keras_s2s.catalog import load_recipe
from keras_s2s.recipes.runner import run_recipe

pytest.importorskip("transformers")


@slow_where_compiled
@pytest.mark.parametrize("recipe", ["bert2bert", "bert2gpt2"])
def test_trained_to_a_preset(tmp_path: Path, recipe: str) -> None:
    supplies.write_halves(tmp_path)
    supplies.write_texts(tmp_path)
    decoder = tmp_path / ("gpt2" if recipe == "bert2gpt2" else "bert-base-uncased")
    files = [
        f"data.{split}.{side}={name}.{language}"
        for split, name in (("train", "train"), ("validation", "val"), ("test", "test"))
        for side, language in (("source", "en"), ("target", "de"))
    ]
    settings = [
        f"data.dir={tmp_path}",
        f"warm_start.encoder={tmp_path / 'bert-base-uncased'}",
        f"warm_start.decoder={decoder}",
        "training.epochs=1",
        "data.train_size=24",
        "data.max_target_length=20",
        "generation.max_length=6",
        "evaluation.metrics=[exact_match]",
        *files,
    ]
    report = run_recipe(
        load_recipe(recipe, settings),
        tmp_path / "run",
        make_model=Seq2SeqLM.from_preset,
        warm_start=Seq2SeqLM.from_encoder_decoder,
    )
    assert any("0.0005" in line for line in report["training"]), report["training"]
    assert report["epochs"] == 1
    written = json.loads((tmp_path / "run" / "results.json").read_text())
    assert written["model"].endswith(f"to {decoder}")
    model = Seq2SeqLM.from_preset(tmp_path / "run")
    assert model.preset.origin is not None and model.preset.origin.config["decoder"]
    assert not load_recipe(tmp_path / "run" / "recipe.yaml").warm_start.tie_encoder_decoder


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("text.source.kind=character", "text: is for tokenizers that are trained"),
        ("model=t5_tiny", "model: goes without warm_start"),
        ("architecture.encoder.num_layers=2", "architecture: changes a zoo entry"),
    ],
)
def test_settings_that_do_not_go_with_two_halves(setting: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_recipe("bert2bert", [setting])
