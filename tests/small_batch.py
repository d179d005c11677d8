"""One batch of two pairs of ids, the second shorter than the first."""

from __future__ import annotations

from typing import Any

import numpy as np

INPUTS: dict[str, Any] = {
    "encoder_token_ids": np.array([[5, 6, 7, 3], [8, 3, 0, 0]], "int32"),
    "encoder_padding_mask": np.array([[1, 1, 1, 1], [1, 1, 0, 0]], bool),
    "decoder_token_ids": np.array([[2, 5, 6], [2, 4, 3]], "int32"),
    "decoder_padding_mask": np.array([[1, 1, 1], [1, 1, 0]], bool),
}
LABELS = np.array([[5, 6, 3], [4, 3, 0]], "int32")
