"""Keeps sums and products of a Transformer that exceed float16's 65,504 in float32.

bfloat16 has float32's range and needs none of this. In float16 the residual stream grows from
layer to layer, and the second product of a feed-forward network multiplies large
activations: published T5 models exceed 65,504 in both. transformers keeps that product's weights
in float32 (`wo`), after which its residual stream is float32, too; other families clamp what is
infinite in the encoder alone, which changes the result. Here every Transformer keeps both in
float32 under a float16 policy, pure or mixed: the results are float32's, at the price of a
quarter of a layer's multiplications.
"""

from __future__ import annotations

from keras import ops

from keras_s2s.typing import Tensor


def wide_dtype(compute_dtype: str) -> str:
    """Returns the type for values that may overflow `compute_dtype`: float32 in place of float16.

    Example:
        >>> wide_dtype("float16"), wide_dtype("bfloat16")
        ('float32', 'bfloat16')
    """
    return "float32" if compute_dtype == "float16" else compute_dtype


def own_dtype(compute_dtype: str) -> str | None:
    """Returns the policy of a layer that computes in the wide type, or None."""
    return "float32" if compute_dtype == "float16" else None


def widened(x: Tensor, compute_dtype: str) -> Tensor:
    """Casts `x` to `wide_dtype(compute_dtype)`; unchanged where no wider type is needed."""
    return ops.cast(x, "float32") if compute_dtype == "float16" else x


def narrowed(x: Tensor, compute_dtype: str) -> Tensor:
    """Casts `x` back to the compute dtype, for the next product."""
    return ops.cast(x, "float16") if compute_dtype == "float16" else x
