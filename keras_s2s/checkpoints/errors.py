"""What goes wrong with a model folder."""

from __future__ import annotations


class CheckpointError(ValueError):
    """Weights or files that do not fit their model; the message lists file and tensors."""
