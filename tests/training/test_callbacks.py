"""Callbacks around `fit`, with a model small enough to train in a second."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from small_models import slow_where_compiled

from keras_s2s import Seq2SeqLM, callbacks
from keras_s2s.data import Batches
from keras_s2s.text import Preprocessor
from keras_s2s.training.callbacks import ProgressBar, SaveBest, TimeLimit

PAIRS = [("ab", "ba"), ("abc", "cba"), ("ca", "ac"), ("cab", "bac")]


@pytest.fixture(scope="module")
def trained() -> tuple[Seq2SeqLM, Batches]:
    text = Preprocessor.train(PAIRS, "character")
    model = Seq2SeqLM.from_preset(
        "gru_encoder_decoder",
        load_weights=False,
        preprocessor=text,
        architecture={
            "shared": {"hidden_dim": 16, "dropout": 0.0, "embedding": {"dim": 8, "dropout": 0.0}}
        },
    )
    model.compile(keras.optimizers.Adam(0.02))
    return model, Batches(PAIRS, text, batch_size=4, num_buckets=1)


@slow_where_compiled
def test_generation_metrics_appear_in_the_history(trained) -> None:
    model, batches = trained
    watched = callbacks.GenerationMetrics(PAIRS, ["exact_match", "chrf"], every=2, max_length=8)
    history = model.fit(batches, epochs=4, verbose=0, callbacks=[watched]).history
    assert len(history["val_exact_match"]) == len(history["val_chrf"]) == 2
    assert all(0 <= value <= 100 for value in history["val_exact_match"])


def test_generation_metrics_take_the_first_of_several_answers() -> None:
    model = Seq2SeqLM.from_preset(
        "gru_encoder_decoder",
        load_weights=False,
        preprocessor=Preprocessor.train(PAIRS, "character"),
        architecture={"shared": {"hidden_dim": 4, "embedding": {"dim": 4}}},
        generation={"num_beams": 3, "num_return_sequences": 3, "max_length": 6},
    )
    first = [texts[0] for texts in model.generate([source for source, _ in PAIRS])]
    pairs = [(source, answer) for (source, _), answer in zip(PAIRS, first, strict=True)]
    watched = callbacks.GenerationMetrics(pairs, ["exact_match"])
    watched.set_model(model)
    logs: dict[str, Any] = {}
    watched.on_epoch_end(0, logs)
    assert logs["val_exact_match"] == 100.0


def test_generation_metrics_see_the_new_weights(trained) -> None:
    model, batches = trained
    watched = callbacks.GenerationMetrics(PAIRS, ["exact_match"], every=60, max_length=8)
    history = model.fit(batches, epochs=60, verbose=0, callbacks=[watched]).history
    assert history["val_exact_match"][-1] == 100.0, "four pairs must be learnt by heart"
    assert model.generate("abc") == "cba"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"metrics": ["meteor"]}, "unknown metric 'meteor'"),
        ({"bleu_tokenize": "zn"}, "bleu_tokenize is 'zn'"),
        ({"metrics": ["chrf"], "bleu_tokenize": "zh"}, "bleu is not among the metrics"),
        ({"every": 0}, "every=0"),
        ({"limit": 0}, "at least one pair"),
        ({"num_return_sequences": 2}, "one text with one reference; drop num_return_sequences=2"),
        ({"return_output": True}, "drop return_output=True"),
    ],
)
def test_generation_metrics_refuse_nonsense(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        callbacks.GenerationMetrics(PAIRS, **arguments)


CHINESE = [("ab", "今天天气很好"), ("abc", "我喜欢吃苹果"), ("ca", "他昨天去北京了")]


@pytest.mark.parametrize(
    ("options", "tokenizer"),
    [
        ({}, "zh"),
        ({"tgt_lang": "zh"}, "zh"),
        ({"tgt_lang": ["zh", "zh_CN", "zho_Hans", "zh"], "limit": 3}, "zh"),
        ({"bleu_tokenize": "char"}, "char"),
        ({"tgt_lang": "zh", "bleu_tokenize": "13a"}, "13a"),
    ],
)
def test_generation_metrics_follow_the_language(options, tokenizer, trained, capsys) -> None:
    model, _ = trained
    watched = callbacks.GenerationMetrics(CHINESE, ["bleu", "rouge"], max_length=4, **options)
    watched.set_model(model)
    watched.set_params({"verbose": 1})
    watched.on_train_begin()
    logs: dict[str, Any] = {}
    watched.on_epoch_end(0, logs)
    watched.on_epoch_end(1, logs)
    assert sorted(logs) == ["val_bleu", "val_rouge1", "val_rouge2", "val_rougeL"]
    assert f"|tok:{tokenizer}|" in watched.signatures["bleu_signature"]
    assert "|tok:zh|" in watched.signatures["rouge_signature"]
    printed = capsys.readouterr().err
    assert printed.count(watched.signatures["bleu_signature"]) == 1


def test_languages_of_two_kinds_are_refused_before_the_first_step(trained) -> None:
    model, batches = trained
    before = keras.ops.convert_to_numpy(model.weights[0]).copy()
    watched = callbacks.GenerationMetrics(PAIRS, ["bleu"], tgt_lang=["zh", "de", "de", "de"])
    with pytest.raises(ValueError, match="one language at a time"):
        model.fit(batches, verbose=0, callbacks=[watched])
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(model.weights[0]), before)


@pytest.mark.parametrize(
    ("monitor", "values", "saved"),
    [
        ("val_loss", [3.0, 2.0, 2.5, 1.0], [0, 1, 3]),
        ("val_perplexity", [3.0, 4.0, 2.0], [0, 2]),
        ("val_bleu", [3.0, 2.0, 3.5], [0, 2]),
    ],
)
def test_the_best_epochs_are_saved(monitor: str, values: list[float], saved: list[int]) -> None:
    kept: list[int] = []
    keeper = SaveBest(lambda _: kept.append(epoch), monitor)
    for epoch, value in enumerate(values):
        keeper.on_epoch_end(epoch, {monitor: value})
    assert kept == saved
    assert keeper.best_epoch == saved[-1]


def test_a_missing_monitor_is_named() -> None:
    with pytest.raises(ValueError, match=r"'val_bleu' is not among the logged values: loss"):
        SaveBest(lambda _: None, "val_bleu").on_epoch_end(0, {"loss": 1.0})


def test_time_limit_ends_after_the_epoch(trained) -> None:
    model, batches = trained
    history = model.fit(batches, epochs=5, verbose=0, callbacks=[TimeLimit(1e-9)]).history
    assert len(history["loss"]) == 1


def test_a_bar_goes_on_within_an_epoch() -> None:
    bar = ProgressBar(epochs=3, first_epoch=1, first_step=4)
    for epoch, steps, total in ((1, 3, 7), (2, 7, 7)):  # the rest of an epoch, a whole one
        bar.set_params({"epochs": epoch + 1, "steps": steps})
        bar.on_train_begin()
        bar.on_epoch_begin(epoch)
        assert (bar.bar.n, bar.bar.total) == (total - steps, total)
        for batch in range(steps):
            bar.on_train_batch_end(batch)
        assert bar.bar.n == total
        bar.on_epoch_end(epoch)
        assert bar.epochs == 3
