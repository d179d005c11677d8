"""Training: teacher forcing and scheduled sampling, which `compile(teacher_forcing=...)` takes, and
several devices.

Callbacks are in `keras_s2s.callbacks`; what else belongs to training is part of `Seq2SeqLM`.
"""

from keras_s2s.training.data_parallel import data_parallel
from keras_s2s.training.scheduled_sampling import ScheduledSampling
from keras_s2s.training.share_schedules import (
    ConstantShare,
    ExponentialDecay,
    InverseSigmoidDecay,
    LinearDecay,
    ShareSchedule,
)

__all__ = [
    "ConstantShare",
    "ExponentialDecay",
    "InverseSigmoidDecay",
    "LinearDecay",
    "ScheduledSampling",
    "ShareSchedule",
    "data_parallel",
]
