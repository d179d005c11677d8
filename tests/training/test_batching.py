"""Loss and metrics are means over tokens: they do not depend on how examples were batched."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops
from small_models import make_model, model_inputs, shrunken_preset, slow_where_compiled
from training.small_training import small_model

from keras_s2s import Seq2SeqLM, data
from keras_s2s.config import PresetConfig
from keras_s2s.training.losses.loss import TokenCrossEntropy
from keras_s2s.training.losses.metrics import LossTracker, Perplexity, TokenMean

BACKEND = keras.backend.backend()
RNG = np.random.default_rng(3)


def _pair(source: int, target: int) -> tuple[list[int], list[int]]:
    return (
        [*RNG.integers(4, 16, source - 1).tolist(), 3],
        [*RNG.integers(4, 16, target - 1).tolist(), 3],
    )


#: Short and long ones, so that batches hold unequal numbers of tokens.
PAIRS = [_pair(*lengths) for lengths in [(3, 2)] * 6 + [(5, 4)] * 4 + [(12, 21), (7, 12)]]
TOKENS = sum(len(target) for _, target in PAIRS)


@pytest.fixture(scope="module")
def model() -> Seq2SeqLM:
    """Without dropout, so that training and evaluation have the same figures."""
    config = shrunken_preset("gru_bahdanau").model_dump()
    for side in ("encoder", "decoder"):
        part = config["architecture"][side]
        part["dropout"] = part["embedding"]["dropout"] = 0.0
    return make_model(PresetConfig.model_validate(config), seed=1, scale=2.0)


@pytest.fixture(scope="module")
def scores(model: Seq2SeqLM) -> np.ndarray:
    """The log-probability of every target id."""
    sources, targets = map(list, zip(*PAIRS, strict=True))
    _, log_probs = model.score(sources, targets, return_token_log_probs=True)
    return np.concatenate(log_probs).astype("float64")


def batches(model: Seq2SeqLM, **options: Any) -> data.Batches:
    return data.Batches(PAIRS, special_ids=model.special_ids, **options)


def arrays(model: Seq2SeqLM, extra: int = 0) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
    """All pairs in one batch, as arrays, with `extra` positions of padding."""
    sources, targets = zip(*PAIRS, strict=True)
    start = model.special_ids.target.decoder_start
    longest = max(map(len, targets)) + extra
    inputs = model_inputs(
        sources,
        [[start, *target[:-1]] for target in targets],
        model.special_ids,
        source_length=max(map(len, sources)) + extra,
        target_length=longest,
    )
    labels = np.zeros((len(PAIRS), longest), "int32")
    for row, target in enumerate(targets):
        labels[row, : len(target)] = target
    return inputs, labels, inputs["decoder_padding_mask"].astype("float32")


WHOLE = {"batch_size": 64, "num_buckets": 1}
SPLIT = {"batch_size": 2, "num_buckets": 2}


def evaluated(model: Seq2SeqLM, *given: Any, **options: Any) -> dict[str, float]:
    return model.evaluate(*given, **options, verbose=0, return_dict=True)


def test_evaluate_is_the_mean_over_tokens_however_they_are_batched(model, scores) -> None:
    model.compile("sgd")
    x, y, weights = arrays(model, extra=4)
    found = [
        evaluated(model, batches(model, shuffle=False, **WHOLE)),
        evaluated(model, batches(model, **SPLIT)),
        evaluated(model, x, y, sample_weight=weights, batch_size=4),
        evaluated(model, x, y, batch_size=4),
    ]
    for values in found:
        assert values["perplexity"] == pytest.approx(math.exp(-scores.mean()), rel=1e-5)
        assert values["loss"] == pytest.approx(-scores.mean(), rel=1e-5)
        assert values["token_accuracy"] == pytest.approx(found[0]["token_accuracy"], rel=1e-5)
    hits = found[0]["token_accuracy"] * TOKENS
    assert hits == pytest.approx(round(hits), abs=1e-3), "a share of the tokens"


@slow_where_compiled
def test_a_smoothed_loss_does_not_depend_on_batching(model, scores) -> None:
    model.compile("sgd", label_smoothing=0.2)
    layouts = [WHOLE, SPLIT, {"batch_size": 24, "num_buckets": 3, "batch_unit": "tokens"}]
    found = [evaluated(model, batches(model, **layout)) for layout in layouts]
    for values in found:
        assert values["loss"] == pytest.approx(found[0]["loss"], rel=1e-5)
        assert values["loss"] != pytest.approx(-scores.mean(), rel=1e-4)
        assert values["perplexity"] == pytest.approx(math.exp(-scores.mean()), rel=1e-5)


def test_fit_logs_the_mean_over_the_tokens_since_the_epoch_began(model, scores) -> None:
    """With a learning rate of 0 nothing moves, so that every figure is known."""
    weights = model.get_weights()
    model.compile(keras.optimizers.SGD(0.0))
    validation = batches(model, **WHOLE)
    history = model.fit(
        batches(model, **SPLIT), validation_data=validation, epochs=2, verbose=0
    ).history
    exact = {"loss": -scores.mean(), "perplexity": math.exp(-scores.mean())}
    for name, values in history.items():
        if name.removeprefix("val_") in exact:
            expected = exact[name.removeprefix("val_")]
            assert values == pytest.approx([expected] * 2, rel=1e-5), name
    assert history["token_accuracy"] == pytest.approx(history["val_token_accuracy"], rel=1e-5)
    for before, after in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


def test_single_batches_have_their_own_mean(model) -> None:
    model.compile(keras.optimizers.SGD(0.0))
    x, y, weights = batches(model, batch_size=3, num_buckets=3)[0]
    rows = [y[row][weights[row] > 0].tolist() for row in range(len(y)) if weights[row].any()]
    sources = [
        x["encoder_token_ids"][row][x["encoder_padding_mask"][row]].tolist()
        for row in range(len(rows))
    ]
    expected = -model.score(sources, rows).sum() / weights.sum()
    for logs in (
        model.train_on_batch(x, y, sample_weight=weights, return_dict=True),
        model.test_on_batch(x, y, return_dict=True),
    ):
        assert float(logs["loss"]) == pytest.approx(expected, rel=1e-5)
        assert float(logs["perplexity"]) == pytest.approx(math.exp(expected), rel=1e-5)


@slow_where_compiled
def test_what_regularisers_add_is_counted_once(model) -> None:
    table = model.network.target_table.weights[0]
    table.regularizer = keras.regularizers.L2(0.01)
    try:
        model.compile(keras.optimizers.SGD(0.0))
        penalty = 0.01 * float((np.asarray(ops.convert_to_numpy(table)) ** 2).sum())
        for layout in (WHOLE, SPLIT):
            values = evaluated(model, batches(model, **layout))
            expected = math.log(values["perplexity"]) + penalty
            assert values["loss"] == pytest.approx(expected, rel=1e-5)
    finally:
        table.regularizer = None


@pytest.mark.skipif(BACKEND == "torch", reason="Keras has no steps_per_execution on PyTorch")
def test_several_steps_an_execution_give_the_same(model, scores) -> None:
    model.compile(keras.optimizers.SGD(0.0), steps_per_execution=3)
    logs = evaluated(model, batches(model, **SPLIT))
    assert logs["loss"] == pytest.approx(-scores.mean(), rel=1e-5)
    assert logs["perplexity"] == pytest.approx(math.exp(-scores.mean()), rel=1e-5)


@slow_where_compiled
def test_gradients_are_of_the_mean_over_a_steps_tokens(model) -> None:
    """A step of SGD with padding and filler rows is the step without them."""
    before = model.get_weights()
    found = []
    for extra in (0, 6):
        model.set_weights(before)
        model.compile(keras.optimizers.SGD(1.0))
        x, y, weights = arrays(model, extra)
        if extra:
            x = {name: np.concatenate([part, 0 * part[:3]]) for name, part in x.items()}
            y, weights = (np.concatenate([part, 0 * part[:3]]) for part in (y, weights))
        model.train_on_batch(x, y, sample_weight=weights)
        found.append(model.get_weights())
    model.set_weights(before)
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, atol=2e-5)


# --------------------------------------------------------------------------------------
# The sums behind a mean
# --------------------------------------------------------------------------------------


def value(tensor: Any) -> float:
    return float(ops.convert_to_numpy(tensor))


def test_a_mean_over_very_many_tokens_stays_exact() -> None:
    """Float32 alone stops counting single tokens at 2 ** 24."""
    mean = TokenMean(name="mean")
    mean.accumulate(np.full((1, 1), 1.0, "float32"), np.full((1, 1), 2.0**26, "float32"))
    for _ in range(32):
        mean.accumulate(np.full((1, 1), 3.0, "float32"), np.full((1, 1), 1.0, "float32"))
    assert value(mean.tokens) - 2**26 == 32
    assert value(mean.result()) == pytest.approx((2**26 + 96) / (2**26 + 32), rel=1e-7)


def test_a_loss_is_weighted_by_the_tokens_of_its_step() -> None:
    tracker = LossTracker()
    for loss, tokens in ((1.0, 2.0), (4.0, 1.0), (0.0, 0.0)):
        tracker.next_step_has(np.float32(tokens))
        tracker.update_state(np.float32(loss), sample_weight=64)
    assert value(tracker.result()) == pytest.approx(2.0)
    tracker.update_state(np.float32(5.0), sample_weight=3)  # a step that says nothing of tokens
    assert value(tracker.result()) == pytest.approx(21 / 6)


def test_perplexity_is_not_bounded() -> None:
    perplexity = Perplexity()
    logits = np.asarray([[[0.0, 60.0]]], "float32")
    perplexity.update_state(np.zeros((1, 1), "int32"), logits)
    assert value(perplexity.result()) == pytest.approx(math.exp(60.0), rel=1e-4)
    perplexity.reset_state()
    perplexity.update_state(np.zeros((1, 1), "int32"), logits * np.nan)
    assert math.isnan(value(perplexity.result())), "a model that has diverged says so"


def test_ids_stay_whole_whatever_the_precision_of_floats() -> None:
    """Keras converts labels to `floatx`: as bfloat16 the id 1001 would become 1000."""
    logits = np.zeros((1, 1, 1200), "float32")
    logits[0, 0, 1001] = 30.0
    labels = np.full((1, 1), 1001, "int32")
    keras.config.set_floatx("bfloat16")
    try:
        loss, perplexity = TokenCrossEntropy(), Perplexity()
        perplexity.update_state(labels, logits)
    finally:
        keras.config.set_floatx("float32")
    assert value(loss(labels, logits)) == pytest.approx(0.0, abs=1e-3)
    assert value(perplexity.result()) == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("workers", [1, 2])
def test_training_begins_with_the_first_epoch(workers: int, monkeypatch) -> None:
    model = small_model()
    pairs = [([5, 6], [7 + i % 3, model.special_ids.target.eos]) for i in range(10)]
    batches = data.Batches(pairs, special_ids=model.special_ids, batch_size=4, workers=workers)
    served = []
    real = data.Batches._batch

    def batch(self: data.Batches, index: int, epoch: int | None = None) -> Any:
        served.append(self.epoch if epoch is None else epoch)
        return real(self, index, epoch)

    monkeypatch.setattr(data.Batches, "_batch", batch)
    # Keras looks at a batch before the first fit only, to build loss and metrics.
    for first in (0, 2):
        served.clear()
        model.fit(batches, epochs=2, verbose=0)
        assert sorted(set(served)) == [first, first + 1]
        assert batches.epoch == first + 2
