"""TensorBoard: values with learning rates of groups, and pictures of the attention."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from training.small_training import small_batches, small_model

from keras_s2s import Seq2SeqLM
from keras_s2s.callbacks import AttentionPictures
from keras_s2s.text import Preprocessor

RATES = {"decoder": 1e-3, "cross_attention": 5e-3}


def events(folder: Path) -> list[Any]:
    """Step, tag, plugin and values of what stands in the event files of a folder."""
    tf = pytest.importorskip("tensorflow")
    found = []
    for path in sorted(folder.glob("**/events.*")):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                plugin = value.metadata.plugin_data.plugin_name
                found.append((event.step, value.tag, plugin, tf.make_ndarray(value.tensor)))
    return found


def test_keras_callback_finds_a_learning_rate_for_each_group(tmp_path: Path) -> None:
    pytest.importorskip("tensorflow")
    model = small_model()
    model.compile(keras.optimizers.Adam(1e-4, name="adam"), learning_rates=RATES)
    callback = keras.callbacks.TensorBoard(str(tmp_path))
    callback._model = model
    found = callback._collect_learning_rate({})
    expected = {
        "learning_rate_adam": 1e-4,
        "learning_rate_adam_decoder": 1e-3,
        "learning_rate_adam_cross_attention": 5e-3,
    }
    assert found == pytest.approx(expected)


def test_fit_with_keras_callback_and_learning_rates_of_groups(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    model = small_model()
    model.compile(keras.optimizers.Adam(1e-4, name="adam"), learning_rates=RATES)
    callback = keras.callbacks.TensorBoard(str(tmp_path), write_graph=False)
    model.fit(small_batches(model, 8, 1), epochs=2, verbose=0, callbacks=[callback])
    found = {(step, tag): float(value) for step, tag, _, value in events(tmp_path)}
    for epoch in (0, 1):
        assert found[epoch, "epoch_learning_rate_adam_cross_attention"] == pytest.approx(5e-3)
        assert np.isfinite(found[epoch, "epoch_loss"])


@pytest.mark.parametrize("every", [1, 2])
def test_pictures_of_the_attention(tmp_path: Path, every: int) -> None:
    tf = pytest.importorskip("tensorflow")
    pytest.importorskip("matplotlib")
    pairs = [("ab ba", "ba ab"), ("한글 $x", "x 한글")]
    model = Seq2SeqLM.from_preset(
        "gru_bahdanau",
        load_weights=False,
        preprocessor=Preprocessor.train(pairs, "character"),
        architecture={"shared": {"hidden_dim": 8, "embedding": {"dim": 8}}},
    )
    sources = [source for source, _ in pairs]
    pictures = AttentionPictures(sources, tmp_path, every=every, max_length=6)
    pictures.set_model(model)
    for epoch in range(2):
        pictures.on_epoch_end(epoch)
    pictures.on_train_end()
    found = events(tmp_path / "validation")
    steps = [epoch for epoch in (0, 1) if (epoch + 1) % every == 0]
    assert [(step, tag, plugin) for step, tag, plugin, _ in found] == [
        (step, f"attention/{number}", "images") for step in steps for number in (0, 1)
    ]
    for *_, (width, height, png) in found:
        pixels = tf.io.decode_png(png).numpy()
        assert pixels.shape[:2] == (int(height), int(width))
        assert pixels.std() > 10, "an empty picture"


def test_arguments_that_cannot_be_meant(tmp_path: Path) -> None:
    pytest.importorskip("tensorflow")
    pytest.importorskip("matplotlib")
    with pytest.raises(ValueError, match="at least one source"):
        AttentionPictures([], tmp_path)
    with pytest.raises(ValueError, match="every=0"):
        AttentionPictures(["a"], tmp_path, every=0)
