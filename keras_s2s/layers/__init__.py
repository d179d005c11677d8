"""Keras layers of encoder-decoder models."""

from keras_s2s.layers.attention import (
    AdditiveAttention,
    BilinearAttention,
    ConcatAttention,
    DotAttention,
)
from keras_s2s.layers.bridge import Bridge
from keras_s2s.layers.embeddings import InputEmbedding, OutputProjection
from keras_s2s.layers.feed_forward import FeedForward
from keras_s2s.layers.multi_head_attention import MultiHeadAttention
from keras_s2s.layers.positions import LearnedPositions
from keras_s2s.layers.recurrent_decoder import RecurrentDecoder
from keras_s2s.layers.recurrent_encoder import RecurrentEncoder
from keras_s2s.layers.relative_positions import RelativePositions
from keras_s2s.layers.state import Memory, State, StepOutput
from keras_s2s.layers.transformer_decoder import TransformerDecoder, TransformerDecoderBlock
from keras_s2s.layers.transformer_encoder import TransformerEncoder, TransformerEncoderBlock

__all__ = [
    "AdditiveAttention",
    "BilinearAttention",
    "Bridge",
    "ConcatAttention",
    "DotAttention",
    "FeedForward",
    "InputEmbedding",
    "LearnedPositions",
    "Memory",
    "MultiHeadAttention",
    "OutputProjection",
    "RecurrentDecoder",
    "RecurrentEncoder",
    "RelativePositions",
    "State",
    "StepOutput",
    "TransformerDecoder",
    "TransformerDecoderBlock",
    "TransformerEncoder",
    "TransformerEncoderBlock",
]
