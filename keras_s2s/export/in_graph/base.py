"""Base class of tokenizers in TensorFlow ops."""

from __future__ import annotations

import abc
from typing import Any


class InGraphTokenizer(abc.ABC):
    """Base class of tokenizers in TensorFlow ops.

    Attributes:
        resources: objects that the exported module must keep a reference to, e.g. tables and
            models.
    """

    def __init__(self, tokenizer: Any) -> None:
        self.resources: list[Any] = []

    @staticmethod
    @abc.abstractmethod
    def check(tokenizer: Any) -> None:
        """Raises an error, without importing TensorFlow, for a tokenizer that has no equivalent in
        TensorFlow.

        Raises:
            ExportError: naming the tokenizer's kind and the option.
        """

    @staticmethod
    def needs_tensorflow_text(tokenizer: Any) -> bool:
        """Returns whether a graph with this tokenizer has ops of tensorflow-text."""
        normalizer = getattr(tokenizer, "normalizer", None)
        return normalizer is not None and normalizer.form != "none"

    @abc.abstractmethod
    def encode(self, texts: Any) -> Any:
        """Encodes valid UTF-8 `texts`, string `[B]`, as ragged int32 `[B, L]` without special
        ids.
        """

    @abc.abstractmethod
    def decode(self, ids: Any) -> Any:
        """Decodes ragged int32 `ids [B, L]`, none of them padding, BOS or EOS, to string `[B]`."""
