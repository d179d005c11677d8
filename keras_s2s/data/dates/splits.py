"""The generated task: dates as people write them, to ISO 8601.

`2024년 8월 16일` becomes `2024-08-16`, `March 3, 1999` becomes `1999-03-03`.  The texts are
written at run time from the Unicode Common Locale Data Repository (CLDR) through Babel:
each language's own date formats, month and weekday names and digits.  Forms in use that CLDR's
formats lack are added: English ordinals (`the 4th of July, 1976`), the ordinal
of the first day in French, Italian, Portuguese and Spanish (`1er janvier 1999`), Chinese numerals
(`二〇二四年八月十六日`) and the Japanese eras (`平成元年1月8日`).  A text that a reader could take
for another date is excluded and counted, and the splits share no calendar day.

CLDR puts a narrow no-break space (U+202F) before the Russian year word and right-to-left
marks (U+200F) into Arabic numeric dates.  Such a format appears twice: as CLDR gives it, and
as typed on a keyboard, with plain spaces and no marks.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeVar

from keras_s2s.config.nearest import did_you_mean
from keras_s2s.data.dates.ambiguity import ambiguity, is_ambiguous
from keras_s2s.data.dates.forms import LAST_ERA_DAY, Form, FormDays, forms_of
from keras_s2s.data.dates.japanese_eras import era_year
from keras_s2s.data.dates.languages import LANGUAGES

if TYPE_CHECKING:
    pass

T = TypeVar("T")

FIRST_DAY = date(1900, 1, 1)
LAST_DAY = date(2099, 12, 31)

# Examples in the guides: only the test split may hold them, so that a model cannot have seen them
# in training.
EXAMPLE_DAYS = (date(1999, 3, 3), date(2024, 8, 16), date(1976, 7, 4), date(1989, 1, 8))

# Turns of a language where one is usual. To know which year 昭和36年 is takes a table of 150 years,
# and English has most forms and the ordinals in letters.
_TURNS = {"ja": 5, "en": 2}


def _recased(text: str) -> str:
    """Returns a text with another case, as at the start of a line or in haste: "march 3", "Vendredi
    16".
    """
    lower = text.lower()
    return lower if lower != text else text[:1].upper() + text[1:]


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
    """Counts of the texts that were generated, kept and excluded."""

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
    """Returns all unambiguous texts for a day in a language, without variants of case.

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
    texts = [(form.style, form.write(day)) for form in forms_of(language) if form.is_for(day)]
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

    All days are first divided, by `seed` alone: a tenth for validation, a tenth for test, the rest
    for training.  A day of one split is in no other, in any language or style. Languages take
    turns, with two turns for English and five for Japanese in each round; in each language three
    forms that spell the date out (a month's name, units) are used for one in digits alone. Four of
    five Japanese dates are in years of eras, up to 2049. A day is used again only when all others
    of its split were used, except for eras and first days of months, which are drawn separately.
    The same arguments give the same examples, in the same order, in every process.

    Args:
        train_size: training examples, all with different texts.
        validation_size: validation examples.
        test_size: test examples.
        seed: of the division of the days and of every draw.
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
            hint = did_you_mean(str(language), LANGUAGES)
            hint += " " if hint else ""
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
    """Yields the items in shuffled rounds without end: each occurs once a round."""
    while True:
        order = list(items)
        rng.shuffle(order)
        yield from order


def _draws(
    languages: Sequence[str], days: Sequence[date], rng: random.Random
) -> Iterator[Iterator[DateExample]]:
    """Yields languages in turn without end, each as an endless iterator of examples."""
    next_day: dict[FormDays, Iterator[date]] = {
        "any": _turns(days, rng),
        "firsts": _turns([day for day in days if day.day == 1], rng),
        "eras": _era_days(days, rng),
        "first_years": _turns([day for day in days if era_year(day)[1] == 1], rng),
    }

    def examples(forms: Sequence[Form]) -> Iterator[DateExample]:
        # Digits alone are learnt alike from every language; the words are each language's own.
        kinds: list[tuple[list[Form], int]] = [
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

    writers = {language: examples(forms_of(language)) for language in languages}
    shares = [language for language in languages for _ in range(_TURNS.get(language, 1))]
    for language in _turns(shares, rng):
        yield writers[language]


def _era_days(days: Sequence[date], rng: random.Random) -> Iterator[date]:
    """Yields days by era without end, the longest era twice as often, and first years as often as
    an era.
    """
    groups: dict[str, list[date]] = {}
    for day in days:
        if day > LAST_ERA_DAY:
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
    """Collects texts that mean one date, each once, and counts those that are excluded."""

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
