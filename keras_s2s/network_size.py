"""Computes how large a network is from its configuration, before memory is allocated."""

from __future__ import annotations

import math
import os

from keras_s2s.config import (
    ArchitectureConfig,
    ConfigError,
    FeaturesConfig,
    RecurrentDecoderConfig,
    RecurrentEncoderConfig,
    RegisteredSide,
    StackConfig,
    embedding_dim,
    readout_dim,
)

#: Bytes of a weight, at least (float16, bfloat16).
NARROWEST = 2

#: Matrices of a cell.
GATES = {"gru": 3, "lstm": 4, "rnn": 1}


def smallest_count(architecture: ArchitectureConfig) -> int:
    """Returns a lower bound of a network's number of weights: its tables and largest matrices.

    Example:
        >>> from keras_s2s.catalog import load_preset
        >>> smallest_count(load_preset("transformer_base").architecture) > 50_000_000
        True
    """
    frontend, width = architecture.frontend, embedding_dim(architecture.encoder)
    rows = frontend.feature_dim if isinstance(frontend, FeaturesConfig) else 0
    source = (architecture.source_vocab_size or rows) * width
    target = architecture.target_vocab_size * embedding_dim(architecture.decoder)
    count = source + (0 if architecture.share_embeddings else target)
    if not architecture.output.tie_embeddings:
        count += architecture.target_vocab_size * readout_dim(architecture)
    sides = [architecture.encoder, architecture.decoder]
    if architecture.tie_encoder_decoder:
        sides.pop()
    return count + sum(_of_side(part) for part in sides)


def _of_side(
    part: RecurrentEncoderConfig | RecurrentDecoderConfig | StackConfig | RegisteredSide,
) -> int:
    positions = (part.embedding.max_positions or 0) * embedding_dim(part)
    if isinstance(part, RegisteredSide):
        return positions + part.least_count
    width = part.hidden_dim
    if isinstance(part, StackConfig):
        heads = part.num_heads * (part.head_dim or width // part.num_heads)
        layer = 4 * width * heads + 2 * width * part.intermediate_dim
        buckets = part.relative_positions.num_buckets if part.relative_positions else 0
        groups = part.layer_groups or part.num_layers
        return positions + groups * layer + buckets * part.num_heads
    attention = part.attention if isinstance(part, RecurrentDecoderConfig) else None
    units = attention.units or 0 if attention is not None else 0
    directions = 2 if isinstance(part, RecurrentEncoderConfig) and part.bidirectional else 1
    first = (embedding_dim(part) + width) * width
    later = (part.num_layers - 1) * (directions + 1) * width * width
    return positions + directions * GATES[part.cell] * (first + later) + units * width


def refuse_beyond_memory(architecture: ArchitectureConfig, origin: str) -> None:
    """Raises an error for a network that this machine cannot hold, before it is made.

    Args:
        origin: where the configuration came from, for the message.

    Raises:
        ConfigError: its weights alone are larger than all memory.
    """
    memory = _memory()
    count = smallest_count(architecture)
    if memory is not None and count * NARROWEST > memory:
        sizes = ", ".join(
            f"{side} hidden_dim {part.hidden_dim}, num_layers {getattr(part, 'num_layers', 1)}"
            for side, part in (("encoder", architecture.encoder), ("decoder", architecture.decoder))
        )
        raise ConfigError(
            f"{origin}: a network of these sizes has at least {count:,} weights, which this "
            f"machine's {math.floor(memory / 2**30)} GiB of memory cannot hold: source_vocab_size "
            f"{architecture.source_vocab_size}, target_vocab_size "
            f"{architecture.target_vocab_size}, {sizes}"
        )


def _memory() -> int | None:
    """Returns the bytes of physical memory; None where the system does not report it."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None
