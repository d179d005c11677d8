"""Results that are chosen among several: by a function of the caller's, or by expected utility."""

from keras_s2s.reranking.candidates import RankedTexts
from keras_s2s.reranking.minimum_bayes_risk import minimum_bayes_risk
from keras_s2s.reranking.rerank import rerank

__all__ = ["RankedTexts", "minimum_bayes_risk", "rerank"]
