"""Layers between a decoder's hidden vectors and their projection to logits (BERT's head)."""

from __future__ import annotations

from typing import Any

import keras

from keras_s2s.config import OutputTransformConfig
from keras_s2s.layers.base import ExplicitMaskLayer
from keras_s2s.layers.kernels import operations as kernels
from keras_s2s.typing import Tensor


@keras.saving.register_keras_serializable("keras_s2s")
class OutputTransform(ExplicitMaskLayer):
    """A dense layer, an activation and a normalisation, as BERT's head has them before its logits.

    Args:
        config: an `OutputTransformConfig`, or the mapping it is made of.
    """

    def __init__(self, config: OutputTransformConfig | dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.config = OutputTransformConfig.model_validate(config)
        self.norm = keras.layers.LayerNormalization(epsilon=self.config.norm_epsilon, name="norm")

    def build(self, hidden_shape: Any) -> None:
        self.dense = keras.layers.Dense(hidden_shape[-1], name="dense")
        self.dense.build(hidden_shape)
        self.norm.build(hidden_shape)

    def call(self, hidden: Tensor) -> Tensor:
        """Transforms `hidden`, `[..., D]`; the shape stays."""
        x = kernels.activated(self.config.activation, self.dense, hidden)
        return kernels.layer_norm(self.norm, x)

    def compute_output_shape(self, hidden_shape: Any) -> Any:
        return hidden_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "config": self.config.model_dump()}
