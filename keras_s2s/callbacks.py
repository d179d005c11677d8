"""Callbacks for `fit`, under their public name."""

from keras_s2s.analysis.attention_pictures import AttentionPictures
from keras_s2s.training.callbacks import GenerationMetrics, SaveBest, TimeLimit
from keras_s2s.training.sample_texts import SampleTexts

__all__ = ["AttentionPictures", "GenerationMetrics", "SampleTexts", "SaveBest", "TimeLimit"]
