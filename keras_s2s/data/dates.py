"""The generated task: dates as people write them, to ISO 8601.

`2024년 8월 16일` becomes `2024-08-16`, `March 3, 1999` becomes `1999-03-03`.  The texts are
written at run time from the Unicode Common Locale Data Repository (CLDR) through Babel:
each language's own date formats, month and weekday names and digits.  What CLDR's formats leave
out but people write stands beside them: English ordinals (`the 4th of July, 1976`), the ordinal
of the first day in French, Italian, Portuguese and Spanish (`1er janvier 1999`), Chinese numerals
(`二〇二四年八月十六日`) and the Japanese eras (`平成元年1月8日`).  A text that a reader could take
for another date is excluded and counted, and the splits share no calendar day.

CLDR puts a narrow no-break space (U+202F) before the Russian year word and right-to-left
marks (U+200F) into Arabic numeric dates.  Such a format appears twice: as CLDR gives it, and
as typed on a keyboard, with plain spaces and no marks.
"""

from __future__ import annotations

import difflib
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

from keras_s2s.data.chinese_numerals import DIGITS, ZEROS, counted, positional
from keras_s2s.data.japanese_eras import ERAS, era_year
from keras_s2s.data.ordinals import english_ordinal, english_ordinal_word

if TYPE_CHECKING:
    from babel import Locale
    from babel.dates import DateTimePattern

T = TypeVar("T")

FIRST_DAY = date(1900, 1, 1)
LAST_DAY = date(2099, 12, 31)

# Shown in the guides as the first thing to try: no split but the test split may hold them, so
# that a right answer is never a remembered one.
EXAMPLE_DAYS = (date(1999, 3, 3), date(2024, 8, 16), date(1976, 7, 4), date(1989, 1, 8))

# --------------------------------------------------------------------------------------
# Ambiguity
# --------------------------------------------------------------------------------------

Ambiguity = Literal["two_digit_year", "day_month_order"]

_NUMBER = re.compile(r"\d+")  # decimal digits of any script

# A year that no other number of the text can be: of an era, or in four Chinese digits.
_NAMED_YEAR = re.compile(
    f"(?:{'|'.join(era.name for era in ERAS)})\\s*(?:元|\\d+|[{DIGITS}十]+)\\s*年"
    f"|[{DIGITS}{ZEROS}]{{4}}\\s*年"
)


def ambiguity(text: str) -> Ambiguity | None:
    """Why a reader could take `text` for more than one date; None if no reader could.

    The rule sees the text alone, not the language it was written in:

    - `two_digit_year`: no number has four digits (`8/16/24`), in Chinese numerals neither, and no
      Japanese era is named.
    - `day_month_order`: two numbers and then the year, no letter between the two, both at
      most 12 and not the same (`3/4/1999`).  The separator does not tell the order, and a
      weekday tells it only to those with a calendar at hand, so `03.04.1999` and
      `Sat, 3/4/1999` are ambiguous too.  A month's name, a unit (`3월 4일`), a leading year
      or a number above 12 do tell it.

    Example:
        >>> ambiguity("3/4/1999"), ambiguity("16/8/1999"), ambiguity("1999-03-04")
        ('day_month_order', None, None)
    """
    if _NAMED_YEAR.search(text):
        return None
    numbers = list(_NUMBER.finditer(text))
    if not any(len(number[0]) == 4 for number in numbers):
        return "two_digit_year"
    if len(numbers) == 3 and len(numbers[2][0]) == 4:
        first, second = int(numbers[0][0]), int(numbers[1][0])
        between = text[numbers[0].end() : numbers[1].start()]
        told = any(character.isalpha() for character in between)
        if not told and first != second and max(first, second) <= 12:
            return "day_month_order"
    return None


def is_ambiguous(text: str) -> bool:
    """Whether a reader could take `text` for more than one date; see `ambiguity`."""
    return ambiguity(text) is not None


# --------------------------------------------------------------------------------------
# Languages and forms
# --------------------------------------------------------------------------------------

# Unicode's decimal digits of CLDR's numbering systems, which Babel names but does not hold.
_DIGITS = {"latn": "0123456789", "arab": "٠١٢٣٤٥٦٧٨٩", "deva": "०१२३४५६७८९"}

_LENGTHS = ("full", "long", "medium", "short")
_SKELETONS = ("yMMMd", "yMMMEd", "yMMMMd", "yMMMMEd", "yMMMMEEEEd", "yMd", "yMMdd", "yMEd")


@dataclass(frozen=True)
class _Writing:
    """How one region writes dates: CLDR's locale, its digits, and spellings CLDR leaves out.

    Attributes:
        locale: CLDR's name.
        numerals: numbering systems that all its patterns are written in.
        spellings: further patterns by style, in CLDR's letters.
        templates: by style, texts with CLDR's patterns and the names of `_FIELDS` in braces.
        firsts: the same for the first day of a month alone.
        eras: the same for the years of the Japanese eras.
        first_years: the same for the first year of an era alone.
    """

    locale: str
    numerals: tuple[str, ...] = ("latn",)
    spellings: Mapping[str, str] = field(default_factory=dict)
    templates: Mapping[str, str] = field(default_factory=dict)
    firsts: Mapping[str, str] = field(default_factory=dict)
    eras: Mapping[str, str] = field(default_factory=dict)
    first_years: Mapping[str, str] = field(default_factory=dict)


#: What a template can say of a day that CLDR's patterns cannot.
_FIELDS: Mapping[str, Callable[[date], str]] = {
    "ordinal": lambda day: english_ordinal(day.day),
    "ordinal_word": lambda day: english_ordinal_word(day.day),
    "zh_year": lambda day: positional(day.year),
    "zh_year_ling": lambda day: positional(day.year, "零"),
    "zh_year_circle": lambda day: positional(day.year, "○"),
    "zh_month": lambda day: counted(day.month),
    "zh_day": lambda day: counted(day.day),
    "era": lambda day: era_year(day)[0],
    "era_year": lambda day: _first_year(era_year(day)[1], str),
    "era_zh_year": lambda day: _first_year(era_year(day)[1], counted),
}


def _first_year(year: int, write: Callable[[int], str]) -> str:
    return "元" if year == 1 else write(year)


_LANGUAGES: Mapping[str, tuple[_Writing, ...]] = {
    "ko": (
        _Writing(
            "ko_KR",
            spellings={
                "padded": "y년 MM월 dd일",
                "unspaced": "y년M월d일",
                "dotted": "y.MM.dd",
                "dotted_weekday": "y. M. d. (E)",
                "slashed": "y/MM/dd",
            },
        ),
    ),
    "en": (
        _Writing(
            "en_US",
            spellings={
                "no_comma": "MMMM d y",
                "short_no_comma": "MMM d y",
                "padded": "MM/dd/y",
                "slashed": "y/MM/dd",
            },
            templates={
                "ordinal": "{MMMM} {ordinal}, {y}",
                "ordinal_no_comma": "{MMMM} {ordinal} {y}",
                "ordinal_short": "{MMM} {ordinal}, {y}",
                "ordinal_weekday": "{EEEE}, {MMMM} {ordinal}, {y}",
                "ordinal_the": "{MMMM} the {ordinal}, {y}",
                "ordinal_word": "{MMMM} {ordinal_word}, {y}",
            },
        ),
        _Writing(
            "en_GB",
            spellings={"no_comma": "EEEE d MMMM y", "short_no_comma": "E d MMM y"},
            templates={
                "ordinal": "{ordinal} {MMMM} {y}",
                "ordinal_short": "{ordinal} {MMM} {y}",
                "ordinal_weekday": "{EEEE} {ordinal} {MMMM} {y}",
                "ordinal_of": "{ordinal} of {MMMM} {y}",
                "ordinal_of_comma": "{ordinal} of {MMMM}, {y}",
                "ordinal_the_of": "the {ordinal} of {MMMM} {y}",
                "ordinal_the_of_comma": "the {ordinal} of {MMMM}, {y}",
                "ordinal_weekday_of": "{EEEE}, the {ordinal} of {MMMM}, {y}",
                "ordinal_word_of": "the {ordinal_word} of {MMMM} {y}",
                "ordinal_word_of_comma": "the {ordinal_word} of {MMMM}, {y}",
            },
        ),
    ),
    "de": (_Writing("de_DE", spellings={"padded": "dd. MMMM y", "short_padded": "dd. MMM y"}),),
    "fr": (
        _Writing(
            "fr_FR", firsts={"first": "1er {MMMM} {y}", "first_weekday": "{EEEE} 1er {MMMM} {y}"}
        ),
    ),
    "es": (
        _Writing(
            "es_ES",
            spellings={"no_preposition": "d MMMM y", "padded": "dd/MM/y"},
            firsts={"first": "1.º de {MMMM} de {y}", "first_no_dot": "1º de {MMMM} de {y}"},
        ),
    ),
    "ja": (
        _Writing(
            "ja_JP",
            spellings={"padded": "y年MM月dd日", "spaced": "y年 M月 d日", "dotted": "y.MM.dd"},
            templates={
                "kanji": "{zh_year}年{zh_month}月{zh_day}日",
                "kanji_weekday": "{zh_year}年{zh_month}月{zh_day}日{EEEE}",
            },
            eras={
                "era": "{era}{era_year}年{M}月{d}日",
                "era_padded": "{era}{era_year}年{MM}月{dd}日",
                "era_weekday": "{era}{era_year}年{M}月{d}日({E})",
                "era_long_weekday": "{era}{era_year}年{M}月{d}日{EEEE}",
                "era_kanji": "{era}{era_zh_year}年{zh_month}月{zh_day}日",
                "era_kanji_weekday": "{era}{era_zh_year}年{zh_month}月{zh_day}日{EEEE}",
            },
            first_years={"era_number": "{era}1年{M}月{d}日"},
        ),
    ),
    "zh": (
        _Writing(
            "zh_Hans_CN",
            spellings={
                "padded": "y年MM月dd日",
                "spaced": "y 年 M 月 d 日",
                "dotted": "y.M.d",
                "spoken": "y年M月d号",
            },
            templates={
                "chinese": "{zh_year}年{zh_month}月{zh_day}日",
                "chinese_ling": "{zh_year_ling}年{zh_month}月{zh_day}日",
                "chinese_circle": "{zh_year_circle}年{zh_month}月{zh_day}日",
                "chinese_spoken": "{zh_year}年{zh_month}月{zh_day}号",
                "chinese_weekday": "{zh_year}年{zh_month}月{zh_day}日{EEEE}",
                "chinese_short_weekday": "{zh_year}年{zh_month}月{zh_day}日 {E}",
            },
        ),
    ),
    "ru": (
        _Writing(
            "ru_RU",
            spellings={
                "no_year_word": "d MMMM y",
                "padded": "dd MMMM y",
                "full_year_word": "d MMMM y 'года'",
                "ordinal": "d-'го' MMMM y 'года'",
            },
        ),
    ),
    "ar": (_Writing("ar_EG", numerals=("arab", "latn")),),
    "hi": (_Writing("hi_IN", numerals=("deva", "latn")),),
    "it": (_Writing("it_IT", firsts={"first": "1º {MMMM} {y}", "first_degree": "1° {MMMM} {y}"}),),
    "pt": (
        _Writing(
            "pt_BR",
            spellings={"no_preposition": "d MMMM y"},
            firsts={"first": "1º de {MMMM} de {y}", "first_degree": "1° de {MMMM} de {y}"},
        ),
    ),
    "tr": (_Writing("tr_TR", spellings={"padded": "dd MMMM y"}),),
    "nl": (_Writing("nl_NL"),),
}

LANGUAGES: tuple[str, ...] = tuple(_LANGUAGES)

# Turns of a language where one is usual. To know which year 昭和36年 is takes a table of 150 years,
# and English has most forms and the ordinals in letters.
_TURNS = {"ja": 5, "en": 2}

# Nobody counts an era decades ahead.
_LAST_ERA_DAY = date(2049, 12, 31)

_TYPED = str.maketrans({"\u202f": " ", "\u00a0": " ", "\u200f": None, "\u200e": None})

# Days and months of one and of two digits, and every month's name, tell two forms apart.
_PROBE_DAYS = tuple(date(2024, month, day) for month in range(1, 13) for day in (5, 25))
_PROBE_FIRSTS = tuple(date(2024, month, 1) for month in range(1, 13))

# Which of a split's days a form is written for: any, the first ones of months, days drawn so that
# no era, and no first year of one, is rare, or those of first years.
_Days = Literal["any", "firsts", "eras", "first_years"]


@dataclass(frozen=True)
class _Form:
    """One way in which a language writes a date."""

    language: str
    style: str
    locale: Locale
    parts: tuple[DateTimePattern | Callable[[date], str] | str, ...]
    numerals: str = "latn"
    days: _Days = "any"

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
        """Whether the day is written in this form at all."""
        if self.days == "first_years":
            return era_year(day)[1] == 1
        if self.days == "eras":
            return day <= _LAST_ERA_DAY
        return self.days != "firsts" or day.day == 1

    @cached_property
    def spelled_out(self) -> bool:
        """Whether letters stand among the numbers: a month's name, or units (`8월 16일`)."""
        text = self.write(_PROBE_DAYS[-1])
        numbers = list(_NUMBER.finditer(text))
        if len(numbers) < 2:
            return True
        return any(letter.isalpha() for letter in text[numbers[0].end() : numbers[-1].start()])


@cache
def _digit_table(numerals: str) -> dict[int, str]:
    return dict(zip(map(ord, _DIGITS["latn"]), _DIGITS[numerals], strict=True))


@cache
def _forms(language: str) -> tuple[_Form, ...]:
    """The language's forms, two-digit years included; no two write every date alike."""
    try:
        from babel import Locale
        from babel.dates import parse_pattern
    except ImportError as error:
        raise ImportError(
            "the generated task 'dates' writes its texts through Babel, which is not "
            "installed: pip install babel"
        ) from error

    distinct: dict[tuple[str, ...], _Form] = {}
    for writing in _LANGUAGES[language]:
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
                    form = _Form(language, style, locale, (parse_pattern(text),), numerals)
                    distinct.setdefault(tuple(map(form.write, _PROBE_DAYS)), form)
        written: dict[_Days, Mapping[str, str]] = {
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
                    piece if number % 2 == 0 else _FIELDS.get(piece) or parse_pattern(piece)
                    for number, piece in enumerate(pieces)
                ]
                form = _Form(language, style, locale, tuple(parts), days=days)
                distinct.setdefault(tuple(map(form.write, probes)), form)
    return tuple(distinct.values())


def _recased(text: str) -> str:
    """The casing a hurried writer, or the start of a line, gives: "march 3", "Vendredi 16"."""
    lower = text.lower()
    return lower if lower != text else text[:1].upper() + text[1:]


# --------------------------------------------------------------------------------------
# Splits
# --------------------------------------------------------------------------------------

SplitName = Literal["train", "validation", "test"]

_HELD_OUT_SHARE = 0.1  # of all days, for validation and for test each
_RECASED_SHARE = 0.05  # of all draws; a text without letters of two cases stays as it is
_MAX_MISSES = 10_000  # draws in a row without a new text, before the split counts as used up


class DateExample(NamedTuple):
    """A date as written, its ISO 8601 form, and how it was written."""

    source: str
    target: str
    language: str
    style: str


@dataclass(frozen=True)
class DateReport:
    """What was generated, what was kept and what was excluded, each text counted once."""

    generated: int
    train: int
    validation: int
    test: int
    two_digit_years: int
    day_month_orders: int
    collisions: int
    duplicates: int
    languages: Mapping[str, int]
    styles: Mapping[str, int]

    @property
    def kept(self) -> int:
        """Examples of all three splits."""
        return self.train + self.validation + self.test

    @property
    def excluded(self) -> int:
        """Texts that are in no split."""
        return self.two_digit_years + self.day_month_orders + self.collisions + self.duplicates

    def __str__(self) -> str:
        def counts(of: Mapping[str, int]) -> str:
            return ", ".join(f"{name} {count:,}" for name, count in of.items())

        return "\n".join(
            [
                f"dates: {self.generated:,} texts generated, {self.kept:,} kept "
                f"(train {self.train:,}, validation {self.validation:,}, test {self.test:,}), "
                f"{self.excluded:,} excluded",
                f"  excluded: two-digit year {self.two_digit_years:,}, "
                f"unclear day-month order {self.day_month_orders:,}, "
                f"same text for two dates {self.collisions:,}, duplicates {self.duplicates:,}",
                f"  {len(self.languages)} languages: {counts(self.languages)}",
                f"  {len(self.styles)} styles: {counts(self.styles)}",
            ]
        )


@dataclass(frozen=True, repr=False)
class DateSplits:
    """Training, validation and test examples that share no calendar day.

    `train`, `validation` and `test` are (source, target) pairs; `train_examples`,
    `validation_examples` and `test_examples` are the same, in the same order, with language
    and style, for a report by language.
    """

    train_examples: list[DateExample]
    validation_examples: list[DateExample]
    test_examples: list[DateExample]
    report: DateReport

    def __repr__(self) -> str:
        report = self.report
        return (
            f"DateSplits(train: {report.train:,}, validation: {report.validation:,}, "
            f"test: {report.test:,} examples in {len(report.languages)} languages)"
        )

    @cached_property
    def train(self) -> list[tuple[str, str]]:
        return [(example.source, example.target) for example in self.train_examples]

    @cached_property
    def validation(self) -> list[tuple[str, str]]:
        return [(example.source, example.target) for example in self.validation_examples]

    @cached_property
    def test(self) -> list[tuple[str, str]]:
        return [(example.source, example.target) for example in self.test_examples]


def write_date(day: date, language: str) -> list[DateExample]:
    """All unambiguous texts the task knows for a day in a language, without casing variants.

    Args:
        day: within 1900-2099.
        language: a code out of `LANGUAGES`.

    Raises:
        ValueError: the day or the language is out of range.
        ImportError: Babel is not installed.

    Example:
        >>> [example.source for example in write_date(date(1999, 3, 3), "ko")][:2]
        ['1999년 3월 3일 수요일', '1999년 3월 3일']
    """
    if not FIRST_DAY <= day <= LAST_DAY:
        raise ValueError(f"day is {day}; expected {FIRST_DAY} to {LAST_DAY}")
    (language,) = _checked_languages([language])
    texts = [(form.style, form.write(day)) for form in _forms(language) if form.is_for(day)]
    return [
        DateExample(text, day.isoformat(), language, style)
        for style, text in texts
        if not is_ambiguous(text)
    ]


def make_dates(
    train_size: int = 40_000,
    validation_size: int = 1_000,
    test_size: int = 2_000,
    seed: int = 0,
    languages: Sequence[str] | None = None,
) -> DateSplits:
    """Writes dates of the years 1900-2099 in many languages and styles, with their ISO form.

    All days are first divided, by `seed` alone: a tenth for validation, a tenth for test, the
    rest for training.  A day of one split is in no other, in whatever language or style.
    Languages take turns, English two and Japanese five in each round, and in each language three
    forms that spell the date out (a month's name, units) go to one in digits alone. Four of five
    Japanese dates are in years of eras, up to 2049. But for eras and for first days of months,
    which are drawn apart, a day comes back only when all others of its split were used.  The same
    arguments give the same examples, in the same order, in every process.

    Args:
        train_size: training examples, all with different texts.
        validation_size: validation examples.
        test_size: test examples.
        seed: decides the division of the days and every draw.
        languages: codes out of `LANGUAGES`; None takes all.

    Returns:
        `DateSplits`; `print(splits.report)` tells what was excluded.

    Raises:
        ValueError: an unknown or repeated language, a negative size, or more examples than
            the split's days give different texts.
        ImportError: Babel is not installed.

    Example:
        >>> splits = make_dates(train_size=1000, languages=["ko", "en"])
        >>> source, target = splits.train[0]
    """
    sizes: dict[SplitName, int] = {
        "train": train_size,
        "validation": validation_size,
        "test": test_size,
    }
    for split, size in sizes.items():
        if size < 0:
            raise ValueError(f"{split}_size is {size}; expected 0 or more examples")
    chosen = _checked_languages(languages)
    days = _divide_days(seed)
    collector = _Collector()
    draws = {
        split: _draws(chosen, days[split], random.Random(f"dates/{seed}/{split}"))
        for split in sizes
    }
    # A collision takes an example away from a split that was full, hence the outer loop.
    while any(len(collector.kept[split]) < size for split, size in sizes.items()):
        for split, size in sizes.items():
            _fill(collector, split, size, draws[split])
    return DateSplits(
        train_examples=list(collector.kept["train"].values()),
        validation_examples=list(collector.kept["validation"].values()),
        test_examples=list(collector.kept["test"].values()),
        report=collector.report(),
    )


def _checked_languages(languages: Sequence[str] | None) -> tuple[str, ...]:
    if languages is None:
        return LANGUAGES
    if isinstance(languages, str):
        raise ValueError(
            f"languages is the text {languages!r}; expected a list of codes, [{languages!r}]"
        )
    if not languages:
        raise ValueError("languages is empty; name at least one, or pass None for all")
    for language in languages:
        if language not in LANGUAGES:
            near = difflib.get_close_matches(language, LANGUAGES, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise ValueError(
                f"languages: {language!r} is not known; {hint}Known are {', '.join(LANGUAGES)}"
            )
    repeated = [language for language, count in Counter(languages).items() if count > 1]
    if repeated:
        raise ValueError(f"languages: {', '.join(repeated)} given more than once")
    return tuple(languages)


def _divide_days(seed: int) -> dict[SplitName, list[date]]:
    count = (LAST_DAY - FIRST_DAY).days + 1
    days = [FIRST_DAY + timedelta(days=number) for number in range(count)]
    days = [day for day in days if day not in EXAMPLE_DAYS]
    random.Random(f"dates/{seed}/days").shuffle(days)
    held_out = int(count * _HELD_OUT_SHARE)
    return {
        "train": days[2 * held_out :],
        "validation": days[:held_out],
        "test": [*days[held_out : 2 * held_out], *EXAMPLE_DAYS],
    }


def _turns(items: Sequence[T], rng: random.Random) -> Iterator[T]:
    """Endless shuffled rounds over the items: each comes once a round."""
    while True:
        order = list(items)
        rng.shuffle(order)
        yield from order


def _draws(
    languages: Sequence[str], days: Sequence[date], rng: random.Random
) -> Iterator[Iterator[DateExample]]:
    """Endless languages in turn, each as an endless iterator of examples to choose from."""
    next_day: dict[_Days, Iterator[date]] = {
        "any": _turns(days, rng),
        "firsts": _turns([day for day in days if day.day == 1], rng),
        "eras": _era_days(days, rng),
        "first_years": _turns([day for day in days if era_year(day)[1] == 1], rng),
    }

    def examples(forms: Sequence[_Form]) -> Iterator[DateExample]:
        # Digits alone are learnt alike from every language; the words are each language's own.
        kinds: list[tuple[list[_Form], int]] = [
            ([form for form in forms if form.days == "any" and form.spelled_out], 6),
            ([form for form in forms if form.days == "any" and not form.spelled_out], 2),
            ([form for form in forms if form.days == "firsts"], 1),
            ([form for form in forms if form.days == "eras"], 32),
            ([form for form in forms if form.days == "first_years"], 1),
        ]
        turns = [turn for some, share in kinds if some for turn in [_turns(some, rng)] * share]
        for kind in _turns(turns, rng):
            form = next(kind)
            day = next(next_day[form.days])
            text = form.write(day)
            if rng.random() < _RECASED_SHARE:
                text = _recased(text)
            yield DateExample(text, day.isoformat(), form.language, form.style)

    writers = {language: examples(_forms(language)) for language in languages}
    shares = [language for language in languages for _ in range(_TURNS.get(language, 1))]
    for language in _turns(shares, rng):
        yield writers[language]


def _era_days(days: Sequence[date], rng: random.Random) -> Iterator[date]:
    """Endless days by era, the longest twice as often, and first years as often as an era."""
    groups: dict[str, list[date]] = {}
    for day in days:
        if day > _LAST_ERA_DAY:
            continue
        name, year = era_year(day)
        groups.setdefault(name, []).append(day)
        if year == 1:
            groups.setdefault("first years", []).append(day)
    longest = sorted(groups, key=lambda name: len(groups[name]))[-1:]
    turns = {name: _turns(group, rng) for name, group in groups.items()}
    for name in _turns([*turns, *longest], rng):
        yield next(turns[name])


def _fill(
    collector: _Collector,
    split: SplitName,
    size: int,
    draws: Iterator[Iterator[DateExample]],
) -> None:
    """Draws until the split is full.  A language whose text was excluded draws again."""
    kept = collector.kept[split]
    while len(kept) < size:
        candidates = next(draws)
        for _ in range(_MAX_MISSES):
            if collector.add(split, next(candidates)):
                break
        else:
            raise ValueError(
                f"{split}_size is {size}, but after {len(kept)} examples the days of this split "
                "give no new text; ask for fewer examples or for more languages"
            )


class _Collector:
    """Keeps texts that mean one date, each once, and counts what it refuses."""

    def __init__(self) -> None:
        self.kept: dict[SplitName, dict[str, DateExample]] = {
            "train": {},
            "validation": {},
            "test": {},
        }
        self._place: dict[str, SplitName] = {}  # text -> the split that holds it
        self._collided: set[str] = set()
        self._generated = 0
        self._excluded: Counter[str] = Counter()

    def add(self, split: SplitName, example: DateExample) -> bool:
        """Keeps the example, or counts why not; True if it was kept."""
        self._generated += 1
        text = example.source
        reason = ambiguity(text)
        if reason is not None:
            self._excluded[reason] += 1
        elif text in self._collided:
            self._excluded["collision"] += 1
        elif text not in self._place:
            self._place[text] = split
            self.kept[split][text] = example
            return True
        elif self.kept[self._place[text]][text].target == example.target:
            self._excluded["duplicate"] += 1
        else:
            # Neither reading is the right one: the earlier example goes as well.
            del self.kept[self._place.pop(text)][text]
            self._collided.add(text)
            self._excluded["collision"] += 2
        return False

    def report(self) -> DateReport:
        examples = [example for split in self.kept.values() for example in split.values()]
        return DateReport(
            generated=self._generated,
            train=len(self.kept["train"]),
            validation=len(self.kept["validation"]),
            test=len(self.kept["test"]),
            two_digit_years=self._excluded["two_digit_year"],
            day_month_orders=self._excluded["day_month_order"],
            collisions=self._excluded["collision"],
            duplicates=self._excluded["duplicate"],
            languages=dict(Counter(example.language for example in examples).most_common()),
            styles=dict(Counter(example.style for example in examples).most_common()),
        )
