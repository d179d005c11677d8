"""Decoders of `tokenizers` pipelines in TensorFlow ops: ids to texts by constant tables."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from keras_s2s.export.in_graph.pipelines.parts import Check, Settings, always
from keras_s2s.export.in_graph.pipelines.probing import library_part
from keras_s2s.export.in_graph.tables import Surfaces
from keras_s2s.export.in_graph.text_ops import valid_utf8
from keras_s2s.text.trained.byte_level_bpe import byte_characters

#: Ragged int32 ids `[B, L]` to string `[B]`.
Decode = Callable[[Any], Any]


def decoder(settings: Settings | None, tokens: Sequence[str]) -> Decode:
    """Returns the function of a decoder.

    Args:
        settings: the decoder as `tokenizer.json` has it; None puts a space between any two tokens.
        tokens: the token of each id.
    """
    if settings is None:
        return Surfaces([f" {t}".encode() for t in tokens], [t.encode() for t in tokens]).join
    if settings["type"] == "ByteLevel":
        joined = Surfaces(list(map(byte_level_bytes, tokens)))
        return lambda ids: valid_utf8(joined.join(ids))
    part = library_part("decoder", json.dumps(settings))
    alone = [part.decode([token]).encode() for token in tokens]
    if settings["type"] == "BPEDecoder":
        # The end of a word is a space, but for the last one.
        begins = Surfaces([part.decode([token, "a"])[:-1].encode() for token in tokens])
        ends = Surfaces(alone)
        return lambda ids: begins.join(ids[:, :-1]) + ends.join(ids[:, -1:])
    return Surfaces([part.decode(["a", token])[1:].encode() for token in tokens], alone).join


_BYTE_OF = {character: byte for byte, character in enumerate(byte_characters())}


def byte_level_bytes(token: str) -> bytes:
    """Returns the bytes that a token of a byte-level vocabulary writes."""
    if all(character in _BYTE_OF for character in token):
        return bytes(_BYTE_OF[character] for character in token)
    return token.encode()


#: Name of a decoder to its check.
DECODERS: dict[str, Check] = dict.fromkeys(
    ("Metaspace", "WordPiece", "ByteLevel", "BPEDecoder"), always
)
