"""Builds a network from its configuration, with Keras' functional API.

`build_network` makes the layers that an `ArchitectureConfig` describes, `functional_graph` calls
them on symbolic inputs, which is the graph of the public model (`model.py`). The registries are
explicit: a new kind of encoder or decoder is a class and a line here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import keras

from keras_s2s.config import (
    ArchitectureConfig,
    EmbeddingConfig,
    FeaturesConfig,
    RegisteredPart,
    RegisteredSide,
    TokensConfig,
    embedding_dim,
    register_part,
)
from keras_s2s.layers.contracts import Decoder, Encoder, Frontend
from keras_s2s.layers.embeddings import InputEmbedding, token_table
from keras_s2s.layers.frontends import FeatureFrontend, TokenFrontend
from keras_s2s.layers.output_projection import OutputProjection
from keras_s2s.layers.recurrent.conditional_decoder import ConditionalDecoder
from keras_s2s.layers.recurrent.decoder import RecurrentDecoder
from keras_s2s.layers.recurrent.deep_encoder import DeepRecurrentEncoder
from keras_s2s.layers.recurrent.encoder import RecurrentEncoder
from keras_s2s.layers.transformer.decoder import TransformerDecoder
from keras_s2s.layers.transformer.encoder import TransformerEncoder
from keras_s2s.layers.transformer.ssru_decoder import SSRUDecoder
from keras_s2s.network import Network

ENCODERS: dict[str, Callable[..., Encoder]] = {
    "recurrent": RecurrentEncoder,
    "transformer": TransformerEncoder,
    "deep_recurrent": DeepRecurrentEncoder,
}

DECODERS: dict[str, Callable[..., Decoder]] = {
    "recurrent": RecurrentDecoder,
    "transformer": TransformerDecoder,
    "ssru": SSRUDecoder,
    "conditional": ConditionalDecoder,
}


def build_network(config: ArchitectureConfig) -> Network:
    """Makes the layers that `config` describes, and the network that holds them.

    Args:
        config: a validated architecture.

    Returns:
        a `Network` whose layers have no weights yet; `functional_graph` creates them.
    """
    target_dim = embedding_dim(config.decoder)
    name = "token_table" if config.share_embeddings else "target_table"
    target_table = token_table(config.target_vocab_size, target_dim, name=name)
    frontend = make_frontend(config, target_table if config.share_embeddings else None)
    encoder = ENCODERS[config.encoder.type](config.encoder, name="encoder")
    options: dict[str, Any] = {}
    if config.bridge is not None:
        options["bridge"] = config.bridge
    if config.tie_encoder_decoder:
        options["tied_to"] = encoder
        assert isinstance(frontend, TokenFrontend)
        target_embedding = frontend.embedding
    else:
        target_embedding = input_embedding(config.decoder, "target_embedding")
    return Network(
        config=config,
        frontend=frontend,
        encoder=encoder,
        memory_projection=(
            keras.layers.Dense(config.decoder.hidden_dim, name="memory_projection")
            if config.memory_projection
            else None
        ),
        target_table=target_table,
        target_embedding=target_embedding,
        decoder=DECODERS[config.decoder.type](config.decoder, name="decoder", **options),
        output=OutputProjection(
            vocab_size=config.target_vocab_size,
            table=target_table if config.output.tie_embeddings else None,
            use_bias=config.output.bias,
            train_bias=config.output.train_bias,
            scale=config.output.scale,
            transform=config.output.transform,
            name="logits",
        ),
    )


def make_frontend(
    config: ArchitectureConfig, shared_table: keras.layers.ReversibleEmbedding | None
) -> Frontend:
    """Makes the frontend that `config` describes.

    Args:
        config: a validated architecture.
        shared_table: the target's token table where sources use it, too.
    """
    kind, dim, embedding = config.frontend, embedding_dim(config.encoder), config.encoder.embedding
    if isinstance(kind, TokensConfig):
        assert config.source_vocab_size is not None
        table = shared_table or token_table(config.source_vocab_size, dim, name="source_table")
        return TokenFrontend(table, input_embedding(config.encoder, "source_embedding"))
    if isinstance(kind, FeaturesConfig):
        return FeatureFrontend(kind.feature_dim, dim, embedding)
    return FRONTENDS[kind.type](kind, dim, embedding)


def input_embedding(side: Any, name: str) -> InputEmbedding:
    """Makes what is done with token vectors before an encoder or decoder reads them.

    Args:
        side: settings of the encoder or decoder.
    """
    return InputEmbedding(side.embedding, output_dim=side.hidden_dim, name=name)


#: Frontends registered outside the package; each is made of its configuration, the width of its
#: vectors and the `EmbeddingConfig` of the encoder.
FRONTENDS: dict[str, Callable[[Any, int, EmbeddingConfig], Frontend]] = {}


def register_frontend(
    config: type[RegisteredPart], make: Callable[[Any, int, EmbeddingConfig], Frontend]
) -> None:
    """Registers a frontend of your own, so that configurations can name it.

    Args:
        config: its settings; a subclass of `RegisteredPart` whose `type` is a `Literal`.
        make: its class, or a function: called with the settings, the width of its vectors and the
            `EmbeddingConfig` of the encoder.

    Raises:
        ValueError: a type that another frontend has.

    Example:
        >>> from typing import Literal
        >>> class FramesConfig(RegisteredPart):
        ...     type: Literal["frames"]
        ...     feature_dim: int
        >>> def make_frames(settings, dim, embedding):
        ...     return FeatureFrontend(settings.feature_dim, dim, embedding)
        >>> register_frontend(FramesConfig, make_frames)
        >>> settings = {"frontend": {"type": "frames", "feature_dim": 80}}
    """
    FRONTENDS[register_part("frontend", config)] = make


def register_encoder(config: type[RegisteredSide], layer: type[Encoder]) -> None:
    """Registers an encoder of your own, so that configurations can name it.

    Args:
        config: its settings; a subclass of `RegisteredSide` whose `type` is a `Literal`.
        layer: the class, made as `layer(settings, name="encoder")`.

    Raises:
        ValueError: a type that another encoder has.
    """
    ENCODERS[register_part("encoder", config)] = layer


def register_decoder(config: type[RegisteredSide], layer: type[Decoder]) -> None:
    """Registers a decoder of your own, so that configurations can name it.

    Args:
        config: its settings; a subclass of `RegisteredSide` whose `type` is a `Literal`.
        layer: the class, made as `layer(settings, name="decoder")`, with `bridge=` where the
            architecture has one.

    Raises:
        ValueError: a type that another decoder has.
    """
    DECODERS[register_part("decoder", config)] = layer


def functional_graph(network: Network, *, initialize: bool = True) -> tuple[dict[str, Any], Any]:
    """Returns symbolic inputs and logits of a network, and creates all of its weights.

    Args:
        initialize: False starts matrices at zero, for a network whose weights are read at once:
            to draw them at random takes longer than to read them.

    Returns:
        `(inputs, logits)` for `keras.Model(inputs, logits)`. The inputs are those of the frontend
        and, with KerasHub's names, `decoder_token_ids`, int32, and `decoder_padding_mask`, bool
        (True = real); batch and lengths unknown.
    """
    specs = {
        **network.frontend.specs,
        "decoder_token_ids": ("int32", (None,)),
        "decoder_padding_mask": ("bool", (None,)),
    }
    inputs = {
        name: keras.Input(shape, dtype=dtype, name=name) for name, (dtype, shape) in specs.items()
    }
    with contextlib.nullcontext() if initialize else zero_matrices(network):
        return inputs, network.logits(inputs)


@contextlib.contextmanager
def zero_matrices(network: Network) -> Iterator[None]:
    """Makes the layers of a network that is not built yet start their matrices at zero."""
    names = ("kernel_initializer", "embeddings_initializer")
    found = [
        (layer, name, getattr(layer, name))
        for part in network.layers
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
    """Makes layers under a Keras dtype policy; None leaves the global one.

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
