"""Checks whether backend, processor and model can multiply in a compute type."""

from __future__ import annotations

from collections.abc import Iterable

import keras

from keras_s2s.options.compute_types import check_name

#: What the processor must have for each type, as messages call it.
INSTRUCTIONS = {"int8": "AVX512-VNNI", "bfloat16": "AVX512-BF16 or AMX"}

REMEDY = "leave compute_type out (None)"


def check_available(compute_type: str | None) -> None:
    """Raises an error where the running backend or the processor lacks a compute type.

    Args:
        compute_type: one of `options.compute_types.COMPUTE_TYPES`, or None, which is always there.

    Raises:
        ValueError: no such type, another backend than PyTorch, or a processor that would be
            slower, or wrong, with it.
    """
    check_name(compute_type)
    if compute_type is None:
        return
    backend = keras.backend.backend()
    if backend != "torch":
        raise ValueError(
            f"compute_type={compute_type} is there on PyTorch only, and the running backend is "
            f"{backend}: {REMEDY}, or set KERAS_BACKEND=torch"
        )
    if not _processor_has(compute_type):
        raise ValueError(
            f"compute_type={compute_type} needs a processor with {INSTRUCTIONS[compute_type]}, and "
            f"PyTorch finds none here: {REMEDY}"
        )


def _processor_has(compute_type: str) -> bool:
    import torch

    if compute_type == "bfloat16":
        # Others compute it in float32, with conversions besides.
        return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    # Without VNNI sums of two products are kept in 16 bits, which may overflow.
    return torch.cpu._is_vnni_supported() and torch.backends.quantized.engine in ("x86", "fbgemm")


def check_layers(compute_type: str | None, layers: Iterable[keras.layers.Layer]) -> None:
    """Raises an error where the layers of a model do not go together with a compute type.

    Raises:
        ValueError: a layer is quantised by Keras, computes in another type than float32, or has
            its weights on another device than the CPU.
    """
    if compute_type is None:
        return
    for layer in layers:
        mode = getattr(layer, "quantization_mode", None)
        if mode is not None:
            raise ValueError(
                f"compute_type={compute_type}: the layer {layer.path} is quantised as {mode!r} by "
                f"model.quantize(), and multiplies so already: {REMEDY}"
            )
        if {layer.compute_dtype, layer.variable_dtype} != {"float32"}:
            raise ValueError(
                f"compute_type={compute_type} is for models in float32, and the layer {layer.path} "
                f"has the dtype policy {layer.dtype_policy.name}: {REMEDY}, or load the model with "
                "dtype='float32'"
            )
        for variable in layer.variables[:1]:
            device = variable.value.device.type
            if device != "cpu":
                raise ValueError(
                    f"compute_type={compute_type} is for the CPU, and the weights of {layer.path} "
                    f"are on the device {device}: {REMEDY}, or load the model with dtype="
                    "'bfloat16'"
                )
