"""Reads a Hugging Face folder: its configuration as a preset, and its tensors as weights."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np

from keras_s2s.checkpoints.assignment import assign
from keras_s2s.checkpoints.errors import CheckpointError
from keras_s2s.checkpoints.files.weight_files import WeightFiles, open_weights
from keras_s2s.checkpoints.huggingface.config_file import read_json, single_ids
from keras_s2s.checkpoints.huggingface.config_table import (
    check_derived,
    read_keys,
    shortened,
    their_keys,
    unread_notes,
)
from keras_s2s.checkpoints.huggingface.family import (
    FamilyTables,
    families_by_model_type,
    family_of,
    family_tables,
    unread_keys,
)
from keras_s2s.checkpoints.huggingface.generation_table import KNOWN, read_generation
from keras_s2s.checkpoints.huggingface.key_table import Entry, entries
from keras_s2s.checkpoints.huggingface.token_tables import Resolved, expected_tables, resolve_tables
from keras_s2s.checkpoints.sinusoid_tables import is_sinusoids
from keras_s2s.checkpoints.stored_tensors import (
    LEAVES_THE_REST,
    StoredTensor,
    TensorsToVariables,
    refuse_misfits,
    stored_tensors,
)
from keras_s2s.checkpoints.variable_shapes import variable_shapes
from keras_s2s.config import OriginConfig, PresetConfig, merge, read_config, spread_shared
from keras_s2s.config.nearest import did_you_mean

CONFIG_FILE = "config.json"
GENERATION_FILE = "generation_config.json"


def is_huggingface_folder(path: str | Path) -> bool:
    """Returns whether `path` is a folder with a `config.json` that names a model_type."""
    file = Path(path) / CONFIG_FILE
    if not file.exists():
        return False
    try:
        config = json.loads(file.read_text(encoding="utf-8-sig"))
    except (ValueError, OSError, RecursionError):
        return True  # broken: the reader reports it
    # CTranslate2's has no model_type.
    return not isinstance(config, dict) or "model_type" in config


class HuggingFaceFolder:
    """An open Hugging Face folder: configuration of the model, and tensors read one by one.

    Args:
        path: the folder.
        with_weights: False reads the configuration alone.

    Raises:
        CheckpointError: a model_type that no family of the zoo has, or files that are broken.

    Example:
        >>> with HuggingFaceFolder("opus-mt-en-de") as folder:
        ...     folder.preset.architecture.encoder.type
        'transformer'
    """

    def __init__(self, path: str | Path, *, with_weights: bool = True) -> None:
        from keras_s2s import catalog

        self.path = Path(path)
        self.config = read_json(self.path / CONFIG_FILE)
        self.family = self._family()
        tables = family_tables(self.family)
        assert tables is not None
        self.tables: FamilyTables = tables
        self.notes: list[str] = []
        self.computed: list[str] = []
        self.weights: WeightFiles | None = self._open() if with_weights else None
        try:
            self.tensors = self._named_as_in_tables()
            self.tokens = self._resolve_tables()
            self.preset = self._preset(catalog.load_family(self.family))
        except BaseException:
            self.close()
            raise

    def _open(self) -> WeightFiles:
        try:
            return open_weights(self.path)
        except OSError as error:
            raise CheckpointError(
                f"{error.filename or self.path}: {error.strerror or error}; the weights of this "
                "folder cannot be read"
            ) from None

    def __enter__(self) -> HuggingFaceFolder:
        return self

    def __exit__(self, *exception: Any) -> None:
        self.close()

    def close(self) -> None:
        """Closes files."""
        if self.weights is not None:
            self.weights.close()

    # ------------------------------------------------------------------ configuration

    @property
    def config_path(self) -> str:
        return str(self.path / CONFIG_FILE)

    def _family(self) -> str:
        model_type = self.config.get("model_type")
        if self.config.get("quantization_config"):
            raise CheckpointError(
                f"{self.config_path}: quantization_config is set; quantised weights cannot be "
                "read: load the folder that they were made from"
            )
        family = family_of(model_type)
        if family is None:
            raise CheckpointError(f"{self.config_path}: {self._no_family(model_type)}")
        return family

    def _no_family(self, model_type: Any) -> str:
        """Returns why a model_type cannot be read, and what is nearest."""
        families = sorted(families_by_model_type())
        known = f"the zoo has families for {', '.join(families)}"
        half = family_of(model_type, half=True)
        if half is not None:
            return (
                f"model_type is {model_type!r}, an encoder or decoder alone; "
                "Seq2SeqLM.from_encoder_decoder(ENCODER, DECODER) puts two of them together. As "
                f"whole models {known}"
            )
        classes = self.config.get("architectures")
        classes = [each for each in classes if isinstance(each, str)] if classes else []
        if any(each.endswith(("ForCausalLM", "LMHeadModel")) for each in classes):
            return (
                f"model_type is {model_type!r}, a decoder alone ({', '.join(classes)}); only "
                f"encoder-decoders can be read: {known}"
            )
        near = did_you_mean(str(model_type), families)
        return (
            f"model_type is {model_type!r}, whose architecture no family of the zoo has; "
            f"{near + ' ' if near else ''}{known[0].upper() + known[1:]}"
        )

    def _preset(self, family: Mapping[str, Any]) -> PresetConfig:
        config = single_ids(self.config)
        settings = read_keys(self.tables.config, config, self.config_path)
        check_derived(self.tables, config, self.config_path)
        self._note_unread()
        share, tie = (
            (self.tokens.share, self.tokens.tie)
            if self.tokens is not None
            else expected_tables(self.tables.token_tables, self.config)
        )
        settings = merge(
            settings,
            {"architecture": {"share_embeddings": share, "output": {"tie_embeddings": tie}}},
        )
        generation, file = self._generation()
        defaults = read_generation(
            generation or {**self.tables.generation, **self.config},
            str(self.path / file),
            strict=file == GENERATION_FILE,
        )
        self.notes += defaults.notes
        settings = merge(settings, {"architecture": self._stored_positions(family)})
        if generation:
            self._note_other_ids(settings["special_ids"]["target"], defaults.target_ids)
        settings = merge(settings, {"special_ids": {"target": defaults.target_ids}})
        data = merge(family, settings)
        data["generation"] = defaults.generation.model_dump()
        data["description"] = f"{self.tables.model_class} from {self.path.name}."
        data["origin"] = OriginConfig(
            format="huggingface",
            config=self.config,
            generation=generation,
            tables=self._table_names(),
        ).model_dump()
        return read_config(
            PresetConfig, data, origin=self.config_path, written=their_keys(self.tables.config)
        )

    def _note_unread(self) -> None:
        """Notes keys of `config.json` that are not used, where they may matter."""
        names = self.tables.token_tables
        flags = (names.tie, names.share, names.own_output)
        read = {*KNOWN, "tokenizer_class", *(name for name in flags if name is not None)}
        self.notes += unread_notes(self.tables, unread_keys(), read, self.config, CONFIG_FILE)
        if self._generation()[0]:  # else its reader says so
            for key, value in self.config.items():
                if key.endswith("_token_id") and isinstance(value, list) and len(value) > 1:
                    self.notes.append(
                        f"{key} is {shortened(value)} in {CONFIG_FILE}; only the first one is used"
                    )

    def _stored_positions(self, family: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the settings for stored tables of positions other than the computed ones.

        transformers uses these tables as they are stored, so that they are learned positions here.
        """
        found: dict[str, Any] = {}
        for name, side in self.tables.sinusoids.items():
            tensor = self.tensors.get(name)
            if tensor is None:
                continue
            if is_sinusoids(tensor.read(), tensor.dtype, self._layout(family)):
                self.computed.append(name)
                continue
            rows = tensor.shape[0] if tensor.shape else 1
            found[side] = {
                "embedding": {
                    "positions": "learned",
                    "max_positions": rows,
                    "sinusoids": "interleaved",
                }
            }
            self.notes.append(
                f"{name} holds other values than the sinusoids of {self.tables.model_type}; they "
                f"are taken as learned positions, {rows} of them"
            )
        return found

    @staticmethod
    def _layout(family: Mapping[str, Any]) -> Any:
        return spread_shared(family["architecture"])["encoder"]["embedding"]["sinusoids"]

    def _generation(self) -> tuple[dict[str, Any], str]:
        """Returns the generation settings and the name of the file that has them."""
        if (self.path / GENERATION_FILE).is_file():
            return read_json(self.path / GENERATION_FILE), GENERATION_FILE
        return {}, CONFIG_FILE

    def _note_other_ids(self, target: Mapping[str, Any], of_generation: Mapping[str, int]) -> None:
        for name, i in of_generation.items():
            if name in ("eos", "pad", "decoder_start") and target.get(name) not in (i, None):
                self.notes.append(
                    f"{name} is {i} in {GENERATION_FILE}, {target[name]} in {CONFIG_FILE}; targets "
                    f"here have {i}"
                )

    # ------------------------------------------------------------------ tensors

    def _named_as_in_tables(self) -> dict[str, StoredTensor]:
        """Returns the tensors by the names in the family's tables.

        A folder of the bare model, without the output projection, lacks their prefix.
        """
        if self.weights is None:
            return {}
        tensors, prefix = stored_tensors(self.weights), self.tables.prefix
        if not prefix or any(name.startswith(prefix) for name in tensors):
            return tensors
        return {prefix + name: tensor for name, tensor in tensors.items()}

    def _table_names(self) -> tuple[str, ...]:
        names = self.tables.token_tables
        known = (names.shared, names.encoder, names.decoder, names.output)
        return tuple(name for name in (*known, *self.tables.sinusoids) if name in self.tensors)

    def _resolve_tables(self) -> Resolved | None:
        if self.weights is None:
            return None
        return resolve_tables(
            self.tables.token_tables,
            self.tensors.keys(),
            self.config,
            self._are_equal,
            str(self.weights.path),
        )

    def _are_equal(self, one: str, other: str) -> bool:
        return np.array_equal(self.tensors[one].read(), self.tensors[other].read())

    def load(self, variables: Sequence[Any], *, strict: bool = True) -> dict[str, Any]:
        """Assigns the tensors to variables, one at a time.

        Args:
            variables: of the network that `preset` describes.
            strict: False leaves variables without a tensor as they are, and tensors without a
                variable alone.

        Returns:
            what a `LoadReport` says of the tensors: `files`, `loaded`, `tied`, `fresh`,
            `unused`, `computed`, `dtypes`.

        Raises:
            CheckpointError: tensors that are missing, unexpected or of another shape. Nothing
                is assigned in that case.
        """
        assert self.weights is not None and self.tokens is not None
        named = {variable.path: variable for variable in variables}
        shapes = {path: tuple(variable.shape) for path, variable in named.items()}
        rows = self._fitting(shapes, strict=strict)
        fresh = [row for row in rows if row.theirs not in self.tensors]
        unused = [*self._other_positions(), *self._unused({row.theirs for row in rows})]
        found = TensorsToVariables(self.path)
        for row in rows:
            if row.theirs in self.tensors:
                found.fill(named[row.ours], self.tensors[row.theirs], row.read)
            elif row.theirs in self.tables.optional:
                assign(named[row.ours], np.zeros(named[row.ours].shape, "float32"))
        found.finish()
        tied = [f"{name} = {other}" for name, other in self.tokens.tied.items()]
        if self.tokens.tie:
            tied.insert(0, f"{self.tables.token_tables.output} = {self.tokens.tables.target}")
        return {
            **found.account(),
            "tied": tuple(dict.fromkeys(tied)),
            "fresh": tuple(row.ours for row in fresh),
            "unused": (*self.tokens.unused, *self._ignored(), *unused),
            "computed": tuple(self.computed),
        }

    def check(self, *, strict: bool = True) -> None:
        """Compares the sizes of `config.json` with the tensors, before a network is made.

        Raises:
            CheckpointError: as `load` does.
        """
        shapes = variable_shapes(self.preset.architecture)
        if shapes is not None:
            self._fitting(shapes, strict=strict)

    def _fitting(self, shapes: Mapping[str, tuple[int, ...]], *, strict: bool) -> list[Entry]:
        """Returns the tensor of every variable, and raises an error where one does not fit.

        Args:
            shapes: of our variables, by path.

        Raises:
            CheckpointError: tensors that are missing, unexpected, or of another shape or type.
        """
        assert self.tokens is not None
        architecture = self.preset.architecture.model_dump()
        rows = entries(self.tables, shapes, architecture, self.tokens.tables)
        problems = [
            problem
            for row in rows
            if row.theirs in self.tensors
            for problem in self.tensors[row.theirs].problems(
                row.shape(shapes[row.ours]), CONFIG_FILE
            )
        ]
        misshapen = bool(problems)
        if strict:
            problems += [
                f"other values: {name} in {self.tensors[name].file} does not hold the sinusoids "
                f"that {self.tables.model_type} computes"
                for name in self._other_positions()
            ]
            problems += [
                f"missing: {row.theirs} {row.shape(shapes[row.ours])}, for {row.ours}"
                for row in rows
                if row.theirs not in self.tensors and row.theirs not in self.tables.optional
            ]
            problems += [
                f"unexpected: {name} in {self.tensors[name].file}"
                for name in self._unused({row.theirs for row in rows})
            ]
        refuse_misfits(
            self.path,
            problems,
            model=f"that {CONFIG_FILE} describes",
            remedy=None if misshapen else LEAVES_THE_REST,
        )
        return rows

    def _unused(self, used: set[str]) -> list[str]:
        """Returns the tensors that are not used, and that are neither computed nor tied."""
        assert self.tokens is not None
        known = used | {*self.tokens.tied, *self.tokens.unused, *self.computed, *self._ignored()}
        return [
            name for name in self.tensors if name not in known and name not in self.tables.computed
        ]

    def _ignored(self) -> list[str]:
        """Returns the tensors that the family declares as not needed."""
        return [
            name
            for name in self.tensors
            if any(fnmatchcase(name, pattern) for pattern in self.tables.ignored)
        ]

    def _other_positions(self) -> list[str]:
        """Returns tables of positions that transformers computes, whose stored values differ."""
        others: list[str] = []
        for name, side in self.tables.computed.items():
            if name not in self.tensors:
                continue
            embedding = getattr(self.preset.architecture, side).embedding
            same = is_sinusoids(
                self.tensors[name].read(),
                self.tensors[name].dtype,
                embedding.sinusoids,
                zero_row=embedding.position_offset - 1,
            )
            if not same:
                others.append(name)
            elif name not in self.computed:
                self.computed.append(name)
        return others
