"""Reads the tokenizer files of a Hugging Face folder, and what they declare.

A folder says in several places which tokens are special: `tokenizer_config.json`, and in older
folders `special_tokens_map.json`, `added_tokens.json` and `tokenizer.json`.  They are read in the
order of precedence of transformers 5.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keras_s2s.config import ConfigError, MissingFileError
from keras_s2s.config.git_pointers import is_pointer, pointer_message

TOKENIZER_CONFIG = "tokenizer_config.json"
TOKENIZER_JSON = "tokenizer.json"
SPECIAL_TOKENS_MAP = "special_tokens_map.json"
ADDED_TOKENS = "added_tokens.json"
VOCAB = "vocab.json"
MERGES = "merges.txt"
WORDPIECE_VOCAB = "vocab.txt"
T5_MODEL = "spiece.model"
FAIRSEQ_MODEL = "sentencepiece.bpe.model"
MARIAN_SOURCE = "source.spm"
MARIAN_TARGET = "target.spm"
TARGET_VOCAB = "target_vocab.json"

#: Files that a tokenizer can be made of.
VOCABULARY_FILES = (
    TOKENIZER_JSON,
    VOCAB,
    WORDPIECE_VOCAB,
    T5_MODEL,
    FAIRSEQ_MODEL,
    MARIAN_SOURCE,
)
#: Everything that belongs to a tokenizer.
ALL_FILES = (
    *VOCABULARY_FILES,
    MERGES,
    MARIAN_TARGET,
    TARGET_VOCAB,
    TOKENIZER_CONFIG,
    SPECIAL_TOKENS_MAP,
    ADDED_TOKENS,
)

#: The special tokens with a name, in the order in which transformers adds them.
NAMED = (
    "bos_token",
    "eos_token",
    "unk_token",
    "sep_token",
    "pad_token",
    "cls_token",
    "mask_token",
)


@dataclass(frozen=True)
class Added:
    """A token that is found in text before any other step.

    Attributes:
        content: its text.
        lstrip: white space before it belongs to it.
        rstrip: white space after it belongs to it.
        single_word: it is found only where spaces surround it.
        normalized: it is looked for in the normalised text; `None` means: unless it is special.
        special: decoding leaves it out.
    """

    content: str
    lstrip: bool = False
    rstrip: bool = False
    single_word: bool = False
    normalized: bool | None = None
    special: bool = False

    def __str__(self) -> str:
        return self.content

    @classmethod
    def read(cls, value: Mapping[str, Any], **changes: Any) -> Added:
        """Makes a token from a JSON mapping, whose unknown keys are ignored."""
        known = {key: value[key] for key in cls.__dataclass_fields__ if key in value}
        if not isinstance(known.get("content"), str):
            raise TypeError(f"a token whose content is {known.get('content')!r}, expected text")
        for key in known.keys() - {"content"}:
            if not isinstance(known[key], bool | None):
                raise TypeError(f"{key} of the token {known['content']!r} is {known[key]!r}")
        return cls(**known | changes)


#: A token as a folder names it.
TokenName = str | Added


@dataclass
class Declared:
    """The special tokens and options that a folder's files declare.

    Attributes:
        named: `eos_token` and other named tokens, also those of one model only, in order.
        extra: further special tokens; None where the files have no such key.
        additional: the same under its older name, where both are given.
        added: tokens by id.
        options: every other key of `tokenizer_config.json`.
    """

    named: dict[str, TokenName] = field(default_factory=dict)
    extra: list[TokenName] | None = None
    additional: list[TokenName] | None = None
    added: dict[int, Added] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)

    def name(self, key: str, default: TokenName) -> TokenName:
        """Returns a named token, or `default` where the files do not have the key."""
        return self.named.get(key, default)


@dataclass(frozen=True)
class TokenizerFiles:
    """Tokenizer files by name, and the folder they came from (for error messages)."""

    contents: Mapping[str, bytes]
    origin: str

    @classmethod
    def from_folder(cls, folder: str | Path) -> TokenizerFiles:
        """Reads the tokenizer files of a folder."""
        folder = Path(folder)
        paths = {name: folder / name for name in ALL_FILES if (folder / name).is_file()}
        for path in paths.values():
            if is_pointer(path):
                raise ConfigError(pointer_message(path))
        return cls({name: path.read_bytes() for name, path in paths.items()}, str(folder))

    def __contains__(self, name: str) -> bool:
        return name in self.contents

    def require(self, name: str, class_name: str) -> bytes:
        """Returns the content of a file.

        Raises:
            FileNotFoundError: it is missing.
        """
        if name not in self.contents:
            found = ", ".join(sorted(self.contents)) or "none"
            raise MissingFileError(
                f"{self.origin}/{name} is missing; a {class_name} needs it (tokenizer files "
                f"there: {found})"
            )
        return self.contents[name]

    def json(self, name: str, class_name: str = "tokenizer") -> dict[str, Any]:
        """Returns the content of a JSON file that holds a mapping.

        Raises:
            FileNotFoundError: it is missing.
            ConfigError: it holds something else.
        """
        try:
            data = json.loads(self.require(name, class_name))
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"{self.origin}/{name}: not a JSON file ({error})") from None
        if not isinstance(data, dict):
            raise ConfigError(
                f"{self.origin}/{name}: expected a mapping of keys, got {type(data).__name__}"
            )
        return data

    def vocabulary(self, name: str, class_name: str) -> dict[str, int]:
        """Returns the content of a `vocab.json`: token to id.

        Raises:
            FileNotFoundError: it is missing.
            ConfigError: an id is not a number.
        """
        data = self.json(name, class_name)
        for token, i in data.items():
            if not isinstance(i, int) or isinstance(i, bool) or i < 0:
                raise ConfigError(
                    f"{self.origin}/{name}: {token!r} has id {i!r}, expected a number"
                )
        return data

    def config(self) -> dict[str, Any]:
        """Returns the content of `tokenizer_config.json`; empty where there is none."""
        return self.json(TOKENIZER_CONFIG) if TOKENIZER_CONFIG in self else {}

    def declared(self) -> Declared:
        """Returns the special tokens and options that the files declare.

        Raises:
            ConfigError: a token is described in a way that cannot be read.
        """
        try:
            return _declared(self)
        except (TypeError, AttributeError, KeyError, ValueError) as error:
            if isinstance(error, ConfigError):
                raise
            raise ConfigError(
                f"{self.origin}: the special tokens in {TOKENIZER_CONFIG}, {SPECIAL_TOKENS_MAP}, "
                f"{ADDED_TOKENS} or {TOKENIZER_JSON} cannot be read ({error!r})"
            ) from None


def _declared(files: TokenizerFiles) -> Declared:
    options = {
        key: value for key, value in files.config().items() if key not in ("tokenizer_class",)
    }
    if "additional_special_tokens" in options and not options.get("extra_special_tokens"):
        options["extra_special_tokens"] = options.pop("additional_special_tokens")
    specific: dict[str, Any] = {}
    if isinstance(options.get("extra_special_tokens"), dict):
        specific.update(options.pop("extra_special_tokens"))

    added: dict[int, Added] = {}
    if "added_tokens_decoder" in options:
        for i, token in options["added_tokens_decoder"].items():
            added[int(i)] = Added.read(token)
    else:
        # Files of the time before transformers 4.34.
        if SPECIAL_TOKENS_MAP in files:
            for key, value in files.json(SPECIAL_TOKENS_MAP).items():
                if key == "extra_special_tokens" and isinstance(value, list):
                    tokens = list(options.get(key) or [])
                    value = tokens + [token for token in value if token not in tokens]
                elif isinstance(value, dict):
                    value = Added.read(value, special=True)
                options[key] = value
        if ADDED_TOKENS in files:
            special = {_text(options[key]) for key in NAMED if options.get(key)}
            special |= {_text(token) for token in options.get("extra_special_tokens") or []}
            for token, i in files.json(ADDED_TOKENS).items():
                added[int(i)] = Added(
                    token, normalized=token not in special, special=token in special
                )
        if TOKENIZER_JSON in files:
            for token in files.json(TOKENIZER_JSON).get("added_tokens") or []:
                added[int(token["id"])] = Added.read(token)
    options.pop("added_tokens_decoder", None)

    by_text = {token.content: token for token in added.values()}
    named: dict[str, TokenName] = {}
    for key in NAMED:
        if (value := options.pop(key, None)) is not None:
            token = _token(value)
            named[key] = by_text.get(str(token), token)
    for key in [key for key in options if key.endswith("_token")]:
        if isinstance(options[key], str | dict | Added):
            specific.setdefault(key, options.pop(key))
    named |= {key: _token(value) for key, value in specific.items()}
    extra, additional = (
        None if options.get(key) is None else [_token(token) for token in options[key]]
        for key in ("extra_special_tokens", "additional_special_tokens")
    )
    for key in ("extra_special_tokens", "additional_special_tokens"):
        options.pop(key, None)
    return Declared(named, extra, additional, added, options)


def _token(value: Any) -> TokenName:
    if isinstance(value, str | Added):
        return value
    return Added.read(value)


def _text(value: Any) -> str:
    return str(value["content"]) if isinstance(value, dict) else str(value)
