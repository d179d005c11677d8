"""Weights laid out for decoding on PyTorch, and the operations that use them.

On the CPU oneDNN multiplies few rows with a float32 matrix two to three times as fast where the
matrix lies in blocks of its own choice. Such a copy is made once, and again only where the
weight has changed: a checksum over the bits of every weight, at memory speed, is compared at
the start of each generation, so that nothing is stale however a weight was changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
from keras import ops

from keras_s2s.layers.kernels import ACTIVATIONS, Kernels
from keras_s2s.layers.masks import LOWEST
from keras_s2s.layers.positions import sinusoidal_table


class Prepared(NamedTuple):
    """A matrix made ready.

    Attributes:
        sources: tensors of the variables it was made of, `[D, N]` each and side by side; or one
            token table `[N, D]`.
        checksums: of their bits when it was made ready.
        matrix: packed by oneDNN, or `[N, D]` as PyTorch multiplies it.
        packed: which of both.
    """

    sources: tuple[Any, ...]
    checksums: tuple[Any, ...]
    matrix: Any
    packed: bool

    @property
    def is_fresh(self) -> bool:
        """Whether no source has changed; where nothing is packed the source itself serves."""
        return not self.packed or self.checksums == tuple(map(checksum, self.sources))


#: What oneDNN calls the activations it can apply to a product, and the variant of each.
FUSED = {
    "relu": ("relu", ""),
    "gelu": ("gelu", "none"),
    "gelu_tanh": ("gelu", "tanh"),
    "silu": ("swish", ""),
}


class PreparedWeights(Kernels):
    """Prepared copies of a network's matrices, made when a generation first needs them.

    Example:
        >>> prepared = PreparedWeights()
        >>> with kernels.use(prepared), torch.inference_mode():
        ...     network.step(tokens, state, 0)
    """

    def __init__(self) -> None:
        self._matrices: dict[tuple[int, ...], Prepared] = {}
        self._used: set[tuple[int, ...]] = set()
        self._layers: dict[Any, tuple[Any, ...]] = {}
        self._sinusoids: dict[int, Any] = {}

    def refresh(self) -> None:
        """Forget what was made of weights that have changed since, or are gone."""
        self._matrices = {
            key: known
            for key, known in self._matrices.items()
            if key in self._used and known.is_fresh
        }
        self._used.clear()
        self._layers.clear()

    def is_plain(self, layer: keras.layers.Layer) -> bool:
        """Whether Keras does nothing around a call of `layer` that would be missed."""
        return (
            layer.compute_dtype == layer.variable_dtype
            and getattr(layer, "quantization_mode", None) is None
        )

    # ------------------------------------------------------------------ operations

    def linear(self, dense: keras.layers.Dense, x: Any) -> Any:
        known = self._known((dense,))
        return dense(x) if known is None else multiply(x, known[0], known[1])

    def linears(self, denses: Sequence[keras.layers.Dense], x: Any) -> Sequence[Any]:
        # One product in place of several: each costs a call, whatever its size.
        known = self._known(tuple(denses))
        if known is None:
            return [self.linear(dense, x) for dense in denses]
        return multiply(x, known[0], known[1]).split([dense.units for dense in denses], dim=-1)

    def activated(self, activation: str, dense: keras.layers.Dense, x: Any) -> Any:
        known = self._known((dense,))
        if known is None or not known[0].packed:
            return ACTIVATIONS[activation](self.linear(dense, x))
        return multiply(x, known[0], known[1], *FUSED[activation])

    def _known(self, denses: tuple[keras.layers.Dense, ...]) -> tuple[Any, ...] | None:
        """Matrix and bias of layers side by side; None where they cannot be made ready so."""
        key = tuple(map(id, denses))
        known = self._layers.get(key)
        if known is None:
            biased = {dense.bias is not None for dense in denses}
            if not all(map(self._is_linear, denses)) or len(biased) > 1:
                return None
            matrix = self._prepare([dense.kernel.value for dense in denses])
            if matrix is None:
                return None
            biases = [dense.bias.value for dense in denses if dense.bias is not None]
            # The layers themselves are kept, so that their ids stay their own.
            known = self._layers[key] = (matrix, side_by_side(biases) if biases else None, denses)
        return known

    def _is_linear(self, dense: keras.layers.Dense) -> bool:
        linear = dense.activation in (None, keras.activations.linear)
        return self.is_plain(dense) and linear and not dense.lora_enabled

    def logits(self, table: keras.layers.ReversibleEmbedding, x: Any, bias: Any) -> Any:
        known = self._layers.get(id(table))
        if known is None:
            plain = table.tie_weights and table.logit_soft_cap is None and not table.lora_enabled
            if not plain or not self.is_plain(table):
                return super().logits(table, x, bias)
            matrix = self._prepare([table.embeddings.value], is_table=True)
            known = self._layers[id(table)] = (matrix, table)
        return multiply(x, known[0], None if bias is None else bias.value).float()

    def layer_norm(self, norm: keras.layers.LayerNormalization, x: Any) -> Any:
        import torch

        known = self._layers.get(id(norm))
        if known is None:
            if not self.is_plain(norm) or norm.rms_scaling or norm.beta is None:
                return norm(x)
            shape = tuple(norm.gamma.shape)
            known = (shape, norm.gamma.value, norm.beta.value, norm.epsilon, norm)
            self._layers[id(norm)] = known
        return torch.nn.functional.layer_norm(x, *known[:4])

    def call(self, layer: keras.layers.Layer, *arguments: Any, **options: Any) -> Any:
        if not self.is_plain(layer):
            return layer(*arguments, **options)
        return layer.call(*arguments, **options)

    def sinusoids(self, start: int, length: int, dim: int) -> Any:
        table = self._sinusoids.get(dim)
        if table is None or start + length > table.shape[0]:
            # The next power of two, so that a growing sequence makes few tables.
            count = 1 << (start + length - 1).bit_length()
            table = sinusoidal_table(ops.arange(count, dtype="int32"), dim)
            self._sinusoids[dim] = table
        return table[start : start + length]

    def reshape(self, x: Any, shape: tuple[Any, ...]) -> Any:
        return x.reshape(shape)

    def split_heads(self, x: Any, num_heads: int) -> Any:
        return x.unflatten(-1, (num_heads, -1)).transpose(1, 2)

    def merge_heads(self, x: Any) -> Any:
        return x.transpose(1, 2).flatten(2)

    def context(self, query: Any, key: Any, value: Any, mask: Any) -> Any:
        import torch

        if query.device.type != "cpu":
            # Softmax in float32 inside, as in `masked_softmax`; the scale is part of the query.
            return torch.nn.functional.scaled_dot_product_attention(
                query, key, value, attn_mask=mask, scale=1.0
            )
        # With the few queries of a step plain products are up to three times as fast there.
        scores = torch.matmul(query, key.transpose(-1, -2)).float()  # float16 has no LOWEST
        if mask is not None:
            scores.masked_fill_(~mask, LOWEST)
        return torch.matmul(torch.softmax(scores, -1).to(value.dtype), value)

    # ------------------------------------------------------------------ inside

    def _prepare(self, sources: Sequence[Any], *, is_table: bool = False) -> Prepared | None:
        key = tuple(source.data_ptr() for source in sources)
        known = self._matrices.get(key)
        shapes = [source.shape for source in sources]
        if known is None or [source.shape for source in known.sources] != shapes:
            known = prepare(sources, is_table=is_table)
            if known is None:
                return None
            self._matrices[key] = known
        self._used.add(key)
        return known


def checksum(tensor: Any) -> tuple[int, bytes]:
    """What changes with any weight of a float32 matrix, at the price of reading it once.

    The sum of its bits, modulo 2^32; and its first row and column, since rows or columns that
    change places, and signs that change together, leave the sum as it is.
    """
    import torch

    tensor = tensor.detach().contiguous()
    edges = torch.cat([tensor[0], tensor[:, 0]]).numpy().tobytes()
    return int(tensor.view(torch.int32).sum(dtype=torch.int32)), edges


def prepare(sources: Sequence[Any], *, is_table: bool = False) -> Prepared | None:
    """Make a matrix ready: packed by oneDNN on the CPU in float32, as it is elsewhere.

    Args:
        sources: kernels `[D, N]`, put side by side; or one table `[N, D]`.

    Returns:
        None for several sources where nothing is packed: a plain copy of them gains nothing.
    """
    import torch

    tensors = tuple(source.detach() for source in sources)
    packs = (
        tensors[0].device.type == "cpu"
        and all(tensor.dtype == torch.float32 for tensor in tensors)
        and torch.backends.mkldnn.is_available()
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    )
    if not packs and len(tensors) > 1:
        return None
    matrix = tensors[0] if is_table else side_by_side(tensors).t()  # both take [N, D]
    if not packs:
        return Prepared(tensors, (), matrix, False)
    packed = torch.ops.mkldnn._reorder_linear_weight(matrix, None)
    return Prepared(tensors, tuple(map(checksum, tensors)), packed, True)


def side_by_side(tensors: Sequence[Any]) -> Any:
    """`[..., N]` of each to `[..., sum of N]`."""
    import torch

    return tensors[0] if len(tensors) == 1 else torch.cat(tuple(tensors), dim=-1)


def multiply(
    x: Any, prepared: Prepared, bias: Any, activation: str = "none", variant: str = ""
) -> Any:
    """`x [..., D]` times a prepared matrix, plus a bias `[N]` or None; activated, if packed."""
    import torch

    if prepared.packed:
        return torch.ops.mkldnn._linear_pointwise.default(
            x, prepared.matrix, bias, activation, [], variant
        )
    return torch.nn.functional.linear(x, prepared.matrix, bias)
