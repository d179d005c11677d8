"""Pre-tokenizers of `tokenizers` pipelines in TensorFlow ops: string `[P]` to ragged `[P, W]`."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from keras_s2s.export.in_graph.pipelines.normalizers import prepend
from keras_s2s.export.in_graph.pipelines.parts import (
    Check,
    Settings,
    always,
    check_pattern,
    flat,
    pattern_of,
)
from keras_s2s.export.in_graph.pipelines.probing import bert_changes, class_ranges
from keras_s2s.export.in_graph.special_tokens import escape
from keras_s2s.export.in_graph.tables import CharacterMap
from keras_s2s.export.in_graph.text_ops import CUT, WHITE_SPACE, cut, mark, merge_rows

#: Puts cuts into string `[P]`.
PreTokenize = Callable[[Any], Any]


def pre_tokenizer(settings: Settings | None) -> PreTokenize:
    """Returns the function of a pre-tokenizer: string `[P]` to words, ragged `[P, W]`."""
    steps = [_MAKERS[part["type"]](part) for part in flat(settings)]

    def apply(texts: Any) -> Any:
        words = cut(texts)
        for step in steps:
            words = merge_rows(words, cut(step(words.flat_values)))
        return words

    return apply


def is_byte_level(settings: Settings | None) -> bool:
    """Returns whether words are written as bytes in the end."""
    return any(part.get("type") == "ByteLevel" for part in flat(settings))


def _white_space_split(settings: Settings) -> PreTokenize:
    return lambda texts: mark(texts, f"[{WHITE_SPACE}]+", CUT)


def _character_wise(settings: Settings) -> PreTokenize:
    return CharacterMap(bert_changes(json.dumps(settings, sort_keys=True)))


def _metaspace(settings: Settings) -> PreTokenize:
    sign = str(settings.get("replacement", "▁"))
    always = settings.get("prepend_scheme", "always") == "always"

    def apply(texts: Any) -> Any:
        import tensorflow as tf

        texts = tf.strings.regex_replace(texts, " ", sign)
        if always:
            begins = tf.strings.regex_full_match(texts, f"(?s){escape(sign)}.*")
            texts = tf.where(begins, texts, prepend(texts, sign))
        if settings.get("split", True):
            texts = mark(texts, escape(sign), CUT + sign.encode())
        return texts

    return apply


def _check_metaspace(settings: Settings) -> str | None:
    if settings.get("prepend_scheme", "always") not in ("always", "never"):
        return f"prepend_scheme is {settings['prepend_scheme']!r}, expected 'always' or 'never'"
    return None


def _byte_level(settings: Settings) -> PreTokenize:
    """GPT-2's words: contractions, letters, numbers and signs with a space before them."""
    if settings.get("use_regex", True):
        space, letter, number = map(class_ranges, (r"\s", r"\p{L}", r"\p{N}"))
        token = (
            f"('s|'t|'re|'ve|'m|'ll|'d| ?[{letter}]+| ?[{number}]+"
            f"| ?[^{space}{letter}{number}]+|[{space}]+)"
        )
        # White space before a word is a word of its own, but for its last character.
        before_last = f"([{space}]+)([{space}][^{space}])"

    def apply(texts: Any) -> Any:
        import tensorflow as tf

        if settings.get("add_prefix_space", True):
            begins = tf.strings.regex_full_match(texts, "(?s) .*")
            texts = tf.where(begins, texts, prepend(texts, " "))
        if settings.get("use_regex", True):
            texts = mark(texts, before_last, rb"\1" + CUT + rb"\2")
            texts = mark(texts, token, rb"\1" + CUT)
        return texts

    return apply


def _white_space(settings: Settings) -> PreTokenize:
    word, space = class_ranges(r"\w"), class_ranges(r"\s")
    token = f"([{word}]+|[^{word}{space}]+)|[{space}]+"
    return lambda texts: mark(texts, token, CUT + rb"\1" + CUT)


def _digits(settings: Settings) -> PreTokenize:
    repeat = "" if settings.get("individual_digits") else "+"
    pattern = f"([{class_ranges(chr(92) + 'p{N}')}]{repeat})"
    return lambda texts: mark(texts, pattern, CUT + rb"\1" + CUT)


def _split(settings: Settings) -> PreTokenize:
    rewrite = _BEHAVIORS[settings["behavior"]]
    return lambda texts: mark(texts, f"({pattern_of(settings)})", rewrite)


_BEHAVIORS = {
    "Removed": CUT,
    "Isolated": CUT + rb"\1" + CUT,
    "MergedWithPrevious": rb"\1" + CUT,
    "MergedWithNext": CUT + rb"\1",
}


def _check_split(settings: Settings) -> str | None:
    if settings.get("invert"):
        return "invert is true"
    if settings.get("behavior") not in _BEHAVIORS:
        return f"behavior is {settings.get('behavior')!r}, expected {', '.join(_BEHAVIORS)}"
    return check_pattern(settings)


def _check_isolated(settings: Settings) -> str | None:
    behavior = settings.get("behavior", "Isolated")
    return None if behavior == "Isolated" else f"behavior is {behavior!r}, expected 'Isolated'"


_MAKERS: dict[str, Callable[[Settings], PreTokenize]] = {
    "WhitespaceSplit": _white_space_split,
    "BertPreTokenizer": _character_wise,
    "Punctuation": _character_wise,
    "Metaspace": _metaspace,
    "ByteLevel": _byte_level,
    "Whitespace": _white_space,
    "Digits": _digits,
    "Split": _split,
}

_CHECKS: dict[str, Check] = {
    "Metaspace": _check_metaspace,
    "Split": _check_split,
    "Punctuation": _check_isolated,
}

#: Name of a pre-tokenizer to its check.
PRE_TOKENIZERS: dict[str, Check] = {name: _CHECKS.get(name, always) for name in _MAKERS}
