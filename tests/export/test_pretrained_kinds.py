"""Tokenizers of Hugging Face folders have no twin in a TensorFlow graph yet."""

from __future__ import annotations

import pytest

from keras_s2s.export.errors import ExportError
from keras_s2s.export.in_graph_tokenizers import IN_GRAPH_TOKENIZERS, check_tokenizer
from keras_s2s.text.pretrained.byt5 import ByT5Tokenizer
from keras_s2s.text.pretrained.tokenizer_files import TokenizerFiles
from keras_s2s.text.registry import PRETRAINED_TOKENIZERS


def test_they_are_refused_with_advice():
    assert not set(IN_GRAPH_TOKENIZERS) & set(PRETRAINED_TOKENIZERS)
    tokenizer = ByT5Tokenizer(TokenizerFiles({}, "test"))
    message = r"a byt5 tokenizer cannot be exported.*model\.preprocessor = None"
    with pytest.raises(ExportError, match=message):
        check_tokenizer(tokenizer)
