"""What a user calls to train a model: `compile`, `fit`, `evaluate` and the like.

Keras' own methods do the work; these check and complete their arguments, so that losses and metrics
are means over real tokens, and data that the model cannot take are refused before the first step.
What happens in a step is `training_step.py`; the batches come from `data/batches.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from keras_s2s.config import PresetConfig
from keras_s2s.data.batches import Batches
from keras_s2s.data.checks.model_limits import ModelLimits
from keras_s2s.layers.transformer.checkpointing import checkpoint_gradients, checkpoints_gradients
from keras_s2s.text.preprocessor import Preprocessor
from keras_s2s.training.compiling import compile_arguments
from keras_s2s.training.data_checks import DataChecks, named_arguments, refuse_class_weight
from keras_s2s.training.data_parallel import (
    check_parallel,
    check_rows,
    share_of_rows,
    sum_gradients,
    whole,
)
from keras_s2s.training.fit_callbacks import with_own_callbacks
from keras_s2s.training.kept_weights import kept_weights
from keras_s2s.training.losses.fused_step import fused_step
from keras_s2s.training.losses.metrics import LossTracker
from keras_s2s.training.losses.r_drop import checked_alpha
from keras_s2s.training.optimizers.accumulation import token_accumulation
from keras_s2s.training.optimizers.dense_gradients import add_up_rows
from keras_s2s.training.optimizers.freezing import frozen_report, refuse_other_weights
from keras_s2s.training.optimizers.learning_rates import rates_report, with_learning_rates
from keras_s2s.training.partly_trained_model import PartlyTrainedModel
from keras_s2s.training.scheduled_sampling import ScheduledSampling, as_sampling
from keras_s2s.training.share_schedules import ShareSchedule
from keras_s2s.training.tensorflow_passes import needs_no_tuning, untuned, without_tuning
from keras_s2s.training.training_step import TrainingStepModel


class TrainableModel(PartlyTrainedModel, TrainingStepModel):
    """Base class of the model: `compile`, `fit`, `evaluate` and the like for sequences of ids.

    A functional Keras model with the inputs of its frontend (for token ids `encoder_token_ids` and
    `encoder_padding_mask`), `decoder_token_ids` and `decoder_padding_mask`, and logits
    `[batch, target, vocabulary]`.
    Data are checked before the first step, and a step takes turns with other uses of the
    weights. A subclass builds the graph and sets the attributes.

    Attributes:
        preset: architecture and special ids.
        _preprocessor: text <-> ids; None for a model that works on ids.
        _fused_loss: the argument of `compile`, to be saved.
    """

    preset: PresetConfig
    _preprocessor: Preprocessor | None
    _fused_loss: bool | str = "auto"

    @property
    def _data_checks(self) -> DataChecks:
        limits = ModelLimits.of(self.preset.architecture, self.network.frontend)
        return DataChecks(limits, self.preset.special_ids, self._preprocessor)

    def compile(
        self,
        optimizer: Any = "adam",
        loss: Any = "auto",
        *,
        label_smoothing: float = 0.0,
        metrics: Any = None,
        weighted_metrics: Any = "auto",
        jit_compile: bool | str = "auto",
        learning_rates: Mapping[str, Any] | None = None,
        gradient_checkpointing: bool = False,
        fused_loss: bool | str = "auto",
        teacher_forcing: bool | float | ShareSchedule | ScheduledSampling = True,
        r_drop: float = 0.0,
        **kwargs: Any,
    ) -> None:
        """Configures the model for training, with a loss and metrics over real tokens.

        Loss and metrics are means over real tokens: those since the epoch began in the logs of
        `fit`, all of them in `evaluate`, however they were batched and padded. Losses and metrics
        of Keras, and functions, are averaged in the same way.

        Args:
            optimizer: a Keras optimiser or its name. With `gradient_accumulation_steps` a step is
                on the mean over the tokens of all accumulated batches, as if they were one.
            loss: by default `TokenCrossEntropy`, the mean over real tokens.
            label_smoothing: of the default loss.
            metrics: further metrics.
            weighted_metrics: by default token accuracy and perplexity over real tokens.
            jit_compile: "auto" is True on JAX only. XLA on TensorFlow compiles anew for each
                batch shape, and cannot differentiate a loop of unknown length.
            learning_rates: learning rates of their own for groups of weights, by the names that
                `freeze` takes: numbers, schedules or optimisers. `optimizer` trains the rest; a
                weight that several names mean is in the last of these groups.
            gradient_checkpointing: compute the inner values of Transformer blocks again in the
                backward pass: less memory for the time of another forward pass. Results are the
                same.
            fused_loss: compute output projection, loss and metrics of a training step in one, by
                chunks of tokens, so that the logits of a batch are never held: less memory and
                time, results equal up to rounding. "auto" does so where it can: with the default
                loss and metrics, in float32 and bfloat16.
            teacher_forcing: whether the decoder reads true ids in training, or its own outputs:
                True or False, the share of true ids, a schedule of that share, or a
                `ScheduledSampling`. Validation and `evaluate` are always teacher forced.
            r_drop: weight of R-Drop [Liang et al. 2021]: each row is read twice in a step, under
                different dropout, and the loss has half of this weight times the symmetric
                divergence of the two distributions of each token. 5 is the authors' value for
                translation. Twice the time and memory of a step, which is not fused.
            **kwargs: as in Keras.

        Raises:
            ValueError: a loss or a metric that takes logits for probabilities, or sums over a
                batch; `jit_compile=True` for recurrent layers, but on JAX; `learning_rates` of
                weights that are not there or not trained; `gradient_checkpointing` without
                Transformer blocks; `fused_loss=True` where a step cannot be fused;
                `teacher_forcing` that is none of these; `r_drop` without dropout; optimisers of
                groups with different `gradient_accumulation_steps`.

        Example:
            >>> model.compile(keras.optimizers.Adam(1e-5), learning_rates={"cross_attention": 1e-3})
        """
        sampling = as_sampling(teacher_forcing)
        alpha = checked_alpha(r_drop, self)
        if alpha and fused_loss is True:
            raise ValueError("fused_loss=True: r_drop needs all logits; leave fused_loss out")
        checkpoint_gradients(self.network, gradient_checkpointing)
        if learning_rates:
            optimizer = with_learning_rates(optimizer, learning_rates, self.weight_groups)
        found = compile_arguments(
            self.preset.architecture,
            loss=loss,
            label_smoothing=label_smoothing,
            metrics=metrics,
            weighted_metrics=weighted_metrics,
            jit_compile=jit_compile,
        )
        fuse = False if alpha else fused_loss
        self._fused_step = fused_step(self, fuse, found["loss"], found["weighted_metrics"])
        super().compile(optimizer=optimizer, **found, **kwargs)
        sum_gradients(self.optimizer)
        add_up_rows(self.optimizer)
        accumulation = token_accumulation(self.optimizer)
        self._loss_tracker = LossTracker()
        self._fused_loss = fused_loss
        self._r_drop = alpha
        self._sampling = sampling
        self._accumulation = accumulation

    def get_compile_config(self) -> Any:
        """Returns the arguments of `compile` that Keras saves."""
        config = super().get_compile_config()
        if config and checkpoints_gradients(self.network):
            config["gradient_checkpointing"] = True
        if config and self._fused_loss != "auto":
            config["fused_loss"] = self._fused_loss
        if config and self._r_drop:
            config["r_drop"] = self._r_drop
        if config and self._sampling is not None:
            config["teacher_forcing"] = keras.saving.serialize_keras_object(self._sampling)
        return config

    def training_report(self) -> list[str]:
        """Returns what is frozen, which weights have which learning rate, whether gradients are
        checkpointed or accumulated, and what the decoder reads beside true ids, in a line each.
        """
        frozen = frozen_report(self)
        optimizer = self.optimizer if self.compiled else None
        lines = [*([frozen] if frozen else []), *rates_report(optimizer, self.weights)]
        if checkpoints_gradients(self.network):
            lines.append("gradient checkpointing")
        if self._r_drop:
            lines.append(f"R-Drop of weight {self._r_drop:g}: each row twice in a step")
        if self._sampling is not None:
            lines.append(self._sampling.described(self.network))
        if self._accumulation is not None:
            lines.append(
                f"gradients accumulated over {self._accumulation.steps} batches, each token alike"
            )
        return lines

    def summary(self, *args: Any, **kwargs: Any) -> None:
        """Prints the layers, as `keras.Model.summary` does, and `training_report()`."""
        super().summary(*args, **kwargs)
        for line in self.training_report():
            (kwargs.get("print_fn") or print)(f" {line}")

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles a loaded model with its saved arguments and optimiser; called by Keras."""
        config = keras.saving.deserialize_keras_object(config)
        config["jit_compile"] = "auto"  # the backend that loads may not be the one that saved
        self.compile(**config)
        self.optimizer.build(self.trainable_variables)

    def evaluate(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Returns the loss and metrics of the model on test data, as `keras.Model.evaluate` does.

        Raises:
            ValueError: as `fit` does, and where all weights are 0.
        """
        given = named_arguments(keras.Model.evaluate, x, y, *args, **kwargs)
        if not self.compiled:
            self.compile()
        # Within `fit` the validation data are those that it has checked.
        if not given.get("_use_cached_eval_dataset"):
            weights = given.get("sample_weight")
            given["x"] = self._data_checks.checked(x, y, weights, "x", "model.evaluate({})")
            if needs_no_tuning(x):
                given["x"] = untuned(x)
            check_rows(x, "evaluate")
            given = without_tuning(self, given)
        with kept_weights(self):
            result = super().evaluate(**given)
        tracker = self._loss_tracker
        if isinstance(tracker, LossTracker) and not keras.ops.convert_to_numpy(tracker.tokens):
            raise ValueError(
                "nothing was measured: all tokens of these data have weight 0; look at "
                "decoder_padding_mask, sample_weight and labels"
            )
        return result

    def fit(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Trains the model, usually on `data.Batches(pairs, model.preprocessor)`, as
        `keras.Model.fit` does.

        A model that was not compiled is compiled with Adam and the default loss. With arrays,
        `sample_weight` is of rows, `[N]` or `[N, 1]`, or of tokens, `[N, T]`; labels of -100 are
        left out.

        Raises:
            ValueError: texts instead of batches; inputs that lack masks; ids outside the
                vocabulary; rows longer than the model's positions; labels that are not the decoder
                inputs moved by one, or none that counts; `class_weight`; weights that were frozen
                or added since an earlier `fit`, without another `compile`.
        """
        given = named_arguments(keras.Model.fit, x, y, *args, **kwargs)
        refuse_class_weight(given.get("class_weight"))
        if not self.compiled:
            self.compile()
        refuse_other_weights(self)
        if self.optimizer is not None:
            # Otherwise Keras on TensorFlow makes its variables in the first step, and so traces
            # that step twice.
            self.optimizer.build(self.trainable_variables)
        weights = given.get("sample_weight")
        checks = self._data_checks
        given["x"] = checks.checked(x, y, weights, "x", "model.fit({})", is_whole=True)
        if (validation := given.get("validation_data")) is not None:
            given["validation_data"] = checks.checked_validation(validation)
        if isinstance(x, Batches):
            # It shuffles by its own seed; Keras would shuffle again by a global one.
            given.setdefault("shuffle", False)
        callbacks = given.get("callbacks") or []
        if isinstance(callbacks, list | tuple):  # and not Keras' own CallbackList
            compiles = self.train_function is None and not self.run_eagerly
            given["callbacks"] = with_own_callbacks(
                callbacks,
                x,
                initial_epoch=given.get("initial_epoch", 0),
                announce=compiles and bool(given.get("verbose", "auto")),
            )
            if needs_no_tuning(x):
                given["x"] = untuned(x)
        if needs_no_tuning(validation):
            given["validation_data"] = untuned(validation)
        check_parallel(self)
        check_rows(x, "x")
        if isinstance(validation, Batches):
            check_rows(validation, "validation_data")
            if validation is x:
                given["validation_data"] = whole(given["validation_data"], x)
        given = without_tuning(self, given, "validation_data")
        with kept_weights(self), share_of_rows(x):
            return super().fit(**given)

    def predict(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """Returns the logits `[N, T, V]` of given decoder inputs, as `keras.Model.predict` does.

        Raises:
            ValueError: texts, which `generate` takes; inputs that lack masks, ids outside the
                vocabulary, rows longer than the model's positions.
        """
        self._data_checks.check_inputs(x)
        given = named_arguments(keras.Model.predict, x, *args, **kwargs)
        return super().predict(**without_tuning(self, given))

    def predict_on_batch(self, x: Any) -> Any:
        """Returns the logits of one batch, as `keras.Model.predict_on_batch` does, after the
        checks of `predict`.
        """
        self._data_checks.check_inputs(x, "predict_on_batch()")
        return super().predict_on_batch(x)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Returns the logits of inputs, as `keras.Model.__call__` does.

        Raises:
            ValueError: texts, which `generate` takes.
        """
        if args and isinstance(args[0], str | list | tuple):
            self._data_checks.refuse_text(args[0], "model(inputs)")
        return super().__call__(*args, **kwargs)

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """Trains on one batch, as `keras.Model.train_on_batch` does, after the checks of `fit`."""
        refuse_class_weight(class_weight)
        refuse_other_weights(self)
        self._data_checks.checked(x, y, sample_weight, "x", "model.fit({})")
        return super().train_on_batch(x, y, sample_weight, return_dict=return_dict)

    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """Evaluates one batch, as `keras.Model.test_on_batch` does, after the checks of
        `evaluate`.
        """
        self._data_checks.checked(x, y, sample_weight, "x", "model.evaluate({})")
        return super().test_on_batch(x, y, sample_weight, return_dict=return_dict)
