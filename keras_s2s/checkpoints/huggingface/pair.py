"""An encoder and a decoder of two families, as one model: transformers' EncoderDecoderModel
[Rothe 2020].

The pair is read from one folder (`model_type: encoder-decoder`), or put together of two.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from keras_s2s.checkpoints.assignment import assign
from keras_s2s.checkpoints.errors import CheckpointError
from keras_s2s.checkpoints.huggingface.generation_table import read_generation
from keras_s2s.checkpoints.huggingface.half import HalfCheckpoint
from keras_s2s.checkpoints.huggingface.key_table import Entry
from keras_s2s.checkpoints.huggingface.pair_report import describe_rows
from keras_s2s.checkpoints.huggingface.pair_row import (
    PROJECTION,
    THEIR_PROJECTION,
    Row,
    matches,
)
from keras_s2s.checkpoints.huggingface.transforms import TRANSFORMS
from keras_s2s.checkpoints.stored_tensors import (
    LEAVES_THE_REST,
    StoredTensor,
    TensorsToVariables,
    refuse_misfits,
)
from keras_s2s.config import OriginConfig, PresetConfig, merge, read_config

MODEL_TYPE = "encoder-decoder"
MODEL_CLASS = "EncoderDecoderModel"

#: A key of this package in `config.json`: whether labels begin with the decoder's BOS ([CLS]).
LABEL_BOS = "labels_begin_with_bos"

#: Weights that two halves may lack, and that are drawn at random then.
MAY_BE_NEW = ("*/cross_attention/*", "*/cross_attention_norm/*", f"{PROJECTION}/*", "logits/*")

#: Where the encoder's variables are; all others are the decoder's.
ENCODER_LAYERS = ("encoder/", "source_table/", "source_embedding/", "token_table/")

#: Layers of the decoder that it has in common with a tied encoder.
TIED_LAYERS = (
    ("target_table/", "token_table/"),
    ("target_embedding/", "source_embedding/"),
    ("decoder/", "encoder/"),
)


class Pair:
    """Two halves as one model.

    Args:
        encoder, decoder: the halves.
        config: keys of the pair (`decoder_start_token_id`, ...), without those of its halves.
        name: of the pair, for messages.
        generation: of its `generation_config.json`; None where there is none.
        projection: tensors of the layer between both, by their names.
        tie: the decoder has the encoder's weights.
        may_be_new: patterns of variables that may lack a tensor.
        two_folders: the halves were pretrained alone; False for a folder that holds both.
        special_ids: ids that go before all others: `{"target": {"decoder_start": 101}}`.

    Attributes:
        preset: the configuration of the model.
        notes: remarks for the report.
    """

    def __init__(
        self,
        encoder: HalfCheckpoint,
        decoder: HalfCheckpoint,
        *,
        config: Mapping[str, Any],
        name: str,
        generation: Mapping[str, Any] | None = None,
        projection: Mapping[str, StoredTensor] | None = None,
        tie: bool = False,
        may_be_new: Sequence[str] = (),
        two_folders: bool = False,
        special_ids: Mapping[str, Any] | None = None,
    ) -> None:
        self.encoder, self.decoder, self.name = encoder, decoder, name
        self.config = dict(config)
        self.projection = dict(projection or {})
        self.may_be_new = tuple(may_be_new)
        self.two_folders = two_folders
        self.notes = [*encoder.notes, *decoder.notes]
        self.tie = tie
        self.copies: dict[str, str] = {}
        if tie:
            if not two_folders:
                self._take_each_others_tensors()
            self._find_copies()
        self._ids = special_ids or {}
        self._generation = generation
        self.data = self._preset()

    # ------------------------------------------------------------------ configuration

    @property
    def family(self) -> str:
        """Both families, for the report."""
        return f"{self.encoder.family} to {self.decoder.family}"

    def _preset(self) -> dict[str, Any]:
        encoder, decoder = self.encoder.settings, self.decoder.settings
        widths_differ = encoder["hidden_dim"] != decoder["hidden_dim"]
        architecture = {
            "source_vocab_size": self.encoder.vocab_size,
            "target_vocab_size": self.decoder.vocab_size,
            "encoder": encoder,
            "decoder": decoder,
            "memory_projection": widths_differ and not self.decoder.has_cross_width,
            "share_embeddings": self.tie,
            "tie_encoder_decoder": self.tie,
            "output": self.decoder.output,
        }
        defaults = read_generation(
            self._generation
            or {**self.decoder.tables.generation, **self.decoder.config, **self.config},
            self.name,
            strict=self._generation is not None,
        )
        self.notes += defaults.notes
        stated = {
            ours: self.config[f"{theirs}_token_id"]
            for ours, theirs in (
                ("pad", "pad"),
                ("eos", "eos"),
                ("bos", "bos"),
                ("decoder_start", "decoder_start"),
            )
            if self.config.get(f"{theirs}_token_id") is not None
        }
        of_generation = _set(defaults.target_ids)
        if "decoder_start" in stated and "decoder_start_token_id" not in (self._generation or {}):
            of_generation.pop("decoder_start", None)  # what is left is BOS, in its place
        self.notes += [
            f"{name} is {i} in generation_config.json, {stated[name]} in config.json; targets here "
            f"have {i}"
            for name, i in of_generation.items()
            if name in ("eos", "pad", "decoder_start") and stated.get(name) not in (i, None)
        ]
        target = {**_set(self.decoder.ids), **_set(stated), **of_generation}
        source = _set(self.encoder.ids)
        origin = OriginConfig(
            format="huggingface",
            config={
                **self.config,
                "model_type": MODEL_TYPE,
                "encoder": self.encoder.config,
                "decoder": self.decoder.config,
            },
            generation=dict(self._generation or {}),
            tables=(),
        )
        return {
            "description": f"{MODEL_CLASS} ({self.family}) from {self.name}.",
            "architecture": architecture,
            "special_ids": {"source": source, "target": target},
            "generation": defaults.generation.model_dump(),
            "origin": origin.model_dump(),
        }

    def preset(self, of_tokenizers: Mapping[str, Mapping[str, Any]]) -> PresetConfig:
        """Returns the configuration of the model.

        Args:
            of_tokenizers: ids that tokenizers put around texts, `{"source": {"bos": ...}}`.
                They go before those of `config.json`, but for a decoder start, an EOS and a PAD
                that it states.

        Raises:
            CheckpointError: an id that nothing states.
        """
        ids: dict[str, dict[str, Any]] = {}
        for end in ("source", "target"):
            stated, found = self.data["special_ids"][end], dict(of_tokenizers.get(end, {}))
            keep = ("decoder_start", "eos", "pad") if end == "target" else ("pad",)
            kept = {key: stated[key] for key in keep if key in stated}
            ids[end] = {**stated, **found, **kept, **dict(self._ids.get(end) or {})}
        self._fill_pads(ids)
        target = ids["target"]
        for key, what in (("decoder_start", "the decoder's first input"), ("eos", "what ends it")):
            if target.get(key) is None:
                theirs = {"decoder_start": "decoder_start_token_id", "eos": "eos_token_id"}[key]
                remedy = (
                    "pass special_ids={'target': {'" + key + "': ID}} to from_encoder_decoder"
                    if self.two_folders
                    else f"write {theirs} into {self.name}/config.json"
                )
                raise CheckpointError(
                    f"{self.name}: nothing states {what}: neither {theirs} in a configuration, nor "
                    f"the decoder's tokenizer; {remedy}"
                )
        data = merge(self.data, {"special_ids": ids})
        if of_tokenizers.get("languages"):
            data["special_ids"]["languages"] = of_tokenizers["languages"]
        return read_config(PresetConfig, data, origin=self.name)

    def stated(self, name: str, default: int | None) -> int | None:
        """Returns an id of the target as configurations state it, or a default."""
        given = dict(self._ids.get("target") or {})
        value = given.get(name, self.data["special_ids"]["target"].get(name))
        return default if value is None else value

    def _fill_pads(self, ids: dict[str, dict[str, Any]]) -> None:
        """Pads with EOS where there is no PAD (GPT-2); masks say what is padding."""
        for end, side in ids.items():
            if side.get("pad") is None:
                side["pad"] = next((side[key] for key in ("eos", "bos") if side.get(key)), 0)
                self.notes.append(f"the {end} has no PAD; rows are filled with id {side['pad']}")

    # ------------------------------------------------------------------ tensors

    def _take_each_others_tensors(self) -> None:
        """Gives each of two tied halves the tensors that only the other one has.

        A file of tied weights may hold them once.
        """
        one, other = self.encoder, self.decoder
        if one.family != other.family:
            return
        ours = set(one.tensors), set(other.tensors)
        for name in ours[0] - ours[1]:
            other.tensors[name] = one.tensors[name]
        for name in ours[1] - ours[0]:
            if "crossattention" not in name and name.startswith(other.tables.prefix):
                one.tensors[name] = other.tensors[name]

    def _find_copies(self) -> None:
        """Finds the decoder's tensors that hold the encoder's weights once more.

        In a folder of a tied model they are equal; where they are not, transformers 5 has two sides
        of their own. In a warm start the decoder's are left aside.
        """
        shared = [
            name
            for name in self.decoder.tensors
            if name in self.encoder.tensors
            and name.startswith(self.decoder.tables.prefix)
            and not self.decoder.is_ignored(name)
        ]
        for name in shared:
            mine, other = self.decoder.tensors[name], self.encoder.tensors[name]
            if self.two_folders or mine is other or np.array_equal(mine.read(), other.read()):
                self.copies[mine.name] = other.name
                continue
            self.copies = {}
            self.tie = False
            self.notes.append(
                f"tie_encoder_decoder is true, but {mine.name} differs from {other.name}; both "
                "sides have their own weights"
            )
            return

    def rows(self, shapes: Mapping[str, Any], architecture: Mapping[str, Any]) -> list[Row]:
        """Returns the tensor of every variable.

        Args:
            shapes: of the variables, by path.
            architecture: of the model.
        """
        found: list[Row] = []
        mine = [path for path in shapes if path.startswith(ENCODER_LAYERS)]
        between = [path for path in shapes if path.startswith(f"{PROJECTION}/")]
        others = [path for path in shapes if path not in {*mine, *between}]
        for half, paths in ((self.encoder, mine), (self.decoder, others)):
            for entry in half.entries(paths, architecture):
                found.append(Row(entry, half, half.tensors.get(entry.theirs)))
        for path in between:
            kind = path.rpartition("/")[2]
            suffix, transform = {"kernel": ("weight", "transpose"), "bias": ("bias", "same")}[kind]
            name = f"{THEIR_PROJECTION}.{suffix}"
            entry = Entry(path, name, TRANSFORMS[transform])
            found.append(Row(entry, None, self.projection.get(name)))
        return found

    def load(self, variables: Sequence[Any], *, strict: bool) -> dict[str, Any]:
        """Assigns the tensors to variables, one at a time, and draws what no file has.

        Args:
            variables: of the network that `preset` describes.
            strict: False leaves what is missing at random, and tensors without a variable alone.

        Returns:
            what a `LoadReport` says of the tensors, and notes.

        Raises:
            CheckpointError: tensors that are missing, unexpected or of another shape. Nothing is
                assigned in that case.
        """
        named = {variable.path: variable for variable in variables}
        shapes = {path: tuple(variable.shape) for path, variable in named.items()}
        architecture = self.data["architecture"]
        rows = self.rows(shapes, architecture)
        used = {row.tensor.name for row in rows if row.tensor is not None}
        unused = list(self._unused(used))
        self._check(rows, shapes, unused, strict=strict)
        found = TensorsToVariables(self.name)
        for row in rows:
            variable = named[row.entry.ours]
            if row.tensor is None:
                self._draw(row, variable)
            else:
                found.fill(variable, row.tensor, row.entry.read)
        found.finish()
        new = [row for row in rows if row.tensor is None and not row.is_optional]
        halves = (self.encoder, self.decoder)
        tied = {**self.encoder.tied, **self.decoder.tied}
        if not self.two_folders:  # else what was left aside need not be equal
            tied |= {one: other for one, other in self.copies.items() if one != other}
        account = found.account()
        if self.two_folders:  # their files may have the same name
            account["files"] = tuple(self._files_of_sides(rows))
        return {
            **account,
            "tied": tuple(f"{a} = {b}" for a, b in tied.items()),
            "fresh": tuple(row.entry.ours for row in new),
            "unused": tuple(dict.fromkeys(unused)),
            "computed": tuple(name for half in halves for name in half.computed),
            "notes": tuple(
                describe_rows(
                    self.encoder,
                    self.decoder,
                    rows,
                    tied=self.tie,
                    two_folders=self.two_folders,
                )
            ),
        }

    def _files_of_sides(self, rows: Sequence[Row]) -> Iterator[str]:
        for half in (self.encoder, self.decoder):
            files = [r.tensor.file.name for r in rows if r.half is half and r.tensor is not None]
            yield from (f"{half.side}: {name}" for name in dict.fromkeys(files))

    def _unused(self, used: set[str]) -> Iterator[str]:
        for half in (self.encoder, self.decoder):
            for name, tensor in half.tensors.items():
                known = name in half.tied or name in half.computed or name in half.tables.computed
                known = known or tensor.name in self.copies
                if tensor.name not in used and not known and half.belongs_here(name):
                    yield tensor.name
        for tensor in self.projection.values():
            if tensor.name not in used:
                yield tensor.name

    def _check(
        self,
        rows: Sequence[Row],
        shapes: Mapping[str, tuple[int, ...]],
        unused: Sequence[str],
        *,
        strict: bool,
    ) -> None:
        problems: list[str] = []
        for row in rows:
            wanted = row.entry.shape(shapes[row.entry.ours])
            if row.tensor is not None:
                problems += row.tensor.problems(wanted, "config.json")
            missing = row.tensor is None and not row.is_optional
            if missing and strict and not matches(row.entry.ours, self.may_be_new):
                side = "" if row.half is None else f"{row.half.side}: "
                problems.append(f"missing: {side}{row.entry.theirs} {wanted}, for {row.entry.ours}")
        if strict and not self.may_be_new:
            ignored = {
                tensor.name
                for half in (self.encoder, self.decoder)
                for name, tensor in half.tensors.items()
                if half.is_ignored(name)
            }
            problems += [f"unexpected: {name}" for name in unused if name not in ignored]
        misshapen = any(problem.startswith("wrong") for problem in problems)
        refuse_misfits(
            self.name,
            problems,
            model="that its configuration describes",
            remedy=None if misshapen else LEAVES_THE_REST,
        )

    # ------------------------------------------------------------------ new weights

    def _draw(self, row: Row, variable: Any) -> None:
        """Gives a variable that no file has the values that transformers begins with."""
        if row.is_optional:
            assign(variable, np.zeros(variable.shape, "float32"))
            return
        layer, _, kind = row.entry.ours.rpartition("/")
        if kind not in ("kernel", "embeddings"):
            return  # gains of 1, offsets and biases of 0, as the layer began
        half = row.half or self.decoder  # transformers draws the projection as the decoder
        initial = half.tables.initial
        std = 0.02 if initial is None else half.config.get(initial.std) or initial.default
        if row.half and initial is not None and matches(layer, initial.depth_scaled):
            std /= (2 * half.settings["num_layers"]) ** 0.5
        draw = keras.initializers.RandomNormal(stddev=float(std))
        variable.assign(draw(tuple(variable.shape), dtype=variable.dtype))


def _set(ids: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the ids that are set; the first where there are several."""
    single = {key: i[0] if isinstance(i, list) and i else i for key, i in ids.items()}
    return {key: i for key, i in single.items() if i is not None}
