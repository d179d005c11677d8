"""Days of the month as ordinals: `4th`, `fourth`, and the `1er` of French."""

from __future__ import annotations

_ONES = (
    *("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth"),
    *("tenth", "eleventh", "twelfth", "thirteenth", "fourteenth", "fifteenth", "sixteenth"),
    *("seventeenth", "eighteenth", "nineteenth"),
)


def english_ordinal(day: int) -> str:
    """Returns a day of a month with the ending of its ordinal.

    Example:
        >>> [english_ordinal(day) for day in (1, 2, 3, 4, 11, 12, 13, 21, 22, 23, 31)]
        ['1st', '2nd', '3rd', '4th', '11th', '12th', '13th', '21st', '22nd', '23rd', '31st']
    """
    if day in (11, 12, 13):
        return f"{day}th"
    return f"{day}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(day % 10, 'th') }"


def english_ordinal_word(day: int) -> str:
    """Returns a day of a month, from 1 to 31, as an ordinal in letters.

    Example:
        >>> [english_ordinal_word(day) for day in (4, 20, 21, 31)]
        ['fourth', 'twentieth', 'twenty-first', 'thirty-first']
    """
    if day < 20:
        return _ONES[day - 1]
    tens, ones = divmod(day, 10)
    name = {2: "twent", 3: "thirt"}[tens]
    return f"{name}y-{_ONES[ones - 1]}" if ones else f"{name}ieth"
