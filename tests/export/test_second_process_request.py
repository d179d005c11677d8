"""What is asked of an export survives the way through JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from keras_s2s.export import ExportError
from keras_s2s.export.saved_model.second_process_request import PROCESSORS, SAMPLERS, ExportRequest
from keras_s2s.samplers import (
    BadWords,
    Beam,
    BeamSample,
    BeginSuppress,
    ConstrainedBeam,
    ContrastiveSearch,
    DiverseBeam,
    EncoderNoRepeatNgram,
    EncoderRepetitionPenalty,
    ExponentialDecayLengthPenalty,
    ForcedBos,
    ForcedEos,
    Greedy,
    LogitsProcessor,
    MinLength,
    MinLengthRatio,
    MinNewTokens,
    NoRepeatNgram,
    Plan,
    PromptLookup,
    Random,
    Renormalize,
    RepetitionPenalty,
    Suppress,
    TopK,
    TopP,
)

PLAN = Plan(
    2,
    3,
    0,
    9,
    (
        RepetitionPenalty(1.2),
        NoRepeatNgram(2),
        EncoderNoRepeatNgram(3),
        EncoderRepetitionPenalty(1.2),
        ExponentialDecayLengthPenalty((3, 1.1)),
        BadWords(((5, 6), (7,))),
        MinLength(4),
        MinNewTokens(2),
        MinLengthRatio(0.5),
        ForcedBos(5),
        ForcedEos(3),
        Suppress((8,)),
        BeginSuppress((9, 10)),
        Renormalize(),
    ),
    ends=(3, 9),
)
EXAMPLES = [
    Greedy(),
    Beam(5, length_penalty=0.6, early_stopping="never", num_return_sequences=2),
    Beam(2, early_stopping=True),
    Random(temperature=0.5, top_k=3),
    Random(),
    TopK(7, temperature=2.0),
    TopP(0.8, min_p=0.1, typical_p=0.9, eta_cutoff=0.01),
    BeamSample(3, top_p=0.5),
    ConstrainedBeam(3),
    DiverseBeam(4, num_beam_groups=2, diversity_penalty=0.5),
    ContrastiveSearch(0.4, top_k=3),
    PromptLookup(5, max_matching_ngram_size=3),
]


def test_every_strategy_and_rule_has_an_example():
    assert {type(sampler).__name__ for sampler in EXAMPLES} == set(SAMPLERS)
    assert {type(rule).__name__ for rule in PLAN.processors} == set(PROCESSORS)


@pytest.mark.parametrize("sampler", EXAMPLES, ids=lambda sampler: str(sampler.key()))
def test_round_trip(sampler):
    request = ExportRequest(sampler, PLAN)
    again = ExportRequest.from_json(json.loads(json.dumps(request.to_json())))
    assert again.sampler.key() == sampler.key()
    assert again.plan == PLAN


class Own(Greedy):
    pass


@dataclass(frozen=True)
class Rule(LogitsProcessor):
    def __call__(self, scores, step, plan):
        return scores


def test_what_only_this_process_knows_is_refused():
    with pytest.raises(ExportError, match="sampler Own is not one of Greedy"):
        ExportRequest(Own(), PLAN).to_json()
    with pytest.raises(ExportError, match="logits processor Rule"):
        ExportRequest(Greedy(), Plan(2, 3, 0, 9, (Rule(),))).to_json()
