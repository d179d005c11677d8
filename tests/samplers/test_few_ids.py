"""Rules and searches on the scores of some ids alone: as on those of all."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from keras import ops
from test_processors import PLAN, SOURCES, VOCABULARY, WIDTH, WORDS, apply, situations, tensors

from keras_s2s.samplers import (
    BadWords,
    Beam,
    BeginSuppress,
    ExponentialDecayLengthPenalty,
    ForcedBos,
    ForcedEos,
    LogitsProcessor,
    MinLength,
    MinLengthRatio,
    MinNewTokens,
    NoRepeatNgram,
    Plan,
    Renormalize,
    Suppress,
)
from keras_s2s.samplers import processors as processors_module
from keras_s2s.samplers.best_allowed import A_FEW, best_allowed, most_forbidden
from keras_s2s.samplers.processors import FORBIDDEN

WORDS_OF_IDS = tuple(map(tuple, WORDS))
RULES: list[LogitsProcessor] = [
    BadWords(WORDS_OF_IDS),
    BeginSuppress((3, 4)),
    ExponentialDecayLengthPenalty((2, 1.5)),
    ForcedBos(4),
    ForcedEos(3),
    MinLength(5),
    MinLengthRatio(0.5),
    MinNewTokens(3),
    Renormalize(),
    Suppress((0, 5)),
]
IDS = [rule.__class__.__name__ for rule in RULES]


def test_every_rule_that_takes_candidates_is_here() -> None:
    named = [getattr(processors_module, name) for name in processors_module.__all__]
    rules = {rule for rule in named if isinstance(rule, type)}
    taking = {rule for rule in rules if vars(rule).get("takes_candidates")}
    assert taking == set(map(type, RULES)) and len(taking) == 10


@pytest.mark.parametrize("rule", RULES, ids=IDS)
def test_rules_change_the_scores_of_candidates_as_those_of_all(rule: LogitsProcessor) -> None:
    rng = np.random.default_rng(1)
    changed = 0
    for scores, step in situations():
        whole = apply(rule, scores, step)
        # All of them, in another order, so that what `Renormalize` adds up is the same.
        shared = rng.permutation(VOCABULARY).astype("int32")
        own = rng.permuted(np.tile(shared, (len(scores), 1)), axis=1)
        for candidates in (shared, own):
            places = np.broadcast_to(candidates, own.shape)
            some = step._replace(sources=step.sources._replace(candidates=candidates))
            found = apply(rule, np.take_along_axis(scores, places, 1), some)
            expected = np.take_along_axis(whole, places, 1)
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
        changed += int((whole != scores).any())
    assert changed


@pytest.mark.parametrize("rule", RULES, ids=IDS)
def test_rules_forbid_no_more_than_they_say(rule: LogitsProcessor) -> None:
    most = rule.most_forbidden(PLAN)
    kept_to, worst = True, 0
    for scores, step in situations():
        found = apply(rule, scores, step)
        forbidden = np.isneginf(found)
        worst = max(worst, int(forbidden.sum(axis=1).max()))
        kept_to = kept_to and np.array_equal(found[~forbidden], scores[~forbidden])
    if most is None:
        assert not kept_to or worst == VOCABULARY - 1
    else:
        assert kept_to and 0 < worst <= most


def expected_rows(logits: np.ndarray, forbidden: set[int], width: int) -> Any:
    """Scores and ids of the best, by sorting all."""
    wide = logits.astype("float64")
    top = wide.max(axis=1, keepdims=True)
    scores = wide - top - np.log(np.exp(wide - top).sum(axis=1, keepdims=True))
    scores[:, list(forbidden)] = FORBIDDEN
    ids = np.argsort(-scores, axis=1, kind="stable")[:, :width]
    return np.take_along_axis(scores, ids, 1), ids


@pytest.mark.parametrize("vocabulary", [9, 4096])
@pytest.mark.parametrize("forbidden", [{1}, {1, 4, 7}, set(range(2, 8))])
def test_beams_find_the_best_that_rules_allow(vocabulary: int, forbidden: set[int]) -> None:
    """Where there are too few ids for that, rules are applied to all of them."""
    sampler = Beam(WIDTH)
    plan = Plan(decoder_start=2, eos=1, pad=0, steps=8, processors=(Suppress(tuple(forbidden)),))
    assert most_forbidden(plan) == len(forbidden)
    rng = np.random.default_rng(len(forbidden))
    _, step = next(situations())
    sources = tensors(step.sources)
    search = sampler.begin(sources, 8, plan)
    logits = rng.normal(0, 3, (SOURCES * WIDTH, vocabulary)).astype("float32")
    # Those that are forbidden are the best of some rows, equal ones are kept in their order.
    logits[::2, list(forbidden)] += 20
    logits[:, -1] = logits[:, 8]
    given = ops.convert_to_tensor(logits)
    alive = ops.ones((SOURCES, WIDTH), dtype="bool")
    histories = search["live"]["token_ids"]
    best = best_allowed(given, 2 * WIDTH, histories, 0, plan, sources, alive)
    found = [ops.convert_to_numpy(part) for part in best]
    scores, ids = expected_rows(logits, forbidden, 2 * WIDTH)
    real = np.isfinite(scores)
    np.testing.assert_array_equal(np.isfinite(found[0]), real)
    np.testing.assert_array_equal(found[1][real], ids[real])
    np.testing.assert_allclose(found[0][real], scores[real], atol=1e-5)
    np.testing.assert_allclose(found[2][real], scores[real], atol=1e-5)
    assert real.all() or vocabulary == 9


def test_what_a_plan_forbids() -> None:
    def most(*rules: LogitsProcessor, **more: Any) -> int | None:
        return most_forbidden(Plan(2, 1, 0, 8, processors=rules, **more))

    assert most() == 0
    assert most(Suppress((3, 4)), MinLength(3), ends=(1, 5)) == 4
    assert most(Suppress((3,)), prefixed=True) is None
    assert most(Suppress((3,)), NoRepeatNgram(2)) is None
    assert most(Suppress((3,)), ForcedEos(1)) is None
    assert most(Suppress(tuple(range(A_FEW)))) == A_FEW
    assert most(Suppress(tuple(range(A_FEW + 1)))) is None

    class Own(Suppress):
        """May look ids up by their places."""

    assert most(Own((3,))) is None

    class More(Suppress):
        """Forbids other ids than its parent, and says so for itself of `takes_candidates` alone."""

        takes_candidates = True

    assert most(More((3,))) is None

    class Callable:
        takes_candidates = True

        def __call__(self, scores: Any, step: Any, plan: Any) -> Any:
            return scores

    assert most(Callable()) is None  # type: ignore[arg-type]
