"""Makes the model of a recipe that begins with pretrained weights."""

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


def tuned(recipe: RecipeConfig, make_model: Callable[..., Any]) -> Any:
    """Makes the model of a checkpoint, with its own tokenizer.

    Args:
        recipe: one without `text`.
        make_model: `Seq2SeqLM.from_preset`.

    Raises:
        ConfigError: a zoo entry without weights, or a folder without a tokenizer.
    """
    # Defaults of the checkpoint's own hold where a recipe says nothing.
    is_given = bool(recipe.generation.model_fields_set)
    made = make_model(recipe.model, generation=recipe.generation if is_given else None)
    if made.preprocessor is None:
        raise ConfigError(
            f"model: {recipe.model} has no tokenizer that can be read, and texts need one; name "
            "tokenizers to train (text), or a checkpoint with its own"
        )
    return made


def in_languages(made: Any, src_lang: str | None, tgt_lang: str | None) -> None:
    """Makes the languages that a recipe names those of a pretrained model.

    Raises:
        ConfigError: the model has no such language, or none at all.
    """
    if src_lang is not None or tgt_lang is not None:
        made.preprocessor = made.preprocessor.in_languages(src_lang, tgt_lang)
