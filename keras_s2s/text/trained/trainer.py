"""Trains a tokenizer of any kind on text."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from keras_s2s.config import ConfigError, TokenizerConfig
from keras_s2s.text.special_tokens import SPECIAL_TOKENS, extra_tokens
from keras_s2s.text.tokenizer import Tokenizer, check_texts
from keras_s2s.text.trained.byte import ByteTokenizer
from keras_s2s.text.trained.byte_level_bpe import ByteLevelBPETokenizer
from keras_s2s.text.trained.character import CharacterTokenizer
from keras_s2s.text.trained.normalization import Normalizer, resolve_form, sentencepiece_rule
from keras_s2s.text.trained.sentencepiece import (
    SentencePieceBPETokenizer,
    SentencePieceUnigramTokenizer,
)
from keras_s2s.text.trained.word import WordTokenizer
from keras_s2s.text.trained.wordpiece import WordPieceTokenizer

logger = logging.getLogger(__name__)

# Upper bounds where a configuration gives none; the other kinds take what the text has.
DEFAULT_VOCAB_SIZES: dict[str, int] = {
    "word": 32_000,
    "sentencepiece_unigram": 8_000,
    "sentencepiece_bpe": 8_000,
    "wordpiece": 8_000,
    "byte_level_bpe": 8_000,
}

_SENTENCEPIECE = {
    "sentencepiece_unigram": SentencePieceUnigramTokenizer,
    "sentencepiece_bpe": SentencePieceBPETokenizer,
}


def train_tokenizer(texts: Iterable[str], config: TokenizerConfig) -> Tokenizer:
    """Trains a tokenizer; the same texts and configuration give the same tokenizer.

    A vocabulary is smaller than asked for where the texts have fewer tokens, which is logged.

    Args:
        texts: sentences or documents; read once.
        config: kind, vocabulary size and normalisation.

    Raises:
        ConfigError: there is no text, the vocabulary is too small for what the kind must
            hold, or an option does not belong to the kind.
        TypeError, ValueError: one of the texts is not text (see `Tokenizer.encode_batch`).

    Example:
        >>> config = TokenizerConfig(kind="sentencepiece_unigram", vocab_size=4000)
        >>> tokenizer = train_tokenizer(open("train.en", encoding="utf-8"), config)
    """
    if isinstance(texts, str):
        raise TypeError(f"expected several texts to train on, got one str: {texts[:40]!r}")
    _refuse_foreign_options(config)
    texts = list(texts)
    check_texts(texts)
    if not any(text and not text.isspace() for text in texts):
        what = f"{len(texts)} texts, all of them blank" if texts else "none"
        raise ConfigError(f"a {config.kind} tokenizer needs texts to be trained on, got {what}")
    tokenizer = _train(texts, config)
    special = len(SPECIAL_TOKENS) + len(extra_tokens(config.sentinels, config.mask))
    if tokenizer.vocabulary_size <= special:
        raise ConfigError(
            f"vocab_size {config.vocab_size} leaves nothing beside the {special} "
            f"special tokens; raise it for a {config.kind} tokenizer"
        )
    if config.vocab_size is not None and tokenizer.vocabulary_size < config.vocab_size:
        logger.warning(
            "the %d texts support a %s vocabulary of %d ids, fewer than vocab_size %d",
            len(texts),
            config.kind,
            tokenizer.vocabulary_size,
            config.vocab_size,
        )
    else:
        logger.info("trained a %s vocabulary of %d ids", config.kind, tokenizer.vocabulary_size)
    return tokenizer


def _train(texts: list[str], config: TokenizerConfig) -> Tokenizer:
    form = resolve_form(config)
    extra = extra_tokens(config.sentinels, config.mask)
    size = config.vocab_size or DEFAULT_VOCAB_SIZES.get(config.kind)
    if config.kind == "byte":
        tokenizer = ByteTokenizer(Normalizer(form, config.lowercase), extra)
        if config.vocab_size is not None and config.vocab_size < tokenizer.vocabulary_size:
            raise ConfigError(
                f"vocab_size {config.vocab_size} is less than the {tokenizer.vocabulary_size} "
                "ids of a byte tokenizer, which cannot be smaller; leave it out"
            )
        return tokenizer
    if config.kind == "character":
        return CharacterTokenizer.train(texts, Normalizer(form, config.lowercase), size, extra)
    if config.kind == "word":
        return WordTokenizer.train(texts, Normalizer(form, config.lowercase), size, extra)
    assert size is not None
    if config.kind == "wordpiece":
        return WordPieceTokenizer.train(
            texts, vocab_size=size, form=form, lowercase=config.lowercase, extra=extra
        )
    if config.kind == "byte_level_bpe":
        return ByteLevelBPETokenizer.train(
            texts, vocab_size=size, form=form, lowercase=config.lowercase, extra=extra
        )
    return _SENTENCEPIECE[config.kind].train(
        texts,
        vocab_size=size,
        rule=sentencepiece_rule(form, config.lowercase),
        character_coverage=config.character_coverage,
        byte_fallback=config.byte_fallback,
        extra=extra,
    )


def _refuse_foreign_options(config: TokenizerConfig) -> None:
    if config.kind in _SENTENCEPIECE:
        return
    for name in ("character_coverage", "byte_fallback"):
        field = TokenizerConfig.model_fields[name]
        if getattr(config, name) != field.default:
            raise ConfigError(
                f"{name}: {getattr(config, name)} is for SentencePiece kinds and would change "
                f"nothing for kind: {config.kind}; remove it"
            )
