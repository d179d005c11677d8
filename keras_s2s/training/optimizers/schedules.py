"""Learning-rate schedules that Keras does not have."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_s2s.config import OptimizerConfig


@keras.saving.register_keras_serializable("keras_s2s")
class InverseSqrt(keras.optimizers.schedules.LearningRateSchedule):
    """Linear warm-up to a peak, then decay with the inverse square root of the step.

    `peak * min(step / warmup, sqrt(warmup / step))` [Vaswani 2017, section 5.3, whose peak is
    `hidden_dim^-0.5 * warmup^-0.5`].

    Args:
        peak: learning rate at the end of the warm-up.
        warmup_steps: steps of the warm-up.
    """

    def __init__(self, peak: float, warmup_steps: int) -> None:
        super().__init__()
        if warmup_steps < 1:
            raise ValueError(f"warmup_steps={warmup_steps} must be at least 1")
        self.peak = peak
        self.warmup_steps = warmup_steps

    def __call__(self, step: Any) -> Any:
        step = ops.cast(step, "float32") + 1.0
        warmup = float(self.warmup_steps)
        return self.peak * ops.minimum(step / warmup, ops.sqrt(warmup / step))

    def get_config(self) -> dict[str, Any]:
        return {"peak": self.peak, "warmup_steps": self.warmup_steps}


@keras.saving.register_keras_serializable("keras_s2s")
class LinearWarmup(keras.optimizers.schedules.LearningRateSchedule):
    """Linear warm-up to a constant learning rate.

    Args:
        peak: the constant.
        warmup_steps: steps of the warm-up.
    """

    def __init__(self, peak: float, warmup_steps: int) -> None:
        super().__init__()
        self.peak = peak
        self.warmup_steps = warmup_steps

    def __call__(self, step: Any) -> Any:
        step = ops.cast(step, "float32") + 1.0
        return self.peak * ops.minimum(step / max(1, self.warmup_steps), 1.0)

    def get_config(self) -> dict[str, Any]:
        return {"peak": self.peak, "warmup_steps": self.warmup_steps}


def make_optimizer(
    config: OptimizerConfig,
    total_steps: int,
    *,
    ema: float | None = None,
    accumulate: int = 1,
) -> keras.optimizers.Optimizer:
    """Returns the Keras optimiser that a recipe describes.

    Args:
        config: name, learning rate, schedule.
        total_steps: optimiser steps of the whole run; the cosine schedule ends there.
        ema: momentum of an exponential moving average of the weights, by steps; None keeps none.
        accumulate: batches whose gradients are accumulated for a step.
    """
    rate: Any = config.learning_rate
    warmup = config.warmup_steps
    if config.schedule == "inverse_sqrt":
        rate = InverseSqrt(rate, max(1, warmup))
    elif config.schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(
            0.0 if warmup else rate,
            decay_steps=max(1, total_steps - warmup),
            warmup_target=rate if warmup else None,
            warmup_steps=warmup,
        )
    elif warmup:
        rate = LinearWarmup(rate, warmup)
    common: dict[str, Any] = {"learning_rate": rate, "global_clipnorm": config.clip_norm}
    if ema is not None:
        # Keras averages after each batch, while the weights change with each step only.
        common |= {"use_ema": True, "ema_momentum": ema ** (1 / accumulate)}
    if accumulate > 1:
        common["gradient_accumulation_steps"] = accumulate
    if config.name == "sgd":
        return keras.optimizers.SGD(weight_decay=config.weight_decay or None, **common)
    if config.name == "adafactor":
        return keras.optimizers.Adafactor(
            beta_2_decay=config.beta_2_decay,
            clip_threshold=config.clip_threshold,
            relative_step=config.relative_step,
            weight_decay=config.weight_decay or None,
            **common,
        )
    adams = {"adam": keras.optimizers.Adam, "adamw": keras.optimizers.AdamW}
    if config.name == "adamw" or config.weight_decay:
        common["weight_decay"] = config.weight_decay
    return adams[config.name](
        beta_1=config.beta_1, beta_2=config.beta_2, epsilon=config.epsilon, **common
    )
