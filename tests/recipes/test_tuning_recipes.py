"""Recipes that begin with a checkpoint and its own tokenizer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from documentation import supplies
from small_models import slow_where_compiled

from keras_s2s import ConfigError, Seq2SeqLM
from keras_s2s.catalog import load_recipe
from keras_s2s.recipes.runner import run_recipe

pytest.importorskip("transformers")

#: Recipe -> the keys of its JSON lines.
SUMMARIES = {
    "summarize_xsum": ("document", "summary"),
    "summarize_cnn_dailymail": ("article", "highlights"),
}


def run(recipe: str, folder: Path, *settings: str) -> dict[str, Any]:
    small = ["training.epochs=1", "evaluation.samples=1", "generation={max_length: 12}"]
    loaded = load_recipe(recipe, [f"data.dir={folder}", *small, *settings])
    return run_recipe(loaded, folder / "run", make_model=Seq2SeqLM.from_preset)


def files(source: str, target: str) -> list[str]:
    return [
        f"data.{split}.{side}={name}.{language}"
        for split, name in (("train", "train"), ("validation", "val"), ("test", "test"))
        for side, language in (("source", source), ("target", target))
    ]


@slow_where_compiled
def test_a_folder_goes_on_with_its_weights_and_its_tokenizer(tmp_path: Path) -> None:
    supplies.write_texts(tmp_path)
    folder = supplies.write_checkpoint("marian", tmp_path / "opus-mt-en-de")
    before = Seq2SeqLM.from_preset(folder, verbose=False)
    # So small a rate that weights stay what they were, nearly.
    rate = "training.optimizer={name: sgd, learning_rate: 1.0e-9}"
    report = run("fine_tune", tmp_path, f"model={folder}", rate, *files("en", "de"))
    after = Seq2SeqLM.from_preset(tmp_path / "run")
    for old, new in zip(before.get_weights(), after.get_weights(), strict=True):
        np.testing.assert_allclose(old, new, atol=1e-5)
    assert after.preprocessor.encodes_like(before.preprocessor)
    assert report["model"] == str(folder)
    assert after.generation_config.max_length == 12


@slow_where_compiled
def test_defaults_of_generation_are_those_of_the_checkpoint(tmp_path: Path) -> None:
    supplies.write_texts(tmp_path)
    folder = supplies.write_checkpoint("t5", tmp_path / "t5")
    recipe = load_recipe(
        "fine_tune",
        [f"data.dir={tmp_path}", f"model={folder}", "training.epochs=1", *files("en", "de")],
    )
    data = recipe.model_dump(exclude_unset=True)
    recipe = type(recipe).model_validate({k: v for k, v in data.items() if k != "generation"})
    run_recipe(recipe, tmp_path / "run", make_model=Seq2SeqLM.from_preset)
    after = Seq2SeqLM.from_preset(tmp_path / "run")
    expected = Seq2SeqLM.from_preset(folder, verbose=False).generation_config
    assert after.generation_config.num_beams == expected.num_beams == 3


@slow_where_compiled
@pytest.mark.parametrize("recipe", ["korean_english", "english_korean"])
def test_languages_of_a_recipe_are_those_of_the_model(tmp_path: Path, recipe: str) -> None:
    supplies.write_texts(tmp_path)
    folder = supplies.write_checkpoint("m2m_100", tmp_path / "m2m")
    run(recipe, tmp_path, f"model={folder}", "data.train_size=32", *files("de", "en"))
    model = Seq2SeqLM.from_preset(tmp_path / "run")
    languages = model.special_ids.languages
    source, target = ("ko", "en") if recipe == "korean_english" else ("en", "ko")
    assert (languages.default_source, languages.default_target) == (source, target)
    ids = np.asarray(model.generate(["A man sleeps."], return_output=True).token_ids)
    assert ids[0, 0] == languages.codes[target]


@slow_where_compiled
@pytest.mark.parametrize("recipe", SUMMARIES)
def test_summaries_of_json_lines(tmp_path: Path, recipe: str) -> None:
    names = SUMMARIES[recipe]
    for split, count in (("train", 24), ("validation", 4), ("test", 4)):
        pairs = [(f"{s} " * 30, t) for s, t in supplies.sentences(count, seed=count)]
        lines = [json.dumps(dict(zip(names, pair, strict=True))) for pair in pairs]
        (tmp_path / f"{split}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    folder = supplies.write_checkpoint("bart", tmp_path / "bart")
    fast = "training.optimizer={name: adamw, learning_rate: 0.003, warmup_steps: 2}"
    quick = ["training.epochs=4", "training.accumulate=1", "data.max_source_length=64", fast]
    report = run(recipe, tmp_path, f"model={folder}", *quick)
    losses = report["history"]["val_loss"]
    assert losses[-1] < losses[0] - 0.1
    assert {"rouge1", "rouge2", "rougeL", "rouge_signature"} <= set(report["metrics"])
    assert report["test_pairs"] == 4


@slow_where_compiled
def test_questions_about_texts(tmp_path: Path) -> None:
    for name, articles in (("KorQuAD_v1.0_train.json", 24), ("KorQuAD_v1.0_dev.json", 4)):
        supplies.write_questions(tmp_path / name, articles)
    folder = supplies.write_checkpoint("t5", tmp_path / "t5")
    parts = ["data.train.articles=[0, 20]", "data.validation.articles=[20, 24]"]
    monitor = "training.monitor=val_korquad_f1"
    fast = "training.optimizer.learning_rate=0.02"
    sizes = ["training.epochs=30", "training.batch_size=4", "data.max_source_length=99"]
    report = run("korquad", tmp_path, f"model={folder}", *parts, monitor, fast, *sizes)
    assert report["metrics"]["korquad_f1"] == report["metrics"]["korquad_exact_match"] == 100
    assert max(report["history"]["val_korquad_f1"]) == 100
    assert report["test_pairs"] == 4


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["model=transformer_tiny"], "text: required, but missing: transformer_tiny describes"),
        (["model=opus_mt_ko_em"], "model: .*opus_mt_ko_en"),
        (["architecture.encoder.num_layers=2"], "architecture: changes a network that starts at"),
        (["model=hf://a/b", "text.source.kind=character"], "model: hf://a/b has weights and a"),
        (
            ["data.train={questions: a, target_key: b, source: null, target: null}"],
            "target_key: for a file of pairs, not for questions",
        ),
        (["data.train.articles=[0, 2]"], "articles: for a file of questions"),
        (["model=t5_tiny", "text.source.kind=character", "src_lang=en"], "src_lang: is for a mul"),
    ],
)
def test_settings_that_do_not_go_together(settings: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_recipe("fine_tune", settings)


def test_the_model_has_no_such_language(tmp_path: Path) -> None:
    supplies.write_texts(tmp_path)
    folder = supplies.write_checkpoint("t5", tmp_path / "t5")
    with pytest.raises(ConfigError, match="lang"):
        run("fine_tune", tmp_path, f"model={folder}", "src_lang=en", *files("en", "de"))
