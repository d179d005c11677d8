"""Text shown piece by piece is the text of the whole, for every kind of tokenizer."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from text_samples import SAMPLES

from keras_s2s.text import Tokenizer
from keras_s2s.text.pieces import text_pieces

REAL = [
    *(sample for sample in SAMPLES if len(sample) < 200),
    "두 젊은 남자가 밖에 있다. 값이 3.50 €!",
    "don't 'quote' it, she said: \"we'll (not) go\" -- it's 3,000.",
    "👨\u200d👩\u200d👧 and 🇰🇷, e\u0301te\u0301 𝔘𝔫𝔦𝔠𝔬𝔡𝔢",
]


def streamed(tokenizer: Tokenizer, rows: list[list[int]], stride: int) -> list[list[str]]:
    """The pieces that each row of ids is shown in, `stride` ids at a time, side by side."""

    def results() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        longest = max(map(len, rows))
        for count in [*range(stride, longest, stride), longest]:
            ids = np.full((len(rows), longest), 99, "int32")
            for i, row in enumerate(rows):
                ids[i, : min(count, len(row))] = row[:count]
            yield ids, np.asarray([min(count, len(row)) for row in rows])

    decoder: Any = SimpleNamespace(decode_target=lambda ids: [tokenizer.decode(row) for row in ids])
    steps = list(text_pieces(decoder, results()))
    assert all(len(step) == len(rows) for step in steps)
    return [list(pieces) for pieces in zip(*steps, strict=True)]


@pytest.mark.parametrize("stride", [1, 3])
def test_real_texts(tokenizer, stride):
    rows = [tokenizer.encode(text) for text in REAL]
    for row, pieces in zip(rows, streamed(tokenizer, rows, stride), strict=True):
        assert "".join(pieces) == tokenizer.decode(row)
        if tokenizer.unk_id not in row and "\ufffd" not in tokenizer.decode(row):
            assert not any("\ufffd" in piece for piece in pieces), "half a character was shown"


@settings(max_examples=60)
@given(data=st.data(), stride=st.integers(1, 4))
def test_any_ids(tokenizers, data, stride):
    """Also those that no text has: bytes that are no characters, pieces that go on from nothing."""
    kind = data.draw(st.sampled_from(sorted(tokenizers)))
    ids = st.integers(0, tokenizers[kind].vocabulary_size - 1)
    rows = data.draw(st.lists(st.lists(ids, max_size=12), min_size=1, max_size=3))
    for row, pieces in zip(rows, streamed(tokenizers[kind], rows, stride), strict=True):
        assert "".join(pieces) == tokenizers[kind].decode(row)


def test_text_is_shown_while_it_grows(tokenizers):
    """Not at the end all at once: one id behind, and a character of several bytes in one piece."""
    tokenizer = tokenizers["byte"]
    (pieces,) = streamed(tokenizer, [tokenizer.encode("ab한e👍")], 1)
    assert [piece for piece in pieces if piece] == ["a", "b", "한", "e", "👍"]
