"""Tokenizers in TensorFlow ops, which give the same ids and texts as those in Python.

Both versions of a tokenizer agree on every text whose characters are known to both Unicode
versions involved, that of Python's `unicodedata` and that of the ICU inside TensorFlow:
normalising or lowercasing a character that only one of them knows can differ. Bytes that are not
UTF-8, which a `str` cannot hold, become U+FFFD.

Letters: B texts, L ids of a text (ragged).
"""

from __future__ import annotations

from keras_s2s.export.errors import TokenizerExportError
from keras_s2s.export.in_graph.base import InGraphTokenizer
from keras_s2s.export.in_graph.blenderbot_small import InGraphBlenderbotSmallTokenizer
from keras_s2s.export.in_graph.byt5 import InGraphByT5Tokenizer
from keras_s2s.export.in_graph.byte import InGraphByteTokenizer
from keras_s2s.export.in_graph.character import InGraphCharacterTokenizer
from keras_s2s.export.in_graph.piece_lists import (
    InGraphBertGenerationTokenizer,
    InGraphM2M100Tokenizer,
    InGraphMarianTokenizer,
    InGraphPLBartTokenizer,
)
from keras_s2s.export.in_graph.pipelines.pipeline import (
    InGraphByteLevelBPETokenizer,
    InGraphPipelineTokenizer,
    InGraphWordPieceTokenizer,
)
from keras_s2s.export.in_graph.sentencepiece import InGraphSentencePieceTokenizer
from keras_s2s.export.in_graph.token_list import InGraphTokenListTokenizer
from keras_s2s.export.in_graph.word import InGraphWordTokenizer
from keras_s2s.text.tokenizer import Tokenizer

#: Kind of tokenizer -> its class in TensorFlow ops.
IN_GRAPH_TOKENIZERS: dict[str, type[InGraphTokenizer]] = {
    "character": InGraphCharacterTokenizer,
    "word": InGraphWordTokenizer,
    "byte": InGraphByteTokenizer,
    "sentencepiece_unigram": InGraphSentencePieceTokenizer,
    "sentencepiece_bpe": InGraphSentencePieceTokenizer,
    "wordpiece": InGraphWordPieceTokenizer,
    "byte_level_bpe": InGraphByteLevelBPETokenizer,
    "huggingface_pipeline": InGraphPipelineTokenizer,
    "marian": InGraphMarianTokenizer,
    "m2m_100": InGraphM2M100Tokenizer,
    "plbart": InGraphPLBartTokenizer,
    "bert_generation": InGraphBertGenerationTokenizer,
    "byt5": InGraphByT5Tokenizer,
    "blenderbot_small": InGraphBlenderbotSmallTokenizer,
    "sentencepiece_file": InGraphSentencePieceTokenizer,
    "token_list": InGraphTokenListTokenizer,
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
