"""Writes a SentencePiece model with a part of its pieces.

The file is a protocol buffer; everything but the pieces left out, the numbers of pieces in the
trainer's settings and the samples of the self test stays byte for byte.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from keras_s2s.text.pretrained.sentencepiece_model import (
    BYTES,
    VARINT,
    read_sentencepiece,
    typed_fields,
)

# Fields of a model file, and that of a piece's kind.
_PIECES, _TRAINER, _SELF_TEST = 1, 2, 4
_KIND = 3
# Kinds of pieces: those that a segmentation is made of. The others (unknown, control, user-defined,
# unused, bytes) say how a text is read, whichever pieces are used.
_NORMAL = 1
# Fields of the trainer's settings: the number of pieces, and the ids of unk, bos, eos and pad.
_SIZE, _IDS = 4, (40, 41, 42, 43)
_UNIGRAM, _BPE = 1, 2


@dataclass(frozen=True)
class ModelPieces:
    """The pieces of a SentencePiece model.

    Attributes:
        texts: of each piece.
        scores: of each piece.
        normal: numbers of the pieces that text is split into; others have a meaning of their own.
        is_unigram: whether the model is a unigram one.
        is_bpe: whether its pieces are made by merges.
    """

    texts: tuple[str, ...]
    scores: tuple[float, ...]
    normal: frozenset[int]
    is_unigram: bool
    is_bpe: bool

    @classmethod
    def read(cls, content: bytes) -> ModelPieces:
        """Reads a `.model` file.

        Raises:
            ConfigError: the bytes are not one.
        """
        proto = read_sentencepiece(content)
        kinds = [
            next((inner for part, _, inner in typed_fields(value) if part == _KIND), _NORMAL)
            for number, _, value in typed_fields(content)
            if number == _PIECES
        ]
        return cls(
            texts=tuple(text for text, _ in proto.pieces),
            scores=tuple(score for _, score in proto.pieces),
            normal=frozenset(i for i, kind in enumerate(kinds) if kind == _NORMAL),
            is_unigram=proto.model_type == _UNIGRAM,
            is_bpe=proto.model_type == _BPE,
        )

    @property
    def always(self) -> frozenset[int]:
        """Numbers of the pieces that no segmentation may lose.

        A unigram model scores an unknown character by its lowest score, and a user-defined piece
        by its highest: both pieces stay, so that these scores do.
        """
        others = frozenset(range(len(self.texts))) - self.normal
        if not self.is_unigram or not self.normal:
            return others
        ends = (min, max)
        return others.union(end(sorted(self.normal), key=self.scores.__getitem__) for end in ends)


def with_pieces(content: bytes, pieces: ModelPieces, kept: Iterable[int]) -> bytes:
    """Returns a `.model` file with the pieces `kept` alone, in their order.

    Args:
        content: a `.model` file.
        pieces: what `ModelPieces.read` returned for it.
        kept: numbers of pieces; those that are not normal ones have to be among them.
    """
    numbers = sorted(set(kept) | (set(range(len(pieces.texts))) - pieces.normal))
    new_ids = {old: new for new, old in enumerate(numbers)}
    written: list[bytes] = []
    position = 0
    for number, wire, value in typed_fields(content):
        if number == _PIECES:
            if position in new_ids:
                written.append(_field(number, wire, value))
            position += 1
        elif number == _TRAINER:
            written.append(_field(number, wire, _renumbered(value, new_ids)))
        elif number != _SELF_TEST:  # its samples may hold pieces that are gone
            written.append(_field(number, wire, value))
    return b"".join(written)


def _renumbered(settings: bytes, new_ids: dict[int, int]) -> bytes:
    """Returns the trainer's settings with the new number of pieces and ids."""
    parts: list[bytes] = []
    for number, wire, value in typed_fields(settings):
        if number == _SIZE:
            value = len(new_ids)
        elif number in _IDS:
            value = new_ids.get(value, value)  # of a piece that is not there, -1
        parts.append(_field(number, wire, value))
    return b"".join(parts)


def _field(number: int, wire: int, value: Any) -> bytes:
    """Writes a field: a tag, and a number or bytes."""
    tag = _varint(number << 3 | wire)
    if wire == VARINT:
        return tag + _varint(value)
    return tag + (_varint(len(value)) if wire == BYTES else b"") + value


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value >= 0x80:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)
