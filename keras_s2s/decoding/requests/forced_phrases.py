"""What the results of a call must have, as ids: `force_words_ids`, `force_words`, `glossary`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from keras_s2s.data.files.pairs import read_pairs
from keras_s2s.decoding.model_parts import ModelParts
from keras_s2s.decoding.requests.planning import end_ids
from keras_s2s.options.generation import OPTIONS
from keras_s2s.samplers.phrases import Constraints, least_length
from keras_s2s.samplers.strategy_choice import FORCING
from keras_s2s.text.preprocessor import Preprocessor
from keras_s2s.text.row_error import RowError


def forced_phrases(
    parts: ModelParts, options: Mapping[str, Any], x: Any, count: int
) -> list[Constraints] | None:
    """Returns the constraints of each source; None where no option asks for any.

    Args:
        parts: of the model.
        options: those of the call.
        x: its sources; a glossary needs their texts.
        count: their number.

    Raises:
        ValueError: a value that an option does not take, a number that no source has, a text that
            the target's vocabulary cannot write, a phrase that holds EOS, or a glossary for sources
            that are no texts.
    """
    vocabulary = parts.preset.architecture.target_vocab_size
    given = {
        name: OPTIONS[name].check(options[name], vocabulary)
        for name in FORCING
        if options.get(name) is not None
    }
    if not given:
        return None
    found: list[list[Any]] = [[] for _ in range(count)]
    ids, texts = given.get("force_words_ids", ()), given.get("force_words", ())
    for place, constraints in _by_place("force_words_ids", ids, count):
        found[place] += [list(map(list, phrases)) for phrases in constraints]
    for place, constraints in _by_place("force_words", texts, count):
        found[place] += [_encoded(parts, "force_words", each) for each in constraints]
    if "glossary" in given:
        sources = [x] if isinstance(x, str) else x
        if not isinstance(sources, Sequence) or not all(isinstance(s, str) for s in sources):
            raise ValueError(
                "glossary looks for its terms in texts, and the sources are none; pass "
                "force_words_ids for each source"
            )
        terms = Terms(given["glossary"])
        for place, source in enumerate(sources):
            found[place] += [_encoded(parts, "glossary", each) for each in terms.of(source)]
    for end in end_ids(parts.preset, options):
        if any(end in phrase for each in found for phrases in each for phrase in phrases):
            raise ValueError(
                f"force_words_ids holds {end}, the EOS id, which ends a result; leave it out"
            )
    return [_without_repeats(constraints) for constraints in found]


def check_room(
    constraints: Sequence[Constraints],
    places: Sequence[int],
    limits: Sequence[int],
    given: Sequence[int],
) -> None:
    """Raises an error for a source whose results have no room for what they must have.

    Args:
        constraints: of all sources.
        places: the numbers of some of them.
        limits, given: of those, the most ids of a result, and the length of its prefix.

    Raises:
        RowError: there is too little room.
    """
    short: dict[int, str] = {}
    for place, limit, prefix in zip(places, limits, given, strict=True):
        least = least_length(constraints[place])
        if least > limit - prefix:
            short[place] = (
                f"asks for a result with {least} ids of phrases one after the other, but "
                f"max_length={limit + 1} leaves room for {limit - prefix}"
            )
    if short:
        raise RowError("source", short, remedy="raise max_length")


class Terms:
    """The terms of a glossary.

    A term is found where it stands in a source as it is written, and of overlapping ones the first
    and longest. Where it begins or ends with a letter that has upper and lower case, or a digit, no
    letter or digit may stand beside; elsewhere (Chinese, Japanese, Korean) any may.

    Args:
        glossary: path of a file of pairs, or pairs of a term and its target. A term that stands in
            several pairs has several targets.

    Example:
        >>> Terms([("Haus", "house"), ("Haus", "home"), ("Haustür", "front door")]).of("Das Haus.")
        [('house', 'home')]
    """

    def __init__(self, glossary: str | Sequence[tuple[str, str]]) -> None:
        self._targets: dict[str, tuple[str, ...]] = {}
        pairs = read_pairs(pairs=glossary) if isinstance(glossary, str) else glossary
        for term, target in pairs:
            targets = self._targets.get(term := term.strip(), ())
            if (target := target.strip()) not in targets:
                self._targets[term] = (*targets, target)
        longest = sorted(self._targets, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(_whole, longest)) or r"(?!)")

    def of(self, source: str) -> list[tuple[str, ...]]:
        """Returns the targets of each term of a source, each term once."""
        found = dict.fromkeys(match[0] for match in self._pattern.finditer(source))
        return [self._targets[term] for term in found]


def _whole(term: str) -> str:
    """Returns the pattern of a term that is no part of a longer word."""
    before, after = (r"(?<!\w)", r"(?!\w)")
    first, last = (_is_of_words(term[place]) for place in (0, -1))
    return (before if first else "") + re.escape(term) + (after if last else "")


def _is_of_words(character: str) -> bool:
    return character.isdigit() or character.lower() != character.upper()


def _by_place(name: str, value: Any, count: int) -> Iterable[tuple[int, Any]]:
    """Returns constraints with the number of their source."""
    if not isinstance(value, Mapping):
        return [(place, value) for place in range(count)]
    for place in value:
        if place >= count:
            raise ValueError(f"{name} has constraints of source {place}; there are {count} sources")
    return list(value.items())


def _encoded(parts: ModelParts, name: str, texts: Sequence[str]) -> list[list[int]]:
    """Returns the ids of texts, each as it is written at the beginning and within a text."""
    preprocessor: Preprocessor = parts.require_preprocessor()
    unknown = preprocessor.special_ids.target.unk
    found = []
    for text in texts:
        rows = preprocessor.target.encode_batch([text, f" {text}"])
        # A vocabulary without a space writes the text alone.
        writable = [list(row) for row in rows if row and unknown not in row]
        if not writable:
            raise ValueError(f"{name}: the target's vocabulary cannot write {text!r}")
        found += writable
    return found


def _without_repeats(constraints: Constraints) -> Constraints:
    unique = dict.fromkeys(
        tuple(dict.fromkeys(tuple(phrase) for phrase in phrases)) for phrases in constraints
    )
    return [[list(phrase) for phrase in phrases] for phrases in unique]
