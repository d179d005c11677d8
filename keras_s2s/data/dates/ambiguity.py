"""Finds texts that could mean more than one date."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from keras_s2s.data.dates.chinese_numerals import DIGITS, ZEROS
from keras_s2s.data.dates.japanese_eras import ERAS

if TYPE_CHECKING:
    pass


Ambiguity = Literal["two_digit_year", "day_month_order"]


NUMBER = re.compile(r"\d+")  # decimal digits of any script


# A year that no other number of the text can be: of an era, or in four Chinese digits.
_NAMED_YEAR = re.compile(
    f"(?:{'|'.join(era.name for era in ERAS)})\\s*(?:元|\\d+|[{DIGITS}十]+)\\s*年"
    f"|[{DIGITS}{ZEROS}]{{4}}\\s*年"
)


def ambiguity(text: str) -> Ambiguity | None:
    """Returns the reason why a text could mean more than one date; None where it means one.

    The rule considers the text alone, not the language it was written in:

    - `two_digit_year`: no number has four digits (`8/16/24`), in Chinese numerals neither, and no
      Japanese era is named.
    - `day_month_order`: two numbers and then the year, no letter between the two, both at
      most 12 and not the same (`3/4/1999`).  The separator does not tell the order, and a
      weekday tells it only to readers with a calendar, so `03.04.1999` and
      `Sat, 3/4/1999` are ambiguous too.  A month's name, a unit (`3월 4일`), a leading year
      or a number above 12 do tell it.

    Example:
        >>> ambiguity("3/4/1999"), ambiguity("16/8/1999"), ambiguity("1999-03-04")
        ('day_month_order', None, None)
    """
    if _NAMED_YEAR.search(text):
        return None
    numbers = list(NUMBER.finditer(text))
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
    """Returns whether a text could mean more than one date; see `ambiguity`."""
    return ambiguity(text) is not None
