"""Maps variables of a network to tensors of a Hugging Face folder, by a family's table."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from keras_s2s.checkpoints.errors import CheckpointError
from keras_s2s.checkpoints.huggingface.family import FamilyTables
from keras_s2s.checkpoints.huggingface.transforms import TRANSFORMS, Transform

#: Content of a module: name of the variable here -> (name of the tensor there, its transform).
PARTS: dict[str, dict[str, tuple[str, str]]] = {
    "linear": {"kernel": (".weight", "transpose"), "bias": (".bias", "same")},
    "norm": {
        "gamma": (".weight", "same"),
        "scale": (".weight", "same"),
        "beta": (".bias", "same"),
    },
    "table": {"embeddings": (".weight", "same")},
    "row": {"bias": ("", "row")},
    "vector": {"bias": ("", "same")},
    "conv1d": {"kernel": (".weight", "same"), "bias": (".bias", "same")},
}

#: `[k/n]` at the end of their name: part k of n layers whose outputs are in one tensor.
_PART = re.compile(r"\[(\d)/(\d)\]$")


class Entry(NamedTuple):
    """A variable and its tensor.

    Attributes:
        ours: path of the variable.
        theirs: name of the tensor.
        transform: between the two.
        part: `(k, n)` where the tensor holds n variables along its last axis, of which this is
            number k; None where it holds this one alone.
    """

    ours: str
    theirs: str
    transform: Transform
    part: tuple[int, int] | None = None

    def read(self, array: np.ndarray) -> np.ndarray:
        """Returns the variable's values in those of the tensor."""
        if self.part is not None:
            k, n = self.part
            array = np.split(array, n, axis=-1)[k]
        return self.transform.read(array)

    def shape(self, ours: tuple[int, ...]) -> tuple[int, ...]:
        """Returns the shape of the tensor for a variable of the shape `ours`."""
        shape = self.transform.shape(ours)
        return shape if self.part is None else (*shape[:-1], shape[-1] * self.part[1])


class Tables(NamedTuple):
    """The tensors that hold the three token tables; equal names are one table.

    Attributes:
        source: the encoder's.
        target: the decoder's.
        output: the output projection's.
    """

    source: str
    target: str
    output: str


def entries(
    tables: FamilyTables, paths: Iterable[str], architecture: Mapping[str, Any], tokens: Tables
) -> list[Entry]:
    """Returns the tensor of every variable.

    Args:
        tables: the family's.
        paths: paths of the variables.
        architecture: settings that the conditions `when` of groups refer to.
        tokens: where the token tables are.

    Raises:
        CheckpointError: a variable that the family's table does not name.
    """
    rows = [
        (layer_pattern(ours), theirs, PARTS[kind])
        for group in tables.tensors.values()
        if applies(group.when, architecture)
        for kind in PARTS
        for ours, theirs in getattr(group, kind).items()
    ]
    found = [_token_table(path, tokens) or _entry(path, rows) for path in paths]
    missing = [path for path, entry in zip(paths, found, strict=True) if entry is None]
    if missing:
        raise CheckpointError(
            f"the tables of model_type {tables.model_type} have no tensor for "
            + ", ".join(missing[:5])
            + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
        )
    return [entry for entry in found if entry is not None]


def _token_table(path: str, tokens: Tables) -> Entry | None:
    places = {
        "token_table/embeddings": (tokens.source, "same"),
        "source_table/embeddings": (tokens.source, "same"),
        "target_table/embeddings": (tokens.target, "same"),
        "logits/dense/kernel": (tokens.output, "transpose"),
    }
    if path not in places:
        return None
    theirs, transform = places[path]
    return Entry(path, theirs, TRANSFORMS[transform])


def _entry(path: str, rows: Iterable[tuple[re.Pattern[str], str, Any]]) -> Entry | None:
    layer, _, variable = path.rpartition("/")
    for pattern, theirs, parts in rows:
        match = pattern.fullmatch(layer)
        if match and variable in parts:
            suffix, transform = parts[variable]
            part = _PART.search(theirs)
            name = _PART.sub("", theirs).format(**match.groupdict()) + suffix
            numbers = (int(part[1]), int(part[2])) if part else None
            return Entry(path, name, TRANSFORMS[transform], numbers)
    return None


def layer_pattern(ours: str) -> re.Pattern[str]:
    """Returns `{side}/layer_{i}/norm` as a regular expression with groups of these names."""
    parts = re.split(r"\{(\w+)\}", ours)
    return re.compile(
        "".join(
            f"(?P<{part}>[^/]+?)" if place % 2 else re.escape(part)
            for place, part in enumerate(parts)
        )
    )


def applies(when: Mapping[str, Any], architecture: Mapping[str, Any]) -> bool:
    """Returns whether settings of an architecture are what `when` says, by their dotted names."""
    return all(setting_at(architecture, key) == value for key, value in when.items())


def setting_at(settings: Any, dotted: str) -> Any:
    """Returns the setting with a dotted name; None where there is none."""
    for key in dotted.split("."):
        settings = settings.get(key) if isinstance(settings, Mapping) else None
    return settings
