"""Training: `compile`, `fit` and `evaluate` of the model, and what is computed in a step.

Public here are the values of `compile(teacher_forcing=...)` and `data_parallel`; callbacks are in
`keras_s2s.callbacks`, and what else belongs to training is part of `Seq2SeqLM`. The modules:

- `trainable_model.py`: what a user calls; `compiling.py`, `data_checks.py` and `fit_callbacks.py`
  complete and check the arguments.
- `training_step.py`: what Keras calls for each batch.
- `losses/`: loss and metrics over real tokens.
- `optimizers/`: what is trained, how fast, and what becomes of gradients.
- `scheduled_sampling.py`: what the decoder reads beside true ids, with `mixed_inputs.py` and
  `share_schedules.py`.
- `data_parallel.py`: several devices or processes.
- `tensorflow_passes.py`, `kept_weights.py`, `restored_epoch.py`, `empty_epochs.py`: what Keras'
  `fit` lacks, each with its reason; `taken_turns.py` lets other threads generate meanwhile.
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
