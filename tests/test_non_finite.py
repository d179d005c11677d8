"""Logits and weights that are NaN or infinite: errors that name layer and remedy, no texts."""

from __future__ import annotations

import re
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops
from small_models import DEPTH, covered, shrink, slow_where_compiled, source_mapping, to_numpy

from keras_s2s.catalog import load_preset
from keras_s2s.checkpoints.errors import CheckpointError
from keras_s2s.decoding.diagnosis import NonFiniteError
from keras_s2s.decoding.requests.planning import Search, plan_search
from keras_s2s.model import Seq2SeqLM

SOURCES = [[5, 6, 7, 3], [8, 3]]
TARGETS = [[5, 6, 3], [4, 3]]


def small(name: str = "transformer_tiny", dtype: str | None = None) -> Seq2SeqLM:
    return Seq2SeqLM(shrink(load_preset(name)), dtype=dtype)


def weight(model: Seq2SeqLM, path: str) -> keras.Variable:
    (found,) = [v for v in model.weights if v.path.endswith(path)]
    return found


def spoil(model: Seq2SeqLM, path: str, value: float) -> None:
    variable = weight(model, path)
    array = to_numpy(variable.value).astype("float32")
    array.flat[0] = value
    variable.assign(array)


CALLS: dict[str, Any] = {
    "greedy": lambda model: model.generate(source_mapping(SOURCES), max_length=6),
    "beam": lambda model: model.generate(source_mapping(SOURCES), max_length=6, num_beams=2),
    "random": lambda model: model.generate(
        source_mapping(SOURCES), sampler="random", max_length=6, seed=1
    ),
    "score": lambda model: model.score(SOURCES, TARGETS),
}


@pytest.mark.parametrize("call", covered(list(CALLS), ["score"]))
@pytest.mark.parametrize(
    ("name", "path"),
    covered(
        [
            ("transformer_tiny", f"decoder/layer_{DEPTH - 1}/feed_forward/inner/kernel"),
            ("transformer_tiny", "encoder/layer_0/feed_forward/inner/bias"),
            ("gru_bahdanau", "decoder/attention/key/kernel"),
        ],
        [("transformer_tiny", f"decoder/layer_{DEPTH - 1}/feed_forward/inner/kernel")],
    ),
)
def test_weights_that_are_not_finite_are_named(name, path, call):
    model = small(name)
    CALLS[call](model)  # what was prepared from good weights does not hide the bad ones
    spoil(model, path, np.nan)
    with pytest.raises(NonFiniteError, match=f"the weights .*{path} are not.*checkpoint"):
        CALLS[call](model)


@pytest.mark.parametrize("dtype", covered(["float16", "mixed_float16"], ["float16"]))
@pytest.mark.parametrize("call", covered(list(CALLS), ["beam"]))
def test_the_layer_that_overflows_is_named_with_the_remedy(dtype, call):
    model = small(dtype=dtype)
    kernel = weight(model, f"encoder/layer_{DEPTH - 1}/feed_forward/inner/kernel")
    kernel.assign(np.full(kernel.shape, 60_000.0) * np.array([1, -1] * 6))
    spread = weight(model, f"encoder/layer_{DEPTH - 1}/feed_forward_norm/beta")
    spread.assign(ops.ones(spread.shape) * 9)
    with pytest.raises(
        NonFiniteError, match=rf"encoder/layer_{DEPTH - 1}/feed_forward/inner .*65,504.*bfloat16"
    ):
        CALLS[call](model)
    assert np.isfinite(np.asarray(CALLS["score"](wider(model)))).all()


def wider(model: Seq2SeqLM) -> Seq2SeqLM:
    """The same weights in float32."""
    other = Seq2SeqLM(model.preset, dtype="float32")
    for theirs, ours in zip(model.weights, other.weights, strict=True):
        ours.assign(ops.cast(theirs.value, "float32"))
    return other


@slow_where_compiled
def test_the_source_that_is_meant_is_named():
    model = small("gru_bahdanau")
    # One token's vector alone.
    table = weight(model, "source_table/embeddings")
    array = to_numpy(table.value).copy()
    array[9] = np.inf
    table.assign(array)
    good = model.generate(source_mapping([[5, 3], [6, 3]]), max_length=5)
    assert good.shape[0] == 2
    with pytest.raises(NonFiniteError, match="source 1:"):
        model.generate(source_mapping([[5, 3], [9, 3], [6, 3]]), max_length=5, batch_size=1)
    with pytest.raises(NonFiniteError, match="pair 1:"):
        model.score([[5, 3], [9, 3]], [[5, 3], [5, 3]])


@slow_where_compiled
def test_streaming_raises_as_well():
    model = small()
    spoil(model, "decoder/layer_0/self_attention/value/kernel", np.inf)
    chosen, plan, limits = plan_search(model._parts, Search("greedy", 6), [0])
    with pytest.raises(NonFiniteError, match="self_attention/value/kernel"):
        list(model.generator.stream([[5, 3]], chosen, plan, limits=limits))


@slow_where_compiled
def test_an_infinite_logit_of_an_id_that_nobody_takes_counts():
    model = small("gru_bahdanau")
    spoil(model, "logits/bias", -np.inf)
    with pytest.raises(NonFiniteError, match="logits/bias"):
        CALLS["greedy"](model)


# ---------------------------------------------------------------------- loading


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_preset_folder_with_such_weights_is_refused(tmp_path, value):
    model = small()
    spoil(model, "encoder/layer_0/feed_forward/inner/kernel", value)
    spoil(model, "decoder/norm/beta", value)
    model.save_to_preset(tmp_path)
    with pytest.raises(ValueError, match="2 tensors hold values that are not finite") as error:
        Seq2SeqLM.from_preset(tmp_path)
    assert "encoder/layer_0/feed_forward/inner/kernel: 1 of 96 values" in str(error.value)
    assert "decoder/norm/beta" in str(error.value)


def test_what_float16_cannot_hold_is_refused_while_loading(tmp_path):
    model = small(dtype="float32")
    spoil(model, "encoder/layer_0/feed_forward/inner/kernel", 70_000.0)
    model.save_to_preset(tmp_path)
    assert Seq2SeqLM.from_preset(tmp_path, dtype="bfloat16")
    with pytest.raises(ValueError, match=r"feed_forward/inner/kernel: up to 70000.*\n.*bfloat16"):
        Seq2SeqLM.from_preset(tmp_path, dtype="float16")


# ---------------------------------------------------------------------- policies


def test_mixed_float16_of_one_model_scales_its_loss():
    model = small(dtype="mixed_float16")
    model.compile("adam")
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    plain = small()
    plain.compile("adam")
    assert not isinstance(plain.optimizer, keras.optimizers.LossScaleOptimizer)


@pytest.mark.parametrize("policy", ["mixed_float16", "bfloat16"])
def test_a_model_saved_under_a_global_policy_loads_under_it(tmp_path, policy):
    before = keras.config.dtype_policy()
    try:
        keras.config.set_dtype_policy(policy)
        model = small()
    finally:
        keras.config.set_dtype_policy(before)
    model.save(tmp_path / "m.keras")
    other = keras.saving.load_model(tmp_path / "m.keras")
    assert other.dtype_policy.name == other.network.decoder.dtype_policy.name == policy
    for ours, theirs in zip(model.weights, other.weights, strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(*(to_numpy(ops.cast(v, "float32")) for v in (ours, theirs)))


def test_a_keras_file_with_weights_that_are_not_finite_is_not_loaded(tmp_path):
    model = small()
    model.save(tmp_path / "good.keras")
    name = model.weights[-1].path
    spoil(model, name, np.nan)
    model.save(tmp_path / "m.keras")
    model.save_weights(tmp_path / "m.weights.h5")
    name = re.escape(name)
    with pytest.raises(ValueError, match=rf"the file: 1 tensors.*not finite.*\n.*{name}"):
        keras.saving.load_model(tmp_path / "m.keras")
    with pytest.raises(CheckpointError, match=rf"m\.weights\.h5: 1 tensors.*\n.*{name}"):
        small().load_weights(tmp_path / "m.weights.h5")
    keras.saving.load_model(tmp_path / "good.keras")


@slow_where_compiled  # PyTorch's and TensorFlow's CPU have no orthogonal matrices in float16
@pytest.mark.parametrize("name", ["gru_bahdanau", "lstm_luong_dot"])
def test_recurrent_models_work_in_float16(name):
    model = small(name, dtype="float16")
    wide = wider(model)
    np.testing.assert_allclose(
        model.score(SOURCES, TARGETS), wide.score(SOURCES, TARGETS), rtol=0.01
    )
    assert CALLS["beam"](model).shape[0] == 2
