"""What the engines train: a Transformer's sizes, batches of random ids, and the optimiser."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from generation.model import Model

#: Sizes by name: of the network, and of a batch (rows, ids of a source, ids of a target).
SIZES: dict[str, dict[str, int]] = {
    "tiny": {
        "layers": 4,
        "hidden": 128,
        "heads": 4,
        "ffn": 256,
        "vocabulary": 8_000,
        "rows": 128,
        "length": 24,
    },
    "small": {
        "layers": 4,
        "hidden": 256,
        "heads": 4,
        "ffn": 1024,
        "vocabulary": 8_000,
        "rows": 64,
        "length": 32,
    },
    # For tests of the benchmark itself.
    "least": {
        "layers": 1,
        "hidden": 8,
        "heads": 2,
        "ffn": 16,
        "vocabulary": 50,
        "rows": 4,
        "length": 5,
    },
}

#: Distinct batches, which a run goes through again and again.
BATCHES = 4
LEARNING_RATE = 1e-4
DROPOUT = 0.1
LABEL_SMOOTHING = 0.1
#: Ids below this one have a meaning of their own.
FIRST_WORD = 4


@dataclass(frozen=True)
class Job:
    """One model and its batches.

    Attributes:
        name: a key of `SIZES`.
        rows, length: of a batch; every position is a real token.
    """

    name: str
    rows: int
    length: int

    @property
    def tokens(self) -> int:
        """Target tokens of a batch."""
        return self.rows * self.length

    def batches(self, model: Model, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """Source ids and labels, int32 `[rows, length]` each; both end in EOS."""
        rng = np.random.default_rng(seed)
        shape = (BATCHES, 2, self.rows, self.length)
        ids = rng.integers(FIRST_WORD, model.vocabulary, shape, dtype=np.int32)
        ids[..., -1] = model.eos
        return [(source, labels) for source, labels in ids]


def sized(name: str) -> tuple[Model, Job]:
    """The model and the batches of a size."""
    sizes: dict[str, Any] = dict(SIZES[name])
    job = Job(name, sizes.pop("rows"), sizes.pop("length"))
    layers = sizes.pop("layers")
    return Model(encoder_layers=layers, decoder_layers=layers, **sizes), job


def decoder_inputs(labels: np.ndarray, model: Model) -> np.ndarray:
    """Labels moved by one, behind the decoder start."""
    start = np.full((len(labels), 1), model.decoder_start, labels.dtype)
    return np.concatenate([start, labels[:, :-1]], axis=1)
