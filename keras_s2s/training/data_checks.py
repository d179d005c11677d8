"""Checks the arguments of Keras' training methods, and their data, before the first step."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from keras_s2s.config import SpecialIds
from keras_s2s.data.batches import Batches
from keras_s2s.data.checks.checked_batches import checked_batches
from keras_s2s.data.checks.given_texts import is_texts, refuse_texts
from keras_s2s.data.checks.model_limits import ModelLimits
from keras_s2s.text.preprocessor import Preprocessor


def named_arguments(method: Callable[..., Any], *args: Any, **kwargs: Any) -> dict[str, Any]:
    """Returns the arguments of a call of a Keras method by their names.

    Example:
        >>> named_arguments(keras.Model.fit, [1], [2], 32, epochs=2)
        {'x': [1], 'y': [2], 'batch_size': 32, 'epochs': 2}
    """
    given = inspect.signature(method).bind(None, *args, **kwargs).arguments
    further = given.pop("kwargs", {})
    del given["self"]
    return {**given, **further}


def refuse_class_weight(class_weight: Any) -> None:
    """Raises an error for `class_weight`, since targets have no classes.

    Raises:
        ValueError: there are some.
    """
    if class_weight is not None:
        raise ValueError(
            "class_weight weighs examples by their class, but a target here is a sequence of ids "
            "and has none; pass sample_weight: one for each row, [N], or for each token, [N, T]"
        )


@dataclass(frozen=True)
class DataChecks:
    """Checks of the data that a model is trained on.

    Attributes:
        limits: sizes of the model's tables.
        special_ids: of the model.
        preprocessor: of the model; None for one that works on ids.
    """

    limits: ModelLimits
    special_ids: SpecialIds
    preprocessor: Preprocessor | None

    def checked(
        self, x: Any, y: Any, weights: Any, name: str, call: str, *, is_whole: bool = False
    ) -> Any:
        """Returns `x` after checking it, or with a check of each batch.

        Args:
            x, y, weights: as `fit` takes them.
            name: of the argument, for messages.
            call: the call, for messages, with `{}` in the place of the data.
            is_whole: arrays are all data there is, so that some label must count.

        Raises:
            ValueError: texts instead of batches; inputs that lack masks; ids outside the
                vocabulary; rows longer than the model's positions; labels that are not the
                decoder inputs moved by one; no label that counts; another preprocessor than
                the model's.
        """
        refuse_texts(x, call)
        if isinstance(x, Batches):
            theirs, mine = x.preprocessor, self.preprocessor
            if theirs is not None and mine is not None and not mine.encodes_like(theirs):
                raise ValueError(
                    "these Batches were made with another preprocessor than the model's: their "
                    "ids mean other tokens. Make them with model.preprocessor"
                )
            x.check_limits(self.limits, name)
        elif y is not None or isinstance(x, Mapping):
            self.limits.check_batch((x, y, weights), name, self.special_ids, is_whole=is_whole)
        else:
            return checked_batches(x, self.limits.check_batch, name)
        return x

    def checked_validation(self, data: Any) -> Any:
        """Returns the `validation_data` of `fit` after checking them as `checked` does.

        Raises:
            ValueError: as `checked` does, and for an empty tuple.
        """
        name, call = "validation_data", "validation_data={}"
        if isinstance(data, tuple | list) and not data:
            raise ValueError(
                f"validation_data={data!r} is empty; pass data.Batches(pairs, "
                "model.preprocessor), (x, y) or (x, y, sample_weight), or leave it out"
            )
        if isinstance(data, tuple | list) and isinstance(data[0], Mapping):
            x, y, weights = [*data, None, None][:3]
            self.checked(x, y, weights, name, call, is_whole=True)
            return data
        return self.checked(data, None, None, name, call)

    def check_inputs(self, x: Any, call: str = "predict()") -> None:
        """Raises an error for inputs that `predict` cannot take.

        Args:
            x: the inputs.
            call: the function that was called, for messages.

        Raises:
            ValueError: texts; inputs that lack masks; ids outside the vocabulary; rows longer
                than the model's positions.
        """
        self.refuse_text(x, call)
        if isinstance(x, Batches):
            x.check_limits(self.limits, "x")
        elif isinstance(x, Mapping):
            self.limits.check_ids(x, "x")

    def refuse_text(self, x: Any, call: str) -> None:
        """Raises an error for texts where inputs are expected; arguments as of `check_inputs`."""
        if is_texts(x):
            raise ValueError(
                f"{call} returns logits of given decoder inputs, and this is text; "
                "model.generate(texts) generates from texts, model.score(sources, targets) "
                "measures given targets"
            )
