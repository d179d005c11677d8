"""Span corruption: T5's pre-training task [Raffel 2020, sections 3.1.4 and 3.3.3].

    text     Thank you for inviting me to your party last week
    source   Thank you <X> me to your party <Y> week
    target   <X> for inviting <Y> last <Z>

Each span of the text is replaced by another sentinel; the target has the hidden spans.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from keras_s2s.data.objectives.objective import Objective, checked_number, distinct_ids

if TYPE_CHECKING:
    from keras_s2s.text.tokenizer import Tokenizer


class SpanCorruption(Objective):
    """Replaces spans by sentinels; the target consists of the spans.

    A text of L ids loses `round(L * noise_density)` of them, at least one and never all, in
    `round(lost / mean_span_length)` spans, at least one. Their lengths, and those of what lies
    between them, are drawn uniformly from all ways to divide the ids.

    As in T5's own code a text begins with ids that are kept and ends in a lost span, and no
    sentinel ends the target; a short text, which has one span, therefore loses only its end. With
    `ends_in_span=False` a text may end with ids that are kept; then a last sentinel ends the
    target, the <Z> of the paper's example.

    Args:
        noise_density: share of a text that is lost, above 0 and below 1.
        mean_span_length: mean length of a lost span, 1 or more.
        ends_in_span: every text ends in a lost span.
        sentinels: ids of the sentinels in their order; by default the tokenizer's. A text with
            more spans than there are sentinels gets fewer, longer spans.

    Raises:
        ValueError: an argument is outside its range.

    Example:
        >>> model = Seq2SeqLM.from_preset("flan_t5_small")
        >>> batches = Batches(texts, model.preprocessor, objective=SpanCorruption())
    """

    shortest: ClassVar[int] = 2
    restores_text: ClassVar[bool] = False

    def __init__(
        self,
        *,
        noise_density: float = 0.15,
        mean_span_length: float = 3.0,
        ends_in_span: bool = True,
        sentinels: Sequence[int] | None = None,
    ) -> None:
        self.noise_density = checked_number("noise_density", noise_density, 0.0, 1.0)
        if self.noise_density in (0.0, 1.0):
            raise ValueError(
                f"noise_density is {noise_density}; expected a share above 0 and below 1: "
                "something must be lost, and something kept"
            )
        self.mean_span_length = checked_number("mean_span_length", mean_span_length, 1.0, np.inf)
        if math.isinf(self.mean_span_length):
            raise ValueError("mean_span_length is infinite; expected a number of ids")
        self.ends_in_span = ends_in_span
        self.sentinels = None if sentinels is None else distinct_ids("sentinels", sentinels)
        if self.sentinels is not None and len(self.sentinels) <= self._last_sentinel:
            raise ValueError(
                "one sentinel does not suffice with ends_in_span=False, where another one may end "
                "the target; have two or more"
            )

    def bind(self, tokenizer: Tokenizer | None) -> SpanCorruption:
        sentinels: Sequence[int] | np.ndarray | None = self.sentinels
        if sentinels is None and tokenizer is not None:
            sentinels = tokenizer.sentinel_ids
        if sentinels is None or not len(sentinels):
            where = "there is no tokenizer" if tokenizer is None else "the tokenizer has none"
            raise ValueError(
                f"span corruption needs sentinels, and {where}; train one with sentinels "
                "(text: {source: {kind: ..., sentinels: 100}, joint: true} in a recipe, "
                "TokenizerConfig(sentinels=100)), or pass their ids: SpanCorruption(sentinels=...)"
            )
        return SpanCorruption(
            noise_density=self.noise_density,
            mean_span_length=self.mean_span_length,
            ends_in_span=self.ends_in_span,
            sentinels=np.asarray(sentinels).tolist(),
        )

    def __call__(self, ids: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        return corrupt_spans(ids, self.noise_mask(len(ids), rng), self._known_sentinels())

    def noise_mask(self, length: int, rng: np.random.Generator) -> np.ndarray:
        """Draws which ids of a text are lost, bool `[L]`.

        Raises:
            ValueError: `length` is below 2: nothing would be lost, or nothing kept.
        """
        noise, spans = self._counts(length)
        kept = length - noise
        lost_runs = _divide(noise, spans, rng)
        if self.ends_in_span:
            kept_runs = np.append(_divide(kept, spans, rng), 0)
        else:  # one run more, which may be empty
            kept_runs = _divide(kept + 1, spans + 1, rng)
            kept_runs[-1] -= 1
        runs = np.zeros(2 * spans + 1, int)  # kept, lost, kept, lost, ..., kept
        runs[::2], runs[1::2] = kept_runs, lost_runs
        return np.repeat(np.arange(len(runs)) % 2 == 1, runs)

    def longest(self, length: int) -> tuple[int, int]:
        noise, spans = self._counts(length)
        return length - noise + spans, noise + spans + self._last_sentinel

    @property
    def reserved(self) -> frozenset[int]:
        return frozenset(self._known_sentinels().tolist())

    def short_of(self, length: int) -> int:
        """Returns how many sentinels are missing for spans of the length `mean_span_length`."""
        wanted = self._wanted(length)[1] + self._last_sentinel
        return max(0, wanted - len(self._known_sentinels()))

    def _counts(self, length: int) -> tuple[int, int]:
        """Returns how many ids are lost, and in how many spans, of which each has a sentinel."""
        noise, spans = self._wanted(length)
        if self.sentinels is None:
            return noise, spans
        return noise, min(spans, len(self.sentinels) - self._last_sentinel)

    @property
    def _last_sentinel(self) -> int:
        """Number of sentinels beyond one a span: 1 where a target may end in one."""
        return 0 if self.ends_in_span else 1

    def _wanted(self, length: int) -> tuple[int, int]:
        if length < self.shortest:
            raise ValueError(f"a text of {length} ids cannot be divided; it needs 2 or more")
        noise = min(max(round(length * self.noise_density), 1), length - 1)
        spans = max(round(noise / self.mean_span_length), 1)
        # Every span, kept or lost, has an id of its own.
        return noise, min(spans, length - noise)

    def _known_sentinels(self) -> np.ndarray:
        if self.sentinels is None:
            raise ValueError(
                "the sentinels are not known yet; pass sentinels=..., or call bind(tokenizer)"
            )
        return self.sentinels


def corrupt_spans(
    ids: np.ndarray, noise_mask: np.ndarray, sentinels: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns source and target of a text whose lost ids are given.

    Args:
        ids: int `[L]`.
        noise_mask: bool `[L]`, True where an id is lost; the first one is kept.
        sentinels: int `[N]`, in their order.

    Returns:
        source: int32 `[S]`, each lost span replaced by the next sentinel.
        target: int32 `[T]`, each kept span replaced by the next sentinel.

    Raises:
        ValueError: the shapes differ, the first id is lost, or there are too few sentinels.

    Example:
        >>> corrupt_spans(np.array([5, 6, 7, 8]), np.array([0, 1, 1, 0], bool), np.array([99, 98]))
        (array([ 5, 99,  8], dtype=int32), array([99,  6,  7, 98], dtype=int32))
    """
    ids, noise_mask = np.asarray(ids, "int32"), np.asarray(noise_mask, bool)
    if ids.ndim != 1 or ids.shape != noise_mask.shape:
        raise ValueError(f"ids {ids.shape} and noise_mask {noise_mask.shape} must have one shape")
    if len(ids) and noise_mask[0]:
        raise ValueError(
            "the first id is lost: then target and source would count their sentinels differently"
        )
    return _replaced(ids, noise_mask, sentinels), _replaced(ids, ~noise_mask, sentinels)


def _replaced(ids: np.ndarray, hidden: np.ndarray, sentinels: np.ndarray) -> np.ndarray:
    """Returns `ids` with a sentinel in place of each run of hidden ones."""
    first = hidden & ~np.concatenate([[False], hidden[:-1]])
    spans = int(first.sum())
    if spans > len(sentinels):
        raise ValueError(f"{spans} spans, but {len(sentinels)} sentinels")
    result = ids.copy()
    result[first] = sentinels[:spans]
    return result[first | ~hidden]


def _divide(total: int, parts: int, rng: np.random.Generator) -> np.ndarray:
    """Draws the lengths of `parts` non-empty parts of `total`; all divisions are equally likely."""
    cuts = np.sort(rng.choice(total - 1, parts - 1, replace=False)) + 1
    return np.diff(np.concatenate([[0], cuts, [total]]))
