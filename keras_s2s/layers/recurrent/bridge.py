"""Bridges, which make a recurrent decoder's initial state from an encoder's final state."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_s2s.config import BridgeConfig
from keras_s2s.layers.base import ExplicitMaskLayer
from keras_s2s.layers.state import Memory
from keras_s2s.typing import Tensor


@keras.saving.register_keras_serializable("keras_s2s")
class Bridge(ExplicitMaskLayer):
    """Makes the decoder's initial state from the encoder's memory.

    - `copy`: layer by layer, as it is [Sutskever 2014]; both sides must have the same cell,
      depth and width (a bidirectional encoder counts twice its units).
    - `dense`: a projection of all final states at once, with an activation
      [Bahdanau 2015, A.2.2]; any encoder fits any decoder. An encoder without a recurrent
      state (a Transformer) gives the mean of its outputs instead. `reads` chooses fewer states:
      those of the top layer, or for each state the one of the same layer and kind.
    - `zero`: zeros; the decoder reads the source by attention only.

    Args:
        config: a `BridgeConfig`, or the mapping it is made of.
        state_sizes: for each decoder layer, the width of each of its states.

    Example:
        >>> bridge = Bridge({"type": "dense"}, state_sizes=[[16], [16]])
    """

    def __init__(
        self, config: BridgeConfig | dict[str, Any], *, state_sizes: list[list[int]], **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.config = BridgeConfig.model_validate(config)
        self.state_sizes = [list(sizes) for sizes in state_sizes]

    def build_for(self, values_shape: Any, final_state_shape: Any) -> None:
        """Creates the weights for an encoder's output and state shapes."""
        sizes = [[shape[-1] for shape in layer] for layer in final_state_shape]
        if self.config.type == "copy" and sizes != self.state_sizes:
            raise ValueError(
                f"bridge: copy needs equal states, but the encoder ends in widths {sizes} and "
                f"the decoder starts from {self.state_sizes} (one list a layer); use "
                "bridge: dense, or make cell, num_layers and hidden_dim agree (a bidirectional "
                "encoder counts twice its hidden_dim)"
            )
        if self.config.type == "dense":
            widths = self._input_widths(sizes, values_shape[-1])
            layers = len(self.state_sizes)
            made = [
                [self._projection(i, j, size) for j, size in enumerate(layer)]
                for i, layer in enumerate(self.state_sizes[: 1 if self.config.shared else layers])
            ]
            for dense, width in zip(
                keras.tree.flatten(made), keras.tree.flatten(widths[: len(made)]), strict=True
            ):
                dense.build((None, width))
            self.denses = made * layers if self.config.shared else made
        self.built = True

    def _projection(self, layer: int, state: int, size: int) -> keras.layers.Dense:
        name = f"state_{state}" if self.config.shared else f"layer_{layer}_state_{state}"
        return keras.layers.Dense(size, activation=self.config.activation, name=name)

    def _input_widths(self, sizes: list[list[int]], values_dim: int) -> list[list[int]]:
        """Returns the input width of the projection to each state of the decoder."""
        if self.config.reads == "own":
            if [len(layer) for layer in sizes] != [len(layer) for layer in self.state_sizes]:
                raise ValueError(
                    f"bridge: reads: own needs a state of the encoder for each of the decoder's, "
                    f"but the encoder ends in widths {sizes} and the decoder starts from "
                    f"{self.state_sizes} (one list a layer); use reads: all"
                )
            return sizes
        read = sizes[-1:] if self.config.reads == "top" else sizes
        # Without a recurrent state the mean of the outputs is used.
        width = sum(sum(layer) for layer in read) or values_dim
        return [[width] * len(layer) for layer in self.state_sizes]

    def call(self, memory: Memory) -> list[list[Tensor]]:
        """Makes the initial state.

        Args:
            memory: what the encoder returned.

        Returns:
            for each decoder layer a list of `[B, state size]` tensors.
        """
        if self.config.type == "copy":
            return [list(layer) for layer in memory.final_state]
        if self.config.type == "zero":
            batch = ops.shape(memory.values)[0]
            return [
                [ops.zeros((batch, size), dtype=memory.values.dtype) for size in layer]
                for layer in self.state_sizes
            ]
        if self.config.reads == "own":
            return [
                [dense(state) for dense, state in zip(denses, layer, strict=True)]
                for denses, layer in zip(self.denses, memory.final_state, strict=True)
            ]
        read = memory.final_state[-1:] if self.config.reads == "top" else memory.final_state
        final = keras.tree.flatten(read)
        summary = ops.concatenate(final, axis=-1) if final else masked_mean(memory)
        return [[dense(summary) for dense in layer] for layer in self.denses]

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "config": self.config.model_dump(),
            "state_sizes": self.state_sizes,
        }


def masked_mean(memory: Memory) -> Tensor:
    """Computes the mean of an encoder's outputs over real positions: `[B, S, D]` -> `[B, D]`."""
    mask = ops.cast(memory.mask, memory.values.dtype)[:, :, None]
    total = ops.sum(memory.values * mask, axis=1)
    return total / ops.maximum(ops.sum(mask, axis=1), ops.cast(1, total.dtype))


def context_vector(memory: Memory) -> Tensor:
    """Returns one vector that summarises the whole source [Cho 2014]: `[B, D]`.

    The top layer's final hidden state (both directions), or, where the encoder has none, the
    mean of its outputs.
    """
    return memory.final_state[-1][0] if memory.final_state else masked_mean(memory)
