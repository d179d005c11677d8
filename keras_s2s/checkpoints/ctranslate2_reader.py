"""A CTranslate2 folder as a trainable model: OpenNMT's, fairseq's and Marian's road home.

CTranslate2 computes what is in `model.bin` and nothing else; whatever our layers have no
counterpart for is refused by name. Dropout is not part of such a folder: set it to fine-tune.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from keras_s2s.checkpoints.assignment import Assignments
from keras_s2s.checkpoints.ctranslate2_file import FILE_NAME, CTranslate2File
from keras_s2s.checkpoints.ctranslate2_variables import (
    CROSS_ATTENTION,
    MAX_DISTANCE,
    RELATIVE_BIAS,
    SELF_ATTENTION,
    Entry,
    entries,
)
from keras_s2s.checkpoints.ctranslate2_vocabulary import (
    CONFIG_FILE,
    TextSettings,
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
from keras_s2s.checkpoints.sinusoid_tables import find_sinusoids
from keras_s2s.config import PresetConfig, read_config
from keras_s2s.text.preprocessor import Preprocessor

#: Kind of model -> its number of heads where the file does not hold it.
SPECS = {"TransformerSpec": 8, "TransformerBase": 8, "TransformerBig": 16}
#: Revisions of the list of variables whose names are those of `ctranslate2_variables`.
REVISIONS = range(2, 8)

#: By CTranslate2's number.
ACTIVATIONS = {0: "relu", 1: "gelu_tanh", 2: "silu", 3: "gelu"}

#: CTranslate2's search where its caller says nothing; early stopping and penalty are fixed.
SEARCH: dict[str, Any] = {"num_beams": 2, "early_stopping": True, "length_penalty": 1.0}
#: It forbids EOS as the first id, and what is left sums up to 1.
SEARCH |= {"min_new_tokens": 1, "renormalize_logits": True}
#: Ids that it generates at most, EOS included.
MAX_DECODING_LENGTH = 256

#: Settings without a meaning for the answers of these models, by the last part of their name.
_WITHOUT_EFFECT = {
    "alignment_layer",
    "alignment_heads",
    "embeddings_merge",
    "alibi_use_positive_positions",
    "scale_alibi",
}
#: Settings that are read, or have the one value that our layers have.
_SETTINGS = {"num_heads", "pre_norm", "activation", "scale_embeddings", "scale_outputs"}
_SETTINGS |= {"queries_scale", "head_dim", "multiply_by_sqrt_depth", "start_from_zero_embedding"}
_SETTINGS |= {"unk_token", "bos_token", "eos_token", "with_source_bos", "with_source_eos"}
_SETTINGS |= {"with_target_bos", "user_decoder_start_tokens", "relative_attention_max_distance"}
_NEUTRAL = {
    "alibi": 0,
    "multi_query": 0,
    "multi_query_attention": 0,
    "sliding_window": 0,
    "final_logit_softcapping": 0,
    "layer_norm_use_residual": 0,
    "layer_scalar": 1,
}
#: Part of a name -> what it is, of what our layers do not do.
_FOREIGN = {
    "relative_position_": "relative positions as vectors [Shaw 2018]",
    "relative_asymmetric_position_": "relative positions as vectors",
    "rotary_": "rotary positions",
    "alibi": "positions as linear biases (ALiBi)",
    "num_heads_kv": "keys and values shared between heads",
    "multi_query": "keys and values shared between heads",
    "sliding_window": "attention within a window",
    "q_norm": "normalised queries and keys",
    "k_norm": "normalised queries and keys",
    "v_norm": "normalised values",
    "project_": "projections before and after the decoder",
    "input_layer_norm": "blocks with normalisation before and after each sub-layer",
    "post_attention_layer_norm": "blocks with normalisation before and after each sub-layer",
    "feedforward_layer_norm": "blocks with normalisation before and after each sub-layer",
    "shared_layer_norm": "parallel residual blocks",
    "memory_kv": "attention to source and target at once",
    "merged_encoder_attention": "attention to source and target at once",
    "final_logit_softcapping": "bounded logits",
    "layer_scalar": "scaled layers",
    "layer_norm_use_residual": "normalisation by 1 + gamma",
    "weight_zero": "weights in 4 bits (AWQ)",
    "embeddings_1": "source factors",
}

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
    """What a folder holds.

    Attributes:
        config: architecture, special ids and CTranslate2's search.
        preprocessor: text <-> ids.
        weights: `(path of our variable, float32 array)`, read as they are asked for.
    """

    config: PresetConfig
    preprocessor: Preprocessor
    weights: CTranslate2Weights


def is_ctranslate2_folder(path: str | Path) -> bool:
    """Whether `path` is a folder with a `model.bin`."""
    return (Path(path) / FILE_NAME).is_file()


def read_ctranslate2_folder(
    folder: str | Path,
    tokenizer: TokenizerChoice = None,
    decoder_start_token: str | None = None,
) -> CTranslate2Model:
    """Read the configuration and vocabularies of a folder, and prepare to read its weights.

    All names and shapes are checked before this returns.

    Args:
        folder: with `model.bin`, vocabularies and, since version 6 of the format, `config.json`.
        tokenizer: how text becomes tokens: "space" (it consists of tokens already), "character",
            or a tokenizer or Preprocessor with the folder's ids. None is "space", or the
            tokenizers that this package put into a folder of its own.
        decoder_start_token: what targets begin with, for a folder that leaves it to the caller
            (mBART: a language code).

    Raises:
        FileNotFoundError: there is no `model.bin`.
        CheckpointError: a broken file, a model that our layers cannot compute, vocabularies that
            do not fit; the message names file and variable.
        ValueError: an unknown `tokenizer`.

    Example:
        >>> config, preprocessor, weights = read_ctranslate2_folder("ar-en", "character")
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
        stored = _Architecture(file, settings).read()
        _check_vocabulary(folder, file, "source", source, stored["source_vocab_size"])
        _check_vocabulary(folder, file, "target", target, stored["target_vocab_size"])

        start = decoder_start_token or settings.decoder_start_token
        zero_start = bool(file.scalar("decoder/start_from_zero_embedding", False))
        if zero_start:
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
        tokenizers = own_tokenizers(folder, tokenizer)
        ids = special_ids(settings, source, target, start, tokenizers)
        ids = ids.model_copy(update={"languages": own_languages(tokenizer, tokenizers, ids)})
        config = _preset(path, stored, ids.model_dump(), grown=int(zero_start))
        table = entries(_preset(path, stored, None).architecture)
        _check_variables(file, table, stored)
    preprocessor = make_preprocessor(
        folder, tokenizers or split_of(tokenizer), settings, source, target, ids
    )
    weights = CTranslate2Weights(path, tuple(table), zero_start)
    return CTranslate2Model(config, preprocessor, weights)


def _start_names() -> Iterator[str]:
    """Names for a start token that the vocabulary lacks: PAD, as Hugging Face's Marian has it."""
    yield "<pad>"
    yield "<start>"
    n = 1
    while True:
        yield f"<start_{(n := n + 1)}>"


def _preset(
    path: Path, architecture: Mapping[str, Any], ids: Mapping[str, Any] | None, grown: int = 0
) -> PresetConfig:
    """The configuration; `grown` adds the id of a decoder that starts from a zero vector."""
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
        source=str(path),
    )


@dataclass(frozen=True)
class CTranslate2Weights:
    """The trained values of a file whose names and shapes were checked.

    Iterating yields `(path of our variable, float32 array)`, every variable once, one variable of
    the file in memory at a time.

    Attributes:
        path: of the file.
        table: what lies in it.
        zero_start: whether its decoder starts from a zero vector, as Marian's does. Here that is
            an id of its own, the last: its vector is zero, and it is never generated.
    """

    path: Path
    table: tuple[Entry, ...]
    zero_start: bool

    def __iter__(self) -> Iterator[tuple[str, np.ndarray]]:
        with CTranslate2File(self.path) as file:
            for entry in self.table:
                if entry.again:
                    continue
                name = _stored_name(file, entry.name)
                missing = entry.optional and name not in file
                array = np.zeros(entry.shape, np.float32) if missing else file.array(name)
                for ours, part in entry.split(array):
                    if self.zero_start and ours in _START:
                        part = _with_last(part, _START[ours], axis=int(entry.transposed))
                    yield ours, part
        if self._adds_bias:
            zeros = np.zeros(self.table[-1].shape[0], np.float32)
            yield "logits/bias", _with_last(zeros, START_LOGIT, axis=0)

    @property
    def _adds_bias(self) -> bool:
        return self.zero_start and all("logits/bias" not in entry.paths for entry in self.table)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of our variables by path."""
        found: dict[str, tuple[int, ...]] = {}
        for entry in self.table:
            rows = entry.shape[0] // len(entry.paths)
            for ours in entry.paths:
                grown = int(self.zero_start and ours in _START)
                shape = (rows + grown, *entry.shape[1:])
                found.setdefault(ours, shape[::-1] if entry.transposed else shape)
        if self._adds_bias:
            found["logits/bias"] = (self.table[-1].shape[0] + 1,)
        return found

    def assign(self, variables: Sequence[Any]) -> dict[str, Any]:
        """Fill the variables of the model that the folder's configuration describes.

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
            names = {entry.name: _stored_name(file, entry.name) for entry in self.table}
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


def _check_vocabulary(
    folder: Path, file: CTranslate2File, side: str, tokens: list[str], rows: int
) -> None:
    if len(tokens) != rows:
        raise CheckpointError(
            f"{folder}: the {side} vocabulary has {len(tokens)} tokens (the unknown one "
            f"included), but {file.path.name} {rows} {side} embeddings; the files do not belong "
            "together"
        )


def _check_variables(
    file: CTranslate2File, table: list[Entry], architecture: Mapping[str, Any]
) -> None:
    """Refuse variables that are missing, wrong in shape, or unknown."""
    names = {entry.name: _stored_name(file, entry.name) for entry in table}
    problems = []
    for entry in table:
        name = names[entry.name]
        if name not in file:
            if not entry.optional:
                problems.append(f"missing: {name}")
            continue
        variable = file.variable(name)
        if variable.shape != entry.shape:
            problems.append(
                f"wrong shape: {name} at byte {variable.offset} is {variable.shape}, expected "
                f"{entry.shape}"
            )
        elif variable.dtype == "int8" and f"{variable.name}_scale" not in file:
            problems.append(f"missing: {variable.name}_scale")
    known = set(names.values())
    known |= {f"{name}_scale" for name in known}
    for side in ("encoder", "decoder"):
        # A table that was recognised, and is computed here.
        if architecture[side]["embedding"]["positions"] != "learned":
            known.add(f"{side}/position_encodings/encodings")
    for name in (*file.variables, *file.aliases):
        if name not in known and (problem := _foreign(file, name, architecture)):
            problems.append(problem)
    if problems:
        shown = problems[:20] + (["..."] if len(problems) > 20 else [])
        raise CheckpointError(
            f"{file.path}: {len(problems)} variables do not fit\n"
            + "\n".join(f"  {line}" for line in shown)
        )


def _foreign(file: CTranslate2File, name: str, architecture: Mapping[str, Any]) -> str | None:
    """What is wrong with a variable that no entry of the table names."""
    last = name.rpartition("/")[2]
    if last in _WITHOUT_EFFECT | _SETTINGS:
        return None
    if last in _NEUTRAL and file.scalar(name) == _NEUTRAL[last]:
        return None
    if last == "num_heads_kv":
        side = name.partition("/")[0]
        if file.scalar(name) == architecture[side]["num_heads"]:
            return None
    place = f"{name} at byte {file.variable(name).offset}"
    for part, what in _FOREIGN.items():
        if part in name:
            return f"not supported: {place}: {what}"
    return f"unknown: {place}"


def _stored_name(file: CTranslate2File, name: str) -> str:
    """Before revision 4 an encoder had one table of embeddings, without a number."""
    old = name.replace("/embeddings_0/", "/embeddings/")
    return old if name not in file and old in file else name


@dataclass
class _Architecture:
    """Keys of an `ArchitectureConfig`, from the settings and shapes of a file."""

    file: CTranslate2File
    settings: TextSettings

    def read(self) -> dict[str, Any]:
        file = self.file
        if "encoder/embeddings_1/weight" in file:
            self._refuse("encoder/embeddings_1/weight", "source factors have no counterpart here")
        if "decoder/layer_0/attention/linear_0/weight" not in file:
            raise CheckpointError(
                f"{file.path}: the decoder does not read the source "
                "(decoder/layer_0/attention/linear_0/weight is missing); only encoder-decoders "
                "can be read"
            )
        source = _stored_name(file, "encoder/embeddings_0/weight")
        target, projection = "decoder/embeddings/weight", "decoder/projection/weight"
        encoder, decoder = self._side("encoder", source), self._side("decoder", target)
        for side, other in ((encoder, decoder), (decoder, encoder)):
            mine, theirs = side["relative_positions"], other["relative_positions"]
            if side["num_layers"] == 1 and mine is not None and theirs is not None:
                # One layer does not tell whether each has a table; the other side may.
                mine["per_layer"] = theirs["per_layer"]
        scale = self.file.scalar("decoder/scale_outputs", 1.0)
        tied_scale = decoder["hidden_dim"] ** -0.5
        if not _close(scale, 1.0) and not _close(scale, tied_scale):
            self._refuse(
                "decoder/scale_outputs", f"the scale is {scale}, expected 1 or {tied_scale:.6g}"
            )
        return {
            "source_vocab_size": file.variable(source).shape[0],
            "target_vocab_size": file.variable(target).shape[0],
            "encoder": encoder,
            "decoder": decoder,
            "share_embeddings": self._same(source, target),
            "output": {
                "tie_embeddings": self._same(target, projection),
                "bias": "decoder/projection/bias" in file,
                "scale": not _close(scale, 1.0),
            },
        }

    def _side(self, side: str, table: str) -> dict[str, Any]:
        file = self.file
        layers = 0
        while f"{side}/layer_{layers}/ffn/linear_0/weight" in file:
            layers += 1
        if not layers:
            raise CheckpointError(
                f"{file.path}: variable '{side}/layer_0/ffn/linear_0/weight' is missing"
            )
        width = self._shape(table, 2)[1]
        attention = f"{side}/layer_0/self_attention"
        heads = self._setting(side, "num_heads", SPECS[file.spec])
        fused = self._shape(f"{attention}/linear_0/weight", 2)[0]
        if heads < 1 or fused % (3 * heads):
            self._refuse(
                f"{attention}/linear_0/weight",
                f"{fused} rows are not query, key and value of {heads} heads each",
            )
        head_dim = fused // (3 * heads)
        if file.scalar(f"{attention}/head_dim", head_dim) != head_dim:
            self._refuse(f"{attention}/head_dim", f"expected {head_dim}, by linear_0's rows")
        gammas = f"{side}/layer_0/ffn/layer_norm"
        pre = bool(self._setting(side, "pre_norm", True))
        relative = self._relative_positions(side, layers)
        activation = self._setting(side, "activation", 0)
        if activation not in ACTIVATIONS:
            self._refuse(
                f"{side}/activation",
                f"number {activation} (4 is the sigmoid approximation of GELU) is not one of "
                + ", ".join(f"{number} ({name})" for number, name in ACTIVATIONS.items()),
            )
        linears = [*SELF_ATTENTION, *CROSS_ATTENTION, "ffn/linear_0", "ffn/linear_1"]
        norm = "layer" if f"{gammas}/beta" in file else "rms"
        return {
            "type": "transformer",
            "hidden_dim": width,
            "num_heads": heads,
            "head_dim": None if head_dim * heads == width else head_dim,
            "intermediate_dim": self._shape(f"{side}/layer_0/ffn/linear_0/weight", 2)[0],
            "num_layers": layers,
            "activation": ACTIVATIONS[activation],
            "gated": f"{side}/layer_0/ffn/linear_0_noact/weight" in file,
            "norm_order": "pre" if pre else "post",
            "norm": norm,
            "norm_epsilon": self._epsilon(norm),
            "final_norm": f"{side}/layer_norm/gamma" in file,
            "use_bias": any(
                f"{side}/layer_{i}/{name}/bias" in file for i in range(layers) for name in linears
            ),
            "scale_attention": self._scales_attention(side, layers, width // heads, head_dim),
            "relative_positions": relative,
            "embedding": self._embedding(side, table, width, relative is not None),
        }

    def _embedding(self, side: str, table: str, width: int, relative: bool) -> dict[str, Any]:
        file = self.file
        embedding: dict[str, Any] = {"scale": self._scales_embeddings(side, table, width)}
        name = f"{side}/position_encodings/encodings"
        if relative:
            embedding["positions"] = "none"
        elif name not in file:
            if width % 2 or width < 4:
                self._refuse(table, f"sinusoids have an even width of 4 at least, not {width}")
            # What CTranslate2 computes itself; OpenNMT counts from 1.
            embedding |= {
                "positions": "sinusoidal",
                "sinusoids": "tensor2tensor",
                "position_offset": 1,
            }
        else:
            rows, columns = self._shape(name, 2)
            if columns != width:
                self._refuse(name, f"its width is {columns}, that of {table!r} {width}")
            found = find_sinusoids(file.array(name), file.variable(name).dtype)
            if found is None:
                embedding |= {"positions": "learned", "max_positions": rows}
            else:
                embedding |= found.model_dump(exclude_unset=True)
        norm = f"{side}/layernorm_embedding"
        if f"{norm}/gamma" in file:
            if f"{norm}/beta" not in file:
                self._refuse(f"{norm}/gamma", "embeddings normalised without a bias")
            embedding |= {"norm": True, "norm_epsilon": self._epsilon("layer")}
        return embedding

    def _epsilon(self, norm: str) -> float:
        given = self.settings.layer_norm_epsilon
        return given if given is not None else {"layer": 1e-5, "rms": 1e-6}[norm]

    def _scales_embeddings(self, side: str, table: str, width: int) -> bool:
        name = f"{side}/scale_embeddings"
        if name not in self.file:
            name = table.replace("/weight", "/multiply_by_sqrt_depth")
        if name not in self.file:
            return True
        value = self.file.scalar(name)
        if self.file.variable(name).dtype == "int8":
            return bool(value)
        if not _close(value, 1.0) and not _close(value, math.sqrt(width)):
            self._refuse(name, f"the scale is {value}, expected 1 or {math.sqrt(width):.6g}")
        return not _close(value, 1.0)

    def _scales_attention(self, side: str, layers: int, default_dim: int, head_dim: int) -> bool:
        """Whether scores are divided by sqrt(head_dim), in every layer alike."""
        kinds = ("self_attention", "attention") if side == "decoder" else ("self_attention",)
        found = set()
        for i in range(layers):
            for kind in kinds:
                name = f"{side}/layer_{i}/{kind}/queries_scale"
                dim = self.file.scalar(f"{side}/layer_{i}/{kind}/head_dim", default_dim)
                value = self.file.scalar(name, dim**-0.5)
                if not _close(value, 1.0) and not _close(value, head_dim**-0.5):
                    self._refuse(name, f"the scale is {value}, expected 1 or {head_dim**-0.5:.6g}")
                found.add(_close(value, head_dim**-0.5))
        if len(found) > 1:
            self._refuse(f"{side}/layer_0/self_attention/queries_scale", "layers differ in it")
        return found.pop()

    def _relative_positions(self, side: str, layers: int) -> dict[str, Any] | None:
        first = f"{side}/layer_0/{RELATIVE_BIAS}"
        if first not in self.file:
            return None
        tables = [f"{side}/layer_{i}/{RELATIVE_BIAS}" for i in range(layers)]
        return {
            "num_buckets": self._shape(first, 2)[0],
            "max_distance": self.file.scalar(f"{side}/layer_0/{MAX_DISTANCE}", 128),
            "per_layer": not all(name in self.file and self._same(first, name) for name in tables),
        }

    # ------------------------------------------------------------------ variables

    def _same(self, one: str, other: str) -> bool:
        """Whether two names stand for one variable: by an alias, or, in older files, by value."""
        file = self.file
        if other not in file or one not in file:
            return False
        first, second = file.variable(one), file.variable(other)
        if first.name == second.name:
            return True
        return (
            first.shape == second.shape
            and first.dtype == second.dtype
            and np.array_equal(file.array(one), file.array(other))
        )

    def _setting(self, side: str, name: str, default: Any) -> Any:
        """A setting of one side, or (before revision 5) of both."""
        return int(self.file.scalar(f"{side}/{name}", self.file.scalar(name, default)))

    def _shape(self, name: str, rank: int) -> tuple[int, ...]:
        variable = self.file.variable(name)
        if len(variable.shape) != rank or 0 in variable.shape:
            self._refuse(name, f"its shape is {variable.shape}, expected {rank} sizes above 0")
        return variable.shape

    def _refuse(self, name: str, problem: str) -> Any:
        place = f", byte {self.file.variable(name).offset}" if name in self.file else ""
        raise CheckpointError(f"{self.file.path}{place}: variable {name!r}: {problem}")


def _close(a: float, b: float) -> bool:
    # Half-precision files hold their settings in float32; these come from float32 arithmetic.
    return math.isclose(a, b, rel_tol=1e-4)
