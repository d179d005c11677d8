"""Tokenizers that run a SentencePiece model, in TensorFlow ops."""

from __future__ import annotations

from typing import Any

from keras_s2s.export.errors import ExportError
from keras_s2s.export.in_graph.base import InGraphTokenizer
from keras_s2s.export.in_graph.text_ops import import_tensorflow_text
from keras_s2s.text.pretrained.sentencepiece_file import SentencePieceFileTokenizer
from keras_s2s.text.trained.sentencepiece import SentencePieceTokenizer

#: How SentencePiece writes a space.
SPACE = "\u2581"


class InGraphSentencePieceTokenizer(InGraphTokenizer):
    """SentencePiece tokenizers in TensorFlow ops; normalisation is part of their model.

    The release of SentencePiece inside tensorflow-text drops every space at the beginning of a
    decoded text, also where the model keeps extra spaces. For such a model an anchor, any piece
    that is not a space, is decoded in front of the text and cut off again.
    """

    def __init__(self, tokenizer: SentencePieceTokenizer | SentencePieceFileTokenizer) -> None:
        super().__init__(tokenizer)
        import tensorflow as tf

        text = import_tensorflow_text(f"a {tokenizer.kind} tokenizer")
        self._pieces = tokenizer.processor.get_piece_size()
        self.processor = text.SentencepieceTokenizer(model=tokenizer.model_bytes, out_type=tf.int32)
        self.resources = [self.processor]
        self.size = tokenizer.vocabulary_size
        self.anchor = _anchor(tokenizer) if _keeps_spaces(tokenizer) else None
        if self.anchor is not None:
            self.anchor_size = len(tokenizer.id_to_token(self.anchor).encode())
            # The space that encoding puts before a text is no part of it.
            added = tokenizer.processor.normalize("a").startswith(SPACE)
            pieces = map(tokenizer.id_to_token, range(self._pieces))
            self.cut_after = [added and piece.startswith(SPACE) for piece in pieces]

    @staticmethod
    def check(tokenizer: SentencePieceTokenizer | SentencePieceFileTokenizer) -> None:
        if _keeps_spaces(tokenizer) and _anchor(tokenizer) is None:
            raise ExportError(
                f"this {tokenizer.kind} tokenizer keeps extra spaces (normalization: none) and "
                "holds no ordinary piece, so its TensorFlow twin would lose some of them"
            )

    @staticmethod
    def needs_tensorflow_text(
        tokenizer: SentencePieceTokenizer | SentencePieceFileTokenizer,
    ) -> bool:
        return True

    def encode(self, texts: Any) -> Any:
        return self.processor.tokenize(texts)

    def decode(self, ids: Any) -> Any:
        import tensorflow as tf

        if self.size > self._pieces:
            # A model rounds its vocabulary up; such an id has no piece.
            ids = tf.ragged.boolean_mask(ids, ids < self._pieces)
        if self.anchor is None:
            return self.processor.detokenize(ids)
        anchors = tf.fill([ids.nrows(out_type=tf.int32), 1], self.anchor)
        texts = self.processor.detokenize(tf.concat([anchors, ids], axis=1))
        first_is_space = tf.reduce_any(tf.gather(tf.constant(self.cut_after), ids[:, :1]), axis=1)
        cut = self.anchor_size + tf.cast(first_is_space, tf.int32)
        return tf.strings.substr(texts, cut, tf.strings.length(texts) - cut)


def _keeps_spaces(tokenizer: SentencePieceTokenizer | SentencePieceFileTokenizer) -> bool:
    return tokenizer.processor.normalize("a  a").endswith(f"a{SPACE}{SPACE}a")


def _anchor(tokenizer: SentencePieceTokenizer | SentencePieceFileTokenizer) -> int | None:
    """Returns the id of an ordinary piece without a space, if there is one."""
    model = tokenizer.processor
    special = (model.is_control, model.is_unknown, model.is_unused, model.is_byte)
    return next(
        (
            i
            for i in range(model.get_piece_size())
            if not any(is_special(i) for is_special in special)
            and SPACE not in model.id_to_piece(i)
        ),
        None,
    )
