"""Tokenizers that look SentencePiece's pieces up in a vocabulary of their own, in TensorFlow ops:
Marian, M2M-100, PLBART, BERT-generation.
"""

from __future__ import annotations

from typing import Any

from keras_s2s.export.in_graph.added_tokens import InGraphPythonTokenizer
from keras_s2s.export.in_graph.tables import Surfaces, id_table
from keras_s2s.export.in_graph.text_ops import import_tensorflow_text, strip
from keras_s2s.text.pretrained.bert_generation import BertGenerationTokenizer
from keras_s2s.text.pretrained.m2m_100 import M2M100Tokenizer
from keras_s2s.text.pretrained.marian import MarianTokenizer
from keras_s2s.text.pretrained.plbart import PLBartTokenizer

_SPACE = "\u2581"
#: A text that is no piece: its id is that of every unknown one.
_NO_PIECE = "\uffff\uffff"


class _PieceList(InGraphPythonTokenizer):
    """Splits with a SentencePiece model, and finds the ids of pieces in a table."""

    def __init__(
        self,
        tokenizer: MarianTokenizer | M2M100Tokenizer | PLBartTokenizer | BertGenerationTokenizer,
    ) -> None:
        super().__init__(tokenizer)
        self.processor = _processor(tokenizer.model_bytes)
        model = tokenizer.processor
        pieces = {model.id_to_piece(i) for i in range(model.get_piece_size())}
        pieces.update(tokenizer.known_tokens)
        ids = {piece: tokenizer.token_id(piece) for piece in sorted(pieces)}
        self.table = id_table(ids, tokenizer.token_id(_NO_PIECE))
        self.resources += [self.processor, self.table]

    @staticmethod
    def needs_tensorflow_text(tokenizer: Any) -> bool:
        return True

    def _encode_text(self, texts: Any, begins: Any) -> Any:
        pieces = self.processor.tokenize(texts)
        return pieces.with_flat_values(self.table.lookup(pieces.flat_values))


def _processor(model: bytes) -> Any:
    text = import_tensorflow_text("a SentencePiece model")
    return text.SentencepieceTokenizer(model=model, out_type="string")


def _detokenized(processor: Any, tokens: list[str], ids: Any) -> Any:
    import tensorflow as tf

    return processor.detokenize(tf.gather(tf.constant(tokens), ids))


class InGraphM2M100Tokenizer(_PieceList):
    """`M2M100Tokenizer` in TensorFlow ops."""

    def _join(self, ids: Any) -> Any:
        return strip(_detokenized(self.processor, self.tokens, ids))


class InGraphPLBartTokenizer(_PieceList):
    """`PLBartTokenizer` in TensorFlow ops."""

    def _join(self, ids: Any) -> Any:
        surfaces = [token.replace(_SPACE, " ").encode() for token in self.tokens]
        return strip(Surfaces(surfaces).join(ids))


class InGraphBertGenerationTokenizer(InGraphPLBartTokenizer):
    """`BertGenerationTokenizer` in TensorFlow ops."""


class InGraphMarianTokenizer(_PieceList):
    """`MarianTokenizer` in TensorFlow ops."""

    def __init__(self, tokenizer: MarianTokenizer) -> None:
        super().__init__(tokenizer)
        self.joiner = self.processor
        if tokenizer.joiner_bytes != tokenizer.model_bytes:
            self.joiner = _processor(tokenizer.joiner_bytes)
            self.resources.append(self.joiner)

    def _encode_text(self, texts: Any, begins: Any) -> Any:
        import tensorflow as tf

        # A part may begin with the code of a language.
        coded = tf.strings.regex_full_match(texts, "(?s)>>.*?<<.*")
        codes = tf.strings.regex_replace(tf.boolean_mask(texts, coded), "(?s)^(>>.*?<<).*", r"\1")
        code_ids = tf.RaggedTensor.from_row_lengths(
            self.table.lookup(codes), tf.cast(coded, tf.int64)
        )
        rest = tf.strings.regex_replace(texts, "(?s)^>>.*?<<", "")
        return tf.concat([code_ids, super()._encode_text(rest, begins)], axis=1)

    def _join(self, ids: Any) -> Any:
        import tensorflow as tf

        texts = _detokenized(self.joiner, self.tokens, ids)
        return strip(tf.strings.regex_replace(texts, _SPACE, " "))
