"""Recognises texts where `fit` expects batches, and raises an error with the remedy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    pass


def refuse_texts(data: Any, call: str) -> None:
    """Raises an error for texts where batches of ids are needed, with the way to make them.

    Args:
        data: what a user gave as training or validation data.
        call: the call, for the message, with `{}` in the place of the data.

    Raises:
        ValueError: `data` is a text, or its first element is a text or a pair of texts.
    """
    if is_texts(data):
        raise ValueError(
            "the model trains on batches of ids, and this is text; wrap the pairs: "
            + call.format("data.Batches(pairs, model.preprocessor)")
        )


def is_texts(data: Any) -> bool:
    """Returns whether `data` is a text, or its first element is a text or a pair of texts."""
    first = data
    if hasattr(data, "iloc") or "string" in str(getattr(data, "element_spec", "")):
        return True  # a DataFrame, or a tf.data.Dataset of texts
    for _ in range(3):  # a text, a list of texts, a list of pairs
        if isinstance(first, str | bytes | np.str_ | np.bytes_):
            return True
        if isinstance(first, Mapping):
            first = list(first.values())
        if not isinstance(first, list | tuple | np.ndarray) or not len(first):
            return False
        first = first[0]
    return False
