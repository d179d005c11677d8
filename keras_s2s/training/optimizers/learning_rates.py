"""Learning rates of their own for groups of weights, such as pre-trained and new ones."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from typing import Any

import keras

from keras_s2s.training.optimizers.weight_groups import WeightGroups, described


def with_learning_rates(
    optimizer: Any, rates: Mapping[str, Any], groups: WeightGroups
) -> keras.optimizers.Optimizer:
    """Returns an optimiser that trains groups of weights with learning rates of their own.

    It is a `keras.optimizers.MultiOptimizer`: each group has a copy of the optimiser, with its own
    state. What concerns all weights at once, `global_clipnorm`, concerns those of a group then.

    Args:
        optimizer: a Keras optimiser or its name; it trains the weights that no group has.
        rates: name of a group (a part of the network, or a pattern of paths) -> its learning rate,
            a number or a schedule; or an optimiser of its own. A weight that several names mean
            is in the last of these groups.
        groups: finds the weights of a name.

    Raises:
        ValueError: a name that means no weight, a group whose weights are all in later ones or
            are not trained, or a value that is no learning rate.

    Example:
        >>> rates = {"decoder": 1e-4, "cross_attention": 1e-3}
        >>> optimizer = keras.optimizers.Adam(1e-5)
        >>> model.compile(with_learning_rates(optimizer, rates, model.weight_groups))
    """
    optimizer = keras.optimizers.get(optimizer)
    if isinstance(optimizer, keras.optimizers.MultiOptimizer):
        raise ValueError(
            "learning_rates= makes a MultiOptimizer of one optimiser, but optimizer is one; "
            "give it a single optimiser, or leave learning_rates out"
        )
    owner: dict[str, str] = {}
    for name in rates:
        owner |= {weight.path: name for weight in groups.find(name)}
    trained = {weight.path for weight in groups.weights if weight.trainable}
    chosen = {}
    for name, rate in rates.items():
        paths = [path for path, group in owner.items() if group == name]
        if not paths:
            raise ValueError(
                f"learning_rates[{name!r}]: all of its weights are in later groups; put {name!r} "
                "after them, or leave it out"
            )
        if not trained.intersection(paths):
            raise ValueError(
                f"learning_rates[{name!r}]: none of its weights is trained, they are frozen; leave "
                "it out"
            )
        # One pattern for a group: Keras makes an optimiser of each key when it loads them.
        chosen["|".join(map(re.escape, paths))] = _of_group(name, rate, optimizer)
    return keras.optimizers.MultiOptimizer(
        keras.optimizers.OptimizerMap(optimizer, chosen),
        loss_scale_factor=optimizer.loss_scale_factor,  # it sets those of the optimisers
    )


def _of_group(name: str, rate: Any, optimizer: Any) -> keras.optimizers.Optimizer:
    """Returns the optimiser of a group."""
    if isinstance(rate, keras.optimizers.Optimizer):
        return rate
    is_rate = isinstance(rate, keras.optimizers.schedules.LearningRateSchedule) or (
        isinstance(rate, int | float) and not isinstance(rate, bool) and rate > 0
    )
    if not is_rate:
        raise ValueError(
            f"learning_rates[{name!r}] is {rate!r}; expected a number above 0, a learning-rate "
            'schedule or an optimiser (to keep weights as they are: model.freeze("...")'
        )
    config = optimizer.get_config()
    # keras.callbacks.TensorBoard logs rates by the optimisers' names.
    config["name"] = f"{optimizer.name}_{re.sub('[^A-Za-z0-9]+', '_', name).strip('_')}"
    config["learning_rate"] = (
        keras.saving.serialize_keras_object(rate)
        if isinstance(rate, keras.optimizers.schedules.LearningRateSchedule)
        else float(rate)
    )
    copied = type(optimizer).from_config(config)
    for name in _NOT_IN_CONFIG:
        if hasattr(optimizer, name):
            setattr(copied, name, copy.copy(getattr(optimizer, name)))
    return copied


#: What `exclude_from_weight_decay` of an optimiser sets, and its configuration lacks.
_NOT_IN_CONFIG = ("_exclude_from_weight_decay", "_exclude_from_weight_decay_pattern")


def rates_report(optimizer: Any, weights: Any) -> list[str]:
    """Returns, for each learning rate, which weights have it, in a line each."""
    if not isinstance(optimizer, keras.optimizers.MultiOptimizer):
        return []
    chosen: dict[int, tuple[Any, list[Any]]] = {}
    for weight in weights:
        if weight.trainable:
            each = optimizer._optimizer_map(weight)
            chosen.setdefault(id(each), (each, []))[1].append(weight)
    return [
        f"learning rate {_rate(each)}: {described(found, weights)}"
        for each, found in chosen.values()
    ]


def _rate(optimizer: Any) -> str:
    rate = optimizer._learning_rate
    if isinstance(rate, keras.optimizers.schedules.LearningRateSchedule):
        settings = rate.get_config()
        # The rate that the others are fractions of, by the names of Keras and of this package.
        peaks = (settings.get(key) for key in ("peak", "warmup_target", "initial_learning_rate"))
        peak = next((f"{value:g} " for value in peaks if value), "")
        return f"{peak}({type(rate).__name__})"
    return f"{float(keras.ops.convert_to_numpy(optimizer.learning_rate)):g}"
