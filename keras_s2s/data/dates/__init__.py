"""The generated task: dates as people write them, to ISO 8601."""

from keras_s2s.data.dates.splits import DateSplits, make_dates

__all__ = ["DateSplits", "make_dates"]
