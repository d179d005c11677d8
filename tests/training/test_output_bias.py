"""Which output biases are trained, and that this is kept."""

from __future__ import annotations

import numpy as np
import pytest
from parity.random_checkpoints import inputs_of, make, save
from small_models import slow_where_compiled, to_numpy

from keras_s2s import ConfigError, Seq2SeqLM
from keras_s2s.checkpoints.huggingface.reader import HuggingFaceFolder

pytest.importorskip("transformers")


def bias_of(model):
    return to_numpy(model.network.output.bias)


@pytest.fixture(scope="module")
def bart(tmp_path_factory):
    other = make("bart", "shallow")
    return other, save(other, tmp_path_factory.mktemp("bart"))


def train(model, other):
    inputs, ids = inputs_of(other)
    before = bias_of(model).copy()
    model.compile("sgd")
    model.fit(inputs, ids["labels"], sample_weight=ids["target_mask"].astype("float32"), verbose=0)
    return np.abs(bias_of(model) - before).max()


def test_a_buffer_of_transformers_stays(bart):
    other, folder = bart
    model = Seq2SeqLM.from_preset(folder, verbose=False)
    assert train(model, other) == 0
    assert bias_of(model).any()


def test_it_is_trained_where_that_is_asked_for(bart):
    other, folder = bart
    model = Seq2SeqLM.from_preset(folder, verbose=False, train_output_bias=True)
    assert train(model, other) > 1e-4


@slow_where_compiled
@pytest.mark.parametrize("trained", [True, False])
def test_all_ways_of_saving_keep_it(bart, tmp_path, trained):
    import keras

    other, folder = bart
    model = Seq2SeqLM.from_preset(folder, verbose=False, train_output_bias=trained)
    model.save_to_preset(tmp_path / "preset")
    model.save(tmp_path / "model.keras")
    for again in (
        Seq2SeqLM.from_preset(tmp_path / "preset"),
        keras.saving.load_model(tmp_path / "model.keras"),
    ):
        np.testing.assert_array_equal(bias_of(again), bias_of(model))
        assert again.network.output.bias.trainable == trained
        assert (train(again, other) > 1e-4) == trained


@slow_where_compiled
def test_a_trained_bias_goes_to_transformers(bart, tmp_path):
    other, folder = bart
    model = Seq2SeqLM.from_preset(folder, verbose=False, train_output_bias=True)
    train(model, other)
    model.export(tmp_path / "back", format="huggingface")
    again = Seq2SeqLM.from_preset(tmp_path / "back", verbose=False)
    assert not again.network.output.bias.trainable
    np.testing.assert_array_equal(bias_of(again), bias_of(model))


@slow_where_compiled
def test_a_model_from_scratch_trains_its_bias(bart):
    other, folder = bart
    with HuggingFaceFolder(folder, with_weights=False) as opened:
        architecture = opened.preset.architecture.model_dump()
    for said, expected in ((None, True), (False, False)):
        output = {key: architecture["output"][key] for key in ("tie_embeddings", "bias")}
        output |= {} if said is None else {"train_bias": said}
        model = Seq2SeqLM.from_architecture({**architecture, "output": output})
        assert (train(model, other) > 1e-5) == expected


@slow_where_compiled
def test_there_must_be_a_bias_to_train(tmp_path):
    save(make("t5", "shallow"), tmp_path)
    with pytest.raises(ConfigError, match=r"train_output_bias=True.*no bias"):
        Seq2SeqLM.from_preset(tmp_path, train_output_bias=True)
