"""Says which tokenizers can be trimmed, and by what."""

from __future__ import annotations

from typing import Any

from keras_s2s.config import ConfigError
from keras_s2s.text.pretrained.bert_generation import BertGenerationTokenizer
from keras_s2s.text.pretrained.m2m_100 import M2M100Tokenizer
from keras_s2s.text.pretrained.marian import MarianTokenizer
from keras_s2s.text.pretrained.pipelines.pipeline_tokenizer import PipelineTokenizer
from keras_s2s.text.pretrained.plbart import PLBartTokenizer
from keras_s2s.text.pretrained.sentencepiece_file import SentencePieceFileTokenizer
from keras_s2s.text.pretrained.token_list import TokenListTokenizer
from keras_s2s.text.tokenizer import Tokenizer
from keras_s2s.text.trained.byte_level_bpe import ByteLevelBPETokenizer
from keras_s2s.text.trained.character import CharacterTokenizer
from keras_s2s.text.trained.sentencepiece import (
    SentencePieceBPETokenizer,
    SentencePieceUnigramTokenizer,
)
from keras_s2s.text.trained.word import WordTokenizer
from keras_s2s.text.trained.wordpiece import WordPieceTokenizer
from keras_s2s.text.trimming.pretrained_kinds import (
    BertGenerationTrimmer,
    M2M100Trimmer,
    MarianTrimmer,
    PipelineTrimmer,
    PLBartTrimmer,
    SentencePieceFileTrimmer,
)
from keras_s2s.text.trimming.trained_kinds import (
    TokenListTrimmer,
    TrainedPipelineTrimmer,
    TrainedSentencePieceTrimmer,
    VocabularyTrimmer,
)
from keras_s2s.text.trimming.trimmer import Side, Trimmer

TRIMMERS: dict[type[Tokenizer], type[Trimmer[Any]]] = {
    CharacterTokenizer: VocabularyTrimmer,
    WordTokenizer: VocabularyTrimmer,
    SentencePieceUnigramTokenizer: TrainedSentencePieceTrimmer,
    SentencePieceBPETokenizer: TrainedSentencePieceTrimmer,
    WordPieceTokenizer: TrainedPipelineTrimmer,
    ByteLevelBPETokenizer: TrainedPipelineTrimmer,
    TokenListTokenizer: TokenListTrimmer,
    PipelineTokenizer: PipelineTrimmer,
    MarianTokenizer: MarianTrimmer,
    M2M100Tokenizer: M2M100Trimmer,
    PLBartTokenizer: PLBartTrimmer,
    BertGenerationTokenizer: BertGenerationTrimmer,
    SentencePieceFileTokenizer: SentencePieceFileTrimmer,
}

#: Why others cannot be trimmed, by kind.
_REASONS = {
    "byte": "its ids are the 256 bytes, which any text may have",
    "byt5": "its ids are the 256 bytes, which any text may have",
    "blenderbot_small": "its merges make pieces whose ids depend on where in a word they stand",
}


def trimmer_of(tokenizer: Tokenizer, side: Side) -> Trimmer[Any]:
    """Returns what trims a tokenizer.

    Args:
        tokenizer: of any kind.
        side: whose texts it encodes.

    Raises:
        ConfigError: its kind cannot be trimmed.
    """
    make = TRIMMERS.get(type(tokenizer))
    if make is None:
        reason = _REASONS.get(tokenizer.kind, "nothing here can write its files again")
        kinds = ", ".join(sorted({kind.kind for kind in TRIMMERS}))
        raise ConfigError(
            f"the vocabulary of a {tokenizer.kind} tokenizer cannot be trimmed: {reason}. Kinds "
            f"that can: {kinds}"
        )
    return make(tokenizer, side)
