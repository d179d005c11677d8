"""Training: `compile`, `fit` and `evaluate` of the model, and what is computed in a step.

    trainable_model.py      what a user calls; `compiling.py`, `data_checks.py` and
                            `fit_callbacks.py` complete and check the arguments
    training_step.py        what Keras calls for each batch
    losses/                 loss and metrics over real tokens
    optimizers/             what is trained, how fast, and what becomes of gradients
    scheduled_sampling.py   what the decoder reads beside true ids (`mixed_inputs.py`,
                            `share_schedules.py`)
    data_parallel.py        several devices or processes
    callbacks.py            callbacks for callers, public as `keras_s2s.callbacks`

Small modules make up for what Keras' `fit` does on one backend, each with its reason:
`tensorflow_passes.py`, `kept_weights.py`, `restored_epoch.py`, `empty_epochs.py`; `taken_turns.py`
lets other threads generate meanwhile.

Public here are the values of `compile(teacher_forcing=...)` and `data_parallel`.
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
