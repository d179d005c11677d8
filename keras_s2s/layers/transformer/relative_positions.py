"""Relative positions: biases of self-attention by distance [Raffel 2020, section 2.1].

A key at place k and a query at place q are k - q apart. Each distance belongs to a bucket, and a
bucket has a bias for each head, which is added to the scores. Near distances have a bucket
each; farther ones share buckets, whose widths grow with the logarithm of the distance.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_s2s.config import RelativePositionsConfig
from keras_s2s.layers.base import ExplicitMaskLayer
from keras_s2s.layers.masks import LOWEST
from keras_s2s.typing import Tensor


@lru_cache
def buckets_by_distance(num_buckets: int, max_distance: int) -> np.ndarray:
    """Returns the bucket of each distance, for one direction.

    Args:
        num_buckets: of this direction; half of them are for the nearest distances.
        max_distance: it and all that is farther share the last bucket.

    Returns:
        int32 `[max_distance + 1]`: the bucket of each distance from 0 on.

    Some distances are on the border of two buckets. They are computed here step by step in float32,
    as for the published models, so that they fall into the same bucket on every backend.
    """
    exact = num_buckets // 2
    distances = np.arange(max_distance + 1)
    ratios = np.maximum(distances, 1).astype("float32") / np.float32(exact)
    # The nearest float32 of each logarithm: libraries differ in its last bit.
    logarithms = np.log(ratios.astype("float64")).astype("float32")
    scale = np.float32(np.log(max_distance / exact))
    far = exact + (logarithms / scale * np.float32(num_buckets - exact)).astype("int32")
    return np.where(distances < exact, distances, np.minimum(far, num_buckets - 1)).astype("int32")


def buckets(distances: Tensor, config: RelativePositionsConfig, *, bidirectional: bool) -> Tensor:
    """Returns the buckets of signed distances.

    Args:
        distances: int32 tensor, place of the key minus place of the query.
        bidirectional: half of the buckets are for keys after the query; without it all are for
            keys up to the query, and later ones count as distance 0.

    Returns:
        int32 tensor like `distances`.
    """
    each = config.num_buckets // 2 if bidirectional else config.num_buckets
    table = ops.convert_to_tensor(buckets_by_distance(each, config.max_distance))
    lengths = ops.abs(distances) if bidirectional else ops.maximum(-distances, 0)
    found = ops.take(table, ops.minimum(lengths, config.max_distance), axis=0)
    return found + ops.cast(distances > 0, "int32") * each if bidirectional else found


@keras.saving.register_keras_serializable("keras_s2s")
class RelativePositions(ExplicitMaskLayer):
    """A table of biases: `embeddings [num_buckets, H]`.

    Args:
        config: a `RelativePositionsConfig`, or the mapping it is made of.
        num_heads: H, the number of heads.
        bidirectional: keys after the query have buckets of their own (an encoder's).

    Call arguments:
        buckets: int tensor `[...]`, as `buckets_of` returns it.

    Returns:
        float32 `[H, ...]` whatever the compute dtype is: it is added to scores in float32.

    Example:
        >>> layer = RelativePositions({"num_buckets": 8, "max_distance": 16}, num_heads=2)
        >>> layer(layer.buckets_of([-3, -2, -1, 0])).shape
        (2, 4)
    """

    def __init__(
        self,
        config: RelativePositionsConfig | dict[str, Any],
        *,
        num_heads: int,
        bidirectional: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.config = RelativePositionsConfig.model_validate(config)
        self.num_heads = num_heads
        self.bidirectional = bidirectional

    def build(self, buckets_shape: Any = None) -> None:
        self.table = self.add_weight(
            name="embeddings",
            shape=(self.config.num_buckets, self.num_heads),
            initializer=keras.initializers.RandomNormal(stddev=0.02),
            autocast=False,
        )

    def buckets_of(self, distances: Tensor) -> Tensor:
        """Returns the buckets of `distances`, int `[...]`: key minus query."""
        distances = ops.convert_to_tensor(distances, dtype="int32")
        return buckets(distances, self.config, bidirectional=self.bidirectional)

    def call(self, buckets: Tensor) -> Tensor:
        return ops.take(ops.transpose(ops.cast(self.table, "float32")), buckets, axis=1)

    def compute_output_spec(self, buckets: Tensor) -> keras.KerasTensor:
        return keras.KerasTensor((self.num_heads, *buckets.shape), dtype="float32")

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "config": self.config.model_dump(),
            "num_heads": self.num_heads,
            "bidirectional": self.bidirectional,
        }


def square_biases(tables: Sequence[RelativePositions], length: Tensor) -> Iterable[Tensor]:
    """Yields the biases of all pairs of `length` positions: float32 `[1, H, length, length]` of
    each table.

    One after the other, so that those of a deep stack need not exist at once.
    """
    # Looked up for each of the 2 * length - 1 distances, and only then for each pair: the
    # gradient sums few long columns rather than all pairs into few buckets.
    places = ops.arange(length, dtype="int32")
    pairs = places[None, :] - places[:, None] + (length - 1)
    distances = ops.arange(1 - length, length, dtype="int32")
    known = tables[0].buckets_of(distances)
    return (ops.take(table(known), pairs, axis=1)[None] for table in tables)


def step_biases(
    tables: Sequence[RelativePositions], index: Tensor, places: Tensor, beams: Tensor
) -> Iterable[Tensor]:
    """Returns the biases of the slots that a decoding step reads.

    Args:
        tables: of a decoder's layers, or the one that they share.
        index: the query's place, a scalar.
        places: how many are read, from the first on; see `cache.places_read`.
        beams: K slots side by side at each place; see `cache.slots`.

    Returns:
        float32 `[1, H, 1, places * K]` of each table; without a meaning after `index`.
    """
    distances = ops.arange(places, dtype="int32") - ops.cast(index, "int32")
    if not isinstance(beams, int) or beams > 1:
        distances = ops.broadcast_to(distances[:, None], (places, beams))
        distances = ops.reshape(distances, (-1,))
    known = tables[0].buckets_of(distances)
    return (table(known)[None, :, None] for table in tables)


def span_biases(
    tables: Sequence[RelativePositions], queries: Tensor, places: Tensor
) -> Iterable[Tensor]:
    """Returns the biases of queries at places of each row's own: float32 `[B, H, T, places]` of
    each table.

    Args:
        tables: of a decoder's layers, or the one that they share.
        queries: int32 `[B, T]`, their places.
        places: how many are read, from the first on.
    """
    distances = ops.arange(places, dtype="int32") - queries[..., None]
    known = tables[0].buckets_of(distances)
    # [H, B, T, N] -> [B, H, T, N]
    return (ops.transpose(table(known), (1, 0, 2, 3)) for table in tables)


def masked_bias(bias: Tensor, mask: Tensor | None) -> Tensor:
    """Combines bias and mask: `bias` where `mask` is True, else the score of masked-out positions.

    Args:
        bias: float32, broadcastable to `[B, H, T, S]`.
        mask: bool, broadcastable to `[B, H, T, S]`, True = attend; None where all is seen.
    """
    return bias if mask is None else ops.where(mask, bias, ops.cast(LOWEST, "float32"))
