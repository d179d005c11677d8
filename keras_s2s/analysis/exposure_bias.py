"""Measures exposure bias: how much worse a decoder predicts after its own outputs than after true
ids.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from keras_s2s.data.batches import Batches
from keras_s2s.data.checks.model_limits import ModelLimits
from keras_s2s.decoding.forced_scoring import make_pass
from keras_s2s.training.losses.loss import token_cross_entropy
from keras_s2s.training.scheduled_sampling import no_teacher_forcing

if TYPE_CHECKING:
    from keras_s2s.model import Seq2SeqLM

#: The model input that differs between the two ways.
_INPUT = "decoder_token_ids"


@dataclass(frozen=True, eq=False)
class TargetStatistics:
    """Loss and accuracy by position of the target, the first label at 0.

    Attributes:
        loss: mean cross-entropy in nats, float64 `[T]`.
        accuracy: share of labels that are the likeliest id, float64 `[T]`.
        tokens: how many labels stand at each position, int64 `[T]`.
    """

    loss: np.ndarray
    accuracy: np.ndarray
    tokens: np.ndarray

    @property
    def mean_loss(self) -> float:
        """The mean over all labels, in nats."""
        return float(np.average(self.loss, weights=self.tokens))

    @property
    def mean_accuracy(self) -> float:
        """The mean over all labels."""
        return float(np.average(self.accuracy, weights=self.tokens))

    def __repr__(self) -> str:
        """Returns the means in a line."""
        return f"loss {self.mean_loss:.4f}, token accuracy {self.mean_accuracy:.2%}"


@dataclass(frozen=True, eq=False)
class ExposureBias:
    """Statistics of the same labels after true ids and after the model's own outputs.

    Attributes:
        teacher_forced: the decoder reads true ids.
        own_outputs: it reads the likeliest ids, its own, up to the length of the true target.
    """

    teacher_forced: TargetStatistics
    own_outputs: TargetStatistics

    @property
    def loss_gap(self) -> float:
        """How much greater the mean loss after own outputs is, in nats."""
        return self.own_outputs.mean_loss - self.teacher_forced.mean_loss

    def summary(self) -> dict[str, float]:
        """Returns the means by name: `loss_teacher_forced`, `token_accuracy_teacher_forced`,
        `loss_own_outputs`, `token_accuracy_own_outputs`.
        """
        ways = {"teacher_forced": self.teacher_forced, "own_outputs": self.own_outputs}
        return {
            f"{name}_{way}": getattr(statistics, value)
            for way, statistics in ways.items()
            for name, value in (("loss", "mean_loss"), ("token_accuracy", "mean_accuracy"))
        }

    def __repr__(self) -> str:
        """Returns both means and what they are means of."""
        tokens = self.teacher_forced.tokens
        return (
            f"ExposureBias(teacher forced: {self.teacher_forced!r}; own outputs: "
            f"{self.own_outputs!r}; {int(tokens.sum()):,} tokens at {len(tokens)} positions)"
        )


def exposure_bias(
    model: Seq2SeqLM, pairs: Iterable[Any] | Batches, *, batch_size: int = 64
) -> ExposureBias:
    """Measures loss and token accuracy of targets under teacher forcing and after own outputs.

    After own outputs the decoder reads the likeliest id at each step, as in greedy search, up to
    the length of the true target; the label of a position stays the true one. Where an output is
    right but one position late, all labels after it count as wrong: the numbers compare models and
    positions, and are no measure of the texts.

    Args:
        model: a `Seq2SeqLM`.
        pairs: of source and target, as `data.Batches` takes them; or batches, whose rows are
            weighted as they say.
        batch_size: pairs measured at a time; results do not depend on it.

    Raises:
        ValueError: there are no labels to measure, or rows that are too long for the model.

    Example:
        >>> bias = exposure_bias(model, pairs)  # that it knows by heart
        >>> round(bias.loss_gap, 2)
        0.0
    """
    if not isinstance(pairs, Batches):
        pairs = Batches(
            pairs,
            model.preprocessor,
            special_ids=None if model.preprocessor is not None else model.special_ids,
            frontend=model.network.frontend,
            batch_size=batch_size,
            num_buckets=4,
            shuffle=False,
        )
    pairs.check_limits(ModelLimits.of(model.preset.architecture, model.network.frontend), "pairs")
    totals: dict[str, np.ndarray] = {}
    with model._turns:
        if keras.backend.backend() == "jax":
            model.jax_state_sync()  # while it trains, JAX keeps the weights elsewhere
        run = make_pass(_pass_of(model), model.network.frontend, model.weights)
        for number in range(len(pairs)):
            x, labels, weights = pairs[number]
            for name, values in run({**x, "labels": labels}).items():
                _add(totals, name, (values * weights).sum(axis=0, dtype="float64"))
            _add(totals, "tokens", weights.sum(axis=0, dtype="float64"))
    tokens = totals.pop("tokens", np.zeros(0))
    if not tokens.any():
        raise ValueError("no labels to measure: the pairs are empty, or all weights are 0")
    length = int(np.flatnonzero(tokens)[-1]) + 1
    counts = np.maximum(tokens[:length], 1)

    def statistics(name: str) -> TargetStatistics:
        loss, right = (totals[f"{name}_{each}"][:length] / counts for each in ("loss", "right"))
        return TargetStatistics(loss, right, tokens[:length].astype("int64"))

    return ExposureBias(statistics("forced"), statistics("own"))


def _pass_of(model: Seq2SeqLM) -> Any:
    """Returns the function of a batch that gives losses and hits `[B, T]` in both ways."""
    network, sampling = model.network, no_teacher_forcing(seed=0)

    def function(inputs: Mapping[str, Any]) -> dict[str, Any]:
        inputs, found = dict(inputs), {}
        labels = inputs.pop("labels")
        own = sampling.decoder_inputs(network, inputs, model.special_ids, 0)
        for name, ids in (("forced", inputs[_INPUT]), ("own", own)):
            logits = network.logits({**inputs, _INPUT: ids})
            right = ops.equal(ops.cast(ops.argmax(logits, axis=-1), "int32"), labels)
            found[f"{name}_loss"] = token_cross_entropy(labels, logits)
            found[f"{name}_right"] = ops.cast(right, "float32")
        return found

    return function


def _add(totals: dict[str, np.ndarray], name: str, values: np.ndarray) -> None:
    """Adds sums by position; batches differ in length."""
    before = totals.get(name, np.zeros(0))
    total = np.zeros(max(len(before), len(values)))
    total[: len(before)] += before
    total[: len(values)] += values
    totals[name] = total


def plot_exposure_bias(
    bias: ExposureBias, *, path: str | Path | None = None, axes: Any = None
) -> Any:
    """Draws loss (left) and token accuracy (right) by position of the target, in both ways.

    Args:
        bias: what `exposure_bias` measured.
        path: write the picture there, too.
        axes: two matplotlib axes to draw on; None makes a figure.

    Returns:
        the two matplotlib axes.

    Raises:
        ImportError: matplotlib is not installed.
    """
    import matplotlib.pyplot as plt

    if axes is None:
        _, axes = plt.subplots(1, 2, figsize=(10.4, 3.6), layout="constrained")
    ways = {"teacher forced": bias.teacher_forced, "own outputs": bias.own_outputs}
    for ax, value, label in zip(
        axes, ("loss", "accuracy"), ("loss (nats per token)", "token accuracy"), strict=True
    ):
        for name, statistics in ways.items():
            values = getattr(statistics, value)
            ax.plot(range(len(values)), values, marker="o", markersize=3, label=name)
        ax.set_xlabel("position of the target")
        ax.set_ylabel(label)
        ax.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        ax.grid(alpha=0.3)
        ax.legend()
    if path is not None:
        axes[0].figure.savefig(path, dpi=150)
    return axes
