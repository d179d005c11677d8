"""Lists every kind of tokenizer by name, and reads saved tokenizers."""

from __future__ import annotations

from pathlib import Path

from keras_s2s.config import ConfigError
from keras_s2s.text.pretrained.base import PretrainedTokenizer
from keras_s2s.text.pretrained.bert_generation import BertGenerationTokenizer
from keras_s2s.text.pretrained.blenderbot_small import BlenderbotSmallTokenizer
from keras_s2s.text.pretrained.byt5 import ByT5Tokenizer
from keras_s2s.text.pretrained.m2m_100 import M2M100Tokenizer
from keras_s2s.text.pretrained.marian import MarianTokenizer
from keras_s2s.text.pretrained.pipelines.pipeline_tokenizer import PipelineTokenizer
from keras_s2s.text.pretrained.plbart import PLBartTokenizer
from keras_s2s.text.pretrained.sentencepiece_file import SentencePieceFileTokenizer
from keras_s2s.text.pretrained.token_list import TokenListTokenizer
from keras_s2s.text.tokenizer import Tokenizer, description_path, read_description
from keras_s2s.text.trained.byte import ByteTokenizer
from keras_s2s.text.trained.byte_level_bpe import ByteLevelBPETokenizer
from keras_s2s.text.trained.character import CharacterTokenizer
from keras_s2s.text.trained.sentencepiece import (
    SentencePieceBPETokenizer,
    SentencePieceUnigramTokenizer,
)
from keras_s2s.text.trained.word import WordTokenizer
from keras_s2s.text.trained.wordpiece import WordPieceTokenizer

#: The kinds that this package trains.
TOKENIZERS: dict[str, type[Tokenizer]] = {
    "character": CharacterTokenizer,
    "word": WordTokenizer,
    "byte": ByteTokenizer,
    "sentencepiece_unigram": SentencePieceUnigramTokenizer,
    "sentencepiece_bpe": SentencePieceBPETokenizer,
    "wordpiece": WordPieceTokenizer,
    "byte_level_bpe": ByteLevelBPETokenizer,
}

#: The kinds that come from the folders of Hugging Face and KerasHub.
PRETRAINED_TOKENIZERS: dict[str, type[PretrainedTokenizer]] = {
    "huggingface_pipeline": PipelineTokenizer,
    "marian": MarianTokenizer,
    "m2m_100": M2M100Tokenizer,
    "plbart": PLBartTokenizer,
    "byt5": ByT5Tokenizer,
    "bert_generation": BertGenerationTokenizer,
    "blenderbot_small": BlenderbotSmallTokenizer,
    "sentencepiece_file": SentencePieceFileTokenizer,
}

#: The kinds whose vocabulary comes with a folder of another engine.
GIVEN_TOKENIZERS: dict[str, type[Tokenizer]] = {"token_list": TokenListTokenizer}


def load_tokenizer(directory: str | Path, prefix: str) -> Tokenizer:
    """Reads a tokenizer of any kind that `Tokenizer.save` wrote.

    Raises:
        FileNotFoundError: a file is missing.
        ConfigError: a file is not what it should be; the message names it.

    Example:
        >>> tokenizer.save("runs/dates/tokenizer", "source")
        >>> load_tokenizer("runs/dates/tokenizer", "source").kind
        'character'
    """
    kind = read_description(directory, prefix)["kind"]
    kinds = {**TOKENIZERS, **PRETRAINED_TOKENIZERS, **GIVEN_TOKENIZERS}
    if kind not in kinds:
        raise ConfigError(
            f"{description_path(Path(directory), prefix)}: unknown kind {kind!r}; known kinds: "
            f"{', '.join(kinds)}"
        )
    return kinds[kind].load(directory, prefix)
