"""The forms in which a language writes dates: formats of CLDR, and others in use."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, Literal

from keras_s2s.data.dates.ambiguity import NUMBER
from keras_s2s.data.dates.japanese_eras import era_year
from keras_s2s.data.dates.languages import FIELDS, WRITINGS

if TYPE_CHECKING:
    from babel import Locale
    from babel.dates import DateTimePattern


# Unicode's decimal digits of CLDR's numbering systems, which Babel names but does not hold.
_DIGITS = {"latn": "0123456789", "arab": "٠١٢٣٤٥٦٧٨٩", "deva": "०१२३४५६७८९"}


_LENGTHS = ("full", "long", "medium", "short")


_SKELETONS = ("yMMMd", "yMMMEd", "yMMMMd", "yMMMMEd", "yMMMMEEEEd", "yMd", "yMMdd", "yMEd")


# The current era is not used for dates decades ahead.
LAST_ERA_DAY = date(2049, 12, 31)


_TYPED = str.maketrans({"\u202f": " ", "\u00a0": " ", "\u200f": None, "\u200e": None})


# Days and months of one and of two digits, and every month's name, tell two forms apart.
_PROBE_DAYS = tuple(date(2024, month, day) for month in range(1, 13) for day in (5, 25))


_PROBE_FIRSTS = tuple(date(2024, month, 1) for month in range(1, 13))


# Which of a split's days a form is written for: any, the first ones of months, days drawn so that
# no era, and no first year of one, is rare, or those of first years.
FormDays = Literal["any", "firsts", "eras", "first_years"]


@dataclass(frozen=True)
class Form:
    """A form in which a language writes a date."""

    language: str
    style: str
    locale: Locale
    parts: tuple[DateTimePattern | Callable[[date], str] | str, ...]
    numerals: str = "latn"
    days: FormDays = "any"

    def write(self, day: date) -> str:
        text = "".join(self._written(part, day) for part in self.parts)
        if self.numerals == "latn":
            return text
        return text.translate(_digit_table(self.numerals))

    def _written(self, part: Any, day: date) -> str:
        if isinstance(part, str):
            return part
        return part(day) if callable(part) else part.apply(day, self.locale)

    def is_for(self, day: date) -> bool:
        """Returns whether a day is written in this form."""
        if self.days == "first_years":
            return era_year(day)[1] == 1
        if self.days == "eras":
            return day <= LAST_ERA_DAY
        return self.days != "firsts" or day.day == 1

    @cached_property
    def spelled_out(self) -> bool:
        """Whether there are letters among the numbers: a month's name, or units (`8월 16일`)."""
        text = self.write(_PROBE_DAYS[-1])
        numbers = list(NUMBER.finditer(text))
        if len(numbers) < 2:
            return True
        return any(letter.isalpha() for letter in text[numbers[0].end() : numbers[-1].start()])


@cache
def _digit_table(numerals: str) -> dict[int, str]:
    return dict(zip(map(ord, _DIGITS["latn"]), _DIGITS[numerals], strict=True))


@cache
def forms_of(language: str) -> tuple[Form, ...]:
    """Returns the forms of a language, those with two-digit years included; no two write every date
    alike.
    """
    try:
        from babel import Locale
        from babel.dates import parse_pattern
    except ImportError as error:
        raise ImportError(
            "the generated task 'dates' writes its texts through Babel, which is not "
            "installed: pip install babel"
        ) from error

    distinct: dict[tuple[str, ...], Form] = {}
    for writing in WRITINGS[language]:
        locale = Locale.parse(writing.locale)
        patterns = [(length, locale.date_formats[length].pattern) for length in _LENGTHS]
        patterns += [
            (skeleton, locale.datetime_skeletons[skeleton].pattern)
            for skeleton in _SKELETONS
            if skeleton in locale.datetime_skeletons
        ]
        patterns += [("iso", "y-MM-dd"), *writing.spellings.items()]
        for numerals in writing.numerals:
            for style, pattern in patterns:
                for text in (pattern, pattern.translate(_TYPED)):
                    form = Form(language, style, locale, (parse_pattern(text),), numerals)
                    distinct.setdefault(tuple(map(form.write, _PROBE_DAYS)), form)
        written: dict[FormDays, Mapping[str, str]] = {
            "any": writing.templates,
            "firsts": writing.firsts,
            "eras": writing.eras,
            "first_years": writing.first_years,
        }
        for days, templates in written.items():
            probes = _PROBE_FIRSTS if days == "firsts" else _PROBE_DAYS
            for style, template in templates.items():
                # Texts and names in braces take turns.
                pieces = re.split(r"[{}]", template)
                parts = [
                    piece if number % 2 == 0 else FIELDS.get(piece) or parse_pattern(piece)
                    for number, piece in enumerate(pieces)
                ]
                form = Form(language, style, locale, tuple(parts), days=days)
                distinct.setdefault(tuple(map(form.write, probes)), form)
    return tuple(distinct.values())
