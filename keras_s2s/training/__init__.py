"""Training: teacher forcing and scheduled sampling, which `compile(teacher_forcing=...)` takes.

Callbacks are in `keras_s2s.callbacks`; what else belongs to training is part of `Seq2SeqLM`.
"""

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
]
