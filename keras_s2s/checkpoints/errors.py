"""Errors about model folders."""

from __future__ import annotations


class CheckpointError(ValueError):
    """Raised for weights or files that do not fit their model; the message lists file and
    tensors.
    """
