"""What is saved comes back: configuration, weights, tokenizers, logits; also elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from contracts import checks
from small_models import (
    VARIANTS,
    Probe,
    architectures,
    checkpoint_of_each_family,
    covered,
    make_model,
    shrunken_preset,
    slow_where_compiled,
    to_numpy,
)

from keras_s2s.checkpoints.preset_folder import CheckpointError
from keras_s2s.config import PresetConfig, TextConfig
from keras_s2s.model import Seq2SeqLM
from keras_s2s.text import Preprocessor

PRESETS = [*architectures(), *checkpoint_of_each_family()]
CONFIGS = {**{name: shrunken_preset(name) for name in PRESETS}, **VARIANTS}
SAVED_COVER = ["gru_bahdanau", "lstm_seq2seq", "transformer_tiny"]
BACKENDS = ("jax", "tensorflow", "torch")
#: Each backend writes for the next one in the quick suite, so that each is read once.
NEXT = {"jax": "torch", "torch": "tensorflow", "tensorflow": "jax"}


def assert_same_weights(found: Seq2SeqLM, expected: Seq2SeqLM) -> None:
    ours = {v.path: to_numpy(v.value) for v in expected.weights}
    theirs = {v.path: to_numpy(v.value) for v in found.weights}
    assert list(ours) == list(theirs)
    for path, value in ours.items():
        np.testing.assert_array_equal(theirs[path], value, err_msg=path)


@pytest.mark.parametrize("name", covered(list(CONFIGS), SAVED_COVER))
def test_saved_and_loaded(name, tmp_path):
    model = make_model(CONFIGS[name], seed=4)
    assert PresetConfig.model_validate(model.preset.model_dump(mode="json")) == model.preset
    again = Seq2SeqLM.from_config(model.get_config())
    assert again.preset == model.preset

    model.save_to_preset(tmp_path / "preset")
    loaded = Seq2SeqLM.from_preset(tmp_path / "preset")
    assert loaded.preset == model.preset
    assert_same_weights(loaded, model)
    model.save(tmp_path / "model.keras")
    assert_same_weights(keras.saving.load_model(tmp_path / "model.keras"), model)


@slow_where_compiled
def test_a_copy_from_its_configuration_is_a_whole_model():
    model = make_model(CONFIGS["transformer_tiny"], seed=4)
    copied = Seq2SeqLM.from_config(model.get_config())
    assert model.preset.architecture.output.tie_embeddings
    assert [v.path for v in copied.weights] == [v.path for v in model.weights], "tied weights"
    copied.set_weights(model.get_weights())
    sources = {"encoder_token_ids": [[5, 9, 3]], "encoder_padding_mask": [[True] * 3]}
    np.testing.assert_array_equal(
        copied.generate(sources, max_length=6), model.generate(sources, max_length=6)
    )


@pytest.mark.parametrize(
    "name", covered(["lstm_luong_concat", "transformer_tiny"], ["transformer_tiny"])
)
def test_loaded_models_have_the_same_logits(name, tmp_path):
    model = make_model(CONFIGS[name], seed=4)
    inputs = checks.batch(model)
    expected = Probe(model).logits(inputs)
    model.save(tmp_path / "model.keras")
    model.save_to_preset(tmp_path / "preset")
    for again in (
        keras.saving.load_model(tmp_path / "model.keras"),
        Seq2SeqLM.from_preset(tmp_path / "preset"),
    ):
        np.testing.assert_allclose(Probe(again).logits(inputs), expected, atol=1e-6)
    found = model.predict(inputs, verbose=0)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.fixture(scope="module")
def text_model() -> Seq2SeqLM:
    pairs = [("ein Hund läuft", "a dog runs"), ("안녕", "hello"), ("zwei Katzen", "two cats 🐈")]
    text = Preprocessor.train(pairs, TextConfig.model_validate({"source": {"kind": "character"}}))
    config = CONFIGS["gru_bahdanau"].model_dump()
    config["architecture"]["source_vocab_size"] = text.source.vocabulary_size
    config["architecture"]["target_vocab_size"] = text.target.vocabulary_size
    config["special_ids"] = text.special_ids.model_dump()
    model = make_model(PresetConfig.model_validate(config))
    model.preprocessor = text
    return model


def test_tokenizers_travel_with_the_model(text_model, tmp_path):
    texts = ["ein Hund", "zwei 안녕"]
    expected = text_model.generate(texts, max_length=9)
    assert all(isinstance(text, str) for text in expected)
    text_model.save(tmp_path / "model.keras")
    text_model.save_to_preset(tmp_path / "preset")
    for again in (
        keras.saving.load_model(tmp_path / "model.keras"),
        Seq2SeqLM.from_preset(tmp_path / "preset"),
    ):
        assert again.preprocessor.encode_source(texts) == (
            text_model.preprocessor.encode_source(texts)
        )
        assert_same_weights(again, text_model)
    assert again.generate(texts, max_length=9) == expected


def test_nothing_half_written_and_nothing_lost(text_model, tmp_path):
    folder = tmp_path / "preset"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    text_model.save_to_preset(folder)
    text_model.save_to_preset(folder)
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["model.safetensors", "notes.txt", "preset.yaml", "tokenizer"]


def test_weights_that_do_not_fit_are_listed(tmp_path):
    model = make_model(CONFIGS["gru_bahdanau"])
    model.save_to_preset(tmp_path)
    preset = tmp_path / "preset.yaml"
    preset.write_text(preset.read_text().replace("hidden_dim: 8", "hidden_dim: 9"))
    with pytest.raises(CheckpointError, match=r"model\.safetensors: \d+ tensors do not fit") as e:
        Seq2SeqLM.from_preset(tmp_path)
    assert "wrong shape: " in str(e.value)
    (tmp_path / "model.safetensors").write_bytes(b"not a checkpoint")
    with pytest.raises(CheckpointError, match="safetensors header"):
        Seq2SeqLM.from_preset(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="no weights"):
        Seq2SeqLM.from_preset(tmp_path)
    assert Seq2SeqLM.from_preset(tmp_path, load_weights=False).count_params() > 0


READER = """
import sys
import numpy as np
from keras_s2s.model import Seq2SeqLM
from small_models import Probe

for folder in sys.argv[1:]:
    inputs = dict(np.load(folder + "/inputs.npz"))
    model = Seq2SeqLM.from_preset(folder)
    np.save(folder + "/found.npy", Probe(model).logits(inputs))
"""


@pytest.mark.parametrize(
    "backend",
    [
        name
        if name == NEXT[keras.backend.backend()]
        else pytest.param(name, marks=pytest.mark.slow)
        for name in BACKENDS
        if name != keras.backend.backend()
    ],
)
def test_other_backends_load_it(backend, tmp_path):
    pytest.importorskip(backend)
    expected = {}
    for name in ("lstm_luong_general", "transformer_tiny"):
        model = make_model(CONFIGS[name], seed=8)
        folder = tmp_path / name
        model.save_to_preset(folder)
        inputs = checks.batch(model)
        np.savez(folder / "inputs.npz", **inputs)
        expected[folder] = Probe(model).logits(inputs)
    root = Path(__file__).resolve().parents[2]
    path = os.pathsep.join([str(root), str(root / "tests"), os.environ.get("PYTHONPATH", "")])
    subprocess.run(
        [sys.executable, "-c", READER, *map(str, expected)],
        env={**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": path},
        check=True,
        timeout=300,
    )
    for folder, logits in expected.items():
        np.testing.assert_allclose(np.load(folder / "found.npy"), logits, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["lstm_luong_dot", "transformer_tiny"])
def test_mixed_precision(name):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = make_model(CONFIGS[name], seed=1)
        probe = Probe(model)
        inputs = checks.batch(model)
        logits = probe.logits(inputs)
        state = probe.start(probe.encode(inputs), 4, checks.BEAMS)
        tokens = np.repeat(inputs["decoder_token_ids"][:, 0], checks.BEAMS)
        first, state, _ = probe.step(tokens, state, 0)
        output = model.generator.generate(checks.SOURCES, checks.Beam(2), checks.Plan(2, 3, 0, 4))
    finally:
        keras.config.set_dtype_policy(before)
    assert logits.dtype == first.dtype == np.float32
    assert np.isfinite(logits).all() and np.isfinite(first).all()
    assert all(variable.dtype == "float32" for variable in model.trainable_variables)
    np.testing.assert_allclose(first[:: checks.BEAMS], logits[:, 0], atol=0.1, rtol=0.05)
    assert np.isfinite(output.scores).all()
