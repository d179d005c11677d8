"""Strategies of generation (greedy, beam, sampling), and rules on the ids that they may choose."""

from keras_s2s.samplers.beam import Beam
from keras_s2s.samplers.beam_sample import BeamSample
from keras_s2s.samplers.context import Sources, Step
from keras_s2s.samplers.contrastive_search import ContrastiveSearch
from keras_s2s.samplers.diverse_beam import DiverseBeam
from keras_s2s.samplers.greedy import Greedy
from keras_s2s.samplers.output import GenerationOutput
from keras_s2s.samplers.processors import (
    AllowedTokens,
    BadWords,
    BeginSuppress,
    EncoderNoRepeatNgram,
    ForcedBos,
    ForcedEos,
    LogitsProcessor,
    MinLength,
    MinNewTokens,
    NoRepeatNgram,
    Renormalize,
    RepetitionPenalty,
    Suppress,
)
from keras_s2s.samplers.random import Random, TopK, TopP
from keras_s2s.samplers.resolve import resolve_sampler
from keras_s2s.samplers.sampler import Plan, Sampler

__all__ = [
    "AllowedTokens",
    "BadWords",
    "Beam",
    "BeamSample",
    "BeginSuppress",
    "ContrastiveSearch",
    "DiverseBeam",
    "EncoderNoRepeatNgram",
    "ForcedBos",
    "ForcedEos",
    "GenerationOutput",
    "Greedy",
    "LogitsProcessor",
    "MinLength",
    "MinNewTokens",
    "NoRepeatNgram",
    "Plan",
    "Random",
    "Renormalize",
    "RepetitionPenalty",
    "Sampler",
    "Sources",
    "Step",
    "Suppress",
    "TopK",
    "TopP",
    "resolve_sampler",
]
