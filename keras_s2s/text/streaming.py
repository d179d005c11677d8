"""Streams text: finds the part of an unfinished sequence that can be shown already."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from keras_s2s.text.preprocessor import Preprocessor


def text_pieces(
    preprocessor: Preprocessor, results: Iterable[tuple[Any, Any]]
) -> Iterator[list[str]]:
    """Yields the new part of each row's text.

    A later id can change the text of earlier ones: the bytes of one character may be several ids,
    and a punctuation mark joins the word before it. A piece is shown once nothing that may follow
    changes it.

    Args:
        preprocessor: ids -> text.
        results: `(ids int [B, T], lengths int [B])`, growing.

    Yields:
        a text for each row, possibly empty; joined up they are the text of the last result.

    Raises:
        RuntimeError: a tokenizer has changed a text that `settled` had returned.
    """
    shown: list[str] = []
    rows: list[list[int]] = []
    for ids, lengths in results:
        rows = [row[:length].tolist() for row, length in zip(ids, lengths, strict=True)]
        shown = shown or [""] * len(rows)
        pieces = []
        for i, text in enumerate(preprocessor.settled_target(rows)):
            new = text[len(shown[i]) :]
            shown[i] += new
            pieces.append(new)
        yield pieces
    texts = preprocessor.decode_target(rows)
    for text, done in zip(texts, shown, strict=True):
        if not text.startswith(done):
            raise RuntimeError(
                f"{done!r} was shown, but the text is {text!r}: `settled` of the target's "
                "tokenizer returned text that later ids changed"
            )
    yield [text[len(done) :] for text, done in zip(texts, shown, strict=True)]
