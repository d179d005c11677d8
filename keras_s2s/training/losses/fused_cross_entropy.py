"""The output projection and the cross-entropy of a training step in one, by chunks of tokens.

Logits `[tokens, V]` are by far the largest tensor of a step: for a batch of 4,096 tokens and
32,000 ids half a gigabyte, of which loss, gradient and metrics make as many copies again. Here a
chunk of tokens is projected, and its loss, its metrics and its gradients are computed while its
logits are at hand; only sums, and gradients of the size of the inputs, are kept. No product is
computed twice, as the gradient of a mean is known up to a factor in the forward pass [Hsu 2024,
"Liger Kernel", arXiv:2410.10989].
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
from keras import ops

from keras_s2s.typing import Tensor

#: Tokens of a chunk: enough for matrix products at full speed.
CHUNK = 512


class TokenSums(NamedTuple):
    """Sums over the tokens of a batch, each token by its weight; float32 scalars.

    Attributes:
        loss: of the cross-entropy with label smoothing; gradients flow through it.
        nll: of the cross-entropy without label smoothing.
        correct: of the tokens whose label is the likeliest id.
    """

    loss: Tensor
    nll: Tensor
    correct: Tensor


def fused_cross_entropy(
    hidden: Tensor,
    table: Tensor,
    bias: Tensor | None,
    labels: Tensor,
    weights: Tensor,
    label_smoothing: float = 0.0,
    chunk: int | None = None,
) -> TokenSums:
    """Computes the cross-entropy of `hidden @ table.T + bias`, which is never held whole.

    Args:
        hidden: float tensor `[N, D]`.
        table: float tensor `[V, D]`.
        bias: float tensor `[V]`, or None.
        labels: int tensor `[N]`.
        weights: float32 `[N]`; gradients do not flow to them.
        label_smoothing: share of the probability spread evenly over the vocabulary.
        chunk: tokens that are projected at a time; None is `CHUNK`.

    Returns:
        sums over the tokens.
    """
    # One number for each place of `TokenSums`, as PyTorch takes one output of a custom gradient.
    has_bias = bias is not None

    def sums(hidden: Tensor, table: Tensor, bias: Tensor) -> tuple[Tensor, Any]:
        found, gradients = LOOPS[keras.backend.backend()](
            *(hidden, table, bias if has_bias else None, labels, weights),
            label_smoothing,
            chunk or CHUNK,
        )

        def gradient(*args: Tensor, upstream: Tensor | None = None) -> tuple[Tensor, ...]:
            factor = (args[-1] if upstream is None else upstream)[0]
            return tuple(ops.cast(factor, each.dtype) * each for each in gradients)

        return found, gradient

    if bias is None:
        bias = ops.zeros((1,), dtype=table.dtype)
    return TokenSums(*ops.unstack(ops.custom_gradient(sums)(hidden, table, bias), 3))


def _jax_loop(
    hidden: Tensor,
    table: Tensor,
    bias: Tensor | None,
    labels: Tensor,
    weights: Tensor,
    smoothing: float,
    chunk: int,
) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor]]:
    """Returns the sums `[3]`, and the gradients of the first by hidden, table and bias.

    A scan has slices of one shape: the last chunk is filled up with tokens of weight 0.
    """
    count, dim = hidden.shape
    chunk = min(chunk, count)
    rest = (-count) % chunk
    chunks = (
        ops.reshape(ops.pad(hidden, ((0, rest), (0, 0))), (-1, chunk, dim)),
        ops.reshape(ops.pad(labels, ((0, rest),)), (-1, chunk)),
        ops.reshape(ops.pad(weights, ((0, rest),)), (-1, chunk)),
    )

    def body(carry: Any, part: Any) -> Any:
        x, label, weight = part
        return _with_chunk(carry, x, label, weight, table, bias, smoothing)

    carry, by_hidden = ops.scan(body, _zeros(table), chunks)
    by_hidden = ops.reshape(by_hidden, (-1, dim))[:count]
    return _result(carry, by_hidden, hidden, table, bias)


def _tensorflow_loop(
    hidden: Tensor,
    table: Tensor,
    bias: Tensor | None,
    labels: Tensor,
    weights: Tensor,
    smoothing: float,
    chunk: int,
) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor]]:
    """Returns what `_jax_loop` does: `ops.scan` takes no results there that differ in shape from
    what is carried (Keras 3.15), and the number of tokens is unknown while tracing.
    """
    import tensorflow as tf

    count = tf.shape(hidden)[0]
    steps = (count + chunk - 1) // chunk
    slopes = tf.TensorArray(
        hidden.dtype, size=steps, infer_shape=False, element_shape=(None, hidden.shape[-1])
    )

    def body(step: Tensor, carry: Any, slopes: Any) -> Any:
        begin, end = step * chunk, tf.minimum((step + 1) * chunk, count)
        x, label, weight = (each[begin:end] for each in (hidden, labels, weights))
        carry, slope = _with_chunk(carry, x, label, weight, table, bias, smoothing)
        return step + 1, carry, slopes.write(step, slope)

    _, carry, slopes = tf.while_loop(
        lambda step, carry, slopes: step < steps,
        body,
        (tf.constant(0), _zeros(table), slopes),
        parallel_iterations=1,
    )
    return _result(carry, slopes.concat(), hidden, table, bias)


def _zeros(table: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Returns what is carried before the first chunk: sums, gradients by table and by bias."""
    return (
        ops.zeros((3,), "float32"),
        ops.zeros(table.shape, "float32"),
        ops.zeros(table.shape[:1], "float32"),
    )


def _with_chunk(
    carry: tuple[Tensor, Tensor, Tensor],
    x: Tensor,
    labels: Tensor,
    weights: Tensor,
    table: Tensor,
    bias: Tensor | None,
    smoothing: float,
) -> tuple[tuple[Tensor, Tensor, Tensor], Tensor]:
    """Returns what is carried, a chunk added, and the gradient by the chunk's hidden vectors."""
    total, by_table, by_bias = carry
    vocabulary = table.shape[0]
    logits = ops.cast(ops.matmul(x, ops.transpose(table)), "float32")
    if bias is not None:
        logits = logits + ops.cast(bias, "float32")
    log_norm = ops.logsumexp(logits, axis=-1)
    own = ops.take_along_axis(logits, labels[:, None], axis=-1)
    nll = log_norm - own[:, 0]
    loss = nll
    if smoothing:
        loss = (1.0 - smoothing) * nll + smoothing * (log_norm - ops.mean(logits, axis=-1))
    # The first of the largest, as `argmax` has it, which on JAX takes as long as the product.
    ids = ops.arange(vocabulary, dtype=labels.dtype)[None]
    larger = ops.logical_or(logits > own, ops.logical_and(logits == own, ids < labels[:, None]))
    correct = ops.cast(ops.logical_not(ops.any(larger, axis=-1)), "float32")
    total = total + ops.sum(ops.stack([loss, nll, correct]) * weights, axis=1)
    wanted = ops.one_hot(labels, vocabulary, dtype="float32") * (1.0 - smoothing)
    slope = ops.exp(logits - log_norm[:, None]) - wanted - smoothing / vocabulary
    slope = slope * weights[:, None]
    if bias is not None:
        by_bias = by_bias + ops.sum(slope, axis=0)
    slope = ops.cast(slope, x.dtype)
    by_table = by_table + ops.cast(ops.matmul(ops.transpose(slope), x), "float32")
    return (total, by_table, by_bias), ops.matmul(slope, table)


def _result(
    carry: tuple[Tensor, Tensor, Tensor],
    by_hidden: Tensor,
    hidden: Tensor,
    table: Tensor,
    bias: Tensor | None,
) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor]]:
    total, by_table, by_bias = carry
    return total, (
        ops.cast(by_hidden, hidden.dtype),
        ops.cast(by_table, table.dtype),
        by_bias[:1] if bias is None else ops.cast(by_bias, bias.dtype),
    )


def _torch_loop(
    hidden: Tensor,
    table: Tensor,
    bias: Tensor | None,
    labels: Tensor,
    weights: Tensor,
    smoothing: float,
    chunk: int,
) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor]]:
    """Returns what `_jax_loop` does, on PyTorch.

    Each operation passes over memory there, so that they work in place, on one chunk's logits.
    """
    import torch

    x, table = hidden.detach(), table.detach()
    vocabulary = table.shape[0]
    by_hidden = torch.empty_like(x)
    by_table = torch.zeros(table.shape, dtype=torch.float32, device=table.device)
    by_bias = torch.zeros(vocabulary, dtype=torch.float32, device=table.device)
    total = torch.zeros(3, dtype=torch.float32, device=table.device)
    for begin in range(0, x.shape[0], chunk):
        rows = slice(begin, begin + chunk)
        label, weight = labels[rows].long()[:, None], weights[rows]
        if bias is not None and x.dtype == torch.float32:
            logits = torch.addmm(bias.detach(), x[rows], table.t())
        else:
            logits = torch.mm(x[rows], table.t()).float()
            if bias is not None:
                logits += bias.detach()
        true = logits.gather(1, label)[:, 0]
        top = logits.amax(dim=-1)
        # `argmax` takes ten times as long. Numbers of half precision are often equal.
        hits = true == top if x.dtype == torch.float32 else logits.argmax(dim=-1) == label[:, 0]
        mean = logits.mean(dim=-1) if smoothing else None
        slope = logits.sub_(top[:, None]).exp_()
        total_mass = slope.sum(dim=-1)
        log_norm = top + total_mass.log()
        nll = log_norm - true
        loss = nll
        if smoothing:
            loss = (1.0 - smoothing) * nll + smoothing * (log_norm - mean)
        total += torch.mv(torch.stack([loss, nll, hits.float()]), weight)
        slope *= (weight / total_mass)[:, None]
        if smoothing:
            slope -= (weight * (smoothing / vocabulary))[:, None]
        slope.scatter_add_(1, label, (weight * (smoothing - 1.0))[:, None])
        if bias is not None:
            by_bias += slope.sum(dim=0)
        slope = slope.to(x.dtype)
        torch.mm(slope, table, out=by_hidden[rows])
        if x.dtype == torch.float32:
            by_table.addmm_(slope.t(), x[rows])
        else:
            by_table += torch.mm(slope.t(), x[rows])
    return _result((total, by_table, by_bias), by_hidden, hidden, table, bias)


#: How each backend goes through the chunks.
LOOPS: dict[str, Callable[..., Any]] = {
    "jax": _jax_loop,
    "tensorflow": _tensorflow_loop,
    "torch": _torch_loop,
}
