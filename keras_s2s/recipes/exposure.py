"""Measures exposure bias on the test split of a recipe, where it asks for that."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from keras_s2s.analysis.exposure_bias import exposure_bias
from keras_s2s.config import RecipeConfig
from keras_s2s.data.batches import Batches

if TYPE_CHECKING:
    from keras_s2s.model import Seq2SeqLM


def exposure_metrics(
    model: Seq2SeqLM, examples: Iterable[Any] | Batches, recipe: RecipeConfig
) -> dict[str, float]:
    """Returns `ExposureBias.summary` of a test split; nothing unless `evaluation.exposure_bias`.

    Args:
        model: the trained model.
        examples: pairs of texts, or batches where the recipe has an objective.
        recipe: the recipe.
    """
    if not recipe.evaluation.exposure_bias:
        return {}
    if not isinstance(examples, Batches):
        limits = recipe.data.model_dump(
            include={"max_source_length", "max_target_length", "overlong"}
        )
        examples = Batches(examples, model.preprocessor, shuffle=False, **limits)
    return exposure_bias(model, examples).summary()
