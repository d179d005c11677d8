"""Base class of what trims a tokenizer of one kind, and the ids of two vocabularies."""

from __future__ import annotations

import abc
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

from keras_s2s.text.tokenizer import Tokenizer
from keras_s2s.text.trimming.merging import made_by_merges
from keras_s2s.text.trimming.sentencepiece_rewriting import ModelPieces, with_pieces

Side = Literal["source", "target"]
Kind = TypeVar("Kind", bound=Tokenizer)


@dataclass(frozen=True)
class NewIds:
    """The ids that stay, on both sides of a model.

    Attributes:
        source: new id of each id of the source's vocabulary that stays; ids of tokens that the
            model has no row for come last, as before.
        target: the same of the target's vocabulary; the same mapping where they have one.
        sizes: rows of the model on either side.
        gone: language tokens that do not stay.
        source_language: code for the default language of sources, where the old one does not stay.
    """

    source: Mapping[int, int]
    target: Mapping[int, int]
    sizes: Mapping[Side, int]
    gone: frozenset[str] = field(default=frozenset())
    source_language: str | None = None


class Trimmer(abc.ABC, Generic[Kind]):
    """Trims a tokenizer: says which ids belong together, and makes one with a part of them.

    Args:
        tokenizer: stays as it is.
        side: whose texts it encodes.
    """

    #: Whether language tokens can be left out: some classes of transformers number all of theirs.
    drops_languages = False

    def __init__(self, tokenizer: Kind, side: Side) -> None:
        self.tokenizer = tokenizer
        self.side = side

    @property
    @abc.abstractmethod
    def always(self) -> frozenset[int]:
        """Ids that stay for any texts: special tokens, bytes, the unknown token."""

    @abc.abstractmethod
    def with_parts(self, ids: Iterable[int]) -> set[int]:
        """Returns ids, and those that their tokens are made of: characters, merges."""

    @abc.abstractmethod
    def characters(self, ids: Iterable[int]) -> set[int]:
        """Returns the ids of the characters that tokens are made of."""

    @abc.abstractmethod
    def trimmed(self, new_ids: NewIds) -> Kind:
        """Makes the tokenizer with new ids."""

    def renumbering(self, new_ids: NewIds) -> Mapping[int, int]:
        """Returns the new ids of this side."""
        return new_ids.source if self.side == "source" else new_ids.target


class ModelFile:
    """A SentencePiece model whose pieces have ids of another vocabulary.

    Args:
        content: of the file.
        id_of: number and text of a piece to its id, or None.
    """

    def __init__(self, content: bytes, id_of: Callable[[int, str], int | None]) -> None:
        self.content = content
        self.pieces = ModelPieces.read(content)
        # What pieces are made of; asked for again whenever one more stays.
        self._parts: dict[str, set[int]] = {}
        self._ids = [id_of(number, text) for number, text in enumerate(self.pieces.texts)]
        self._numbers = {text: number for number, text in enumerate(self.pieces.texts)}
        self._number_of = {i: number for number, i in enumerate(self._ids) if i is not None}

    @property
    def always(self) -> set[int]:
        """Ids of the pieces that no segmentation may lose."""
        return {i for number in self.pieces.always if (i := self._ids[number]) is not None}

    def with_parts(self, ids: Iterable[int]) -> set[int]:
        """Returns ids, and those of the characters and merges that their pieces are made of."""
        found = set(ids)
        if not self.pieces.is_bpe:
            return found | self.characters(found)
        for text in self._texts(list(found)):
            if text not in self._parts:
                self._parts[text] = self._known(made_by_merges(text, self._rank))
            found |= self._parts[text]
        return found

    def characters(self, ids: Iterable[int]) -> set[int]:
        """Returns the ids of the characters that pieces are made of."""
        return self._known({character for text in self._texts(ids) for character in text})

    def _texts(self, ids: Iterable[int]) -> Iterator[str]:
        """Yields the text of each id that is a normal piece here."""
        for i in ids:
            number = self._number_of.get(i)
            if number is not None and number in self.pieces.normal:
                yield self.pieces.texts[number]

    def _known(self, texts: Iterable[str]) -> set[int]:
        numbers = (self._numbers[text] for text in texts if text in self._numbers)
        return {i for number in numbers if (i := self._ids[number]) is not None}

    def written(self, new_ids: Mapping[int, int]) -> bytes:
        """Returns the file without the pieces whose ids do not stay.

        Pieces without an id stay: texts with them are unknown, as before.
        """
        return with_pieces(
            self.content,
            self.pieces,
            (number for number, i in enumerate(self._ids) if i is None or i in new_ids),
        )

    @functools.cached_property
    def _scores(self) -> dict[str, float]:
        pieces = self.pieces
        return {pieces.texts[number]: pieces.scores[number] for number in pieces.normal}

    def _rank(self, first: str, second: str) -> tuple[float, str] | None:
        score = self._scores.get(first + second)
        return None if score is None else (-score, first + second)


def inverse(ids: Mapping[int, int]) -> list[int]:
    """Returns the old id of each new one."""
    return [old for old, _ in sorted(ids.items(), key=lambda entry: entry[1])]


def special_ids(tokenizer: Any) -> set[int]:
    """Returns the ids of a tokenizer's special tokens that have a name."""
    names = ("pad_id", "unk_id", "bos_id", "eos_id", "mask_id", "cls_id", "sep_id")
    found = (getattr(tokenizer, name, None) for name in names)
    return {i for i in found if i is not None}
