"""Frontends for sources that are token ids or feature vectors."""

from __future__ import annotations

from collections.abc import Mapping

import keras

from keras_s2s.config import EmbeddingConfig
from keras_s2s.layers.contracts import SOURCE_MASK, Frontend, SourceInput
from keras_s2s.layers.embeddings import InputEmbedding
from keras_s2s.typing import Tensor

#: The input of sources that are token ids, as KerasHub names it.
TOKEN_IDS = SourceInput("encoder_token_ids", "int32")


class TokenFrontend(Frontend):
    """A frontend for token ids: looks up their vectors, and adds positions, normalisation and
    dropout.

    Args:
        table: token table, which may be that of the target, too.
        embedding: scale, positions and normalisation of its vectors.
    """

    input = TOKEN_IDS
    reads_text = True

    def __init__(self, table: keras.layers.Layer, embedding: InputEmbedding) -> None:
        self.table = table
        self.embedding = embedding
        self.max_length = embedding.config.max_positions

    def __call__(self, inputs: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        return self.embedding(self.table(inputs[TOKEN_IDS.name])), inputs[SOURCE_MASK]

    def token_ids(self, inputs: Mapping[str, Tensor]) -> Tensor | None:
        return inputs[TOKEN_IDS.name]


class FeatureFrontend(Frontend):
    """A frontend for feature vectors, e.g. frames of speech or patches of a picture.

    Args:
        feature_dim: F, numbers in a feature vector.
        dim: D, width of the vectors that the encoder reads.
        embedding: what is done with the projected vectors: scale, positions, normalisation.

    Example:
        >>> frontend = FeatureFrontend(feature_dim=80, dim=16)
        >>> vectors, mask = frontend(frontend.batch([np.zeros((5, 80)), np.zeros((3, 80))]))
        >>> tuple(vectors.shape)
        (2, 5, 16)
    """

    def __init__(
        self, feature_dim: int, dim: int, embedding: EmbeddingConfig | None = None
    ) -> None:
        self.input = SourceInput("encoder_features", "float32", (feature_dim,))
        self.projection = keras.layers.Dense(dim, name="source_projection")
        self.embedding = InputEmbedding(embedding or EmbeddingConfig(), name="source_embedding")
        self.max_length = self.embedding.config.max_positions

    def __call__(self, inputs: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        return self.embedding(self.projection(inputs[self.input.name])), inputs[SOURCE_MASK]
