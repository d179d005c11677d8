"""Learning rates of groups, held against steps of plain SGD and parameter groups of PyTorch."""

from __future__ import annotations

from typing import Any

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

RATES = {"encoder": 0.02, "decoder": 0.3, "cross_attention": 0.05}
REST = 0.1


def group_of(path: str) -> float:
    """The rate of a weight: written down apart from the code that decides."""
    if "/cross_attention" in path:
        return 0.05
    return {"encoder": 0.02, "decoder": 0.3}.get(path.partition("/")[0], REST)


def small() -> Seq2SeqLM:
    return make_model(without_dropout(shrunken_preset("transformer_tiny")))


def train(model: Seq2SeqLM, steps: int) -> None:
    model.fit(INPUTS, LABELS, epochs=steps, shuffle=False, verbose=0)


def values(model: Seq2SeqLM) -> dict[str, np.ndarray]:
    return {weight.path: to_numpy(weight).copy() for weight in model.weights}


def test_a_step_of_sgd_is_as_long_as_the_rate_of_each_weight():
    model, plain = small(), small()
    before = values(model)
    model.compile(keras.optimizers.SGD(REST), learning_rates=RATES)
    plain.compile(keras.optimizers.SGD(1.0))
    train(model, 1)
    train(plain, 1)
    step = {path: value - before[path] for path, value in values(plain).items()}
    for path, value in values(model).items():
        np.testing.assert_allclose(
            value - before[path], group_of(path) * step[path], rtol=1e-3, atol=1e-6
        )
    assert len({group_of(path) for path in before}) == 4


@slow_where_compiled
@pytest.mark.parametrize("clip", [None, 0.5])
def test_steps_with_momentum_are_those_of_parameter_groups_of_pytorch(clip):
    """The gradients are this model's own; clipping is of a group, as documented."""
    torch = pytest.importorskip("torch")
    if keras.backend.backend() != "torch":
        pytest.skip("gradients are taken by PyTorch")
    model, twin = small(), small()
    model.compile(
        keras.optimizers.SGD(REST, momentum=0.9, global_clipnorm=clip), learning_rates=RATES
    )
    train(model, 4)
    groups: dict[float, list[Any]] = {}
    for weight in twin.weights:
        groups.setdefault(group_of(weight.path), []).append(weight.value)
    parameters = [{"params": each, "lr": rate} for rate, each in groups.items()]
    optimizer = torch.optim.SGD(parameters, momentum=0.9)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="none")
    mask = torch.from_numpy(INPUTS["decoder_padding_mask"]).float()
    for _ in range(4):
        optimizer.zero_grad()
        (loss(LABELS, twin(INPUTS, training=True)) * mask).sum().div(mask.sum()).backward()
        if clip:
            for each in groups.values():
                torch.nn.utils.clip_grad_norm_(each, clip)
        optimizer.step()
    found, expected = values(model), values(twin)
    for path, value in expected.items():
        np.testing.assert_allclose(found[path], value, rtol=1e-4, atol=1e-5, err_msg=path)


@slow_where_compiled
def test_the_state_of_every_group_is_saved_and_restored(tmp_path):
    model = small()
    model.freeze("embeddings")
    model.compile(keras.optimizers.Adam(REST), learning_rates=RATES)
    train(model, 2)
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    assert again.training_report() == model.training_report()
    mine, theirs = model.optimizer.variables, again.optimizer.variables
    assert len(mine) > 2 * len(model.trainable_weights)
    for one, other in zip(mine, theirs, strict=True):
        np.testing.assert_array_equal(to_numpy(other), to_numpy(one))
    for each in (model, again):
        train(each, 1)
    for path, value in values(model).items():
        np.testing.assert_allclose(values(again)[path], value, rtol=1e-4, atol=1e-5)


@slow_where_compiled
def test_a_group_may_have_a_schedule_or_an_optimiser_of_its_own():
    model = small()
    before = values(model)
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay([1], [0.0, 0.5])
    own = keras.optimizers.SGD(0.25)
    model.compile("adam", learning_rates={"encoder": schedule, "decoder": own})
    report = model.training_report()
    assert [line.partition(":")[0] for line in report] == [
        "learning rate 0.001",
        "learning rate (PiecewiseConstantDecay)",
        "learning rate 0.25",
    ]
    train(model, 1)
    after = values(model)
    for path in before:
        assert np.array_equal(after[path], before[path]) == path.startswith("encoder/") or (
            path.endswith("key/bias")
        )


@slow_where_compiled
@pytest.mark.parametrize(
    ("rates", "message"),
    [
        ({"encodre": 0.1}, "'encodre' is no part"),
        ({"encoder": 0.0}, r"\['encoder'\] is 0.0; expected a number above 0"),
        ({"encoder": "fast"}, "is 'fast'; expected"),
        ({"encoder/layer_0": 0.1, "encoder": 0.2}, "all of its weights are in later groups"),
        ({"embeddings": 0.1}, "they are frozen"),
    ],
)
def test_groups_that_cannot_be_meant(rates, message):
    model = small()
    model.freeze("embeddings")
    with pytest.raises(ValueError, match=message):
        model.compile("adam", learning_rates=rates)


@slow_where_compiled
def test_one_optimiser_is_divided():
    multi = keras.optimizers.MultiOptimizer(
        keras.optimizers.OptimizerMap(keras.optimizers.SGD(0.1))
    )
    with pytest.raises(ValueError, match="give it a single optimiser"):
        small().compile(multi, learning_rates={"encoder": 0.1})


@slow_where_compiled
def test_what_is_not_decayed_is_not_decayed_in_a_group_either():
    """Keras keeps it beside an optimiser's configuration."""
    model = small()
    before = values(model)
    fixed = next(
        w for w in model.weights if w.path.endswith("decoder/layer_0/feed_forward/inner/kernel")
    )
    for exclude in ({"var_names": ["gamma", "bias"]}, {"var_list": [fixed]}):
        optimizer = keras.optimizers.SGD(1e-8, weight_decay=1e7)  # a tenth, and hardly a step
        optimizer.exclude_from_weight_decay(**exclude)
        model.compile(optimizer, learning_rates={"decoder": 1e-8})
        train(model, 1)
        kept = 0
        for path, value in values(model).items():
            name = path.rpartition("/")[2]
            is_fixed = path == fixed.path if "var_list" in exclude else name in ("gamma", "bias")
            expected = before[path] if is_fixed else 0.9 * before[path]
            np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-6, err_msg=path)
            kept += is_fixed and path.startswith("decoder")
        assert kept == 1 if "var_list" in exclude else kept > 5
        for weight in model.weights:
            weight.assign(before[weight.path])


@slow_where_compiled
def test_the_scale_of_the_loss_is_that_of_the_optimiser():
    model = small()
    optimizer = keras.optimizers.SGD(0.1, loss_scale_factor=64.0)
    model.compile(optimizer, learning_rates={"decoder": 0.2})
    assert [each.loss_scale_factor for each in model.optimizer.optimizers] == [64.0, 64.0]
    before = values(model)
    train(model, 1)
    scaled = values(model)
    for weight in model.weights:
        weight.assign(before[weight.path])
    model.compile(keras.optimizers.SGD(0.1), learning_rates={"decoder": 0.2})
    train(model, 1)
    for path, value in values(model).items():
        np.testing.assert_allclose(scaled[path], value, rtol=1e-4, atol=1e-6, err_msg=path)
