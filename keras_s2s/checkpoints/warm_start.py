"""Opens encoder-decoders of two halves: a folder of transformers' EncoderDecoderModel, or two
checkpoints that are put together (warm start) [Rothe 2020].
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from keras_s2s import catalog
from keras_s2s.checkpoints.errors import CheckpointError
from keras_s2s.checkpoints.files.weight_files import open_weights
from keras_s2s.checkpoints.huggingface.config_file import read_json
from keras_s2s.checkpoints.huggingface.given_config import (
    check_changes,
    check_mapping,
    configuration_keys,
    is_configuration,
)
from keras_s2s.checkpoints.huggingface.half import ENDS, HalfCheckpoint, Side
from keras_s2s.checkpoints.huggingface.hub import HUB_PREFIX, fetch_folder
from keras_s2s.checkpoints.huggingface.pair import (
    LABEL_BOS,
    MAY_BE_NEW,
    MODEL_TYPE,
    Pair,
)
from keras_s2s.checkpoints.huggingface.pair_row import THEIR_PROJECTION
from keras_s2s.checkpoints.huggingface.writer import describe
from keras_s2s.checkpoints.kerashub.half import KerasHubHalf
from keras_s2s.checkpoints.kerashub.serialized import is_kerashub_folder, is_kerashub_object
from keras_s2s.checkpoints.load_report import LoadReport
from keras_s2s.checkpoints.model_source import Source, check_source
from keras_s2s.checkpoints.stored_tensors import StoredTensor, stored_tensors
from keras_s2s.config import ConfigError, PresetConfig
from keras_s2s.config.nearest import did_you_mean
from keras_s2s.text.preprocessor import Preprocessor
from keras_s2s.text.pretrained.text_side import TextSide, load_text_side, load_text_sides

CONFIG_FILE = "config.json"
GENERATION_FILE = "generation_config.json"

#: Folders of the halves in that of a model whose halves were saved one by one.
SIDES: tuple[Side, Side] = ("encoder", "decoder")


class EncoderDecoder(Source):
    """A model of two halves.

    Args:
        pair: configuration and tensors.
        text: tokenizers of both sides; None for a side that works on ids, as both do then.
        files: what to close at the end.
        label_bos: whether labels begin with the id that the decoder's tokenizer puts before a text;
            None: where it is not the decoder start.
    """

    def __init__(
        self,
        pair: Pair,
        text: tuple[TextSide | None, TextSide | None],
        files: contextlib.ExitStack,
        label_bos: bool | None = None,
    ) -> None:
        self.name = pair.name
        self.pair = pair
        self._files = files
        source, target = text
        ids: dict[str, Any] = {}
        if source is not None and target is not None:
            # Around a text stands what the tokenizer puts there, or nothing.
            ids["source"] = {
                "bos": source.bos,
                "eos": source.eos,
                "unk": source.tokenizer.unk_id,
                "pad": source.pad,
            }
            start = pair.stated("decoder_start", target.start)
            begins = target.bos != start if label_bos is None else label_bos
            ids["target"] = {
                "decoder_start": start,
                "eos": target.end,
                "pad": target.pad,
                "bos": target.bos if begins else None,
                "unk": target.tokenizer.unk_id,
            }
            if source.languages == target.languages and source.languages is not None:
                ids["languages"] = source.languages.model_dump()
        self.config = pair.preset(ids)
        if source is not None and target is not None:
            self.preprocessor = Preprocessor(
                source.tokenizer, target.tokenizer, self.config.special_ids
            )
        sides = [side for side in text if side is not None]
        filled = [
            f"the {side.side}'s tokenizer has no PAD that the model has; rows are filled with id "
            f"{pad}"
            for side in sides
            if (pad := getattr(self.config.special_ids, side.side).pad) != side.tokenizer.pad_id
        ]
        of_tokenizers = [note for side in sides for note in side.tokenizer.notes]
        self.notes = [*pair.notes, *filled, *of_tokenizers]

    def load(self, variables: Sequence[Any], *, strict: bool) -> LoadReport | None:
        tensors = self.pair.load(variables, strict=strict)
        self.notes = list(dict.fromkeys([*tensors.pop("notes"), *self.notes]))
        return self.report(self.pair.family, variables, tensors)

    def close(self) -> None:
        self._files.close()


# --------------------------------------------------------------------------------------
# A folder of EncoderDecoderModel
# --------------------------------------------------------------------------------------


def is_encoder_decoder_folder(path: Path) -> bool:
    """Returns whether a folder holds a model of two halves: in one file, or in two folders."""
    file = path / CONFIG_FILE
    if not file.is_file():
        return all((path / side / CONFIG_FILE).is_file() for side in SIDES)
    try:
        return read_json(file).get("model_type") == MODEL_TYPE
    except CheckpointError:
        return False


def open_encoder_decoder(
    name: str, path: Path, *, with_weights: bool, with_text: bool
) -> EncoderDecoder:
    """Opens a folder that transformers' EncoderDecoderModel wrote, or that has one folder for each
    half.

    Raises:
        CheckpointError: files that are missing or broken.
    """
    if not (path / CONFIG_FILE).is_file():
        return warm_start(
            path / "encoder",
            path / "decoder",
            with_weights=with_weights,
            with_text=with_text,
            name=name,
        )
    config = read_json(path / CONFIG_FILE)
    for side in SIDES:
        if not isinstance(config.get(side), dict):
            raise CheckpointError(
                f"{path / CONFIG_FILE}: {side} is {config.get(side)!r}, expected the configuration "
                f"of the {side}"
            )
    generation = None
    if (path / GENERATION_FILE).is_file():
        generation = read_json(path / GENERATION_FILE)
    with contextlib.ExitStack() as files:
        tensors: dict[str, StoredTensor] | None = None
        if with_weights:
            weights = files.enter_context(_open(path))
            tensors = stored_tensors(weights)
        halves = {
            side: HalfCheckpoint(side, config[side], str(path), _below(tensors, f"{side}."))
            for side in SIDES
        }
        own = {key: value for key, value in config.items() if key not in SIDES}
        pair = Pair(
            halves["encoder"],
            halves["decoder"],
            config=own,
            name=name,
            generation=generation,
            projection={
                key: tensor
                for key, tensor in (tensors or {}).items()
                if key.startswith(f"{THEIR_PROJECTION}.")
            },
            tie=bool(config.get("tie_encoder_decoder")),
            may_be_new=() if with_weights else ("*",),
        )
        text = _text(path, path, halves, with_text=with_text)
        # transformers' example labels are what the tokenizer gives, [CLS] included.
        labels = bool(config.get(LABEL_BOS, True))
        return EncoderDecoder(pair, text, files.pop_all(), label_bos=labels)


def _below(tensors: Mapping[str, StoredTensor] | None, prefix: str) -> Any:
    if tensors is None:
        return None
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }


def _open(path: Path) -> Any:
    try:
        return open_weights(path)
    except OSError as error:
        raise CheckpointError(
            f"{error.filename or path}: {error.strerror or error}; the weights of this folder "
            "cannot be read"
        ) from None


# --------------------------------------------------------------------------------------
# Two halves
# --------------------------------------------------------------------------------------


def warm_start(
    encoder: Any,
    decoder: Any,
    *,
    with_weights: bool = True,
    with_text: bool = True,
    tie_encoder_decoder: bool = False,
    special_ids: Mapping[str, Any] | None = None,
    encoder_config: Mapping[str, Any] | None = None,
    decoder_config: Mapping[str, Any] | None = None,
    name: str | None = None,
) -> EncoderDecoder:
    """Opens an encoder and a decoder, and puts them together.

    Args:
        encoder, decoder: each the name of a half or a model in the zoo, a Hugging Face folder, or
            the name of one on the hub, `hf://organisation/name`; a KerasHub folder, or a backbone
            of KerasHub itself; without weights also a configuration of transformers, or a mapping
            of its keys.
        with_weights: False reads configurations alone.
        with_text: False leaves the tokenizers' files alone.
        tie_encoder_decoder: the decoder has the encoder's weights.
        special_ids: ids that go before those of the folders.
        encoder_config, decoder_config: keys of transformers' `config.json` of a half that go before
            those of its folder.
        name: of the model, for messages.

    Raises:
        CheckpointError: halves that do not fit or cannot be read.
        ConfigError: an unknown key.
    """
    _check_ids(special_ids)
    changes: dict[Side, dict[str, Any]] = {
        "encoder": check_mapping("encoder_config", encoder_config),
        "decoder": check_mapping("decoder_config", decoder_config),
    }
    with contextlib.ExitStack() as files:
        halves: dict[Side, HalfCheckpoint] = {}
        folders: dict[Side, Path | None] = {}
        sources: dict[Side, Any] = {"encoder": encoder, "decoder": decoder}
        kerashub: dict[Side, KerasHubHalf] = {}
        for side, source in sources.items():
            if is_kerashub_object(source) or is_kerashub_folder(str(source)):
                found = files.enter_context(KerasHubHalf(source, with_weights=with_weights))
                kerashub[side], folders[side] = found, None
                halves[side] = HalfCheckpoint(
                    side,
                    {**found.config, **changes[side]},
                    found.name,
                    _named_by_side(side, found.tensors) if with_weights else None,
                )
                if found.ignored:
                    halves[side].notes.append(f"{side}: not used: {', '.join(found.ignored)}")
                continue
            config, folder = _find(source, side, with_weights=with_weights)
            tensors = None
            if with_weights:
                assert folder is not None
                tensors = stored_tensors(files.enter_context(_open(folder)))
                tensors = _named_by_side(side, tensors)
            name_of_half = f"{side} configuration" if is_configuration(source) else str(source)
            config = {**config, **changes[side]}
            halves[side] = HalfCheckpoint(side, config, name_of_half, tensors)
            folders[side] = folder
        for side, half in halves.items():
            check_changes(f"{side}_config", half, changes[side])
        pair = Pair(
            halves["encoder"],
            halves["decoder"],
            config={},
            name=name or " to ".join(halves[side].name for side in SIDES),
            tie=tie_encoder_decoder,
            may_be_new=MAY_BE_NEW if with_weights else ("*",),
            two_folders=True,
            special_ids=special_ids,
        )
        text = _text(folders["encoder"], folders["decoder"], halves, kerashub, with_text=with_text)
        return EncoderDecoder(pair, text, files.pop_all())


def _named_by_side(side: Side, tensors: Mapping[str, StoredTensor]) -> dict[str, StoredTensor]:
    """Returns tensors that messages name with their side, since both folders may have the name."""
    return {
        name: tensor._replace(name=f"{side}: {tensor.name}") for name, tensor in tensors.items()
    }


def _find(source: Any, side: Side, *, with_weights: bool) -> tuple[dict[str, Any], Path | None]:
    """Returns the `config.json` of a half, and its folder."""
    if is_configuration(source):
        if with_weights:
            raise CheckpointError(
                f"{side} is a configuration, which has no weights; pass load_weights=False for "
                "random ones, or the folder of a checkpoint"
            )
        return configuration_keys(source), None
    check_source(source, side)
    written = str(source)
    if written.startswith(HUB_PREFIX):
        folder = fetch_folder(written, with_weights=with_weights)
    elif Path(source).is_dir():
        folder = Path(source)
    elif written in catalog.list_halves():
        half = catalog.load_half(written)
        if not with_weights:
            return dict(half.config), None
        folder = fetch_folder(half.source)
    else:
        return _of_whole_model(source, side, with_weights=with_weights)
    if not (folder / CONFIG_FILE).is_file():
        raise CheckpointError(
            f"{folder / CONFIG_FILE}: no such file; a half is a Hugging Face folder with a "
            "config.json and weights"
        )
    return read_json(folder / CONFIG_FILE), folder


def _check_ids(special_ids: Any) -> None:
    """Raises an error for `special_ids` that are not those of both sides.

    Raises:
        ConfigError: names the key, and the nearest one.
    """
    for ids in (special_ids or {}, *(special_ids.values() if _is_ids(special_ids) else ())):
        if not _is_ids(ids):
            raise ConfigError(
                f"special_ids: {ids!r} is not a mapping; expected "
                "{'target': {'decoder_start': ID, 'eos': ID}}, and 'source' likewise"
            )
    for key in special_ids or {}:
        if key not in ("source", "target"):
            hint = did_you_mean(str(key), ["source", "target"]) or "expected source or target"
            raise ConfigError(f"special_ids: {key!r} is no side of a model; {hint}")


def _is_ids(value: Any) -> bool:
    return isinstance(value, Mapping)


def _of_whole_model(
    source: str | Path, side: Side, *, with_weights: bool
) -> tuple[dict[str, Any], Path | None]:
    """Returns the `config.json` of a model of the zoo whose encoder or decoder is taken."""
    if not catalog.is_entry(source):
        raise catalog.no_such_half(str(source))
    entry = catalog.load_entry(source)
    if isinstance(entry, PresetConfig):
        kind = getattr(entry.architecture, side).type
        if kind != "transformer":
            raise CheckpointError(
                f"{side}: the {side} of {source} is {kind}; a half is a Transformer's. A recurrent "
                "model is made whole: Seq2SeqLM.from_preset"
            )
    if with_weights and entry.source is None:
        raise CheckpointError(
            f"{source} is an architecture without trained weights, so that nothing of it can be a "
            "warm start; pass load_weights=False, or a folder"
        )
    if with_weights or not isinstance(entry, PresetConfig):
        assert entry.source is not None
        folder = fetch_folder(entry.source, with_weights=with_weights)
        return read_json(folder / CONFIG_FILE), folder
    return describe(entry)[1], None


def _text(
    encoder: Path | None,
    decoder: Path | None,
    halves: Mapping[Side, HalfCheckpoint],
    kerashub: Mapping[Side, KerasHubHalf] = MappingProxyType({}),
    *,
    with_text: bool,
) -> tuple[TextSide | None, TextSide | None]:
    """Reads the tokenizers of both sides, where there are folders."""
    if with_text and kerashub:

        def read(side: Side, folder: Path | None) -> TextSide | None:
            if side in kerashub:
                return kerashub[side].text_side(ENDS[side])
            size = halves[side].vocab_size
            return None if folder is None else load_text_side(folder, ENDS[side], size=size)

        return read("encoder", encoder), read("decoder", decoder)
    if not with_text or encoder is None or decoder is None:
        return None, None
    return load_text_sides(
        encoder,
        decoder,
        source_size=halves["encoder"].vocab_size,
        target_size=halves["decoder"].vocab_size,
    )


__all__ = ["EncoderDecoder", "is_encoder_decoder_folder", "open_encoder_decoder", "warm_start"]
