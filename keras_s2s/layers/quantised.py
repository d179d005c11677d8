"""Records which layers are quantised, and quantises the layers of a new model alike."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Mapping
from typing import Any

import keras

#: Modes that need nothing but the layer's own weights.
MODES = ("int8", "int4", "float8")


def quantised_layers(layers: Iterable[keras.layers.Layer]) -> dict[str, dict[str, Any]]:
    """Returns, for each quantised layer, its path, its mode and Keras' settings for it.

    Raises:
        ValueError: a mode that cannot be built again, or a LoRA adapter on quantised weights.
    """
    found = {}
    for layer in layers:
        mode = getattr(layer, "quantization_mode", None)
        if mode is None:
            continue
        if mode not in MODES:
            raise ValueError(
                f"the layer {layer.path} is quantised as {mode!r}, which cannot be loaded again; "
                f"save the model before model.quantize(), or use one of {', '.join(MODES)}"
            )
        if getattr(layer, "lora_enabled", False):
            # Keras merges the adapter and rounds the sum to the quantised grid again.
            raise ValueError(
                f"the layer {layer.path} is quantised as {mode!r} and has a LoRA adapter, which "
                "would be rounded away on saving; fine-tune with enable_lora() before "
                "model.quantize(), or save the model without quantisation"
            )
        settings = getattr(layer, "quantization_config", None)
        found[layer.path] = {
            "mode": mode,
            "config": keras.saving.serialize_keras_object(settings),
        }
    return found


def quantise_again(
    layers: Iterable[keras.layers.Layer], how: Mapping[str, Mapping[str, Any]]
) -> None:
    """Quantises the layers of a model that was just built as `quantised_layers` found them.

    Raises:
        ValueError: a layer that the model does not have.
    """
    if not how:
        return
    named = {layer.path: layer for layer in layers}
    # Keras collects garbage after each layer, which takes a second where much is imported.
    gc.freeze()
    try:
        for path, settings in how.items():
            if path not in named:
                raise ValueError(f"there is no layer {path!r}, which was quantised when saved")
            config = keras.saving.deserialize_keras_object(settings["config"])
            named[path].quantize(settings["mode"], config=config)
    finally:
        gc.unfreeze()
