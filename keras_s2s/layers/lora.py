"""LoRA adapters of dense layers [Hu 2021, arXiv:2106.09685]: adding, listing and merging them.

An adapter is two small matrices, whose product is added to a kernel that stays as it is. Keras' own
`Dense.enable_lora` computes it; these functions say which layers have one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import keras
from keras import ops

from keras_s2s.config import AdapterConfig
from keras_s2s.config.nearest import close_words, either

#: Names of the matrices in the path of a variable.
MATRICES = ("lora_kernel_a", "lora_kernel_b")


def adapters_of(layers: Iterable[keras.layers.Layer]) -> dict[str, AdapterConfig]:
    """Returns the adapter of each layer that has one, by the layer's path."""
    adapted = (layer for layer in layers if getattr(layer, "lora_enabled", False))
    return {
        layer.path: AdapterConfig(rank=layer.lora_rank, alpha=layer.lora_alpha)
        for layer in sorted(adapted, key=lambda layer: str(layer.path))
    }


def adapter_config(rank: Any, alpha: Any) -> AdapterConfig:
    """Returns the settings of an adapter; an `alpha` of None is the rank.

    Raises:
        ValueError: a number that cannot be meant.
    """
    alpha = rank if alpha is None else alpha
    if not isinstance(rank, int) or isinstance(rank, bool) or rank < 1:
        raise ValueError(f"rank={rank!r}; expected a whole number above 0")
    if not isinstance(alpha, int | float) or isinstance(alpha, bool) or not alpha > 0:
        raise ValueError(f"alpha={alpha!r}; expected a number above 0")
    return AdapterConfig(rank=rank, alpha=float(alpha))


def adaptable(layers: Iterable[keras.layers.Layer], targets: Sequence[str]) -> list[Any]:
    """Returns the dense layers that targets mean.

    Args:
        layers: of a built network.
        targets: names of projections of attention (query, key, value, output), or patterns of the
            paths of dense layers.

    Raises:
        ValueError: a target that means no layer; names the nearest.
    """
    denses = {layer.path: layer for layer in layers if isinstance(layer, keras.layers.Dense)}
    chosen: dict[str, Any] = {}
    for target in targets:
        found = {path: layer for path, layer in denses.items() if _means(target, path)}
        if not found:
            names = dict.fromkeys(path.rpartition("/")[2] for path in denses if _attends(path))
            near = close_words(str(target), [*names, *denses], n=3)
            hint = f"the nearest are {either(near)}" if near else f"there are {either(names)}"
            raise ValueError(f"no dense layer of the attention is called {target!r}; {hint}")
        chosen |= found
    return [layer for path, layer in denses.items() if path in chosen]


def _means(target: str, path: str) -> bool:
    if "/" in target or "*" in target:
        return fnmatchcase(path, target)
    return _attends(path) and path.rpartition("/")[2] == target


def _attends(path: str) -> bool:
    return any(part.endswith("attention") for part in path.split("/")[:-1])


def add_adapters(
    layers: Iterable[keras.layers.Layer], adapters: Mapping[str, AdapterConfig]
) -> None:
    """Gives layers new adapters, which change no result until they are trained or loaded.

    Raises:
        ValueError: a path that no dense layer has.
    """
    named = {layer.path: layer for layer in layers if isinstance(layer, keras.layers.Dense)}
    for path in adapters:
        if path not in named:
            raise ValueError(f"there is no dense layer {path!r}, which has a LoRA adapter")
    for path, adapter in adapters.items():
        named[path].enable_lora(adapter.rank, lora_alpha=adapter.alpha)


def is_adapter(variable: Any) -> bool:
    """Returns whether a variable is a matrix of an adapter."""
    return variable.path.rpartition("/")[2] in MATRICES


def adapter_shapes(
    shapes: Mapping[str, tuple[int, ...]], adapters: Mapping[str, AdapterConfig]
) -> dict[str, tuple[int, ...]]:
    """Returns the shapes of adapters' matrices by path, from those of the kernels."""
    found: dict[str, tuple[int, ...]] = {}
    for path, adapter in adapters.items():
        if (shape := shapes.get(f"{path}/kernel")) is not None:
            found[f"{path}/{MATRICES[0]}"] = (shape[0], adapter.rank)
            found[f"{path}/{MATRICES[1]}"] = (adapter.rank, shape[1])
    return found


def merged_kernels(layers: Iterable[keras.layers.Layer]) -> dict[str, Any]:
    """Returns kernels with their adapters added, by path, in the kernels' own types."""
    merged = {}
    for layer in layers:
        if getattr(layer, "lora_enabled", False):
            kernel = ops.cast(layer._kernel.value, "float32")
            update = ops.matmul(layer.lora_kernel_a.value, layer.lora_kernel_b.value)
            total = kernel + layer.lora_alpha / layer.lora_rank * update
            merged[layer._kernel.path] = ops.cast(total, layer._kernel.dtype)
    return merged
