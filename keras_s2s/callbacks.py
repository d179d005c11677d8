"""Callbacks for `fit`, under their public name."""

from keras_s2s.training.callbacks import GenerationMetrics, SaveBest, TimeLimit

__all__ = ["GenerationMetrics", "SaveBest", "TimeLimit"]
