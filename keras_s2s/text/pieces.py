"""Text as it grows: what of an unfinished sequence can be shown already."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from keras_s2s.text.preprocessor import Preprocessor


def text_pieces(
    preprocessor: Preprocessor, results: Iterable[tuple[Any, Any]]
) -> Iterator[list[str]]:
    """What is new in the text of each row.

    A later id can change how earlier ones read: the bytes of one character are several ids, and
    a sign joins the word before it. So a piece is shown once two results in a row agree on it.

    Args:
        preprocessor: ids -> text.
        results: `(ids int [B, T], lengths int [B])`, growing.

    Yields:
        a text for each row, possibly empty; joined up they are the text of the last result.
    """
    shown: list[str] = []
    before: list[str] = []
    for ids, lengths in results:
        texts = preprocessor.decode_target(
            [row[:length].tolist() for row, length in zip(ids, lengths, strict=True)]
        )
        shown = shown or [""] * len(texts)
        pieces = []
        for i, text in enumerate(texts):
            agreed = _common_start(before[i], text) if before else ""
            agreed = agreed.rstrip("\ufffd")  # half a character
            new = agreed[len(shown[i]) :] if agreed.startswith(shown[i]) else ""
            shown[i] += new
            pieces.append(new)
        before = texts
        yield pieces
    yield [text[len(done) :] for text, done in zip(before, shown, strict=True)]


def _common_start(a: str, b: str) -> str:
    size = min(len(a), len(b))
    return a[: next((i for i in range(size) if a[i] != b[i]), size)]
