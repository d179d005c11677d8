"""A folder with an untrained model, for tests of commands: its answers differ by source."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from small_models import randomise

from keras_s2s import Seq2SeqLM
from keras_s2s.text import Preprocessor

PAIRS = [("ab c", "c ba"), ("abc", "cba"), ("가나", "나가")]

#: Most ids of a source, EOS counted.
POSITIONS = 12

SEED = 2


def save_small_model(
    directory: Path, pairs: Sequence[tuple[str, str]] = PAIRS, **generation: Any
) -> str:
    """A Transformer with learned positions, `POSITIONS` of them on either side."""
    model = Seq2SeqLM.from_preset(
        "transformer_tiny",
        load_weights=False,
        preprocessor=Preprocessor.train(pairs, "character"),
        architecture={
            "share_embeddings": False,
            "shared": {
                "hidden_dim": 8,
                "intermediate_dim": 8,
                "num_layers": 1,
                "num_heads": 2,
                "embedding": {"positions": "learned", "max_positions": POSITIONS},
            },
        },
        generation={"max_length": 6, "min_length": 5, **generation},
    )
    randomise(model, SEED, scale=3.0)  # the same answers on every backend
    model.save_to_preset(directory)
    return str(directory)
