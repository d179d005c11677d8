"""One side of an encoder-decoder, read from KerasHub: BERT as an encoder, GPT-2 as a decoder, or
the encoder or decoder of BART.

A half is handed on as the Hugging Face checkpoint that it would be: both tables of its family name
our layers, so that together they lead from KerasHub's names to those of transformers.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

import numpy as np

from keras_s2s import catalog
from keras_s2s.checkpoints.errors import CheckpointError
from keras_s2s.checkpoints.files.keras_h5_file import KerasWeights
from keras_s2s.checkpoints.huggingface.config_table import read_keys, write_keys
from keras_s2s.checkpoints.huggingface.family import FamilyTables, family_tables
from keras_s2s.checkpoints.huggingface.key_table import Entry, Tables
from keras_s2s.checkpoints.huggingface.key_table import entries as huggingface_entries
from keras_s2s.checkpoints.kerashub import layer_table
from keras_s2s.checkpoints.kerashub.family import kerashub_tables
from keras_s2s.checkpoints.kerashub.reader import (
    family_of_class,
    refuse_quantised,
    refuse_task,
)
from keras_s2s.checkpoints.kerashub.serialized import CONFIG, plain, read_serialized
from keras_s2s.checkpoints.kerashub.tokenizer import read_tokenizer
from keras_s2s.checkpoints.stored_tensors import StoredTensor, stored_tensor
from keras_s2s.config import merge, spread_shared
from keras_s2s.text.pretrained.text_side import TextSide, side_of

#: What a path of ours may have in braces; `{i}` is the number of a layer.
PLACES = {"side": ("encoder", "decoder"), "end": ("source", "target")}


class KerasHubHalf:
    """An open KerasHub folder, or a KerasHub model in memory, as a Hugging Face checkpoint.

    Args:
        source: the folder, or a backbone or task.
        with_weights: False reads the configuration alone.

    Attributes:
        name: in messages.
        family: of the zoo.
        config: what transformers' `config.json` of this model says.
        tensors: by transformers' names; empty without weights.
        ignored: tensors that no encoder-decoder has a use for, by KerasHub's names.
        tokenizer: of the folder, or None.

    Raises:
        CheckpointError: a class that no family of the zoo has, or files that are broken.
    """

    def __init__(self, source: Any, *, with_weights: bool = True) -> None:
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._weights: KerasWeights | None = None
        self.name = str(source)
        if not isinstance(source, str | Path):
            self.name = f"keras_hub.{type(source).__name__}"
            self._temporary = tempfile.TemporaryDirectory(prefix="keras_hub_")
            source.save_to_preset(self._temporary.name)
            source = self._temporary.name
        self.path = Path(source)
        try:
            self._read_configuration()
            self.tensors: dict[str, StoredTensor] = {}
            self.ignored: list[str] = []
            if with_weights:
                self._weights = KerasWeights(self.path)
                self.tensors = dict(self._stored())
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> KerasHubHalf:
        return self

    def __exit__(self, *exception: Any) -> None:
        self.close()

    def close(self) -> None:
        """Closes files, and removes the folder that a model in memory was written to."""
        if self._weights is not None:
            self._weights.close()
        if self._temporary is not None:
            self._temporary.cleanup()

    def text_side(self, side: Literal["source", "target"]) -> TextSide | None:
        """Returns tokenizer and special ids of a side; None where the folder has no tokenizer."""
        return None if self.tokenizer is None else side_of(self.tokenizer, side, {})

    def _read_configuration(self) -> None:
        name, config = read_serialized(self.path / CONFIG)
        self.family = family_of_class(name, self.path / CONFIG)
        tables, theirs = kerashub_tables(self.family), family_tables(self.family)
        assert tables is not None and theirs is not None
        self.tables = tables
        self._theirs: FamilyTables = theirs
        refuse_task(self.path, tables)
        refuse_quantised(config, self.path / CONFIG)
        read = read_keys(
            tables.config,
            {key: plain(value) for key, value in config.items()},
            str(self.path / CONFIG),
        )
        family = catalog.load_family(self.family)
        self.architecture = spread_shared(merge(family["architecture"], read["architecture"]))
        size = self.architecture["source_vocab_size"]
        self.tokenizer = read_tokenizer(self.path, tables.tokenizer, size)
        known = {role: self._id(role, usual) for role, usual in tables.ids.items()}
        ids = {
            side: {key: known[role] for key, role in roles.items() if known[role] < size}
            for side, roles in (("source", tables.roles.source), ("target", tables.roles.target))
        }
        written = write_keys(
            theirs.config, {"architecture": self.architecture, "special_ids": ids}, None
        )
        self.config: dict[str, Any] = {"model_type": theirs.model_type} | {
            key: value for key, value in written.items() if value is not None
        }
        self._check_meaning(read["architecture"])

    def _id(self, role: str, usual: int) -> int:
        """Returns the tokenizer's special id, or else that of the published models."""
        found = None if self.tokenizer is None else getattr(self.tokenizer, f"{role}_id")
        return usual if found is None else found

    def _check_meaning(self, settings: dict[str, Any]) -> None:
        """Raises an error for a setting that transformers' configuration has no word for."""
        again = read_keys(self._theirs.config, self.config, str(self.path / CONFIG))
        for side in PLACES["side"]:
            meant, found = (
                dict(_leaves(each.get(side, {}))) for each in (settings, again["architecture"])
            )
            for key in meant.keys() & found.keys():
                if meant[key] != found[key]:
                    raise CheckpointError(
                        f"{self.path / CONFIG}: {key} of the {side} is {meant[key]!r}, which a "
                        f"{self._theirs.model_type} of transformers cannot have with the other "
                        "settings, so that it is no half of a model; from_preset reads the whole "
                        "model"
                    )

    # ------------------------------------------------------------------ tensors

    def _stored(self) -> Iterator[tuple[str, StoredTensor]]:
        """Yields every tensor of the folder by transformers' name."""
        assert self._weights is not None
        names = self._theirs.token_tables
        tokens = Tables(names.shared, names.shared, names.output)
        found: dict[str, dict[int, tuple[Entry, Entry]]] = {}
        for path in dict.fromkeys(self._paths()):
            if path in self.tables.zero:
                continue
            (row,) = layer_table.entries(self.tables, [path], self.architecture)
            if row.theirs in self._weights.specs:
                (other,) = huggingface_entries(self._theirs, [path], self.architecture, tokens)
                place = 0 if other.part is None else other.part[0]
                found.setdefault(other.theirs, {}).setdefault(place, (row, other))
        for path in self.tables.zero:
            if path.endswith("token_types/embeddings"):
                (other,) = huggingface_entries(self._theirs, [path], self.architecture, tokens)
                yield other.theirs, self._zeros(other.theirs)
        used = {row.theirs for parts in found.values() for row, _ in parts.values()}
        for name in self._weights.specs:
            if name in used:
                continue
            if any(fnmatchcase(name, pattern) for pattern in self.tables.ignored):
                self.ignored.append(name)
            else:  # reported, or refused, under KerasHub's own name
                yield name, stored_tensor(self._weights, name)
        for name, parts in found.items():
            rows = [parts[place] for place in sorted(parts)]
            yield name, self._tensor(name, rows)

    def _zeros(self, name: str) -> StoredTensor:
        """Returns a table of token types for a model that has none: it adds nothing."""
        encoder = self.architecture["encoder"]
        shape = (encoder["embedding"]["token_types"], encoder["hidden_dim"])
        return StoredTensor(
            name, Path("none (zeros)"), shape, "float32", lambda: np.zeros(shape, "float32")
        )

    def _tensor(self, name: str, rows: list[tuple[Entry, Entry]]) -> StoredTensor:
        """Returns a tensor of transformers, made of one of KerasHub or of several side by side."""
        assert self._weights is not None
        row, other = rows[0]
        spec = self._weights.specs[row.theirs]
        ours = row.transform.read(np.broadcast_to(np.zeros((), "int8"), spec.shape)).shape
        return StoredTensor(
            name,
            self._weights.file_of(row.theirs),
            tuple(other.shape(ours)),
            spec.dtype,
            self._reader(rows),
        )

    def _reader(self, rows: list[tuple[Entry, Entry]]) -> Callable[[], np.ndarray]:
        def read() -> np.ndarray:
            assert self._weights is not None
            arrays = [
                other.transform.write(row.transform.read(self._weights.read(row.theirs)))
                for row, other in rows
            ]
            return arrays[0] if len(arrays) == 1 else np.concatenate(arrays, axis=-1)

        return read

    def _paths(self) -> Iterator[str]:
        """Yields the paths of our variables that the tables name."""
        yield "token_table/embeddings"
        if not self.architecture["output"]["tie_embeddings"]:
            yield "logits/dense/kernel"
        for group in self.tables.layers.values():
            if not layer_table.applies(group.when, self.architecture):
                continue
            for kind, variables in layer_table.PARTS.items():
                for pattern in getattr(group, kind):
                    for layer in self._layers(pattern):
                        yield from (f"{layer}/{variable}" for variable in variables)

    def _layers(self, pattern: str) -> Iterator[str]:
        """Yields the layers that a name with braces stands for."""
        match = re.search(r"\{(\w+)\}", pattern)
        if match is None:
            yield pattern
            return
        if match[1] == "i":
            sides = [self.architecture[side]["num_layers"] for side in PLACES["side"]]
            values = [str(number) for number in range(max(sides))]
        else:
            values = list(PLACES[match[1]])
        for value in values:
            yield from self._layers(pattern.replace(match[0], value))


def _leaves(settings: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Yields settings by their dotted names."""
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value
