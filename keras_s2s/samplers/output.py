"""The result of a generation."""

from __future__ import annotations

from collections.abc import Sequence
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
        candidates: int32 `[B]`, the number of ids that a shortlist left for each source, over
            which log-probabilities and scores are normalised; None where all ids were.
    """

    token_ids: np.ndarray
    lengths: np.ndarray
    scores: np.ndarray
    token_log_probs: np.ndarray
    texts: list[Any] | None = None
    attentions: np.ndarray | None = None
    candidates: np.ndarray | None = None


def merged(
    parts: Sequence[GenerationOutput], places: Sequence[Sequence[int]], pad: int
) -> GenerationOutput:
    """Merges outputs of parts of a batch, in the order of the batch.

    Args:
        parts: one output for each part.
        places: numbers of the sources of each part, among all.
        pad: fills up ids.
    """
    if len(parts) == 1:
        return parts[0]
    order = np.argsort(np.concatenate([np.asarray(part, int) for part in places]))

    def joined(name: str, axes: int, fill: float) -> Any:
        """Joins one field of all parts; its last `axes` axes may differ in length."""
        values = [getattr(part, name) for part in parts]
        if values[0] is None:
            return None
        sizes = [max(v.shape[-1 - a] for v in values) for a in range(axes)]
        padded = [
            np.pad(
                v,
                [(0, 0)] * (v.ndim - axes)
                + [(0, sizes[a] - v.shape[-1 - a]) for a in reversed(range(axes))],
                constant_values=fill,
            )
            for v in values
        ]
        return np.concatenate(padded)[order]

    return GenerationOutput(
        token_ids=joined("token_ids", 1, pad),
        lengths=joined("lengths", 0, 0),
        scores=joined("scores", 0, 0),
        token_log_probs=joined("token_log_probs", 1, 0),
        attentions=joined("attentions", 2, 0),
    )
