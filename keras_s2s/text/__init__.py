"""Text to ids and back: tokenizers, their training, and the preprocessor of a model."""

from keras_s2s.text.byte import ByteTokenizer
from keras_s2s.text.byte_level_bpe import ByteLevelBPETokenizer
from keras_s2s.text.character import CharacterTokenizer
from keras_s2s.text.huggingface_files import write_pretrained_tokenizers
from keras_s2s.text.preprocessor import Preprocessor
from keras_s2s.text.pretrained import PretrainedTokenizers, load_pretrained_tokenizers
from keras_s2s.text.registry import PRETRAINED_TOKENIZERS, TOKENIZERS, load_tokenizer
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
    "PRETRAINED_TOKENIZERS",
    "TOKENIZERS",
    "ByteLevelBPETokenizer",
    "ByteTokenizer",
    "CharacterTokenizer",
    "Preprocessor",
    "PretrainedTokenizers",
    "SentencePieceBPETokenizer",
    "SentencePieceTokenizer",
    "SentencePieceUnigramTokenizer",
    "Tokenizer",
    "WordPieceTokenizer",
    "WordTokenizer",
    "load_pretrained_tokenizers",
    "load_tokenizer",
    "train_tokenizer",
    "write_pretrained_tokenizers",
]
