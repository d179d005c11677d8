"""Years of the Japanese eras, which Japanese documents use."""

from __future__ import annotations

from datetime import date
from typing import NamedTuple


class Era(NamedTuple):
    """An era, and the first day of its first year (元年, the year 1)."""

    name: str
    first_day: date


#: Of the Gregorian calendar's time in Japan, the latest first.
ERAS = (
    Era("令和", date(2019, 5, 1)),
    Era("平成", date(1989, 1, 8)),
    Era("昭和", date(1926, 12, 25)),
    Era("大正", date(1912, 7, 30)),
    Era("明治", date(1868, 10, 23)),
)


def era_year(day: date) -> tuple[str, int]:
    """Returns the era of a day, and the year in it; eras change within a year, and begin with 1.

    Raises:
        ValueError: the day lies before them.

    Example:
        >>> era_year(date(1989, 1, 7)), era_year(date(1989, 1, 8))
        (('昭和', 64), ('平成', 1))
    """
    for name, first_day in ERAS:
        if day >= first_day:
            return name, day.year - first_day.year + 1
    raise ValueError(f"day is {day}; expected {ERAS[-1].first_day} or later")
