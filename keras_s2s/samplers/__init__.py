"""Strategies of generation (greedy, beam, sampling), and rules on the ids that they may choose.

`sampler.py` is the base class, `strategies/` has a module for each; `plan.py` is what a generation
fixes before it starts; `processors/` are the rules, `processing.py` applies them, and `warper.py`
has the temperature and cutoffs of strategies that draw. Strategies are made of `histories.py`,
`gather.py`, `best_allowed.py` and `blockwise_top_k.py`. All see logits and never a
model: `decoding/` runs them. The table of their names is in `options/strategies.py`.
"""

from keras_s2s.samplers.context import Sources, Step
from keras_s2s.samplers.output import GenerationOutput
from keras_s2s.samplers.plan import Plan
from keras_s2s.samplers.processors import (
    AllowedTokens,
    BadWords,
    BeginSuppress,
    EncoderNoRepeatNgram,
    EncoderRepetitionPenalty,
    ExponentialDecayLengthPenalty,
    ForcedBos,
    ForcedEos,
    LogitsProcessor,
    MinLength,
    MinLengthRatio,
    MinNewTokens,
    NoRepeatNgram,
    Renormalize,
    RepetitionPenalty,
    Suppress,
)
from keras_s2s.samplers.sampler import Sampler
from keras_s2s.samplers.strategies.beam import Beam
from keras_s2s.samplers.strategies.beam_sample import BeamSample
from keras_s2s.samplers.strategies.constrained_beam import ConstrainedBeam
from keras_s2s.samplers.strategies.contrastive_search import ContrastiveSearch
from keras_s2s.samplers.strategies.diverse_beam import DiverseBeam
from keras_s2s.samplers.strategies.greedy import Greedy
from keras_s2s.samplers.strategies.prompt_lookup import PromptLookup
from keras_s2s.samplers.strategies.random import Random, TopK, TopP
from keras_s2s.samplers.strategy_choice import resolve_sampler

__all__ = [
    "AllowedTokens",
    "BadWords",
    "Beam",
    "BeamSample",
    "BeginSuppress",
    "ConstrainedBeam",
    "ContrastiveSearch",
    "DiverseBeam",
    "EncoderNoRepeatNgram",
    "EncoderRepetitionPenalty",
    "ExponentialDecayLengthPenalty",
    "ForcedBos",
    "ForcedEos",
    "GenerationOutput",
    "Greedy",
    "LogitsProcessor",
    "MinLength",
    "MinLengthRatio",
    "MinNewTokens",
    "NoRepeatNgram",
    "Plan",
    "PromptLookup",
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
