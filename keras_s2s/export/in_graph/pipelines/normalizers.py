"""Normalisers of `tokenizers` pipelines in TensorFlow ops: string `[P]` to string `[P]`."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from keras_s2s.export.in_graph.normalization import normal_form
from keras_s2s.export.in_graph.pipelines.parts import (
    Check,
    Settings,
    always,
    check_pattern,
    flat,
    pattern_of,
)
from keras_s2s.export.in_graph.pipelines.precompiled import Precompiled
from keras_s2s.export.in_graph.pipelines.probing import character_changes
from keras_s2s.export.in_graph.tables import CharacterMap
from keras_s2s.export.in_graph.text_ops import WHITE_SPACE

Normalize = Callable[[Any], Any]


def normalizer(settings: Settings | None) -> Normalize:
    """Returns the function of a normaliser, with what it needs made beforehand."""
    steps = [_MAKERS[part["type"]](part) for part in flat(settings)]

    def apply(texts: Any) -> Any:
        for step in steps:
            texts = step(texts)
        return texts

    return apply


def _form(settings: Settings) -> Normalize:
    return lambda texts: normal_form(texts, settings["type"], library=True)


def _character_wise(settings: Settings) -> Normalize:
    return CharacterMap(character_changes(json.dumps(settings, sort_keys=True)))


def _replace(settings: Settings) -> Normalize:
    pattern = pattern_of(settings)
    content = str(settings["content"]).replace("\\", "\\\\")

    def apply(texts: Any) -> Any:
        import tensorflow as tf

        return tf.strings.regex_replace(texts, pattern, content)

    return apply


def _prepend(settings: Settings) -> Normalize:
    return lambda texts: prepend(texts, str(settings["prepend"]))


def prepend(texts: Any, prefix: str) -> Any:
    """Puts `prefix` before each of `texts` that is not empty."""
    import tensorflow as tf

    return tf.where(tf.equal(texts, ""), texts, tf.strings.join([tf.constant(prefix), texts]))


def _strip(settings: Settings) -> Normalize:
    sides = [
        f"^[{WHITE_SPACE}]+" if settings.get("strip_left") else None,
        f"[{WHITE_SPACE}]+$" if settings.get("strip_right") else None,
    ]
    pattern = "|".join(side for side in sides if side)

    def apply(texts: Any) -> Any:
        import tensorflow as tf

        return tf.strings.regex_replace(texts, pattern, "") if pattern else texts

    return apply


_MAKERS: dict[str, Callable[[Settings], Normalize]] = {
    **dict.fromkeys(("NFC", "NFD", "NFKC", "NFKD"), _form),
    **dict.fromkeys(("Lowercase", "StripAccents", "BertNormalizer", "Nmt"), _character_wise),
    "Replace": _replace,
    "Precompiled": Precompiled,
    "Prepend": _prepend,
    "Strip": _strip,
}

#: Name of a normaliser to its check.
NORMALIZERS: dict[str, Check] = {
    name: check_pattern if name == "Replace" else always for name in _MAKERS
}
