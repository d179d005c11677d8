"""Strategies that turn a network's moves into sequences."""

from keras_s2s.samplers.beam import Beam
from keras_s2s.samplers.greedy import Greedy
from keras_s2s.samplers.output import GenerationOutput
from keras_s2s.samplers.processors import ForcedBos, ForcedEos, LogitsProcessor, MinLength
from keras_s2s.samplers.random import Random, TopK
from keras_s2s.samplers.resolve import resolve_sampler
from keras_s2s.samplers.sampler import Plan, Sampler

__all__ = [
    "Beam",
    "ForcedBos",
    "ForcedEos",
    "GenerationOutput",
    "Greedy",
    "LogitsProcessor",
    "MinLength",
    "Plan",
    "Random",
    "Sampler",
    "TopK",
    "resolve_sampler",
]
