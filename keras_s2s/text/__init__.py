"""Text to ids and back: tokenizers, their training, and the preprocessor of a model."""

from keras_s2s.text.byte import ByteTokenizer
from keras_s2s.text.byte_level_bpe import ByteLevelBPETokenizer
from keras_s2s.text.character import CharacterTokenizer
from keras_s2s.text.preprocessor import Preprocessor
from keras_s2s.text.registry import TOKENIZERS, load_tokenizer
from keras_s2s.text.sentencepiece import (
    SentencePieceBPETokenizer,
    SentencePieceTokenizer,
    SentencePieceUnigramTokenizer,
)
from keras_s2s.text.tokenizer import Tokenizer
from keras_s2s.text.training import train_tokenizer
from keras_s2s.text.word import WordTokenizer
from keras_s2s.text.wordpiece import WordPieceTokenizer

__all__ = [
    "TOKENIZERS",
    "ByteLevelBPETokenizer",
    "ByteTokenizer",
    "CharacterTokenizer",
    "Preprocessor",
    "SentencePieceBPETokenizer",
    "SentencePieceTokenizer",
    "SentencePieceUnigramTokenizer",
    "Tokenizer",
    "WordPieceTokenizer",
    "WordTokenizer",
    "load_tokenizer",
    "train_tokenizer",
]
