"""Results that are chosen among several: by a function of the caller's, or by expected utility."""

from keras_s2s.reranking.by_function import rerank
from keras_s2s.reranking.candidates import RankedTexts
from keras_s2s.reranking.expected_utility import minimum_bayes_risk

__all__ = ["RankedTexts", "minimum_bayes_risk", "rerank"]
