"""Exact top-k and argmax by blocks, several times as fast for wide rows."""

from __future__ import annotations

from functools import lru_cache

from keras import ops

from keras_s2s.samplers.gather import gather
from keras_s2s.typing import Tensor

#: Rows narrower than this are searched as they are.
WIDE = 2048


def top_k(values: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Returns the k best values of each row and their places: `[R, k]` each, best first; equal
    ones by their places, on PyTorch in any order.

    The k best values are in the k blocks with the greatest maxima, and only these are searched.
    A plain top-k of a whole vocabulary takes XLA and TensorFlow five to ten times as long.

    Args:
        values: float `[R, V]`.
    """
    size = block_size(values.shape[-1])
    if size is None or k * size * 2 > values.shape[-1]:
        best, places = ops.top_k(values, k)
        return best, ops.cast(places, "int32")
    blocks = ops.reshape(values, (-1, values.shape[-1] // size, size))
    _, chosen = ops.top_k(ops.max(blocks, axis=-1), k)
    # In the order of their places, so that of equal values the first is found first.
    chosen = ops.sort(ops.cast(chosen, "int32"), axis=-1)
    few = ops.reshape(gather(blocks, chosen), (-1, k * size))
    best, places = ops.top_k(few, k)
    places = ops.cast(places, "int32")
    return best, gather(chosen, places // size) * size + places % size


def argmax(values: Tensor) -> Tensor:
    """Returns the place of the best value of each row, the first of equals: int32 `[R]` of `values
    [R, V]`.
    """
    size = block_size(values.shape[-1])
    if size is None:
        return ops.cast(ops.argmax(values, axis=-1), "int32")
    blocks = ops.reshape(values, (-1, values.shape[-1] // size, size))
    chosen = ops.cast(ops.argmax(ops.max(blocks, axis=-1), axis=-1), "int32")
    block = gather(blocks, chosen[:, None])[:, 0]
    return chosen * size + ops.cast(ops.argmax(block, axis=-1), "int32")


@lru_cache
def block_size(width: int | None) -> int | None:
    """Returns a divisor of `width` between 32 and 512, near 128; None where there is none, or none
    is needed, or the width is not known while a graph is traced.
    """
    if width is None or width < WIDE:
        return None
    divisors = [size for size in range(32, 513) if width % size == 0]
    return min(divisors, key=lambda size: abs(size - 128), default=None)
