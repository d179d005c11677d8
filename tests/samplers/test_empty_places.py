"""No hypothesis loses to an empty place, whatever the scale of its score; none is made up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from keras import ops
from samplers.fake_moves import Markov, run
from small_models import covered, shrink, source_mapping

from keras_s2s.catalog import load_preset
from keras_s2s.model import Seq2SeqLM
from keras_s2s.samplers import Beam, BeamSample, DiverseBeam, LogitsProcessor, Plan
from keras_s2s.samplers.processors import MinLength, RepetitionPenalty

START, EOS, PAD, VOCABULARY = 2, 3, 0, 7


def table(scale: float = 1.0) -> np.ndarray:
    logits = np.random.default_rng(3).normal(0, 1, (VOCABULARY, VOCABULARY))
    return (scale * logits).astype("float32")


def strategies(**options: Any) -> dict[str, Any]:
    return {
        "beam": Beam(3, **options),
        "diverse_beam": DiverseBeam(4, num_beam_groups=2, **options),
        "beam_sample": BeamSample(3, temperature=0.7, **options),
    }


def assert_found(result: Any, sampler: Any, processed: bool = False) -> None:
    """The best place holds a hypothesis, and its score is that of its ids."""
    lengths, scores = result.lengths[:, 0], result.scores[:, 0]
    assert (lengths > 0).all() and np.isfinite(scores).all()
    if processed:
        return
    sums = result.token_log_probs[:, 0].astype("float64").sum(axis=1)
    np.testing.assert_allclose(scores, sums / lengths**sampler.length_penalty, rtol=1e-4)


@pytest.mark.parametrize("penalty", covered([-4.0, -8.0, 6.0], [-4.0]))
@pytest.mark.parametrize("name", covered(["beam", "diverse_beam", "beam_sample"], ["beam"]))
def test_length_penalties_that_make_scores_large(name, penalty):
    sampler = strategies(length_penalty=penalty)[name]
    plan = Plan(START, EOS, PAD, 60, (MinLength(58),))
    result = run(Markov(table()), sampler, plan, rows=2)
    assert_found(result, sampler, processed=name != "beam")
    assert (result.lengths[:, 0] >= 57).all()


@pytest.mark.parametrize("scale", covered([1e6, 1e10, 1e20], [1e10]))
@pytest.mark.parametrize("name", covered(["beam", "diverse_beam", "beam_sample"], ["beam"]))
def test_logits_of_any_scale(name, scale):
    sampler = strategies()[name]
    result = run(Markov(table(scale)), sampler, Plan(START, EOS, PAD, 12, (MinLength(8),)), rows=2)
    assert_found(result, sampler, processed=name != "beam")


@pytest.mark.parametrize("penalty", covered([1e8, 0.01], [1e8]))
def test_repetition_penalties_that_make_scores_large(penalty):
    plan = Plan(START, EOS, PAD, 20, (RepetitionPenalty(penalty), MinLength(15)))
    result = run(Markov(table()), Beam(3), plan)
    assert_found(result, None, processed=True)


@dataclass(frozen=True)
class Only(LogitsProcessor):
    """Minus infinity for all ids but these, as rules of transformers put it."""

    tokens: tuple[int, ...]

    def __call__(self, scores: Any, step: Any, plan: Any) -> Any:
        mask = np.full((1, VOCABULARY), -np.inf, "float32")
        mask[0, list(self.tokens)] = 0
        return scores + ops.convert_to_tensor(mask)


@dataclass(frozen=True)
class Times(LogitsProcessor):
    """All scores times a factor, those of forbidden ids, too."""

    factor: float

    def __call__(self, scores: Any, step: Any, plan: Any) -> Any:
        return scores * self.factor


@pytest.mark.parametrize("name", covered(["beam", "diverse_beam", "beam_sample"], ["beam"]))
def test_rules_that_give_minus_infinity(name):
    sampler = strategies(num_return_sequences=2)[name]
    result = run(Markov(table()), sampler, Plan(START, EOS, PAD, 6, (Only((4, EOS)),)))
    real = result.lengths > 0
    assert real[:, 0].all() and np.isfinite(result.scores).all()
    assert set(np.unique(result.token_ids)) <= {4, EOS, PAD}
    assert not np.isnan(result.token_log_probs).any()


def test_what_is_forbidden_stays_so_after_a_rule_that_shrinks_scores():
    plan = Plan(START, EOS, PAD, 12, (MinLength(10), Times(1e-9)))
    result = run(Markov(table()), Beam(3), plan)
    assert (result.lengths[:, 0] >= 9).all()


# ---------------------------------------------------------------------- the public functions


@pytest.fixture(scope="module")
def model() -> Seq2SeqLM:
    return Seq2SeqLM(shrink(load_preset("transformer_tiny")))


def test_a_length_penalty_beyond_float32_is_refused(model):
    for penalty in (-60.0, 60.0):
        with pytest.raises(ValueError, match=r"length_penalty=-?60: 19 ids.*between -23\.5 and"):
            model.generate(
                source_mapping([[5, 3]]), num_beams=2, length_penalty=penalty, max_length=20
            )


FORBIDDEN_CALLS = [{}, {"num_beams": 2}, {"do_sample": True, "seed": 1}]


@pytest.mark.parametrize("options", covered(FORBIDDEN_CALLS, FORBIDDEN_CALLS[1:2]))
def test_rules_that_leave_no_sequence_are_an_error(model, options):
    everything = list(range(model.preset.architecture.target_vocab_size))
    with pytest.raises(ValueError, match="source 0: the rules of this generation forbid every id"):
        model.generate(
            source_mapping([[5, 3]]), suppress_tokens=everything, max_length=6, **options
        )
