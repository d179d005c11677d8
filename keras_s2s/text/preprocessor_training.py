"""Trains the tokenizers of both sides of a preprocessor."""

from __future__ import annotations

from typing import Any

from keras_s2s.config import (
    ConfigError,
    TextConfig,
    TokenizerConfig,
    TokenizerKind,
    read_config,
)
from keras_s2s.text.tokenizer import Tokenizer
from keras_s2s.text.trained.trainer import train_tokenizer


def train_side(side: str, texts: list[str], config: TokenizerConfig) -> Tokenizer:
    try:
        return train_tokenizer(texts, config)
    except ConfigError as error:
        raise ConfigError(f"{side}: {error}") from None


def text_config(
    config: TextConfig | TokenizerKind, vocab_size: int | None, joint: bool | None
) -> TextConfig:
    data: dict[str, Any]
    if isinstance(config, TextConfig):
        data = config.model_dump(exclude_unset=True)
    elif isinstance(config, str):
        data = {"source": {"kind": config}}
    else:
        raise TypeError(
            f"config is a {type(config).__name__}, expected a TextConfig or a kind of tokenizer"
        )
    if vocab_size is not None:
        for side in ("source", "target"):
            if data.get(side) is not None:
                data[side] = {**data[side], "vocab_size": vocab_size}
    if joint is not None:
        data["joint"] = joint
    return read_config(TextConfig, data, origin="Preprocessor.train")
