"""Callbacks for `fit`: generation metrics, saving the best model, a time limit, progress."""

from __future__ import annotations

import logging
import math
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import keras

from keras_s2s.text.data_frames import pairs_of
from keras_s2s.text_metrics.corpus_metrics import TextMetrics, check_metrics, first_hypotheses
from keras_s2s.text_metrics.target_language import target_language

logger = logging.getLogger(__name__)


class GenerationMetrics(keras.callbacks.Callback):
    """Generates from held-out sources after each epoch and measures the texts.

    The values appear in the logs as `val_bleu`, `val_chrf`, `val_rouge1`, ..., so that other
    callbacks can watch them, and how they were measured in `signatures`. Unlike
    teacher-forced accuracy, they measure generation itself.

    Args:
        pairs: (source, target) texts.
        metrics: out of "bleu", "chrf", "rouge", "exact_match", "korquad" and "squad".
        every: measure after each `every`-th epoch.
        limit: use the first `limit` pairs only.
        bleu_tokenize: one of sacreBLEU's tokenizers, instead of the target language's.
        tgt_lang: language to generate in, or one for each pair. For a model of one language it
            only chooses the tokenizers of BLEU and ROUGE.
        **generation_options: to `generate`, e.g. `num_beams=4`. Lists with one value for each
            pair (languages, prefixes, seeds) are cut to `limit` as the pairs are.

    Raises:
        ValueError: an argument that cannot be used; among others, a tokenizer that would have to
            be downloaded.
        ImportError: a metric needs a package that is not installed.

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
        bleu_tokenize: str | None = None,
        tgt_lang: str | Sequence[str | None] | None = None,
        **generation_options: Any,
    ) -> None:
        super().__init__()
        check_metrics(metrics, bleu_tokenize=bleu_tokenize)
        if every < 1:
            raise ValueError(f"every={every} must be at least 1")
        for name, useful in (("num_return_sequences", (None, 1)), ("return_output", (None, False))):
            if generation_options.get(name) not in useful:
                raise ValueError(
                    f"GenerationMetrics compares one text with one reference; drop {name}="
                    f"{generation_options[name]!r}"
                )
        self.pairs = list(pairs_of(pairs))[:limit]
        given = {**generation_options, "tgt_lang": tgt_lang}
        for name in ("src_lang", "tgt_lang", "decoder_prefix", "seed"):
            values = given.get(name)
            if isinstance(values, list | tuple):
                given[name] = values[:limit]
                if len(given[name]) != len(self.pairs):
                    raise ValueError(
                        f"{name} has {len(values)} values for {len(self.pairs)} pairs; give one "
                        "for each pair"
                    )
        tgt_lang, generation_options = given.pop("tgt_lang"), given
        if not self.pairs:
            raise ValueError("GenerationMetrics needs at least one pair")
        self.metrics = tuple(metrics)
        self.every = every
        self.bleu_tokenize = bleu_tokenize
        if tgt_lang is not None and not isinstance(tgt_lang, str):
            tgt_lang = list(tgt_lang)[:limit]
        self.tgt_lang = tgt_lang
        self.generation_options = generation_options
        self.signatures: dict[str, str] = {}
        self._measured: TextMetrics | None = None

    def set_model(self, model: Any) -> None:
        super().set_model(model)
        self._measured = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._metrics()  # what cannot be measured is refused before the first step

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if (epoch + 1) % self.every:
            return
        options = dict(self.generation_options)
        preprocessor = self.model.preprocessor
        if preprocessor is not None and preprocessor.special_ids.languages is not None:
            options["tgt_lang"] = self.tgt_lang
        hypotheses = self.model.generate([source for source, _ in self.pairs], **options)
        measured = self._metrics().measure(first_hypotheses(hypotheses))
        if logs is not None:
            logs.update({f"val_{name}": value for name, value in measured.items()})

    @property
    def logged_signatures(self) -> dict[str, str]:
        """The signatures by the names of the logged values: `val_bleu_signature`, ..."""
        return {f"val_{name}": signature for name, signature in self.signatures.items()}

    def _metrics(self) -> TextMetrics:
        """Returns the metrics in the model's language, and logs once how they are measured."""
        if self._measured is None:
            self._measured = TextMetrics(
                self.metrics,
                [target for _, target in self.pairs],
                tgt_lang=self.tgt_lang or target_language(self.model.preprocessor),
                bleu_tokenize=self.bleu_tokenize,
            )
            self.signatures = dict(self._measured.signatures)
            for name, signature in self.signatures.items():
                line = f"{name}: {signature}"
                logger.info("%s", line)
                if (self.params or {}).get("verbose"):
                    # Beside Keras' own bar, where no logging is configured.
                    print(f"\n{line}", file=sys.stderr)
        return self._measured


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


class Patience(keras.callbacks.Callback):
    """Ends training after so many epochs in which the watched value was not better.

    Args:
        keeper: saves the best epoch, and stands before this callback.
        epochs: without a better value.
    """

    def __init__(self, keeper: SaveBest, epochs: int) -> None:
        super().__init__()
        self.keeper = keeper
        self.epochs = epochs

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        best = -1 if self.keeper.best_epoch is None else self.keeper.best_epoch
        if epoch - best >= self.epochs:
            logger.info(
                "epoch %d: %s was not better for %d epochs",
                epoch + 1,
                self.keeper.monitor,
                epoch - best,
            )
            self.model.stop_training = True


class TimeLimit(keras.callbacks.Callback):
    """Ends training after the epoch in which a time is reached.

    Args:
        minutes: counted from the beginning of `fit`.
        started: the value of `time.monotonic()` that they are counted from instead.
    """

    def __init__(self, minutes: float, started: float | None = None) -> None:
        super().__init__()
        self.minutes = minutes
        self._given = started
        self.started = 0.0 if started is None else started

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        if self._given is None:
            self.started = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if time.monotonic() - self.started >= 60 * self.minutes:
            self.model.stop_training = True


class ProgressBar(keras.callbacks.Callback):
    """Shows a bar for each epoch, and then a line of its values, on standard error.

    Args:
        epochs: of the whole training; None: of this `fit`.
        first_epoch: the epoch in which this training goes on, from 0 on.
        first_step: steps of that epoch that were done before.
        seconds: of training before.
    """

    def __init__(
        self,
        epochs: int | None = None,
        *,
        first_epoch: int = 0,
        first_step: int = 0,
        seconds: float = 0.0,
    ) -> None:
        super().__init__()
        self._given = epochs
        self.epochs = epochs
        self.started = time.monotonic() - seconds
        self._done = {first_epoch: first_step}
        self._has_compiled = False

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        if self._given is None:
            self.epochs = (self.params or {}).get("epochs")
            self.started = time.monotonic()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.epoch = epoch
        self.bar = self._bar(0)
        self.compiling = compiles() and not self._has_compiled
        if self.compiling:
            self.bar.set_description_str(f"epoch {epoch + 1}/{self.epochs}, compiling")

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if not self.compiling:
            self.bar.update(1)
            return
        # From here on the clock tells how long steps take.
        self.compiling, self._has_compiled = False, True
        self.bar.close()
        self.bar = self._bar(1)

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

    def _bar(self, steps: int) -> Any:
        """Returns a bar that stands at a step of this `fit` in the current epoch."""
        # Not `tqdm.auto`, which warns in a notebook without ipywidgets.
        from tqdm import tqdm

        done = self._done.get(self.epoch, 0)
        total = (self.params or {}).get("steps")
        return tqdm(
            total=None if total is None else done + total,
            desc=f"epoch {self.epoch + 1}/{self.epochs}",
            unit="batch",
            leave=False,
            delay=1.0,
            initial=done + steps,
        )


class CompilingMessage(keras.callbacks.Callback):
    """Prints on standard error that the first step is being compiled, which takes time."""

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        if compiles():
            each = ", and of each further batch shape" if keras.backend.backend() == "jax" else ""
            print(
                f"compiling the training step: the first batch{each} takes longer than others",
                file=sys.stderr,
            )


def compiles() -> bool:
    """Returns whether the backend traces or compiles a step when it runs for the first time."""
    return keras.backend.backend() != "torch"
