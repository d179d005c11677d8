"""Reads the sources of a call: as lists of ids, or arrays, after checking them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from keras import ops

from keras_s2s.data.checks.flat_ids import flat_ids
from keras_s2s.decoding.model_parts import ModelParts
from keras_s2s.layers.contracts import SOURCE_MASK
from keras_s2s.text.languages import Language
from keras_s2s.text.row_error import RowError
from keras_s2s.text.truncation import Overlong, Side, check_overlong, fitting


def source_rows(
    parts: ModelParts,
    x: Any,
    src_lang: Language = None,
    tgt_lang: Language = None,
    overlong: Overlong = "error",
) -> tuple[list[Any], bool]:
    """Returns the sources of a call, and whether the results are texts.

    Args:
        parts: of the model.
        x: a text, texts, or a mapping with the inputs of the frontend: for token ids
            `encoder_token_ids` and `encoder_padding_mask`, `[B, S]` each. Where sources are
            feature vectors also a list of arrays `[S, F]`.
        src_lang, tgt_lang: languages of texts: one for all, or one for each.
        overlong: what is done with a source that is longer than the model's positions.

    Returns:
        a list of ids, or an array `[S, ...]`, for each source; and whether the results are texts,
        which they are for texts, and for sources that are neither texts nor ids where the model
        has a preprocessor.

    Raises:
        TypeError: `x` is none of these.
        ValueError: ids outside the vocabulary; sources that are empty or too long; languages for
            sources that are not texts.
    """
    name = parts.network.frontend.input.name
    if isinstance(x, Mapping):
        missing = {name, SOURCE_MASK} - set(x)
        if missing:
            raise ValueError(f"the input mapping lacks {', '.join(sorted(missing))}")
        rows: Any = unpadded(x[name], x[SOURCE_MASK], name)
        is_text = False
    else:
        is_text = parts.network.frontend.reads_text
        rows = _listed(x, name, is_text)
    if not parts.network.frontend.reads_text:
        refuse_languages_of_ids(parts, src_lang, tgt_lang)
        return feature_rows(parts, rows, overlong), parts.preprocessor is not None
    if is_text:
        rows = parts.require_preprocessor().encode_source(rows, src_lang, tgt_lang)
    else:
        refuse_languages_of_ids(parts, src_lang, tgt_lang)
    return checked_rows(parts, rows, "source", overlong), is_text


def _listed(x: Any, name: str, is_text: bool) -> list[Any]:
    """Returns sources that are not a mapping as a list of texts or of arrays."""
    mapping = f"a mapping with {name} and {SOURCE_MASK}"
    if not isinstance(x, Iterable):
        takes = "a text, a list of texts" if is_text else "a list of arrays"
        raise TypeError(f"got {x!r}; generate() takes {takes}, or {mapping}")
    rows = [x] if isinstance(x, str) else list(x)
    for i, row in enumerate(rows):
        if is_text and not isinstance(row, str):
            raise TypeError(
                f"element {i} is a {type(row).__name__}; generate() takes texts, or {mapping}"
            )
        if isinstance(row, str) and not is_text:
            raise TypeError(
                f"element {i} is a text, but sources of this model are {name}; generate() takes "
                f"a list of arrays, or {mapping}"
            )
    return rows


def feature_rows(parts: ModelParts, rows: Sequence[Any], overlong: Overlong) -> list[Any]:
    """Returns sources that are arrays, after checking that they are not empty or too long.

    Raises:
        ValueError: another shape, or numbers that are not finite.
        RowError: sources that are empty, or too long where that is an error.
    """
    check_overlong(overlong)
    frontend = parts.network.frontend
    checked = [frontend.row(row, f"source {i}") for i, row in enumerate(rows)]
    limit = frontend.max_length
    wrong = {
        i: "is empty: it has no vector at all" for i, row in enumerate(checked) if not len(row)
    }
    if limit is not None and overlong == "error":
        wrong |= {
            i: f"has {len(row)} vectors, but the model has positions for {limit}"
            for i, row in enumerate(checked)
            if len(row) > limit
        }
    if wrong:
        raise RowError("source", wrong)
    return [row[:limit] for row in checked]


def refuse_languages_of_ids(parts: ModelParts, src_lang: Language, tgt_lang: Language) -> None:
    """Raises an error for a language that a call names, where sources are not texts.

    The ids of a source hold its language, and in some models that of its target; only the language
    that the decoder starts with may be named.

    Raises:
        ValueError: another language was named.
    """
    languages = parts.special_ids.languages
    if src_lang is not None:
        raise ValueError(
            f"src_lang={src_lang!r} is for texts: sources that are not texts already have "
            "the id of their language, where the model uses one"
        )
    if tgt_lang is None:
        return
    if languages is None and parts.preprocessor is None:
        raise ValueError("tgt_lang needs a preprocessor that knows languages; there is none")
    if languages is not None and languages.target == "source_prefix":
        raise ValueError(
            f"tgt_lang={tgt_lang!r} is for texts: this model reads its target language at the "
            "beginning of the source, so ids of sources already have it"
        )


def checked_rows(
    parts: ModelParts, rows: Sequence[Any], side: Side, overlong: Overlong = "error"
) -> list[list[int]]:
    """Returns sources or targets that are lists of ids, after checking that they fit the side's
    vocabulary and positions.

    Raises:
        ValueError: ids outside the vocabulary, or something else than lists of ids.
        RowError: sources or targets that are empty, or too long where that is an error.
    """
    check_overlong(overlong)
    vocabulary = getattr(parts.preset.architecture, f"{side}_vocab_size")
    checked: list[list[int]] = [
        flat_ids(f"{side} {i}", row, vocabulary, side).tolist() for i, row in enumerate(rows)
    ]
    if empty := {i: "is empty: it has no id at all" for i, row in enumerate(checked) if not row}:
        raise RowError(side, empty)
    length = getattr(parts.network, f"max_{side}_length")
    limit = "the model has positions for {}"
    if parts.preprocessor is not None:
        return parts.preprocessor.fit_rows(checked, side, length, overlong, limit=limit)
    return fitting(checked, length, parts.special_ids, side, overlong=overlong, limit=limit)


def unpadded(values: Any, mask: Any, name: str) -> list[np.ndarray]:
    """Returns the sources without their padding, from padded arrays.

    Args:
        values: `[B, S, ...]`, ids or feature vectors.
        mask: bool `[B, S]`, True at real positions.
        name: what messages call `values`.

    Returns:
        NumPy arrays `[S, ...]`.

    Raises:
        ValueError: shapes that differ, a source without a real position, or padding before the end.
    """
    values = np.asarray(ops.convert_to_numpy(values))
    mask = np.asarray(ops.convert_to_numpy(mask)).astype(bool)
    if mask.ndim != 2 or values.shape[:2] != mask.shape:
        raise ValueError(
            f"{name} and encoder_padding_mask must share one shape [batch, length], "
            f"got {values.shape} and {mask.shape}"
        )
    lengths = mask.sum(axis=1)
    for i, (row, length) in enumerate(zip(mask, lengths, strict=True)):
        if not length:
            raise ValueError(f"encoder_padding_mask: row {i} has no real position")
        if not row[:length].all():
            raise ValueError(f"encoder_padding_mask: row {i} is not padded at its end only")
    return [row[:length] for row, length in zip(values, lengths, strict=True)]
