"""Every rule against transformers' class of the same purpose, on random scores and histories."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from fake_moves import Markov, run
from keras import ops
from small_models import COMPILES, attention, make_model, recurrent, source_mapping, variant

from keras_s2s.samplers import (
    AllowedTokens,
    BadWords,
    Beam,
    BeginSuppress,
    EncoderNoRepeatNgram,
    EncoderRepetitionPenalty,
    ExponentialDecayLengthPenalty,
    ForcedBos,
    ForcedEos,
    Greedy,
    LogitsProcessor,
    MinLength,
    MinNewTokens,
    NoRepeatNgram,
    Plan,
    RepetitionPenalty,
    Sources,
    Step,
    Suppress,
)

EOS, START, VOCABULARY = 1, 2, 6
SOURCES, WIDTH, CAPACITY = 3, 2, 9
SOURCE_LENGTHS = (7, 2, 4)
PREFIX_LENGTHS = (0, 3, 1)
PLAN = Plan(decoder_start=START, eos=EOS, pad=0, steps=8)
LIMITS = (8, 5, 7)
STARTS = (START, 3, START)  # of each source: a language, in some models

# Words that overlap, that begin and end alike, that hold EOS, and one that the start could begin.
WORDS = [[4], [3, 3], [3, 3, 5], [5, 3], [EOS], [3, EOS], [START, 5], [0, 3, 5, 4]]


def situations(seed: int = 0) -> Iterator[tuple[np.ndarray, Step]]:
    """Scores `[R, V]` and a step, for every step; what follows it in the histories is junk."""
    rng = np.random.default_rng(seed)
    sources = Sources(
        rng.integers(2, VOCABULARY, (SOURCES, max(SOURCE_LENGTHS))).astype("int32"),
        np.arange(max(SOURCE_LENGTHS))[None] < np.asarray(SOURCE_LENGTHS)[:, None],
        np.asarray([2, 0, 1], "int32"),
        np.zeros(SOURCES, "int32"),
        np.zeros((SOURCES, 3), "int32"),
        np.asarray(PREFIX_LENGTHS, "int32"),
        np.asarray(LIMITS, "int32"),
        np.asarray(STARTS, "int32"),
    )
    for index in range(PLAN.steps):
        # Few different ids, so that n-grams and words do return.
        tokens = rng.integers(2, VOCABULARY, (SOURCES * WIDTH, CAPACITY)).astype("int32")
        scores = rng.normal(0, 2, (SOURCES * WIDTH, VOCABULARY)).astype("float32")
        yield scores, Step(tokens, index, sources, WIDTH)


def tensors(sources: Sources) -> Sources:
    given = [
        field if isinstance(field, tuple) else ops.convert_to_tensor(field) for field in sources
    ]
    return Sources(*given)


def apply(rule: LogitsProcessor, scores: np.ndarray, step: Step, plan: Plan = PLAN) -> np.ndarray:
    sources = tensors(step.sources)
    alive = None if step.alive is None else ops.convert_to_tensor(step.alive)
    step = Step(ops.convert_to_tensor(step.tokens), step.index, sources, step.width, alive)
    return ops.convert_to_numpy(rule(ops.convert_to_tensor(scores), step, plan))


def assert_same_scores(found: np.ndarray, expected: np.ndarray) -> None:
    """Equal, where both have forbidden the same."""
    np.testing.assert_array_equal(np.isneginf(found), np.isneginf(expected))
    kept = np.isfinite(found)
    np.testing.assert_allclose(found[kept], expected[kept], rtol=1e-6)


def history(step: Step, row: int) -> np.ndarray:
    return np.concatenate([[STARTS[row // step.width]], step.tokens[row, : step.index]])


# ------------------------------------------------------------------ against transformers


@dataclass
class Case:
    """Our rule, and transformers' for one row: `theirs(library, step, source)`."""

    ours: LogitsProcessor
    theirs: Callable[[Any, Step, int], Any]


def unpadded(step: Step, source: int) -> Any:
    import torch

    return torch.from_numpy(step.sources.ids[source, : SOURCE_LENGTHS[source]])


def prompt(source: int) -> int:
    """Length of what the decoder is given, the start included."""
    return 1 + PREFIX_LENGTHS[source]


CASES: dict[str, Case] = {
    "repetition": Case(
        RepetitionPenalty(1.7), lambda t, step, b: t.RepetitionPenaltyLogitsProcessor(1.7)
    ),
    "repetition_rewarded": Case(
        RepetitionPenalty(0.5), lambda t, step, b: t.RepetitionPenaltyLogitsProcessor(0.5)
    ),
    "encoder_repetition": Case(
        EncoderRepetitionPenalty(1.7),
        lambda t, step, b: t.EncoderRepetitionPenaltyLogitsProcessor(1.7, unpadded(step, b)[None]),
    ),
    "exponential_decay": Case(
        ExponentialDecayLengthPenalty((2, 1.3)),
        lambda t, step, b: t.ExponentialDecayLengthPenalty((2, 1.3), EOS, prompt(b)),
    ),
    "exponential_decay_at_once": Case(
        ExponentialDecayLengthPenalty((0, 0.4)),
        lambda t, step, b: t.ExponentialDecayLengthPenalty((0, 0.4), EOS, prompt(b)),
    ),
    **{
        f"no_repeat_{n}": Case(
            NoRepeatNgram(n), lambda t, step, b, n=n: t.NoRepeatNGramLogitsProcessor(n)
        )
        for n in (1, 2, 3, 5)
    },
    **{
        f"encoder_no_repeat_{n}": Case(
            EncoderNoRepeatNgram(n),
            lambda t, step, b, n=n: t.EncoderNoRepeatNGramLogitsProcessor(n, unpadded(step, b)),
        )
        for n in (1, 2, 3)
    },
    "bad_words": Case(
        BadWords(tuple(map(tuple, WORDS))),
        lambda t, step, b: t.NoBadWordsLogitsProcessor(WORDS, EOS),
    ),
    "suppress": Case(
        Suppress((3, EOS)), lambda t, step, b: t.SuppressTokensLogitsProcessor([3, EOS])
    ),
    "begin_suppress": Case(
        BeginSuppress((3, EOS)),
        lambda t, step, b: t.SuppressTokensAtBeginLogitsProcessor([3, EOS], prompt(b)),
    ),
    "min_length": Case(MinLength(4), lambda t, step, b: t.MinLengthLogitsProcessor(4, EOS)),
    "min_new_tokens": Case(
        MinNewTokens(2),
        lambda t, step, b: t.MinNewTokensLengthLogitsProcessor(prompt(b), 2, EOS),
    ),
    "forced_bos": Case(ForcedBos(4), lambda t, step, b: t.ForcedBOSTokenLogitsProcessor(4)),
    "forced_eos": Case(
        ForcedEos(4), lambda t, step, b: t.ForcedEOSTokenLogitsProcessor(LIMITS[b] + 1, 4)
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_rule_is_that_of_transformers(case):
    library = pytest.importorskip("transformers.generation.logits_process")
    import torch

    changed = []
    for scores, step in situations():
        found = apply(case.ours, scores, step)
        expected = np.concatenate(
            [
                case.theirs(library, step, row // WIDTH)(
                    torch.from_numpy(history(step, row))[None].long(),
                    torch.from_numpy(scores[row : row + 1].copy()),
                ).numpy()
                for row in range(len(scores))
            ]
        )
        assert_same_scores(found, expected)
        changed.append((found != scores).any())
    assert any(changed), "the rule never had anything to do"


def test_allowed_tokens_is_that_of_transformers():
    library = pytest.importorskip("transformers.generation.logits_process")
    import torch

    def allowed(row: int, ids: Any) -> list[int]:
        return sorted({(int(ids[-1]) + row) % VOCABULARY, len(ids) % VOCABULARY})

    for scores, step in situations():
        rows = step.sources.places.tolist()
        theirs = library.PrefixConstrainedLogitsProcessor(
            lambda source, ids, rows=rows: allowed(rows[source], ids), WIDTH
        )
        ids = np.stack([history(step, row) for row in range(len(scores))])
        expected = theirs(torch.from_numpy(ids), torch.from_numpy(scores)).numpy()
        # Nobody is asked within a prefix: the given id follows, whatever the scores.
        given = np.repeat(step.index < np.asarray(PREFIX_LENGTHS), WIDTH)
        expected[given] = scores[given]
        assert_same_scores(apply(AllowedTokens(allowed), scores, step), expected)


# ------------------------------------------------------------------ by hand


def test_begin_suppress_waits_for_a_forced_first_id():
    plan = Plan(START, EOS, 0, 8, processors=(ForcedBos(4), BeginSuppress((3,))))
    for scores, step in situations():
        found = apply(BeginSuppress((3,)), scores, step, plan)
        # Sources without a prefix begin with the forced id, and choose after it.
        firsts = [given or 1 for given in PREFIX_LENGTHS]
        begins = np.repeat([step.index == first for first in firsts], WIDTH)
        np.testing.assert_array_equal(found[:, 3] <= -1e8, begins)
        np.testing.assert_array_equal(np.delete(found, 3, 1), np.delete(scores, 3, 1))


def test_source_ids_beyond_the_target_vocabulary_mean_nothing():
    for scores, step in situations():
        few = scores[:, :4]
        ids = np.where(step.sources.ids < 4, step.sources.ids, 77).astype("int32")
        there = [set(ids[b, : SOURCE_LENGTHS[b]]) for b in range(SOURCES)]
        step = step._replace(sources=step.sources._replace(ids=ids))
        found = apply(EncoderNoRepeatNgram(1), few, step)
        expected = np.asarray([[i in there[r // WIDTH] for i in range(4)] for r in range(len(few))])
        np.testing.assert_array_equal(found <= -1e8, expected)


def test_allowed_tokens_asks_for_live_rows_only():
    """Of a source's own place, with the start in front."""
    asked = []

    def allowed(row: int, ids: np.ndarray) -> list[int]:
        asked.append((row, ids.tolist()))
        return [5]

    scores, step = list(situations())[4]
    live = [1, 2, 4, 5]
    alive = np.isin(np.arange(SOURCES * WIDTH), live)
    found = apply(AllowedTokens(allowed), scores, step._replace(alive=alive))
    assert asked == [
        (row, history(step, i).tolist()) for i, row in zip(live, [2, 0, 1, 1], strict=True)
    ]
    np.testing.assert_array_equal(found[~alive], scores[~alive])
    assert (np.delete(found[live], 5, 1) <= -1e8).all()
    np.testing.assert_array_equal(found[live, 5], scores[live, 5])


def test_a_growing_penalty_stays_finite_and_forbidden_ids_stay_forbidden():
    scores, step = list(situations())[-1]
    scores[0, EOS], scores[1, EOS] = -np.inf, 0.0
    found = apply(ExponentialDecayLengthPenalty((0, 1e300)), scores, step)
    assert np.isneginf(found[0, EOS]) and found[1, EOS] == 0
    assert np.isfinite(found[1:]).all() and (found[2:, EOS] > 1e20).all()


# ------------------------------------------------------------------ in a loop


UNIFORM = Markov(np.zeros((VOCABULARY, VOCABULARY)))


@pytest.mark.parametrize("sampler", [Greedy(), Beam(2)], ids=["greedy", "beam"])
def test_allowed_tokens_in_a_compiled_loop(sampler):
    def allowed(row: int, ids: np.ndarray) -> list[int]:
        return [3 + row] if len(ids) < 4 else [EOS]

    plan = Plan(START, EOS, 0, 8, processors=(AllowedTokens(allowed),))
    result = run(UNIFORM, sampler, plan, rows=3)
    assert result.token_ids[:, 0, :4].tolist() == [[3 + row] * 3 + [EOS] for row in range(3)]
    assert (result.lengths == 4).all()


ANSWERS = [[3, 4, EOS], [3, 5, 4, EOS], [5, EOS]]


def of_answers(row: int, ids: np.ndarray) -> list[int]:
    """Ids that lead to one of ANSWERS; none after anything else."""
    said = ids[1:].tolist()
    return [a[len(said)] for a in ANSWERS if a[: len(said)] == said and len(a) > len(said)]


@pytest.mark.parametrize("sampler", [Beam(4, num_return_sequences=4)], ids=["beam"])
def test_fewer_allowed_answers_than_beams(sampler):
    """Nobody is asked what follows an id that was not allowed, and the search ends."""
    plan = Plan(START, EOS, 0, 40, processors=(AllowedTokens(of_answers),))
    result = run(UNIFORM, sampler, plan, rows=2)
    for ids, lengths in zip(result.token_ids, result.lengths, strict=True):
        found = [row[:length].tolist() for row, length in zip(ids, lengths, strict=True)]
        assert sorted(filter(None, found)) == sorted(ANSWERS)


@pytest.mark.parametrize(
    "sampler", [Greedy(), Beam(2, early_stopping=True)], ids=["greedy", "beam"]
)
def test_sources_that_are_done_are_not_asked_about(sampler):
    """They end at different steps; the batch goes on until the last one does."""
    depths = dict.fromkeys(range(3), 0)

    def allowed(row: int, ids: np.ndarray) -> list[int]:
        depths[row] = max(depths[row], len(ids))
        return [EOS] if len(ids) > row + 1 else [3, 4]

    run(UNIFORM, sampler, Plan(START, EOS, 0, 8, processors=(AllowedTokens(allowed),)), rows=3)
    assert depths == {0: 2, 1: 3, 2: 4}


def test_nobody_is_asked_within_a_prefix_or_at_the_limit():
    asked = set()

    def allowed(row: int, ids: np.ndarray) -> list[int]:
        asked.add((row, len(ids)))
        return [5]

    plan = Plan(START, EOS, 0, 6, processors=(AllowedTokens(allowed),), prefixed=True)
    run(UNIFORM, Greedy(), plan, 2, prefixes=[[3, 4]] * 2, limits=np.asarray([4, 6], "int32"))
    assert asked == {(0, 3), (0, 4), (1, 3), (1, 4), (1, 5), (1, 6)}


@pytest.mark.parametrize(
    ("answer", "message"),
    [([], "allows none for source 1 after"), ([3, VOCABULARY], "ids of this vocabulary go from")],
)
def test_allowed_tokens_that_cannot_be_are_refused(answer, message):
    plan = Plan(
        START, EOS, 0, 4, processors=(AllowedTokens(lambda row, ids: answer if row else [3]),)
    )
    # Compiled backends wrap an error of the host in one of their own.
    with pytest.raises(Exception if COMPILES else ValueError, match=message):
        run(UNIFORM, Greedy(), plan, rows=2)


@dataclass(frozen=True)
class Alternate(LogitsProcessor):
    """The likeliest id at even steps, `token` at odd ones."""

    token: int

    def __call__(self, scores, step, plan):
        chosen = ops.arange(scores.shape[-1]) == self.token
        odd = ops.cast(step.index, "int32") % 2 == 1
        return scores + 1e4 * ops.cast(ops.logical_and(chosen, odd), scores.dtype)


def test_a_rule_of_the_callers_own():
    model = make_model(
        variant(
            {
                "encoder": recurrent("gru"),
                "decoder": recurrent("gru", **attention("dot", "current")),
                "bridge": {"type": "copy"},
            }
        )
    )
    sources = source_mapping([[5, 6, 3], [7, 3]])
    options = {"max_length": 7, "suppress_tokens": [3, 9]}
    found = model.generate(sources, processors=[Alternate(8)], **options)
    assert found.shape == (2, 6) and (found[:, 1::2] == 8).all()
    assert (found[:, ::2] != 8).any() and not np.isin(found, [3, 9]).any()
    # Equal rules share what was compiled.
    compiled = model.generator.compilations
    np.testing.assert_array_equal(
        model.generate(sources, processors=[Alternate(8)], **options), found
    )
    assert model.generator.compilations == compiled
