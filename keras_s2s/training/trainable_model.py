"""A Keras model whose losses and metrics are means over real tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from keras_s2s.config import PresetConfig
from keras_s2s.data.batches import Batches
from keras_s2s.data.checks.model_limits import ModelLimits
from keras_s2s.fair_lock import FairLock
from keras_s2s.layers.transformer.checkpointing import checkpoint_gradients, checkpoints_gradients
from keras_s2s.text.preprocessor import Preprocessor
from keras_s2s.training.callbacks import CompilingMessage
from keras_s2s.training.compiling import compile_arguments
from keras_s2s.training.data_checks import DataChecks, named_arguments, refuse_class_weight
from keras_s2s.training.data_parallel import (
    check_parallel,
    check_rows,
    first_replica,
    parallel_step,
    replicas,
    share_of_rows,
    sum_gradients,
    whole,
)
from keras_s2s.training.empty_epochs import EmptyEpochs
from keras_s2s.training.kept_weights import kept_weights
from keras_s2s.training.losses.fused_step import FusedStep, current_step, fused, fused_step
from keras_s2s.training.losses.metrics import LossTracker
from keras_s2s.training.losses.r_drop import checked_alpha, rows_twice, with_divergence
from keras_s2s.training.losses.token_weights import token_weights
from keras_s2s.training.optimizers.accumulation import (
    TokenAccumulation,
    share_of_replica,
    token_accumulation,
    with_factor,
)
from keras_s2s.training.optimizers.freezing import (
    frozen_report,
    refuse_other_weights,
)
from keras_s2s.training.optimizers.learning_rates import rates_report, with_learning_rates
from keras_s2s.training.partly_trained_model import PartlyTrainedModel
from keras_s2s.training.restored_epoch import RestoredEpoch
from keras_s2s.training.scheduled_sampling import (
    ScheduledSampling,
    as_sampling,
    with_mixed_inputs,
)
from keras_s2s.training.share_schedules import ShareSchedule
from keras_s2s.training.taken_turns import taking_turns
from keras_s2s.training.tensorflow_passes import PassHooks, needs_no_tuning, untuned


class TrainableModel(PartlyTrainedModel):
    """Base class of the model: `compile`, `fit`, `evaluate` and the like for sequences of ids.

    A functional Keras model with the inputs of its frontend (for token ids `encoder_token_ids` and
    `encoder_padding_mask`), `decoder_token_ids` and `decoder_padding_mask`, and logits
    `[batch, target, vocabulary]`.
    Data are checked before the first step, and a step takes turns with other uses of the
    weights. A subclass builds the graph and sets the attributes.

    Attributes:
        preset: architecture and special ids.
        _preprocessor: text <-> ids; None for a model that works on ids.
        _turns: the lock that a step holds.
        _fused_step: set where `compile` fuses output projection, loss and metrics.
        _r_drop: weight of the divergence between two passes; 0 makes one pass.
        _sampling: which decoder inputs of a step are true; None is all of them.
        _accumulation: set where a step of the optimiser is over several batches.
    """

    preset: PresetConfig
    _preprocessor: Preprocessor | None
    _turns: FairLock
    _fused_step: FusedStep | None = None
    _fused_loss: bool | str = "auto"
    _r_drop: float = 0.0
    _sampling: ScheduledSampling | None = None
    _accumulation: TokenAccumulation | None = None

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
        if needs_no_tuning(x) and isinstance(callbacks, list | tuple):
            given["x"] = untuned(x)
            callbacks = given["callbacks"] = [PassHooks(x), *callbacks]
        if needs_no_tuning(validation):
            given["validation_data"] = untuned(validation)
        is_first = self.train_function is None and not self.run_eagerly
        if is_first and given.get("verbose", "auto") and isinstance(callbacks, list | tuple):
            callbacks = [CompilingMessage(), *callbacks]
        if isinstance(x, Batches) and isinstance(callbacks, list | tuple):
            callbacks = [*callbacks, RestoredEpoch(x, given.get("initial_epoch", 0))]
        if isinstance(callbacks, list | tuple):
            given["callbacks"] = [*callbacks, EmptyEpochs()]
        check_parallel(self)
        check_rows(x, "x")
        if isinstance(validation, Batches):
            check_rows(validation, "validation_data")
            if validation is x:
                given["validation_data"] = whole(given["validation_data"], x)
        with kept_weights(self), share_of_rows(x):
            return super().fit(**given)

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        """Builds loss and metrics, by what one replica gets of a batch; called by Keras."""
        if replicas() > 1 and keras.backend.backend() == "tensorflow" and iterator is not None:
            # Keras would take the mean over replicas, which masks do not have.
            data_batch, iterator = first_replica(next(next(iter(iterator))[2])), None
        super()._maybe_symbolic_build(iterator=iterator, data_batch=data_batch)

    def predict(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """Returns the logits `[N, T, V]` of given decoder inputs, as `keras.Model.predict` does.

        Raises:
            ValueError: texts, which `generate` takes; inputs that lack masks, ids outside the
                vocabulary, rows longer than the model's positions.
        """
        self._data_checks.check_inputs(x)
        return super().predict(x, *args, **kwargs)

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

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Returns the logits of inputs; hidden vectors within a fused training step."""
        if training and (step := current_step()) is not None:
            return step.hidden(inputs)
        return super().call(inputs, training=training, mask=mask)

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
