"""How each language writes dates, beyond the formats of CLDR."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING

from keras_s2s.data.dates.chinese_numerals import counted, positional
from keras_s2s.data.dates.japanese_eras import era_year
from keras_s2s.data.dates.ordinals import english_ordinal, english_ordinal_word

if TYPE_CHECKING:
    pass


@dataclass(frozen=True)
class _Writing:
    """How a region writes dates: CLDR's locale, its digits, and spellings that CLDR lacks.

    Attributes:
        locale: CLDR's name.
        numerals: numbering systems that all its patterns are written in.
        spellings: further patterns by style, in CLDR's letters.
        templates: by style, texts with CLDR's patterns and the names of `FIELDS` in braces.
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


#: Fields of a template beyond those of CLDR's patterns.
FIELDS: Mapping[str, Callable[[date], str]] = {
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


WRITINGS: Mapping[str, tuple[_Writing, ...]] = {
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


LANGUAGES: tuple[str, ...] = tuple(WRITINGS)
