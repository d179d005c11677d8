"""The bytes that each id of a tokenizer adds to a text."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING

from keras_s2s.text.stable_prefix import HALF

if TYPE_CHECKING:
    from keras_s2s.text.tokenizer import Tokenizer

#: A piece that is a byte, as SentencePiece spells it.
_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")

#: A text after which ids are decoded, since many tokenizers write the first word of a text without
#: the space before it.
_BEFORE = "abc"


@functools.lru_cache(maxsize=8)
def token_bytes(tokenizer: Tokenizer) -> tuple[bytes | None, ...]:
    """Returns the bytes that each id adds to a text after a word, in UTF-8.

    Args:
        tokenizer: of the ids.

    Returns:
        bytes for each id; None for those that add nothing (padding, EOS, other special ids). A
        piece of several bytes that are no whole characters has these bytes.

    Example:
        >>> tokenizer = ByteTokenizer()
        >>> [token_bytes(tokenizer)[i] for i in tokenizer.encode("é")]
        [b'\\xc3', b'\\xa9']
    """
    base = _base(tokenizer)
    before = tokenizer.decode(base)
    found: list[bytes | None] = []
    for i in range(tokenizer.vocabulary_size):
        text = tokenizer.decode([*base, i])
        added = text[len(before) :] if text.startswith(before) else tokenizer.decode([i])
        if not added or HALF in added:
            # A part of a character shows as U+FFFD, or not at all.
            spelled = _spelled(tokenizer.id_to_token(i), several=bool(added))
            found.append(spelled or added.encode() or None)
        else:
            found.append(added.encode())
    return tuple(found)


def _base(tokenizer: Tokenizer) -> list[int]:
    """Returns ids of a word after which others are decoded; [] where there is no word."""
    base = tokenizer.encode(_BEFORE)
    if tokenizer.decode(base).strip() == _BEFORE:
        return base
    ids = range(tokenizer.vocabulary_size)
    return next(([i] for i in ids if tokenizer.decode([i]).isalpha()), [])


def _spelled(token: str, *, several: bool) -> bytes | None:
    """Returns the bytes that a vocabulary entry spells; None where it spells none."""
    if byte := _BYTE.fullmatch(token):
        return bytes([int(byte[1], 16)])
    if len(token) == 1 and 0x80 <= ord(token) <= 0xFF:
        return bytes([ord(token)])
    byte_of = _byte_of_character()
    if several and token and all(character in byte_of for character in token):
        return bytes(byte_of[character] for character in token)
    return None


@functools.cache
def _byte_of_character() -> dict[str, int]:
    """Returns the byte of each character that stands for one in byte-level vocabularies."""
    from keras_s2s.text.trained.byte_level_bpe import byte_characters

    return {character: byte for byte, character in enumerate(byte_characters())}
