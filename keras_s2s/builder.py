"""From configuration to network, through Keras' functional API.

The registries are explicit: a new kind of encoder or decoder is a class and a line here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import keras

from keras_s2s.config import ArchitectureConfig, embedding_dim
from keras_s2s.layers.embeddings import InputEmbedding, OutputProjection, token_table
from keras_s2s.layers.recurrent.decoder import RecurrentDecoder
from keras_s2s.layers.recurrent.encoder import RecurrentEncoder
from keras_s2s.layers.transformer.decoder import TransformerDecoder
from keras_s2s.layers.transformer.encoder import TransformerEncoder
from keras_s2s.network import Network

ENCODERS: dict[str, Any] = {
    "recurrent": RecurrentEncoder,
    "transformer": TransformerEncoder,
}

DECODERS: dict[str, Any] = {
    "recurrent": RecurrentDecoder,
    "transformer": TransformerDecoder,
}


def build_network(config: ArchitectureConfig) -> Network:
    """Make the layers that `config` describes, and say how they belong together.

    Args:
        config: a validated architecture.

    Returns:
        a `Network` whose layers have no weights yet; `functional_graph` creates them.
    """
    source_dim, target_dim = embedding_dim(config.encoder), embedding_dim(config.decoder)
    if config.share_embeddings:
        source_table = target_table = token_table(
            config.source_vocab_size, source_dim, name="token_table"
        )
    else:
        source_table = token_table(config.source_vocab_size, source_dim, name="source_table")
        target_table = token_table(config.target_vocab_size, target_dim, name="target_table")

    decoder_options = {"bridge": config.bridge} if config.bridge is not None else {}
    return Network(
        config=config,
        source_table=source_table,
        target_table=target_table,
        source_embedding=InputEmbedding(config.encoder.embedding, name="source_embedding"),
        target_embedding=InputEmbedding(config.decoder.embedding, name="target_embedding"),
        encoder=ENCODERS[config.encoder.type](config.encoder, name="encoder"),
        decoder=DECODERS[config.decoder.type](config.decoder, name="decoder", **decoder_options),
        output=OutputProjection(
            vocab_size=config.target_vocab_size,
            table=target_table if config.output.tie_embeddings else None,
            use_bias=config.output.bias,
            scale=config.output.scale,
            name="logits",
        ),
    )


def functional_graph(network: Network, *, initialize: bool = True) -> tuple[dict[str, Any], Any]:
    """Symbolic inputs and the logits made of them; creates every weight of the network.

    Args:
        initialize: False starts matrices at zero, for a network whose weights are read at once:
            to draw them at random takes longer than to read them.

    Returns:
        `(inputs, logits)` for `keras.Model(inputs, logits)`. The inputs have KerasHub's names:
        int32 ids and bool masks (True = real), batch and lengths unknown.
    """
    inputs = {
        "encoder_token_ids": keras.Input((None,), dtype="int32", name="encoder_token_ids"),
        "encoder_padding_mask": keras.Input((None,), dtype="bool", name="encoder_padding_mask"),
        "decoder_token_ids": keras.Input((None,), dtype="int32", name="decoder_token_ids"),
        "decoder_padding_mask": keras.Input((None,), dtype="bool", name="decoder_padding_mask"),
    }
    with contextlib.nullcontext() if initialize else zero_matrices(network):
        return inputs, network.logits(inputs)


@contextlib.contextmanager
def zero_matrices(network: Network) -> Iterator[None]:
    """Let the layers of a network that is not built yet start their matrices at zero."""
    names = ("kernel_initializer", "embeddings_initializer")
    found = [
        (layer, name, getattr(layer, name))
        for part in vars(network).values()
        if isinstance(part, keras.layers.Layer)
        for layer in part._flatten_layers()
        for name in names
        if name in vars(layer)
    ]
    for layer, name, _ in found:
        setattr(layer, name, keras.initializers.Zeros())
    try:
        yield
    finally:
        for layer, name, initializer in found:
            setattr(layer, name, initializer)


@contextlib.contextmanager
def dtype_policy(name: str | None) -> Iterator[None]:
    """Make layers under a Keras dtype policy; None leaves the global one.

    Raises:
        ValueError: Keras has no policy of this name.
    """
    if name is None:
        yield
        return
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
