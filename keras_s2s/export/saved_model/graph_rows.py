"""Graph ops on the rows of a batch: a row that cannot be used gets an error of its own, and rows
that are too long are cut where that is asked for.

A batch holds the rows of several clients, so that one bad row must not fail the others: it is
replaced by a row of one id, computed with the rest, and its results are replaced by empty ones.

Letters: B rows, L ids or vectors of a row.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from keras_s2s.config import SpecialIds
from keras_s2s.text.truncation import Cut, Side, language_places


class Rows(NamedTuple):
    """A batch of rows in a TensorFlow graph.

    Attributes:
        values: int32 `[B, L]`, or float32 `[B, L, F]` where rows are vectors.
        mask: bool `[B, L]`, True = real.
        errors: string `[B]`, what is wrong with a row; empty where nothing is.
    """

    values: Any
    mask: Any
    errors: Any

    @property
    def lengths(self) -> Any:
        """int32 `[B]`, the real positions of each row."""
        import tensorflow as tf

        return tf.reduce_sum(tf.cast(self.mask, tf.int32), axis=1)


def no_errors(rows: Any) -> Any:
    """Returns string `[B]`, all empty, for `rows`, a scalar."""
    import tensorflow as tf

    return tf.fill([rows], "")


def with_error(errors: Any, wrong: Any, *message: Any) -> Any:
    """Returns `errors` with a message where `wrong` holds and there is none yet.

    Args:
        errors: string `[B]`.
        wrong: bool `[B]`.
        message: parts of the message, strings, or string or int32 tensors `[B]`.
    """
    import tensorflow as tf

    parts = [
        part
        if isinstance(part, str)
        else part
        if part.dtype == tf.string
        else tf.strings.as_string(part)
        for part in message
    ]
    text = tf.strings.join([tf.broadcast_to(part, tf.shape(errors)) for part in parts])
    return tf.where(tf.logical_and(errors == "", wrong), text, errors)


def checked_rows(
    rows: Rows,
    *,
    side: Side,
    name: str,
    mask_name: str,
    size: int | None,
    limit: int | None,
) -> Rows:
    """Returns rows that a model can read, and says which of them took the place of others.

    Args:
        rows: as a client gave them.
        side: what they are, for messages.
        name, mask_name: of both inputs, for messages.
        size: number of ids; None where rows are vectors.
        limit: positions that the model has; None where there is no limit.

    Returns:
        the rows, no longer than the longest that is used, and at least one column.
    """
    import tensorflow as tf

    values, mask, errors = rows
    same = tf.debugging.Assert(
        tf.reduce_all(tf.equal(tf.shape(values)[:2], tf.shape(mask))),
        [
            f"{name} and {mask_name} must share one shape [batch, length], got:",
            tf.shape(values)[:2],
            tf.shape(mask),
        ],
    )
    with tf.control_dependencies([same]):
        mask = tf.identity(mask)
    what = "vectors" if size is None else "ids"
    lengths = Rows(values, mask, errors).lengths
    errors = with_error(errors, lengths < 1, f"the {side} is empty: it has no {what[:-1]} at all")
    padded = tf.reduce_all(tf.equal(mask, tf.sequence_mask(lengths, tf.shape(mask)[1])), axis=1)
    errors = with_error(
        errors, tf.logical_not(padded), f"{mask_name}: the row is not padded at its end only"
    )
    if size is not None:
        inside = tf.reduce_all(((values >= 0) & (values < size)) | ~mask, axis=1)
        message = f"{name} of the {side} must lie between 0 and {size - 1}"
    else:
        finite = tf.reduce_all(tf.math.is_finite(tf.cast(values, tf.float32)), axis=-1)
        inside = tf.reduce_all(finite | ~mask, axis=1)
        message = f"{name} of the {side} must be finite numbers"
    errors = with_error(errors, tf.logical_not(inside), message)
    if limit is not None:
        errors = with_error(
            errors,
            lengths > limit,
            f"the {side} has ",
            lengths,
            f" {what}, but the model has positions for {limit}; shorten it, or export with "
            "truncate=True to cut what is too long",
        )
    return replaced(Rows(values, mask, errors))


def replaced(rows: Rows) -> Rows:
    """Returns rows in which those with an error are of one position, the value 0.

    Values at padding are 0, too: what a client left there is not read.
    """
    import tensorflow as tf

    values, mask, errors = rows
    good = tf.equal(errors, "")
    lengths = tf.where(good, rows.lengths, 1)
    longest = tf.reduce_max(tf.concat([lengths, [1]], axis=0))
    # One column at least, also for a batch that has none.
    extra = tf.maximum(longest - tf.shape(mask)[1], 0)
    values = tf.pad(values, [[0, 0], [0, extra]] + [[0, 0]] * (values.shape.rank - 2))
    values = values[:, :longest]
    mask = tf.sequence_mask(lengths, longest)
    kept = tf.logical_and(mask, good[:, None])
    kept = tf.reshape(kept, tf.concat([tf.shape(mask), [1] * (values.shape.rank - 2)], axis=0))
    return Rows(tf.where(kept, values, tf.zeros_like(values)), mask, errors)


def cut_rows(
    rows: Rows,
    length: int,
    special_ids: SpecialIds,
    side: Side,
    *,
    cut: Cut = "right",
    ends_once: bool = False,
) -> Rows:
    """Returns rows with at most `length` ids, cut as `text.truncation.truncated` cuts them.

    Args:
        rows: ids with their special ids.
        length: most ids of a row.
        special_ids: of the model.
        side: whose ids these are.
        cut, ends_once: as in `truncated`.
    """
    import tensorflow as tf

    values, mask, errors = rows
    lengths = rows.lengths
    before, after = _frames(values, lengths, special_ids, side)
    room = length - before - after
    errors = with_error(
        errors,
        tf.logical_and(lengths > length, room < 1),
        f"a {side} of {length} ids has no room for text beside its special ids",
    )
    j = tf.range(length)[None]
    before, after, room, total = (each[:, None] for each in (before, after, room, lengths))
    text = j if cut == "right" else j + total - length
    # Ids of the frame stand where they stood, counted from their end of the row.
    at = tf.where(j < before, j, tf.where(j < before + room, text, j + total - length))
    long = lengths > length
    width = tf.maximum(tf.shape(values)[1], 1)
    values = tf.pad(values, [[0, 0], [0, width - tf.shape(values)[1]]])
    short = tf.gather(values, tf.clip_by_value(at, 0, width - 1), batch_dims=1)
    kept = tf.fill(tf.shape(lengths), length)
    eos = getattr(special_ids, side).eos
    if ends_once and eos is not None and length > 1:
        # The text was cut where it spells EOS itself.
        twice = (after[:, 0] == 1) & (short[:, -2] == eos) & (short[:, -1] == eos)
        kept = tf.where(twice, length - 1, kept)
    short = tf.pad(short, [[0, 0], [0, tf.maximum(width - length, 0)]])
    values = tf.pad(values, [[0, 0], [0, tf.maximum(length - width, 0)]])
    lengths = tf.where(long, kept, lengths)
    values = tf.where(long[:, None], short, values)
    mask = tf.pad(mask, [[0, 0], [0, tf.shape(values)[1] - tf.shape(mask)[1]]])
    cut_mask = tf.sequence_mask(lengths, tf.shape(values)[1])
    return Rows(values, tf.where(long[:, None], cut_mask, mask), errors)


def _frames(values: Any, lengths: Any, special_ids: SpecialIds, side: Side) -> tuple[Any, Any]:
    """Returns the numbers of special ids before and after each text, int32 `[B]` both, as
    `text.truncation.frame_of` counts them.
    """
    import tensorflow as tf

    languages, ids = special_ids.languages, getattr(special_ids, side)
    codes = [] if languages is None else sorted(set(languages.codes.values()))
    leads, ends = language_places(languages, side)
    padded = tf.pad(values, [[0, 0], [0, 1]], constant_values=-1)

    def at(places: Any) -> Any:
        last = tf.shape(values)[1]
        inside = tf.logical_and(places >= 0, places < lengths)
        return tf.gather(padded, tf.where(inside, places, last), batch_dims=1)

    def is_code(found: Any) -> Any:
        return tf.reduce_any(found[:, None] == tf.constant(codes, tf.int32), axis=1)

    def counted(condition: Any) -> Any:
        return tf.cast(condition, tf.int32)

    after = tf.zeros_like(lengths)
    if ends and codes:
        after = counted(is_code(at(lengths - 1)))
    if ids.eos is not None:
        after = after + counted(at(lengths - 1 - after) == ids.eos)
    before, room = tf.zeros_like(lengths), lengths - after
    if leads and codes:
        before = counted(is_code(at(before)) & (room > 0))
    if ids.bos is not None:
        before = before + counted((at(before) == ids.bos) & (before < room))
    return before, after


__all__ = ["Rows", "checked_rows", "cut_rows", "no_errors", "replaced", "with_error"]
