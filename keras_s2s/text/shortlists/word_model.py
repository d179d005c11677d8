"""Learns a shortlist from parallel text: translation probabilities of words by IBM model 1.

Model 1 [Brown et al. 1993, The Mathematics of Statistical Machine Translation, J93-2003] says that
each target word is drawn from the distribution of one source word of its sentence, or of an empty
word, each of them alike. Expectation maximisation finds these distributions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from keras_s2s.text.preprocessor import Preprocessor
from keras_s2s.text.shortlists.files import BEST, FIRST
from keras_s2s.text.shortlists.shortlist import MULTIPLE, Shortlist, check_numbers

#: Pairs of a source and a target position that are counted at a time.
BLOCK = 2**21
#: Pairs of texts that are encoded at a time.
TEXTS = 4096


def learn_shortlist(
    pairs: Iterable[tuple[str, str]],
    preprocessor: Preprocessor,
    *,
    first: int = FIRST,
    best: int = BEST,
    iterations: int = 5,
) -> Shortlist:
    """Learns which target ids a source may be translated with.

    Memory grows with the pairs of a source and a target id that occur together in a sentence: about
    50 bytes for each; for millions of sentences a sample of them does.

    Args:
        pairs: texts and their translations.
        preprocessor: of the model.
        first: the most frequent target ids, candidates of every source.
        best: most candidates of a source id, its likeliest translations.
        iterations: steps of expectation maximisation.

    Raises:
        ValueError: no pairs, one that is no pair of texts, or numbers that are too small.

    Example:
        >>> pairs = [("ein Hund", "a dog"), ("ein Mann", "a man")]
        >>> shortlist = learn_shortlist(pairs, model.preprocessor, first=1, best=2)
        >>> shortlist.candidates(model.preprocessor.encode_source(["ein Hund"])[0]).dtype
        dtype('int32')
    """
    check_numbers(first=(first, 0), best=(best, 1), iterations=(iterations, 1))
    sources, targets = _encoded(pairs, preprocessor)
    if not sources:
        raise ValueError(
            "a shortlist is learnt from pairs of texts, and there are none without a blank side"
        )
    size = preprocessor.target.vocabulary_size
    known, ids, probabilities = translation_table(sources, targets, iterations)
    # Likeliest first; of equal ones, the lower id.
    order = np.lexsort((ids, -probabilities, known))
    known, ids, probabilities = known[order], ids[order], probabilities[order]
    begins = np.searchsorted(known, known)
    kept = (np.arange(len(known)) - begins < best) & (probabilities > 0)
    known, ids = known[kept], ids[kept]
    order = np.lexsort((ids, known))
    known, ids = known[order], ids[order]
    words = int(known.max(initial=0)) + 1
    counts = np.bincount(np.concatenate([np.asarray(row) for row in targets]), minlength=size)
    frequent = np.argsort(-counts, kind="stable")[:first]
    return Shortlist(
        np.searchsorted(known, np.arange(words + 1)).astype("int64"),
        ids.astype("int32"),
        np.sort(frequent[counts[frequent] > 0]).astype("int32"),
        target_size=size,
        shared=preprocessor.joint,
        multiple=MULTIPLE,
    )


def _encoded(
    pairs: Iterable[tuple[str, str]], preprocessor: Preprocessor
) -> tuple[list[list[int]], list[list[int]]]:
    """Returns the ids of both sides, without pairs of which one side is blank."""
    sources: list[list[int]] = []
    targets: list[list[int]] = []
    texts = [_pair(i, pair) for i, pair in enumerate(pairs)]
    texts = [(source, target) for source, target in texts if source.strip() and target.strip()]
    for begin in range(0, len(texts), TEXTS):
        part = texts[begin : begin + TEXTS]
        for source, target in zip(
            preprocessor.encode_source([source for source, _ in part]),
            preprocessor.encode_target([target for _, target in part]),
            strict=True,
        ):
            sources.append(list(source))
            targets.append(list(target))
    return sources, targets


def _pair(number: int, pair: Any) -> tuple[str, str]:
    if isinstance(pair, tuple | list) and len(pair) == 2 and all(isinstance(x, str) for x in pair):
        return pair[0], pair[1]
    raise ValueError(f"pair {number} is {pair!r:.60}; expected a text and its translation")


def translation_table(
    sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]], iterations: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Computes model 1.

    Args:
        sources, targets: ids of sentences and of their translations.
        iterations: steps of expectation maximisation, from equal probabilities on.

    Returns:
        source ids, target ids and the probability of the latter, given the former, of each pair of
        ids that stand in a sentence and its translation.

    Example:
        >>> known, ids, p = translation_table([[1, 2], [1]], [[7, 8], [7]], 50)
        >>> [(int(i), int(j)) for i, j, x in zip(known, ids, p) if x > 0.9]
        [(1, 7), (2, 8)]
    """
    base = 1 + max(max(row) for row in targets)
    # The empty word stands before the others: id 0, and all others are one higher.
    sources = [[0, *(i + 1 for i in row)] for row in sources]
    found = np.zeros(0, np.int64)
    for keys, _ in _blocks(sources, targets, base):
        found = np.union1d(found, keys)
    words = found // base
    probabilities = np.ones(len(found))
    for _ in range(iterations):
        counts = np.zeros(len(found))
        for keys, positions in _blocks(sources, targets, base):
            places = np.searchsorted(found, keys)
            weights = probabilities[places]
            shares = weights / np.bincount(positions, weights)[positions]
            counts += np.bincount(places, shares, len(found))
        probabilities = counts / np.bincount(words, counts)[words]
    real = words > 0
    return words[real] - 1, found[real] % base, probabilities[real]


def _blocks(
    sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]], base: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields pairs of positions of whole sentences: a key of the two ids, and the number of the
    target position in the block.
    """
    keys: list[np.ndarray] = []
    positions: list[np.ndarray] = []
    held = begun = 0
    for source, target in zip(sources, targets, strict=True):
        s, t = np.asarray(source, np.int64), np.asarray(target, np.int64)
        keys.append((s[None] * base + t[:, None]).ravel())
        positions.append(np.repeat(np.arange(begun, begun + len(t)), len(s)))
        held, begun = held + len(s) * len(t), begun + len(t)
        if held >= BLOCK:
            yield np.concatenate(keys), np.concatenate(positions)
            keys, positions, held, begun = [], [], 0, 0
    if keys:
        yield np.concatenate(keys), np.concatenate(positions)
