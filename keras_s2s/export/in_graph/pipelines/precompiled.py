"""SentencePiece's compiled normalisation rules, as the `tokenizers` library applies them.

The rules map sequences of characters to texts. SentencePiece replaces the longest sequence at each
place. The library goes from one grapheme cluster to the next: one of less than six bytes is
replaced as a whole by what the shortest rule at its beginning says, and any other character by
character.
Models were trained with the first and are run with the second.
"""

from __future__ import annotations

import base64
import functools
import json
import struct
import unicodedata
from typing import Any

import numpy as np

from keras_s2s.export.in_graph.pipelines.parts import Settings
from keras_s2s.export.in_graph.pipelines.probing import escaped, library_part
from keras_s2s.export.in_graph.tables import CharacterMap
from keras_s2s.export.in_graph.text_ops import CUT, cut

#: Clusters with fewer bytes are replaced as a whole.
_BYTES = 6
_CHARACTERS_OF_A_CLUSTER = 3
#: In front of a cluster, between cuts; no UTF-8 text holds it.
_CLUSTER = b"\xfe"
#: What begins a cluster and goes on with a letter, of two bytes.
_PREPENDED = "\u0600-\u0605\u06dd\u070f"
#: Format characters that do not end a cluster.
_NO_CONTROLS = "\u200c\u200d\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f"
#: Characters of four bytes, and those among them that go on with a cluster and are no marks.
_LARGE = (*range(0x10000, 0x20000), *range(0xE0000, 0xE1000))
_EMOJI_MODIFIERS = range(0x1F3FB, 0x1F400)
_TAGS = range(0xE0020, 0xE0080)
_ACCENT = "\u0301"
#: A letter that no rule begins with.
_BETWEEN = "\u018d"


class Precompiled:
    """Applies compiled rules to strings.

    Args:
        settings: the normaliser as `tokenizer.json` has it.
    """

    def __init__(self, settings: Settings) -> None:
        rules = read_rules(base64.b64decode(settings["precompiled_charsmap"]))
        single = {ord(key): value for key, value in rules.items() if len(key) == 1}
        self._characters = CharacterMap({c: value.encode() for c, value in single.items()})
        whole = {_number(key.encode()): value.encode() for key, value in rules.items()}
        self._keys = sorted(whole)
        self._values = [whole[key] for key in self._keys]
        part = library_part("normalizer", json.dumps(dict(settings)))
        extends, breaks = _cluster_classes(part, single)
        base = f"[^{breaks}]" if breaks else r"[\x{0}-\x{10ffff}]"
        self._pattern = (
            f"(\r\n|[{_PREPENDED}]*{base}[{extends}]+|[{_PREPENDED}]+{base}[{extends}]*)"
        )

    def __call__(self, texts: Any) -> Any:
        """Returns string `[B]` of string `texts [B]`."""
        import tensorflow as tf

        marked = tf.strings.regex_replace(texts, self._pattern, CUT + _CLUSTER + rb"\1" + CUT)
        parts = cut(marked)
        flat = parts.flat_values
        is_cluster = tf.equal(tf.strings.substr(flat, 0, 1), _CLUSTER)
        bare = tf.where(is_cluster, tf.strings.substr(flat, 1, 2**30), flat)
        small = is_cluster & (tf.strings.length(bare) < _BYTES)
        # Others are not looked at, and their characters need not be valid.
        cluster = tf.where(small, bare, "")
        # A key above all others, so that a search always ends inside the table.
        keys = tf.constant([*self._keys, np.iinfo(np.int64).max], tf.int64)
        values = tf.constant([*self._values, b""])
        result = self._characters(bare)
        for count in range(_CHARACTERS_OF_A_CLUSTER, 0, -1):
            first = tf.strings.substr(cluster, 0, count, unit="UTF8_CHAR")
            number = _numbers(first)
            places = tf.searchsorted(keys, number)
            found = small & tf.equal(tf.gather(keys, places), number)
            result = tf.where(found, tf.gather(values, places), result)
        return tf.strings.reduce_join(parts.with_flat_values(result), axis=-1)


def _number(content: bytes) -> int:
    return int.from_bytes(content, "little")


def _numbers(strings: Any) -> Any:
    """Returns `_number`, int64 `[N]`, of string `[N]` with less than six bytes each."""
    import tensorflow as tf

    size = _BYTES - 1 + 3  # a multiple of what is read
    content = tf.cast(tf.io.decode_raw(strings, tf.uint8, fixed_length=size), tf.int64)
    return tf.reduce_sum(content[:, : _BYTES - 1] * [256**i for i in range(_BYTES - 1)], axis=1)


@functools.lru_cache(maxsize=4)
def read_rules(charsmap: bytes) -> dict[str, str]:
    """Returns compiled rules for less than six bytes, from a sequence of characters to a text.

    Longer sequences have no effect in the library.

    Args:
        charsmap: a double-array trie of sequences, behind its size in bytes, and then the texts,
            each of which ends with NUL.
    """
    (size,) = struct.unpack("<I", charsmap[:4])
    units = np.frombuffer(charsmap[4 : 4 + size], "<u4").astype(np.int64)
    texts = charsmap[4 + size :]
    rules: dict[bytes, str] = {}
    labels = np.arange(1, 256)
    stack = [(int(_offset(units[0])), b"")]
    while stack:
        node, prefix = stack.pop()
        places = node ^ labels
        inside = places < len(units)
        children = units[np.where(inside, places, 0)]
        match = inside & ((children & 0x800000FF) == labels)
        for label in labels[match]:
            unit = units[node ^ label]
            below, key = int((node ^ label) ^ _offset(unit)), prefix + bytes([label])
            if unit >> 8 & 1:
                start = int(units[below] & 0x7FFFFFFF)
                rules[key] = texts[start : texts.index(b"\0", start)].decode()
            if len(key) < _BYTES - 1:
                stack.append((below, key))
    return {key.decode(): value for key, value in rules.items()}


def _offset(unit: Any) -> Any:
    return (unit >> 10) << ((unit & 0x200) >> 6)


def _cluster_classes(normalizer: Any, single: dict[int, str]) -> tuple[str, str]:
    """Returns the characters that go on with a cluster, and those that end one.

    A cluster that begins with a character that has a rule loses what follows it, so that the
    normaliser shows where its clusters are; without such a character Unicode's categories say it.
    """
    small = [chr(c) for c in range(0x80, 0x10000) if not 0xD800 <= c < 0xE000]
    small.remove(_BETWEEN)
    breaks = [
        c
        for c in ["\0", *map(chr, range(1, 0x80)), *small]
        if (
            normalizer.normalize_str(c + _ACCENT) != single[ord(c)]
            if ord(c) in single
            else unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp") and c not in _NO_CONTROLS
        )
    ]
    probe = next(
        (chr(c) for c in single if 0x80 <= c < 0x800 and unicodedata.category(chr(c))[0] == "L"),
        None,
    )
    extends = [c for c in small if unicodedata.category(c)[0] == "M" or c in "\u200c\u200d"]
    if probe is not None:
        by_category = set(extends)
        seen = normalizer.normalize_str("".join(f"{probe}{c}{_BETWEEN}" for c in small))
        lost = [part == single[ord(probe)] for part in seen.split(_BETWEEN)[:-1]]
        extends = [
            c
            for c, gone in zip(small, lost, strict=True)
            # What a rule leaves out is gone in any case.
            if gone and (single.get(ord(c)) != "" or c in by_category)
        ]
    # They make a cluster too large to be replaced as a whole.
    extends += [chr(c) for c in _LARGE if unicodedata.category(chr(c))[0] == "M"]
    extends += map(chr, [*_EMOJI_MODIFIERS, *_TAGS])
    return "".join(map(escaped, extends)), "".join(map(escaped, breaks))
