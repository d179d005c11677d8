"""Asks the `tokenizers` library what it does with each character.

Its character classes are those of several versions of Unicode, none of them TensorFlow's: what it
answers, and not a name of a class, goes into a graph.
"""

from __future__ import annotations

import functools
import json
from typing import Any

#: A letter that no rule changes, and that no rule makes of another.
_BETWEEN = "\u018d"


@functools.cache
def _characters() -> str:
    """Returns every character but surrogates, which are none; made where it is needed first."""
    return "".join(map(chr, [*range(0xD800), *range(0xE000, 0x110000)]))


def library_part(role: str, settings: str) -> Any:
    """Returns a part of a pipeline.

    Args:
        role: `"normalizer"`, `"pre_tokenizer"` or `"decoder"`.
        settings: the part as `tokenizer.json` has it.
    """
    from tokenizers import Tokenizer

    description = {"model": {"type": "BPE", "vocab": {}, "merges": []}, role: json.loads(settings)}
    return getattr(Tokenizer.from_str(json.dumps(description)), role)


@functools.lru_cache(maxsize=8)
def character_changes(settings: str) -> dict[int, bytes]:
    """Returns what a normaliser that reads one character at a time changes: code point to text."""
    normalizer = library_part("normalizer", settings)
    # All in one call: one call for each takes much longer.
    characters = [c for c in _characters() if c != _BETWEEN]
    mapped = normalizer.normalize_str(_BETWEEN.join(characters)).split(_BETWEEN)
    if len(mapped) != len(characters):
        mapped = [normalizer.normalize_str(c) for c in characters]
    return {ord(c): new.encode() for c, new in zip(characters, mapped, strict=True) if c != new}


@functools.lru_cache(maxsize=16)
def class_ranges(pattern: str) -> str:
    """Returns the characters that a pattern of the library, such as `\\p{L}`, matches.

    Returns:
        content of a character class of RE2.
    """
    from tokenizers import Regex, pre_tokenizers

    split = pre_tokenizers.Split(Regex(f"{pattern}+"), "removed", invert=True)
    ranges = []
    for run, _ in split.pre_tokenize_str(_characters()):
        ranges += _ranges(run)
    return "".join(ranges)


def _ranges(run: str) -> list[str]:
    # A run goes over the gap of the surrogates.
    below, above = (
        [c for c in (run[0], run[-1]) if (ord(c) < 0xD800) == low] for low in (True, False)
    )
    if below and above:
        return [_range(run[0], "\ud7ff"), _range("\ue000", run[-1])]
    return [_range(run[0], run[-1])]


def _range(first: str, last: str) -> str:
    return escaped(first) if first == last else f"{escaped(first)}-{escaped(last)}"


def escaped(character: str) -> str:
    """Returns a character as a character class of RE2 has it."""
    return f"\\x{{{ord(character):x}}}"


@functools.lru_cache(maxsize=4)
def bert_changes(settings: str) -> dict[int, bytes]:
    """Returns white space as a cut, and punctuation between cuts, as BERT's words end there.

    Args:
        settings: a pre-tokenizer that reads one character at a time.
    """
    pre_tokenizer = library_part("pre_tokenizer", settings)
    pieces = [
        piece
        for piece, _ in pre_tokenizer.pre_tokenize_str(" ".join(f"a{c}" for c in _characters()))
    ]
    changes: dict[int, bytes] = {}
    at = 0
    for c in _characters():
        if pieces[at] == f"a{c}":
            at += 1
        elif at + 1 < len(pieces) and pieces[at + 1] == c:
            changes[ord(c)] = b"\xff" + c.encode() + b"\xff"
            at += 2
        else:
            changes[ord(c)] = b"\xff"
            at += 1
    return changes
