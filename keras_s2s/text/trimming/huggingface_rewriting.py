"""Writes the files of a Hugging Face tokenizer with new ids."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from keras_s2s.text.pretrained.tokenizer_files import (
    ADDED_TOKENS,
    SPECIAL_TOKENS_MAP,
    TOKENIZER_CONFIG,
    TokenizerFiles,
)

#: Keys of lists of special tokens: the second one is the name in older files.
_EXTRA, _ADDITIONAL = "extra_special_tokens", "additional_special_tokens"


def declarations(
    files: TokenizerFiles,
    new_ids: Mapping[int, int],
    gone: Collection[str],
    extra: list[str],
    source_language: str | None,
) -> dict[str, bytes]:
    """Returns the files that declare special tokens, with new ids: those of them that are there.

    Args:
        files: of the tokenizer.
        new_ids: new id of each id that stays.
        gone: special tokens that do not stay: languages.
        extra: the special tokens without a name that stay; written where some do not, since a class
            of transformers adds all languages that it knows of otherwise.
        source_language: written where the default language of sources does not stay.
    """
    contents: dict[str, bytes] = {}
    options = files.config()
    if isinstance(decoder := options.get("added_tokens_decoder"), Mapping):
        options["added_tokens_decoder"] = {
            str(new_ids[int(i)]): token for i, token in decoder.items() if int(i) in new_ids
        }
    if gone:
        options.pop(_ADDITIONAL, None)
        if not isinstance(options.get(_EXTRA), Mapping):
            options[_EXTRA] = extra
        for key in ("src_lang", "tgt_lang"):
            if _plain(options.get(key)) in {_plain(token) for token in gone}:
                del options[key]
        if source_language is not None:
            options.setdefault("src_lang", source_language)
    if options:
        contents[TOKENIZER_CONFIG] = _json(options)
    if SPECIAL_TOKENS_MAP in files:
        special = {
            key: [token for token in value if _content(token) not in gone]
            if isinstance(value, list)
            else value
            for key, value in files.json(SPECIAL_TOKENS_MAP).items()
        }
        contents[SPECIAL_TOKENS_MAP] = _json(special)
    if ADDED_TOKENS in files:
        contents[ADDED_TOKENS] = renumbered_vocabulary(files.json(ADDED_TOKENS), new_ids)
    return contents


def renumbered_vocabulary(vocabulary: Mapping[str, int], new_ids: Mapping[int, int]) -> bytes:
    """Returns the content of a `vocab.json` with new ids, in their order."""
    kept = {token: new_ids[i] for token, i in vocabulary.items() if i in new_ids}
    return _json(dict(sorted(kept.items(), key=lambda entry: entry[1])))


def _content(token: Any) -> Any:
    return token.get("content") if isinstance(token, Mapping) else token


def _plain(code: Any) -> Any:
    """Returns a language's code without the marks of its token."""
    return code.strip("<>").removeprefix("__").removesuffix("__") if isinstance(code, str) else code


def _json(content: Any) -> bytes:
    return (json.dumps(content, ensure_ascii=False, indent=2) + "\n").encode()
