"""From text pairs to batches: reading, length buckets, teacher forcing."""

from keras_s2s.data.batches import Batches
from keras_s2s.data.dates import DateSplits, make_dates
from keras_s2s.data.encoding import BatchReport
from keras_s2s.data.errors import DataError
from keras_s2s.data.explain import explain_batch
from keras_s2s.data.pairs import PairReport, TextPairs, read_pairs
from keras_s2s.data.teacher_forcing import check_teacher_forcing, teacher_forcing

__all__ = [
    "BatchReport",
    "Batches",
    "DataError",
    "DateSplits",
    "PairReport",
    "TextPairs",
    "check_teacher_forcing",
    "explain_batch",
    "make_dates",
    "read_pairs",
    "teacher_forcing",
]
