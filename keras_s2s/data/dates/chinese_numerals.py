"""Numbers of dates in Chinese characters, as Chinese and Japanese write them."""

from __future__ import annotations

DIGITS = "〇一二三四五六七八九"

#: Zeros in use beside 〇: the financial form of Chinese, and a circle that looks alike.
ZEROS = "〇零○"


def positional(number: int, zero: str = "〇") -> str:
    """Returns a number digit by digit, as years are written.

    Args:
        number: not negative.
        zero: out of `ZEROS`.

    Example:
        >>> positional(2024), positional(2005, "零")
        ('二〇二四', '二零零五')
    """
    return "".join(DIGITS[int(digit)] for digit in str(number)).replace("〇", zero)


def counted(number: int) -> str:
    """Returns a number from 1 to 99 with tens, as months, days and years of an era are written.

    Raises:
        ValueError: the number is outside.

    Example:
        >>> counted(8), counted(10), counted(16), counted(64)
        ('八', '十', '十六', '六十四')
    """
    if not 1 <= number <= 99:
        raise ValueError(f"number is {number}; expected 1 to 99")
    tens, ones = divmod(number, 10)
    head = "" if tens == 0 else ("" if tens == 1 else DIGITS[tens]) + "十"
    return head + (DIGITS[ones] if ones else "")
