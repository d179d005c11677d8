"""Encoder-decoder models on Keras 3: train, load, generate with and serve them."""

from keras_s2s import callbacks, data, layers, samplers, text
from keras_s2s.alignment import word_alignment
from keras_s2s.catalog import list_presets, list_recipes
from keras_s2s.checkpoints.preset_folder import CheckpointError
from keras_s2s.config import ConfigError
from keras_s2s.model import Seq2SeqLM
from keras_s2s.plots import plot_attention

__version__ = "0.1.0"

__all__ = [
    "CheckpointError",
    "ConfigError",
    "Seq2SeqLM",
    "callbacks",
    "data",
    "layers",
    "list_presets",
    "list_recipes",
    "plot_attention",
    "samplers",
    "text",
    "word_alignment",
]
