"""Reads the text side of a CTranslate2 folder: its tokens, and which of them are special.

config.json                     special tokens; from version 6 of the format on
source_vocabulary.json, .txt    tokens in id order; one shared_vocabulary where both sides share it
target_vocabulary.json, .txt
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

from keras_s2s.checkpoints.ctranslate2.model_file import CTranslate2File
from keras_s2s.checkpoints.errors import CheckpointError
from keras_s2s.checkpoints.files.tensor_file import refuse_pointer
from keras_s2s.config import ConfigError, LanguagesConfig, SourceIds, SpecialIds, TargetIds
from keras_s2s.text.languages import languages_of
from keras_s2s.text.preprocessor import FOLDER, Preprocessor
from keras_s2s.text.pretrained.base import PretrainedTokenizer
from keras_s2s.text.pretrained.token_list import Split, TokenListTokenizer
from keras_s2s.text.registry import load_tokenizer
from keras_s2s.text.tokenizer import Tokenizer, description_path

CONFIG_FILE = "config.json"

#: Names of the padding token. CTranslate2 pads with any id; where none of these is among the
#: tokens, EOS is used for padding.
PAD_TOKENS = ("<pad>", "<blank>", "[PAD]", "<PAD>")

#: Names that `tokenizer=` may have.
TokenizerChoice = Literal["space", "character"] | Tokenizer | Preprocessor | None

#: Tokenizers of source and target.
Tokenizers = tuple[Tokenizer, Tokenizer]


@dataclass(frozen=True)
class TextSettings:
    """Special tokens of a CTranslate2 folder, and which of them surround a source.

    Attributes:
        decoder_start_token: None where the caller gives it at each call.
        layer_norm_epsilon: None where the kind of normalisation decides.
        pad_token: what this package writes beside CTranslate2's own keys; None in other folders.
    """

    unk_token: str = "<unk>"
    bos_token: str = "<s>"
    eos_token: str = "</s>"
    decoder_start_token: str | None = "<s>"
    add_source_bos: bool = False
    add_source_eos: bool = False
    layer_norm_epsilon: float | None = None
    pad_token: str | None = None


def read_settings(folder: Path, file: CTranslate2File) -> TextSettings:
    """Returns the settings of `config.json`, or of variables in files older than it.

    Raises:
        CheckpointError: `config.json` is broken, or a value is not what it should be.
    """
    path = folder / CONFIG_FILE
    config: dict[str, Any] = {}
    if path.is_file():
        try:
            config = json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            refuse_pointer(path)
            raise CheckpointError(f"{path}: not a JSON file ({error})") from None
        if not isinstance(config, dict):
            raise CheckpointError(
                f"{path}: expected a mapping of keys, got {type(config).__name__}"
            )
    if file.version < 6:
        ours = ("layer_norm_epsilon", "pad_token")
        config = {**_old_settings(file), **{key: config.get(key) for key in ours}}
    types: dict[str, Any] = {"add_source_bos": bool, "add_source_eos": bool}
    types |= {"layer_norm_epsilon": (int, float, type(None))}
    types |= {name: (str, type(None)) for name in ("decoder_start_token", "pad_token")}
    found = {}
    for field in fields(TextSettings):
        if field.name not in config:
            continue
        found[field.name] = value = config[field.name]
        if not isinstance(value, types.get(field.name, str)):
            raise CheckpointError(
                f"{path}: {field.name} is {value!r}, expected a value like {field.default!r}"
            )
    return TextSettings(**found)


def _old_settings(file: CTranslate2File) -> dict[str, Any]:
    bos, eos = file.text("bos_token", "<s>"), file.text("eos_token", "</s>")
    start: str | None = bos if file.scalar("with_target_bos", True) else eos
    if file.scalar("user_decoder_start_tokens", False):
        start = None
    return {
        "unk_token": file.text("unk_token", "<unk>"),
        "bos_token": bos,
        "eos_token": eos,
        "decoder_start_token": start,
        "add_source_bos": bool(file.scalar("with_source_bos", False)),
        "add_source_eos": bool(file.scalar("with_source_eos", False)),
    }


def read_vocabularies(folder: Path, unk_token: str) -> tuple[list[str], list[str]]:
    """Returns the tokens of source and target in id order; the same list where they share one file.

    Raises:
        CheckpointError: a file is missing or broken, or the sources have factors.
    """
    shared = _read_tokens(folder, "shared_vocabulary", unk_token)
    if shared is not None:
        return shared, shared
    sides = []
    for side in ("source", "target"):
        tokens = _read_tokens(folder, f"{side}_vocabulary", unk_token)
        if tokens is None:
            several = sorted(path.name for path in folder.glob(f"{side}_1_vocabulary.*"))
            raise CheckpointError(
                f"{folder}: {several[0]} is one vocabulary of several: source factors have no "
                "counterpart here"
                if several
                else f"{folder}: a CTranslate2 folder, but {side}_vocabulary.json (or .txt) is "
                "missing, and so is shared_vocabulary.json; copy it from where the model was "
                "converted"
            )
        sides.append(tokens)
    return sides[0], sides[1]


def _read_tokens(folder: Path, name: str, unk_token: str) -> list[str] | None:
    if (path := folder / f"{name}.json").is_file():
        try:
            tokens = json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            refuse_pointer(path)
            raise CheckpointError(f"{path}: not a JSON file ({error})") from None
        if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
            raise CheckpointError(f"{path}: expected a JSON list of tokens")
    elif (path := folder / f"{name}.txt").is_file():
        try:
            # Not splitlines: a token may be a line separator of Unicode.
            tokens = path.read_bytes().decode("utf-8").removesuffix("\n").split("\n")
        except UnicodeDecodeError as error:
            raise CheckpointError(f"{path}: not UTF-8 text ({error})") from None
        if all(token.endswith("\r") for token in tokens):
            tokens = [token[:-1] for token in tokens]
    else:
        return None
    # CTranslate2 does so, too.
    return tokens if unk_token in tokens else [*tokens, unk_token]


def own_tokenizers(folder: Path, tokenizer: TokenizerChoice) -> Tokenizers | None:
    """Returns the tokenizers that the caller gave, or that this package wrote into the folder."""
    if isinstance(tokenizer, Preprocessor):
        return tokenizer.source, tokenizer.target
    if isinstance(tokenizer, Tokenizer):
        return tokenizer, tokenizer
    if tokenizer is None and description_path(folder / FOLDER, "source").is_file():
        source = load_tokenizer(folder / FOLDER, "source")
        separate = description_path(folder / FOLDER, "target").is_file()
        return source, load_tokenizer(folder / FOLDER, "target") if separate else source
    return None


def own_languages(
    given: TokenizerChoice, tokenizers: Tokenizers | None, ids: SpecialIds
) -> LanguagesConfig | None:
    """Returns the languages of the caller's preprocessor or tokenizers; the folder has none.

    Where a decoder starts with a language, the folder's decoder start says which by default.
    """
    if isinstance(given, Preprocessor):
        return given.special_ids.languages
    if tokenizers is None or not isinstance(tokenizers[0], PretrainedTokenizer):
        return None
    languages = languages_of(tokenizers[0])
    if languages is not None and languages.target == "decoder_start":
        start = ids.target.decoder_start
        code = next((code for code, i in languages.codes.items() if i == start), None)
        languages = languages.model_copy(update={"default_target": code})
    return languages


def split_of(tokenizer: Any) -> Split:
    """Returns the rule for splitting text that the caller named.

    Raises:
        ValueError: no such name.
    """
    if tokenizer is None or tokenizer in get_args(Split):
        return tokenizer or "space"
    raise ValueError(
        f"tokenizer={tokenizer!r}: a CTranslate2 folder holds vocabularies and no tokenizer; give "
        f"one of {', '.join(map(repr, get_args(Split)))}, or a tokenizer or Preprocessor object"
    )


def special_ids(
    settings: TextSettings,
    source: Sequence[str],
    target: Sequence[str],
    decoder_start: str,
    tokenizers: Tokenizers | None,
) -> SpecialIds:
    """Returns the ids of the settings' tokens; a token that is missing is the unknown one."""

    def find(tokens: Sequence[str], token: str) -> int:
        return tokens.index(token if token in tokens else settings.unk_token)

    def pad(tokens: Sequence[str], own: Tokenizer | None) -> int:
        if own is not None and own.pad_id is not None:
            return own.pad_id
        names = [settings.pad_token] if settings.pad_token is not None else []
        name = next((name for name in [*names, *PAD_TOKENS] if name in tokens), settings.eos_token)
        return find(tokens, name)

    own_source, own_target = tokenizers or (None, None)
    return SpecialIds(
        source=SourceIds(
            pad=pad(source, own_source),
            unk=find(source, settings.unk_token),
            bos=find(source, settings.bos_token) if settings.add_source_bos else None,
            eos=find(source, settings.eos_token) if settings.add_source_eos else None,
        ),
        target=TargetIds(
            pad=pad(target, own_target),
            unk=find(target, settings.unk_token),
            decoder_start=find(target, decoder_start),
            eos=find(target, settings.eos_token),
        ),
    )


def make_preprocessor(
    folder: Path,
    tokenizer: Tokenizers | Split,
    settings: TextSettings,
    source: Sequence[str],
    target: Sequence[str],
    ids: SpecialIds,
) -> Preprocessor:
    """Makes the preprocessor of a model with the folder's vocabularies.

    Args:
        folder: for error messages.
        tokenizer: how text becomes tokens.
        settings, source, target, ids: special tokens, both vocabularies and special ids.

    Raises:
        CheckpointError: a tokenizer whose ids mean other tokens than the folder's.
    """
    if isinstance(tokenizer, tuple):
        _check_same(folder, "source", source, tokenizer[0])
        _check_same(folder, "target", target, tokenizer[1])
        return Preprocessor(*tokenizer, ids)

    def side(tokens: Sequence[str], special: SourceIds | TargetIds) -> TokenListTokenizer:
        known = {
            name: tokens.index(token) if token in tokens else None
            for name, token in (("bos", settings.bos_token), ("eos", settings.eos_token))
        }
        return TokenListTokenizer(
            tokens, tokenizer, {"pad": special.pad, "unk": special.unk, **known}
        )

    first = side(source, ids.source)
    return Preprocessor(first, first if source is target else side(target, ids.target), ids)


def token_of(tokenizer: Tokenizer, i: int) -> str:
    """Returns the token of an id for a vocabulary file; a generated name where it has none.

    A model often has a few more embeddings than tokens, for rounder sizes.
    """
    try:
        return tokenizer.id_to_token(i) if i < tokenizer.vocabulary_size else f"<no_token_{i}>"
    except ConfigError:  # a gap in the tokenizer's ids
        return f"<no_token_{i}>"


def _check_same(folder: Path, side: str, tokens: Sequence[str], tokenizer: Tokenizer) -> None:
    size = tokenizer.vocabulary_size
    if size > len(tokens):
        raise CheckpointError(
            f"{folder}: the {side} vocabulary has {len(tokens)} tokens, but the {side} tokenizer "
            f"{size} ids; they belong to different models"
        )
    for i, token in enumerate(tokens[:size]):
        if token_of(tokenizer, i) != token:
            raise CheckpointError(
                f"{folder}: id {i} is {token!r} in the {side} vocabulary, but "
                f"{token_of(tokenizer, i)!r} in the {side} tokenizer: its ids mean other "
                "tokens. Tokenize outside of the model and pass tokens with spaces between "
                "(tokenizer='space')"
            )
