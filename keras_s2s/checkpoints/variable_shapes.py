"""Shapes of a network's variables, computed from its configuration without making it."""

from __future__ import annotations

from keras_s2s.checkpoints.ctranslate2.variables import entries, inexpressible
from keras_s2s.config import ArchitectureConfig, TransformerConfig


def variable_shapes(architecture: ArchitectureConfig) -> dict[str, tuple[int, ...]] | None:
    """Returns the shape of every variable by its path; None for networks other than Transformers,
    and for those that CTranslate2 does not have.

    They are taken from the table of CTranslate2's variables, which has all of them.
    """
    sides = (architecture.encoder, architecture.decoder)
    if not all(isinstance(side, TransformerConfig) for side in sides):
        return None
    if inexpressible(architecture):
        return None
    shapes: dict[str, tuple[int, ...]] = {}
    for entry in entries(architecture):
        # A variable of CTranslate2 may hold several weights along its first axis.
        shape = (entry.shape[0] // len(entry.paths), *entry.shape[1:])
        for path in entry.paths:
            shapes.setdefault(path, shape[::-1] if entry.transposed else shape)
    return shapes
