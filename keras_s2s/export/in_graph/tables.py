"""Constant tables: strings to ids, ids to strings, characters to strings.

None of them changes after it was made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def id_table(ids: Mapping[str, int], default: int) -> Any:
    """Returns a table of TensorFlow from strings to int32 ids, `default` for other strings.

    The exported module must keep a reference to it.
    """
    import tensorflow as tf

    # A table without any entry is an error; no text holds this byte.
    keys = [key.encode() for key in ids] or [b"\xff"]
    values = list(ids.values()) or [default]
    initializer = tf.lookup.KeyValueTensorInitializer(
        tf.constant(keys), tf.constant(values, tf.int32)
    )
    return tf.lookup.StaticHashTable(initializer, default)


class Surfaces:
    """Joins what the ids of a row stand for.

    Args:
        rest: what each id stands for.
        first: the same for the first id of a row, where it differs.
    """

    def __init__(self, rest: Sequence[bytes], first: Sequence[bytes] | None = None) -> None:
        self._rest, self._first = list(rest), None if first is None else list(first)

    def join(self, ids: Any) -> Any:
        """Returns string `[B]` of ragged int32 `ids [B, L]`; it need not be valid UTF-8."""
        import tensorflow as tf

        if self._first is None:
            return _joined(self._rest, ids)
        return tf.strings.join([_joined(self._first, ids[:, :1]), _joined(self._rest, ids[:, 1:])])


def _joined(table: Sequence[bytes], ids: Any) -> Any:
    import tensorflow as tf

    return tf.strings.reduce_join(tf.gather(tf.constant(table), ids), axis=-1)


def without(ids: Any, kept: Sequence[bool]) -> Any:
    """Leaves out of ragged int32 `ids [B, L]` those that are not kept."""
    import tensorflow as tf

    if all(kept):
        return ids
    return tf.ragged.boolean_mask(ids, tf.gather(tf.constant(kept), ids))


class CharacterMap:
    """Replaces characters by strings, each by itself.

    Args:
        changes: code point to what stands for it.
    """

    def __init__(self, changes: Mapping[int, bytes]) -> None:
        self._points = sorted(changes)
        self._surfaces = [changes[point] for point in self._points]

    def __call__(self, texts: Any) -> Any:
        """Returns string `[B]` of string `texts [B]`."""
        import tensorflow as tf

        if not self._points:
            return texts
        # A code point above all others, so that a search always ends inside the table.
        keys = tf.constant([*self._points, 0x110000], tf.int32)
        values = tf.constant([*self._surfaces, b""])
        points = tf.strings.unicode_decode(texts, "UTF-8")
        flat = points.flat_values
        places = tf.searchsorted(keys, flat)
        found = tf.equal(tf.gather(keys, places), flat)
        same = tf.strings.unicode_encode(flat[:, None], "UTF-8")
        surfaces = tf.where(found, tf.gather(values, places), same)
        return tf.strings.reduce_join(points.with_flat_values(surfaces), axis=-1)
