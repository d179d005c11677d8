"""Shapes of a network's variables, told from its configuration: nothing is made for it."""

from __future__ import annotations

from keras_s2s.checkpoints.ctranslate2.variables import entries
from keras_s2s.config import ArchitectureConfig, TransformerConfig


def variable_shapes(architecture: ArchitectureConfig) -> dict[str, tuple[int, ...]] | None:
    """Path of every variable -> its shape; None for networks that are no Transformers.

    The table of CTranslate2's variables names all of ours, with their shapes.
    """
    sides = (architecture.encoder, architecture.decoder)
    if not all(isinstance(side, TransformerConfig) for side in sides):
        return None
    shapes: dict[str, tuple[int, ...]] = {}
    for entry in entries(architecture):
        # One of theirs is several of ours along its first axis.
        shape = (entry.shape[0] // len(entry.paths), *entry.shape[1:])
        for path in entry.paths:
            shapes.setdefault(path, shape[::-1] if entry.transposed else shape)
    return shapes
