"""Dense layers with the layer normalisations that recurrent networks of Marian and Nematus have."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_s2s.layers.base import ExplicitMaskLayer
from keras_s2s.typing import Tensor

#: Added to variances: by Marian, and as Nematus has it.
EPSILONS = {"scale": 1e-9, "nematus": 1e-5}


def normalised(x: Tensor, scale: Tensor, offset: Tensor | None, norm: str) -> Tensor:
    """Normalises the last axis of `x`; `offset` may be None."""
    centred = x - ops.mean(x, axis=-1, keepdims=True)
    variance = ops.mean(ops.square(centred), axis=-1, keepdims=True)
    x = centred / ops.sqrt(variance + EPSILONS[norm]) * scale
    return x if offset is None else x + offset


@keras.saving.register_keras_serializable("keras_s2s")
class NormedDense(ExplicitMaskLayer):
    """A linear layer `x W + b`, without normalisation, or with one of two.

    - `scale`: `LN(x W) * gamma + b`;
    - `nematus`: `LN(x W + b) * gamma + beta`.

    Args:
        units: width of the outputs.
        norm: none, scale or nematus.
        use_bias: the `b` above.

    Example:
        >>> NormedDense(3, norm="scale")(keras.random.normal((2, 4))).shape
        (2, 3)
    """

    def __init__(
        self, units: int, *, norm: str = "none", use_bias: bool = True, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.norm = norm
        self.use_bias = use_bias

    def build(self, x_shape: Any) -> None:
        self.kernel = self.add_weight(
            name="kernel", shape=(x_shape[-1], self.units), initializer="glorot_uniform"
        )
        self.bias, self.gamma, self.beta = None, None, None
        if self.use_bias:
            self.bias = self.add_weight(name="bias", shape=(self.units,), initializer="zeros")
        if self.norm != "none":
            self.gamma = self.add_weight(name="gamma", shape=(self.units,), initializer="ones")
        if self.norm == "nematus":
            self.beta = self.add_weight(name="beta", shape=(self.units,), initializer="zeros")

    def call(self, x: Tensor) -> Tensor:
        x = ops.matmul(x, self.kernel)
        if self.norm == "scale":
            return normalised(x, self.gamma, self.bias, self.norm)
        if self.bias is not None:
            x = x + self.bias
        if self.norm == "nematus":
            x = normalised(x, self.gamma, self.beta, self.norm)
        return x

    def compute_output_shape(self, x_shape: Any) -> Any:
        return (*x_shape[:-1], self.units)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "units": self.units,
            "norm": self.norm,
            "use_bias": self.use_bias,
        }
