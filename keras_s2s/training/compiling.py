"""Completes the arguments of `compile`: loss, metrics, and whether steps are compiled."""

from __future__ import annotations

from typing import Any

import keras

from keras_s2s.config import ArchitectureConfig
from keras_s2s.training.losses.given_losses import as_token_loss
from keras_s2s.training.losses.given_metrics import as_token_metrics
from keras_s2s.training.losses.loss import TokenCrossEntropy
from keras_s2s.training.losses.metrics import Perplexity, TokenAccuracy

#: Why a model with recurrent layers is not compiled for training, by backend.
_LOOPS_NOT_COMPILED = {
    "tensorflow": "XLA on TensorFlow cannot differentiate the loop of a recurrent layer, whose "
    "length is unknown",
    "torch": "PyTorch compiles each step of the loop of a recurrent layer, for minutes, and anew "
    "for each length",
}


def compile_arguments(
    architecture: ArchitectureConfig,
    *,
    loss: Any,
    label_smoothing: float,
    metrics: Any,
    weighted_metrics: Any,
    jit_compile: bool | str,
) -> dict[str, Any]:
    """Returns arguments of `keras.Model.compile` in which means are over real tokens.

    Args:
        architecture: tells whether the network has recurrent layers.
        loss: "auto" is `TokenCrossEntropy`.
        label_smoothing: of the default loss.
        metrics: further metrics.
        weighted_metrics: "auto" is token accuracy and perplexity.
        jit_compile: "auto" is True on JAX only.

    Raises:
        ValueError: a loss or a metric that takes logits for probabilities, or sums over a
            batch; `jit_compile=True` for recurrent layers, but on JAX.

    Example:
        >>> found = compile_arguments(model.preset.architecture, loss="auto", label_smoothing=0.1,
        ...     metrics=None, weighted_metrics="auto", jit_compile="auto")
        >>> sorted(found)
        ['jit_compile', 'loss', 'weighted_metrics']
    """
    jit_compile = _jit_compile(architecture, jit_compile)
    if isinstance(loss, str) and loss == "auto":
        loss = TokenCrossEntropy(label_smoothing)
    elif label_smoothing:
        raise ValueError("label_smoothing belongs to the default loss; set it in yours")
    if isinstance(weighted_metrics, str) and weighted_metrics == "auto":
        weighted_metrics = [TokenAccuracy(), Perplexity()]
    # Keras would measure `metrics` over padding, too.
    every = [*_listed(as_token_metrics(weighted_metrics)), *_listed(as_token_metrics(metrics))]
    return {"loss": as_token_loss(loss), "weighted_metrics": every, "jit_compile": jit_compile}


def _jit_compile(architecture: ArchitectureConfig, asked: bool | str) -> bool | str:
    backend = keras.backend.backend()
    if asked == "auto":
        return bool(backend == "jax")
    loops = "recurrent" in (architecture.encoder.type, architecture.decoder.type)
    if asked and loops and (cause := _LOOPS_NOT_COMPILED.get(backend)):
        raise ValueError(
            f'jit_compile=True: {cause}; leave jit_compile out ("auto"), or train on JAX '
            "(KERAS_BACKEND=jax), where it is compiled"
        )
    return asked


def _listed(metrics: Any) -> list[Any]:
    return [] if metrics is None else keras.tree.flatten(metrics)
