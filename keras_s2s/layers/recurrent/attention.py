"""Attention of a recurrent decoder over the encoder's outputs.

There are four scores. In all of them keys are projected once per source, queries are scored against
them, and the context is the weighted mean of the values. A further score is a subclass of
`Attention` and a line in `SCORES`, by which the decoder (`decoder.py`) finds what its configuration
names (`config/parts/recurrent.py`); CONTRIBUTING.md adds one.

The attention of Transformers is in `layers/transformer/multi_head_attention.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_s2s.config import AttentionConfig
from keras_s2s.layers.base import ExplicitMaskLayer
from keras_s2s.layers.masks import masked_softmax
from keras_s2s.typing import Tensor


class Attention(ExplicitMaskLayer):
    """Base class of attention: a subclass projects keys and scores queries."""

    def project_keys(self, values: Tensor) -> Tensor:
        """Projects values to keys, once per source: `[B, S, D]` -> `[B, S, U]`."""
        return values

    def score(self, query: Tensor, keys: Tensor) -> Tensor:
        """Computes the scores `[B, T, S]` of `query [B, T, Dq]` against projected `keys [B, S,
        U]`.
        """
        raise NotImplementedError(f"{type(self).__name__} must define score()")

    def call(
        self, query: Tensor, values: Tensor, keys: Tensor | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """Computes the context and the attention weights of queries.

        Args:
            query: float tensor `[B, T, Dq]`; T counts target positions, or beams of a step.
            values: float tensor `[B, S, D]`.
            keys: `project_keys(values)`, where the caller has kept it.
            mask: bool tensor `[B, S]`, True = attend.

        Returns:
            `(context [B, T, D], weights [B, T, S])`.
        """
        if keys is None:
            keys = self.project_keys(values)
        scores = self.score(query, keys)
        weights = masked_softmax(scores, None if mask is None else mask[:, None, :])
        return ops.matmul(weights, values), weights

    def compute_output_shape(self, query_shape: Any, values_shape: Any) -> Any:
        context = (*query_shape[:-1], values_shape[-1])
        return context, (*query_shape[:-1], values_shape[1])


@keras.saving.register_keras_serializable("keras_s2s")
class AdditiveAttention(Attention):
    """Additive attention, `v . tanh(W_q q + W_k k + b)` [Bahdanau 2015, A.1.2].

    Args:
        units: width U of the hidden layer that compares query and key.
        use_bias: the `b` above.
    """

    def __init__(self, *, units: int, use_bias: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.use_bias = use_bias
        self.query_dense = keras.layers.Dense(units, use_bias=False, name="query")
        self.key_dense = keras.layers.Dense(units, use_bias=use_bias, name="key")
        self.score_dense = keras.layers.Dense(1, use_bias=False, name="score")

    def build(self, query_shape: Any, values_shape: Any) -> None:
        self.query_dense.build(query_shape)
        self.key_dense.build(values_shape)
        self.score_dense.build((None, None, None, self.units))

    def project_keys(self, values: Tensor) -> Tensor:
        return self.key_dense(values)

    def score(self, query: Tensor, keys: Tensor) -> Tensor:
        # [B, T, 1, U] + [B, 1, S, U] -> [B, T, S, U]
        hidden = ops.tanh(self.query_dense(query)[:, :, None] + keys[:, None])
        return ops.squeeze(self.score_dense(hidden), axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units, "use_bias": self.use_bias}


@keras.saving.register_keras_serializable("keras_s2s")
class ConcatAttention(AdditiveAttention):
    """Concat attention, `v . tanh(W [q; k])` [Luong 2015, eq. 8].

    `W [q; k] = W_q q + W_k k`: the two halves of W are multiplied apart, which gives the same
    numbers without forming the `[B, T, S, 2D]` tensor of all concatenations.

    Args:
        units: rows U of W.
    """

    def __init__(self, *, units: int, use_bias: bool = False, **kwargs: Any) -> None:
        super().__init__(units=units, use_bias=use_bias, **kwargs)


@keras.saving.register_keras_serializable("keras_s2s")
class DotAttention(Attention):
    """Dot-product attention, `q . k` [Luong 2015, eq. 8]; query and values have the same width."""

    def build(self, query_shape: Any, values_shape: Any) -> None:
        if query_shape[-1] != values_shape[-1]:
            raise ValueError(
                f"dot attention needs queries and values of one width, but the decoder has "
                f"{query_shape[-1]} and the encoder {values_shape[-1]}; use general (bilinear) "
                "attention, or make decoder.hidden_dim equal the encoder's output width (twice "
                "its hidden_dim where it is bidirectional)"
            )

    def score(self, query: Tensor, keys: Tensor) -> Tensor:
        return ops.matmul(query, ops.swapaxes(keys, 1, 2))


@keras.saving.register_keras_serializable("keras_s2s")
class BilinearAttention(Attention):
    """Bilinear attention, `q . W k`, called general by its authors [Luong 2015, eq. 8]."""

    def build(self, query_shape: Any, values_shape: Any) -> None:
        self.key_dense = keras.layers.Dense(query_shape[-1], use_bias=False, name="key")
        self.key_dense.build(values_shape)

    def project_keys(self, values: Tensor) -> Tensor:
        return self.key_dense(values)

    def score(self, query: Tensor, keys: Tensor) -> Tensor:
        return ops.matmul(query, ops.swapaxes(keys, 1, 2))


#: Score that a configuration names -> its layer, made with the width of its hidden layer, if any.
SCORES: dict[str, Callable[[int], Attention]] = {
    "additive": lambda units: AdditiveAttention(units=units, name="attention"),
    "concat": lambda units: ConcatAttention(units=units, name="attention"),
    "dot": lambda units: DotAttention(name="attention"),
    "general": lambda units: BilinearAttention(name="attention"),
}


def make_attention(config: AttentionConfig, hidden_dim: int) -> Attention:
    """Returns the attention layer that a configuration names.

    Args:
        config: of the attention.
        hidden_dim: of the decoder; the width of a score's hidden layer where `units` is not set.
    """
    return SCORES[config.score](config.units or hidden_dim)
