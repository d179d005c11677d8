"""Tokenizers in TensorFlow ops, which give the same ids and texts as those in Python.

Both versions of a tokenizer agree on every text whose characters are known to both Unicode
versions involved, that of Python's `unicodedata` and that of the ICU inside TensorFlow:
normalising or lowercasing a character that only one of them knows can differ. Bytes that are not
UTF-8, which a `str` cannot hold, become U+FFFD.

Letters: B texts, L ids of a text (ragged).
"""

from __future__ import annotations

import abc
from typing import Any

from keras_s2s.export.errors import ExportError, TokenizerExportError
from keras_s2s.text.special_tokens import UNKNOWN_SURFACE
from keras_s2s.text.tokenizer import Tokenizer
from keras_s2s.text.trained.byte import ByteTokenizer
from keras_s2s.text.trained.character import CharacterTokenizer
from keras_s2s.text.trained.normalization import Normalizer
from keras_s2s.text.trained.sentencepiece import SentencePieceTokenizer

#: How SentencePiece writes a space.
SPACE = "\u2581"

NORMAL_FORMS = {"nfc": "NFC", "nfkc": "NFKC"}


class InGraphTokenizer(abc.ABC):
    """Base class of tokenizers in TensorFlow ops.

    Attributes:
        resources: objects that the exported module must keep a reference to, e.g. tables and
            models.
    """

    def __init__(self, tokenizer: Any) -> None:
        self.resources: list[Any] = []

    @staticmethod
    @abc.abstractmethod
    def check(tokenizer: Any) -> None:
        """Raises an error, without importing TensorFlow, for a tokenizer that has no equivalent in
        TensorFlow.

        Raises:
            ExportError: naming the tokenizer's kind and the option.
        """

    @abc.abstractmethod
    def encode(self, texts: Any) -> Any:
        """Encodes valid UTF-8 `texts`, string `[B]`, as ragged int32 `[B, L]` without special
        ids.
        """

    @abc.abstractmethod
    def decode(self, ids: Any) -> Any:
        """Decodes ragged int32 `ids [B, L]`, none of them padding, BOS or EOS, to string `[B]`."""


class InGraphCharacterTokenizer(InGraphTokenizer):
    """`CharacterTokenizer` in TensorFlow ops; code points are found by binary search."""

    def __init__(self, tokenizer: CharacterTokenizer) -> None:
        super().__init__(tokenizer)
        self.normalizer = tokenizer.normalizer
        self.unk = tokenizer.vocabulary.unk_id
        known = sorted((ord(t), i) for t, i in tokenizer.vocabulary.ids.items() if len(t) == 1)
        self.code_points = [code_point for code_point, _ in known]
        self.ids = [i for _, i in known]
        self.surfaces = list(tokenizer.vocabulary.tokens)
        self.surfaces[self.unk] = UNKNOWN_SURFACE
        for i in tokenizer.extra_ids:
            self.surfaces[i] = ""

    @staticmethod
    def check(tokenizer: CharacterTokenizer) -> None:
        check_normalizer(tokenizer.kind, tokenizer.normalizer)

    def encode(self, texts: Any) -> Any:
        import tensorflow as tf

        # A code point above all others, so that a search always ends inside the table.
        keys = tf.constant([*self.code_points, 0x110000], tf.int32)
        values = tf.constant([*self.ids, self.unk], tf.int32)
        points = tf.strings.unicode_decode(normalize(texts, self.normalizer), "UTF-8")
        flat = points.flat_values
        places = tf.searchsorted(keys, flat)
        found = tf.equal(tf.gather(keys, places), flat)
        return points.with_flat_values(tf.where(found, tf.gather(values, places), self.unk))

    def decode(self, ids: Any) -> Any:
        import tensorflow as tf

        surfaces = tf.constant(self.surfaces)
        return tf.strings.reduce_join(tf.gather(surfaces, ids), axis=-1)


class InGraphByteTokenizer(InGraphTokenizer):
    """`ByteTokenizer` in TensorFlow ops."""

    def __init__(self, tokenizer: ByteTokenizer) -> None:
        super().__init__(tokenizer)
        self.normalizer = tokenizer.normalizer
        self.offset = tokenizer.offset
        unknown = tokenizer.unk_id
        self.surfaces = [
            UNKNOWN_SURFACE.encode() if i == unknown else b"" for i in range(self.offset)
        ] + [bytes([byte]) for byte in range(256)]
        self.surfaces += [b""] * len(tokenizer.extra)

    @staticmethod
    def check(tokenizer: ByteTokenizer) -> None:
        check_normalizer(tokenizer.kind, tokenizer.normalizer)

    def encode(self, texts: Any) -> Any:
        import tensorflow as tf

        texts = normalize(texts, self.normalizer)
        flat = tf.io.decode_raw(tf.strings.reduce_join(texts), tf.uint8)
        lengths = tf.strings.length(texts, unit="BYTE")
        return tf.RaggedTensor.from_row_lengths(
            tf.cast(flat, tf.int32) + self.offset, tf.cast(lengths, tf.int64)
        )

    def decode(self, ids: Any) -> Any:
        import tensorflow as tf

        joined = tf.strings.reduce_join(tf.gather(tf.constant(self.surfaces), ids), axis=-1)
        return valid_utf8(joined)


class InGraphSentencePieceTokenizer(InGraphTokenizer):
    """SentencePiece tokenizers in TensorFlow ops; normalisation is part of their model.

    The release of SentencePiece inside tensorflow-text drops every space at the beginning of a
    decoded text, also where the model keeps extra spaces. For such a model an anchor, any piece
    that is not a space, is decoded in front of the text and cut off again.
    """

    def __init__(self, tokenizer: SentencePieceTokenizer) -> None:
        super().__init__(tokenizer)
        import tensorflow as tf

        text = import_tensorflow_text(f"a {tokenizer.kind} tokenizer")
        self.processor = text.SentencepieceTokenizer(model=tokenizer.model_bytes, out_type=tf.int32)
        self.resources = [self.processor]
        self.anchor = _anchor(tokenizer) if _keeps_spaces(tokenizer) else None
        if self.anchor is not None:
            self.anchor_size = len(tokenizer.id_to_token(self.anchor).encode())
            # The space that encoding puts before a text is no part of it.
            added = tokenizer.processor.normalize("a").startswith(SPACE)
            pieces = map(tokenizer.id_to_token, range(tokenizer.vocabulary_size))
            self.cut_after = [added and piece.startswith(SPACE) for piece in pieces]

    @staticmethod
    def check(tokenizer: SentencePieceTokenizer) -> None:
        if _keeps_spaces(tokenizer) and _anchor(tokenizer) is None:
            raise ExportError(
                f"this {tokenizer.kind} tokenizer keeps extra spaces (normalization: none) and "
                "holds no ordinary piece, so its TensorFlow twin would lose some of them"
            )

    def encode(self, texts: Any) -> Any:
        return self.processor.tokenize(texts)

    def decode(self, ids: Any) -> Any:
        import tensorflow as tf

        if self.anchor is None:
            return self.processor.detokenize(ids)
        anchors = tf.fill([ids.nrows(out_type=tf.int32), 1], self.anchor)
        texts = self.processor.detokenize(tf.concat([anchors, ids], axis=1))
        first_is_space = tf.reduce_any(tf.gather(tf.constant(self.cut_after), ids[:, :1]), axis=1)
        cut = self.anchor_size + tf.cast(first_is_space, tf.int32)
        return tf.strings.substr(texts, cut, tf.strings.length(texts) - cut)


def _keeps_spaces(tokenizer: SentencePieceTokenizer) -> bool:
    return tokenizer.processor.normalize("a  a").endswith(f"a{SPACE}{SPACE}a")


def _anchor(tokenizer: SentencePieceTokenizer) -> int | None:
    """Returns the id of an ordinary piece without a space, if there is one."""
    model = tokenizer.processor
    special = (model.is_control, model.is_unknown, model.is_unused, model.is_byte)
    return next(
        (
            i
            for i in range(tokenizer.vocabulary_size)
            if not any(is_special(i) for is_special in special)
            and SPACE not in model.id_to_piece(i)
        ),
        None,
    )


#: Kind of tokenizer -> its class in TensorFlow ops.
IN_GRAPH_TOKENIZERS: dict[str, type[InGraphTokenizer]] = {
    "character": InGraphCharacterTokenizer,
    "byte": InGraphByteTokenizer,
    "sentencepiece_unigram": InGraphSentencePieceTokenizer,
    "sentencepiece_bpe": InGraphSentencePieceTokenizer,
}


def check_tokenizer(tokenizer: Tokenizer) -> None:
    """Raises an error, without importing TensorFlow, for a tokenizer that cannot be exported.

    Raises:
        ExportError: naming its kind, and the kinds or options that are supported.
    """
    twin = IN_GRAPH_TOKENIZERS.get(tokenizer.kind)
    if twin is None:
        raise TokenizerExportError(
            f"a {tokenizer.kind} tokenizer cannot be exported into a TensorFlow graph; "
            f"supported kinds: {', '.join(IN_GRAPH_TOKENIZERS)}",
            "Without a preprocessor (model.preprocessor = None) the model is exported from ids "
            "to ids",
        )
    twin.check(tokenizer)


def in_graph_tokenizer(tokenizer: Tokenizer) -> InGraphTokenizer:
    """Returns the TensorFlow version of a tokenizer.

    Raises:
        ExportError: it has none.

    Example:
        >>> import tensorflow as tf
        >>> twin = in_graph_tokenizer(tokenizer)
        >>> twin.decode(twin.encode(tf.constant(["hello"])))
        <tf.Tensor: shape=(1,), dtype=string, numpy=array([b'hello'], dtype=object)>
    """
    check_tokenizer(tokenizer)
    return IN_GRAPH_TOKENIZERS[tokenizer.kind](tokenizer)


# --------------------------------------------------------------------------------------
# Text before and after
# --------------------------------------------------------------------------------------


def check_normalizer(kind: str, normalizer: Normalizer) -> None:
    """Raises an error for a normalisation that TensorFlow does not have."""
    if normalizer.form != "none" and normalizer.form not in NORMAL_FORMS:
        raise ExportError(
            f"normalization: {normalizer.form} of a {kind} tokenizer has no TensorFlow twin; "
            f"supported: none, {', '.join(NORMAL_FORMS)}"
        )


def valid_utf8(texts: Any) -> Any:
    """Replaces each broken UTF-8 sequence in `texts`, strings of any shape, by U+FFFD."""
    import tensorflow as tf

    return tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8", errors="replace")


def normalize(texts: Any, normalizer: Normalizer) -> Any:
    """Applies `normalizer` to string `texts [B]`."""
    texts = _compose(texts, normalizer)
    if normalizer.lowercase:
        texts = _compose(_lower(texts), normalizer)
    return texts


def _compose(texts: Any, normalizer: Normalizer) -> Any:
    if normalizer.form == "none":
        return texts
    text = import_tensorflow_text(f"normalization: {normalizer.form}")
    return text.normalize_utf8(texts, NORMAL_FORMS[normalizer.form])


def _lower(texts: Any) -> Any:
    import tensorflow as tf

    # The op ends a text at its first NUL. NUL is no letter and part of no word, so that the parts
    # between NULs are lowercased alike alone (a final sigma too). Joining loses NUL as well,
    # where it is the separator: each part has its own in front, and the first one is removed.
    parts = tf.strings.split(texts, sep="\0")
    lower = tf.strings.lower(parts.flat_values, encoding="utf-8")
    marked = parts.with_flat_values(tf.strings.join([tf.constant("\0"), lower]))
    joined = tf.strings.reduce_join(marked, axis=-1)
    length = tf.strings.length(joined)
    return tf.strings.substr(joined, tf.ones_like(length), length - 1)


def import_tensorflow_text(needed_by: str) -> Any:
    """Imports `tensorflow_text` and returns it.

    Raises:
        ImportError: it is not installed; the message says what to install.
    """
    try:
        import tensorflow_text
    except ImportError as error:
        raise ImportError(
            f"exporting {needed_by} needs tensorflow-text, of the same version as tensorflow: "
            'pip install "keras-s2s[tensorflow]"'
        ) from error
    return tensorflow_text
