"""Reads a CTranslate2 folder (converted from OpenNMT, fairseq or Marian) as a trainable model.

Variables of `model.bin` without a counterpart in this package are an error that names them.
Dropout is not part of such a folder: set it to fine-tune.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from keras_s2s.checkpoints.assignment import Assignments
from keras_s2s.checkpoints.ctranslate2.architecture import SPECS, Architecture, stored_name
from keras_s2s.checkpoints.ctranslate2.checks import SETTINGS, check_variables, check_vocabulary
from keras_s2s.checkpoints.ctranslate2.model_file import FILE_NAME, CTranslate2File
from keras_s2s.checkpoints.ctranslate2.variables import (
    Entry,
    entries,
)
from keras_s2s.checkpoints.ctranslate2.vocabulary import (
    CONFIG_FILE,
    TokenizerChoice,
    make_preprocessor,
    own_languages,
    own_tokenizers,
    read_settings,
    read_vocabularies,
    special_ids,
    split_of,
)
from keras_s2s.checkpoints.errors import CheckpointError
from keras_s2s.config import PresetConfig, read_config
from keras_s2s.text.preprocessor import Preprocessor

#: Revisions of the list of variables whose names are those of `ctranslate2_variables`.
REVISIONS = range(2, 8)


#: CTranslate2's defaults of its search; early stopping and penalty are fixed.
SEARCH: dict[str, Any] = {"num_beams": 2, "early_stopping": True, "length_penalty": 1.0}
#: It forbids EOS as the first id, and what is left sums up to 1.
SEARCH |= {"min_new_tokens": 1, "renormalize_logits": True}
#: Most ids that it generates, EOS included.
MAX_DECODING_LENGTH = 256

SETTINGS |= {"queries_scale", "head_dim", "multiply_by_sqrt_depth", "start_from_zero_embedding"}
SETTINGS |= {"unk_token", "bos_token", "eos_token", "with_source_bos", "with_source_eos"}
SETTINGS |= {"with_target_bos", "user_decoder_start_tokens", "relative_attention_max_distance"}

#: Logit of the id that a decoder starts with and never generates: its probability is 0 in
#: float32, and label smoothing over the vocabulary stays finite.
START_LOGIT = -100.0
#: What that id adds to our weights: a last row, or column.
_START = {
    "target_table/embeddings": 0.0,
    "token_table/embeddings": 0.0,
    "logits/dense/kernel": 0.0,
    "logits/bias": START_LOGIT,
}


class CTranslate2Model(NamedTuple):
    """Configuration, preprocessor and weights of a CTranslate2 folder.

    Attributes:
        config: architecture, special ids and CTranslate2's search.
        preprocessor: text <-> ids.
        weights: `(path of a variable, float32 array)`, read one at a time.
    """

    config: PresetConfig
    preprocessor: Preprocessor
    weights: CTranslate2Weights


def is_ctranslate2_folder(path: str | Path) -> bool:
    """Returns whether `path` is a folder with a `model.bin`."""
    return (Path(path) / FILE_NAME).is_file()


def read_ctranslate2_folder(
    folder: str | Path,
    tokenizer: TokenizerChoice = None,
    decoder_start_token: str | None = None,
) -> CTranslate2Model:
    """Reads the configuration and vocabularies of a folder, and prepares to read its weights.

    All names and shapes are checked before this returns.

    Args:
        folder: with `model.bin`, vocabularies and, since version 6 of the format, `config.json`.
        tokenizer: how text becomes tokens: "space" (it consists of tokens already), "character",
            or a tokenizer or Preprocessor with the folder's ids. None is "space", or the
            tokenizers that this package put into a folder of its own.
        decoder_start_token: the token that targets begin with, for a folder without one
            (mBART: a language code).

    Raises:
        FileNotFoundError: there is no `model.bin`.
        CheckpointError: a broken file, a model that our layers cannot compute, vocabularies that
            do not fit; the message names file and variable.
        ValueError: an unknown `tokenizer`.

    Example:
        >>> folder = model.export("de_en", format="ctranslate2")
        >>> config, preprocessor, weights = read_ctranslate2_folder(folder, "character")
        >>> config.generation.early_stopping
        True
    """
    folder = Path(folder)
    path = folder / FILE_NAME
    with CTranslate2File(path) as file:
        if file.spec not in SPECS or file.revision not in REVISIONS:
            raise CheckpointError(
                f"{path}: it holds a {file.spec or 'nameless model'} of revision {file.revision}; "
                f"only encoder-decoders ({', '.join(SPECS)}) of revisions {REVISIONS.start} to "
                f"{REVISIONS.stop - 1} can be read"
            )
        settings = read_settings(folder, file)
        source, target = read_vocabularies(folder, settings.unk_token)
        stored = Architecture(file, settings).read()
        check_vocabulary(folder, file, "source", source, stored["source_vocab_size"])
        check_vocabulary(folder, file, "target", target, stored["target_vocab_size"])

        start = decoder_start_token or settings.decoder_start_token
        zero_start = bool(file.scalar("decoder/start_from_zero_embedding", False))
        tokenizers = own_tokenizers(folder, tokenizer)
        # A folder of ours starts with a token that it has; other folders may have none to give.
        grows = zero_start and settings.pad_token is None
        grows = grows and not (tokenizers and tokenizers[1].vocabulary_size <= len(target))
        if zero_start and not grows:
            stored["decoder"]["embedding"]["zero_start"] = True
            start = start if start in target else settings.eos_token
        if grows:
            start = next(name for name in _start_names() if name not in target)
            target = [*target, start]
            source = target if stored["share_embeddings"] else source
        if start is None:
            raise CheckpointError(
                f"{folder / CONFIG_FILE}: decoder_start_token is null, so each target begins with "
                "a token of the caller's (a language code, for mBART); give it as "
                "decoder_start_token="
            )
        if start not in target:
            raise CheckpointError(
                f"{folder}: the decoder starts with {start!r}, which is not in the target "
                "vocabulary; give one that is as decoder_start_token="
            )
        ids = special_ids(settings, source, target, start, tokenizers)
        ids = ids.model_copy(update={"languages": own_languages(tokenizer, tokenizers, ids)})
        config = _preset(path, stored, ids.model_dump(), grown=int(grows))
        table = entries(_preset(path, stored, None).architecture)
        check_variables(file, table, stored)
    preprocessor = make_preprocessor(
        folder, tokenizers or split_of(tokenizer), settings, source, target, ids
    )
    weights = CTranslate2Weights(path, tuple(table), grows)
    return CTranslate2Model(config, preprocessor, weights)


def _start_names() -> Iterator[str]:
    """Returns names for a start token that the vocabulary lacks: PAD, as Hugging Face's Marian has
    it.
    """
    yield "<pad>"
    yield "<start>"
    n = 1
    while True:
        yield f"<start_{(n := n + 1)}>"


def _preset(
    path: Path, architecture: Mapping[str, Any], ids: Mapping[str, Any] | None, grown: int = 0
) -> PresetConfig:
    """Returns the configuration; `grown` adds the id of a decoder that starts from a zero
    vector.
    """
    data = {**architecture, "target_vocab_size": architecture["target_vocab_size"] + grown}
    if grown and data["share_embeddings"]:
        data["source_vocab_size"] += grown
    if grown:
        data["output"] = {**data["output"], "bias": True}
    limit = data["decoder"]["embedding"].get("max_positions")
    # The decoder start counts in our length.
    length = 1 + (MAX_DECODING_LENGTH if limit is None else min(MAX_DECODING_LENGTH, limit))
    nothing = {"source": {"pad": 0}, "target": {"decoder_start": 0, "eos": 0, "pad": 0}}
    return read_config(
        PresetConfig,
        {
            "description": "Read from a CTranslate2 folder.",
            "architecture": data,
            "special_ids": ids or nothing,
            "generation": {**SEARCH, "max_length": max(2, length)},
        },
        origin=str(path),
    )


@dataclass(frozen=True)
class CTranslate2Weights:
    """The trained values of a file whose names and shapes were checked.

    Iterating yields `(path of a variable, float32 array)`, every variable once, one variable of
    the file in memory at a time.

    Attributes:
        path: of the file.
        table: the entries of its variables.
        grows: whether its decoder starts from a zero vector, as Marian's does, and that becomes
            an id of its own, the last: its vector is zero, and it is never generated.
    """

    path: Path
    table: tuple[Entry, ...]
    grows: bool

    def __iter__(self) -> Iterator[tuple[str, np.ndarray]]:
        with CTranslate2File(self.path) as file:
            for entry in self.table:
                if entry.again:
                    continue
                name = stored_name(file, entry.name)
                missing = entry.optional and name not in file
                array = np.zeros(entry.shape, np.float32) if missing else file.array(name)
                for ours, part in entry.split(array):
                    if self.grows and ours in _START:
                        part = _with_last(part, _START[ours], axis=int(entry.transposed))
                    yield ours, part
        if self._adds_bias:
            zeros = np.zeros(self.table[-1].shape[0], np.float32)
            yield "logits/bias", _with_last(zeros, START_LOGIT, axis=0)

    @property
    def _adds_bias(self) -> bool:
        return self.grows and all("logits/bias" not in entry.paths for entry in self.table)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Returns the shapes of this package's variables by path."""
        found: dict[str, tuple[int, ...]] = {}
        for entry in self.table:
            rows = entry.shape[0] // len(entry.paths)
            for ours in entry.paths:
                grown = int(self.grows and ours in _START)
                shape = (rows + grown, *entry.shape[1:])
                found.setdefault(ours, shape[::-1] if entry.transposed else shape)
        if self._adds_bias:
            found["logits/bias"] = (self.table[-1].shape[0] + 1,)
        return found

    def assign(self, variables: Sequence[Any]) -> dict[str, Any]:
        """Assigns the values to the variables of the model that the folder describes.

        Returns:
            what a `LoadReport` says of tensors: `files`, `loaded`, `tied`, `fresh`, `unused`,
            `dtypes`.

        Raises:
            CheckpointError: the model has other variables; nothing is assigned in that case.
        """
        named = {variable.path: variable for variable in variables}
        wanted = {path: tuple(variable.shape) for path, variable in named.items()}
        if (given := self.shapes()) != wanted:
            wrong = [p for p in sorted({*given, *wanted}) if given.get(p) != wanted.get(p)]
            shown = "\n".join(
                f"  {path}: the file has {given.get(path)}, the model {wanted.get(path)}"
                for path in wrong[:20]
            )
            raise CheckpointError(f"{self.path}: {len(wrong)} weights do not fit\n{shown}")
        with CTranslate2File(self.path) as file:
            names = {entry.name: stored_name(file, entry.name) for entry in self.table}
            stored = [entry for entry in self.table if names[entry.name] in file]
            dtypes = {file.variable(names[entry.name]).dtype for entry in stored}
        fill = Assignments(self.path)
        for path, array in self:
            fill(path, named[path], array)
        fill.finish()
        first = {entry.paths: names[entry.name] for entry in reversed(self.table)}
        return {
            "files": (self.path.name,),
            "loaded": tuple(names[entry.name] for entry in stored if not entry.again),
            "tied": tuple(
                f"{names[entry.name]} = {first[entry.paths]}" for entry in stored if entry.again
            ),
            "fresh": (),
            "unused": (),
            "dtypes": tuple(sorted(dtypes)),
        }


def _with_last(array: np.ndarray, value: float, axis: int) -> np.ndarray:
    widths = [(0, int(i == axis)) for i in range(array.ndim)]
    return np.pad(array, widths, constant_values=np.float32(value))
