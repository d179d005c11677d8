"""One side of an encoder-decoder, read from a Hugging Face folder: BERT as an encoder, GPT-2 as a
decoder, or the encoder or decoder of BART.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import numpy as np

from keras_s2s import catalog
from keras_s2s.checkpoints.errors import CheckpointError
from keras_s2s.checkpoints.huggingface.config_file import single_ids
from keras_s2s.checkpoints.huggingface.config_table import check_derived, read_keys, unread_notes
from keras_s2s.checkpoints.huggingface.family import (
    FamilyTables,
    families_by_model_type,
    family_of,
    family_tables,
    half_families_by_model_type,
    unread_keys,
)
from keras_s2s.checkpoints.huggingface.generation_table import KNOWN
from keras_s2s.checkpoints.huggingface.key_table import Entry, Tables, entries
from keras_s2s.checkpoints.huggingface.token_tables import expected_tables, resolve_tables
from keras_s2s.checkpoints.sinusoid_tables import is_sinusoids
from keras_s2s.checkpoints.stored_tensors import StoredTensor
from keras_s2s.config import merge, spread_shared

Side = Literal["encoder", "decoder"]

#: What a side is called where ids and embeddings are meant.
ENDS: dict[Side, Literal["source", "target"]] = {"encoder": "source", "decoder": "target"}


class HalfCheckpoint:
    """The configuration and tensors of one side.

    Args:
        side: which side of a model it is to be.
        config: the `config.json` of the half, or of the whole model that it is taken from.
        name: folder or name, for messages.
        tensors: by their names in the folder; None reads the configuration alone.

    Attributes:
        family: of the zoo.
        settings: of `architecture.encoder` or `architecture.decoder`.
        vocab_size: of the side.
        ids: special ids of the side; those that the folder does not set are None.
        output: settings of `architecture.output`, for a decoder.
        notes: remarks for the report.

    Raises:
        CheckpointError: a model_type that cannot be this side, or files that are broken.
    """

    def __init__(
        self,
        side: Side,
        config: Mapping[str, Any],
        name: str,
        tensors: Mapping[str, StoredTensor] | None,
    ) -> None:
        self.side = side
        self.name = name
        self.config = dict(config)
        self.family = half_family(side, config, name)
        tables = family_tables(self.family)
        assert tables is not None
        self.tables: FamilyTables = tables
        self.with_tensors = tensors is not None
        self.notes: list[str] = []
        self.computed: list[str] = []
        self.tensors = self._named_as_in_tables(tensors or {})
        self._read_configuration()

    def _read_configuration(self) -> None:
        config, origin = single_ids(self.config), f"{self.name}: {self.side}"
        read = read_keys(self.tables.config, config, origin)
        check_derived(self.tables, config, origin)
        family = catalog.load_family(self.family)
        architecture = spread_shared(merge(family["architecture"], read["architecture"]))
        self.settings: dict[str, Any] = architecture[self.side]
        end = ENDS[self.side]
        self.vocab_size: int = architecture[f"{end}_vocab_size"]
        self.ids: dict[str, int | None] = read["special_ids"].get(end, {})
        self._read_token_tables(architecture["output"])
        self._settle_projection()
        self._settle_positions()
        self.has_cross_width = config.get("cross_attention_hidden_size") is not None
        names = self.tables.token_tables
        flags = (names.tie, names.share, names.own_output)
        known = {*KNOWN, "tokenizer_class", *(flag for flag in flags if flag is not None)}
        found = unread_notes(self.tables, unread_keys(), known, self.config, "config.json")
        self.notes += [f"{self.side}: {note}" for note in found]

    def _read_token_tables(self, output: Mapping[str, Any]) -> None:
        names = self.tables.token_tables
        if self.with_tensors:
            resolved = resolve_tables(
                names,
                self.tensors.keys(),
                self.config,
                lambda one, other: np.array_equal(self._read(one), self._read(other)),
                self.name,
            )
            self.tokens, tie, self.tied = resolved.tables, resolved.tie, resolved.tied
            self.unused = resolved.unused
        else:
            _, tie = expected_tables(names, self.config)
            table = names.encoder if self.side == "encoder" else names.decoder
            self.tokens = Tables(table, table, table if tie else names.output)
            self.tied, self.unused = {}, ()
        self.output = merge(output, {"tie_embeddings": tie})
        if not tie:
            # The bias of an output layer of its own is then the one that is added.
            for name, other in self.tables.also_named.items():
                if other in self.tensors:
                    self.tensors[name] = self.tensors[other]

    def _settle_projection(self) -> None:
        embedding = self.settings["embedding"]
        if self.tables.projects_embeddings == "never":
            return
        narrow = embedding["dim"] != self.settings["hidden_dim"]
        embedding["projection"] = narrow or self.tables.projects_embeddings == "always"

    def _settle_positions(self) -> None:
        """Takes stored tables of positions other than the computed ones as learned positions."""
        for name, side in self.tables.sinusoids.items():
            if side != self.side or name not in self.tensors:
                continue
            tensor = self.tensors[name]
            embedding = self.settings["embedding"]
            if is_sinusoids(tensor.read(), tensor.dtype, embedding["sinusoids"]):
                self.computed.append(name)
                continue
            embedding |= {
                "positions": "learned",
                "max_positions": tensor.shape[0],
                "sinusoids": "interleaved",
            }
            self.notes.append(f"{self.side}: {name} is taken as learned positions")

    def _named_as_in_tables(self, tensors: Mapping[str, StoredTensor]) -> dict[str, StoredTensor]:
        """Returns the tensors by the names in the family's tables.

        A folder of the class without a head lacks the prefix.
        """
        prefix = self.tables.prefix
        bare = prefix and not any(name.startswith(prefix) for name in tensors)
        named = {prefix + name if bare else name: tensor for name, tensor in tensors.items()}
        for name, other in self.tables.also_named.items():
            if name not in named and other is not None and other in named:
                named[name] = named[other]
        return named

    def _read(self, name: str) -> np.ndarray:
        return self.tensors[name].read()

    def entries(self, paths: Iterable[str], architecture: Mapping[str, Any]) -> list[Entry]:
        """Returns the tensor of every variable of this side, by the names in the tables.

        Args:
            paths: of the variables of this side.
            architecture: of the model. Conditions of the tables see this side in both places.
        """
        seen = {**architecture, "encoder": self.settings, "decoder": self.settings}
        return entries(self.tables, paths, seen, self.tokens)

    def is_ignored(self, name: str) -> bool:
        """Returns whether the family declares a tensor as not needed."""
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in self.tables.ignored)

    def belongs_here(self, name: str) -> bool:
        """Returns whether a tensor is of this side, in a folder of a whole model."""
        if self.tables.half:
            return True
        other = "decoder" if self.side == "encoder" else "encoder"
        head = self.side == "encoder" and name in (
            self.tables.token_tables.output,
            *self.tables.optional,
        )
        return not head and f"{other}." not in name


def half_family(side: Side, config: Mapping[str, Any], name: str) -> str:
    """Returns the zoo's family for one side.

    Raises:
        CheckpointError: none has this model_type, or it cannot be this side.
    """
    model_type = config.get("model_type")
    family = family_of(model_type, half=True)
    if family is None:
        known = {**half_families_by_model_type(), **families_by_model_type()}
        raise CheckpointError(
            f"{name}: model_type is {model_type!r}, which cannot be the {side} of a warm-started "
            f"model; known are {', '.join(sorted(known))}"
        )
    tables = family_tables(family)
    assert tables is not None
    if tables.half and tables.halves.get(side) is None:
        others = [
            key
            for key, each in half_families_by_model_type().items()
            if (found := family_tables(each)) and found.halves.get(side)
        ]
        raise CheckpointError(
            f"{name}: model_type {model_type} cannot be the {side}; families that can: "
            + ", ".join(sorted([*others, *families_by_model_type()]))
        )
    if config.get("quantization_config"):
        raise CheckpointError(
            f"{name}: quantization_config is set; quantised weights cannot be read: load the "
            "folder that they were made from"
        )
    return family
