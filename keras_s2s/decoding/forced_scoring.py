"""Computes log-probabilities of given target sequences, in one teacher-forced pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_s2s.decoding.drivers.jax_driver import jax_compiled
from keras_s2s.decoding.drivers.tensorflow_driver import Graph, source_specs
from keras_s2s.layers.contracts import Frontend
from keras_s2s.layers.kernels import operations
from keras_s2s.layers.kernels.operations import Kernels
from keras_s2s.samplers.log_probabilities import log_probabilities_at


def forced_pass(moves: Any, inputs: Mapping[str, Any], want_attention: bool) -> dict[str, Any]:
    """Returns the log-probability of each label and, if asked for, the attention to the source.

    Args:
        moves: a network, of which `logits` and `logits_and_attention` are called.
        inputs: the four model inputs, and `labels` int32 `[B, T]`.
        want_attention: also return the attention.

    Returns:
        `log_probs` float32 `[B, T]`, zero at padding; `finite` bool `[B]`, whether all logits
        are finite there; and, where asked for and there is one, `attention` float32 `[B, T, S]`.
    """
    attention = None
    if want_attention:
        logits, attention = moves.logits_and_attention(inputs)
    else:
        logits = moves.logits(inputs)
    logits = ops.cast(logits, "float32")
    labels, real = inputs["labels"], inputs["decoder_padding_mask"]
    chosen = log_probabilities_at(
        ops.reshape(logits, (-1, logits.shape[-1])), ops.reshape(labels, (-1, 1))
    )
    chosen = ops.reshape(chosen, ops.shape(labels))
    finite = ops.isfinite(ops.sum(logits, axis=-1))
    result = {
        "log_probs": ops.where(real, chosen, ops.zeros_like(chosen)),
        "finite": ops.all(ops.logical_or(finite, ops.logical_not(real)), axis=1),
    }
    if attention is not None:
        result["attention"] = ops.cast(attention, "float32")
    return result


@dataclass(frozen=True)
class Forced:
    """A pass over given targets, compiled where the backend compiles; it returns NumPy arrays."""

    run: Callable[[Mapping[str, Any]], dict[str, Any]]
    programs: Callable[[], int]

    def __call__(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        return self.run(inputs)

    @property
    def compilations(self) -> int:
        """Programs compiled or traced so far."""
        return self.programs()


def make_forced(
    moves: Any, variables: list[Any], want_attention: bool, kernels: Kernels | None = None
) -> Forced:
    """Returns `forced_pass` as the running backend runs it.

    Args:
        kernels: what the operations are computed with; None for Keras' own.
    """

    def function(inputs: Mapping[str, Any]) -> dict[str, Any]:
        with operations.use(kernels or Kernels()):
            return forced_pass(moves, inputs, want_attention)

    return make_pass(function, moves.frontend, variables)


def make_pass(
    function: Callable[[Mapping[str, Any]], dict[str, Any]],
    frontend: Frontend,
    variables: list[Any],
) -> Forced:
    """Returns a function of given targets as the running backend runs it, without gradients.

    Args:
        function: takes the four model inputs and `labels` int32 `[B, T]`, and returns tensors.
        frontend: of the network.
        variables: that the function reads.
    """
    backend = keras.backend.backend()
    run: Any
    if backend == "jax":
        run = jax_compiled(function, variables)
        count = run.programs
    elif backend == "tensorflow":
        import tensorflow as tf

        ids, mask = tf.TensorSpec([None, None], tf.int32), tf.TensorSpec([None, None], tf.bool)
        run = Graph(
            function,
            {
                **source_specs(frontend),
                "decoder_token_ids": ids,
                "decoder_padding_mask": mask,
                "labels": ids,
            },
        )

        def count() -> int:
            return int(run.traced)

    else:
        import torch

        run = torch.inference_mode()(function)

        def count() -> int:
            return 0

    def to_numpy(inputs: Mapping[str, Any]) -> dict[str, Any]:
        tensors = {name: ops.convert_to_tensor(value) for name, value in inputs.items()}
        return {
            name: np.asarray(ops.convert_to_numpy(value)) for name, value in run(tensors).items()
        }

    return Forced(to_numpy, count)
