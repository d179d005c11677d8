"""Reads a model in Marian's own files."""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from keras_s2s.checkpoints.errors import CheckpointError
from keras_s2s.checkpoints.files.marian_bin_file import MarianBinFile
from keras_s2s.checkpoints.files.npz_file import NpzFile
from keras_s2s.checkpoints.files.tensor_file import TensorFile, broken
from keras_s2s.checkpoints.marian.architecture import SettingsReader, block_numbers, family_of
from keras_s2s.checkpoints.marian.family import marian_families
from keras_s2s.checkpoints.marian.model_files import MarianFiles, find_files
from keras_s2s.checkpoints.marian.nematus_names import TYPES, marian_name
from keras_s2s.checkpoints.marian.settings import SETTINGS, read_settings
from keras_s2s.checkpoints.marian.tensor_table import TensorTable
from keras_s2s.checkpoints.marian.vocabulary import Vocabulary, read_vocabularies
from keras_s2s.checkpoints.stored_tensors import (
    FLOATS,
    LEAVES_THE_REST,
    StoredTensor,
    TensorsToVariables,
    refuse_misfits,
)
from keras_s2s.config import ConfigError, OriginConfig, PresetConfig, read_config
from keras_s2s.network_size import smallest_count
from keras_s2s.text.preprocessor import Preprocessor
from keras_s2s.text.shortlists import Shortlist, read_shortlist
from keras_s2s.text.shortlists.files import is_binary_shortlist

#: Ids of EOS and of unknown text, where there is no vocabulary.
USUAL_IDS = {"eos": 0, "unk": 1}
#: Most ids of a result, whatever its source. Marian stops at three times the longest source of a
#: batch, which depends on what is translated together.
MAX_LENGTH = 512


class MarianModel:
    """An open model of Marian.

    Args:
        path: `model.npz`, `model.bin`, `model.npz.decoder.yml`, or the folder of one model.
        with_text: False leaves the vocabularies alone.

    Attributes:
        preset: the model's configuration.
        preprocessor: text <-> ids; None where there is no vocabulary.
        shortlist: candidates of target ids; None where there is none.
        notes: remarks for the report.

    Raises:
        CheckpointError: a broken file, or a model that no layers here compute.
        ConfigError: a decoder configuration or vocabulary that cannot be read.
    """

    def __init__(self, path: str | Path, *, with_text: bool = True) -> None:
        self.files = find_files(Path(path))
        self.path = self.files.model
        self.weights = open_weights(self.path)
        try:
            self._read(with_text)
        except BaseException:
            self.close()
            raise

    def _read(self, with_text: bool) -> None:
        if SETTINGS not in self.weights.specs:
            raise CheckpointError(
                f"{self.path}: the array {SETTINGS} is missing, with which Marian says what a "
                "model is; its older files, and those of other programs, cannot be read"
            )
        self.settings = read_settings(self.path, self.weights.read(SETTINGS))
        self.family = family_of(self.settings, self.path)
        self.tables = marian_families()[self.family]
        self.names = self._names()
        shapes = {
            name: tuple(self.weights.specs[theirs].shape) for name, theirs in self.names.items()
        }
        reader = SettingsReader(self.settings, shapes, self.tables, self.family, self.path)
        architecture = reader.architecture()
        sizes = architecture["source_vocab_size"], architecture["target_vocab_size"]
        sides = read_vocabularies(self.files, sizes) if with_text else None
        data = {
            "description": f"Marian's {self.path.name}.",
            "family": self.family,
            "architecture": architecture,
            "special_ids": _special_ids(sides),
            "generation": _generation(self.files, sides),
        }
        self.preset = read_config(PresetConfig, data, origin=f"{self.path}: {SETTINGS}")
        self.preprocessor = None
        self.shortlist = None
        self.notes = [*self.files.notes, *reader.notes]
        if sides is not None:
            self.notes += dict.fromkeys(note for side in sides for note in side.notes)
            source, target = (side.tokenizer for side in sides)
            self.preprocessor = Preprocessor(source, target, self.preset.special_ids)
            self.shortlist, note = _shortlist(self.files, self.preprocessor)
            self.notes += note
        elif with_text:
            self.notes.append(
                f"no vocabulary beside {self.path.name}: EOS is taken to be "
                f"{USUAL_IDS['eos']}, unknown text {USUAL_IDS['unk']}"
            )
        self.notes.append("dropout is no part of Marian's files: all rates are 0")
        self.table = TensorTable(
            self.tables,
            self.preset.architecture,
            block_numbers(self.settings.get("transformer-tied-layers")),
        )
        origin = OriginConfig(
            format="marian", config=self.settings, tables=self.table.unusual(self.names)
        )
        self.preset = self.preset.model_copy(update={"origin": origin})

    def _names(self) -> dict[str, str]:
        """Returns Marian's names of the tensors, and those in the file; Nematus' differ."""
        specs = self.weights.specs
        if self.settings.get("type") not in TYPES:
            return {name: name for name in specs}
        shared = any(self.settings.get(f"tied-embeddings-{key}") for key in ("all", "src"))
        return {marian_name(name, shared=bool(shared)): name for name in specs}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file."""
        self.weights.close()

    def check(self) -> None:
        """Compares the size of the network with that of the file, before memory is taken.

        Raises:
            CheckpointError: the settings describe a larger model than the file holds.
        """
        held = sum(math.prod(spec.shape) for spec in self.weights.specs.values())
        least = smallest_count(self.preset.architecture)
        if least > held:
            raise CheckpointError(
                f"{self.path}: it holds {held:,} weights, but a model as {SETTINGS} describes it "
                f"has {least:,} at least"
            )

    def load(self, variables: Sequence[Any], *, strict: bool = True) -> dict[str, Any]:
        """Assigns the tensors to variables.

        Args:
            variables: of the network that `preset` describes.
            strict: False leaves variables without a tensor as they are, and tensors without a
                variable alone.

        Returns:
            what a `LoadReport` says of the tensors.

        Raises:
            CheckpointError: tensors that are missing, unexpected, of another shape or type, or not
                finite.
        """
        specs = self.names
        places, problems, fresh = [], [], []
        used, tied = {SETTINGS}, []
        for variable in variables:
            place = self.table.place(variable.path, specs)
            if place is None:
                raise CheckpointError(f"{self.path}: no tensor is known for {variable.path}")
            wanted = place.shape_of(tuple(variable.shape))
            if place.name not in specs:
                fresh.append(variable.path)
                problems += [f"missing: {place.name} {wanted}"] if strict else []
                continue
            tensor = self._tensor(place.name)
            # Nematus wrote vectors with one axis.
            row = len(variable.shape) == 1 and tensor.shape == tuple(variable.shape)
            problems += tensor.problems(tensor.shape if row else wanted, SETTINGS)
            if place.name in used:
                tied.append(f"{variable.path} = {place.name}")
            used.add(place.name)
            places.append((variable, place, tensor))
        ignored = [
            name
            for name in specs
            if any(fnmatch.fnmatchcase(name, pattern) for pattern in self.tables.ignored)
        ]
        unused = [theirs for name, theirs in specs.items() if name not in used]
        if strict:
            problems += [f"unexpected: {name}" for name in unused if name not in ignored]
        refuse_misfits(
            self.path, problems, model=f"that {SETTINGS} describes", remedy=LEAVES_THE_REST
        )
        fill = TensorsToVariables(self.path)
        for variable, place, tensor in places:
            shape = tuple(variable.shape)
            fill.fill(variable, tensor, lambda array, p=place, s=shape: p.read(array, s))  # type: ignore[misc]
        fill.finish()
        return {
            **fill.account(),
            "tied": tuple(tied),
            "fresh": tuple(fresh),
            "unused": tuple(unused),
        }

    def _tensor(self, name: str) -> StoredTensor:
        theirs = self.names[name]
        spec = self.weights.specs[theirs]
        return StoredTensor(
            theirs, self.path, tuple(spec.shape), spec.dtype, lambda: self.weights.read(theirs)
        )


def open_weights(path: Path) -> TensorFile:
    """Opens a `.npz` or `.bin` file of Marian.

    Raises:
        CheckpointError: it is damaged, or claims arrays that are larger than itself.
    """
    file: TensorFile = MarianBinFile(path) if path.suffix == ".bin" else NpzFile(path)
    size = path.stat().st_size
    for name, spec in file.specs.items():
        if isinstance(file, NpzFile) and spec.nbytes > size and spec.dtype in FLOATS:
            file.close()
            raise broken(
                path, f"the array {name} {spec.shape} has more bytes than the whole file ({size:,})"
            )
    return file


def _shortlist(
    files: MarianFiles, preprocessor: Preprocessor
) -> tuple[Shortlist | None, list[str]]:
    """Returns the shortlist of a model, and what the report says of it."""
    path, numbers = files.shortlist
    if path is None:
        return None, []
    keys = dict(zip(("first", "best"), numbers, strict=False))
    try:
        if path.is_file() and is_binary_shortlist(path):
            keys = {}  # its own header has them
        elif not all(isinstance(number, int) and number >= 0 for number in keys.values()):
            raise ConfigError(f"{path}: its numbers {list(numbers)} are no numbers of ids")
        found = read_shortlist(path, preprocessor, **keys)
    except ConfigError as error:
        return None, [f"the lexical shortlist cannot be read: {error}"]
    return found, [
        f"results have all ids; those of the lexical shortlist {path.name} alone with "
        "generate(..., shortlist=True), or --shortlist"
    ]


def _special_ids(sides: tuple[Vocabulary, Vocabulary] | None) -> dict[str, Any]:
    """Returns special ids: EOS, which also fills up batches, and which decoding starts with."""
    ids = [{"eos": side.eos, "unk": side.unk} for side in sides] if sides else [USUAL_IDS] * 2
    source, target = ({**each, "pad": each["eos"]} for each in ids)
    # Its vector is not read: see `zero_start`.
    return {"source": source, "target": {**target, "decoder_start": target["eos"]}}


def _generation(files: MarianFiles, sides: tuple[Vocabulary, Vocabulary] | None) -> dict[str, Any]:
    never = sides[1].never if sides else (USUAL_IDS["unk"],)
    return {
        "num_beams": files.search["beam-size"],
        "length_penalty": files.search["normalize"],
        "early_stopping": "shrink",
        "max_length": MAX_LENGTH,
        **({"suppress_tokens": list(never)} if not files.options.get("allow-unk") else {}),
    }
