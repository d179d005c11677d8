"""Training data: reads pairs or texts, and makes batches with objectives, buckets and teacher
forcing.

In the order in which data pass through: `files/` reads pairs, `examples/` makes ids of them (or
`objectives/` draws pairs from single texts), `epochs/` divides them into batches of few shapes, and
`batches.py` pads a batch and shifts its targets by `teacher_forcing.py`. `checks/` compares batches
with the model that is to be trained on them; `dates/` generates the data of a task.
"""

from keras_s2s.data.batches import Batches
from keras_s2s.data.checks.shifted_labels import check_teacher_forcing
from keras_s2s.data.dates.splits import DateSplits, make_dates
from keras_s2s.data.errors import DataError
from keras_s2s.data.examples.encoded_pairs import BatchReport
from keras_s2s.data.explain import explain_batch
from keras_s2s.data.files.lines import LineReport, TextLines, read_lines
from keras_s2s.data.files.pairs import read_pairs
from keras_s2s.data.files.questions import read_questions
from keras_s2s.data.files.text_pairs import PairReport, TextPairs
from keras_s2s.data.objectives.objective import Objective
from keras_s2s.data.objectives.sentence_permutation import SentencePermutation
from keras_s2s.data.objectives.span_corruption import SpanCorruption, corrupt_spans
from keras_s2s.data.objectives.text_infilling import TextInfilling
from keras_s2s.data.teacher_forcing import teacher_forcing
from keras_s2s.text.answer import Answer

__all__ = [
    "Answer",
    "BatchReport",
    "Batches",
    "DataError",
    "DateSplits",
    "LineReport",
    "Objective",
    "PairReport",
    "SentencePermutation",
    "SpanCorruption",
    "TextInfilling",
    "TextLines",
    "TextPairs",
    "check_teacher_forcing",
    "corrupt_spans",
    "explain_batch",
    "make_dates",
    "read_lines",
    "read_pairs",
    "read_questions",
    "teacher_forcing",
]
