"""Hugging Face folders that are old, odd or broken: loaded as meant, or refused by name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from checkpoints.changed_folders import change, rewrite
from parity.random_checkpoints import batch, make, save
from safetensors.numpy import load_file
from small_models import slow_where_compiled, to_numpy

from keras_s2s import Seq2SeqLM
from keras_s2s.checkpoints.errors import CheckpointError
from keras_s2s.checkpoints.huggingface.hub import fetch_folder  # noqa: F401  (it must import without a hub)

transformers = pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def bart(tmp_path_factory) -> tuple[Any, Path]:
    model = make("bart", "shallow")
    return model, save(model, tmp_path_factory.mktemp("bart"), num_beams=2, max_length=9)


@pytest.fixture
def folder(bart, tmp_path) -> Path:
    """A copy to break."""
    shutil.copytree(bart[1], tmp_path / "copy")
    return tmp_path / "copy"


def logits(model: Seq2SeqLM) -> np.ndarray:
    ids = np.arange(12, dtype="int32").reshape(2, 6) + 6
    mask = np.ones((2, 6), "bool")
    inputs = {
        "encoder_token_ids": ids,
        "encoder_padding_mask": mask,
        "decoder_token_ids": ids,
        "decoder_padding_mask": mask,
    }
    return to_numpy(model(inputs))


# ------------------------------------------------------------------ what is loaded


def test_report(bart, capsys):
    model = Seq2SeqLM.from_preset(bart[1])
    report = model.load_report
    assert str(report) in capsys.readouterr().err
    assert report.family == "bart"
    assert report.parameters == sum(np.prod(v.shape) for v in model.weights)
    assert report.files == ("model.safetensors",)
    assert report.dtypes == ("float32",)
    assert len(report.loaded) == len(set(report.loaded)) == len(model.weights)
    assert report.tied == ("lm_head.weight = model.shared.weight",)
    assert report.fresh == report.unused == ()
    assert report.generation == {"num_beams": 2, "max_length": 9}
    assert report.tokenizer is None and model.preprocessor is None


@slow_where_compiled
def test_quiet(bart, capsys):
    Seq2SeqLM.from_preset(bart[1], verbose=False)
    assert capsys.readouterr().err == ""


@slow_where_compiled
def test_older_folder_has_generation_in_its_config(folder):
    (folder / "generation_config.json").unlink()
    change(folder, num_beams=3, length_penalty=2.0, max_length=11, no_repeat_ngram_size=2)
    model = Seq2SeqLM.from_preset(folder, verbose=False)
    assert model.generation_config.num_beams == 3
    assert model.generation_config.length_penalty == 2.0
    assert model.generation_config.max_length == 11
    assert model.special_ids.target.forced_eos == 2  # the family's default


@slow_where_compiled
def test_bare_model_without_prefix(bart, folder):
    def strip(tensors):
        for name in list(tensors):
            tensors[name.removeprefix("model.")] = tensors.pop(name)
        del tensors["final_logits_bias"]

    expected = Seq2SeqLM.from_preset(folder, verbose=False)
    rewrite(folder, strip)
    found = Seq2SeqLM.from_preset(folder, verbose=False)
    bias = load_file(bart[1] / "model.safetensors")["final_logits_bias"]
    np.testing.assert_allclose(logits(found) + bias, logits(expected), atol=1e-4)
    assert found.load_report.fresh == ("logits/bias",)


@slow_where_compiled
def test_equal_copies_are_tied(folder):
    """As pytorch_model.bin of older versions has them."""

    def copy(tensors):
        for name in ("lm_head.weight", "model.encoder.embed_tokens.weight"):
            tensors[name] = tensors["model.shared.weight"].copy()

    expected = Seq2SeqLM.from_preset(folder, verbose=False)
    rewrite(folder, copy)
    found = Seq2SeqLM.from_preset(folder, verbose=False)
    assert len(found.weights) == len(expected.weights)
    np.testing.assert_array_equal(logits(found), logits(expected))
    assert "lm_head.weight = model.encoder.embed_tokens.weight" in found.load_report.tied


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision(folder, dtype):
    import torch

    other = transformers.BartForConditionalGeneration.from_pretrained(folder).to(
        getattr(torch, dtype)
    )
    other.save_pretrained(folder)
    model = Seq2SeqLM.from_preset(folder, dtype=dtype, verbose=False)
    assert model.load_report.dtypes == (dtype,)
    wide = "float32" if dtype == "float16" else dtype  # see layers/transformer/half_precision.py
    for variable in model.weights:
        widened = "norm/" in variable.path or "feed_forward/outer/" in variable.path
        widened = widened and "embedding" not in variable.path
        assert variable.dtype == (wide if widened else dtype), variable.path
    model.export(folder / "again", format="huggingface")
    assert json.loads((folder / "again" / "config.json").read_text())["dtype"] == dtype
    table = other.get_input_embeddings().weight.float().detach().numpy()
    np.testing.assert_array_equal(
        to_numpy(keras.ops.cast(model.network.frontend.table.embeddings, "float32")), table
    )
    assert keras.config.dtype_policy().name == "float32"
    model.export(folder / "back", format="huggingface")
    for name in ("model.safetensors", "config.json"):
        assert (folder / "back" / name).stat().st_size > 0
    again = transformers.BartForConditionalGeneration.from_pretrained(folder / "back", dtype="auto")
    before, after = other.state_dict(), again.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert json.loads((folder / "back" / "config.json").read_text())["dtype"] == dtype
    wide = Seq2SeqLM.from_preset(folder, verbose=False)
    assert wide.weights[0].dtype == "float32"


def test_sharded(bart, tmp_path):
    model = Seq2SeqLM.from_preset(bart[1], verbose=False)
    model.export(tmp_path / "shards", format="huggingface", max_shard_bytes=4000)
    files = sorted((tmp_path / "shards").glob("model-*.safetensors"))
    assert len(files) > 3
    again = Seq2SeqLM.from_preset(tmp_path / "shards", verbose=False)
    np.testing.assert_array_equal(logits(again), logits(model))
    assert set(again.load_report.files) == {file.name for file in files}
    theirs = transformers.BartForConditionalGeneration.from_pretrained(tmp_path / "shards")
    assert theirs.num_parameters() == bart[0].num_parameters()


@slow_where_compiled
def test_weights_left_out(folder):
    (folder / "model.safetensors").unlink()
    model = Seq2SeqLM.from_preset(folder, load_weights=False)
    assert model.load_report is None
    assert model.preset.architecture.share_embeddings


@slow_where_compiled
def test_own_preset_keeps_the_origin(bart, tmp_path):
    model = Seq2SeqLM.from_preset(bart[1], verbose=False)
    model.save_to_preset(tmp_path / "own")
    Seq2SeqLM.from_preset(tmp_path / "own").export(tmp_path / "back", format="huggingface")
    before = json.loads((bart[1] / "config.json").read_text())
    assert json.loads((tmp_path / "back" / "config.json").read_text()) == before


# ------------------------------------------------------------------ what is refused


@slow_where_compiled
def test_unknown_model_type(folder):
    change(folder, model_type="llama")
    with pytest.raises(CheckpointError, match=r"config\.json: model_type is 'llama'.*bart.*t5"):
        Seq2SeqLM.from_preset(folder)


@slow_where_compiled
def test_config_that_is_not_json(folder):
    (folder / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"config\.json: not a JSON file"):
        Seq2SeqLM.from_preset(folder)


@slow_where_compiled
@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"activation_function": "mish"}, r"activation_function is 'mish'"),
        ({"encoder_attention_heads": 5}, r"hidden_dim 12 is not a multiple of num_heads 5"),
        ({"d_model": "twelve"}, r"\n  d_model: "),
        ({"dropout": 1.5}, r"\n  dropout: "),
        ({"quantization_config": {"bits": 4}}, r"quantization_config is set"),
        ({"model_type": ["bart"]}, r"model_type is \['bart'\]"),
        ({"eos_token_id": 99}, r"special_ids\.\w+\.eos is 99"),
    ],
)
def test_values_that_cannot_be(folder, keys, message):
    change(folder, **keys)
    with pytest.raises(ValueError, match=r"config\.json[\s\S]*" + message):
        Seq2SeqLM.from_preset(folder)


@slow_where_compiled
def test_vocabulary_and_embedding_disagree(folder):
    change(folder, vocab_size=40)
    with pytest.raises(CheckpointError, match=r"model\.shared\.weight.*is \(41, 12\).*\(40, 12\)"):
        Seq2SeqLM.from_preset(folder)


@slow_where_compiled
def test_missing_and_unexpected_tensors(folder):
    def edit(tensors):
        del tensors["model.decoder.layers.1.fc1.weight"]
        tensors["model.extra.weight"] = np.zeros((2, 2), "float32")

    rewrite(folder, edit)
    with pytest.raises(CheckpointError) as error:
        Seq2SeqLM.from_preset(folder)
    assert "missing: model.decoder.layers.1.fc1.weight (28, 12)" in str(error.value)
    assert "unexpected: model.extra.weight" in str(error.value)
    model = Seq2SeqLM.from_preset(folder, strict=False, verbose=False)
    assert model.load_report.fresh == ("decoder/layer_1/feed_forward/inner/kernel",)
    assert model.load_report.unused == ("model.extra.weight",)


@slow_where_compiled
def test_wrong_shape_is_refused_even_if_not_strict(folder):
    def edit(tensors):
        name = "model.encoder.layers.0.self_attn.q_proj.weight"
        tensors[name] = tensors[name][:6].copy()

    rewrite(folder, edit)
    for strict in (True, False):
        with pytest.raises(CheckpointError, match=r"q_proj\.weight.*is \(6, 12\).*\(12, 12\)"):
            Seq2SeqLM.from_preset(folder, strict=strict)


@slow_where_compiled
def test_weights_that_are_no_floats(folder):
    def edit(tensors):
        name = "model.encoder.layers.0.fc1.bias"
        tensors[name] = tensors[name].astype("int32")

    rewrite(folder, edit)
    with pytest.raises(CheckpointError, match=r"fc1\.bias in .* is int32"):
        Seq2SeqLM.from_preset(folder)


@slow_where_compiled
@pytest.mark.parametrize(
    ("content", "message"),
    [("[]", r"expected one JSON object, got list"), ("\ufeff{", r"not a JSON file")],
)
def test_config_that_is_no_object(folder, content, message):
    (folder / "config.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"config\.json: " + message):
        Seq2SeqLM.from_preset(folder)


@slow_where_compiled
@pytest.mark.parametrize("kind", ["directory", "dangling"])
def test_weights_that_cannot_be_opened(folder, kind):
    path = folder / "model.safetensors"
    path.unlink()
    if kind == "directory":
        path.mkdir()
    else:
        path.symlink_to(folder / "gone")
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        Seq2SeqLM.from_preset(folder)


def set_generation(folder: Path, **keys: Any) -> None:
    path = folder / "generation_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **keys}))


@slow_where_compiled
def test_generation_settings_without_a_counterpart_are_noted(folder):
    set_generation(folder, watermarking_config={"bias": 2.0}, typical_p=1.0, temperature=0.0)
    notes = Seq2SeqLM.from_preset(folder, verbose=False).load_report.notes
    assert any("watermarking_config" in note for note in notes)
    assert any("temperature is 0" in note for note in notes)
    assert not any("typical_p" in note for note in notes)


@slow_where_compiled
def test_generation_settings_come_back(folder, tmp_path):
    keys = {
        "typical_p": 0.7,
        "epsilon_cutoff": 0.001,
        "eta_cutoff": 0.002,
        "encoder_repetition_penalty": 1.3,
        "exponential_decay_length_penalty": [5, 1.2],
    }
    set_generation(folder, **keys)
    model = Seq2SeqLM.from_preset(folder, verbose=False)
    assert not any(key in note for note in model.load_report.notes for key in keys)
    model.save_to_preset(tmp_path / "preset")
    again = Seq2SeqLM.from_preset(tmp_path / "preset")
    again.export(tmp_path / "written", format="huggingface")
    written = json.loads((tmp_path / "written" / "generation_config.json").read_text())
    assert {key: written[key] for key in keys} == keys


@slow_where_compiled
@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"max_new_tokens": "5"}, r"max_new_tokens is '5', expected a whole number"),
        ({"num_beams": 0}, r"num_beams"),
        ({"eos_token_id": 99999}, r"eos is 99999"),
    ],
)
def test_generation_settings_that_cannot_be(folder, keys, message):
    set_generation(folder, **keys)
    with pytest.raises(ValueError, match=message):
        Seq2SeqLM.from_preset(folder)


@slow_where_compiled
def test_truncated_weights(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        Seq2SeqLM.from_preset(folder)


@slow_where_compiled
def test_no_weights_at_all(folder):
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        Seq2SeqLM.from_preset(folder)


@slow_where_compiled
def test_export_names_what_has_no_words_there(tmp_path):
    model = Seq2SeqLM.from_preset("transformer_tiny", load_weights=False)
    with pytest.raises(CheckpointError, match=r"sinusoids is 'interleaved'"):
        model.export(tmp_path / "out", format="huggingface")
    assert not list(tmp_path.iterdir())


@slow_where_compiled
def test_model_made_here_goes_there(tmp_path):
    """An architecture that one of the families has, trained from nothing."""
    model = Seq2SeqLM.from_architecture(
        {
            "source_vocab_size": 20,
            "target_vocab_size": 20,
            "shared": {
                "type": "transformer",
                "hidden_dim": 8,
                "num_heads": 2,
                "intermediate_dim": 12,
                "num_layers": 1,
                "activation": "gelu",
                "norm_epsilon": 1e-5,
                "embedding": {
                    "positions": "sinusoidal",
                    "sinusoids": "halves",
                    "scale": True,
                },
            },
            "encoder": {},
            "decoder": {},
            "share_embeddings": True,
            "output": {"tie_embeddings": True, "bias": True},
        }
    )
    model.export(tmp_path / "out", format="huggingface")
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["model_type"] == "marian"
    other = transformers.AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "out").eval()
    ids = batch(other)
    assert ids["source"].shape[0] == 4
    again = Seq2SeqLM.from_preset(tmp_path / "out", verbose=False)
    np.testing.assert_array_equal(logits(again), logits(model))
