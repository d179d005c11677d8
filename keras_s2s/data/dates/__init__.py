"""The generated task: dates as people write them, to ISO 8601."""

from typing import Any

from keras_s2s.data.dates.splits import DateSplits, make_dates
from keras_s2s.moved_modules import moved_name

__all__ = ["DateSplits", "make_dates"]


def __getattr__(name: str) -> Any:
    """Returns a name that was in this module before it became a package, with a warning."""
    return moved_name(__name__, name)
