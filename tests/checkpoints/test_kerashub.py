"""KerasHub folders and models against KerasHub itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from hugging_face_folders import byte_level_files, random_texts, sentencepiece_model
from random_backbones import randomized
from small_models import covered, slow_where_compiled

from keras_s2s import Seq2SeqLM
from keras_s2s.checkpoints.errors import CheckpointError
from keras_s2s.checkpoints.kerashub.layer_table import (
    bias_to_heads,
    from_heads,
    to_heads,
    without_first_rows,
)
from keras_s2s.config import ConfigError

keras_hub = pytest.importorskip("keras_hub")

from keras_hub.src.utils.keras_utils import gelu_approximate  # noqa: E402

pytestmark = [pytest.mark.filterwarnings("ignore:.*mask attached to it.*:UserWarning")]

VOCABULARY = 61
T5 = {"vocabulary_size": VOCABULARY, "num_heads": 3, "hidden_dim": 10, "intermediate_dim": 14}


def bart(**changes: Any) -> Any:
    sizes = {
        "vocabulary_size": VOCABULARY,
        "num_layers": 3,
        "num_heads": 3,
        "hidden_dim": 12,
        "intermediate_dim": 14,
        "max_sequence_length": 17,
    }
    return randomized(keras_hub.models.BartBackbone(**sizes | changes))


def t5(**changes: Any) -> Any:
    return randomized(keras_hub.models.T5Backbone(**T5 | {"num_layers": 2} | changes))


BACKBONES: dict[str, Callable[[], Any]] = {
    "bart": bart,
    "bart_of_one_layer": lambda: bart(num_layers=1, num_heads=1, hidden_dim=7),
    "t5": lambda: t5(num_layers=3, key_value_dim=5, activation="relu", use_gated_activation=False),
    "t5_gated": lambda: t5(
        key_value_dim=4, activation="gelu", tie_embedding_weights=False, layer_norm_epsilon=1e-3
    ),
    "t5_approximate": lambda: t5(
        num_layers=1,
        key_value_dim=2,
        activation=gelu_approximate,
    ),
}


def logits_of(backbone: Any, inputs: dict[str, np.ndarray]) -> np.ndarray:
    """The logits of KerasHub's own task."""
    kind = "BartSeq2SeqLM" if "Bart" in type(backbone).__name__ else "T5Seq2SeqLM"
    task = getattr(keras_hub.models, kind)(backbone=backbone, preprocessor=None)
    return keras.ops.convert_to_numpy(
        task({name: array.astype("int32") for name, array in inputs.items()})
    )


def padded() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(11)
    inputs: dict[str, np.ndarray] = {}
    for side, lengths in (("encoder", [9, 3, 6]), ("decoder", [4, 8, 1])):
        size = (3, max(lengths))
        inputs[f"{side}_token_ids"] = rng.integers(3, VOCABULARY, size)
        inputs[f"{side}_padding_mask"] = np.arange(size[1]) < np.array(lengths)[:, None]
    return inputs


def check_logits(model: Seq2SeqLM, backbone: Any) -> None:
    inputs = padded()
    expected = logits_of(backbone, inputs)
    real = inputs["decoder_padding_mask"]
    found = keras.ops.convert_to_numpy(model(inputs))
    bound = 1e-5 * max(1, np.abs(expected[real]).max())
    np.testing.assert_allclose(found[real], expected[real], atol=bound, rtol=0)


@pytest.mark.parametrize("name", covered(list(BACKBONES), ["t5_gated"]))
def test_logits_are_those_of_kerashub(name, tmp_path):
    backbone = BACKBONES[name]()
    backbone.save_to_preset(tmp_path)
    model = Seq2SeqLM.from_preset(tmp_path, verbose=False)
    report = model.load_report
    assert report.fresh == report.unused == ()
    assert len(report.loaded) == len(backbone.weights)
    assert bool(report.tied) == (name != "t5_gated")
    assert "there is no tokenizer, which says the special ids" in str(report)
    check_logits(model, backbone)


@slow_where_compiled
@pytest.mark.parametrize("name", ["bart", "t5_gated"])
def test_hidden_states_are_those_of_the_backbone(name):
    """Also of a model in memory, which is read as its folder is."""
    backbone = BACKBONES[name]()
    model = Seq2SeqLM.from_preset(backbone, verbose=False)
    assert model.load_report.source == f"keras_hub.{type(backbone).__name__}"
    inputs = padded()
    expected = backbone({key: array.astype("int32") for key, array in inputs.items()})
    encoded = keras.ops.convert_to_numpy(
        model.network.encode(
            {key: keras.ops.convert_to_tensor(array) for key, array in inputs.items()}
        ).values
    )
    real = inputs["encoder_padding_mask"]
    theirs = keras.ops.convert_to_numpy(expected["encoder_sequence_output"])
    np.testing.assert_allclose(encoded[real], theirs[real], atol=1e-5)
    check_logits(model, backbone)


@slow_where_compiled
def test_a_folder_goes_to_every_other_format(tmp_path):
    """Read, saved as a preset, and written as a Hugging Face folder: the logits stay."""
    backbone = bart()
    backbone.save_to_preset(tmp_path / "hub")
    model = Seq2SeqLM.from_preset(tmp_path / "hub", verbose=False)
    model.save_to_preset(tmp_path / "preset")
    check_logits(Seq2SeqLM.from_preset(tmp_path / "preset"), backbone)
    model.export(tmp_path / "huggingface", format="huggingface")
    check_logits(Seq2SeqLM.from_preset(tmp_path / "huggingface", verbose=False), backbone)


@slow_where_compiled
def test_weights_in_several_files(tmp_path):
    backbone = bart()
    backbone.save_to_preset(tmp_path, max_shard_size=4e-6)
    assert len(list(tmp_path.glob("*.h5"))) > 1
    model = Seq2SeqLM.from_preset(tmp_path, verbose=False)
    assert len(model.load_report.files) > 1
    check_logits(model, backbone)
    next(tmp_path.glob("*.h5")).unlink()
    with pytest.raises(CheckpointError, match=r"model\.weights\.json: .*h5 is missing"):
        Seq2SeqLM.from_preset(tmp_path)


@slow_where_compiled
def test_random_weights_of_a_folder(tmp_path):
    bart().save_to_preset(tmp_path)
    (tmp_path / "model.weights.h5").unlink()
    model = Seq2SeqLM.from_preset(tmp_path, load_weights=False)
    assert model.preset.architecture.encoder.intermediate_dim == 14
    with pytest.raises(CheckpointError, match=r"neither model\.weights\.h5 nor model\.weights"):
        Seq2SeqLM.from_preset(tmp_path)


@pytest.mark.parametrize(
    ("transform", "shape"),
    [
        (to_heads(3), (5, 12)),
        (bias_to_heads(3), (12,)),
        (from_heads(3), (12, 5)),
        (without_first_rows(2), (9, 4)),
    ],
)
def test_transforms_are_inverted(transform, shape):
    stored = np.random.default_rng(0).normal(size=transform.shape(shape))
    weight = transform.read(stored)
    assert weight.shape == shape
    assert (transform.write(weight) == stored).all()


# --------------------------------------------------------------------------------------
# Tokenizers
# --------------------------------------------------------------------------------------


def task(name: str) -> Any:
    """A KerasHub task with a tokenizer."""
    models = keras_hub.models
    if name == "bart":
        vocab, merges = byte_level_files()
        lines = merges.decode().split("\n")[1:-1]
        tokenizer = models.BartTokenizer(vocabulary=json.loads(vocab), merges=lines)
        backbone = bart(vocabulary_size=len(json.loads(vocab)) + 3)
    else:
        model = sentencepiece_model(special=("<pad>", "</s>", "<unk>"))
        tokenizer = models.T5Tokenizer(proto=model)
        backbone = t5(vocabulary_size=330, key_value_dim=4)
    kind = {"bart": "Bart", "t5": "T5"}[name]
    preprocessor = getattr(models, f"{kind}Seq2SeqLMPreprocessor")(
        tokenizer, encoder_sequence_length=14, decoder_sequence_length=9
    )
    return getattr(models, f"{kind}Seq2SeqLM")(backbone=backbone, preprocessor=preprocessor)


@slow_where_compiled
@pytest.mark.parametrize("name", ["bart", "t5"])
def test_ids_and_texts_are_those_of_kerashub(name, tmp_path):
    theirs = task(name)
    theirs.save_to_preset(tmp_path)
    model = Seq2SeqLM.from_preset(tmp_path, verbose=False)
    assert model.load_report.tokenizer is not None
    # These models have few positions; nothing else is to be said.
    notes = [note for note in model.load_report.notes if "positions for" not in note]
    assert notes == []
    tokenizer = theirs.preprocessor.tokenizer
    texts = random_texts(1000, [])
    ids = model.preprocessor.source.encode_batch(texts)
    assert ids == [[int(i) for i in row] for row in tokenizer(texts)]
    assert model.preprocessor.source.decode_batch(ids) == list(tokenizer.detokenize(ids))
    text = {"encoder_text": ["Two men are"], "decoder_text": ["A man"]}
    x, y, weights = theirs.preprocessor(text)
    kept = np.asarray(x["encoder_padding_mask"])
    source = model.preprocessor.encode_source(text["encoder_text"])
    assert source[0] == np.asarray(x["encoder_token_ids"])[kept].tolist()
    labels = np.asarray(y)[np.asarray(weights).astype(bool)].tolist()
    assert model.preprocessor.encode_target(text["decoder_text"]) == [labels]
    start = model.preset.special_ids.target.decoder_start
    assert start == int(np.asarray(x["decoder_token_ids"])[0, 0])
    assert isinstance(model.generate("Two men", max_length=5), str)


@slow_where_compiled
def test_a_kerashub_tokenizer_is_saved_with_a_preset(tmp_path):
    model = Seq2SeqLM.from_preset(task("t5"), verbose=False)
    model.save_to_preset(tmp_path)
    copy = Seq2SeqLM.from_preset(tmp_path)
    texts = random_texts(100, [])
    rows = model.preprocessor.encode_source(texts)
    assert copy.preprocessor.encode_source(texts) == rows
    assert copy.preprocessor.decode_source(rows) == model.preprocessor.decode_source(rows)
    assert copy.preprocessor.source.vocabulary_size == 330


@slow_where_compiled
def test_another_tokenizer_is_refused(tmp_path):
    task("t5").save_to_preset(tmp_path)
    change(tmp_path / "tokenizer.json", class_name="GemmaTokenizer")
    with pytest.raises(CheckpointError, match=r"GemmaTokenizer; the tokenizer .* is a T5Tokenizer"):
        Seq2SeqLM.from_preset(tmp_path)
    change(tmp_path / "tokenizer.json", class_name="T5Tokenizer")
    (tmp_path / "assets" / "tokenizer" / "vocabulary.spm").unlink()
    with pytest.raises(CheckpointError, match=r"vocabulary\.spm is missing; a T5Tokenizer"):
        Seq2SeqLM.from_preset(tmp_path)


# --------------------------------------------------------------------------------------
# Errors
# --------------------------------------------------------------------------------------


def change(path: Path, **changes: Any) -> None:
    data = json.loads(path.read_text())
    data.update(changes)
    path.write_text(json.dumps(data))


def test_other_classes_are_named(tmp_path):
    gemma = {"module": "keras_hub.src.models", "class_name": "GemmaBackbone", "config": {}}
    (tmp_path / "config.json").write_text(json.dumps(gemma))
    message = r"class_name is GemmaBackbone; of KerasHub's classes .*BartBackbone, .*T5Backbone"
    with pytest.raises(CheckpointError, match=message):
        Seq2SeqLM.from_preset(tmp_path)


@slow_where_compiled
def test_other_tasks_are_refused(tmp_path):
    bart().save_to_preset(tmp_path)
    task = {"module": "keras_hub", "class_name": "MyClassifier", "config": {}}
    (tmp_path / "task.json").write_text(json.dumps(task))
    with pytest.raises(CheckpointError, match=r"MyClassifier, whose own layers .*BartSeq2SeqLM"):
        Seq2SeqLM.from_preset(tmp_path)


@slow_where_compiled
def test_weights_of_other_sizes_are_listed(tmp_path):
    bart().save_to_preset(tmp_path)
    data = json.loads((tmp_path / "config.json").read_text())
    sizes = {"num_layers": 4, "vocabulary_size": 60}
    change(tmp_path / "config.json", config=data["config"] | sizes)
    with pytest.raises(CheckpointError, match="missing: layers/transformer_encoder_3/") as caught:
        Seq2SeqLM.from_preset(tmp_path)
    assert "wrong shape: layers/reversible_embedding/vars/0 in" in str(caught.value)
    assert "is (61, 12); by config.json it should be (60, 12)" in str(caught.value)
    change(tmp_path / "config.json", config=data["config"] | {"num_layers": 2})
    with pytest.raises(CheckpointError, match=r"unexpected: .*_decoder_2/(.|\n)*strict=False"):
        Seq2SeqLM.from_preset(tmp_path)
    model = Seq2SeqLM.from_preset(tmp_path, strict=False, verbose=False)
    assert len(model.load_report.unused) == 16 + 26


@slow_where_compiled
def test_settings_that_nothing_reads_are_noted(tmp_path):
    bart().save_to_preset(tmp_path)
    data = json.loads((tmp_path / "config.json").read_text())
    change(tmp_path / "config.json", config=data["config"] | {"window": 3})
    report = Seq2SeqLM.from_preset(tmp_path, verbose=False).load_report
    assert any("not understood and not used: window=3" in note for note in report.notes)
    change(tmp_path / "config.json", config=data["config"] | {"num_layers": "three"})
    with pytest.raises(ConfigError, match="num_layers"):
        Seq2SeqLM.from_preset(tmp_path)


@slow_where_compiled
def test_quantised_weights_are_refused(tmp_path):
    bart().save_to_preset(tmp_path)
    data = json.loads((tmp_path / "config.json").read_text())
    dtype = {"class_name": "QuantizedDTypePolicy", "config": {"mode": "int8"}}
    change(tmp_path / "config.json", config=data["config"] | {"dtype": dtype})
    with pytest.raises(CheckpointError, match="QuantizedDTypePolicy; quantised weights"):
        Seq2SeqLM.from_preset(tmp_path)
