"""Multiplies with weights and activations rounded to 8 bits, on PyTorch on the CPU.

A matrix is rounded once: each output channel (a row of `[N, D]`) has its own scale. Activations are
rounded at each product, every row by its own largest magnitude, so that a row never depends on the
rows beside it. Integers are multiplied and added up exactly, by FBGEMM; all else (attention,
normalisation, softmax, sums) stays in float32.

Source: Bhandare et al. 2019, "Efficient 8-Bit Quantization of Transformer Neural Machine Language
Translation Model".
"""

from __future__ import annotations

import warnings
from typing import Any

from keras_s2s.layers.kernels.prepared_weights import PreparedWeights, activate_in_place
from keras_s2s.typing import Tensor

#: The largest magnitude of a rounded number; -128 is not used.
LEVELS = 127

#: The unsigned integer that stands for 0.
ZERO = 128

#: In the place of the largest magnitude of a row of zeros: the least normal float32.
LEAST = 2.0**-126


class Int8Weights(PreparedWeights):
    """Prepared copies of a network's matrices in int8; see `PreparedWeights`.

    What is not packed there (layers with an adapter, recurrent cells) is computed in float32.
    """

    def pack(self, matrix: Tensor) -> Any:
        import torch

        scales = matrix.abs().amax(1).clamp_min_(LEAST) / LEVELS  # [N]
        rounded = torch.round(matrix / scales[:, None]).to(torch.int8)
        zeros = torch.zeros(len(scales), dtype=torch.int64)
        with warnings.catch_warnings():
            # PyTorch 2.13 announces that this type of tensor will go; a later PyTorch, whose
            # bindings may change as well, is not installed (see pyproject.toml).
            warnings.filterwarnings("ignore", message="torch.quantize_per_tensor")
            quantised = torch._make_per_channel_quantized_tensor(rounded, scales.double(), zeros, 0)
            return torch.ops.quantized.linear_prepack(quantised, None)

    def product(self, x: Tensor, packed: Any, bias: Tensor, activation: str | None) -> Tensor:
        import torch

        # A row with NaN or infinity has such a magnitude, and by it such a result.
        magnitudes = x.abs().amax(-1, keepdim=True).clamp_min_(LEAST)  # [..., 1]
        # It rounds what lies between -1 and 1 in the same way whatever it is: no row is looked at.
        y = torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32.default(
            x / magnitudes, 1 / LEVELS, ZERO, packed
        )
        # In place: a new tensor costs more than what is computed (the first touch of its memory).
        if bias is None:
            y.mul_(magnitudes)
        else:
            torch.addcmul(bias, y, magnitudes, out=y)
        return activate_in_place(y, activation)
