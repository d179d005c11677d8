"""Recurrent encoder: a stack of GRU, LSTM or simple RNN layers over the source."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_s2s.config import RecurrentEncoderConfig
from keras_s2s.layers.contracts import Encoder
from keras_s2s.layers.kernels import operations as kernels
from keras_s2s.layers.recurrent.cells import STATES, recurrent_layer
from keras_s2s.layers.state import Memory
from keras_s2s.typing import Tensor


@keras.saving.register_keras_serializable("keras_s2s")
class RecurrentEncoder(Encoder):
    """A recurrent encoder, in one direction or both.

    Args:
        config: a `RecurrentEncoderConfig`, or the mapping it is made of.

    Example:
        >>> encoder = RecurrentEncoder(
        ...     {"type": "recurrent", "cell": "gru", "hidden_dim": 8, "bidirectional": True})
        >>> memory = encoder(keras.random.normal((2, 5, 4)), mask=keras.ops.ones((2, 5), "bool"))
        >>> memory.values.shape, memory.final_state[0][0].shape
        ((2, 5, 16), (2, 16))
    """

    def __init__(self, config: RecurrentEncoderConfig | dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.config = RecurrentEncoderConfig.model_validate(config)
        self.rnns = []
        for i in range(self.config.num_layers):
            layer = recurrent_layer(self.config, name=f"layer_{i}")
            if self.config.bidirectional:
                layer = keras.layers.Bidirectional(layer, name=f"layer_{i}")
            self.rnns.append(layer)
        self.dropout = keras.layers.Dropout(self.config.dropout, name="dropout")

    @property
    def output_dim(self) -> int:
        """Width of the outputs, both directions counted."""
        return self.config.hidden_dim * (2 if self.config.bidirectional else 1)

    def build(self, tokens_shape: Any) -> None:
        shape = tokens_shape
        for layer in self.rnns:
            layer.build(shape)
            shape = (*tokens_shape[:-1], self.output_dim)

    def call(self, tokens: Tensor, mask: Tensor, training: bool | None = None) -> Memory:
        """Encodes token vectors.

        Args:
            tokens: token vectors, float tensor `[B, S, E]`.
            mask: bool tensor `[B, S]`, True at real positions; rows are right-padded.

        Returns:
            `Memory`: values `[B, S, output_dim]`, the mask, and the state after each row's last
            real token (layer by layer; both directions concatenated).
        """
        x = tokens
        final_state = []
        for layer in self.rnns:
            x, *states = layer(x, mask=mask, training=training)
            if self.config.bidirectional:
                half = len(states) // 2
                states = [
                    ops.concatenate([forward, backward], axis=-1)
                    for forward, backward in zip(states[:half], states[half:], strict=True)
                ]
            final_state.append(states)
            x = kernels.dropout(self.dropout, x, training)
        return Memory(x, mask, final_state)

    def compute_output_spec(
        self, tokens: Tensor, mask: Tensor, training: bool | None = None
    ) -> Memory:
        state = (tokens.shape[0], self.output_dim)
        values = keras.KerasTensor((*tokens.shape[:-1], self.output_dim), dtype=self.compute_dtype)
        final_state = [
            [keras.KerasTensor(state, dtype=self.compute_dtype)] * STATES[self.config.cell]
            for _ in self.rnns
        ]
        return Memory(
            values,
            keras.KerasTensor(mask.shape, dtype="bool"),
            keras.tree.map_structure(
                lambda t: keras.KerasTensor(t.shape, dtype=t.dtype), final_state
            ),
        )

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "config": self.config.model_dump()}
