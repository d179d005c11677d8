"""Unigram models of the `tokenizers` library, run by tensorflow-text's SentencePiece."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

from keras_s2s.export.in_graph.pipelines.parts import Settings
from keras_s2s.export.in_graph.text_ops import import_tensorflow_text

# Kinds of pieces in a model file.
_NORMAL, _UNKNOWN, _UNUSED = 1, 2, 5
_UNIGRAM = 1


def unigram_op(settings: Settings) -> Any:
    """Returns the op that splits words by a unigram model.

    Both search for the split of the highest total score, and give a character without a piece ten
    less than the lowest score; runs of such characters are one id. The library adds up in double
    precision, SentencePiece in single precision.

    Args:
        settings: the model as `tokenizer.json` has it.
    """
    text = import_tensorflow_text("a unigram model")
    model = unigram_file(settings["vocab"], settings["unk_id"])
    return text.SentencepieceTokenizer(model=model, out_type="int32")


def unigram_file(vocab: Sequence[tuple[str, float]], unknown: int) -> bytes:
    """Returns a SentencePiece model that leaves texts as they are.

    Args:
        vocab: piece and score of each id.
        unknown: id of what has no piece.
    """
    last = {piece: i for i, (piece, _) in enumerate(vocab)}
    pieces = []
    for i, (piece, score) in enumerate(vocab):
        kind = _UNKNOWN if i == unknown else _NORMAL
        if kind == _NORMAL and (last[piece] != i or not piece):
            # The last of equal ones is found; the others only keep their ids.
            piece, kind = f"\uffff{i}", _UNUSED
        fields = _bytes(1, piece.encode()) + _number(2, struct.pack("<f", score), 5)
        pieces.append(_bytes(1, fields + _number(3, bytes([kind]), 0)))
    off = b"\0"
    rules = _bytes(1, b"identity") + b"".join(_number(i, off, 0) for i in (3, 4, 5))
    trainer = _number(3, bytes([_UNIGRAM]), 0)
    return b"".join(pieces) + _bytes(2, trainer) + _bytes(3, rules)


def _number(field: int, value: bytes, wire: int) -> bytes:
    return _varint(field << 3 | wire) + value


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    parts = []
    while value >= 0x80:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])
