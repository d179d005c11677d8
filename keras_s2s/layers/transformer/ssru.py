"""SSRU, a recurrent cell that is cheap to decode with [Kim 2019, arXiv:1909.12170, section 3.2].

    f_t = sigmoid(W_f x_t + b_f)
    c_t = f_t * c_{t-1} + (1 - f_t) * W x_t
    h_t = relu(c_t)

Nothing but an elementwise recurrence joins two positions: a decoding step needs one vector for each
row, whatever the length of the target, and training computes all positions in parallel.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_s2s.layers.base import ExplicitMaskLayer
from keras_s2s.layers.kernels import operations as kernels
from keras_s2s.typing import Tensor


@keras.saving.register_keras_serializable("keras_s2s")
class SSRU(ExplicitMaskLayer):
    """A simpler simple recurrent unit: one gate, and no matrix between two steps.

    Args:
        hidden_dim: width D of inputs and outputs.
        projection: apply a linear layer to the outputs.

    Example:
        >>> layer = SSRU(hidden_dim=8)
        >>> layer(keras.random.normal((2, 5, 8))).shape
        (2, 5, 8)
    """

    def __init__(self, *, hidden_dim: int, projection: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.hidden_dim = hidden_dim
        self.forget_dense = keras.layers.Dense(hidden_dim, name="forget")
        self.candidate_dense = keras.layers.Dense(hidden_dim, use_bias=False, name="candidate")
        self.output_dense = keras.layers.Dense(hidden_dim, name="output") if projection else None

    def build(self, x_shape: Any) -> None:
        self.forget_dense.build(x_shape)
        self.candidate_dense.build(x_shape)
        if self.output_dense is not None:
            self.output_dense.build(x_shape)

    def call(self, x: Tensor) -> Tensor:
        """Computes all positions of `x [B, T, D]` from an empty state: `[B, T, D]`."""
        return self._output(linear_recurrence(*self._gated(x)))

    def step(self, x: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        """Advances every row by one position.

        Args:
            x: float tensor `[..., D]`.
            cell: what the last step returned, of the same shape; zeros before the first.

        Returns:
            `(output, cell)`.
        """
        forget, candidate = self._gated(x)
        cell = forget * cell + candidate
        return self._output(cell), cell

    def _gated(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Returns how much of the cell is kept, and what is added to it."""
        forget = ops.sigmoid(kernels.linear(self.forget_dense, x))
        return forget, (1 - forget) * kernels.linear(self.candidate_dense, x)

    def _output(self, cell: Tensor) -> Tensor:
        hidden = ops.relu(cell)
        return hidden if self.output_dense is None else kernels.linear(self.output_dense, hidden)

    def compute_output_shape(self, x_shape: Any) -> Any:
        return x_shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "hidden_dim": self.hidden_dim,
            "projection": self.output_dense is not None,
        }


def linear_recurrence(keep: Tensor, add: Tensor) -> Tensor:
    """Computes `c_t = keep_t * c_{t-1} + add_t` from `c_{-1} = 0`, along axis 1.

    An associative scan by doubling [Hillis 1986]: after round k each position has the sum over the
    last 2^k positions, so that the rounds grow with the logarithm of the length.

    Args:
        keep, add: float tensors `[B, T, D]`.

    Returns:
        every `c_t`, `[B, T, D]`.
    """
    length = ops.shape(add)[1]
    places = ops.arange(length, dtype="int32")

    def one_round(shift: Tensor, keep: Tensor, add: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        there = ops.cast(places >= shift, add.dtype)[None, :, None]
        before = ops.maximum(places - shift, 0)
        earlier = ops.take(add, before, axis=1) * there
        return shift * 2, keep * ops.take(keep, before, axis=1), add + keep * earlier

    shift: Any = 1
    if isinstance(length, int):
        while shift < length:
            shift, keep, add = one_round(shift, keep, add)
        return add
    # Traced by TensorFlow, which does not know the length yet.
    return ops.while_loop(
        lambda shift, keep, add: shift < length,
        one_round,
        (ops.convert_to_tensor(1, dtype="int32"), keep, add),
    )[2]
