"""Reads a folder that `save_to_preset` of KerasHub wrote: configuration, weights and tokenizer.

KerasHub itself is not needed: its folders are JSON, HDF5 and the tokenizer's own files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_s2s.checkpoints.assignment import assign
from keras_s2s.checkpoints.errors import CheckpointError
from keras_s2s.checkpoints.files.keras_h5_file import KerasWeights
from keras_s2s.checkpoints.huggingface.config_table import read_keys, shortened, their_keys
from keras_s2s.checkpoints.huggingface.family import family_tables
from keras_s2s.checkpoints.huggingface.key_table import Entry
from keras_s2s.checkpoints.kerashub.family import (
    KerasHubTables,
    families_by_class,
    kerashub_tables,
)
from keras_s2s.checkpoints.kerashub.layer_table import entries
from keras_s2s.checkpoints.kerashub.serialized import CONFIG, plain, read_serialized
from keras_s2s.checkpoints.kerashub.tokenizer import read_tokenizer
from keras_s2s.checkpoints.stored_tensors import (
    LEAVES_THE_REST,
    TensorsToVariables,
    refuse_misfits,
    stored_tensors,
)
from keras_s2s.checkpoints.variable_shapes import variable_shapes
from keras_s2s.config import PresetConfig, merge, read_config
from keras_s2s.text.preprocessor import Preprocessor
from keras_s2s.text.pretrained.base import PretrainedTokenizer

TASK = "task.json"

#: Settings of every Keras layer that change no number here.
_OF_KERAS = {"name", "trainable", "dtype"}


class KerasHubFolder:
    """An open KerasHub folder: configuration of the model, and tensors read one by one.

    Args:
        path: the folder.
        with_weights: False reads the configuration alone.
        with_text: False leaves the tokenizer's files alone.

    Raises:
        CheckpointError: a class that no family of the zoo has, or files that are broken.

    Example:
        >>> with KerasHubFolder("bart_base_en/", with_weights=False) as folder:
        ...     folder.preset.architecture.encoder.num_layers
        6
    """

    def __init__(
        self, path: str | Path, *, with_weights: bool = True, with_text: bool = True
    ) -> None:
        from keras_s2s import catalog

        self.path = Path(path)
        self.notes: list[str] = []
        name, self.config = read_serialized(self.path / CONFIG)
        self.family = family_of_class(name, self.path / CONFIG)
        tables, theirs = kerashub_tables(self.family), family_tables(self.family)
        assert tables is not None
        if theirs is not None and theirs.half:
            raise CheckpointError(
                f"{self.path / CONFIG}: a {name} is one half of an encoder-decoder; read it with "
                "Seq2SeqLM.from_encoder_decoder(ENCODER, DECODER)"
            )
        self.tables: KerasHubTables = tables
        refuse_task(self.path, tables)
        self.config = {key: plain(value) for key, value in self.config.items()}
        refuse_quantised(self.config, self.path / CONFIG)
        self._note_unread()
        settings = read_keys(tables.config, self.config, str(self.path / CONFIG))
        self.tokenizer: PretrainedTokenizer | None = None
        if with_text:
            size = settings["architecture"]["source_vocab_size"]
            self.tokenizer = read_tokenizer(self.path, tables.tokenizer, size)
        data = merge(catalog.load_family(self.family), settings)
        data["special_ids"] = self._special_ids()
        data["description"] = f"KerasHub's {name} from {self.path.name}."
        self.preset = read_config(
            PresetConfig,
            data,
            origin=str(self.path / CONFIG),
            written=their_keys(tables.config),
        )
        self.preprocessor = (
            None
            if self.tokenizer is None
            else Preprocessor(self.tokenizer, self.tokenizer, self.preset.special_ids)
        )
        self.weights = KerasWeights(self.path) if with_weights else None
        self.tensors = {} if self.weights is None else stored_tensors(self.weights)

    def __enter__(self) -> KerasHubFolder:
        return self

    def __exit__(self, *exception: Any) -> None:
        self.close()

    def close(self) -> None:
        """Closes files."""
        if self.weights is not None:
            self.weights.close()

    # ------------------------------------------------------------------ configuration

    def _note_unread(self) -> None:
        known = {*self.tables.config, *_OF_KERAS}
        strange = [
            f"{key}={shortened(value)}"
            for key, value in self.config.items()
            if key not in known and value is not None
        ]
        if strange:
            self.notes.append(
                f"settings of {CONFIG} that are not understood and not used: {', '.join(strange)}"
            )

    def _special_ids(self) -> dict[str, dict[str, int]]:
        """Returns the special ids by the tokenizer, or else the family's usual ones."""
        ids: dict[str, int] = dict(self.tables.ids)
        if self.tokenizer is None:
            self.notes.append(
                "there is no tokenizer, which says the special ids; they are taken to be "
                + ", ".join(f"{name}={i}" for name, i in ids.items())
            )
        else:
            for name in ids:
                found = getattr(self.tokenizer, f"{name}_id")
                if found is None:
                    raise CheckpointError(
                        f"{self.path}: the tokenizer's vocabulary has no token for {name}"
                    )
                ids[name] = found
        unknown = None if self.tokenizer is None else self.tokenizer.unk_id
        return {
            side: {key: ids[name] for key, name in roles.items()}
            | ({} if unknown is None else {"unk": unknown})
            for side, roles in (
                ("source", self.tables.roles.source),
                ("target", self.tables.roles.target),
            )
        }

    # ------------------------------------------------------------------ tensors

    def check(self, *, strict: bool = True) -> None:
        """Compares the sizes of `config.json` with the tensors, before a network is made.

        Raises:
            CheckpointError: as `load` does.
        """
        shapes = variable_shapes(self.preset.architecture)
        if shapes is not None:
            self._fitting(shapes, strict=strict)

    def load(self, variables: Sequence[Any], *, strict: bool = True) -> dict[str, Any]:
        """Assigns the tensors to variables, one at a time.

        Args:
            variables: of the network that `preset` describes.
            strict: False leaves variables without a tensor as they are, and tensors without a
                variable alone.

        Returns:
            what a `LoadReport` says of the tensors.

        Raises:
            CheckpointError: tensors that are missing, unexpected or of another shape. Nothing is
                assigned in that case.
        """
        assert self.weights is not None
        named = {variable.path: variable for variable in variables}
        shapes = {path: tuple(variable.shape) for path, variable in named.items()}
        rows = self._fitting(shapes, strict=strict)
        found = TensorsToVariables(self.path)
        for row in rows:
            if row.theirs in self.tensors:
                found.fill(named[row.ours], self.tensors[row.theirs], row.transform.read)
        for path in self.tables.zero:
            if path in named:
                assign(named[path], np.zeros(named[path].shape, "float32"))
        found.finish()
        output = self.preset.architecture.output
        return {
            **found.account(),
            "tied": (
                (f"output = {self.tables.token_table}/vars/0",) if output.tie_embeddings else ()
            ),
            "fresh": tuple(row.ours for row in rows if row.theirs not in self.tensors),
            "unused": tuple(self._unused(rows)),
        }

    def _unused(self, rows: Sequence[Entry]) -> list[str]:
        used = {row.theirs for row in rows}
        return [name for name in self.tensors if name not in used]

    def _fitting(self, shapes: Mapping[str, tuple[int, ...]], *, strict: bool) -> list[Entry]:
        """Returns the tensor of every variable, and raises an error where one does not fit."""
        rows = entries(self.tables, shapes, self.preset.architecture.model_dump())
        problems: list[str] = []
        missing: list[str] = []
        for row in rows:
            wanted = row.transform.shape(shapes[row.ours])
            if row.theirs in self.tensors:
                problems += self.tensors[row.theirs].problems(wanted, CONFIG)
            else:
                missing.append(f"missing: {row.theirs} {wanted}, for {row.ours}")
        misshapen = bool(problems)
        if strict:
            problems += missing
            problems += [
                f"unexpected: {name} in {self.tensors[name].file}" for name in self._unused(rows)
            ]
        refuse_misfits(
            self.path,
            problems,
            model=f"that {CONFIG} describes",
            remedy=None if misshapen else LEAVES_THE_REST,
        )
        return rows


def family_of_class(name: str, path: Path) -> str:
    """Returns the zoo's family for a backbone of KerasHub.

    Raises:
        CheckpointError: no family has its tables; the message names those that one has.
    """
    family = families_by_class().get(name)
    if family is None:
        raise CheckpointError(
            f"{path}: class_name is {name}; of KerasHub's classes these can be read: "
            + ", ".join(sorted(families_by_class()))
        )
    return family


def refuse_task(folder: Path, tables: KerasHubTables) -> None:
    """Raises an error for a folder of a task whose own layers cannot be read.

    Raises:
        CheckpointError: names the tasks that can.
    """
    path = folder / TASK
    if not path.is_file():
        return
    name, _ = read_serialized(path)
    if name not in tables.tasks:
        raise CheckpointError(
            f"{path}: class_name is {name}, whose own layers cannot be read here; of this "
            f"backbone these can: {', '.join(tables.tasks) or 'none'}. Save its backbone "
            "alone to read that: task.backbone.save_to_preset(DIR)"
        )


def refuse_quantised(config: Mapping[str, Any], path: Path) -> None:
    """Raises an error for weights that are quantised.

    Raises:
        CheckpointError: they are.
    """
    dtype = config.get("dtype")
    if isinstance(dtype, Mapping) and "Quantized" in str(dtype.get("class_name")):
        raise CheckpointError(
            f"{path}: dtype is {dtype.get('class_name')}; quantised weights cannot be read: save "
            "the model before it is quantised"
        )


__all__ = ["KerasHubFolder"]
