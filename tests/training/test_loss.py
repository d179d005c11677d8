"""The loss against PyTorch's and against arithmetic; metrics and schedules against formulas."""

from __future__ import annotations

import math

import keras
import numpy as np
import pytest
from keras import ops

from keras_s2s.config import OptimizerConfig
from keras_s2s.training.losses.loss import TokenCrossEntropy
from keras_s2s.training.losses.metrics import Perplexity, TokenAccuracy
from keras_s2s.training.optimizers.schedules import InverseSqrt, LinearWarmup, make_optimizer

RNG = np.random.default_rng(5)
LOGITS = RNG.normal(size=(3, 4, 7)).astype("float32") * 3
LABELS = RNG.integers(0, 7, (3, 4)).astype("int32")
WEIGHTS = np.asarray([[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0]], "float32")


def value(tensor) -> float:
    return float(ops.convert_to_numpy(tensor))


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.3])
def test_the_loss_is_pytorchs_mean_over_real_tokens(smoothing: float) -> None:
    torch = pytest.importorskip("torch")
    labels = np.where(WEIGHTS > 0, LABELS, -100)
    expected = torch.nn.CrossEntropyLoss(ignore_index=-100, label_smoothing=smoothing)(
        torch.tensor(LOGITS.reshape(-1, 7)), torch.tensor(labels.reshape(-1), dtype=torch.long)
    )
    loss = TokenCrossEntropy(smoothing)(LABELS, LOGITS, sample_weight=WEIGHTS)
    assert value(loss) == pytest.approx(float(expected), rel=1e-5)


def test_padding_does_not_change_the_loss() -> None:
    longer = np.concatenate([LOGITS, RNG.normal(size=(3, 5, 7)).astype("float32")], axis=1)
    labels = np.concatenate([LABELS, np.zeros((3, 5), "int32")], axis=1)
    weights = np.concatenate([WEIGHTS, np.zeros((3, 5), "float32")], axis=1)
    loss = TokenCrossEntropy()
    assert value(loss(labels, longer, sample_weight=weights)) == pytest.approx(
        value(loss(LABELS, LOGITS, sample_weight=WEIGHTS)), rel=1e-6
    )


def test_a_serialised_loss_is_the_same() -> None:
    loss = keras.losses.deserialize(keras.losses.serialize(TokenCrossEntropy(0.2)))
    assert loss.label_smoothing == 0.2
    assert loss.reduction == "mean_with_sample_weight"


def test_smoothing_outside_its_range_is_refused() -> None:
    with pytest.raises(ValueError, match=r"label_smoothing=1\.0"):
        TokenCrossEntropy(1.0)


def test_metrics_count_real_tokens_only() -> None:
    log_probs = LOGITS - np.log(np.exp(LOGITS).sum(-1, keepdims=True))
    chosen = np.take_along_axis(log_probs, LABELS[..., None], -1)[..., 0]
    perplexity = Perplexity()
    accuracy = TokenAccuracy()
    for row in range(3):  # batch by batch, with unequal numbers of tokens
        part = slice(row, row + 1)
        perplexity.update_state(LABELS[part], LOGITS[part], sample_weight=WEIGHTS[part])
        accuracy.update_state(LABELS[part], LOGITS[part], sample_weight=WEIGHTS[part])
    assert value(perplexity.result()) == pytest.approx(
        math.exp(-(chosen * WEIGHTS).sum() / WEIGHTS.sum()), rel=1e-5
    )
    right = (LOGITS.argmax(-1) == LABELS) * WEIGHTS
    assert value(accuracy.result()) == pytest.approx(right.sum() / WEIGHTS.sum(), rel=1e-6)


def test_inverse_sqrt_is_vaswanis_schedule() -> None:
    hidden, warmup = 512, 4000
    schedule = InverseSqrt(peak=hidden**-0.5 * warmup**-0.5, warmup_steps=warmup)
    for step in (1, 100, 4000, 4001, 90000):
        paper = hidden**-0.5 * min(step**-0.5, step * warmup**-1.5)
        assert value(schedule(step - 1)) == pytest.approx(paper, rel=1e-5)


def test_inverse_sqrt_is_fairseqs_schedule() -> None:
    # fairseq sets the rate of the next step from the number of steps done, with no warm-up rate to
    # begin with; step 1 here has the rate that fairseq has after its first step.
    peak, warmup = 0.005, 2000
    schedule = InverseSqrt(peak, warmup)
    for updates in (1, 2, 1999, 2000, 2001, 8000):
        linear = updates * peak / warmup
        decayed = peak * warmup**0.5 * updates**-0.5
        theirs = linear if updates < warmup else decayed
        assert value(schedule(updates - 1)) == pytest.approx(theirs, rel=1e-5)


def test_linear_warmup_stays_at_its_peak() -> None:
    schedule = LinearWarmup(peak=2.0, warmup_steps=4)
    assert [round(value(schedule(step)), 6) for step in range(6)] == [0.5, 1.0, 1.5, 2.0, 2.0, 2.0]


def test_cosine_ends_at_zero_with_the_run() -> None:
    config = OptimizerConfig(schedule="cosine", learning_rate=0.1, warmup_steps=10)
    schedule = make_optimizer(config, total_steps=110)._learning_rate
    assert value(schedule(10)) == pytest.approx(0.1, rel=1e-5)
    assert value(schedule(60)) == pytest.approx(0.05, rel=1e-4)
    assert value(schedule(110)) == pytest.approx(0.0, abs=1e-8)


@pytest.mark.parametrize("name", ["adam", "adamw", "adafactor", "sgd"])
def test_optimisers_take_what_the_recipe_says(name: str) -> None:
    config = OptimizerConfig(name=name, learning_rate=0.25, clip_norm=2.0, weight_decay=0.5)
    optimizer = make_optimizer(config, total_steps=10)
    assert type(optimizer).__name__.lower() == name
    assert optimizer.global_clipnorm == 2.0
    assert optimizer.weight_decay == 0.5
    assert value(optimizer.learning_rate) == pytest.approx(0.25)


def test_optimisers_have_keys_of_their_own() -> None:
    config = OptimizerConfig(name="adam", beta_1=0.8, beta_2=0.98, epsilon=1e-9)
    adam = make_optimizer(config, total_steps=10, ema=0.9, accumulate=3)
    assert (adam.beta_1, adam.beta_2, adam.epsilon) == (0.8, 0.98, 1e-9)
    assert (adam.use_ema, adam.gradient_accumulation_steps) == (True, 3)
    assert adam.ema_momentum**3 == pytest.approx(0.9)
    config = OptimizerConfig(
        name="adafactor", beta_2_decay=-0.7, clip_threshold=2.0, relative_step=False
    )
    adafactor = make_optimizer(config, total_steps=10)
    assert (adafactor.beta_2_decay, adafactor.clip_threshold) == (-0.7, 2.0)
    assert not adafactor.relative_step
    for name, key, given in (
        ("sgd", "beta_1", 0.5),
        ("adafactor", "beta_2", 0.98),
        ("adam", "clip_threshold", 2.0),
    ):
        with pytest.raises(ValueError, match=f"{name} has none"):
            OptimizerConfig(name=name, **{key: given})
    # A recipe that was written out names every key.
    assert OptimizerConfig(**config.model_dump()) == config
