"""Translates the names of tensors that TensorFlow's and Flax's classes wrote into PyTorch's.

transformers 4 had each model in up to three libraries, with one set of names in three spellings:

    PyTorch       model.encoder.layers.0.fc1.weight                          [out, in]
    TensorFlow    tf_bart_for_.../model/encoder/layers.0/fc1/kernel:0        [in, out]
    Flax          model/encoder/layers/0/fc1/kernel                          [in, out]

Every tensor under the name of a kernel is transposed. GPT-2's projections are [in, out] in
PyTorch too: there TensorFlow's file has them as `weight`, and Flax's as a kernel [out, in].
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from keras_s2s.checkpoints.files.tensor_file import Layout, TensorSpec


class Stored(NamedTuple):
    """Where a tensor is stored, and how it is brought into PyTorch's layout.

    Attributes:
        name: its name in the file.
        axes: how to permute the stored axes; `None` for as they are.
        spec: shape and type in PyTorch's layout.
    """

    name: str
    axes: tuple[int, ...] | None
    spec: TensorSpec


# The last part of a name, where it differs from PyTorch's.
_TENSORFLOW = {
    "kernel": "weight",
    "embeddings": "weight",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
_FLAX = {
    "kernel": "weight",
    "embedding": "weight",
    "scale": "weight",
    "mean": "running_mean",
    "var": "running_var",
}
# BERT's first checkpoints, and PyTorch's own from before its rename.
_OLD_TORCH = {"gamma": "weight", "beta": "bias"}

# Kernels by their number of axes: dense, convolution over time, over an image.
_KERNEL_AXES = {2: (1, 0), 3: (2, 1, 0), 4: (3, 2, 0, 1)}

# Never a tensor's whole name.
_LEAVES = {*_TENSORFLOW, *_FLAX, "weight", "bias"}


def without_scope(name: str, *, layer: str | None = None, shortened: bool = False) -> str:
    """Returns a TensorFlow variable's name without the model's own name and the device number.

    Args:
        name: the variable's name.
        layer: the model's layer that it belongs to, where that is known. A model that was built
            without ever being called put no name of its own above its layers'.
        shortened: whether it comes from a shard or from safetensors. There transformers left the
            model's name out already, except in names like `model.shared/model.shared/weight`.
    """
    name = name.removesuffix(":0")
    first, _, rest = name.partition("/")
    if first == layer and rest.partition("/")[0] != layer:
        return name
    # Some versions wrote `shared/weight`, with no model's name above it.
    if not rest or rest in _LEAVES or (shortened and "model." not in name):
        return name
    return rest


def torch_names(layout: Layout, specs: Mapping[str, TensorSpec]) -> list[tuple[str, Stored]]:
    """Returns PyTorch's name of each tensor of a checkpoint, with the name and form that it is
    stored in.

    The same name may come twice, where a file has a tensor under two names; that is for the caller
    to refuse.

    Args:
        layout: whose names `specs` has.
        specs: all tensors of the checkpoint: some names can be told from their neighbours only.
            TensorFlow's are those that `without_scope` gives.
    """
    if layout == "tensorflow":
        named = [_tensorflow(name, spec) for name, spec in specs.items()]
        return _without_main_layer(named)
    if layout == "flax":
        return [_flax(name, spec) for name, spec in specs.items()]
    return [_torch(name, spec) for name, spec in specs.items()]


def _torch(name: str, spec: TensorSpec) -> tuple[str, Stored]:
    above, _, leaf = name.rpartition(".")
    if leaf in _OLD_TORCH and above.endswith("LayerNorm"):
        return f"{above}.{_OLD_TORCH[leaf]}", Stored(name, None, spec)
    return name, Stored(name, None, spec)


def _tensorflow(name: str, spec: TensorSpec) -> tuple[str, Stored]:
    # "mlm___cls" is called cls in PyTorch; "block_._0" is block.0.
    parts = [re.sub(r".*___", "", part) for part in name.split("/")]
    *above, leaf = "/".join(parts).replace("_._", "/").split("/")
    stored = _permuted(name, spec, kernel=leaf == "kernel")
    if leaf == "bias" and len(spec.shape) == 2 and spec.shape[0] == 1:
        # GPT-2's projections keep their bias as a row.
        stored = stored._replace(spec=TensorSpec(spec.shape[1:], spec.dtype))
    return ".".join([*above, _TENSORFLOW.get(leaf, leaf)]), stored


def _flax(name: str, spec: TensorSpec) -> tuple[str, Stored]:
    # Arrays in a msgpack file are joined by slashes, those in safetensors by dots.
    *above, leaf = name.replace("/", ".").split(".")
    if above and above[0] in ("params", "batch_stats"):
        above = above[1:]
    stored = _permuted(name, spec, kernel=leaf == "kernel")
    return ".".join([*above, _FLAX.get(leaf, leaf)]), stored


def _permuted(name: str, spec: TensorSpec, *, kernel: bool) -> Stored:
    axes = _KERNEL_AXES.get(len(spec.shape)) if kernel else None
    if axes is None:
        return Stored(name, None, spec)
    return Stored(name, axes, TensorSpec(tuple(spec.shape[axis] for axis in axes), spec.dtype))


def _without_main_layer(named: list[tuple[str, Stored]]) -> list[tuple[str, Stored]]:
    """Drops a level that only TensorFlow has: an encoder's main layer, as in encoder.bert.pooler.

    TensorFlow's base classes are a shell around one layer; PyTorch's are that layer. It shows in
    TFEncoderDecoderModel, whose encoder is a base class and whose decoder is not.
    """
    paths = [name.split(".") for name, _ in named]
    if {path[0] for path in paths} - {"enc_to_dec_proj"} != {"encoder", "decoder"}:
        return named
    main = {path[1] for path in paths if path[0] == "encoder" and len(path) > 1}
    if len(main) != 1:
        return named
    prefix = f"encoder.{main.pop()}."
    return [(re.sub(f"^{re.escape(prefix)}", "encoder.", name), stored) for name, stored in named]


__all__ = ["Stored", "torch_names", "without_scope"]
