"""The pieces of a source and a target, as they are shown to a person, and the attention between."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from keras_s2s.analysis.alignment import attention_of_texts, token_spans, words_of_ids
from keras_s2s.text.languages import Language
from keras_s2s.text.truncation import Overlong

if TYPE_CHECKING:
    from keras_s2s.model import Seq2SeqLM


class Pieces(NamedTuple):
    """A source or a target as tokens, pieces of text and words. Lists have an entry for each id.

    Attributes:
        tokens: the tokenizer's own, printable; special ones included.
        texts: what each adds to the text. It is empty for special ids, and for the first bytes
            of a character.
        words: the number of the word that each belongs to; -1 for none (special ids, spaces).
    """

    tokens: list[str]
    texts: list[str]
    words: list[int]


class AttendedPieces(NamedTuple):
    """The pieces of a source and a target, with the attention between them.

    Attributes:
        source: S pieces.
        target: T pieces.
        attention: of each target piece to the source pieces, float32 `[T, S]`.
    """

    source: Pieces
    target: Pieces
    attention: np.ndarray


def attended_pieces(
    model: Seq2SeqLM,
    sources: Sequence[str],
    targets: Sequence[str | Sequence[int]],
    *,
    src_lang: Language = None,
    tgt_lang: Language = None,
    overlong: Overlong = "error",
    **scoring_options: Any,
) -> list[AttendedPieces]:
    """Returns the pieces of pairs and the attention between them, from a teacher-forced pass.

    Args:
        model: a `Seq2SeqLM` with attention and a preprocessor.
        sources: the texts.
        targets: texts, or ids as `generate` returns them.
        src_lang, tgt_lang: of all texts, or of each; by default the model's own.
        overlong: as in `Seq2SeqLM.generate`, of both texts.
        **scoring_options: to `Seq2SeqLM.score`: `batch_size`.

    Raises:
        NoAttentionError: the decoder has no attention.
        ValueError: the model has no preprocessor, or a text is too long.

    Example:
        >>> (pair,) = attended_pieces(model, ["ein Hund"], ["a dog"])
        >>> pair.attention.shape == (len(pair.target.tokens), len(pair.source.tokens))
        True
    """
    found = attention_of_texts(
        model,
        sources,
        targets,
        src_lang=src_lang,
        tgt_lang=tgt_lang,
        overlong=overlong,
        **scoring_options,
    )
    text = model.preprocessor
    assert text is not None
    return [
        AttendedPieces(
            _pieces(source_ids, text.source_tokens, text.decode_source),
            _pieces(target_ids, text.target_tokens, text.decode_target),
            attention,
        )
        for source_ids, target_ids, attention in found
    ]


def _pieces(
    ids: Sequence[int],
    name: Callable[[Sequence[int]], list[str]],
    decode: Callable[[list[list[int]]], list[str]],
) -> Pieces:
    text, spans = token_spans(ids, decode)
    _, words = words_of_ids(ids, decode)
    return Pieces(name(ids), [text[start:end] for start, end in spans], words)
