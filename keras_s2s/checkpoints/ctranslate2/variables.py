"""Table of CTranslate2's variables and the weights in each, used for reading and writing.

A variable holds one weight of this package or several: CTranslate2 keeps query, key and value in
one matrix. Its matrices are `[outputs, inputs]`, those of this package `[inputs, outputs]`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_s2s.config import ArchitectureConfig, TransformerConfig

#: CTranslate2's linear layer -> the layers here whose outputs it concatenates.
SELF_ATTENTION = {
    "self_attention/linear_0": (
        "self_attention/query",
        "self_attention/key",
        "self_attention/value",
    ),
    "self_attention/linear_1": ("self_attention/output",),
}
CROSS_ATTENTION = {
    "attention/linear_0": ("cross_attention/query",),
    "attention/linear_1": ("cross_attention/key", "cross_attention/value"),
    "attention/linear_2": ("cross_attention/output",),
}
#: Without and with a gate: linear_0 is the input of the activation.
FEED_FORWARD = {
    "ffn/linear_0": ("feed_forward/inner",),
    "ffn/linear_1": ("feed_forward/outer",),
}
GATED_FEED_FORWARD = {
    "ffn/linear_0": ("feed_forward/gate",),
    "ffn/linear_0_noact": ("feed_forward/inner",),
    "ffn/linear_1": ("feed_forward/outer",),
}
NORMS = {
    "self_attention/layer_norm": "self_attention_norm",
    "attention/layer_norm": "cross_attention_norm",
    "ffn/layer_norm": "feed_forward_norm",
}
#: Biases by distance, and how far they distinguish.
RELATIVE_BIAS = "self_attention/relative_attention_bias"
MAX_DISTANCE = "self_attention/relative_attention_max_distance"


@dataclass(frozen=True)
class Entry:
    """A variable of CTranslate2 and the weights of this package in it.

    Attributes:
        name: CTranslate2's name.
        paths: paths of the weights in it, one after the other along its first axis.
        shape: of the variable.
        transposed: whether the weights are its transposes.
        optional: whether a file may leave it out: a bias of zeros.
        again: whether an entry before it holds the same weights.
    """

    name: str
    paths: tuple[str, ...]
    shape: tuple[int, ...]
    transposed: bool = False
    optional: bool = False
    again: bool = False

    def split(self, array: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
        """Yields the weights, by path, in the variable's values."""
        for path, part in zip(self.paths, np.split(array, len(self.paths)), strict=True):
            yield path, np.ascontiguousarray(part.T) if self.transposed else part

    def join(self, arrays: Sequence[np.ndarray]) -> np.ndarray:
        """Returns the variable's values for weights; the inverse of `split`."""
        return np.concatenate([array.T if self.transposed else array for array in arrays])


def inexpressible(config: ArchitectureConfig) -> dict[str, Any]:
    """Returns the settings that CTranslate2's Transformer has no variables or order for."""
    found: dict[str, Any] = {
        "memory_projection": config.memory_projection,
        "tie_encoder_decoder": config.tie_encoder_decoder,
        "output.transform": config.output.transform and config.output.transform.model_dump(),
    }
    for side in ("encoder", "decoder"):
        part = getattr(config, side)
        if isinstance(part, TransformerConfig):
            found[f"{side}.layer_groups"] = part.layer_groups
            found[f"{side}.residual_keys"] = part.residual_keys
            found[f"{side}.steps"] = part.steps and part.steps.model_dump()
            if side == "encoder":  # a decoder may start from zeros
                found[f"{side}.embedding.zero_start"] = part.embedding.zero_start
            found[f"{side}.embedding.token_types"] = part.embedding.token_types
            found[f"{side}.embedding.projection"] = part.embedding.projection
    return {key: value for key, value in found.items() if value}


def entries(config: ArchitectureConfig) -> list[Entry]:
    """Returns the entries of all variables with trained values, for a Transformer on both sides."""
    encoder, decoder = config.encoder, config.decoder
    assert isinstance(encoder, TransformerConfig) and isinstance(decoder, TransformerConfig)
    assert config.source_vocab_size is not None
    width = decoder.hidden_dim
    source = "token_table" if config.share_embeddings else "source_table"
    target = "token_table" if config.share_embeddings else "target_table"
    found = [
        Entry(
            "encoder/embeddings_0/weight",
            (f"{source}/embeddings",),
            (config.source_vocab_size, encoder.hidden_dim),
        ),
        *_stack("encoder", encoder, encoder.hidden_dim),
        Entry(
            "decoder/embeddings/weight",
            (f"{target}/embeddings",),
            (config.target_vocab_size, width),
            again=config.share_embeddings,
        ),
        *_stack("decoder", decoder, encoder.hidden_dim),
    ]
    tied = config.output.tie_embeddings
    found.append(
        Entry(
            "decoder/projection/weight",
            (f"{target}/embeddings",) if tied else ("logits/dense/kernel",),
            (config.target_vocab_size, width),
            transposed=not tied,
            again=tied,
        )
    )
    if config.output.bias:
        found.append(
            Entry(
                "decoder/projection/bias",
                ("logits/bias",),
                (config.target_vocab_size,),
                optional=True,
            )
        )
    return found


def _stack(side: str, config: TransformerConfig, memory: int) -> Iterator[Entry]:
    width, inner = config.hidden_dim, config.intermediate_dim
    heads = config.num_heads * (config.head_dim or width // config.num_heads)
    embedding = "source_embedding" if side == "encoder" else "target_embedding"
    if config.embedding.positions == "learned":
        rows = (config.embedding.max_positions or 0) + config.embedding.position_offset
        yield Entry(
            f"{side}/position_encodings/encodings",
            (f"{embedding}/positions/embeddings",),
            (rows, width),
        )
    if config.embedding.norm:
        yield from _norm(f"{side}/layernorm_embedding", f"{embedding}/norm", width, "layer")
    linears = dict(SELF_ATTENTION)
    if side == "decoder":
        linears |= CROSS_ATTENTION
    linears |= GATED_FEED_FORWARD if config.gated else FEED_FORWARD
    for i in range(config.num_layers):
        theirs, ours = f"{side}/layer_{i}", f"{side}/layer_{i}"
        for name, parts in linears.items():
            # Outputs of one of our layers, inputs.
            rows, columns = {
                "self_attention/linear_0": (heads, width),
                "self_attention/linear_1": (width, heads),
                "attention/linear_0": (heads, width),
                "attention/linear_1": (heads, memory),
                "attention/linear_2": (width, heads),
                "ffn/linear_0": (inner, width),
                "ffn/linear_0_noact": (inner, width),
                "ffn/linear_1": (width, inner),
            }[name]
            paths = [f"{ours}/{part}" for part in parts]
            yield Entry(
                f"{theirs}/{name}/weight",
                tuple(f"{path}/kernel" for path in paths),
                (rows * len(parts), columns),
                transposed=True,
            )
            if config.use_bias:
                yield Entry(
                    f"{theirs}/{name}/bias",
                    tuple(f"{path}/bias" for path in paths),
                    (rows * len(parts),),
                    optional=True,
                )
        for name, part in NORMS.items():
            if side == "decoder" or not name.startswith("attention/"):
                yield from _norm(f"{theirs}/{name}", f"{ours}/{part}", width, config.norm)
        if config.relative_positions is not None:
            own = config.relative_positions.per_layer
            yield Entry(
                f"{theirs}/{RELATIVE_BIAS}",
                (relative_bias_path(side, i if own else None),),
                (config.relative_positions.num_buckets, config.num_heads),
                again=i > 0 and not own,
            )
    if config.has_final_norm:
        yield from _norm(f"{side}/layer_norm", f"{side}/norm", width, config.norm)


def relative_bias_path(side: str, layer: int | None) -> str:
    """Returns the path of the relative position biases: of a layer, or (None) of all layers."""
    place = side if layer is None else f"{side}/layer_{layer}"
    return f"{place}/relative_positions/embeddings"


def _norm(theirs: str, ours: str, width: int, kind: str) -> Iterator[Entry]:
    ours_scale = "gamma" if kind == "layer" else "scale"  # Keras' names
    yield Entry(f"{theirs}/gamma", (f"{ours}/{ours_scale}",), (width,))
    if kind == "layer":
        yield Entry(f"{theirs}/beta", (f"{ours}/beta",), (width,))
