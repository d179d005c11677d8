"""Kinds of options that say what results must have, or may have."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from numbers import Integral
from typing import Any

from keras_s2s.options.kinds import Kind, TokenLists, parsed_ids


class ForcedIds(Kind):
    """Phrases of ids that must occur, or sets of them; for all sources, or by their numbers."""

    def check(self, name: str, value: Any, vocabulary: int | None = None) -> Any:
        return _for_each(name, value, lambda name, each: self._constraint(name, each, vocabulary))

    def _constraint(self, name: str, value: Any, vocabulary: int | None) -> Any:
        if isinstance(value, str) or not isinstance(value, Iterable):
            raise ValueError(f"{name}={value!r} must be a list of ids, or of lists of ids")
        value = list(value)
        nested = [isinstance(each, Iterable) for each in value]
        if any(nested) and not all(nested):
            raise ValueError(f"{name}={value!r} has ids beside lists of ids; give one or the other")
        return TokenLists().check(name, value if any(nested) else [value], vocabulary)

    @property
    def shown(self) -> str:
        return "lists of ids, or of such lists"

    @property
    def written(self) -> str:
        return "sequences separated by blanks, alternatives by |, such as '7 12,9|13'"

    def parse(self, name: str, text: Any) -> Any:
        return [
            [parsed_ids(name, phrase, self.written) for phrase in each.split("|")]
            for each in text.split()
        ]


class ForcedTexts(Kind):
    """Texts that must occur, or sets of them; for all sources, or by their numbers."""

    def check(self, name: str, value: Any, vocabulary: int | None = None) -> Any:
        return _for_each(name, value, self._constraint)

    def _constraint(self, name: str, value: Any) -> tuple[str, ...]:
        texts = [value] if isinstance(value, str) else value
        if not isinstance(texts, Iterable) or not (texts := list(texts)):
            raise ValueError(f"{name}={value!r} must be a text, or a list of texts")
        for text in texts:
            if not isinstance(text, str) or not text.strip():
                raise ValueError(f"{name} has {text!r}; expected a text that is not empty")
        return tuple(texts)

    @property
    def shown(self) -> str:
        return "texts, or lists of texts"

    @property
    def written(self) -> str:
        return "texts separated by ;, alternatives by |, such as 'Haus;Hund|Hunde'"

    def parse(self, name: str, text: Any) -> Any:
        return [each.split("|") for each in text.split(";")]


class Pattern(Kind):
    """A text that says which results there may be, in a language of its own."""

    def check(self, name: str, value: Any, vocabulary: int | None = None) -> str:
        if not isinstance(value, str) or not value:
            raise ValueError(f"{name}={value!r} must be a text that is not empty")
        return value

    @property
    def shown(self) -> str:
        return "a text"


class Schema(Kind):
    """A JSON schema: a mapping, or its text."""

    def check(self, name: str, value: Any, vocabulary: int | None = None) -> str:
        try:
            schema = json.loads(value) if isinstance(value, str) else value
            if not isinstance(schema, Mapping):
                raise TypeError("it is no object")
            return json.dumps(schema)
        except (TypeError, ValueError, RecursionError) as error:
            raise ValueError(f"{name}={value!r} must be a JSON schema: {error}") from None

    @property
    def shown(self) -> str:
        return "a JSON schema: a mapping, or its text"

    @property
    def written(self) -> str:
        return "its text"


class Glossary(Kind):
    """Terms of sources with what results must have for them: a file, a mapping, or pairs."""

    def check(self, name: str, value: Any, vocabulary: int | None = None) -> Any:
        if isinstance(value, str | os.PathLike):
            return os.fspath(value)
        pairs = value.items() if isinstance(value, Mapping) else value
        if not isinstance(pairs, Iterable):
            raise ValueError(f"{name}={value!r} must be a file, a mapping, or pairs of texts")
        found: list[tuple[str, str]] = []
        for pair in pairs:
            if not isinstance(pair, list | tuple) or len(pair) != 2:
                raise ValueError(f"{name} has {pair!r}; expected a term and the text for it")
            targets = [pair[1]] if isinstance(pair[1], str) else list(pair[1])
            for text in (pair[0], *targets):
                if not isinstance(text, str) or not text.strip():
                    raise ValueError(f"{name} has {text!r}; expected a text that is not empty")
            found += [(pair[0], target) for target in targets]
        return tuple(found)

    @property
    def shown(self) -> str:
        return "a file, a mapping or pairs"

    @property
    def written(self) -> str:
        return "a TSV, CSV or JSON file"


class ShortlistFile(Kind):
    """A shortlist of candidates: a file, an object, or whether to use a model's own."""

    def check(self, name: str, value: Any, vocabulary: int | None = None) -> Any:
        if isinstance(value, os.PathLike):
            value = os.fspath(value)
        usable = isinstance(value, str | bool) or hasattr(value, "candidates")
        if usable and value != "":
            return value
        raise ValueError(
            f"{name}={value!r} must be a file, a Shortlist (keras_s2s.learn_shortlist), or True "
            "for the model's own"
        )

    @property
    def shown(self) -> str:
        return "a file, a `Shortlist`, or bool"

    @property
    def written(self) -> str:
        return "a shortlist of Marian, or a vmap.txt of CTranslate2"


def _for_each(name: str, value: Any, constraint: Callable[[str, Any], Any]) -> Any:
    """Returns checked constraints: a tuple for all sources, or a dictionary by their numbers."""
    if isinstance(value, Mapping):
        for place in value:
            if isinstance(place, bool) or not isinstance(place, Integral) or place < 0:
                raise ValueError(f"{name} has the key {place!r}; expected the number of a source")
        return {
            int(place): _for_each(f"{name}[{place}]", each, constraint)
            for place, each in value.items()
        }
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise ValueError(f"{name}={value!r} must be a list, also where there is only one")
    return tuple(constraint(f"{name}[{i}]", each) for i, each in enumerate(value))
