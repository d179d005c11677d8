"""The error of an export that cannot be made."""

from __future__ import annotations


class ExportError(ValueError):
    """A model that cannot be exported as asked; the message says why and what to do."""


class TokenizerExportError(ExportError):
    """A tokenizer that has no twin in a TensorFlow graph.

    Attributes:
        reason: why, without what to do from Python.
    """

    def __init__(self, reason: str, remedy: str) -> None:
        self.reason = reason
        super().__init__(f"{reason}. {remedy}")
