"""Reads a folder with the state dict of a recurrent model from PyTorch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from keras_s2s.checkpoints.errors import CheckpointError
from keras_s2s.checkpoints.stored_tensors import TensorsToVariables, refuse_misfits, stored_tensors
from keras_s2s.checkpoints.torch_rnn.derivation import Derivation
from keras_s2s.checkpoints.torch_rnn.description import FILE, missing_ids, read_description
from keras_s2s.checkpoints.torch_rnn.key_table import Entry, KeyTable
from keras_s2s.checkpoints.torch_rnn.modules import Module, find_modules, module_names, usual_names
from keras_s2s.checkpoints.torch_rnn.state_dict import StateDict
from keras_s2s.checkpoints.torch_rnn.transforms import Copies, SummedBiases, WithoutEffect
from keras_s2s.config import (
    ConfigError,
    OriginConfig,
    PresetConfig,
    RecurrentDecoderConfig,
    RecurrentEncoderConfig,
    read_config,
    shared_keys,
    spread_shared,
)

#: What every model of this kind has.
_NEEDED = ("encoder.embedding", "encoder.rnn", "decoder.embedding", "decoder.rnn", "decoder.output")


class TorchRNNFolder:
    """An open folder of a state dict and its `torch_rnn.yaml`.

    Args:
        path: the folder.

    Attributes:
        preset: the model's configuration.
        notes: what was derived or added up, in words.

    Raises:
        ConfigError: a `torch_rnn.yaml` with keys or values that are not valid.
        CheckpointError: weights that cannot be read, modules that cannot be found, or settings that
            the tensors do not tell and that are not stated.

    Example:
        >>> sizes = {"source_vocab_size": 9, "target_vocab_size": 9, "shared": {"hidden_dim": 4}}
        >>> lstm = Seq2SeqLM.from_preset("lstm_seq2seq", load_weights=False, architecture=sizes)
        >>> path = lstm.export("exported/tiny", format="torch_rnn")
        >>> with TorchRNNFolder(path) as folder:
        ...     folder.preset.architecture.encoder.num_layers
        2
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.description_path = str(self.path / FILE)
        self._described = read_description(self.path)
        self.weights = StateDict(
            self.path,
            self._described.weights,
            key=self._described.state_dict,
            origin=self.description_path,
        )
        try:
            self.tensors = stored_tensors(self.weights)
            self.modules = self._find_modules()
            self.preset = self._preset()
            self.entries = self._entries()
        except BaseException:
            self.close()
            raise
        self.notes = [self._in_words(), *self._remarks()]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the files."""
        self.weights.close()

    # ------------------------------------------------------------------ configuration

    def _stated(self) -> dict[str, Any]:
        """Returns the architecture that the file states."""
        try:
            return spread_shared(self._described.architecture)
        except ValueError as error:
            raise ConfigError(f"{self.description_path}: architecture.{error}") from None

    def _find_modules(self) -> dict[str, Module]:
        described = self._described
        found = find_modules(described.modules, self.weights.specs, described.prefix)
        stated = self._stated()
        if stated.get("share_embeddings") is True:
            # A shared table may be stored under one name only.
            for one, other in (("encoder", "decoder"), ("decoder", "encoder")):
                if f"{one}.embedding" in found.modules:
                    found.modules.setdefault(
                        f"{other}.embedding", found.modules[f"{one}.embedding"]
                    )
        needed = list(_NEEDED)
        output = stated.get("output")
        if isinstance(output, Mapping) and output.get("tie_embeddings") is True:
            needed.remove("decoder.output")
        problems = list(found.problems)
        problems += [
            f"modules.{role}: not found; usual names are "
            f"{', '.join(usual_names(role)[:3])}, ...; say what yours is called"
            for role in needed
            if role not in found.modules and not any(f"modules.{role}:" in p for p in problems)
        ]
        if problems:
            names = ", ".join(module_names(self.weights.specs)) or "tensors without modules"
            raise CheckpointError(
                f"{self.description_path}: the modules of the model are not clear\n"
                + "\n".join(f"  {line}" for line in problems)
                + f"\n  the weights have {names}"
            )
        return found.modules

    def _preset(self) -> PresetConfig:
        described = self._described
        try:
            derived = Derivation(
                self.modules,
                {name: tensor.shape for name, tensor in self.tensors.items()},
                self._stated(),
                self._are_equal,
            )
        except CheckpointError as error:
            raise CheckpointError(f"{self.description_path}: {error}") from None
        missing = [*derived.missing, *missing_ids(described.special_ids)]
        if missing:
            raise CheckpointError(
                f"{self.description_path}: the tensors do not tell everything; add to this file\n"
                + "\n".join(f"  {line}" for line in missing)
            )
        modules = {
            role: {"name": module.name, "tensors": dict(module.tensors), "inputs": module.inputs}
            for role, module in self.modules.items()
        }
        data = {
            "description": described.description,
            "family": "recurrent",
            "architecture": derived.architecture,
            "special_ids": described.special_ids,
            "generation": described.generation,
            "origin": OriginConfig(format="torch_rnn", config={"modules": modules}).model_dump(),
        }
        written = shared_keys(described.architecture, ("architecture",))
        return read_config(PresetConfig, data, origin=self.description_path, written=written)

    def _entries(self) -> list[Entry]:
        try:
            return KeyTable(self.preset.architecture, self.modules).entries
        except CheckpointError as error:
            raise CheckpointError(
                f"{self.description_path}: the modules and the architecture do not fit\n{error}"
            ) from None

    def _in_words(self) -> str:
        """Describes the architecture that follows from shapes and the file, in a sentence."""
        architecture = self.preset.architecture
        decoder, bridge = architecture.decoder, architecture.bridge
        assert isinstance(decoder, RecurrentDecoderConfig) and bridge is not None
        attention = decoder.attention
        context = {
            "initial_state": "reads the source as its first state alone",
            "every_step": "reads the encoder's last state at every step",
            "attention": "attends to the source"
            + (f" ({attention.score}, {attention.query} state)" if attention else ""),
        }[decoder.context]
        return (
            f"the shapes and {FILE} tell: encoder {_cells(architecture.encoder)}; decoder "
            f"{_cells(decoder)}, which {context}; bridge {bridge.type}"
        )

    def _remarks(self) -> list[str]:
        """Returns what differs between the tensors and the weights here."""
        summed = [entry for entry in self.entries if isinstance(entry.transform, SummedBiases)]
        remarks = []
        if summed:
            remarks.append(
                f"{len(summed)} pairs of biases that PyTorch adds ({summed[0].theirs[0]} + "
                f"{summed[0].theirs[1]}, ...) are one bias here; written back, the second is zero"
            )
        remarks += [
            f"{entry.theirs[0]} adds the same to all scores of a query and changes no attention; "
            "written back, it is zero"
            for entry in self.entries
            if isinstance(entry.transform, WithoutEffect)
        ]
        return remarks

    # ------------------------------------------------------------------ tensors

    def check(self, *, strict: bool = True) -> None:
        """Compares the tensors with those of the network, before memory is taken for it.

        Raises:
            CheckpointError: tensors that are missing, unexpected, of another shape or type, or that
                differ although the architecture has one table for them.
        """
        problems = []
        for entry in self.entries:
            for name, shape in zip(entry.theirs, entry.shapes, strict=True):
                problems += self._problems_of(name, shape, entry, strict)
        problems = problems or self._untied()
        if strict:
            problems += [
                f"unexpected: {name} in {self.weights.file_of(name)}" for name in self._unused()
            ]
        refuse_misfits(
            self.path,
            problems,
            model=f"that shapes and {FILE} describe",
            remedy=(
                f"{FILE} says what shapes do not tell: modules whose names are not usual, and the "
                "architecture"
            ),
        )

    def _problems_of(self, name: str, shape: Any, entry: Entry, strict: bool) -> list[str]:
        if name in self.tensors:
            return self.tensors[name].problems(shape, "the other tensors")
        missing = f"missing: {name} {shape}, for {', '.join(entry.ours) or 'nothing'}"
        return [missing] if strict else []

    def _untied(self) -> list[str]:
        """Returns tables that the architecture calls one, and that have different values."""
        return [
            f"different values: {entry.theirs[0]} and {name}, which the architecture has as one "
            "table (share_embeddings, output.tie_embeddings)"
            for entry in self.entries
            if isinstance(entry.transform, Copies) and entry.theirs[0] in self.tensors
            for name in entry.theirs[1:]
            if name in self.tensors and not self._are_equal(entry.theirs[0], name)
        ]

    def _are_equal(self, one: str, other: str) -> bool:
        return np.array_equal(self.tensors[one].read(), self.tensors[other].read())

    def _unused(self) -> list[str]:
        used = {name for entry in self.entries for name in entry.theirs}
        return [name for name in self.tensors if name not in used]

    def load(self, variables: Sequence[Any], *, strict: bool = True) -> dict[str, Any]:
        """Assigns the tensors to variables.

        Args:
            variables: of the network that `preset` describes.
            strict: False leaves variables without a tensor as they are, and tensors without a
                variable alone.

        Returns:
            what a `LoadReport` says of the tensors.

        Raises:
            CheckpointError: as `check`; or values that are not finite.
        """
        self.check(strict=strict)
        named = {variable.path: variable for variable in variables}
        filled = {path for entry in self.entries for path in entry.ours}
        if filled != set(named):
            other = sorted(filled ^ set(named))
            raise CheckpointError(f"{self.path}: no tensor is known for {', '.join(other)}")
        fresh: list[str] = []
        found = TensorsToVariables(self.path)
        for entry in self.entries:
            if not entry.ours:
                continue
            if not all(name in self.tensors for name in entry.theirs):
                fresh += entry.ours
                continue
            copies = isinstance(entry.transform, Copies)
            tensors = [self.tensors[name] for name in entry.theirs]
            arrays = [tensor.read() for tensor in tensors]
            for tensor, array in zip(tensors[:1] if copies else tensors, arrays, strict=not copies):
                found.note(tensor, array)
            for path, array in zip(entry.ours, entry.transform.read(arrays), strict=True):
                found(" + ".join(entry.theirs), named[path], np.ascontiguousarray(array))
        found.finish()
        return {
            **found.account(),
            "tied": tuple(self._tied()),
            "fresh": tuple(fresh),
            "unused": (*self._without_effect(), *self._unused()),
        }

    def _tied(self) -> list[str]:
        return [
            f"{name} = {entry.theirs[0]}"
            for entry in self.entries
            if isinstance(entry.transform, Copies)
            for name in entry.theirs[1:]
        ]

    def _without_effect(self) -> list[str]:
        return [
            name
            for entry in self.entries
            if isinstance(entry.transform, WithoutEffect)
            for name in entry.theirs
        ]


def _cells(side: Any) -> str:
    assert isinstance(side, RecurrentEncoderConfig | RecurrentDecoderConfig)
    both = isinstance(side, RecurrentEncoderConfig) and side.bidirectional
    layers = f"{side.num_layers} layer" + ("s" if side.num_layers > 1 else "")
    return f"{layers} of {side.hidden_dim} {side.cell.upper()} units" + (
        " in each direction" if both else ""
    )


def stored_modules(config: Mapping[str, Any]) -> dict[str, Module]:
    """Returns the modules that `OriginConfig.config` keeps of a folder."""
    return {
        role: Module(entry["tensors"], tuple(entry["inputs"]), entry["name"])
        for role, entry in config["modules"].items()
    }
