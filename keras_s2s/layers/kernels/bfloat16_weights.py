"""Multiplies in bfloat16, on PyTorch on the CPU.

A matrix is rounded and packed by oneDNN once. The inputs of a product are rounded each time; its
sums are added up in float32, and rounded. Biases and activations, attention, normalisation, softmax
and residual sums stay in float32.
"""

from __future__ import annotations

from typing import Any

from keras_s2s.layers.kernels.prepared_weights import PreparedWeights, activate_in_place
from keras_s2s.typing import Tensor


class BFloat16Weights(PreparedWeights):
    """Prepared copies of a network's matrices in bfloat16; see `PreparedWeights`.

    What is not packed there (layers with an adapter, recurrent cells) is computed in float32.
    """

    def pack(self, matrix: Tensor) -> Any:
        return super().pack(matrix.bfloat16())

    def product(self, x: Tensor, packed: Any, bias: Tensor, activation: str | None) -> Tensor:
        y = super().product(x.bfloat16(), packed, None, None).float()
        if bias is not None:
            y += bias
        return activate_in_place(y, activation)
