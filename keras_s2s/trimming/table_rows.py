"""Copies the weights of a model into one with a part of its ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import keras
import numpy as np
from keras import ops

from keras_s2s.checkpoints.assignment import assign
from keras_s2s.config import ConfigError
from keras_s2s.layers.frontends import TokenFrontend
from keras_s2s.network import Network
from keras_s2s.text.trimming.report import TrimmedTable
from keras_s2s.text.trimming.trimmer import Side


class Rows(NamedTuple):
    """Where a weight has its ids.

    Attributes:
        side: whose vocabulary it is about.
        axis: with one entry for each id.
    """

    side: Side
    axis: int


def rows_of_ids(network: Network) -> dict[int, Rows]:
    """Returns the weights with an entry for each id, by the `id` of the variable."""
    found: dict[int, Rows] = {}
    if isinstance(network.frontend, TokenFrontend):
        for weight in network.frontend.table.weights:
            found[id(weight)] = Rows("source", 0)
    # Where both sides share a table, they have the same ids.
    for weight in network.target_table.weights:
        found[id(weight)] = Rows("target", 0)
    output = network.output
    if output.dense is not None:
        found[id(output.dense.kernel)] = Rows("target", 1)
    if output.bias is not None:
        found[id(output.bias)] = Rows("target", 0)
    return found


def copy_rows(
    old: keras.Model,
    new: keras.Model,
    old_network: Network,
    old_ids: Mapping[Side, Sequence[int]],
) -> tuple[TrimmedTable, ...]:
    """Copies all weights, those with an entry for each id in part.

    Args:
        old: the model to copy from.
        new: a model with the same layers and fewer ids.
        old_network: the network of `old`.
        old_ids: the old id of each new one, by side.

    Raises:
        ConfigError: a weight of another shape that is about something else than ids.
    """
    places = rows_of_ids(old_network)
    tables: list[TrimmedTable] = []
    for before, after in zip(old.weights, new.weights, strict=True):
        array = np.asarray(ops.convert_to_numpy(before.value))
        rows = places.get(id(before))
        if rows is not None:
            ids = np.asarray(old_ids[rows.side], dtype=np.int64)
            taken = np.take(array, ids, axis=rows.axis)
            sizes = array.shape[rows.axis], taken.shape[rows.axis]
            tables.append(TrimmedTable(before.path, *sizes, array.nbytes, taken.nbytes))
            array = taken
        if before.path != after.path or tuple(array.shape) != tuple(after.shape):
            raise ConfigError(
                f"the weight {before.path} {tuple(before.shape)} has no counterpart in the trimmed "
                f"model, where {after.path} is {tuple(after.shape)}: a registered part of your own "
                "with a vocabulary cannot be trimmed"
            )
        assign(after, array.copy())
        after.trainable = before.trainable
    return tuple(tables)
