"""Tokenizer and special ids of one side of a model whose halves come from two folders.

A warm-started model has the encoder of one checkpoint and the decoder of another, each with the
tokenizer that it was pre-trained with.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from keras_s2s.config import ConfigError, LanguagesConfig, SourceIds, SpecialIds, TargetIds
from keras_s2s.text.languages import languages_of
from keras_s2s.text.pretrained.auto import (
    CLASS_OF_MODEL_TYPE,
    make_tokenizer,
    template_ids,
    tokenizer_class,
)
from keras_s2s.text.pretrained.base import PretrainedTokenizer, encoded_size
from keras_s2s.text.pretrained.tokenizer_files import VOCABULARY_FILES, TokenizerFiles

logger = logging.getLogger(__name__)

Side = Literal["source", "target"]

#: The model type of transformers' EncoderDecoderModel, whose `config.json` holds two.
ENCODER_DECODER = "encoder-decoder"

_HALF: dict[Side, str] = {"source": "encoder", "target": "decoder"}


@dataclass(frozen=True)
class TextSide:
    """The tokenizer of one side, and the special ids that its folder says.

    Attributes:
        tokenizer: text to ids and back.
        side: whose it is.
        bos: id that the tokenizer puts before every text, or None.
        eos: id that it puts after every text, or None (GPT-2).
        start: suggestion for the decoder's first input: `decoder_start_token_id` of the folder's
            `config.json`, or else `[CLS]` or BOS; None where there is no such token.
        end: suggestion for the end of targets: `eos`, or else `[SEP]` or EOS.
        pad: PAD, where the model has it, or else what the folder's `config.json` says, or else
            `end`.
        languages: codes of a multilingual model, or None.
    """

    tokenizer: PretrainedTokenizer
    side: Side
    bos: int | None
    eos: int | None
    start: int | None
    end: int | None
    pad: int | None
    languages: LanguagesConfig | None = None

    def source_ids(self) -> SourceIds:
        """Returns the special ids of sources: encoded as the tokenizer does.

        Raises:
            ConfigError: the tokenizer has no PAD and no EOS.
        """
        return SourceIds(
            pad=self._needed("pad", self.pad),
            bos=self.bos,
            eos=self.eos,
            unk=self.tokenizer.unk_id,
        )

    def target_ids(
        self, *, decoder_start: int | None = None, label_bos: bool | None = None
    ) -> TargetIds:
        """Returns the special ids of targets.

        Args:
            decoder_start: the decoder's first input; None is `start`.
            label_bos: whether labels begin with the id that the tokenizer puts before a text, as
                `labels = tokenizer(text).input_ids` does; None: where it is not the decoder start.

        Raises:
            ConfigError: no decoder start, no end or no PAD is known.
        """
        first = self.start if decoder_start is None else decoder_start
        start = self._needed("decoder_start", first)
        if label_bos is None:
            label_bos = self.bos != start
        return TargetIds(
            decoder_start=start,
            eos=self._needed("eos", self.end),
            pad=self._needed("pad", self.pad),
            bos=self.bos if label_bos else None,
            unk=self.tokenizer.unk_id,
        )

    def _needed(self, name: str, value: int | None) -> int:
        if value is None:
            raise ConfigError(
                f"special_ids.{self.side}.{name}: the {self.tokenizer.class_name} of "
                f"{self.tokenizer.files.origin} has no token for it; set the id"
            )
        return value


def special_ids_of(
    source: TextSide, target: TextSide, *, decoder_start: int | None = None
) -> SpecialIds:
    """Returns the special ids of a model with these two sides.

    Args:
        source: the encoder's side.
        target: the decoder's side.
        decoder_start: the decoder's first input; None is what the target's side suggests.

    Raises:
        ConfigError: an id is not known; the message says which to set.
    """
    languages = target.languages if target.languages == source.languages else None
    for side in (source, target):
        if side.languages is not None and languages is None:
            logger.warning(
                "%s: the languages of its %s are not used, since the %s's tokenizer has others; "
                "name them in special_ids",
                side.tokenizer.files.origin,
                side.tokenizer.class_name,
                "target" if side.side == "source" else "source",
            )
    return SpecialIds(
        source=source.source_ids(),
        target=target.target_ids(decoder_start=decoder_start),
        languages=languages,
    )


def load_text_sides(
    encoder: str | Path,
    decoder: str | Path | None = None,
    *,
    source_size: int | None = None,
    target_size: int | None = None,
) -> tuple[TextSide | None, TextSide | None]:
    """Reads the tokenizers of both sides; one object for both where they are the same.

    Args:
        encoder: folder of the encoder.
        decoder: folder of the decoder; None is that of the encoder.
        source_size: ids of the encoder's table; a tokenizer may have fewer.
        target_size: ids of the decoder's table.

    Returns:
        both sides; None for one whose folder has no tokenizer.

    Raises:
        FileNotFoundError, ConfigError: as `load_text_side` does.

    Example:
        >>> from keras_s2s.text import Preprocessor
        >>> source, target = load_text_sides("bert-base-uncased/", "gpt2/")
        >>> ids = special_ids_of(source, target)
        >>> preprocessor = Preprocessor(source.tokenizer, target.tokenizer, ids)
    """
    source = load_text_side(encoder, "source", size=source_size)
    target = load_text_side(encoder if decoder is None else decoder, "target", size=target_size)
    if source is not None and target is not None:
        mine, theirs = source.tokenizer, target.tokenizer
        same = mine.files.contents == theirs.files.contents and mine._settings() == (
            theirs._settings()
        )
        if same:
            target = replace(target, tokenizer=mine)
    return source, target


def load_text_side(
    folder: str | Path,
    side: Side,
    *,
    model_type: str | None = None,
    size: int | None = None,
) -> TextSide | None:
    """Reads the tokenizer of one side from a Hugging Face folder.

    A folder that holds two models may have a tokenizer for each, in `encoder/` and `decoder/`;
    the files beside its own `config.json` are for both sides, where both are of one kind.

    Args:
        folder: the folder.
        side: "source" for the encoder's side, "target" for the decoder's.
        model_type: of the half that is wanted; None is what `config.json` says.
        size: ids of the model on this side; None is what `config.json` says.

    Returns:
        tokenizer and special ids, or None where the folder has no tokenizer of this half.

    Raises:
        FileNotFoundError: a file of the tokenizer is missing.
        ConfigError: a file cannot be read, or tokenizer and model do not belong together.

    Example:
        >>> side = load_text_side("bert-base-uncased/", "target")
        >>> side.tokenizer.id_to_token(side.target_ids().decoder_start)
        '[CLS]'
    """
    folder = Path(folder)
    config = _config(folder)
    own = folder / _HALF[side]
    half = _half(config, side) or _config(own)
    files = TokenizerFiles.from_folder(own)
    beside = not any(name in files for name in VOCABULARY_FILES)
    if beside:
        files = TokenizerFiles.from_folder(folder)
    if not half:
        half = config
    model_type = model_type or half.get("model_type")
    if beside and side == "target" and _encoders_alone(config, model_type, half, files):
        return None
    class_name = tokenizer_class(files, model_type, half.get("tokenizer_class"))
    if class_name is None:
        return None
    size = half.get("vocab_size") if size is None else size
    tokenizer = make_tokenizer(files, class_name, size, side)
    return side_of(tokenizer, side, {**config, **half})


def side_of(tokenizer: PretrainedTokenizer, side: Side, given: Mapping[str, Any]) -> TextSide:
    """Returns a side with this tokenizer.

    Args:
        tokenizer: text to ids and back.
        side: whose it is.
        given: a `config.json`, of which `decoder_start_token_id` and `pad_token_id` are read.
    """
    bos, eos = template_ids(tokenizer)
    end = _first(eos, tokenizer.sep_id, tokenizer.eos_id)
    return TextSide(
        tokenizer=tokenizer,
        side=side,
        bos=bos,
        eos=eos,
        start=_first(given.get("decoder_start_token_id"), tokenizer.cls_id, tokenizer.bos_id),
        end=end,
        pad=_first(_of_model(tokenizer.pad_id, tokenizer), given.get("pad_token_id"), end),
        languages=languages_of(tokenizer),
    )


def _of_model(i: int | None, tokenizer: PretrainedTokenizer) -> int | None:
    """Returns an id that the model has; None for one of a token that was added to the tokenizer
    alone.
    """
    return None if i is None or i >= encoded_size(tokenizer) else i


def _config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    if not path.is_file():
        return {}
    try:
        config = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: not a JSON file ({error})") from None
    if not isinstance(config, dict):
        raise ConfigError(f"{path}: expected a mapping of keys, got {type(config).__name__}")
    return config


def _half(config: Mapping[str, Any], side: Side) -> dict[str, Any]:
    half = config.get(_HALF[side]) if config.get("model_type") == ENCODER_DECODER else None
    return half if isinstance(half, dict) else {}


def _encoders_alone(
    config: Mapping[str, Any],
    model_type: str | None,
    half: Mapping[str, Any],
    files: TokenizerFiles,
) -> bool:
    """Returns whether the files beside a `config.json` of two models are the encoder's alone.

    transformers reads them with the encoder's class. They serve a decoder of the same class, and
    one whose table has as many rows.
    """
    encoder = _half(config, "source")
    if not encoder or not files.contents:
        return False
    theirs = encoder.get("model_type")
    one, other = (CLASS_OF_MODEL_TYPE.get(name or "") for name in (theirs, model_type))
    if one == other or encoder.get("vocab_size") == half.get("vocab_size"):
        return False
    logger.warning(
        "%s: the tokenizer files there are those of the encoder (%s); the decoder's (%s) belong "
        "into its folder decoder/. Without them the model works on ids",
        files.origin,
        theirs,
        model_type,
    )
    return True


def _first(*ids: int | None) -> int | None:
    return next((i for i in ids if i is not None), None)
