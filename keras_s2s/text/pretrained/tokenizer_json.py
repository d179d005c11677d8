"""Reads the parts of a `tokenizer.json`."""

from __future__ import annotations

import base64
from typing import Any

from keras_s2s.config import ConfigError
from keras_s2s.text.pretrained.pipelines.pipeline_parts import (
    Scored,
)
from keras_s2s.text.pretrained.tokenizer_files import (
    TOKENIZER_JSON,
    TokenizerFiles,
)


def read_json(files: TokenizerFiles) -> Any:
    from tokenizers import Tokenizer

    content = files.require(TOKENIZER_JSON, "tokenizer")
    try:
        return Tokenizer.from_str(content.decode("utf-8"))
    except Exception as error:  # the library raises bare Exception
        raise ConfigError(f"{files.origin}/{TOKENIZER_JSON}: {error}") from None


def _model(files: TokenizerFiles) -> dict[str, Any]:
    model = files.json(TOKENIZER_JSON).get("model")
    if not isinstance(model, dict) or "vocab" not in model:
        raise ConfigError(f"{files.origin}/{TOKENIZER_JSON}: model.vocab is missing")
    return model


def json_is_unigram(files: TokenizerFiles) -> bool:
    """Returns whether `tokenizer.json` holds the pieces and scores of a Unigram model."""
    return isinstance(_model(files)["vocab"], list)


def json_scores(files: TokenizerFiles) -> Scored:
    vocab = _model(files)["vocab"]
    if not isinstance(vocab, list):
        raise ConfigError(
            f"{files.origin}/{TOKENIZER_JSON}: model.vocab is a {type(vocab).__name__}, expected "
            "the list of pieces and scores of a Unigram model"
        )
    return [(str(piece), float(score)) for piece, score in vocab]


def json_pieces(files: TokenizerFiles) -> dict[str, int]:
    """Returns the ids of the tokens of `tokenizer.json`, added tokens left out."""
    vocab = _model(files)["vocab"]
    if isinstance(vocab, list):
        vocab = {entry[0] if isinstance(entry, list) else entry: i for i, entry in enumerate(vocab)}
    return vocab


def json_merges(files: TokenizerFiles) -> tuple[dict[str, int], list[tuple[str, str]]]:
    model = _model(files)
    merges = []
    for merge in model.get("merges", []):
        first, second = merge.split(" ") if isinstance(merge, str) else merge
        merges.append((first, second))
    return json_pieces(files), merges


def json_charsmap(files: TokenizerFiles) -> bytes | None:
    normalizer = files.json(TOKENIZER_JSON).get("normalizer")
    if not normalizer:
        return None
    parts = normalizer["normalizers"] if normalizer.get("type") == "Sequence" else [normalizer]
    for part in parts:
        if part.get("type") == "Precompiled" and "precompiled_charsmap" in part:
            return base64.b64decode(part["precompiled_charsmap"])
    return None
