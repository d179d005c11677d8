"""Models of `tokenizers` pipelines in TensorFlow ops: words `[W]` to ragged ids `[W, L]`."""

from __future__ import annotations

import abc
import itertools
from collections.abc import Iterable
from typing import Any

from keras_s2s.export.in_graph.byte_pairs import BytePairMerges
from keras_s2s.export.in_graph.pipelines.parts import Check, Settings, always
from keras_s2s.export.in_graph.pipelines.unigram import unigram_op
from keras_s2s.export.in_graph.tables import id_table
from keras_s2s.export.in_graph.text_ops import import_tensorflow_text
from keras_s2s.text.trained.byte_level_bpe import byte_characters


class PipelineModel(abc.ABC):
    """Base class of models.

    Args:
        settings: the model as `tokenizer.json` has it.
        byte_level: the vocabulary writes bytes as GPT-2 does.

    Attributes:
        resources: objects that the exported module must keep a reference to.
    """

    def __init__(self, settings: Settings, *, byte_level: bool) -> None:
        self.resources: list[Any] = []

    @abc.abstractmethod
    def __call__(self, words: Any) -> Any:
        """Returns ragged int32 `[W, L]` of string `words [W]`, none of which is empty."""


class WordPiece(PipelineModel):
    """The longest known piece at each place of a word, by tensorflow-text's op."""

    def __init__(self, settings: Settings, *, byte_level: bool) -> None:
        super().__init__(settings, byte_level=byte_level)
        text = import_tensorflow_text("a WordPiece model")
        vocab = settings["vocab"]
        self.longest = settings.get("max_input_chars_per_word", 100)
        self.unknown = vocab[settings["unk_token"]]
        prefix = settings.get("continuing_subword_prefix", "##")
        # A position without a token gets one that no text has, and so does the bare mark, which
        # the op cannot hold.
        tokens = ["\uffff" * 8 + str(i) for i in range(1 + max(vocab.values()))]
        for token, i in vocab.items():
            if token not in ("", prefix):
                tokens[i] = token
        # Nor can it hold NUL, for which another character stands then. What is that character
        # in a text is yet another one.
        self.stands_for_nul = ""
        if any("\0" in token for token in tokens):
            self.stands_for_nul, self.other = _unused_characters(tokens, 2)
            tokens = [token.replace("\0", self.stands_for_nul) for token in tokens]
        self.op = text.FastWordpieceTokenizer(
            tokens,
            suffix_indicator=prefix,
            max_bytes_per_word=4 * self.longest,
            token_out_type="int32",
            unknown_token=settings["unk_token"],
            no_pretokenization=True,
        )
        self.resources = [self.op]

    def __call__(self, words: Any) -> Any:
        import tensorflow as tf

        # The library counts characters, the op bytes.
        long = tf.strings.length(words, unit="UTF8_CHAR") > self.longest
        if self.stands_for_nul:
            words = tf.strings.regex_replace(words, self.stands_for_nul, self.other)
            words = tf.strings.regex_replace(words, r"\x{0}", self.stands_for_nul)
        ids = self.op.tokenize(tf.where(long, "", words))
        unknown = tf.RaggedTensor.from_row_lengths(
            tf.fill([tf.reduce_sum(tf.cast(long, tf.int32))], self.unknown),
            tf.cast(long, tf.int64),
        )
        return tf.concat([tf.cast(ids, tf.int32), unknown], axis=1)


def _unused_characters(tokens: Iterable[str], count: int) -> list[str]:
    """Returns characters for private use that occur in no token."""
    used = {c for token in tokens for c in token}
    private = map(chr, range(0xE000, 0xF900))
    return list(itertools.islice((c for c in private if c not in used), count))


class WordLevel(PipelineModel):
    """A word is an id."""

    def __init__(self, settings: Settings, *, byte_level: bool) -> None:
        super().__init__(settings, byte_level=byte_level)
        self.table = id_table(settings["vocab"], settings["vocab"][settings["unk_token"]])
        self.resources = [self.table]

    def __call__(self, words: Any) -> Any:
        import tensorflow as tf

        return tf.RaggedTensor.from_tensor(self.table.lookup(words)[:, None], ragged_rank=1)


class BytePairs(PipelineModel):
    """Byte-pair merges of bytes or of characters."""

    def __init__(self, settings: Settings, *, byte_level: bool) -> None:
        super().__init__(settings, byte_level=byte_level)
        self.byte_level = byte_level
        vocab = settings["vocab"]
        merges = {}
        for rank, merge in enumerate(settings["merges"]):
            left, right = merge.split(" ", 1) if isinstance(merge, str) else merge
            pair = (vocab[left], vocab[right])
            # The library keeps the last of equal ones.
            merges[pair] = (rank, vocab[left + right])
        self.merges = BytePairMerges(merges)
        self.unknown = vocab.get(settings.get("unk_token"), -1)
        self.fuse = bool(settings.get("fuse_unk"))
        symbols = (
            dict(enumerate(byte_characters()))
            if byte_level
            else {ord(t): t for t in vocab if len(t) == 1}
        )
        known = {symbol: vocab.get(token, self.unknown) for symbol, token in symbols.items()}
        self._symbols = sorted(known)
        self._ids = [known[symbol] for symbol in self._symbols]

    def __call__(self, words: Any) -> Any:
        import tensorflow as tf

        # Equal words are merged once.
        distinct, places = tf.unique(words)
        ids = self._merged(self._symbols_of(distinct))
        return tf.gather(ids, places)

    def _symbols_of(self, words: Any) -> Any:
        import tensorflow as tf

        if self.byte_level:
            flat = tf.io.decode_raw(tf.strings.reduce_join(words), tf.uint8)
            ids = tf.gather(tf.constant(self._ids, tf.int32), tf.cast(flat, tf.int32))
            lengths = tf.cast(tf.strings.length(words), tf.int64)
            return tf.RaggedTensor.from_row_lengths(ids, lengths)
        keys = tf.constant([*self._symbols, 0x110000], tf.int32)
        values = tf.constant([*self._ids, self.unknown], tf.int32)
        points = tf.strings.unicode_decode(words, "UTF-8")
        flat = points.flat_values
        at = tf.searchsorted(keys, flat)
        found = tf.equal(tf.gather(keys, at), flat)
        return points.with_flat_values(tf.where(found, tf.gather(values, at), self.unknown))

    def _merged(self, symbols: Any) -> Any:
        import tensorflow as tf

        unknown = tf.equal(symbols.flat_values, self.unknown)
        if self.unknown < 0:
            # Without an unknown token such symbols are left out.
            symbols = tf.ragged.boolean_mask(symbols, symbols.with_flat_values(~unknown))
        elif self.fuse:
            rows = symbols.value_rowids()
            again = unknown[1:] & unknown[:-1] & tf.equal(rows[1:], rows[:-1])
            keep = tf.concat([tf.ones_like(unknown[:1]), ~again], axis=0)
            symbols = tf.ragged.boolean_mask(symbols, symbols.with_flat_values(keep))
        return self.merges(symbols)


class Unigram(PipelineModel):
    """The split of the highest score, by tensorflow-text's SentencePiece."""

    def __init__(self, settings: Settings, *, byte_level: bool) -> None:
        super().__init__(settings, byte_level=byte_level)
        self.op = unigram_op(settings)
        self.resources = [self.op]

    def __call__(self, words: Any) -> Any:
        return self.op.tokenize(words)


def _check_unigram(settings: Settings) -> str | None:
    if settings.get("byte_fallback"):
        return "byte_fallback is true"
    return "it has no unk_id" if settings.get("unk_id") is None else None


def _check_byte_pairs(settings: Settings) -> str | None:
    for name in ("continuing_subword_prefix", "end_of_word_suffix", "byte_fallback", "dropout"):
        if settings.get(name):
            return f"{name} is {settings[name]!r}"
    return "ignore_merges is true" if settings.get("ignore_merges") else None


def _check_unknown(settings: Settings) -> str | None:
    if settings.get("unk_token") in settings["vocab"]:
        return None
    return f"its unknown token {settings.get('unk_token')!r} is not in its vocabulary"


MODEL_CLASSES: dict[str, type[PipelineModel]] = {
    "WordPiece": WordPiece,
    "WordLevel": WordLevel,
    "BPE": BytePairs,
    "Unigram": Unigram,
}

#: Name of a model to its check.
MODELS: dict[str, Check] = {
    **dict.fromkeys(MODEL_CLASSES, always),
    "WordPiece": _check_unknown,
    "WordLevel": _check_unknown,
    "BPE": _check_byte_pairs,
    "Unigram": _check_unigram,
}
