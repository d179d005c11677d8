"""Weights laid out for decoding on PyTorch, and the operations that use them.

On the CPU oneDNN multiplies few rows with a float32 matrix two to three times as fast where the
matrix lies in blocks of its own choice. Such a copy is made once, and again only where the
weight has changed: a checksum over the bits of every weight, at memory speed, is compared at
the start of each generation, so that nothing is stale however a weight was changed.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
from keras import ops

from keras_s2s.layers.kernels import Kernels
from keras_s2s.layers.masks import LOWEST
from keras_s2s.layers.positions import sinusoidal_table


class Prepared(NamedTuple):
    """A matrix made ready.

    Attributes:
        source: the variable's tensor, `[D, N]`, or `[N, D]` for a token table.
        checksum: of its bits when it was made ready.
        matrix: packed by oneDNN, or as it is.
        packed: which of both.
    """

    source: Any
    checksum: Any
    matrix: Any
    packed: bool


class PreparedWeights(Kernels):
    """Prepared copies of a network's matrices, made when a generation first needs them.

    Example:
        >>> prepared = PreparedWeights()
        >>> with kernels.use(prepared), torch.inference_mode():
        ...     network.step(tokens, state, 0)
    """

    def __init__(self) -> None:
        self._matrices: dict[int, Prepared] = {}
        self._used: set[int] = set()
        self._layers: dict[int, tuple[Any, ...]] = {}
        self._sinusoids: dict[int, Any] = {}

    def refresh(self) -> None:
        """Forget what was made of weights that have changed since, or are gone."""
        self._matrices = {
            key: known
            for key, known in self._matrices.items()
            if key in self._used and (not known.packed or checksum(known.source) == known.checksum)
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
        known = self._layers.get(id(dense))
        if known is None:
            linear = dense.activation in (None, keras.activations.linear)
            if not self.is_plain(dense) or dense.lora_enabled or not linear:
                return dense(x)
            bias = None if dense.bias is None else dense.bias.value
            matrix = self._prepare(dense.kernel.value, transposed=True)
            # The layer itself is kept, so that its id stays its own.
            known = self._layers[id(dense)] = (matrix, bias, dense)
        return _multiply(x, known[0], known[1], transposed=True)

    def logits(self, table: keras.layers.ReversibleEmbedding, x: Any, bias: Any) -> Any:
        known = self._layers.get(id(table))
        if known is None:
            plain = table.tie_weights and table.logit_soft_cap is None and not table.lora_enabled
            if not plain or not self.is_plain(table):
                return super().logits(table, x, bias)
            matrix = self._prepare(table.embeddings.value, transposed=False)
            known = self._layers[id(table)] = (matrix, table)
        found = _multiply(x, known[0], None if bias is None else bias.value, transposed=False)
        return found.float()

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

    def _prepare(self, source: Any, *, transposed: bool) -> Prepared:
        key = source.data_ptr()
        self._used.add(key)
        known = self._matrices.get(key)
        if known is None or known.source.shape != source.shape:
            known = prepare(source, transposed=transposed)
            self._matrices[key] = known
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


def prepare(source: Any, *, transposed: bool) -> Prepared:
    """Make a matrix ready: packed by oneDNN on the CPU in float32, as it is elsewhere."""
    import torch

    tensor = source.detach()
    packs = (
        tensor.device.type == "cpu"
        and tensor.dtype == torch.float32
        and torch.backends.mkldnn.is_available()
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    )
    if not packs:
        return Prepared(tensor, None, tensor, False)
    matrix = tensor.t() if transposed else tensor  # oneDNN wants [N, D]
    return Prepared(
        tensor, checksum(tensor), torch.ops.mkldnn._reorder_linear_weight(matrix, None), True
    )


def _multiply(x: Any, prepared: Prepared, bias: Any, *, transposed: bool) -> Any:
    """`x [..., D]` times a prepared matrix, plus a bias `[N]` or None."""
    import torch

    if prepared.packed:
        return torch.ops.mkldnn._linear_pointwise.default(x, prepared.matrix, bias, "none", [], "")
    matrix = prepared.matrix.t() if transposed else prepared.matrix
    return torch.nn.functional.linear(x, matrix, bias)
