"""Looks into a trained model: attention, word alignment, learning curves, exposure bias."""

from keras_s2s.analysis.alignment import word_alignment
from keras_s2s.analysis.exposure_bias import (
    ExposureBias,
    TargetStatistics,
    exposure_bias,
    plot_exposure_bias,
)
from keras_s2s.analysis.plots import plot_attention, plot_learning_curve

__all__ = [
    "ExposureBias",
    "TargetStatistics",
    "exposure_bias",
    "plot_attention",
    "plot_exposure_bias",
    "plot_learning_curve",
    "word_alignment",
]
