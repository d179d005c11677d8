"""The error of an export that cannot be made."""

from __future__ import annotations


class ExportError(ValueError):
    """A model that cannot be exported as asked; the message says why and what to do."""
