"""The preprocessor in TensorFlow ops: source texts to padded ids, target ids to texts.

Letters: B texts, S source ids, T target ids, N rows of target ids.
"""

from __future__ import annotations

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
    """Encodes source texts and decodes target ids in TensorFlow ops.

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
        # The special ids around any text, in the default languages.
        marked = preprocessor.frame_source([[_TEXT]])[0]
        at = marked.index(_TEXT)
        self._before, self._after = marked[:at], marked[at + 1 :]
        eos = self.special_ids.source.eos
        self._eos = -1 if eos is None else eos
        self._ends_once = preprocessor.source.ends_once and self._eos in self._after
        self._dropped = sorted({i for i in dropped if i is not None})

    def encode_source(self, texts: Any) -> tuple[Any, Any]:
        """Encodes string `texts [B]` as int32 ids and their bool mask, `[B, S]` both, S at
        least 1.
        """
        import tensorflow as tf

        special = self.special_ids.source
        ids = self.source.encode(valid_utf8(texts))
        rows = ids.nrows(out_type=tf.int32)
        before = [tf.fill([rows, 1], i) for i in self._before]
        after: list[Any] = [tf.fill([rows, 1], i) for i in self._after]
        if self._ends_once:
            # A text may spell its EOS; it gets no second one.
            ended = tf.reduce_any(tf.equal(ids[:, -1:], self._eos), axis=1)
            place = self._after.index(self._eos)
            after[place] = tf.ragged.boolean_mask(after[place], ~ended[:, None])
        if before or after:
            ids = tf.concat([*before, ids, *after], axis=1)
        lengths = tf.cast(ids.row_lengths(), tf.int32)
        # A batch without texts still needs a column, since no encoder reads zero positions.
        longest = tf.reduce_max(tf.concat([lengths, [1]], axis=0))
        padded = ids.to_tensor(default_value=special.pad, shape=[None, None])
        padded = tf.pad(
            padded,
            [[0, 0], [0, longest - tf.shape(padded)[1]]],
            constant_values=special.pad,
        )
        return padded, tf.sequence_mask(lengths, longest)

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
