"""From configuration to network, through Keras' functional API.

The registries are explicit: a new kind of encoder or decoder is a class and a line here.
"""

from __future__ import annotations

from typing import Any

import keras

from keras_s2s.config import ArchitectureConfig, embedding_dim
from keras_s2s.layers.embeddings import InputEmbedding, OutputProjection, token_table
from keras_s2s.layers.recurrent_decoder import RecurrentDecoder
from keras_s2s.layers.recurrent_encoder import RecurrentEncoder
from keras_s2s.layers.transformer_decoder import TransformerDecoder
from keras_s2s.layers.transformer_encoder import TransformerEncoder
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
            name="logits",
        ),
    )


def functional_graph(network: Network) -> tuple[dict[str, Any], Any]:
    """Symbolic inputs and the logits made of them; creates every weight of the network.

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
    return inputs, network.logits(inputs)
