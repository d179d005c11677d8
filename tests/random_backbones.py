"""KerasHub backbones with random weights."""

from __future__ import annotations

from typing import Any

import numpy as np


def randomized(backbone: Any) -> Any:
    """The backbone, whose biases and norms are random now, too."""
    rng = np.random.default_rng(5)
    for variable in backbone.weights:
        values = rng.normal(0, 0.3, variable.shape).astype("float32")
        ones = "norm" in variable.path and variable.path.endswith(("gamma", "weight"))
        variable.assign(1 + values if ones else values)
    return backbone
