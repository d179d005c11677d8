"""Keras layers of encoder-decoder models."""

from keras_s2s.layers.contracts import Decoder, Encoder, Frontend, SourceInput
from keras_s2s.layers.embeddings import InputEmbedding
from keras_s2s.layers.frontends import FeatureFrontend, TokenFrontend
from keras_s2s.layers.output_projection import OutputProjection
from keras_s2s.layers.positions import LearnedPositions
from keras_s2s.layers.recurrent.attention import (
    AdditiveAttention,
    BilinearAttention,
    ConcatAttention,
    DotAttention,
)
from keras_s2s.layers.recurrent.bridge import Bridge
from keras_s2s.layers.recurrent.decoder import RecurrentDecoder
from keras_s2s.layers.recurrent.encoder import RecurrentEncoder
from keras_s2s.layers.state import Memory, State, StepOutput
from keras_s2s.layers.transformer.decoder import TransformerDecoder, TransformerDecoderBlock
from keras_s2s.layers.transformer.encoder import TransformerEncoder, TransformerEncoderBlock
from keras_s2s.layers.transformer.feed_forward import FeedForward
from keras_s2s.layers.transformer.multi_head_attention import MultiHeadAttention
from keras_s2s.layers.transformer.relative_positions import RelativePositions
from keras_s2s.layers.transformer.ssru import SSRU
from keras_s2s.layers.transformer.ssru_decoder import SSRUDecoder, SSRUDecoderBlock

__all__ = [
    "SSRU",
    "AdditiveAttention",
    "BilinearAttention",
    "Bridge",
    "ConcatAttention",
    "Decoder",
    "DotAttention",
    "Encoder",
    "FeatureFrontend",
    "FeedForward",
    "Frontend",
    "InputEmbedding",
    "LearnedPositions",
    "Memory",
    "MultiHeadAttention",
    "OutputProjection",
    "RecurrentDecoder",
    "RecurrentEncoder",
    "RelativePositions",
    "SSRUDecoder",
    "SSRUDecoderBlock",
    "SourceInput",
    "State",
    "StepOutput",
    "TokenFrontend",
    "TransformerDecoder",
    "TransformerDecoderBlock",
    "TransformerEncoder",
    "TransformerEncoderBlock",
]
