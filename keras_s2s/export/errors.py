"""Errors about exports that cannot be made."""

from __future__ import annotations


class ExportError(ValueError):
    """Raised for a model or an option that an export format does not support."""


class TokenizerExportError(ExportError):
    """Raised for a tokenizer that has no equivalent in a TensorFlow graph.

    Attributes:
        reason: the cause, without the remedy for callers in Python.
    """

    def __init__(self, reason: str, remedy: str) -> None:
        self.reason = reason
        super().__init__(f"{reason}. {remedy}")
