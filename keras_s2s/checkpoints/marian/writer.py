"""Writes a model in Marian's own files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from keras import ops

from keras_s2s.checkpoints.errors import CheckpointError
from keras_s2s.checkpoints.files.marian_bin_file import write_marian_bin
from keras_s2s.checkpoints.marian.architecture import block_numbers
from keras_s2s.checkpoints.marian.family import marian_families
from keras_s2s.checkpoints.marian.model_files import DECODER_CONFIG
from keras_s2s.checkpoints.marian.nematus_names import TYPES, nematus_names
from keras_s2s.checkpoints.marian.settings import SETTINGS, write_settings
from keras_s2s.checkpoints.marian.settings_writer import family_for, settings_of
from keras_s2s.checkpoints.marian.tensor_table import TensorTable
from keras_s2s.checkpoints.single_end import check_single_end
from keras_s2s.config import PresetConfig
from keras_s2s.text.preprocessor import Preprocessor
from keras_s2s.text.pretrained.marian import MarianTokenizer
from keras_s2s.text.pretrained.sentencepiece_file import SentencePieceFileTokenizer
from keras_s2s.text.pretrained.token_list import TokenListTokenizer
from keras_s2s.text.pretrained.tokenizer_files import MARIAN_SOURCE, MARIAN_TARGET
from keras_s2s.text.tokenizer import Tokenizer
from keras_s2s.text.trained.sentencepiece import SentencePieceTokenizer

MODEL = "model.npz"
BINARY = "model.bin"
#: The matrix by which Marian knows files with Nematus' names.
NEMATUS_MARK = "decoder_c_tt"


def write_marian_folder(
    folder: Path, config: PresetConfig, variables: Sequence[Any], preprocessor: Preprocessor | None
) -> None:
    """Writes `model.npz`, `model.bin`, the vocabularies and `model.npz.decoder.yml`.

    Args:
        folder: exists.
        config: of the model.
        variables: of its network.
        preprocessor: its vocabularies are written; None writes none.

    Raises:
        CheckpointError: a model or a tokenizer that Marian does not have.
    """
    check_single_end(config, "Marian")
    family = family_for(config)
    tensors, without = tensors_of(config, family, variables)
    shapes = {name: tuple(array.shape) for name, array in tensors.items()}
    settings = settings_of(config, family, shapes)
    if without:
        raise CheckpointError(
            f"the weight {without[0]} has no place in Marian's files; merge LoRA weights, and "
            "export the model as it was before model.quantize()"
        )
    if settings.get("type") in TYPES:
        tensors = _as_nematus(tensors, config, settings)
    tensors[SETTINGS] = write_settings(settings)
    with (folder / MODEL).open("wb") as file:
        # Arrays as they are: Marian reads no compressed ones.
        np.savez(file, allow_pickle=False, **tensors)
    with (folder / BINARY).open("wb") as file:
        write_marian_bin(file, tensors)
    vocabularies = [] if preprocessor is None else _write_vocabularies(folder, preprocessor)
    generation = config.generation
    options = {
        "relative-paths": True,
        "models": [MODEL],
        "vocabs": vocabularies,
        "beam-size": generation.num_beams,
        "normalize": generation.length_penalty,
        "word-penalty": 0,
    }
    text = yaml.safe_dump(options, sort_keys=False, allow_unicode=True)
    (folder / (MODEL + DECODER_CONFIG)).write_text(text, encoding="utf-8")


def tensors_of(
    config: PresetConfig, family: str, variables: Sequence[Any]
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Returns a model's weights as Marian's tensors, in the order of their names, and the paths of
    those that no tensor holds.

    Raises:
        CheckpointError: two weights that share a tensor differ.
    """
    from_marian = config.origin is not None and config.origin.format == "marian"
    origin = config.origin.config if config.origin and from_marian else {}
    names = config.origin.tables if config.origin and from_marian else ()
    table = TensorTable(
        marian_families()[family],
        config.architecture,
        block_numbers(origin.get("transformer-tied-layers")),
    )
    found: dict[str, np.ndarray] = {}
    without: list[str] = []
    for variable in variables:
        place = table.place(variable.path, names)
        if place is None:
            without.append(variable.path)
            continue
        array = np.asarray(ops.convert_to_numpy(variable.value)).astype("float32")
        array = np.ascontiguousarray(place.write(array))
        if place.name in found and not np.array_equal(found[place.name], array):
            raise CheckpointError(
                f"Marian has one tensor {place.name} for encoder and decoder, but {variable.path} "
                "differs from the other: both were trained apart"
            )
        found[place.name] = array
    return dict(sorted(found.items())), without


def _as_nematus(
    tensors: dict[str, np.ndarray], config: PresetConfig, settings: Mapping[str, Any]
) -> dict[str, np.ndarray]:
    """Returns tensors under Nematus' names, with the empty matrix that tells them from Marian's."""
    shared = bool(settings.get("tied-embeddings-all") or settings.get("tied-embeddings-src"))
    sides = (config.architecture.encoder, config.architecture.decoder)
    depth = max(getattr(side, "cell_depth", 1) for side in sides)
    names = nematus_names(tensors, depth, shared=shared)
    renamed = {names[name]: array for name, array in tensors.items()}
    return {**renamed, NEMATUS_MARK: np.zeros((1, 0), np.float32)}


def _write_vocabularies(folder: Path, preprocessor: Preprocessor) -> list[str]:
    """Writes the vocabularies of both sides, and returns their names."""
    sides = {"source": preprocessor.source, "target": preprocessor.target}
    if preprocessor.joint:
        name = _write_vocabulary(folder, "vocab", preprocessor.source)
        return [name, name]
    return [_write_vocabulary(folder, f"{side}.vocab", each) for side, each in sides.items()]


def _write_vocabulary(folder: Path, name: str, tokenizer: Tokenizer) -> str:
    if isinstance(tokenizer, SentencePieceFileTokenizer | SentencePieceTokenizer):
        (folder / f"{name}.spm").write_bytes(tokenizer.model_bytes)
        return f"{name}.spm"
    if isinstance(tokenizer, MarianTokenizer):
        own = MARIAN_SOURCE if tokenizer.side == "source" else MARIAN_TARGET
        (folder / own).write_bytes(tokenizer.model_bytes)
        ids = dict(tokenizer.vocabulary)
    elif isinstance(tokenizer, TokenListTokenizer) and tokenizer.split == "space":
        ids = {token: i for i, token in enumerate(tokenizer.tokens) if token != f"<id {i}>"}
    else:
        raise CheckpointError(
            f"the {name} tokenizer is of the kind {tokenizer.kind!r}; Marian has SentencePiece "
            "models, and lists of tokens between spaces"
        )
    # A YAML mapping with every token in quotes, as JSON writes it.
    lines = (f"{json.dumps(token, ensure_ascii=False)}: {i}\n" for token, i in ids.items())
    (folder / f"{name}.yml").write_text("".join(lines), encoding="utf-8")
    return f"{name}.yml"
