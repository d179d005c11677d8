"""Outputs of texts whose results were chosen among several."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from keras_s2s.export.saved_model.graph_model import NO_SCORE
from keras_s2s.serving.models.served_model import Row

if TYPE_CHECKING:
    from keras_s2s.reranking import RankedTexts


def ranked_rows(found: RankedTexts, count: int | None, pad: int) -> list[Row]:
    """Returns the outputs of each source, as those of a search.

    Args:
        found: the candidates of each source.
        count: results of each source, N; places for which there is no candidate are empty, as those
            of a search are. None returns the best alone, without the axis N.
        pad: fills up `token_ids`.

    Returns:
        for each source `text`, `token_ids` int32 `[N, T]`, `lengths` int32 `[N]`, and `scores`
        float32 `[N]`, by which the candidates are ranked.
    """
    rows = []
    for texts, values, ids in zip(found.candidates, found.values, found.token_ids, strict=True):
        several = count or 1
        lacking = several - len(texts[:several])
        lengths = [len(each) for each in ids[:several]] + [0] * lacking
        token_ids = np.full((several, max(lengths)), pad, "int32")
        for row, each in zip(token_ids, ids, strict=False):
            row[: len(each)] = each
        outputs: Row = {
            "text": [*texts[:several], *[""] * lacking],
            "token_ids": token_ids,
            "lengths": np.array(lengths, "int32"),
            "scores": np.array([*values[:several], *[NO_SCORE] * lacking], "float32"),
        }
        if count is None:
            outputs = {name: value[0] for name, value in outputs.items()}
        rows.append(outputs)
    return rows
