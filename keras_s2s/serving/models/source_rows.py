"""Rows of requests, as a preset's model reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from keras_s2s.serving.errors import RequestError
from keras_s2s.serving.models.served_model import Row


@dataclass(frozen=True)
class SourceRow:
    """A source: a text or ids; its languages and its seed; and a given target, if any."""

    source: Any
    target: Any = None
    src_lang: str | None = None
    tgt_lang: str | None = None
    seed: int | None = None


def languages_of(rows: Sequence[SourceRow]) -> dict[str, Any]:
    """Returns the languages of rows as keywords of a call; none where no row names one."""
    return {
        name: codes
        for name in ("src_lang", "tgt_lang")
        if any(codes := [getattr(row, name) for row in rows])
    }


def limit_of(rows: Sequence[Row], parameters: Mapping[str, Any]) -> dict[str, int]:
    """Returns the option `max_length` that the rows of a request name; 0 stands for the default."""
    asked = {row.get("max_length") or 0 for row in rows}
    if asked <= {0}:
        return {}
    if "max_length" in parameters:
        raise RequestError(400, "max_length and parameters.max_length exclude each other")
    if len(asked) > 1:
        raise RequestError(
            400,
            f"the rows of a request have different max_length: {sorted(asked)}; send those that "
            "differ as requests of their own",
        )
    return {"max_length": asked.pop()}


def seeds_of(seed: Any, rows: Sequence[Row]) -> list[int | None]:
    """Returns the seed of each row: its own, or one made from that of the request."""
    own = [row.get("seeds") for row in rows]
    if seed is None:
        return own
    if any(each is not None for each in own):
        raise RequestError(400, "seeds and parameters.seed exclude each other")
    if isinstance(seed, Sequence):
        if len(seed) != len(rows):
            raise RequestError(400, f"parameters.seed has {len(seed)} seeds for {len(rows)} rows")
        return list(seed)
    return [int(seed) + i for i in range(len(rows))]


def unpadded(row: Row, number: int, name: str, mask_name: str) -> list[int]:
    """Returns the ids of a row that its mask says are real."""
    ids = row[name]
    mask = row.get(mask_name)
    if mask is None:
        return ids
    real = sum(mask)
    if len(mask) != len(ids) or not all(mask[:real]):
        raise RequestError(
            400,
            f"{mask_name} of row {number} must have a value for each id, True for the first "
            "ones and False for padding after them",
        )
    return ids[:real]
