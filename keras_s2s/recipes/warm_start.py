"""Makes the model of a recipe that begins with a pretrained encoder and decoder."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras_s2s.config import ConfigError, RecipeConfig, WarmStartConfig


def warm_started(
    halves: WarmStartConfig, recipe: RecipeConfig, warm_start: Callable[..., Any] | None
) -> Any:
    """Makes the model of an encoder and a decoder.

    Raises:
        ConfigError: a half without a tokenizer.
    """
    if warm_start is None:
        raise ConfigError(f"warm_start: {halves}: run_recipe needs warm_start for two checkpoints")
    made = warm_start(
        halves.encoder,
        halves.decoder,
        load_weights=halves.load_weights,
        tie_encoder_decoder=halves.tie_encoder_decoder,
        generation=recipe.generation,
    )
    if made.preprocessor is None:
        raise ConfigError(
            f"warm_start: {halves}: a folder has no tokenizer that can be read, and texts need one"
        )
    return made
