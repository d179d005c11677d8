"""The preprocessor in TensorFlow ops: texts to padded ids, and target ids to texts.

Letters: B texts, S source ids, T target ids, N rows of target ids.
"""

from __future__ import annotations

from typing import Any

from keras_s2s.export.in_graph.languages import NONE, InGraphLanguages, Languages
from keras_s2s.export.in_graph.registry import (
    check_tokenizer,
    in_graph_tokenizer,
)
from keras_s2s.export.in_graph.text_ops import valid_utf8
from keras_s2s.text.preprocessor import Preprocessor
from keras_s2s.text.truncation import Cut, Side


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
        languages: reads language codes.
        resources: objects that the exported module must keep a reference to.
        cuts: the side on which texts of each side are cut.
        ends_once: whether texts of each side that spell EOS themselves get no second one.

    Raises:
        ExportError: a tokenizer has no twin.
    """

    def __init__(self, preprocessor: Preprocessor) -> None:
        self.special_ids = preprocessor.special_ids
        self.languages = InGraphLanguages(self.special_ids)
        self.source = in_graph_tokenizer(preprocessor.source)
        self.target = self.source if preprocessor.joint else in_graph_tokenizer(preprocessor.target)
        self.resources = [
            *self.source.resources,
            *self.target.resources,
            *self.languages.resources,
        ]
        source, target = preprocessor.source, preprocessor.target
        self._sizes = {"source": source.vocabulary_size, "target": target.vocabulary_size}
        ids, languages = self.special_ids, self.special_ids.languages
        codes = () if languages is None else languages.codes.values()
        special: dict[Side, Any] = {
            "source": (ids.source.pad, ids.source.bos, *codes),
            "target": (ids.target.pad, ids.target.bos, ids.target.decoder_start, *codes),
        }
        #: Ids that add nothing to a text.
        self._dropped: dict[Side, list[int]] = {
            side: sorted(
                {i for i in (*own, each.pad_id, each.bos_id, each.eos_id) if i is not None}
            )
            for (side, own), each in zip(special.items(), (source, target), strict=True)
        }
        self.cuts: dict[Side, Cut] = {
            "source": preprocessor.source.truncation_side,
            "target": target.truncation_side,
        }
        self.ends_once: dict[Side, bool] = {
            "source": preprocessor.source.ends_once,
            "target": target.ends_once,
        }

    def encode_source(self, texts: Any, spoken: Languages | None = None) -> tuple[Any, Any]:
        """Encodes source texts with their special ids, as `Preprocessor.encode_source` does.

        Args:
            texts: string `[B]`.
            spoken: the languages of the texts; None for the model's default ones.

        Returns:
            int32 ids and their bool mask, `[B, S]` both, S at least 1.
        """
        return _padded(self._source_ids(texts, spoken), self.special_ids.source.pad)

    def source_lengths(self, texts: Any, spoken: Languages | None = None) -> Any:
        """Returns how many ids `encode_source` makes of each text, int32 `[B]`.

        It pads nothing, so that one long text takes no memory for each of the others.

        Args:
            texts, spoken: as in `encode_source`.
        """
        import tensorflow as tf

        return tf.cast(self._source_ids(texts, spoken).row_lengths(), tf.int32)

    def _source_ids(self, texts: Any, spoken: Languages | None) -> Any:
        """Returns ragged int32 ids `[B, None]` of source texts, with their special ids."""
        import tensorflow as tf

        spoken = spoken or self.languages(tf.size(texts))
        special, languages = self.special_ids.source, self.special_ids.languages
        ids = self.source.encode(valid_utf8(texts))
        ids = _surround(ids, special.bos, special.eos, once=self.ends_once["source"])
        if languages is not None:
            if languages.target == "source_prefix":
                ids = _with_ids(ids, before=spoken.target)
            if languages.source == "prefix":
                ids = _with_ids(ids, before=spoken.source)
            elif languages.source == "suffix":
                ids = _with_ids(ids, after=spoken.source)
        return ids

    def encode_target(self, texts: Any, spoken: Languages | None = None) -> tuple[Any, Any]:
        """Encodes target texts as labels, as `Preprocessor.encode_target` does: with EOS and
        without decoder start.

        Args:
            texts: string `[B]`.
            spoken: the languages of the texts; None for the model's default ones.

        Returns:
            int32 ids and their bool mask, `[B, T]` both, T at least 1.
        """
        import tensorflow as tf

        spoken = spoken or self.languages(tf.size(texts))
        special, languages = self.special_ids.target, self.special_ids.languages
        ids = self.target.encode(valid_utf8(texts))
        ids = _surround(ids, special.bos, special.eos, once=self.ends_once["target"])
        if languages is not None and languages.target == "forced_bos":
            ids = _with_ids(ids, before=spoken.target)
        return _padded(ids, special.pad)

    def decode_target(self, ids: Any, lengths: Any) -> Any:
        """Decodes generated rows to texts, up to their EOS and without special ids.

        Args:
            ids: int32 `[N, T]`, after the decoder start.
            lengths: int32 `[N]`, how many of them are not padding.

        Returns:
            string `[N]`.
        """
        return self._decode("target", ids, lengths)

    def prefixes(self, side: Side, ids: Any, lengths: Any) -> Any:
        """Decodes the first id of each row, the first two, and so on: where each id stands.

        Args:
            side: of the rows.
            ids: int32 `[N, L]`; of targets after the decoder start.
            lengths: int32 `[N]`, how many of them are not padding.

        Returns:
            string `[N, L]`.
        """
        import tensorflow as tf

        rows, longest = tf.shape(ids)[0], tf.shape(ids)[1]
        # [N, L] -> [N*L, L]
        repeated = tf.repeat(ids, longest, axis=0)
        until = tf.minimum(tf.range(1, longest + 1)[None], lengths[:, None])
        texts = self._decode(side, repeated, tf.reshape(until, [-1]))
        return tf.reshape(texts, [rows, longest])

    def _decode(self, side: Side, ids: Any, lengths: Any) -> Any:
        """Decodes rows of ids `[N, L]`, up to their EOS and without special ids."""
        import tensorflow as tf

        is_source = side == "source"
        eos = self.special_ids.source.eos if is_source else self.special_ids.target.eos
        keep = tf.sequence_mask(lengths, tf.shape(ids)[1])
        if eos is not None:
            keep &= tf.equal(tf.cumsum(tf.cast(ids == eos, tf.int32), axis=1), 0)
        for i in self._dropped[side]:
            keep = keep & (ids != i)
        kept = tf.ragged.boolean_mask(ids, keep)
        size = self._sizes[side]
        inside = tf.reduce_all(kept.flat_values < size)
        message = f"a generated id is outside the {side} tokenizer's {size} ids"
        tf.debugging.Assert(inside, [message, kept.flat_values])
        return (self.source if is_source else self.target).decode(kept)


def _surround(ids: Any, bos: int | None, eos: int | None, *, once: bool) -> Any:
    """Returns ragged int32 `ids [B, None]` with BOS before and EOS after each row, as
    `text.id_rows.surround` does.
    """
    import tensorflow as tf

    rows = ids.nrows(out_type=tf.int32)
    if eos is not None:
        ends: Any = tf.fill([rows, 1], eos)
        if once:
            ended = tf.reduce_any(tf.equal(ids[:, -1:], eos), axis=1)
            ends = tf.ragged.boolean_mask(ends, ~ended[:, None])
        ids = tf.concat([ids, ends], axis=1)
    return ids if bos is None else tf.concat([tf.fill([rows, 1], bos), ids], axis=1)


def _with_ids(ids: Any, *, before: Any = None, after: Any = None) -> Any:
    """Returns ragged `ids [B, None]` with an id before or after each row, int32 `[B]`, unless it
    is `NONE`.
    """
    import tensorflow as tf

    def optional(each: Any) -> list[Any]:
        if each is None:
            return []
        return [tf.ragged.boolean_mask(each[:, None], each[:, None] != NONE)]

    return tf.concat([*optional(before), ids, *optional(after)], axis=1)


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
