"""Strategies on Markov models that can be solved by hand, and against exact distributions."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from fake_moves import Markov, run
from keras import ops
from small_models import COMPILES, covered

from keras_s2s.config import GenerationConfig
from keras_s2s.samplers import (
    Beam,
    ForcedBos,
    ForcedEos,
    Greedy,
    MinLength,
    Plan,
    Random,
    TopK,
    resolve_sampler,
)
from keras_s2s.samplers.random_numbers import uniform

# Ids: 0 PAD, 1 EOS, 2 start, 3 = a, 4 = b.
PAD, EOS, START, A, B = range(5)


def table(**rows: dict[int, float]) -> np.ndarray:
    """Log-probabilities from probabilities; what is not named is impossible."""
    result = np.full((5, 5), -1e9)
    for name, row in rows.items():
        for token, probability in row.items():
            result[{"start": START, "a": A, "b": B, "eos": EOS, "pad": PAD}[name], token] = (
                math.log(probability)
            )
    return result


#: Greedy takes a (0.6) and then has nothing better than 0.3; the best sentence begins with b.
TRAP = table(
    start={A: 0.6, B: 0.4},
    a={A: 0.4, B: 0.3, EOS: 0.3},
    b={EOS: 0.9, A: 0.1},
    eos={A: 1.0},  # whoever extends a finished hypothesis gets this for free
    pad={A: 1.0},
)
PLAN = Plan(decoder_start=START, eos=EOS, pad=PAD, steps=4)


def sentence(result, row: int = 0, rank: int = 0) -> list[int]:
    return result.token_ids[row, rank, : result.lengths[row, rank]].tolist()


def test_greedy_takes_the_likeliest_step_by_step() -> None:
    result = run(Markov(TRAP), Greedy(), PLAN)
    assert sentence(result) == [A, A, A, A]
    assert result.scores[0, 0] == pytest.approx(math.log(0.6 * 0.4**3), rel=1e-5)


def test_beam_finds_the_likeliest_sentence_and_stops_there() -> None:
    result = run(Markov(TRAP), Beam(2, length_penalty=0.0, num_return_sequences=2), PLAN)
    assert sentence(result) == [B, EOS]
    assert result.scores[0, 0] == pytest.approx(math.log(0.4 * 0.9), rel=1e-5)
    # [a EOS] (0.18) is third at its step, behind [b EOS] and [a a], so it may not end there.
    assert sentence(result, rank=1) == [A, B, EOS]
    assert result.scores[0, 1] == pytest.approx(math.log(0.6 * 0.3 * 0.9), rel=1e-5)
    np.testing.assert_allclose(
        result.token_log_probs[0, 0], [math.log(0.4), math.log(0.9), 0], rtol=1e-5
    )
    for rank, length in enumerate(result.lengths[0]):
        assert (result.token_ids[0, rank, length:] == PAD).all(), "nothing after EOS"


@pytest.mark.parametrize("penalty", covered([-1.0, 0.0, 0.6, 1.0, 2.0], [-1.0, 0.6]))
def test_wide_beam_is_exhaustive_search(penalty: float) -> None:
    ended = [
        [*middle, EOS]
        for length in range(PLAN.steps)
        for middle in itertools.product([A, B], repeat=length)
    ]
    cut = [list(ids) for ids in itertools.product([A, B], repeat=PLAN.steps)]

    def score(ids: list[int]) -> float:
        steps = zip([START, *ids[:-1]], ids, strict=True)
        return sum(TRAP[last, token] for last, token in steps) / len(ids) ** penalty

    best = max(ended + cut, key=score)
    beam = Beam(40, length_penalty=penalty, early_stopping="never")
    result = run(Markov(TRAP), beam, PLAN)
    assert sentence(result) == best
    assert result.scores[0, 0] == pytest.approx(score(best), rel=1e-4)


@pytest.mark.parametrize("pad", covered([EOS, START], [EOS]))
def test_pad_may_be_another_special_id(pad: int) -> None:
    plan = Plan(decoder_start=START, eos=EOS, pad=pad, steps=4)
    for sampler in (Greedy(), Beam(2, length_penalty=0.0)):
        expected = run(Markov(TRAP), sampler, PLAN)
        result = run(Markov(TRAP), sampler, plan)
        assert sentence(result) == sentence(expected)
        np.testing.assert_allclose(result.scores, expected.scores)
        assert (result.token_ids[0, 0, result.lengths[0, 0] :] == pad).all()


def test_one_beam_is_greedy() -> None:
    rng = np.random.default_rng(0)
    for _ in range(1 if COMPILES else 5):
        moves = Markov(np.log(rng.dirichlet(np.ones(5), size=5)))
        greedy, beam = run(moves, Greedy(), PLAN), run(moves, Beam(1, length_penalty=0.0), PLAN)
        assert sentence(greedy) == sentence(beam)


@pytest.mark.parametrize("sampler", [Greedy(), Beam(3), TopK(3)])
def test_rules_hold_for_every_strategy(sampler) -> None:
    rng = np.random.default_rng(1)
    moves = Markov(np.log(rng.dirichlet(np.ones(5) * 3, size=5)))
    rules = (MinLength(4), ForcedBos(B), ForcedEos(EOS))
    plan = Plan(START, EOS, PAD, steps=4, processors=rules)
    ids = sentence(run(moves, sampler, plan, seeds=[3]))
    assert ids[0] == B
    assert EOS not in ids[:2], "min_length counts the decoder start"
    assert EOS in ids, "the last id that fits is forced"


def test_early_stopping_takes_the_first_k() -> None:
    """True stops at K finished ones, even where a live one is about to do better."""
    moves = Markov(
        table(start={EOS: 0.2, A: 0.8}, a={EOS: 0.2, B: 0.8}, b={EOS: 1.0}, eos={A: 1.0})
    )
    greedy_stop = run(moves, Beam(1, early_stopping=True, length_penalty=0.0), PLAN)
    assert sentence(greedy_stop) == [A, B, EOS]
    two = run(moves, Beam(2, early_stopping=True, length_penalty=0.0), PLAN)
    assert sentence(two) == [EOS], "[EOS] and [a EOS] end first"
    thorough = run(moves, Beam(2, early_stopping="never", length_penalty=0.0), PLAN)
    assert sentence(thorough) == [A, B, EOS]


# ------------------------------------------------------------------ drawing


def test_the_hash_is_murmur3s_finaliser_on_every_backend() -> None:
    def mix(x: np.ndarray) -> np.ndarray:
        x = x.astype(np.uint32)
        x ^= x >> np.uint32(16)
        x *= np.uint32(0x85EBCA6B)
        x ^= x >> np.uint32(13)
        x *= np.uint32(0xC2B2AE35)
        return x ^ (x >> np.uint32(16))

    seeds = np.random.default_rng(2).integers(-(2**31), 2**31, 1000).astype(np.int32)
    for index in (0, 1, 77):
        step = mix(np.asarray([index + 0x3C6EF372], np.uint32))
        expected = (mix(seeds.astype(np.uint32) + step) >> np.uint32(8)) * 2.0**-24
        drawn = ops.convert_to_numpy(uniform(ops.convert_to_tensor(seeds), index))
        np.testing.assert_array_equal(drawn, expected.astype(np.float32))
        assert drawn.min() >= 0 and drawn.max() < 1


@pytest.mark.parametrize(
    ("sampler", "allowed"),
    [(Random(), 5), (Random(temperature=0.5), 5), (TopK(2), 2), (TopK(3, temperature=2.0), 3)],
)
def test_draws_follow_the_distribution_they_claim(sampler: Random, allowed: int) -> None:
    probabilities = np.asarray([0.05, 0.15, 0.1, 0.4, 0.3])
    moves = Markov(np.log(np.tile(probabilities, (5, 1))))
    draws = 20_000
    seeds = np.random.default_rng(3).integers(-(2**31), 2**31, draws)
    plan = Plan(START, EOS, PAD, steps=1)
    ids = run(moves, sampler, plan, rows=draws, seeds=seeds).token_ids[:, 0, 0]

    wanted = probabilities ** (1 / sampler.temperature)
    wanted[np.argsort(-probabilities)[allowed:]] = 0
    wanted = wanted / wanted.sum() * draws
    counts = np.bincount(ids, minlength=5)
    assert (counts[wanted == 0] == 0).all()
    kept = wanted > 0
    chi_square = ((counts[kept] - wanted[kept]) ** 2 / wanted[kept]).sum()
    # The 99.99 % points of chi-square with 1, 2 and 4 degrees of freedom.
    assert chi_square < {2: 15.1, 3: 18.4, 5: 23.5}[allowed]


def test_a_row_draws_the_same_in_any_batch() -> None:
    moves = Markov(np.log(np.full((5, 5), 0.2)))
    plan = Plan(START, 9, PAD, steps=8)
    together = run(moves, Random(), plan, rows=3, seeds=[7, 8, 9]).token_ids
    alone = run(moves, Random(), plan, rows=1, seeds=[8]).token_ids
    np.testing.assert_array_equal(together[1], alone[0])
    assert (together[0] != together[1]).any()
    assert len(set(together[0, 0].tolist())) > 1, "each step draws anew"


# ------------------------------------------------------------------ asking for a strategy


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Beam(0), "num_beams=0"),
        (lambda: Beam(2, num_return_sequences=3), "num_return_sequences=3"),
        (lambda: Beam(2, early_stopping="always"), "early_stopping='always'"),
        (lambda: TopK(-1), "top_k=-1"),
        (lambda: Random(temperature=0.0), r"temperature=0\.0"),
    ],
)
def test_values_out_of_range_are_refused(make, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


DEFAULTS = GenerationConfig(num_beams=5, length_penalty=0.6, top_k=7)


def test_defaults_choose_and_fill_the_strategy() -> None:
    assert resolve_sampler(None, {}, DEFAULTS).key() == Beam(5, length_penalty=0.6).key()
    assert resolve_sampler("greedy", {}, DEFAULTS).key() == Greedy().key()
    assert resolve_sampler("top_k", {}, DEFAULTS).key() == TopK(7).key()
    assert resolve_sampler(None, {"num_beams": 2}, DEFAULTS).num_beams == 2
    assert resolve_sampler(None, {}, GenerationConfig()).key() == Greedy().key()
    assert resolve_sampler("beam", {}, GenerationConfig()).num_beams == Beam().num_beams
    mine = Beam(3)
    assert resolve_sampler(mine, {}, DEFAULTS) is mine


@pytest.mark.parametrize(
    ("sampler", "options", "message"),
    [
        ("bean", {}, "did you mean 'beam'"),
        ("greedy", {"num_beams": 2}, "'greedy' has no use for num_beams; .*'beam'"),
        ("beam", {"top_k": 2}, "top_k belongs to 'random', 'top_k'"),
        (None, {"lenght_penalty": 1.0}, "did you mean 'length_penalty'"),
        (Greedy(), {"top_k": 2}, "already configured"),
    ],
)
def test_options_that_would_be_ignored_are_refused(sampler, options, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        resolve_sampler(sampler, options, DEFAULTS)
