"""Encoders and decoders of KerasHub as halves of a model, against KerasHub itself."""

from __future__ import annotations

import json
from typing import Any

import keras
import numpy as np
import pytest
from hugging_face_folders import byte_level_files, random_texts
from language_model_tokenizer_cases import wordpiece_vocabulary
from random_backbones import randomized
from small_models import covered, slow_where_compiled

from keras_s2s import Seq2SeqLM
from keras_s2s.checkpoints.errors import CheckpointError

keras_hub = pytest.importorskip("keras_hub")

VOCABULARY = 61
IDS = {
    "source": {"pad": 0},
    "target": {"decoder_start": 5, "eos": 6, "pad": 0, "bos": None},
}
SIZES = {
    "vocabulary_size": VOCABULARY,
    "num_layers": 2,
    "num_heads": 3,
    "hidden_dim": 12,
    "intermediate_dim": 14,
}
#: Classes and what they have of their own.
ENCODERS: dict[str, dict[str, Any]] = {
    "BertBackbone": {"max_sequence_length": 17, "num_segments": 3},
    "RobertaBackbone": {"max_sequence_length": 17},
    "XLMRobertaBackbone": {"max_sequence_length": 17, "num_layers": 3},
    "DistilBertBackbone": {"max_sequence_length": 17, "num_heads": 2},
    "BartBackbone": {"max_sequence_length": 17},
    "T5Backbone": {"key_value_dim": 5, "activation": "relu", "use_gated_activation": False},
}


def backbone(name: str, **changes: Any) -> Any:
    return randomized(getattr(keras_hub.models, name)(**SIZES | changes))


def gpt2(**changes: Any) -> Any:
    return backbone("GPT2Backbone", max_sequence_length=19, **changes)


def padded() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(11)
    inputs: dict[str, np.ndarray] = {}
    for side, lengths in (("encoder", [9, 3, 6]), ("decoder", [4, 8, 1])):
        size = (3, max(lengths))
        inputs[f"{side}_token_ids"] = rng.integers(3, VOCABULARY, size)
        inputs[f"{side}_padding_mask"] = np.arange(size[1]) < np.array(lengths)[:, None]
    return inputs


def hidden(half: Any, inputs: dict[str, np.ndarray], side: str) -> np.ndarray:
    """What a backbone of KerasHub makes of one side's ids."""
    arrays = {name: array.astype("int32") for name, array in inputs.items()}
    if "encoder_token_ids" in half.input:
        outputs = half(arrays)["encoder_sequence_output"]
    else:
        ids, mask = arrays[f"{side}_token_ids"], arrays[f"{side}_padding_mask"]
        given = {"token_ids": ids, "padding_mask": mask, "segment_ids": np.zeros_like(ids)}
        outputs = half({name: given[name] for name in half.input})
    if isinstance(outputs, dict):
        outputs = outputs["sequence_output"]
    return keras.ops.convert_to_numpy(outputs)


def without_cross_attention(model: Seq2SeqLM) -> None:
    """Makes cross-attention add nothing, where norms come before it."""
    for variable in model.weights:
        if "/cross_attention/output/" in variable.path:
            variable.assign(np.zeros(variable.shape, "float32"))


@pytest.mark.parametrize("name", covered(list(ENCODERS), ["BertBackbone"]))
def test_hidden_states_are_those_of_the_backbones(name, tmp_path):
    encoder, decoder = backbone(name, **ENCODERS[name]), gpt2()
    encoder.save_to_preset(tmp_path)
    model = Seq2SeqLM.from_encoder_decoder(tmp_path, decoder, special_ids=IDS, verbose=False)
    inputs = padded()
    expected = hidden(encoder, inputs, "encoder")
    found = keras.ops.convert_to_numpy(
        model.network.encode(
            {key: keras.ops.convert_to_tensor(array) for key, array in inputs.items()}
        ).values
    )
    real = inputs["encoder_padding_mask"]
    np.testing.assert_allclose(found[real], expected[real], atol=1e-5)

    without_cross_attention(model)
    table = keras.ops.convert_to_numpy(decoder.token_embedding.embeddings)
    expected = hidden(decoder, inputs, "decoder") @ table.T
    found = keras.ops.convert_to_numpy(model(inputs))
    real = inputs["decoder_padding_mask"]
    bound = 1e-5 * max(1, np.abs(expected[real]).max())
    np.testing.assert_allclose(found[real], expected[real], atol=bound)


@pytest.mark.parametrize("as_folder", [False, True])
@pytest.mark.parametrize("name", covered(["GPT2Backbone", "BartBackbone"], ["BartBackbone"]))
def test_logits_of_decoders_are_those_of_the_backbones(name, as_folder, tmp_path):
    # Of an odd number of layers and another width of the encoder, which is projected.
    limit = {"max_sequence_length": 19}
    decoder = backbone(name, **limit, num_layers=3, num_heads=2, hidden_dim=10)
    given: Any = decoder
    if as_folder:
        decoder.save_to_preset(tmp_path)
        given = tmp_path
    encoder = backbone("BertBackbone", **ENCODERS["BertBackbone"])
    model = Seq2SeqLM.from_encoder_decoder(encoder, given, special_ids=IDS, verbose=False)
    inputs = padded()
    table = keras.ops.convert_to_numpy(decoder.token_embedding.embeddings)
    if name == "GPT2Backbone":
        without_cross_attention(model)
        expected = hidden(decoder, inputs, "decoder") @ table.T
    else:
        # Both read no source: the products of cross-attention add nothing here or there.
        for variable in [*model.weights, *decoder.weights]:
            path = variable.path
            if "/cross_attention/output/" in path or "cross_attention/attention_output" in path:
                variable.assign(np.zeros(variable.shape, "float32"))
        arrays = {key: array.astype("int32") for key, array in inputs.items()}
        outputs = decoder(arrays)["decoder_sequence_output"]
        expected = keras.ops.convert_to_numpy(outputs) @ table.T
    found = keras.ops.convert_to_numpy(model(inputs))
    real = inputs["decoder_padding_mask"]
    bound = 1e-5 * max(1, np.abs(expected[real]).max())
    np.testing.assert_allclose(found[real], expected[real], atol=bound)


@slow_where_compiled
def test_cross_attention_of_a_decoder_comes_with_it(tmp_path):
    # Both halves of one backbone are that backbone, the source included.
    bart = backbone("BartBackbone", **ENCODERS["BartBackbone"])
    bart.save_to_preset(tmp_path)
    model = Seq2SeqLM.from_encoder_decoder(bart, tmp_path, special_ids=IDS, verbose=False)
    assert not any("cross_attention" in name for name in model.load_report.fresh)
    inputs = padded()
    outputs = bart({key: array.astype("int32") for key, array in inputs.items()})
    table = keras.ops.convert_to_numpy(bart.token_embedding.embeddings)
    expected = keras.ops.convert_to_numpy(outputs["decoder_sequence_output"]) @ table.T
    found = keras.ops.convert_to_numpy(model(inputs))
    real = inputs["decoder_padding_mask"]
    bound = 1e-5 * max(1, np.abs(expected[real]).max())
    np.testing.assert_allclose(found[real], expected[real], atol=bound)


def test_the_report_says_what_is_new():
    model = Seq2SeqLM.from_encoder_decoder(
        backbone("BertBackbone"), gpt2(num_layers=3), special_ids=IDS, verbose=False
    )
    report = str(model.load_report)
    assert "3 cross-attention blocks are new: fine-tune before use" in report
    assert "keras_hub.BertBackbone" in report and "keras_hub.GPT2Backbone" in report
    assert all("cross_attention" in path for path in model.load_report.fresh)
    assert "encoder: not used: layers/dense/vars/0, layers/dense/vars/1" in report


def test_a_half_is_no_whole_model(tmp_path):
    backbone("BertBackbone").save_to_preset(tmp_path)
    with pytest.raises(CheckpointError, match=r"BertBackbone is one half .*from_encoder_decoder"):
        Seq2SeqLM.from_preset(tmp_path)


@slow_where_compiled
def test_what_cannot_be_a_half_is_refused():
    gated = backbone("T5Backbone", key_value_dim=4, activation="gelu", use_gated_activation=True)
    with pytest.raises(CheckpointError, match=r"gated of the .* is True, which a t5"):
        Seq2SeqLM.from_encoder_decoder(gated, gpt2(), special_ids=IDS)
    with pytest.raises(CheckpointError, match="gpt2 cannot be the encoder"):
        Seq2SeqLM.from_encoder_decoder(gpt2(), gpt2(), special_ids=IDS)


def test_tokenizers_of_both_sides(tmp_path):
    """Saved by tasks of KerasHub, each with its own tokenizer."""
    models = keras_hub.models
    words = wordpiece_vocabulary().decode().split("\n")
    words = [w for w in words if w.isascii() and w.isprintable() and w.removeprefix("##")]
    encoder = models.BertTokenizer(vocabulary=words, lowercase=True)
    vocab, merges = byte_level_files()
    tokens = {**json.loads(vocab)}
    tokens["<|endoftext|>"] = len(tokens)
    decoder = models.GPT2Tokenizer(vocabulary=tokens, merges=merges.decode().split("\n")[1:-1])
    for name, tokenizer, made in (
        ("encoder", encoder, backbone("BertBackbone", vocabulary_size=len(words))),
        ("decoder", decoder, gpt2(vocabulary_size=len(tokens))),
    ):
        made.save_to_preset(tmp_path / name)
        tokenizer.save_to_preset(tmp_path / name)
    model = Seq2SeqLM.from_encoder_decoder(
        tmp_path / "encoder", tmp_path / "decoder", verbose=False
    )
    texts = [text for text in random_texts(400, []) if text.isascii()]
    rows = [[int(i) for i in row] for row in encoder(texts)]
    first, last = (words.index(token) for token in ("[CLS]", "[SEP]"))
    assert model.preprocessor.encode_source(texts) == [[first, *row, last] for row in rows]
    end = tokens["<|endoftext|>"]
    rows = [[int(i) for i in row] for row in decoder(texts)]
    assert model.preprocessor.encode_target(texts) == [[*row, end] for row in rows]
    assert model.preset.special_ids.target.decoder_start == end
