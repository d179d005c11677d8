"""Trains small models with one option each: `python option_run.py FILE NAME...` writes what came
out.

Weights, batches and draws are the same on every backend, and nothing is dropped, so that the steps
are the same, too.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Any

import keras
import numpy as np
from small_models import randomise, to_numpy, transformer, variant

from keras_s2s import Seq2SeqLM
from keras_s2s.config import PresetConfig
from keras_s2s.data import Batches
from keras_s2s.training.scheduled_sampling import ScheduledSampling
from keras_s2s.training.share_schedules import LinearDecay

#: Keras divides draws by 1 minus the rate, which is 1 in float32: a model that has dropout, in
#: which nothing is dropped.
NEVER = 1e-9


def of_transformer(rate: float = 0.0) -> PresetConfig:
    side = transformer(num_layers=1, dropout=rate, attention_dropout=rate, activation_dropout=rate)
    return variant({"encoder": side, "decoder": side})


def of_recurrence(rate: float = 0.0) -> PresetConfig:
    cells = {"type": "recurrent", "cell": "gru", "hidden_dim": 8, "num_layers": 2, "dropout": rate}
    attention = {"context": "attention", "attention": {"score": "additive", "query": "previous"}}
    return variant(
        {"encoder": cells, "decoder": {**cells, **attention}, "bridge": {"type": "copy"}}
    )


def sgd(**options: Any) -> Any:
    return keras.optimizers.SGD(0.3, **options)


def frozen(model: Seq2SeqLM) -> None:
    model.freeze("encoder")


def adapted(model: Seq2SeqLM) -> None:
    model.enable_lora(2, alpha=3.0, targets=("query", "output"))
    randomise(model, seed=5)


def weighted(batches: Batches, of_rows: bool) -> list[Any]:
    draw = np.random.default_rng(4)
    weighed = []
    for x, y, w in (batches[i] for i in range(len(batches))):
        weights = draw.uniform(0, 2, w.shape[:1] if of_rows else w.shape).astype("float32")
        weighed.append((x, np.where(draw.random(y.shape) < 0.2, -100, y), weights))
    return weighed


#: Name -> the arguments of a training.
RUNS: dict[str, dict[str, Any]] = {
    "plain": {},
    "label smoothing": {"label_smoothing": 0.2},
    "unfused": {"fused_loss": False, "label_smoothing": 0.2},
    "loss of Keras": {"loss": "keras"},
    "Adam": {"optimizer": lambda: keras.optimizers.Adam(0.01, epsilon=1e-3)},
    "AdamW, excluded": {"optimizer": "excluded"},
    "Adafactor": {"optimizer": lambda: keras.optimizers.Adafactor(0.05, epsilon_1=1e-4)},
    "clipped": {"optimizer": lambda: sgd(global_clipnorm=0.3)},
    "cosine": {
        "optimizer": lambda: keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.5, 8))
    },
    "accumulated": {"optimizer": lambda: sgd(gradient_accumulation_steps=2)},
    "moving average": {"optimizer": lambda: sgd(use_ema=True, ema_momentum=0.5)},
    "rates": {"learning_rates": {"decoder": 0.1, "cross_attention": 1.0}},
    "rates, accumulated": {
        "learning_rates": {"decoder": 0.1},
        "optimizer": lambda: sgd(gradient_accumulation_steps=3, use_ema=True, ema_momentum=0.5),
    },
    "frozen": {"change": frozen},
    "adapters": {"change": adapted},
    "checkpointing": {"gradient_checkpointing": True},
    "weights of rows": {"weights": True},
    "weights of tokens": {"weights": False},
    "weights of tokens, unfused": {"weights": False, "fused_loss": False},
    "no teacher forcing": {"teacher_forcing": False},
    "sampling, step by step": {
        "teacher_forcing": lambda: ScheduledSampling(0.5, method="step_by_step", seed=3)
    },
    "sampling, drawn": {
        "teacher_forcing": lambda: ScheduledSampling(
            LinearDecay(8), choice="draw", method="two_pass", seed=3
        )
    },
    "R-Drop without a drop": {"r_drop": 5.0, "rate": NEVER},
    "nothing is dropped": {"rate": NEVER},
    "eager": {"run_eagerly": True},
    "batch by batch": {"on_batch": True},
    "bfloat16": {"dtype": "mixed_bfloat16"},
    "float16": {"dtype": "mixed_float16"},
    "float16, accumulated": {
        "dtype": "mixed_float16",
        "optimizer": lambda: sgd(gradient_accumulation_steps=2),
    },
    "recurrent": {"preset": of_recurrence},
    "recurrent, unfused": {"preset": of_recurrence, "fused_loss": False},
    "recurrent, nothing is dropped": {"preset": of_recurrence, "rate": NEVER},
    "recurrent, no teacher forcing": {"preset": of_recurrence, "teacher_forcing": False},
    "recurrent, R-Drop without a drop": {"preset": of_recurrence, "r_drop": 5.0, "rate": NEVER},
}


def data_of(model: Seq2SeqLM) -> Batches:
    draw = np.random.default_rng(0)
    pairs = [
        (draw.integers(4, 16, n).tolist(), [*draw.integers(4, 16, n).tolist(), 3])
        for n in draw.integers(2, 6, 22)
    ]
    return Batches(pairs, special_ids=model.special_ids, batch_size=4, num_buckets=1, seed=1)


def excluded() -> Any:
    optimizer = keras.optimizers.AdamW(0.01, weight_decay=0.5, epsilon=1e-3)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


def train(
    *,
    preset: Callable[[float], PresetConfig] = of_transformer,
    rate: float = 0.0,
    dtype: str | None = None,
    change: Callable[[Seq2SeqLM], None] | None = None,
    weights: bool | None = None,
    on_batch: bool = False,
    optimizer: Any = sgd,
    **options: Any,
) -> dict[str, np.ndarray]:
    """Trains for two epochs; returns losses, metrics and weights."""
    keras.utils.set_random_seed(1)
    model = Seq2SeqLM(preset(rate), dtype=dtype)
    randomise(model, seed=2)
    if change is not None:
        change(model)
    if optimizer == "excluded":
        optimizer = excluded
    if options.get("loss") == "keras":
        options["loss"] = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    if callable(options.get("teacher_forcing")):
        options["teacher_forcing"] = options["teacher_forcing"]()
    model.compile(optimizer(), **options)
    batches = data_of(model)
    data: Any = batches if weights is None else weighted(batches, weights)
    found: dict[str, Any] = {}
    if on_batch:
        logs = [model.train_on_batch(*batches[i], return_dict=True) for i in range(len(batches))]
        found = {name: [each[name] for each in logs] for name in logs[0]}
    elif weights is None:
        found = model.fit(batches, epochs=2, verbose=0).history
    else:
        for x, y, w in data:
            history = model.fit(x, y, sample_weight=w, batch_size=4, shuffle=False, verbose=0)
            for name, value in history.history.items():
                found.setdefault(name, []).extend(value)
    found |= model.evaluate(batches, verbose=0, return_dict=True)
    values = {f"weight {weight.path}": to_numpy(weight.value) for weight in model.weights}
    assert len(values) == len(model.weights)
    return {**{name: np.asarray(value, "float64") for name, value in found.items()}, **values}


def arrays(names: Iterable[str]) -> dict[str, np.ndarray]:
    """Returns what came out of trainings, by their name and that of an array."""
    return {f"{name}: {key}": a for name in names for key, a in train(**RUNS[name]).items()}


if __name__ == "__main__":
    np.savez(sys.argv[1], **arrays(sys.argv[2:]))  # type: ignore[arg-type]
