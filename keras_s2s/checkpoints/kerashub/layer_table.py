"""Maps variables of a network to the tensors of a KerasHub folder, by a family's table."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from keras_s2s.checkpoints.errors import CheckpointError
from keras_s2s.checkpoints.huggingface.key_table import (
    Entry,
    applies,
    layer_pattern,
    setting_at,
)
from keras_s2s.checkpoints.huggingface.transforms import TRANSFORMS, Transform
from keras_s2s.checkpoints.kerashub.family import KerasHubTables

SAME = TRANSFORMS["same"]


def to_heads(heads: int) -> Transform:
    """Returns the transform of a kernel [D, H*d] that is stored as [D, H, d]."""
    return Transform(
        lambda array: array.reshape(array.shape[0], -1),
        lambda array: array.reshape(array.shape[0], heads, -1),
        lambda shape: (shape[0], heads, shape[1] // heads),
    )


def bias_to_heads(heads: int) -> Transform:
    """Returns the transform of a bias [H*d] that is stored as [H, d]."""
    return Transform(
        lambda array: array.reshape(-1),
        lambda array: array.reshape(heads, -1),
        lambda shape: (heads, shape[0] // heads),
    )


def from_heads(heads: int) -> Transform:
    """Returns the transform of a kernel [H*d, D] that is stored as [H, d, D]."""
    return Transform(
        lambda array: array.reshape(-1, array.shape[-1]),
        lambda array: array.reshape(heads, -1, array.shape[-1]),
        lambda shape: (heads, shape[0] // heads, shape[1]),
    )


def without_first_rows(rows: int) -> Transform:
    """Returns the transform of a table whose first `rows` are unused and not stored.

    Reading gives zeros there, so that writing after reading is the identity.
    """
    return Transform(
        lambda array: np.concatenate([np.zeros_like(array, shape=(rows, array.shape[1])), array]),
        lambda array: array[rows:],
        lambda shape: (shape[0] - rows, *shape[1:]),
    )


def _heads(architecture: Mapping[str, Any], side: str) -> int:
    return int(architecture[side]["num_heads"])


def _offset(architecture: Mapping[str, Any], side: str) -> int:
    return int(architecture[side]["embedding"].get("position_offset", 0))


#: What makes a transform from the architecture and the side.
Maker = Callable[[Mapping[str, Any], str], Transform]


def _same(architecture: Mapping[str, Any], side: str) -> Transform:
    return SAME


#: Content of a layer: name of the variable here -> (number of the variable there, its transform).
PARTS: dict[str, dict[str, tuple[int, Maker]]] = {
    "dense": {"kernel": (0, _same), "bias": (1, _same)},
    "to_heads": {
        "kernel": (0, lambda a, side: to_heads(_heads(a, side))),
        "bias": (1, lambda a, side: bias_to_heads(_heads(a, side))),
    },
    "from_heads": {
        "kernel": (0, lambda a, side: from_heads(_heads(a, side))),
        "bias": (1, _same),
    },
    "norm": {"gamma": (0, _same), "scale": (0, _same), "beta": (1, _same)},
    "table": {"embeddings": (0, _same)},
    "positions": {"embeddings": (0, lambda a, side: without_first_rows(_offset(a, side)))},
}


def entries(
    tables: KerasHubTables, paths: Iterable[str], architecture: Mapping[str, Any]
) -> list[Entry]:
    """Returns the tensor of every variable that has one.

    Args:
        tables: the family's.
        paths: paths of the variables.
        architecture: settings of the network.

    Raises:
        CheckpointError: a variable that the family's table does not name.
    """
    rows = [
        (layer_pattern(ours), theirs, PARTS[kind])
        for group in tables.layers.values()
        if applies(group.when, architecture)
        for kind in PARTS
        for ours, theirs in getattr(group, kind).items()
    ]
    found: list[Entry] = []
    missing: list[str] = []
    for path in paths:
        if path in tables.zero:
            continue
        entry = _token_table(path, tables) or _entry(path, rows, architecture)
        if entry is None:
            missing.append(path)
        else:
            found.append(entry)
    if missing:
        raise CheckpointError(
            f"the tables of KerasHub's {tables.class_name} have no tensor for "
            + ", ".join(missing[:5])
            + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
        )
    return found


def _token_table(path: str, tables: KerasHubTables) -> Entry | None:
    # ReversibleEmbedding: the table, and where it is not tied the matrix [D, V] of the output.
    numbers = {
        "token_table/embeddings": 0,
        "source_table/embeddings": 0,
        "target_table/embeddings": 0,
        "logits/dense/kernel": 1,
    }
    number = numbers.get(path)
    return None if number is None else Entry(path, f"{tables.token_table}/vars/{number}", SAME)


def _entry(
    path: str,
    rows: Iterable[tuple[re.Pattern[str], str, Mapping[str, tuple[int, Maker]]]],
    architecture: Mapping[str, Any],
) -> Entry | None:
    layer, _, variable = path.rpartition("/")
    side = "encoder" if path.startswith(("encoder/", "source_")) else "decoder"
    for pattern, theirs, parts in rows:
        match = pattern.fullmatch(layer)
        if match and variable in parts:
            number, make = parts[variable]
            named = _numbered(theirs.format(**match.groupdict()), architecture)
            return Entry(path, f"{named}/vars/{number}", make(architecture, side))
    return None


def _numbered(name: str, architecture: Mapping[str, Any]) -> str:
    """Replaces each `[a + b]` in `name` by the suffix `_N` of Keras' layer names."""

    def number(match: re.Match[str]) -> str:
        total = sum(
            int(part) if part.isdigit() else int(setting_at(architecture, part))
            for part in match[1].split(" + ")
        )
        return f"_{total}" if total else ""

    return re.sub(r"\[([^\]]+)\]", number, name)
