"""The generated task: hand-written dates, an independent reader of texts, and the counts."""

# The texts are in the scripts of their languages.

from __future__ import annotations

import os
import re
import subprocess
import sys
import unicodedata
from collections import Counter
from datetime import date, timedelta
from pathlib import Path

import pytest
from small_models import slow_where_compiled

pytest.importorskip("babel")

from hypothesis import given
from hypothesis import strategies as st

from keras_s2s.data.dates import forms
from keras_s2s.data.dates import splits as dates
from keras_s2s.data.dates.ambiguity import ambiguity, is_ambiguous
from keras_s2s.data.dates.chinese_numerals import ZEROS, counted, positional
from keras_s2s.data.dates.japanese_eras import era_year
from keras_s2s.data.dates.languages import LANGUAGES
from keras_s2s.data.dates.ordinals import english_ordinal, english_ordinal_word
from keras_s2s.data.dates.splits import EXAMPLE_DAYS, DateExample, make_dates, write_date

# Written by hand: how people of each language write these three days.
BY_HAND = {
    "ko": (
        [
            "2024년 8월 16일",
            "2024년 8월 16일 금요일",
            "2024. 8. 16.",
            "2024.08.16",
            "2024년8월16일",
        ],
        ["1999년 3월 3일", "1999년 3월 3일 수요일", "1999년 03월 03일", "1999. 3. 3. (수)"],
        ["1950년 12월 25일", "1950년 12월 25일 (월)", "1950/12/25"],
    ),
    "en": (
        ["August 16, 2024", "16 August 2024", "Friday, August 16, 2024", "8/16/2024", "16/08/2024"],
        ["March 3, 1999", "3 March 1999", "Mar 3, 1999", "March 3 1999", "3 Mar 1999"],
        [
            "December 25, 1950",
            "Monday, 25 December 1950",
            "Mon, Dec 25, 1950",
            "12/25/1950",
            "December 25th, 1950",
            "25th of December 1950",
            "the 25th of December, 1950",
            "the twenty-fifth of December, 1950",
            "Monday 25th December 1950",
        ],
    ),
    "de": (
        ["16. August 2024", "Freitag, 16. August 2024", "16.08.2024", "16. Aug. 2024"],
        ["3. März 1999", "Mittwoch, 3. März 1999", "03. März 1999", "03.03.1999"],
        ["25. Dezember 1950", "Mo., 25. Dez. 1950", "25.12.1950"],
    ),
    "fr": (
        ["16 août 2024", "vendredi 16 août 2024", "16/08/2024"],
        ["3 mars 1999", "mercredi 3 mars 1999", "mer. 3 mars 1999"],
        ["25 décembre 1950", "lundi 25 décembre 1950", "25 déc. 1950"],
    ),
    "es": (
        ["16 de agosto de 2024", "viernes, 16 de agosto de 2024", "16/8/2024", "16 ago 2024"],
        ["3 de marzo de 1999", "miércoles, 3 de marzo de 1999", "3 marzo 1999"],
        ["25 de diciembre de 1950", "lun, 25 dic 1950", "25/12/1950"],
    ),
    "ja": (
        [
            "2024年8月16日",
            "2024年8月16日金曜日",
            "2024年08月16日",
            "令和6年8月16日",
            "令和6年08月16日",
        ],
        [
            "1999年3月3日",
            "1999年3月3日(水)",
            "1999/3/3",
            "平成11年3月3日",
            "平成十一年三月三日水曜日",
        ],
        ["1950年12月25日", "1950年12月25日月曜日", "1950年 12月 25日", "一九五〇年十二月二十五日"],
    ),
    "zh": (
        [
            "2024年8月16日",
            "2024年8月16日星期五",
            "2024/8/16",
            "二〇二四年八月十六日",
            "2024年8月16号",
        ],
        ["1999年3月3日", "1999年3月3日周三", "1999 年 3 月 3 日", "1999年3月3号"],
        ["1950年12月25日", "1950.12.25", "一九五零年十二月二十五日", "一九五○年十二月二十五日"],
    ),
    "ru": (
        ["16 августа 2024 г.", "16 августа 2024\u202fг.", "пятница, 16 августа 2024 г."],
        ["3 марта 1999 г.", "03 марта 1999", "ср, 3 мар. 1999 г."],
        ["25 декабря 1950", "понедельник, 25 декабря 1950\u202fг.", "25 декабря 1950 года"],
    ),
    "ar": (
        ["١٦ أغسطس ٢٠٢٤", "16 أغسطس 2024", "الجمعة، ١٦ أغسطس ٢٠٢٤", "١٦\u200f/٨\u200f/٢٠٢٤"],
        ["٣ مارس ١٩٩٩", "الأربعاء، ٣ مارس ١٩٩٩", "٣/٣/١٩٩٩"],
        ["٢٥ ديسمبر ١٩٥٠", "الاثنين، 25 ديسمبر 1950", "٢٥/١٢/١٩٥٠"],
    ),
    "hi": (
        ["16 अगस्त 2024", "१६ अगस्त २०२४", "शुक्रवार, १६ अगस्त २०२४", "16/8/2024"],
        ["3 मार्च 1999", "३ मार्च १९९९", "बुधवार, 3 मार्च 1999"],
        ["25 दिसंबर 1950", "सोमवार, २५ दिसंबर १९५०", "२५/१२/१९५०"],
    ),
}
DAYS_BY_HAND = (date(2024, 8, 16), date(1999, 3, 3), date(1950, 12, 25))

# Month names by hand, as the beginning of a word, in lower case; the longest match counts.
MONTHS = {
    "en": "jan feb mar apr may jun jul aug sep oct nov dec",
    "de": "jan feb mär apr mai jun jul aug sep okt nov dez",
    "fr": "janv févr|fév mars avr mai juin juil août sept oct nov déc",
    "es": "ene feb mar abr may jun jul ago sep oct nov dic",
    "ru": "янв фев мар апр мая июн июл авг сен окт ноя дек",
    "ar": "يناير فبراير مارس أبريل مايو يونيو يوليو أغسطس سبتمبر أكتوبر نوفمبر ديسمبر",
    "hi": "जन फ़र मार्च अप्रैल मई जून जुल अग सित अक्टू नव दिस",
    "it": "gen feb mar apr mag giu lug ago set ott nov dic",
    "pt": "jan fev mar abr mai jun jul ago set out nov dez",
    "tr": "oca şub mar nis may haz tem ağu eyl eki kas ara",
    "nl": "jan feb maa|mrt apr mei jun jul aug sep okt nov dec",
}


# The year before an era's first, and the day on which it begins.
ERAS = {
    "明治": (1867, "1868-10-23"),
    "大正": (1911, "1912-07-30"),
    "昭和": (1925, "1926-12-25"),
    "平成": (1988, "1989-01-08"),
    "令和": (2018, "2019-05-01"),
}
ORDINALS = (
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth "
    "fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth twentieth twenty-first "
    "twenty-second twenty-third twenty-fourth twenty-fifth twenty-sixth twenty-seventh "
    "twenty-eighth twenty-ninth thirtieth thirty-first"
)


def read_chinese(number: str) -> int:
    """A number in Chinese characters, by the values that Unicode gives them."""
    values = [0 if c in "〇零○" else int(unicodedata.numeric(c)) for c in number]
    if 10 not in values:
        return int("".join(map(str, values)))
    tens = values.index(10)
    return 10 * sum(values[:tens] or [1]) + sum(values[tens + 1 :])


def read_date(text: str, language: str) -> str:
    """The ISO date of a text, by regular expressions and hand-written month names."""
    if language == "en":
        for number, word in enumerate(ORDINALS.split(), start=1):
            text = re.sub(rf"(?i)(?<![\w-]){word}(?![\w-])", str(number), text)
        text = re.sub(r"(?i)(\d)(st|nd|rd|th)\b", r"\1", text)
        text = re.sub(r"(?i)\b(of|the) ", "", text)
    text = re.sub(r"(?<=\b1)(er|\.?º|°)|(?<=\d)-го\b", "", text)
    if language in ("ja", "zh"):
        text = re.sub(r"(?<=[^\d元])元年", "1年", text)
        text = re.sub(
            "[〇零○一二三四五六七八九十]+(?=[年月日号])", lambda n: str(read_chinese(n[0])), text
        )
        for name, (before, begins) in ERAS.items():
            if text.startswith(name):
                year, month, day = map(int, re.findall(r"\d+", text)[:3])
                iso = date(before + year, month, day).isoformat()
                assert iso >= begins, text
                return iso
    text = unicodedata.normalize("NFKC", text).replace("\u200f", "").lower()
    text = "".join(str(unicodedata.digit(c, c)) for c in text)
    numbers = [int(number) for number in re.findall(r"\d+", text)]
    if len(numbers) == 3:
        if numbers[0] > 99:
            year, month, day = numbers
        elif numbers[1] > 12:
            month, day, year = numbers
        else:
            day, month, year = numbers
        return date(year, month, day).isoformat()
    day, year = numbers
    # The month stands between or just before the numbers; weekdays before a comma, or at the
    # end, or as a word of their own before the day.
    spots = [r"\d+[.,]?\s(?:de\s)?(\D+?)[\s.,]*(?:\sde\s)?\d{4}", r"(\w+) \d+,? \d{4}"]
    name = next(match[1] for spot in spots if (match := re.search(spot, text)))
    found = [
        number
        for number, stems in enumerate(MONTHS[language].split(), start=1)
        if any(name.startswith(unicodedata.normalize("NFKC", s)) for s in stems.split("|"))
    ]
    assert len(found) == 1, (text, name, found)
    return date(year, found[0], day).isoformat()


@pytest.fixture(scope="module")
def splits():
    return make_dates(train_size=6000, validation_size=500, test_size=1500, seed=3)


def all_examples(splits) -> list[DateExample]:
    return splits.train_examples + splits.validation_examples + splits.test_examples


# --------------------------------------------------------------------------------------
# Texts
# --------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", BY_HAND)
def test_texts_written_by_hand_are_among_the_generated(language):
    assert len(BY_HAND) == 10
    for day, expected in zip(DAYS_BY_HAND, BY_HAND[language], strict=True):
        written = {example.source for example in write_date(day, language)}
        assert set(expected) <= written, sorted(set(expected) - written)


@slow_where_compiled
def test_an_independent_reader_gets_every_target(splits):
    examples = all_examples(splits)
    assert len(examples) == 8000
    wrong = [e for e in examples if read_date(e.source, e.language) != e.target]
    assert not wrong, wrong[:5]


def test_texts_are_clean(splits):
    for source, target, language, style in all_examples(splits):
        assert re.fullmatch(r"(19|20)\d\d-[01]\d-[0-3]\d", target, flags=re.ASCII), target
        assert source == source.strip() and 8 <= len(source) < 50, source
        assert unicodedata.normalize("NFC", source) == source or language == "hi", source
        assert language in LANGUAGES and style


def test_every_language_writes_in_several_styles(splits):
    styles = Counter((e.language, e.style) for e in splits.train_examples)
    for language in LANGUAGES:
        of_language = {style for known, style in styles if known == language}
        assert {"full", "long", "yMMMEd", "iso"} - of_language <= {"yMMMEd"}, language
        assert 5 <= len(of_language) <= 30, (language, of_language)
    assert len(LANGUAGES) >= 10
    assert set(BY_HAND) <= set(LANGUAGES)


def test_small_splits_hold_every_language_and_every_form():
    splits = make_dates(train_size=400, validation_size=14, test_size=14, languages=["ko", "ar"])
    written = {(e.language, e.style) for day in DAYS_BY_HAND for e in _unambiguous(day)}
    assert {(e.language, e.style) for e in splits.train_examples} == written
    assert Counter(e.language for e in splits.test_examples) == {"ko": 7, "ar": 7}


def _unambiguous(day: date) -> list[DateExample]:
    return write_date(day, "ko") + write_date(day, "ar")


def test_locale_digits_are_those_of_unicode():
    for name, digits in forms._DIGITS.items():
        assert [unicodedata.digit(digit) for digit in digits] == list(range(10)), name
        assert len({unicodedata.name(d).split("DIGIT")[0] for d in digits}) == 1, name


def test_arabic_and_hindi_have_their_own_digits_and_latin_ones(splits):
    for language, own in (("ar", "٠١٢٣٤٥٦٧٨٩"), ("hi", "०१२३४५६७८९")):
        texts = [e.source for e in splits.train_examples if e.language == language]
        with_own = [text for text in texts if set(text) & set(own)]
        with_latin = [text for text in texts if set(text) & set("0123456789")]
        assert not set(with_own) & set(with_latin)
        assert min(len(with_own), len(with_latin)) > len(texts) / 4


def test_special_spaces_and_marks_have_a_plain_twin():
    twins = {"\u202f": " ", "\u00a0": " ", "\u200f": "", "\u200e": ""}
    found = Counter()
    for language in LANGUAGES:
        texts = {e.source for e in write_date(date(2024, 8, 16), language)}
        for text in texts:
            plain = "".join(twins.get(character, character) for character in text)
            assert plain in texts
            found[language] += plain != text
    assert found["ru"] >= 4 and found["ar"] >= 4


@slow_where_compiled
def test_the_example_texts_are_of_generated_forms_but_not_of_the_training_days(splits):
    patterns = {"ko": r"(\d{4})년 \d{1,2}월 \d{1,2}일", "en": r"[A-Z][a-z]+ \d{1,2}, (\d{4})"}
    for language, pattern in patterns.items():
        texts = [e.source for e in splits.train_examples if e.language == language]
        assert sum(bool(re.fullmatch(pattern, text)) for text in texts) >= 10
    assert {day.isoformat() for day in EXAMPLE_DAYS} == {
        "2024-08-16",
        "1999-03-03",
        "1976-07-04",
        "1989-01-08",
    }
    for seed in range(20):
        days = dates._divide_days(seed)
        assert set(EXAMPLE_DAYS) <= set(days["test"])


# --------------------------------------------------------------------------------------
# Ordinals, Chinese numerals, eras
# --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("day", "before"),
    [
        (date(1912, 7, 30), ("明治", 45)),
        (date(1926, 12, 25), ("大正", 15)),
        (date(1989, 1, 8), ("昭和", 64)),
        (date(2019, 5, 1), ("平成", 31)),
    ],
)
def test_an_era_begins_on_its_first_day(day, before):
    assert era_year(day - timedelta(days=1)) == before
    assert era_year(day)[1] == 1
    assert era_year(date(day.year + 1, 1, 1))[1] == 2
    assert {f"{era_year(day)[0]}{year}年{day.month}月{day.day}日" for year in ("元", "1")} <= {
        example.source for example in write_date(day, "ja")
    }


def test_days_before_the_eras_are_refused():
    assert era_year(date(1868, 10, 23)) == ("明治", 1)
    with pytest.raises(ValueError, match="1868-10-22"):
        era_year(date(1868, 10, 22))


@slow_where_compiled
def test_every_era_and_every_first_year_is_learnt():
    splits = make_dates(train_size=3000, validation_size=0, test_size=0, languages=["ja"])
    found = Counter()
    for example in splits.train_examples:
        if example.source[:2] in ERAS:
            found[example.source[:2]] += 1
            found["first"] += example.source[2:4] in ("元年", "1年")
    assert len(found) == 6 and min(found.values()) > 80
    assert 0.7 < (sum(found.values()) - found["first"]) / 3000 < 0.9
    assert not any("令和" in example.source for example in write_date(date(2050, 1, 1), "ja"))


def test_chinese_numerals():
    for number in range(1, 100):
        assert read_chinese(counted(number)) == number
    for year in (1900, 1999, 2000, 2024, 2099):
        for zero in ZEROS:
            assert len(positional(year, zero)) == 4
            assert read_chinese(positional(year, zero)) == year
    assert [counted(n) for n in (1, 10, 11, 20, 31, 64)] == [
        *"一十",
        "十一",
        "二十",
        "三十一",
        "六十四",
    ]
    for number in (0, 100):
        with pytest.raises(ValueError, match="1 to 99"):
            counted(number)


def test_ordinals():
    assert [english_ordinal_word(day) for day in range(1, 32)] == ORDINALS.split()
    endings = {1: "st", 21: "st", 31: "st", 2: "nd", 22: "nd", 3: "rd", 23: "rd"}
    for day in range(1, 32):
        assert english_ordinal(day) == f"{day}{endings.get(day, 'th')}"


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("fr", "1er août 2024"),
        ("it", "1º agosto 2024"),
        ("pt", "1º de agosto de 2024"),
        ("es", "1.º de agosto de 2024"),
    ],
)
def test_only_the_first_is_an_ordinal_in_romance_languages(language, text):
    assert text in {example.source for example in write_date(date(2024, 8, 1), language)}
    styles = {example.style for example in write_date(date(2024, 8, 2), language)}
    assert not any(style.startswith("first") for style in styles)


# --------------------------------------------------------------------------------------
# Ambiguity
# --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("8/16/24", "two_digit_year"),
        ("24. 8. 16.", "two_digit_year"),
        ("१६/३/२४", "two_digit_year"),
        ("3 March 99", "two_digit_year"),
        ("", "two_digit_year"),
        ("3/4/1999", "day_month_order"),
        ("12/11/1999", "day_month_order"),
        ("03.04.1999", "day_month_order"),
        ("3-4-1999", "day_month_order"),
        ("Sat, 3/4/1999", "day_month_order"),
        ("3.4.1999 Cmt", "day_month_order"),
        ("٣\u200f/٤\u200f/١٩٩٩", "day_month_order"),
        ("३/४/१९९९", "day_month_order"),
        ("3/3/1999", None),
        ("03/3/1999", None),
        ("12/12/1999", None),
        ("13/4/1999", None),
        ("4/13/1999", None),
        ("16.08.2024", None),
        ("1999-03-04", None),
        ("1999/3/4", None),
        ("1999. 3. 4. (목)", None),
        ("1999년 3월 4일", None),
        ("1999年3月4日", None),
        ("3 March 1999", None),
        ("March 3, 1999", None),
        ("3月4日1999年", None),
        ("the 4th of July, 1976", None),
        ("the 4th of July, 76", "two_digit_year"),
        ("平成元年1月8日", None),
        ("昭和五十一年七月四日", None),
        ("二〇二四年八月十六日", None),
        ("二零零五年三月四日", None),
        ("二四年八月十六日", "two_digit_year"),
        ("元年1月8日", "two_digit_year"),
    ],
)
def test_ambiguity_rule(text, expected):
    assert ambiguity(text) == expected
    assert is_ambiguous(text) is (expected is not None)


@given(st.dates(date(1900, 1, 1), date(2099, 12, 31)), st.sampled_from("/.- "))
def test_a_numeric_text_is_ambiguous_exactly_if_it_has_two_readings(day, separator):
    first, second = day.day, day.month
    text = f"{first:02}{separator}{second}{separator}{day.year}"
    readings = set()
    for d, m in ((first, second), (second, first)):
        try:
            readings.add(date(day.year, m, d))
        except ValueError:
            continue
    assert is_ambiguous(text) is (len(readings) == 2)
    assert not is_ambiguous(f"{day.year}{separator}{second}{separator}{first}")


@slow_where_compiled
def test_no_text_means_two_days_in_any_language():
    # A text holds its year, so two days that share a text lie in one year; a common year and
    # a leap year that begin on different weekdays are walked whole.
    for year in (1999, 2024):
        meaning: dict[str, str] = {}
        texts = 0
        for day in (date(year, 1, 1) + timedelta(days=n) for n in range(366)):
            if day.year != year:
                continue
            for language in LANGUAGES:
                for example in write_date(day, language):
                    assert meaning.setdefault(example.source, example.target) == example.target
                    texts += 1
        assert texts > 365 * 100


def test_no_ambiguous_or_repeated_text_is_kept(splits):
    sources = [e.source for e in all_examples(splits)]
    assert len(set(sources)) == len(sources)
    assert not any(map(is_ambiguous, sources))


def test_a_text_of_two_days_is_taken_out_and_counted():
    collector = dates._Collector()
    assert collector.add("train", DateExample("Mar 1999", "1999-03-03", "en", "x"))
    assert not collector.add("train", DateExample("Mar 1999", "1999-03-03", "de", "x"))
    assert not collector.add("test", DateExample("Mar 1999", "1999-03-04", "en", "x"))
    assert not collector.add("train", DateExample("Mar 1999", "1999-03-03", "en", "x"))
    assert collector.add("test", DateExample("3 Mar 1999", "1999-03-03", "en", "x"))
    report = collector.report()
    assert (report.train, report.test) == (0, 1)
    assert (report.duplicates, report.collisions, report.generated) == (1, 3, 5)
    assert report.kept + report.excluded == report.generated


def test_splits_are_filled_up_after_collisions(monkeypatch):
    # Without the rule, "3/4/1999" stands for two days: the collector must notice by itself.
    monkeypatch.setattr(dates, "ambiguity", lambda text: None)
    in_digits = tuple(form for form in forms.forms_of("en") if not form.spelled_out)
    monkeypatch.setattr(dates, "forms_of", lambda language: in_digits)
    splits = make_dates(train_size=10_000, validation_size=500, test_size=500, languages=["en"])
    report = splits.report
    assert (report.train, report.validation, report.test) == (10_000, 500, 500)
    assert report.collisions >= 4
    assert report.kept + report.excluded == report.generated
    meaning: dict[str, str] = {}
    for source, target in splits.train + splits.validation + splits.test:
        assert meaning.setdefault(source, target) == target


# --------------------------------------------------------------------------------------
# Splits, counts, determinism
# --------------------------------------------------------------------------------------


def test_splits_share_no_day_in_whatever_language(splits):
    days = [
        {target for _, target in part} for part in (splits.train, splits.validation, splits.test)
    ]
    # Nearly every example has a day of its own; eras and first days are drawn apart.
    assert all(0.95 * n < len(part) <= n for part, n in zip(days, (6000, 500, 1500), strict=True))
    assert not days[0] & days[1] and not days[0] & days[2] and not days[1] & days[2]


@slow_where_compiled
def test_the_division_of_days_is_whole_and_does_not_depend_on_sizes():
    days = dates._divide_days(0)
    assert {name: len(part) for name, part in days.items()} == {
        "train": 73_049 - 2 * 7304 - 4,
        "validation": 7304,
        "test": 7304 + 4,
    }
    assert len(set().union(*days.values())) == 73_049
    small = make_dates(train_size=100, validation_size=50, test_size=50)
    large = make_dates(train_size=300, validation_size=50, test_size=50)
    assert small.test == large.test
    assert small.train == large.train[:100]


def test_counts_add_up_and_are_told(splits):
    report = splits.report
    assert (report.train, report.validation, report.test) == (6000, 500, 1500)
    assert report.kept == 8000
    assert report.generated == report.kept + report.excluded
    assert report.two_digit_years > 100 and report.day_month_orders > 100
    examples = all_examples(splits)
    assert report.languages == Counter(e.language for e in examples)
    assert report.styles == Counter(e.style for e in examples)
    turns = {"ja": 5, "en": 2}
    shares = [count / turns.get(language, 1) for language, count in report.languages.items()]
    assert max(shares) - min(shares) <= 3
    text = str(report)
    for count in (report.generated, report.two_digit_years, report.day_month_orders):
        assert f"{count:,}" in text
    assert "14 languages" in text and "two-digit year" in text and "day-month order" in text


def test_pairs_and_examples_agree(splits):
    for pairs, examples in (
        (splits.train, splits.train_examples),
        (splits.validation, splits.validation_examples),
        (splits.test, splits.test_examples),
    ):
        assert pairs == [(e.source, e.target) for e in examples]
        assert type(pairs) is list and type(pairs[0]) is tuple


@slow_where_compiled
def test_the_same_seed_gives_the_same_examples_in_every_process():
    # Without the other names of `data`, which import keras; dates need it not.
    code = (
        "import hashlib, sys, types; sys.modules['keras_s2s.data'] = p = types.ModuleType('data');"
        f"p.__path__ = [{str(Path(dates.__file__).parents[1])!r}];"
        "from keras_s2s.data.dates.splits import make_dates; assert 'keras' not in sys.modules;"
        "s = make_dates(300, 50, 50, seed=7);"
        "print(hashlib.sha256(repr((s.train_examples, s.validation_examples, s.test_examples,"
        " s.report)).encode()).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("0", "1", "12345")
    }
    assert len(digests) == 1
    assert make_dates(300, 50, 50, seed=7).train != make_dates(300, 50, 50, seed=8).train


def test_some_texts_are_recased(splits):
    english = [e.source for e in splits.train_examples if e.language == "en"]
    lower = [text for text in english if text == text.lower() and re.search("[a-z]", text)]
    assert 0.01 < len(lower) / len(english) < 0.08


# --------------------------------------------------------------------------------------
# Bad input
# --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"languages": ["eng"]}, r"'eng' is not known; did you mean 'en'\?"),
        ({"languages": ["xx", "ko"]}, "'xx' is not known; .*ko, en, de"),
        ({"languages": []}, "languages is empty"),
        ({"languages": "ko"}, r"\['ko'\]"),
        ({"languages": ["ko", "en", "ko"]}, "ko given more than once"),
        ({"train_size": -1}, "train_size is -1"),
        ({"test_size": -5}, "test_size is -5"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_dates(**arguments)


def test_asking_for_more_than_there_is_names_the_split(monkeypatch):
    monkeypatch.setattr(dates, "_HELD_OUT_SHARE", 0.0002)
    monkeypatch.setattr(dates, "_MAX_MISSES", 300)
    with pytest.raises(ValueError, match=r"validation_size is 1000, but after \d+ examples"):
        make_dates(train_size=5, validation_size=1000, test_size=5, languages=["fr"])


def test_write_date_refuses_other_centuries():
    with pytest.raises(ValueError, match="1899-12-31"):
        write_date(date(1899, 12, 31), "en")


def test_empty_splits_are_possible():
    splits = make_dates(train_size=0, validation_size=0, test_size=3)
    assert splits.train == [] and len(splits.test) == 3
