"""The preprocessor in TensorFlow ops: texts to padded ids, and target ids to texts.

Letters: B texts, S source ids, T target ids, N rows of target ids.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras_s2s.export.in_graph.text_ops import valid_utf8
from keras_s2s.export.in_graph_tokenizers import (
    check_tokenizer,
    in_graph_tokenizer,
)
from keras_s2s.text.preprocessor import Preprocessor

#: Not an id: the place of a text between its special ids.
_TEXT = -1


def check_preprocessor(preprocessor: Preprocessor) -> None:
    """Raises an error, without importing TensorFlow, for a preprocessor that cannot be exported.

    Raises:
        ExportError: a tokenizer's kind or option is not supported.
    """
    for tokenizer in (preprocessor.source, preprocessor.target):
        check_tokenizer(tokenizer)


class InGraphPreprocessor:
    """Encodes source and target texts and decodes target ids in TensorFlow ops.

    Args:
        preprocessor: the preprocessor to express in TensorFlow ops.

    Attributes:
        resources: objects that the exported module must keep a reference to.

    Raises:
        ExportError: a tokenizer has no twin.
    """

    def __init__(self, preprocessor: Preprocessor) -> None:
        self.special_ids = preprocessor.special_ids
        self.source = in_graph_tokenizer(preprocessor.source)
        self.target = self.source if preprocessor.joint else in_graph_tokenizer(preprocessor.target)
        self.resources = [*self.source.resources, *self.target.resources]
        self._target_size = preprocessor.target.vocabulary_size
        special, target = self.special_ids.target, preprocessor.target
        languages = self.special_ids.languages
        dropped = (
            *(special.pad, special.bos, special.decoder_start),
            *(target.pad_id, target.bos_id, target.eos_id),
            *(() if languages is None else languages.codes.values()),
        )
        # In the default languages.
        self._source_frame = _Frame(
            preprocessor.frame_source([[_TEXT]])[0],
            self.special_ids.source.eos if preprocessor.source.ends_once else None,
        )
        self._target_frame = _Frame(
            preprocessor.frame_target([[_TEXT]])[0], special.eos if target.ends_once else None
        )
        self._dropped = sorted({i for i in dropped if i is not None})

    def encode_source(self, texts: Any) -> tuple[Any, Any]:
        """Encodes string `texts [B]` as int32 ids and their bool mask, `[B, S]` both, S at
        least 1.
        """
        ids = self._source_frame(self.source.encode(valid_utf8(texts)))
        return _padded(ids, self.special_ids.source.pad)

    def encode_target(self, texts: Any) -> tuple[Any, Any]:
        """Encodes string `texts [B]` as labels: int32 ids with EOS and without decoder start, and
        their bool mask, `[B, T]` both, T at least 1.
        """
        ids = self._target_frame(self.target.encode(valid_utf8(texts)))
        return _padded(ids, self.special_ids.target.pad)

    def decode_target(self, ids: Any, lengths: Any) -> Any:
        """Decodes generated rows to texts, up to their EOS and without special ids.

        Args:
            ids: int32 `[N, T]`, after the decoder start.
            lengths: int32 `[N]`, how many of them are not padding.

        Returns:
            string `[N]`.
        """
        import tensorflow as tf

        ended = tf.cumsum(tf.cast(ids == self.special_ids.target.eos, tf.int32), axis=1)
        keep = tf.sequence_mask(lengths, tf.shape(ids)[1]) & tf.equal(ended, 0)
        for i in self._dropped:
            keep = keep & (ids != i)
        kept = tf.ragged.boolean_mask(ids, keep)
        inside = tf.reduce_all(kept.flat_values < self._target_size)
        message = f"a generated id is outside the target tokenizer's {self._target_size} ids"
        tf.debugging.Assert(inside, [message, kept.flat_values])
        return self.target.decode(kept)


class _Frame:
    """The special ids around any text.

    Args:
        marked: a framed row, with `_TEXT` in the place of the text.
        eos: the EOS that a text may spell itself, and that it then gets no second time; None adds
            it always.
    """

    def __init__(self, marked: Sequence[int], eos: int | None) -> None:
        at = list(marked).index(_TEXT)
        self.before, self.after = list(marked[:at]), list(marked[at + 1 :])
        self.eos = eos if eos in self.after else None

    def __call__(self, ids: Any) -> Any:
        """Returns ragged int32 `ids [B, None]` with the special ids around each row."""
        import tensorflow as tf

        rows = ids.nrows(out_type=tf.int32)
        before = [tf.fill([rows, 1], i) for i in self.before]
        after: list[Any] = [tf.fill([rows, 1], i) for i in self.after]
        if self.eos is not None:
            ended = tf.reduce_any(tf.equal(ids[:, -1:], self.eos), axis=1)
            place = self.after.index(self.eos)
            after[place] = tf.ragged.boolean_mask(after[place], ~ended[:, None])
        return tf.concat([*before, ids, *after], axis=1) if before or after else ids


def _padded(ids: Any, pad: int) -> tuple[Any, Any]:
    """Returns ragged ids as int32 `[B, S]` and their bool mask, S at least 1.

    A batch without texts still needs a column, since no encoder reads zero positions.
    """
    import tensorflow as tf

    lengths = tf.cast(ids.row_lengths(), tf.int32)
    longest = tf.reduce_max(tf.concat([lengths, [1]], axis=0))
    padded = ids.to_tensor(default_value=pad, shape=[None, None])
    padded = tf.pad(padded, [[0, 0], [0, longest - tf.shape(padded)[1]]], constant_values=pad)
    return padded, tf.sequence_mask(lengths, longest)
