"""Callbacks for `fit`."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import keras

from keras_s2s.training.evaluation import METRICS, corpus_metrics


class GenerationMetrics(keras.callbacks.Callback):
    """Generates from held-out sources after each epoch and measures the texts.

    The values appear in the logs as `val_bleu`, `val_chrf`, ..., so that other callbacks can
    watch them. Teacher-forced accuracy says little about generation; this does.

    Args:
        pairs: (source, target) texts.
        metrics: out of "bleu", "chrf" and "exact_match".
        every: measure after each `every`-th epoch.
        limit: use the first `limit` pairs only.
        **generation_options: to `generate`, e.g. `num_beams=4`.

    Example:
        >>> model.fit(batches, callbacks=[GenerationMetrics(pairs, metrics=["bleu"])])
    """

    def __init__(
        self,
        pairs: Sequence[tuple[str, str]],
        metrics: Sequence[str] = ("bleu", "chrf"),
        *,
        every: int = 1,
        limit: int | None = None,
        **generation_options: Any,
    ) -> None:
        super().__init__()
        unknown = [name for name in metrics if name not in METRICS]
        if unknown:
            raise ValueError(f"unknown metric {unknown[0]!r}; metrics are {', '.join(METRICS)}")
        if every < 1:
            raise ValueError(f"every={every} must be at least 1")
        for name, useful in (("num_return_sequences", (None, 1)), ("return_output", (None, False))):
            if generation_options.get(name) not in useful:
                raise ValueError(
                    f"GenerationMetrics compares one text with one reference; drop {name}="
                    f"{generation_options[name]!r}"
                )
        self.pairs = list(pairs)[:limit]
        if not self.pairs:
            raise ValueError("GenerationMetrics needs at least one pair")
        self.metrics = tuple(metrics)
        self.every = every
        self.generation_options = generation_options

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if (epoch + 1) % self.every:
            return
        hypotheses = self.model.generate(
            [source for source, _ in self.pairs], **self.generation_options
        )
        measured = corpus_metrics(hypotheses, [target for _, target in self.pairs], self.metrics)
        if logs is not None:
            logs.update({f"val_{name}": measured[name] for name in self.metrics})


class SaveBest(keras.callbacks.Callback):
    """Saves the model after each epoch in which the watched value was the best so far.

    Args:
        save: called with the model.
        monitor: a key of the logs. A name that holds "loss" or "perplexity" should fall, any
            other should rise.
    """

    def __init__(self, save: Callable[[Any], None], monitor: str = "val_loss") -> None:
        super().__init__()
        self.save = save
        self.monitor = monitor
        self.falls = "loss" in monitor or "perplexity" in monitor
        self.best: float | None = None
        self.best_epoch: int | None = None

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        logs = logs or {}
        if self.monitor not in logs:
            raise ValueError(
                f"monitor {self.monitor!r} is not among the logged values: {', '.join(logs)}"
            )
        value = float(logs[self.monitor])
        if math.isnan(value):
            return  # a model that has diverged is never the best one
        if self.best is None or (value < self.best if self.falls else value > self.best):
            self.save(self.model)
            # Only now: after an interrupt in the middle of saving there is nothing to keep.
            self.best, self.best_epoch = value, epoch


class TimeLimit(keras.callbacks.Callback):
    """Ends training after the epoch in which a time is reached.

    Args:
        minutes: counted from the beginning of `fit`.
    """

    def __init__(self, minutes: float) -> None:
        super().__init__()
        self.minutes = minutes
        self.started = 0.0

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self.started = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if time.monotonic() - self.started >= 60 * self.minutes:
            self.model.stop_training = True


class ProgressBar(keras.callbacks.Callback):
    """One bar for each epoch, and a line of its values, on standard error."""

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self.epochs = (self.params or {}).get("epochs")
        self.started = time.monotonic()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        from tqdm.auto import tqdm

        self.bar = tqdm(
            total=(self.params or {}).get("steps"),
            desc=f"epoch {epoch + 1}/{self.epochs}",
            unit="batch",
            leave=False,
            delay=1.0,
        )

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self.bar.update(1)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.bar.close()
        values = "  ".join(f"{name} {float(value):.4g}" for name, value in (logs or {}).items())
        elapsed = time.monotonic() - self.started
        self.bar.write(
            f"epoch {epoch + 1}/{self.epochs}  {elapsed:.0f} s  {values}", file=sys.stderr
        )

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        if hasattr(self, "bar"):
            self.bar.close()
