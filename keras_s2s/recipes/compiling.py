"""Compiles the model of a recipe: what is trained, with which optimiser and learning rates."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import keras

from keras_s2s.config import ConfigError, LoraConfig, RecipeConfig, TrainingConfig
from keras_s2s.layers.transformer.checkpointing import checkpoint_gradients
from keras_s2s.training.data_parallel import data_parallel
from keras_s2s.training.losses.r_drop import checked_alpha
from keras_s2s.training.optimizers.freezing import frozen_weights
from keras_s2s.training.optimizers.schedules import make_optimizer
from keras_s2s.training.scheduled_sampling import make_sampling

if TYPE_CHECKING:
    from keras_s2s.model import Seq2SeqLM


def compile_by(training: TrainingConfig, model: Seq2SeqLM, total_steps: int) -> list[str]:
    """Freezes the weights that a recipe names, or adds adapters, and compiles the model.

    Args:
        training: of the recipe.
        model: the model to train; it is not compiled.
        total_steps: batches of the whole run, for schedules.

    Returns:
        lines for the log: what is frozen, which weights have which learning rate, and what the
        decoder reads beside true ids.

    Raises:
        ConfigError: a name that means no weight of the model; more batches for a step than there
            are.
    """
    if training.gradient_checkpointing:
        # Alone, so that an error of it names its own key.
        _checked("gradient_checkpointing", checkpoint_gradients, model.network, True)
    if training.lora is not None:
        _with_adapters(training.lora, model)
    if training.freeze:
        _checked("freeze", model.freeze, training.freeze)
    if training.accumulate > total_steps:
        raise ConfigError(
            f"training.accumulate: {training.accumulate} batches for a step, but the run has "
            f"{total_steps}, so that it would change no weight; accumulate fewer"
        )
    optimizer = training.optimizer
    options: dict[str, Any] = {"ema": training.ema, "accumulate": training.accumulate}
    total_steps //= training.accumulate
    rates = {
        name: make_optimizer(
            optimizer.model_copy(update={"learning_rate": rate, "learning_rates": {}}),
            total_steps,
            **options,
        )
        for name, rate in optimizer.learning_rates.items()
    }
    _checked("r_drop", checked_alpha, training.r_drop, model)
    sampling = make_sampling(training.teacher_forcing, total_steps, training.seed)
    _checked(
        "optimizer.learning_rates",
        model.compile,
        make_optimizer(optimizer, total_steps, **options),
        label_smoothing=training.label_smoothing,
        learning_rates=rates or None,
        gradient_checkpointing=training.gradient_checkpointing,
        teacher_forcing=True if sampling is None else sampling,
        r_drop=training.r_drop,
    )
    return model.training_report()


@contextlib.contextmanager
def devices_of(recipe: RecipeConfig) -> Iterator[None]:
    """Makes the devices of `training.data_parallel` those that models within it are trained on.

    Raises:
        ConfigError: there are fewer devices, or, on PyTorch, processes.
    """
    count = recipe.training.data_parallel
    if count > 1 and keras.backend.backend() == "torch" and "WORLD_SIZE" not in os.environ:
        raise ConfigError(
            f"training.data_parallel: {count} devices, but PyTorch trains in processes; start them "
            f"with torchrun --nproc-per-node={count} -m keras_s2s train RECIPE, or use the "
            "TensorFlow or JAX backend"
        )
    with contextlib.ExitStack() as stack:
        _checked("data_parallel", stack.enter_context, data_parallel(count))
        yield


def _with_adapters(lora: LoraConfig, model: Seq2SeqLM) -> None:
    """Adds LoRA adapters, and has other weights trained that a recipe names."""
    _checked("lora", model.enable_lora, lora.rank, alpha=lora.alpha, targets=lora.targets)
    for name in lora.train:
        _checked("lora.train", _train, model, name)


def _train(model: Seq2SeqLM, name: str) -> None:
    fixed = {id(weight) for weight in frozen_weights(model)}
    for weight in model.weight_groups.find(name):
        if id(weight) in fixed:
            weight.trainable = True


def _checked(key: str, function: Any, *arguments: Any, **options: Any) -> None:
    try:
        function(*arguments, **options)
    except ValueError as error:
        raise ConfigError(f"training.{key}: {error}") from None
