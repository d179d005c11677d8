"""Kinds of option values: their checks, and how they are read from the command line."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from numbers import Integral
from numbers import Real as RealNumber
from typing import Any

#: Sizes and ids are int32 in every backend.
LARGEST = 2**31 - 1


def whole(name: str, value: Any, least: int = 1) -> int:
    """Returns `value`, which must be a whole number of at least `least`.

    Raises:
        ValueError: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise ValueError(f"{name}={value!r} must be a whole number of at least {least}")
    return int(value)


def number(name: str, value: Any) -> float:
    """Returns `value`, which must be a number.

    Raises:
        ValueError: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, RealNumber):
        raise ValueError(f"{name}={value!r} must be a number")
    return float(value)


class Kind(ABC):
    """The values that an option takes.

    Attributes:
        python_only: they are Python objects, which a command line or a file cannot hold.
    """

    python_only = False

    @abstractmethod
    def check(self, name: str, value: Any, vocabulary: int | None = None) -> Any:
        """Returns `value` in its usual type.

        Args:
            name: of the option, for messages.
            value: what the caller passed; not None.
            vocabulary: size of the target's, where ids are to be checked against it.

        Raises:
            ValueError: the option does not take it.
        """

    @property
    @abstractmethod
    def shown(self) -> str:
        """The type and range, as pages and help show them."""

    @property
    def written(self) -> str:
        """How the values are written on a command line, for its help."""
        return self.shown

    @property
    def words(self) -> type:
        """The type that a command line reads: int, float, bool or str."""
        return str

    def parse(self, name: str, text: Any) -> Any:
        """Returns the value for what a command line read, which is of the type `words`.

        Raises:
            ValueError: the text cannot be read.
        """
        return text


@dataclass(frozen=True)
class Whole(Kind):
    """Whole numbers of at least `least`.

    Attributes:
        most: largest value in a model's configuration; a call may pass a larger one.
    """

    least: int = 0
    most: int = LARGEST

    def check(self, name: str, value: Any, vocabulary: int | None = None) -> int:
        return whole(name, value, self.least)

    @property
    def shown(self) -> str:
        return f"int, at least {self.least}"

    @property
    def words(self) -> type:
        return int


@dataclass(frozen=True)
class Real(Kind):
    """Finite numbers between bounds, each of which may be None.

    Attributes:
        says: end of the message about a number outside the bounds.
        above, least: lower bound: greater than `above`, or at least `least`.
        below, most: upper bound: less than `below`, or at most `most`.
    """

    says: str
    above: float | None = None
    least: float | None = None
    below: float | None = None
    most: float | None = None

    def check(self, name: str, value: Any, vocabulary: int | None = None) -> float:
        found = number(name, value)
        if (
            not math.isfinite(found)
            or (self.above is not None and found <= self.above)
            or (self.least is not None and found < self.least)
            or (self.below is not None and found >= self.below)
            or (self.most is not None and found > self.most)
        ):
            raise ValueError(f"{name}={value} {self.says}")
        return found

    @property
    def shown(self) -> str:
        bounds = (
            ("above", self.above),
            ("at least", self.least),
            ("below", self.below),
            ("at most", self.most),
        )
        return ", ".join(["float", *(f"{word} {b:g}" for word, b in bounds if b is not None)])

    @property
    def words(self) -> type:
        return float


@dataclass(frozen=True)
class StartAndFactor(Kind):
    """A whole number of at least 0 and a factor above 0."""

    def check(self, name: str, value: Any, vocabulary: int | None = None) -> tuple[int, float]:
        pair = list(value) if isinstance(value, Iterable) and not isinstance(value, str) else []
        if len(pair) != 2:
            raise ValueError(f"{name}={value!r} must be a pair: (start, factor)")
        factor = Real("must be above 0; 1.0 changes nothing", above=0)
        return whole(f"{name}[0]", pair[0], 0), factor.check(f"{name}[1]", pair[1])

    @property
    def shown(self) -> str:
        return "a pair: int, at least 0; float, above 0"

    @property
    def written(self) -> str:
        return "separated by a comma, such as 15,1.05"

    def parse(self, name: str, text: Any) -> tuple[int, float]:
        try:
            start, factor = text.split(",")
            return int(start), float(factor)
        except ValueError:
            raise ValueError(
                f"{name} is {text!r}; expected a start and a factor, such as 15,1.05"
            ) from None


@dataclass(frozen=True)
class Switch(Kind):
    """True, False, or one of some words.

    Attributes:
        others: words that are taken besides True and False.
    """

    others: tuple[str, ...] = ()

    def check(self, name: str, value: Any, vocabulary: int | None = None) -> bool | str:
        if isinstance(value, bool) or (isinstance(value, str) and value in self.others):
            return value
        choices = ["True", "False", *map(repr, self.others)]
        raise ValueError(f"{name}={value!r} must be {', '.join(choices[:-1])} or {choices[-1]}")

    @property
    def shown(self) -> str:
        return " or ".join(["bool", *map(repr, self.others)])

    @property
    def written(self) -> str:
        return ", ".join(["true", "false", *self.others])

    @property
    def words(self) -> type:
        return str if self.others else bool

    def parse(self, name: str, text: Any) -> Any:
        if isinstance(text, bool) or text in self.others:
            return text
        if text.lower() not in ("true", "false"):
            choices = ["true", "false", *self.others]
            raise ValueError(f"{name} is {text!r}; expected {', '.join(choices)}")
        return text.lower() == "true"


@dataclass(frozen=True)
class Choice(Kind):
    """One of some words."""

    choices: tuple[str, ...]

    def check(self, name: str, value: Any, vocabulary: int | None = None) -> str:
        if value not in self.choices:
            raise ValueError(f"{name}={value!r} must be one of {', '.join(self.choices)}")
        return str(value)

    @property
    def shown(self) -> str:
        return ", ".join(self.choices)


class TokenId(Kind):
    """An id of the target's vocabulary."""

    def check(self, name: str, value: Any, vocabulary: int | None = None) -> int:
        if isinstance(value, bool) or not hasattr(value, "__index__"):
            raise ValueError(f"{name}={value!r} must be an id, a whole number")
        if value < 0 or (vocabulary is not None and value >= vocabulary):
            of = "any vocabulary" if vocabulary is None else f"a vocabulary of {vocabulary}"
            raise ValueError(f"{name}={value} is no id of {of}")
        return int(value)

    @property
    def shown(self) -> str:
        return "an id"

    @property
    def words(self) -> type:
        return int


class TokenIds(Kind):
    """A list of ids of the target's vocabulary."""

    def check(self, name: str, value: Any, vocabulary: int | None = None) -> tuple[int, ...]:
        if isinstance(value, str) or not isinstance(value, Iterable):
            raise ValueError(f"{name}={value!r} must be a list of ids")
        ids = TokenId()
        return tuple(ids.check(f"{name}[{i}]", each, vocabulary) for i, each in enumerate(value))

    @property
    def shown(self) -> str:
        return "a list of ids"

    @property
    def written(self) -> str:
        return "separated by commas, such as 5,6"

    def parse(self, name: str, text: Any) -> list[int]:
        return parsed_ids(name, text, "ids separated by commas, such as 5,6")


class EndIds(TokenIds):
    """An id of the target's vocabulary, or a list of ids."""

    def check(self, name: str, value: Any, vocabulary: int | None = None) -> tuple[int, ...]:
        several = isinstance(value, Iterable) and not isinstance(value, str)
        ids = super().check(name, value if several else [value], vocabulary)
        if not ids:
            raise ValueError(f"{name}={value!r} has no id; leave it out for the model's own EOS")
        return tuple(dict.fromkeys(ids))

    @property
    def shown(self) -> str:
        return "an id, or a list of ids"


class Texts(Kind):
    """Texts, none of them empty."""

    def check(self, name: str, value: Any, vocabulary: int | None = None) -> tuple[str, ...]:
        texts = [value] if isinstance(value, str) else value
        if not isinstance(texts, Iterable) or not (texts := list(texts)):
            raise ValueError(f"{name}={value!r} must be a text, or a list of texts")
        for text in texts:
            if not isinstance(text, str) or not text:
                raise ValueError(f"{name} has {text!r}; expected a text that is not empty")
        return tuple(dict.fromkeys(texts))

    @property
    def shown(self) -> str:
        return "a text, or a list of texts"

    @property
    def written(self) -> str:
        return "texts separated by ;, such as 'Ende;###'"

    def parse(self, name: str, text: Any) -> list[str]:
        return str(text).split(";")


class TokenLists(Kind):
    """A list of lists of ids of the target's vocabulary, none of them empty."""

    def check(
        self, name: str, value: Any, vocabulary: int | None = None
    ) -> tuple[tuple[int, ...], ...]:
        if isinstance(value, str) or not isinstance(value, Iterable):
            raise ValueError(f"{name}={value!r} must be a list of lists of ids, one for each word")
        ids, words = TokenIds(), []
        for i, word in enumerate(value):
            words.append(ids.check(f"{name}[{i}]", word, vocabulary))
            if not words[-1]:
                raise ValueError(f"{name}[{i}] is empty: a word has at least one id")
        return tuple(words)

    @property
    def shown(self) -> str:
        return "lists of ids"

    @property
    def written(self) -> str:
        return "sequences separated by blanks, such as '7 12,9'"

    def parse(self, name: str, text: Any) -> list[list[int]]:
        example = "words separated by blanks, each of ids separated by commas, such as '7 12,9'"
        return [parsed_ids(name, word, example) for word in text.split()]


class Text(Kind):
    """A text, or ids in its place; checked where they are used."""

    def check(self, name: str, value: Any, vocabulary: int | None = None) -> Any:
        return value

    @property
    def shown(self) -> str:
        return "a text, or ids"

    @property
    def written(self) -> str:
        return "a text"


class Seed(Kind):
    """A whole number, or one for each source."""

    def check(self, name: str, value: Any, vocabulary: int | None = None) -> Any:
        given = value if isinstance(value, Iterable) else [value]
        whole = (isinstance(s, Integral) and not isinstance(s, bool) for s in given)
        if value is not None and (isinstance(value, str | Mapping) or not all(whole)):
            raise ValueError(f"{name}={value!r} must be a whole number, or one for each source")
        return value

    @property
    def shown(self) -> str:
        return "int"

    @property
    def words(self) -> type:
        return int


class Function(Kind):
    """A Python function."""

    python_only = True

    def check(self, name: str, value: Any, vocabulary: int | None = None) -> Any:
        if not callable(value):
            raise ValueError(
                f"{name}={value!r} must be a function that is called with the number of a source "
                "and its ids so far, and returns the ids allowed next"
            )
        return value

    @property
    def shown(self) -> str:
        return "a function"


class Rules(Kind):
    """Python objects that change the scores of each step."""

    python_only = True

    def check(self, name: str, value: Any, vocabulary: int | None = None) -> Any:
        return value

    @property
    def shown(self) -> str:
        return "a list of `LogitsProcessor`s"


def parsed_ids(name: str, text: str, expected: str) -> list[int]:
    """Returns ids that are separated by commas.

    Raises:
        ValueError: `text` is something else; the message says what was `expected`.
    """
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(f"{name} is {text!r}; expected {expected}") from None
