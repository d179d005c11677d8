"""Text infilling: BART's pre-training task [Lewis 2020, section 2.2].

    text     A man is playing a guitar on the street .
    source   A man <mask> a guitar <mask> on the <mask> .
    target   A man is playing a guitar on the street .

Each span of any length is replaced by one mask token; a span of length zero puts a mask
token where nothing is missing. So the model has to learn how much is missing.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from keras_s2s.data.objectives.objective import Objective, checked_number, distinct_ids

if TYPE_CHECKING:
    from keras_s2s.text.tokenizer import Tokenizer


class TextInfilling(Objective):
    """Replaces each span by one mask token; the target is the whole text.

    A text of L ids loses exactly `round(L * mask_share)` of them, at least one. Span lengths are
    drawn from a Poisson distribution until they suffice, the last one cut to fit; their places
    are drawn uniformly from all places where they do not overlap. There are at most as many
    spans as lost ids (surplus spans of length zero are left out), so that a source never has more
    ids than its text.

    Args:
        mask_share: share of a text that is lost, above 0 and up to 1.
        mean_span_length: mean of the Poisson distribution, 1 or more.
        mask_id: id of the mask token; by default the tokenizer's.

    Raises:
        ValueError: an argument is outside its range.

    Example:
        >>> model = Seq2SeqLM.from_preset("bart_base")
        >>> bart = [SentencePermutation(), TextInfilling()]
        >>> batches = Batches(texts, model.preprocessor, objective=bart)
    """

    def __init__(
        self,
        *,
        mask_share: float = 0.3,
        mean_span_length: float = 3.0,
        mask_id: int | None = None,
    ) -> None:
        self.mask_share = checked_number("mask_share", mask_share, 0.0, 1.0)
        if self.mask_share == 0.0:
            raise ValueError("mask_share is 0; expected a share above 0, else nothing is lost")
        self.mean_span_length = checked_number("mean_span_length", mean_span_length, 1.0, np.inf)
        if math.isinf(self.mean_span_length):
            raise ValueError("mean_span_length is infinite; expected a number of ids")
        self.mask_id = None if mask_id is None else int(distinct_ids("mask_id", [mask_id])[0])

    def bind(self, tokenizer: Tokenizer | None) -> TextInfilling:
        mask_id = self.mask_id
        if mask_id is None and tokenizer is not None:
            mask_id = tokenizer.mask_id
        if mask_id is None:
            where = "there is no tokenizer" if tokenizer is None else "the tokenizer has none"
            raise ValueError(
                f"text infilling needs a mask token, and {where}; train one with it "
                "(text: {source: {kind: ..., mask: true}, joint: true} in a recipe, "
                "TokenizerConfig(mask=True)), or pass its id: TextInfilling(mask_id=...)"
            )
        return TextInfilling(
            mask_share=self.mask_share,
            mean_span_length=self.mean_span_length,
            mask_id=mask_id,
        )

    def __call__(self, ids: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        if self.mask_id is None:
            raise ValueError("the mask id is not known; pass mask_id=..., or call bind(tokenizer)")
        ids = np.asarray(ids, "int32")
        lengths = self.span_lengths(len(ids), rng)
        kept = len(ids) - int(lengths.sum())
        # The source: ids that are kept and spans, in any order. [kept + spans]
        is_span = np.zeros(kept + len(lengths), bool)
        is_span[rng.choice(len(is_span), len(lengths), replace=False)] = True
        covers = np.ones(len(is_span), int)
        covers[is_span] = lengths
        hidden = np.repeat(is_span, covers)  # [L]
        source = np.full(len(is_span), self.mask_id, "int32")
        source[~is_span] = ids[~hidden]
        return source, ids

    def span_lengths(self, length: int, rng: np.random.Generator) -> np.ndarray:
        """Draws the lengths of the spans of a text of `length` ids, zeros among them, in random
        order.
        """
        if not length:
            return np.zeros(0, int)
        lost = min(max(round(length * self.mask_share), 1), length)
        drawn = np.zeros(0, int)
        while drawn.sum() < lost:
            drawn = np.concatenate([drawn, rng.poisson(self.mean_span_length, lost)])
        ends = np.cumsum(drawn)
        last = int(np.searchsorted(ends, lost))  # the first span with which they suffice
        lengths = drawn[: last + 1]
        lengths[last] -= ends[last] - lost
        room = lost - int((lengths > 0).sum())
        surplus = np.flatnonzero(lengths == 0)[room:]
        return rng.permutation(np.delete(lengths, surplus))

    def longest(self, length: int) -> tuple[int, int]:
        return length, length

    @property
    def reserved(self) -> frozenset[int]:
        return frozenset() if self.mask_id is None else frozenset([self.mask_id])
