"""A Transformer of eight units and batches of random ids, which train in no time."""

from __future__ import annotations

import numpy as np

from keras_s2s.data import Batches
from keras_s2s.model import Seq2SeqLM


def small_model(dropout: float = 0.0) -> Seq2SeqLM:
    """A model of 16 ids, not compiled yet, with one layer on each side."""
    return Seq2SeqLM.from_preset(
        "transformer_tiny",
        load_weights=False,
        architecture={
            "source_vocab_size": 16,
            "target_vocab_size": 16,
            "shared": {
                "hidden_dim": 8,
                "num_heads": 2,
                "intermediate_dim": 8,
                "num_layers": 1,
                "dropout": dropout,
                "embedding": {"dim": 8, "dropout": dropout},
            },
        },
    )


def small_batches(model: Seq2SeqLM, pairs: int, num_buckets: int) -> Batches:
    """Batches of four pairs of two to five ids."""
    draw = np.random.default_rng(0)
    end = model.special_ids.target.eos
    ids = [
        (draw.integers(4, 16, n).tolist(), [*draw.integers(4, 16, n).tolist(), end])
        for n in draw.integers(2, 6, pairs)
    ]
    return Batches(ids, special_ids=model.special_ids, batch_size=4, num_buckets=num_buckets)
