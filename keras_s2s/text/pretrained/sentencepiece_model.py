"""Reads the parts of a SentencePiece model file that the library does not give access to.

A `.model` file is a protocol buffer: fields of a number, a wire type and a value.  Only the few
fields below are read, so that neither protobuf nor a generated module is needed.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from keras_s2s.config import ConfigError
from keras_s2s.text.pretrained.tokenizer_files import TokenizerFiles

# Wire types: how a value is written.
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5

# Kinds of pieces that tokenizers built on the file look for in the text.
_CONTROL, _USER_DEFINED = 3, 4


@dataclass(frozen=True)
class SentencePieceProto:
    """Pieces and settings of a model.

    Attributes:
        pieces: piece and score, by id.
        control: pieces such as `</s>`, which never come from text.
        user_defined: pieces that stay whole wherever the text has them.
        charsmap: the compiled normalisation rules, or None.
        model_type: 1 for unigram, 2 for BPE, 3 for words, 4 for characters.
    """

    pieces: list[tuple[str, float]]
    control: list[str]
    user_defined: list[str]
    charsmap: bytes | None
    model_type: int


def read_sentencepiece(content: bytes) -> SentencePieceProto:
    """Reads a `.model` file.

    Raises:
        ConfigError: the bytes are not one.
    """
    pieces: list[tuple[str, float]] = []
    control: list[str] = []
    user_defined: list[str] = []
    charsmap: bytes | None = None
    model_type = 1  # where the trainer's settings do not say
    try:
        for number, value in _fields(content):
            if number == 1:  # a piece
                text, score, kind = "", 0.0, 1
                for part, inner in _fields(value):
                    if part == 1:
                        text = inner.decode("utf-8")
                    elif part == 2:
                        score = struct.unpack("<f", inner)[0]
                    elif part == 3:
                        kind = inner
                pieces.append((text, score))
                if kind == _CONTROL:
                    control.append(text)
                elif kind == _USER_DEFINED:
                    user_defined.append(text)
            elif number == 2:  # the trainer's settings
                for part, inner in _fields(value):
                    if part == 3:
                        model_type = int(inner)
            elif number == 3:  # the normaliser's settings
                for part, inner in _fields(value):
                    if part == 2:
                        charsmap = bytes(inner) or None
    except (IndexError, ValueError, TypeError, AttributeError, struct.error) as error:
        raise ConfigError(f"not a SentencePiece model ({error})") from None
    if not pieces:
        raise ConfigError("not a SentencePiece model (it holds no pieces)")
    return SentencePieceProto(pieces, control, user_defined, charsmap, model_type)


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """Yields number and value of each field; values are bytes, except those of varints."""
    for number, _, value in typed_fields(data):
        yield number, value


def typed_fields(data: bytes) -> Iterator[tuple[int, int, Any]]:
    """Yields number, wire type and value of each field of a protocol buffer.

    Raises:
        IndexError, ValueError: the bytes are not one.
    """
    position, size = 0, len(data)
    value: Any
    while position < size:
        tag, position = _varint(data, position)
        wire = tag & 7
        if wire == VARINT:
            value, position = _varint(data, position)
        else:
            if wire == BYTES:
                length, position = _varint(data, position)
            elif wire in (FIXED32, FIXED64):
                length = 4 if wire == FIXED32 else 8
            else:
                raise ValueError(f"wire type {wire}")
            if position + length > size:
                raise ValueError("cut off")
            value = data[position : position + length]
            position += length
        yield tag >> 3, wire, value


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """Returns a little-endian number of seven bits a byte, and the position after it."""
    value = shift = 0
    while True:
        byte = data[position]
        value |= (byte & 0x7F) << shift
        position += 1
        if byte < 0x80:
            return value, position
        shift += 7


def sampling_method_of(content: bytes) -> Literal["alpha", "dropout"] | None:
    """Returns how the library draws segmentations with a `.model` file; None where it cannot."""
    methods: dict[int, Literal["alpha", "dropout"]] = {1: "alpha", 2: "dropout"}
    return methods.get(read_sentencepiece(content).model_type)


def load_processor(files: TokenizerFiles, name: str, class_name: str) -> Any:
    """Returns the SentencePiece processor for a model file of a Hugging Face folder.

    Raises:
        FileNotFoundError: the file is missing.
        ConfigError: it is not a SentencePiece model.
    """
    import sentencepiece

    content = files.require(name, class_name)
    try:
        processor = sentencepiece.SentencePieceProcessor(model_proto=content)
        size = processor.get_piece_size()
    except RuntimeError as error:
        raise ConfigError(f"{files.origin}/{name}: not a SentencePiece model ({error})") from None
    if not size:
        raise ConfigError(f"{files.origin}/{name}: not a SentencePiece model (it holds no pieces)")
    return processor
