"""A Keras model that `save` writes whole: configuration, weights, quantisation, tokenizer files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras

from keras_s2s.checkpoints.assignment import check_finite
from keras_s2s.checkpoints.errors import CheckpointError
from keras_s2s.checkpoints.preset_folder import TOKENIZER_FOLDER
from keras_s2s.config import GenerationConfig, PresetConfig, SpecialIds
from keras_s2s.layers.quantised import quantise_again, quantised_layers
from keras_s2s.preset_changes import with_preprocessor
from keras_s2s.text.preprocessor import Preprocessor


class SavableModel(keras.Model):
    """What a model carries besides weights, and how Keras saves and loads it.

    A subclass takes the configuration as its first argument, and sets the attributes.

    Attributes:
        preset: architecture, special ids and generation defaults.
        _preprocessor: text <-> ids; None for a model that works on ids.
        _dtype: name of the dtype policy of the layers.
    """

    preset: PresetConfig
    _preprocessor: Preprocessor | None
    _dtype: str

    @property
    def preprocessor(self) -> Preprocessor | None:
        """Text <-> ids; None for a model that works on ids.

        Another one can be given. Its special ids and default languages are then the model's: they
        hold in every call, and are saved and exported with it.

        Example:
            >>> model.preprocessor = model.preprocessor.in_languages("en_XX", "ko_KR")
        """
        return self._preprocessor

    @preprocessor.setter
    def preprocessor(self, preprocessor: Preprocessor | None) -> None:
        if preprocessor is not None:
            self.preset = with_preprocessor(self.preset, preprocessor)
        self._preprocessor = preprocessor

    @property
    def special_ids(self) -> SpecialIds:
        """Ids with a meaning of their own."""
        return self.preset.special_ids

    @property
    def generation_config(self) -> GenerationConfig:
        """Defaults of `generate`."""
        return self.preset.generation

    def get_config(self) -> dict[str, Any]:
        """Keras saves this; `from_config(model.get_config())` is a copy with new weights.

        Use that in place of `keras.models.clone_model`, which takes a functional model apart into
        its layers: what it returns is a plain Keras model, and tied weights are tied no longer.
        """
        return {
            "config": self.preset.model_dump(mode="json"),
            "dtype": self._dtype,
            "name": self.name,
            "has_preprocessor": self.preprocessor is not None,
            "quantised": quantised_layers(self._flatten_layers()),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> SavableModel:
        config = dict(config)
        config.pop("has_preprocessor", None)
        quantised = config.pop("quantised", {})
        model = cls(config.pop("config"), **config)
        quantise_again(model._flatten_layers(), quantised)
        return model

    def load_weights(self, filepath: Any, *args: Any, **kwargs: Any) -> None:
        """`keras.Model.load_weights`; what does not fit, or is not finite, is an error.

        LoRA weights are saved merged into those they adapt, and load into a plain model.

        Raises:
            CheckpointError: the weights are those of another model, or of this one quantised
                otherwise; or they are NaN or infinite.
        """
        try:
            super().load_weights(filepath, *args, **kwargs)
        except ValueError as error:
            modes = {how["mode"] for how in quantised_layers(self._flatten_layers()).values()}
            now = f"quantised ({', '.join(sorted(modes))})" if modes else "not quantised"
            raise CheckpointError(
                f"{filepath}: these weights do not fit this model, which is {now}. Weights of a "
                "quantised model load after model.quantize() with the same mode; plain ones "
                f"before it. {error}"
            ) from None
        check_finite(filepath, self.weights)

    def save_assets(self, directory: str) -> None:
        """Keras calls this for `save("m.keras")`: the tokenizer travels as files."""
        if self.preprocessor is not None:
            self.preprocessor.save(directory)

    def load_assets(self, directory: str) -> None:
        """Keras calls this on loading what `save_assets` wrote."""
        if (Path(directory) / TOKENIZER_FOLDER).is_dir():
            self.preprocessor = Preprocessor.load(directory, self.special_ids)
