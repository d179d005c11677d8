"""BPE dropout [Provilkov et al. 2020] for tokenizers of the `tokenizers` library, by a seed.

The library has it too (`tokenizers.models.BPE(dropout=...)`), but its random numbers cannot be
seeded, so that no run could be repeated or resumed. Here the library splits a text into words and
tells their tokens, and the merges are done again with its algorithm: merges of a word wait in the
order of their rank, each one that is due is left out with the given probability, and comes back
once another one was made.

Provilkov, Emelianenko, Voita 2020, BPE-Dropout: Simple and Effective Subword Regularization,
arXiv:1910.13267
"""

from __future__ import annotations

import functools
import heapq
import itertools
import json
import math
import random
from collections.abc import Sequence
from typing import Any, NamedTuple

from keras_s2s.config import ConfigError

#: Words that are kept.
WORDS = 100_000


class _Word(NamedTuple):
    """What is known of a word before anything is drawn.

    Attributes:
        symbols: ids of its symbols, before any merge.
        heap: the merges of neighbours: rank, position of the left one, new id.
        merged: ids after all merges.
        pops: how many merges come up where none is left out.
    """

    symbols: list[int]
    heap: list[tuple[int, int, int]]
    merged: list[int]
    pops: int


class BpeDropout:
    """Segments texts by a BPE model some of whose merges are left out at random.

    Args:
        pipeline: a `tokenizers.Tokenizer` whose model is BPE.

    Raises:
        ConfigError: the model is another one.
    """

    def __init__(self, pipeline: Any) -> None:
        model = json.loads(pipeline.to_str())["model"]
        if model["type"] != "BPE":
            raise ConfigError(f"the tokenizer's model is {model['type']}, not BPE")
        self._pipeline = pipeline
        self._ids: dict[str, int] = model["vocab"]
        self._tokens = {i: token for token, i in self._ids.items()}
        self._prefix: str = model.get("continuing_subword_prefix") or ""
        self._suffix: str = model.get("end_of_word_suffix") or ""
        #: (left id, right id) -> rank, id of both together.
        self._merges: dict[tuple[int, int], tuple[int, int]] = {}
        for rank, merge in enumerate(model["merges"]):
            left, right = merge.split(" ") if isinstance(merge, str) else merge
            both = self._ids[left + right.removeprefix(self._prefix)]
            self._merges[self._ids[left], self._ids[right]] = rank, both
        # Frequent words come again and again.
        self._word = functools.lru_cache(maxsize=WORDS)(self._read)

    def __getstate__(self) -> dict[str, Any]:
        # Copies for worker processes find words anew.
        return {name: value for name, value in vars(self).items() if name != "_word"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._word = functools.lru_cache(maxsize=WORDS)(self._read)

    def encode_batch(self, texts: Sequence[str], dropout: float, seed: int) -> list[list[int]]:
        """Encodes texts as ids, without special ids around them.

        Args:
            texts: the texts.
            dropout: the probability that a merge is left out, above 0.
            seed: of all that is drawn.
        """
        rng = random.Random(seed)
        rows = []
        # Not the fast variant, which does not tell which tokens make a word.
        for encoding in self._pipeline.encode_batch(list(texts), add_special_tokens=False):
            row: list[int] = []
            word: list[int] = []
            previous: int | None = None
            for i, place in zip(encoding.ids, encoding.word_ids, strict=True):
                if place != previous or place is None:
                    row += self._drawn(tuple(word), dropout, rng)
                    word = []
                word.append(i)
                previous = place
            row += self._drawn(tuple(word), dropout, rng)
            rows.append(row)
        return rows

    def _read(self, ids: tuple[int, ...]) -> _Word:
        """Takes the tokens of a word apart."""
        symbols: list[int] = []
        for position, i in enumerate(ids):
            symbols += self._symbols(i, position == 0, position == len(ids) - 1)
        heap = []
        for position, pair in enumerate(itertools.pairwise(symbols)):
            if pair in self._merges:
                rank, both = self._merges[pair]
                heap.append((rank, position, both))
        heapq.heapify(heap)
        word = _Word(symbols, heap, [], 0)
        merged, pops = self._merge(word, math.inf, 0.0, random.Random(0))
        return _Word(symbols, heap, merged, pops)

    def _symbols(self, i: int, first: bool, last: bool) -> list[int]:
        """Returns the ids of the characters of a token; itself where it is no merge of them, such
        as an added token, the unknown one, or a byte.
        """
        text = self._tokens.get(i)
        if text is None:
            return [i]
        if not first:
            text = text.removeprefix(self._prefix)
        if last and self._suffix:
            text = text.removesuffix(self._suffix)
        parts = list(text)
        parts = [part if first and n == 0 else self._prefix + part for n, part in enumerate(parts)]
        if last and parts:
            parts[-1] += self._suffix
        ids = [self._ids.get(part, -1) for part in parts]
        return [i] if -1 in ids or not self._is_merge(ids, i) else ids

    def _is_merge(self, symbols: list[int], i: int) -> bool:
        """Returns whether merging symbols gives a token: a token that only looks like text, such
        as `<unk>`, has no merges.
        """
        if len(symbols) < 2:
            return symbols == [i]
        return i in self._merged_ids

    @functools.cached_property
    def _merged_ids(self) -> frozenset[int]:
        return frozenset(both for _, both in self._merges.values())

    def _drawn(self, ids: tuple[int, ...], dropout: float, rng: random.Random) -> list[int]:
        if not ids:
            return []
        word = self._word(ids)
        if not word.pops:
            return word.merged
        # Most words lose nothing, and are known: the first merge that is left out is drawn
        # at once, by the geometric distribution.
        if dropout < 1:
            first = math.floor(math.log(1.0 - rng.random()) / math.log1p(-dropout))
            if first >= word.pops:
                return word.merged
        else:
            first = 0
        return self._merge(word, first, dropout, rng)[0]

    def _merge(
        self, word: _Word, first: float, dropout: float, rng: random.Random
    ) -> tuple[list[int], int]:
        """Merges a word; returns its ids, and how many merges came up.

        Args:
            word: symbols and first merges.
            first: number of the merge that is left out first, counted from 0.
            dropout: the probability that each one after it is left out.
            rng: draws them.
        """
        symbols: list[int | None] = list(word.symbols)
        size = len(symbols)
        after = list(range(1, size + 1))
        before = list(range(-1, size - 1))
        heap = list(word.heap)
        left_out: list[tuple[int, int, int]] = []
        pops = 0
        while heap:
            top = heapq.heappop(heap)
            number, pops = pops, pops + 1
            if number == first or (number > first and rng.random() < dropout):
                left_out.append(top)
                continue
            for waiting in left_out:
                heapq.heappush(heap, waiting)
            left_out.clear()
            _, left, both = top
            right = after[left]
            first_id = symbols[left]
            if first_id is None or right >= size:
                continue
            second_id = symbols[right]
            assert second_id is not None
            if self._merges.get((first_id, second_id), (0, -1))[1] != both:
                continue  # a neighbour was merged since
            symbols[left], symbols[right] = both, None
            after[left] = after[right]
            if after[left] < size:
                before[after[left]] = left
            for start, end in ((before[left], left), (left, after[left])):
                if start >= 0 and end < size:
                    pair = symbols[start], symbols[end]
                    found = self._merges.get(pair)  # type: ignore[arg-type]
                    if found is not None:
                        heapq.heappush(heap, (found[0], start, found[1]))
        return [i for i in symbols if i is not None], pops
