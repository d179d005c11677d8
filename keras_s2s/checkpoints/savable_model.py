"""A Keras model that is saved completely: configuration, weights, quantisation, tokenizer files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras

from keras_s2s.checkpoints.assignment import check_finite
from keras_s2s.checkpoints.errors import CheckpointError
from keras_s2s.checkpoints.keras_weights import check_weights_file, kept_on_error, noted_misfits
from keras_s2s.checkpoints.preset_folder import TOKENIZER_FOLDER, save_preset
from keras_s2s.config import GenerationConfig, PresetConfig, SpecialIds
from keras_s2s.config.reading import read_config
from keras_s2s.layers.lora import adapters_of, is_adapter, merged_kernels
from keras_s2s.layers.quantised import quantise_again, quantised_layers
from keras_s2s.preset_changes import with_preprocessor
from keras_s2s.text.preprocessor import Preprocessor

#: Weights that an error names.
MISFITS = 10


class WeightsCheck(keras.Operation):
    """Checks the weights of a model while Keras loads them from a `.keras` file.

    Keras loads what the attributes of a model hold, those with a leading underscore last. So this
    is asked to load variables of its own once all weights are there, and raises an error if they
    are not finite.

    Args:
        weights: returns the weights of the model.
    """

    def __init__(self, weights: Callable[[], Sequence[Any]]) -> None:
        super().__init__()
        self._weights = weights

    def load_own_variables(self, store: Any) -> None:
        """Raises an error if weights are NaN or infinite; called by Keras."""
        check_finite("the file", self._weights())


class SavableModel(keras.Model):
    """Base class of the model: what it carries besides weights, and how Keras saves and loads it.

    The constructor of a subclass takes the configuration as its first argument, and sets the
    attributes.

    Attributes:
        preset: architecture, special ids and generation defaults.
        _preprocessor: preprocessor (text to ids and back); None for a model that works on ids.
        _dtype: name of the dtype policy of the layers.
    """

    preset: PresetConfig
    _preprocessor: Preprocessor | None
    _dtype: str

    @property
    def preprocessor(self) -> Preprocessor | None:
        """The preprocessor (text to ids and back); None for a model that works on ids.

        Another one can be assigned. Its special ids and default languages are then the model's:
        they apply to every call, and are saved and exported with it.

        Example:
            >>> model = Seq2SeqLM.from_preset("mbart_large_50")
            >>> model.preprocessor = model.preprocessor.in_languages("en_XX", "ko_KR")
        """
        return self._preprocessor

    @preprocessor.setter
    def preprocessor(self, preprocessor: Preprocessor | None) -> None:
        if preprocessor is not None:
            self.preset = with_preprocessor(self.preset, preprocessor)
        self._preprocessor = preprocessor

    @property
    def _weights_check(self) -> WeightsCheck:
        return WeightsCheck(lambda: self.weights)

    @property
    def special_ids(self) -> SpecialIds:
        """Special ids of the model: decoder start, BOS, EOS, PAD, languages."""
        return self.preset.special_ids

    @property
    def generation_config(self) -> GenerationConfig:
        """Defaults of `generate`."""
        return self.preset.generation

    def save_to_preset(self, directory: str | Path, *, merge_adapters: bool = False) -> None:
        """Writes a folder that `from_preset` reads, under any backend.

        It holds `preset.yaml`, `model.safetensors` and the tokenizer's files.

        Args:
            directory: the folder; made if missing.
            merge_adapters: add LoRA adapters to the kernels that they adapt, and write a plain
                model; otherwise they stay adapters. This model stays as it is.
        """
        layers = self._flatten_layers()
        preset, weights, merged = self.preset, self.weights, None
        if merge_adapters:
            weights = [weight for weight in weights if not is_adapter(weight)]
            merged = merged_kernels(layers)
        elif adapters := adapters_of(layers):
            preset = preset.model_copy(update={"adapters": adapters})
        save_preset(directory, preset, weights, self.preprocessor, values=merged)

    def get_config(self) -> dict[str, Any]:
        """Returns the configuration that Keras saves; `from_config` of it makes a copy with new
        weights.

        Do not use `keras.models.clone_model`, which rebuilds a functional model from its layers: it
        returns a plain Keras model, in which weights are no longer tied.
        """
        return {
            "config": self.preset.model_dump(mode="json"),
            "dtype": self._dtype,
            "name": self.name,
            "has_preprocessor": self.preprocessor is not None,
            "quantised": quantised_layers(self._flatten_layers()),
            "frozen": self._frozen_paths(),
        }

    def _frozen_paths(self) -> list[str]:
        """Returns the paths of weights that are not trained; Keras saves an adapter merged, into a
        plain model, in which all are.
        """
        if any(getattr(layer, "lora_enabled", False) for layer in self._flatten_layers()):
            return []
        return [weight.path for weight in self.weights if not weight.trainable]

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> SavableModel:
        config = dict(config)
        config.pop("has_preprocessor", None)
        quantised, frozen = config.pop("quantised", {}), set(config.pop("frozen", ()))
        preset = read_config(PresetConfig, config.pop("config"), origin="the saved model")
        model = cls(preset, **config)
        quantise_again(model._flatten_layers(), quantised)
        for weight in model.weights:
            if weight.path in frozen:
                weight.trainable = False
        return model

    def load_weights(self, filepath: Any, *args: Any, **kwargs: Any) -> None:
        """Loads weights as `keras.Model.load_weights` does: all of them, or none.

        LoRA weights are saved merged into those they adapt, and load into a plain model. The old
        weights are kept until all are loaded, and stay where there is an error.

        Raises:
            FileNotFoundError: there is no such file.
            CheckpointError: the file cannot be read; the weights are those of another model, or
                of this one quantised otherwise; or they are NaN or infinite.

        Example:
            >>> model.save_weights("best.weights.h5")
            >>> model.load_weights("best.weights.h5")
        """
        check_weights_file(filepath)
        variables = {id(each): each for each in self.variables}
        if getattr(self, "optimizer", None) is not None:
            variables |= {id(each): each for each in self.optimizer.variables}
        with kept_on_error(variables.values()):
            self._load_all(filepath, *args, **kwargs)

    def _load_all(self, filepath: Any, *args: Any, **kwargs: Any) -> None:
        """Loads weights, and raises an error where they do not fit, perhaps after some of them."""
        try:
            with noted_misfits() as misfits:
                super().load_weights(filepath, *args, **kwargs)
        except OSError as error:
            raise CheckpointError(f"{filepath} cannot be read: {error}") from None
        except ValueError as error:
            check_finite(filepath, self.weights)
            modes = {how["mode"] for how in quantised_layers(self._flatten_layers()).values()}
            now = f"quantised ({', '.join(sorted(modes))})" if modes else "not quantised"
            lines = [f"{path}: {note}" for path, note in misfits.items()]
            told = "\n".join(["", *lines[:MISFITS], *["..."][: len(lines) > MISFITS], ""])
            raise CheckpointError(
                f"{filepath}: these weights do not fit this model. {told if lines else error} They "
                f"are those of a model of other sizes, or quantised otherwise: this one is {now}, "
                "and weights of a quantised model load after model.quantize() with the same mode, "
                "plain ones before it."
            ) from None
        check_finite(filepath, self.weights)

    def save_assets(self, directory: str) -> None:
        """Writes the tokenizer's files; called by Keras for `save("m.keras")`."""
        if self.preprocessor is not None:
            self.preprocessor.save(directory)

    def load_assets(self, directory: str) -> None:
        """Reads the tokenizer's files that `save_assets` wrote; called by Keras."""
        if (Path(directory) / TOKENIZER_FOLDER).is_dir():
            self.preprocessor = Preprocessor.load(directory, self.special_ids)
