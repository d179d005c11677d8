"""What Keras calls for each batch: the forward pass, loss, metrics and step of a sequence model.

`trainable_model.py` is what a user calls (`compile`, `fit`, `evaluate`); Keras' own `fit` then runs
`train_step` for every batch:

    train_step          the decoder inputs that `teacher_forcing` asks (`scheduled_sampling.py`),
                        then Keras' own step of the running backend, which calls
      call              logits `[B, T, V]`; hidden vectors in a fused step (`losses/fused_step.py`)
      compute_loss      the mean over real tokens (`losses/loss.py`, `losses/token_weights.py`)
      compute_metrics   means over real tokens, too (`losses/metrics.py`)

What only some runs use is around these, each in a module of its own: R-Drop, accumulated
gradients, several devices.
"""

from __future__ import annotations

from typing import Any

import keras

from keras_s2s.fair_lock import FairLock
from keras_s2s.training.data_parallel import first_replica, parallel_step, replicas
from keras_s2s.training.entered_call import entered, is_entered
from keras_s2s.training.losses.fused_step import FusedStep, current_step, fused
from keras_s2s.training.losses.metrics import LossTracker
from keras_s2s.training.losses.r_drop import rows_twice, with_divergence
from keras_s2s.training.losses.token_weights import token_weights
from keras_s2s.training.optimizers.accumulation import (
    TokenAccumulation,
    share_of_replica,
    with_factor,
)
from keras_s2s.training.scheduled_sampling import ScheduledSampling, with_mixed_inputs
from keras_s2s.training.taken_turns import taking_turns


class TrainingStepModel(keras.Model):
    """Base class of the model: the methods that Keras calls for each batch.

    A subclass builds the graph, and sets the attributes in `compile`.

    Attributes:
        _turns: the lock that a step holds.
        _fused_step: set where `compile` fuses output projection, loss and metrics.
        _r_drop: weight of the divergence between two passes; 0 makes one pass.
        _sampling: which decoder inputs of a step are true; None is all of them.
        _accumulation: set where a step of the optimiser is over several batches.
    """

    _turns: FairLock
    _fused_step: FusedStep | None = None
    _r_drop: float = 0.0
    _sampling: ScheduledSampling | None = None
    _accumulation: TokenAccumulation | None = None

    def train_step(self, *arguments: Any) -> Any:
        """Trains on one batch, as Keras' own step of the running backend, with the decoder inputs
        that `teacher_forcing` asks for, and with each row twice where `r_drop` does.
        """
        *state, data = arguments
        if self._sampling is not None:
            data = with_mixed_inputs(self._sampling, self, state, data)
        with (
            rows_twice(self._r_drop, data) as data,
            fused(self._fused_step),
            parallel_step(),
        ):
            if self._accumulation is None:
                with share_of_replica(data):
                    return super().train_step(*state, data)
            with self._accumulation.step(state, data) as state:
                return super().train_step(*state, data)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Returns the logits of inputs, as `keras.Model.__call__` does."""
        with entered():
            return super().__call__(*args, **kwargs)

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Returns the logits of inputs; hidden vectors within a fused training step."""
        if not is_entered():  # Keras on JAX runs it so
            return self(inputs, training=training, mask=mask)
        if training and (step := current_step()) is not None:
            return step.hidden(inputs)
        return super().call(inputs, training=training, mask=mask)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Computes the loss of a batch: the mean over its tokens, and losses that layers add.

        Args:
            x: the inputs; `decoder_padding_mask` says which target positions are real.
            y: labels int `[B, T]`; -100 is left out.
            y_pred: logits `[B, T, V]`.
            sample_weight: of tokens `[B, T]`, or of rows `[B]` or `[B, 1]`.
            training: as in Keras.
        """
        y, weights = token_weights(x, y, sample_weight)
        loss = super().compute_loss(x, y, y_pred, weights, training=training)
        loss = with_divergence(loss, y_pred, weights)
        if isinstance(self._loss_tracker, LossTracker):
            self._loss_tracker.next_step_has(keras.ops.sum(weights))
        return with_factor(loss)

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Computes the metrics of a batch over its real tokens; arguments as in `compute_loss`."""
        if current_step() is not None:
            # The loss has updated them; TensorFlow asks for them before Keras has looked at them.
            if self._compile_metrics is not None and not self._compile_metrics.built:
                self._compile_metrics.build(y, y_pred)
            return self.get_metrics_result()
        y, weights = token_weights(x, y, sample_weight)
        return super().compute_metrics(x, y, y_pred, weights)

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        """Builds loss and metrics, by what one replica gets of a batch; called by Keras."""
        if replicas() > 1 and keras.backend.backend() == "tensorflow" and iterator is not None:
            # Keras would take the mean over replicas, which masks do not have.
            data_batch, iterator = first_replica(next(next(iter(iterator))[2])), None
        super()._maybe_symbolic_build(iterator=iterator, data_batch=data_batch)

    # Generation in other threads waits for steps, and steps wait for it.

    def make_train_function(self, force: bool = False) -> Any:
        """Makes Keras' training step, which takes turns with generation in other threads."""
        return self._make_step("train", force)

    def make_test_function(self, force: bool = False) -> Any:
        """Makes Keras' evaluation step, which takes turns with generation in other threads."""
        return self._make_step("test", force)

    def make_predict_function(self, force: bool = False) -> Any:
        """Makes Keras' prediction step, which takes turns with generation in other threads."""
        return self._make_step("predict", force)

    def _make_step(self, kind: str, force: bool) -> Any:
        name = f"{kind}_function"
        if getattr(self, name) is None or force:
            getattr(super(), f"make_{name}")(force=force)
            setattr(self, name, taking_turns(getattr(self, name), kind, self, self._turns))
        return getattr(self, name)

    def _get_jax_state(self, *args: Any, **kwargs: Any) -> Any:
        """Returns the state for Keras on JAX; the variables keep their arrays until a step takes
        them.
        """
        with self._turns:
            self._jax_state = None
            return super()._get_jax_state(*args, **{**kwargs, "purge_model_variables": False})

    def jax_state_sync(self) -> None:
        """Puts the newest weights into the variables; called by Keras on JAX, and by generation."""
        with self._turns:
            super().jax_state_sync()
