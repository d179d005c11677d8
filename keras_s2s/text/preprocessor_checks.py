"""Checks that tokenizers and special ids agree."""

from __future__ import annotations

from keras_s2s.config import (
    ConfigError,
    LanguagesConfig,
    SourceIds,
    SpecialIds,
    TargetIds,
)
from keras_s2s.text.pretrained.base import encoded_size
from keras_s2s.text.tokenizer import Tokenizer


def check_side(side: str, special: SourceIds | TargetIds, tokenizer: Tokenizer) -> None:
    own = {
        "pad": tokenizer.pad_id,
        "unk": tokenizer.unk_id,
        "bos": tokenizer.bos_id,
        "eos": tokenizer.eos_id,
    }
    for name, i in special:
        if i is None:
            continue
        size = tokenizer.vocabulary_size
        if i >= size:
            raise ConfigError(
                f"special_ids.{side}.{name} is {i}, outside the {side} tokenizer's vocabulary "
                f"of {size} ids (0 to {size - 1}); tokenizer and special ids belong to "
                "different models"
            )
        known = own.get(name)
        if known is not None and known != i and known < encoded_size(tokenizer):
            raise ConfigError(
                f"special_ids.{side}.{name} is {i} ({tokenizer.id_to_token(i)!r}), but the "
                f"{side} tokenizer's is {known} ({tokenizer.id_to_token(known)!r}); "
                "tokenizer and special ids belong to different models"
            )


def apart_from_languages(ids: SpecialIds) -> SpecialIds:
    """Returns special ids without what `in_languages` changes, for a comparison."""
    if ids.languages is None:
        return ids
    neutral = {"default_source": None, "default_target": None}
    return ids.model_copy(
        update={
            "languages": ids.languages.model_copy(update=neutral),
            "target": ids.target.model_copy(update={"decoder_start": 0, "forced_bos": None}),
        }
    )


def check_languages(languages: LanguagesConfig, source: Tokenizer, target: Tokenizer) -> None:
    size = min(source.vocabulary_size, target.vocabulary_size)
    for code, i in languages.codes.items():
        if i >= size:
            raise ConfigError(
                f"special_ids.languages.codes.{code} is {i}, outside the tokenizers' vocabulary of "
                f"{size} ids (0 to {size - 1}); tokenizer and special ids belong to different "
                "models"
            )
