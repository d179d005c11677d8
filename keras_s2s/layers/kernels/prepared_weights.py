"""Prepares weights for fast decoding on PyTorch, and implements the operations that use them.

On the CPU oneDNN multiplies few rows with a float32 matrix two to three times as fast where the
matrix is stored in oneDNN's own block layout. Such a copy is made once, and again only where the
weight has changed: a checksum of the bits of every weight is compared at the start of each
generation, so that changes are noticed however they were made.

Other sets of kernels multiply otherwise and share all of this: `int8_weights.py`,
`bfloat16_weights.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from keras_s2s.layers.kernels.operations import ACTIVATIONS, Kernels
from keras_s2s.layers.kernels.readable_values import is_number, readable
from keras_s2s.layers.masks import LOWEST
from keras_s2s.layers.positions import places_from, sinusoidal_table
from keras_s2s.layers.transformer.relative_positions import RelativePositions, step_biases
from keras_s2s.typing import Tensor


class Prepared(NamedTuple):
    """A matrix that is prepared for products.

    Attributes:
        sources: tensors of the variables it was made of, `[D, N]` each and side by side; or one
            token table `[N, D]`.
        checksums: of their bits when it was made ready.
        matrix: packed by `PreparedWeights.pack`, or `[N, D]` as PyTorch multiplies it.
        packed: which of both.
    """

    sources: tuple[Any, ...]
    checksums: tuple[Any, ...]
    matrix: Any
    packed: bool

    @property
    def is_fresh(self) -> bool:
        """Whether the variables are unchanged; a matrix that is not packed is always fresh."""
        return not self.packed or self.checksums == tuple(map(checksum, self.sources))


#: What oneDNN calls the activations it can apply to a product, and the variant of each.
FUSED = {
    "relu": ("relu", ""),
    "gelu": ("gelu", "none"),
    "gelu_tanh": ("gelu", "tanh"),
    "silu": ("swish", ""),
}


#: Where weights are read from memory, fewer rows than these are multiplied together with copies of
#: themselves, four or more in all: with AVX-512 oneDNN then reads a large matrix in a fifth to a
#: quarter less time. Three rows are as fast alone, and so are any with AVX2.
FEW_ROWS = 3
ROWS_WITH_COPIES = 4


class PreparedWeights(Kernels):
    """Prepared copies of a network's matrices, made when a generation first needs them.

    Args:
        from_memory: whether a step reads the weights from memory, since they are more than the
            processor's caches hold.

    Example:
        >>> import torch
        >>> from keras_s2s.layers.kernels import operations
        >>> prepared = PreparedWeights()
        >>> with operations.use(prepared), torch.inference_mode():
        ...     memory = model.network.encode(inputs)
    """

    def __init__(self, *, from_memory: bool = False) -> None:
        import torch

        has_avx512 = torch.backends.cpu.get_cpu_capability() == "AVX512"
        self._copies_few_rows = from_memory and has_avx512
        self._matrices: dict[tuple[Any, ...], Prepared] = {}
        self._used: set[tuple[Any, ...]] = set()
        self._recorded: set[tuple[Any, ...]] = set()
        #: how often changed weights were found; what was made of the copies before is stale.
        self.changes = 0
        self._layers: dict[Any, tuple[Any, ...]] = {}
        self._sinusoids: dict[tuple[int, str], Any] = {}
        self._biases: dict[tuple[int, int], tuple[Any, Any]] = {}

    def refresh(self) -> None:
        """Drops the copies of weights that have changed or no longer exist."""
        used = self._used | self._recorded
        known = {key: matrix for key, matrix in self._matrices.items() if key in used}
        self._matrices = {key: matrix for key, matrix in known.items() if matrix.is_fresh}
        if len(self._matrices) < len(known):
            self.changes += 1
            self._recorded.clear()
        self._used.clear()
        self._layers.clear()
        self._biases.clear()

    def keep_used(self) -> None:
        """Keeps what was used since the last `refresh`, and looks whether it has changed, for as
        long as nothing has: a recorded step goes on using it.
        """
        self._recorded |= self._used

    def is_plain(self, layer: keras.layers.Layer) -> bool:
        """Returns whether Keras adds nothing to a call of `layer`: no cast, no quantisation."""
        return (
            layer.compute_dtype == layer.variable_dtype
            and getattr(layer, "quantization_mode", None) is None
        )

    # ------------------------------------------------------------------ products

    def pack(self, matrix: Tensor) -> Any:
        """Packs a float32 matrix `[N, D]` of finite numbers, for `product`."""
        import torch

        return torch.ops.mkldnn._reorder_linear_weight(matrix, None)

    def product(self, x: Tensor, packed: Any, bias: Tensor, activation: str | None) -> Tensor:
        """Multiplies `x [..., D]` by what `pack` returned, adds a bias `[N]` or None, and applies
        one of `FUSED` or None.
        """
        import torch

        multiply = torch.ops.mkldnn._linear_pointwise.default
        name, variant = FUSED[activation] if activation else ("none", "")
        rows = x.numel() // x.shape[-1]
        if not self._copies_few_rows or not 0 < rows < FEW_ROWS:
            return multiply(x, packed, bias, name, [], variant)
        copies = (x.reshape(rows, -1),) * (ROWS_WITH_COPIES // rows)
        y = multiply(torch.cat(copies), packed, bias, name, [], variant)
        return y[:rows].view(*x.shape[:-1], -1)

    def _multiply(
        self, x: Tensor, prepared: Prepared, bias: Tensor, activation: str | None = None
    ) -> Tensor:
        """Computes `product`, where the matrix is packed; where it is not, without activation."""
        import torch

        if prepared.packed:
            return self.product(x, prepared.matrix, bias, activation)
        # Keras' layers cast their inputs, too.
        return torch.nn.functional.linear(x.to(prepared.matrix.dtype), prepared.matrix, bias)

    # ------------------------------------------------------------------ operations

    def linear(self, dense: keras.layers.Dense, x: Tensor) -> Tensor:
        known = self._known((dense,))
        return dense(x) if known is None else self._multiply(x, known[0], known[1])

    def heads(
        self, denses: Sequence[keras.layers.Dense], x: Tensor, num_heads: int, scale: float | None
    ) -> Sequence[Tensor]:
        known = self._known(tuple(denses), scale)
        if known is None:
            first, *rest = [self.linear(dense, x) for dense in denses]
            parts = [first if scale is None else first * scale, *rest]
            return [self.split_heads(part, num_heads) for part in parts]
        # One product in place of several: each costs a call, whatever its size.
        y = self._multiply(x, known[0], known[1]).unflatten(-1, (len(denses), num_heads, -1))
        return y.permute(2, 0, 3, 1, 4).unbind()  # [B, T, n, H, D] -> n times [B, H, T, D]

    def activated(self, activation: str, dense: keras.layers.Dense, x: Tensor) -> Tensor:
        known = self._known((dense,))
        if known is None or not known[0].packed or activation not in FUSED:
            return ACTIVATIONS[activation](self.linear(dense, x))
        return self._multiply(x, known[0], known[1], activation)

    def _known(
        self, denses: tuple[keras.layers.Dense, ...], scale: float | None = None
    ) -> tuple[Any, ...] | None:
        """Returns matrix and bias of layers side by side; None where they cannot be prepared.

        Args:
            scale: a factor of the first one's outputs.
        """
        key = (*map(id, denses), scale)
        known = self._layers.get(key)
        if known is None:
            alike = {(dense.units, dense.bias is not None) for dense in denses}
            if not all(map(self._is_linear, denses)) or len(alike) > 1:
                return None
            matrix = self._prepare([dense.kernel.value for dense in denses], scale=scale)
            if matrix is None:
                return None
            biases = [dense.bias.value for dense in denses if dense.bias is not None]
            if biases and scale is not None:
                biases[0] = biases[0] * scale
            bias = side_by_side(biases) if biases else None
            if bias is not None and not bool(bias.isfinite().all()):
                return None  # see `prepare`
            # The layers themselves are kept, so that their ids stay their own.
            known = self._layers[key] = (matrix, bias, denses)
        return known

    def _is_linear(self, dense: keras.layers.Dense) -> bool:
        linear = dense.activation in (None, keras.activations.linear)
        plain = self.is_plain(dense) and shows_itself(dense, dense.kernel)
        return plain and linear and not dense.lora_enabled

    def logits(self, table: keras.layers.ReversibleEmbedding, x: Tensor, bias: Tensor) -> Tensor:
        known = self._layers.get(id(table))
        if known is None:
            plain = table.tie_weights and table.logit_soft_cap is None and not table.lora_enabled
            if not plain or not self.is_plain(table):
                return super().logits(table, x, bias)
            matrix = self._prepare([table.embeddings.value], is_table=True)
            known = self._layers[id(table)] = (matrix, table)
        return self._multiply(x, known[0], None if bias is None else bias.value).float()

    def layer_norm(self, norm: keras.layers.Layer, x: Tensor) -> Tensor:
        known = self._layers.get(id(norm))
        if known is None:
            arguments = self._norm_arguments(norm)
            if arguments is None:
                return norm(x)
            known = self._layers[id(norm)] = (*arguments, norm)
        return known[0](x, *known[1])

    def _norm_arguments(self, norm: keras.layers.Layer) -> tuple[Any, tuple[Any, ...]] | None:
        """Returns PyTorch's function and its arguments after `x`; None where it has none for this
        layer.
        """
        from torch.nn import functional

        if not self.is_plain(norm):
            return None
        if isinstance(norm, keras.layers.RMSNormalization):
            shape = tuple(norm.scale.shape)
            if not shows_itself(norm, norm.scale):
                return None
            return functional.rms_norm, (shape, norm.scale.value, norm.epsilon)
        if norm.rms_scaling or norm.beta is None or not shows_itself(norm, norm.gamma):
            return None
        shape = tuple(norm.gamma.shape)
        return functional.layer_norm, (shape, norm.gamma.value, norm.beta.value, norm.epsilon)

    def call(self, layer: keras.layers.Layer, *arguments: Any, **options: Any) -> Tensor:
        if not self.is_plain(layer):
            return layer(*arguments, **options)
        return layer.call(*arguments, **options)

    def sinusoids(self, start: Any, length: int, dim: int, layout: str) -> Tensor:
        if not isinstance(start, int) and not readable(start):
            return super().sinusoids(start, length, dim, layout)
        if not isinstance(start, int) and len(start.shape):
            known = self.sinusoids(0, int(start.max()) + length, dim, layout)
            return known[places_from(start, length)]
        table = self._sinusoids.get((dim, layout))
        if table is None or start + length > table.shape[0]:
            # The next power of two, so that a growing sequence makes few tables.
            count = 1 << (start + length - 1).bit_length()
            table = sinusoidal_table(ops.arange(count, dtype="int32"), dim, layout)
            self._sinusoids[dim, layout] = table
        return table[start : start + length]

    def relative_biases(
        self, tables: Sequence[RelativePositions], index: int, places: int, beams: int
    ) -> Iterable[Tensor]:
        if not is_number(index):
            return super().relative_biases(tables, index, places, beams)
        return [self._relative_bias(table, index, beams) for table in tables]

    def _relative_bias(self, layer: RelativePositions, index: int, beams: int) -> Tensor:
        """Returns the biases of positions 0 to `index`, each `beams` times: `[1, H, 1, (index + 1)
        * beams]`.

        They are the end of the biases of one long history: a view of a table made once.
        """
        table = self._biases.get((id(layer), beams), (None,))[0]
        if table is None or (index + 1) * beams > table.shape[-1]:
            count = 1 << index.bit_length()
            (table,) = step_biases([layer], count - 1, count, beams)
            # The layer itself is kept, so that its id stays its own.
            self._biases[id(layer), beams] = (table, layer)
        return table[..., table.shape[-1] - (index + 1) * beams :]

    def shape(self, x: Tensor) -> tuple[Any, ...]:
        return x.shape

    def reshape(self, x: Tensor, shape: tuple[Any, ...]) -> Tensor:
        return x.reshape(shape)

    def split_heads(self, x: Tensor, num_heads: int) -> Tensor:
        return x.unflatten(-1, (num_heads, -1)).transpose(1, 2)

    def merge_heads(self, x: Tensor) -> Tensor:
        return x.transpose(1, 2).flatten(2)

    def context(
        self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor, bias: Tensor
    ) -> Tensor:
        import torch

        if query.device.type != "cpu" and bias is None:
            # Softmax in float32 inside, as in `masked_softmax`; the scale is part of the query.
            return torch.nn.functional.scaled_dot_product_attention(
                query, key, value, attn_mask=mask, scale=1.0
            )
        # With the few queries of a step plain products are up to three times as fast there.
        scores = torch.matmul(query, key.transpose(-1, -2))
        if scores.dtype != torch.float32:
            scores = scores.float()  # float16 has no LOWEST
        if bias is not None:
            scores += bias
        if mask is not None:
            scores.masked_fill_(~mask, LOWEST)
        weights = torch.softmax(scores, -1)
        if weights.dtype != value.dtype:
            weights = weights.to(value.dtype)
        return torch.matmul(weights, value)

    def as_bias(self, mask: Tensor) -> tuple[Tensor, Tensor]:
        import torch

        if mask is None or not readable(mask):
            return mask, None
        if bool(mask.all()):
            return None, None  # nothing is hidden, as in a batch of one length
        return None, torch.zeros(mask.shape).masked_fill_(~mask, LOWEST)

    # ------------------------------------------------------------------ inside

    def _prepare(
        self, sources: Sequence[Any], *, is_table: bool = False, scale: float | None = None
    ) -> Prepared | None:
        key = (*[source.data_ptr() for source in sources], scale)
        known = self._matrices.get(key)
        shapes = [source.shape for source in sources]
        if known is None or [source.shape for source in known.sources] != shapes:
            known = prepare(sources, self.pack, is_table=is_table, scale=scale)
            if known is None:
                return None
            if known.packed or not packs(known.sources):
                self._matrices[key] = known
        self._used.add(key)
        return known


def shows_itself(layer: keras.layers.Layer, variable: keras.Variable) -> bool:
    """Returns whether a variable is read as it is stored, not as a layer around it casts it.

    A float32 layer inside one of mixed precision has to be called for Keras to see to that.
    """
    return bool(variable.dtype == layer.variable_dtype)


def checksum(tensor: Tensor) -> tuple[bytes, bytes]:
    """Returns a checksum that changes with the weights of a float32 matrix, at about the cost of
    reading them.

    The sum of each row, and the sum of the bits of each column, modulo 2^32. Rows that change
    places, and signs that change together, change the former; columns that change places, and
    what is too little to be seen in a sum of floats, the latter.
    """
    import torch

    tensor = tensor.detach().contiguous()
    rows, columns = [], torch.zeros(tensor.shape[1], dtype=torch.int32)
    # A part small enough to be read the second time from a cache of the processor.
    for part in tensor.split(max(1, 2**19 // tensor.shape[1])):
        rows.append(part.sum(1))
        columns += part.view(torch.int32).sum(0, dtype=torch.int32)
    return torch.cat(rows).numpy().tobytes(), columns.numpy().tobytes()


def prepare(
    sources: Sequence[Any],
    pack: Callable[[Tensor], Any],
    *,
    is_table: bool = False,
    scale: float | None = None,
) -> Prepared | None:
    """Prepares a matrix: packed on the CPU in float32, unchanged elsewhere.

    Args:
        sources: kernels `[D, N]`, put side by side; or one table `[N, D]`.
        pack: packs a matrix `[N, D]`.
        scale: a factor of the first one.

    Returns:
        None for several sources, or a scaled one, where nothing is packed: a plain copy of them
        gains nothing.
    """
    tensors = tuple(source.detach() for source in sources)
    checksums = tuple(map(checksum, tensors)) if packs(tensors) else ()
    # oneDNN's ReLU turns NaN into zero; PyTorch's does not, so that it is seen in the end.
    packable = checksums and all(sums_are_finite(sums) for sums in checksums)
    if not packable and (len(tensors) > 1 or scale is not None):
        return None
    scaled = tensors if scale is None else (tensors[0] * scale, *tensors[1:])
    matrix = tensors[0] if is_table else side_by_side(scaled).t()  # both take [N, D]
    if not packable:
        return Prepared(tensors, (), matrix, False)
    return Prepared(tensors, checksums, pack(matrix), True)


def packs(tensors: Sequence[Any]) -> bool:
    """Returns whether oneDNN packs matrices like these."""
    import torch

    return (
        tensors[0].device.type == "cpu"
        and all(tensor.dtype == torch.float32 for tensor in tensors)
        and torch.backends.mkldnn.is_available()
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    )


def sums_are_finite(sums: tuple[bytes, bytes]) -> bool:
    """Returns whether a `checksum` is that of a matrix without NaN or infinity."""
    return bool(np.isfinite(np.frombuffer(sums[0], np.float32)).all())


def activate_in_place(y: Tensor, activation: str | None) -> Tensor:
    """Applies one of `FUSED`, or None, to the result of a product, in place, and returns it."""
    import torch

    if activation is None:
        return y
    if activation == "relu":
        return y.relu_()
    if activation == "silu":
        return torch.nn.functional.silu(y, inplace=True)
    return torch.ops.aten.gelu_.default(y, approximate=FUSED[activation][1])


def side_by_side(tensors: Sequence[Any]) -> Tensor:
    """Concatenates tensors `[..., N]` along the last axis."""
    import torch

    return tensors[0] if len(tensors) == 1 else torch.cat(tuple(tensors), dim=-1)
