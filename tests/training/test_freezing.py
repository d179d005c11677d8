"""Freezing: which weights a name means, that they stay, and that this is shown and saved."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from small_batch import INPUTS, LABELS
from small_models import (
    make_model,
    shrunken_preset,
    slow_where_compiled,
    to_numpy,
    without_dropout,
)

from keras_s2s import Seq2SeqLM


def transformer() -> Seq2SeqLM:
    return make_model(without_dropout(shrunken_preset("transformer_tiny")))


def recurrent() -> Seq2SeqLM:
    return make_model(shrunken_preset("gru_bahdanau"))


def moved_by_training(model: Seq2SeqLM) -> set[str]:
    before = {weight.path: to_numpy(weight).copy() for weight in model.weights}
    model.compile(keras.optimizers.SGD(1.0))
    model.fit(INPUTS, LABELS, verbose=0)
    return {
        weight.path
        for weight in model.weights
        # The same bias for all keys of a query changes nothing: its gradient is a rounding error.
        if not weight.path.endswith("key/bias")
        and not np.array_equal(to_numpy(weight), before[weight.path])
    }


#: A name, a model, and whether it fixes a path: written down apart from the code that decides.
NAMES = {
    "encoder": (transformer, lambda path: path.startswith("encoder/")),
    "decoder": (transformer, lambda path: path.startswith(("decoder/", "logits"))),
    "embeddings": (transformer, lambda path: path == "token_table/embeddings"),
    "all_but_cross_attention": (transformer, lambda path: "/cross_attention" not in path),
    "decoder/layer_0": (transformer, lambda path: path.startswith("decoder/layer_0/")),
    "*_norm/beta": (transformer, lambda path: path.endswith("_norm/beta")),
    "recurrent encoder": (recurrent, lambda path: path.startswith(("encoder/", "source_table"))),
    "recurrent all_but_cross_attention": (
        recurrent,
        lambda path: not path.startswith("decoder/attention/"),
    ),
}


@pytest.mark.parametrize("case", NAMES)
def test_a_name_fixes_its_weights_and_no_others(case):
    make, fixes = NAMES[case]
    model = make()
    model.freeze(case.rpartition(" ")[2])
    expected = tuple(weight.path for weight in model.weights if fixes(weight.path))
    assert model.frozen == expected and 0 < len(expected) < len(model.weights)


@pytest.mark.parametrize(
    "case", ["encoder", pytest.param("all_but_cross_attention", marks=pytest.mark.slow)]
)
def test_training_moves_only_the_others(case):
    make, fixes = NAMES[case]
    free = moved_by_training(make())
    assert any(map(fixes, free)) and not all(map(fixes, free))
    model = make()
    model.freeze(case)
    assert moved_by_training(model) == {path for path in free if not fixes(path)}


@slow_where_compiled
def test_several_names_and_unfreezing():
    model = transformer()
    model.freeze(["encoder", "embeddings"])
    model.freeze("decoder/layer_0")
    assert {path.partition("/")[0] for path in model.frozen} == {
        "encoder",
        "token_table",
        "decoder",
    }
    model.unfreeze()
    assert model.frozen == () and len(model.trainable_weights) == len(model.weights)


@slow_where_compiled
def test_layers_frozen_by_keras_are_listed_and_unfrozen():
    model = transformer()
    model.network.encoder.trainable = False
    assert set(model.frozen) == {w.path for w in model.network.encoder.weights}
    model.unfreeze()
    assert model.frozen == () and model.network.encoder.trainable


@slow_where_compiled
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("encodr", "'encodr' is no part.*'encoder'"),
        ("decoder/layer_0/cross_atention", "'decoder/layer_0/cross_attention"),
        ("decoder/layer_9/*", "no path of a weight matches it; the nearest are"),
        ("new", "no weight of this model is new"),
        ("*", "nothing would be left to train"),
        (7, "7 is not the name of a part"),
    ],
)
def test_names_that_mean_nothing(name, message):
    model = transformer()
    with pytest.raises(ValueError, match=message):
        model.freeze([name])
    assert model.frozen == ()


@slow_where_compiled
def test_a_decoder_without_attention():
    model = make_model(shrunken_preset("lstm_seq2seq"))
    with pytest.raises(ValueError, match="no attention to the source"):
        model.freeze("all_but_cross_attention")


@slow_where_compiled
def test_the_summary_says_what_is_frozen():
    lines: list[str] = []
    model = transformer()
    model.summary(print_fn=lambda line, **_: lines.append(line))
    assert "frozen" not in "\n".join(lines)
    model.freeze("encoder")
    model.summary(print_fn=lambda line, **_: lines.append(line))
    count = sum(int(np.prod(w.shape)) for w in model.network.encoder.weights)
    assert f"frozen: encoder ({count:,} of {model.count_params():,} parameters)" in lines[-1]


@slow_where_compiled
def test_freezing_after_training_asks_for_another_compile():
    """The optimiser has a state for the other weights; on JAX it could not go on at all."""
    model = transformer()
    model.compile("adam")
    model.fit(INPUTS, LABELS, verbose=0)
    model.freeze("encoder")
    with pytest.raises(ValueError, match=r"Call model\.compile\(\.\.\.\) again"):
        model.fit(INPUTS, LABELS, verbose=0)
    with pytest.raises(ValueError, match=r"Call model\.compile\(\.\.\.\) again"):
        model.train_on_batch(INPUTS, LABELS)
    assert not any(path.startswith("encoder/") for path in moved_by_training(model))


@slow_where_compiled
def test_a_keras_file_keeps_what_is_frozen_and_the_state_of_the_optimiser(tmp_path):
    model = transformer()
    model.freeze(["encoder", "embeddings"])
    model.compile("adam")
    model.fit(INPUTS, LABELS, verbose=0)
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    assert again.frozen == model.frozen
    for mine, theirs in zip(model.optimizer.variables, again.optimizer.variables, strict=True):
        np.testing.assert_array_equal(to_numpy(theirs), to_numpy(mine))
    for each in (model, again):
        each.fit(INPUTS, LABELS, verbose=0, shuffle=False)
    for mine, theirs in zip(model.weights, again.weights, strict=True):
        np.testing.assert_allclose(to_numpy(theirs), to_numpy(mine), rtol=1e-5, atol=1e-6)
