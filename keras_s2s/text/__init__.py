"""Tokenizers, their training, and the preprocessor of a model: text to ids and back."""

from keras_s2s.text.huggingface_writer import write_pretrained_tokenizers
from keras_s2s.text.preprocessor import Preprocessor
from keras_s2s.text.pretrained.auto import PretrainedTokenizers, load_pretrained_tokenizers
from keras_s2s.text.registry import PRETRAINED_TOKENIZERS, TOKENIZERS, load_tokenizer
from keras_s2s.text.tokenizer import Tokenizer
from keras_s2s.text.trained.byte import ByteTokenizer
from keras_s2s.text.trained.byte_level_bpe import ByteLevelBPETokenizer
from keras_s2s.text.trained.character import CharacterTokenizer
from keras_s2s.text.trained.sentencepiece import (
    SentencePieceBPETokenizer,
    SentencePieceTokenizer,
    SentencePieceUnigramTokenizer,
)
from keras_s2s.text.trained.trainer import train_tokenizer
from keras_s2s.text.trained.word import WordTokenizer
from keras_s2s.text.trained.wordpiece import WordPieceTokenizer

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
