"""What a run writes for TensorBoard: values, generated texts, and pictures of the attention."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras

from keras_s2s.config import ConfigError, TensorBoardConfig
from keras_s2s.recipes.records.pictures import attends
from keras_s2s.recipes.records.run_folder import TENSORBOARD
from keras_s2s.training.sample_texts import SampleTexts

if TYPE_CHECKING:
    from keras_s2s.model import Seq2SeqLM


def check_tensorboard(config: TensorBoardConfig) -> None:
    """Raises an error where a package is missing, before any work is done.

    Raises:
        ConfigError: with what to install.
    """
    needed = ["tensorflow", "tensorboard", *(["matplotlib"] if config.attention else [])]
    missing = [name for name in needed if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"training.tensorboard: needs {' and '.join(missing)}; pip install "
            f"{' '.join(missing)}, or leave it out"
        )


def tensorboard_callbacks(
    config: TensorBoardConfig,
    model: Seq2SeqLM,
    validation: Sequence[Any],
    directory: Path,
    **generation_options: Any,
) -> tuple[list[Any], list[Any]]:
    """Makes the callbacks of a run for TensorBoard.

    Args:
        config: of the recipe.
        model: that is trained.
        validation: pairs; texts and pictures are of the first ones.
        directory: of the run.
        **generation_options: to `generate`.

    Returns:
        those that generate, with the weights that are validated; and those after all values are
        known.

    Raises:
        ConfigError: pictures of the attention of a model without any.
    """
    logs = directory / TENSORBOARD
    generating: list[Any] = []
    options: dict[str, Any] = {"every": config.every, **generation_options}
    if config.texts:
        generating.append(SampleTexts(validation[: config.texts], logs, **options))
    if config.attention:
        if not attends(model):
            raise ConfigError(
                "training.tensorboard.attention: this model has no attention that could be drawn; "
                "set attention: 0"
            )
        from keras_s2s.analysis.attention_pictures import AttentionPictures

        sources = [source for source, _ in validation[: config.attention]]
        generating.append(AttentionPictures(sources, logs, **options))
    # Its graph would be Keras' layers, which tell little, and its profile is of TensorFlow alone.
    values = keras.callbacks.TensorBoard(str(logs), write_graph=False, profile_batch=0)
    return generating, [values]
