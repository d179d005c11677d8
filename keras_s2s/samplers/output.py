"""What a generation returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class GenerationOutput:
    """Hypotheses and their scores; n-best results have an axis N after the batch.

    Attributes:
        token_ids: int32 `[B, T]` or `[B, N, T]`, after the decoder start; EOS, then PAD.
        lengths: int32 `[B]` or `[B, N]`; EOS counted, PAD not.
        scores: float32 `[B]` or `[B, N]`. Beam search: the accumulated processed
            log-probabilities over length to the power of the length penalty. Greedy and
            sampling: the sum of the model's log-probabilities.
        token_log_probs: float32, shaped like `token_ids`: the model's own log-probabilities,
            zero after EOS.
        texts: a text, or a list of N texts, for each source; None without a tokenizer.
        attentions: float32 `[B, T, S]` or `[B, N, T, S]`, attention to the source at each
            generated id; None unless asked for.
    """

    token_ids: np.ndarray
    lengths: np.ndarray
    scores: np.ndarray
    token_log_probs: np.ndarray
    texts: list[Any] | None = None
    attentions: np.ndarray | None = None
