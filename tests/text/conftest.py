"""Trained tokenizers that several tests share."""

from __future__ import annotations

import pytest
from text_samples import CORPUS, KINDS

from keras_s2s.config import TokenizerConfig
from keras_s2s.text import Tokenizer, train_tokenizer


@pytest.fixture(scope="session")
def tokenizers() -> dict[str, Tokenizer]:
    """One tokenizer of every kind, trained on the same few sentences."""
    return {kind: train_tokenizer(CORPUS, TokenizerConfig(kind=kind)) for kind in KINDS}


@pytest.fixture(params=KINDS)
def tokenizer(request, tokenizers) -> Tokenizer:
    """Each kind in turn."""
    return tokenizers[request.param]
