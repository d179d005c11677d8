"""Constrained beam search against exhaustive search, on Markov models."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from fake_moves import Markov, run
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops
from small_models import COMPILES

from keras_s2s.samplers import Beam, ConstrainedBeam, NoRepeatNgram, Plan, Suppress
from keras_s2s.samplers.phrases import Phrases, Progress, least_length, phrase_arrays

PAD, EOS, START, V, STEPS = 0, 1, 2, 6, 5
PLAN = Plan(decoder_start=START, eos=EOS, pad=PAD, steps=STEPS)
LETTERS = [3, 4, 5]


def table(seed: int) -> np.ndarray:
    """Log-probabilities of the next id; PAD and the start never follow."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (V, V))
    logits[:, [PAD, START]] = -1e9
    return logits - np.log(np.exp(logits).sum(1, keepdims=True))


def has(ids: Sequence[int], phrase: Sequence[int]) -> bool:
    return any(list(ids[i : i + len(phrase)]) == list(phrase) for i in range(len(ids)))


def meets(ids: Sequence[int], constraints: Sequence[Sequence[Sequence[int]]]) -> bool:
    return all(any(has(ids, phrase) for phrase in phrases) for phrases in constraints)


def every_result(steps: int = STEPS) -> list[tuple[int, ...]]:
    """Results that end in EOS, and those that are cut at the limit."""
    found = []
    for length in range(steps):
        found += [(*ids, EOS) for ids in itertools.product(LETTERS, repeat=length)]
    return found + list(itertools.product(LETTERS, repeat=steps))


def needed(ids: Sequence[int], constraints: Sequence[Sequence[Sequence[int]]]) -> int:
    """Ids that meet what is not met, phrase after phrase, the one that helps most gone on with."""
    unmet = [phrases for phrases in constraints if not any(has(ids, p) for p in phrases)]
    spared = [0]
    for phrases in unmet:
        least = min(map(len, phrases))
        for phrase in phrases:
            shown = [n for n in range(len(phrase)) if list(ids[len(ids) - n :]) == phrase[:n]]
            begun = max(n for n in shown if n <= len(ids))
            spared.append(least - len(phrase) + begun)
    return sum(min(map(len, phrases)) for phrases in unmet) - max(spared)


def surely_met(ids: Sequence[int], constraints: Sequence[Sequence[Sequence[int]]]) -> bool:
    """Whether at each step there was room for what was not met, without overlaps."""
    rooms = ((n, STEPS - n) for n in range(1, len(ids) + 1))
    return all(needed(ids[:n], constraints) <= room for n, room in rooms)


def log_prob(logs: np.ndarray, ids: Sequence[int]) -> float:
    return float(sum(logs[a, b] for a, b in itertools.pairwise([START, *ids])))


def search(logs, sampler, constraints, plan=PLAN, **more):
    """The result for sources with these constraints."""
    return run(Markov(logs), sampler, plan, len(constraints), phrases=constraints, **more)


def sentence(result, row: int, rank: int = 0) -> tuple[int, ...]:
    return tuple(result.token_ids[row, rank, : result.lengths[row, rank]].tolist())


#: What sources ask for: nothing, ids, overlapping phrases, sets, and all the room there is.
CASES = [
    [],
    [[[3]]],
    [[[3, 4]], [[4, 5]]],
    [[[5, 5]], [[5]]],
    [[[3], [4, 4]], [[5, 3], [4]]],
    [[[3, 3, 4]], [[4, 3]]],
    [[[3, 4, 5, 3, 4]]],
    [[[4, 3, 4], [5, 5, 5]], [[3, 4, 5]]],
]


@pytest.mark.parametrize("seed", range(1 if COMPILES else 3))
@pytest.mark.parametrize("penalty", [0.0, 1.0])
def test_a_wide_search_is_exhaustive(seed, penalty):
    """All sources at once, so that each must keep to its own phrases."""
    logs, cases = table(seed), [case for case in CASES if least_length(case) <= STEPS]
    sampler = ConstrainedBeam(90, length_penalty=penalty, early_stopping="never")
    result = search(logs, sampler, cases)
    for row, constraints in enumerate(cases):
        allowed = [
            ids
            for ids in every_result()
            if meets(ids, constraints) and surely_met(ids, constraints)
        ]
        scores = {ids: log_prob(logs, ids) / len(ids) ** penalty for ids in allowed}
        best = max(scores, key=scores.__getitem__)
        assert sentence(result, row) == best, (constraints, scores[best], result.scores[row, 0])
        assert result.scores[row, 0] == pytest.approx(scores[best], rel=1e-5)


@pytest.mark.parametrize("beams", [1, 2, 5])
@pytest.mark.parametrize("stop", [True, False, "never"])
def test_without_constraints_it_is_beam_search(beams, stop):
    for seed in range(1 if COMPILES else 10):
        options = {"early_stopping": stop, "num_return_sequences": beams, "length_penalty": 0.7}
        expected = run(Markov(table(seed)), Beam(beams, **options), PLAN, 2)
        found = search(table(seed), ConstrainedBeam(beams, **options), [[], []])
        # Sequences of the same steps in another order are equally good.
        np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-5)
        np.testing.assert_array_equal(found.lengths, expected.lengths)
        assert sentence(found, 0) == sentence(found, 1)


PHRASE = st.lists(st.sampled_from(LETTERS), min_size=1, max_size=3)
CONSTRAINTS = st.lists(st.lists(PHRASE, min_size=1, max_size=2), max_size=3)


@settings(max_examples=5 if COMPILES else 150)
@given(st.lists(CONSTRAINTS, min_size=3, max_size=3), st.integers(0, 99), st.sampled_from([1, 3]))
def test_every_result_meets_its_constraints(sources, seed, beams):
    """However few the beams, and with no more room than is needed."""
    room = max(map(least_length, sources)) + seed % 3
    plan = Plan(START, EOS, PAD, steps=max(room, 1))
    sampler = ConstrainedBeam(beams, num_return_sequences=beams)
    result = search(table(seed), sampler, sources, plan)
    for row, constraints in enumerate(sources):
        assert result.lengths[row, 0] > 0
        for rank in range(beams):
            ids = sentence(result, row, rank)
            if ids:
                assert meets(ids, constraints)
                assert result.token_log_probs[row, rank].sum() == pytest.approx(
                    log_prob(table(seed), ids), rel=1e-4
                )


def test_rules_and_prefixes_go_with_it():
    constraints = [[[3, 4]], [[5]]]
    plan = Plan(START, EOS, PAD, STEPS, (Suppress((3,)), NoRepeatNgram(1)), prefixed=True)
    # What is given counts, even where a rule forbids it.
    result = search(
        table(1), ConstrainedBeam(3), [constraints] * 2, plan, prefixes=[[3, 4], [3, 4]]
    )
    ids = sentence(result, 0)
    assert ids[:2] == (3, 4) and 5 in ids and ids.count(4) == 1


@settings(max_examples=20 if COMPILES else 300)
@given(CONSTRAINTS, st.lists(st.sampled_from([*LETTERS, EOS]), max_size=8))
def test_progress_is_what_the_ids_say(constraints, ids):
    arrays = phrase_arrays([constraints])
    phrases = Phrases(*[ops.convert_to_tensor(array) for array in arrays.values()])
    shape = (1, 1, arrays["phrase_ids"].shape[1])
    progress = Progress(ops.zeros(shape, "int32"), ops.zeros(shape, "bool"))
    for token in ids:
        progress = progress.after(ops.convert_to_tensor([[token]], "int32"), phrases)
    flat = [phrase for each in constraints for phrase in sorted(each, key=len)]
    matched = ops.convert_to_numpy(progress.matched)[0, 0]
    for phrase, count in zip(flat, matched, strict=False):
        ends = [
            n for n in range(len(phrase) + 1) if n <= len(ids) and ids[len(ids) - n :] == phrase[:n]
        ]
        assert count == max(ends)
    occurred = ops.convert_to_numpy(progress.occurred)[0, 0]
    assert occurred[: len(flat)].tolist() == [has(ids, phrase) for phrase in flat]
    needed = int(ops.convert_to_numpy(progress.needed(phrases))[0, 0])
    assert (needed == 0) == meets(ids, constraints)
    if needed and len(ids) < 3:
        # So many ids do: one of the wanted ones each time.
        shorter = [list(more) for more in itertools.product(LETTERS, repeat=min(needed, 6))]
        assert needed > 6 or any(meets([*ids, *more], constraints) for more in shorter)
