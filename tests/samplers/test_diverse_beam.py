"""Diverse beam search against a search in plain Python loops."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from fake_moves import Markov, run
from keras import ops
from small_models import COMPILES, covered

from keras_s2s.layers.state import State, StepOutput
from keras_s2s.samplers import Beam, DiverseBeam, Plan

V, EOS, START, STEPS = 7, 1, 2, 6
PLAN = Plan(decoder_start=START, eos=EOS, pad=0, steps=STEPS)


class Timed(Markov):
    """A table `[steps, V, V]` for each step: in a plain Markov model many sentences tie."""

    def step(self, tokens: Any, state: State, index: Any, want_attention: bool = False) -> Any:
        now = ops.take(ops.convert_to_tensor(self.table), index, axis=0)
        return StepOutput(ops.take(now, tokens, axis=0), state, None)


@dataclass
class Group:
    """Hypotheses as `(score, ids)`."""

    live: list = field(default_factory=lambda: [(0.0, [])])
    done: list = field(default_factory=list)
    stopped: bool = False

    def step(self, table: np.ndarray, taken: Counter, sampler: DiverseBeam) -> None:
        size = sampler.num_beams // sampler.num_beam_groups
        candidates = []
        for score, ids in self.live:
            following = table[len(ids), ids[-1] if ids else START]
            for i in range(V):
                cost = sampler.diversity_penalty * taken[i]
                candidates.append((score + following[i] - cost, [*ids, i]))
        candidates = sorted(candidates, reverse=True)[: 2 * size]
        length = len(candidates[0][1])
        over = length == STEPS
        for score, ids in candidates[:size]:
            if (over or ids[-1] == EOS) and not self.stopped:
                self.done.append((score / length**sampler.length_penalty, ids))
        self.done = sorted(self.done, reverse=True)[:size]
        self.live = [c for c in candidates if c[1][-1] != EOS][:size]
        if over or (len(self.done) == size and not self.hopeful(length, sampler)):
            self.stopped = True

    def hopeful(self, length: int, sampler: DiverseBeam) -> bool:
        if sampler.early_stopping is True:
            return False
        if sampler.early_stopping == "never" and sampler.length_penalty > 0:
            length = STEPS
        return self.live[0][0] / length**sampler.length_penalty > self.done[-1][0]


def reference(table: np.ndarray, sampler: DiverseBeam) -> list[tuple[float, list[int]]]:
    groups = [Group() for _ in range(sampler.num_beam_groups)]
    while not all(group.stopped for group in groups):
        taken: Counter = Counter()
        for group in groups:
            counts = not group.stopped
            group.step(table, taken, sampler)
            if counts:
                taken.update(ids[-1] for _, ids in group.live)
    found = sorted((h for group in groups for h in group.done), reverse=True)
    return found[: sampler.num_return_sequences]


def random_table(seed: int) -> np.ndarray:
    return np.log(np.random.default_rng(seed).dirichlet(np.full(V, 0.8), size=(STEPS, V)))


def sentences(result) -> list[list[int]]:
    return [
        ids[:length].tolist()
        for ids, length in zip(result.token_ids[0], result.lengths[0], strict=True)
    ]


CASES = [
    (beams, groups, penalty, length_penalty, stopping)
    for beams, groups in ((2, 2), (4, 2), (6, 3), (3, 1))
    for penalty, length_penalty, stopping in (
        (0.0, 1.0, False),
        (0.4, 1.0, "never"),
        (1.0, 0.0, True),
        (3.0, 0.6, False),
        (0.7, 2.0, "never"),
    )
]
SEEDS = range(1 if COMPILES else 6)
COVER = [CASES[6], CASES[12]]


@pytest.mark.parametrize(
    ("beams", "groups", "penalty", "length_penalty", "stopping"), covered(CASES, COVER)
)
def test_search_is_that_of_plain_loops(beams, groups, penalty, length_penalty, stopping):
    sampler = DiverseBeam(
        beams,
        num_beam_groups=groups,
        diversity_penalty=penalty,
        length_penalty=length_penalty,
        early_stopping=stopping,
        num_return_sequences=beams,
    )
    lengths = set()
    for seed in SEEDS:
        table = random_table(seed)
        result = run(Timed(table), sampler, PLAN, rows=2)
        expected = reference(table, sampler)
        assert sentences(result) == [ids for _, ids in expected]
        np.testing.assert_allclose(
            result.scores[0], [score for score, _ in expected], rtol=1e-5, atol=1e-5
        )
        # The model's own, without a penalty.
        raw = [
            sum(
                table[t, last, i]
                for t, last, i in zip(range(STEPS), [START, *ids], ids, strict=False)
            )
            for _, ids in expected
        ]
        np.testing.assert_allclose(result.token_log_probs[0].sum(-1), raw, rtol=1e-5, atol=1e-5)
        np.testing.assert_array_equal(result.token_ids[0], result.token_ids[1])
        lengths |= set(result.lengths[0].tolist())
    assert len(lengths) > 1, "all end together: nothing is shown"


def test_one_group_is_beam_search():
    for seed in SEEDS:
        options = {"length_penalty": 0.6, "num_return_sequences": 3}
        one = run(Timed(random_table(seed)), DiverseBeam(3, num_beam_groups=1, **options), PLAN)
        beam = run(Timed(random_table(seed)), Beam(3, **options), PLAN)
        assert sentences(one) == sentences(beam)
        np.testing.assert_allclose(one.scores, beam.scores, rtol=1e-6)


def test_a_large_penalty_makes_groups_begin_differently():
    def beginnings(penalty: float) -> list[int]:
        sampler = DiverseBeam(
            3, num_beam_groups=3, diversity_penalty=penalty, num_return_sequences=3
        )
        return [ids[0] for ids in sentences(run(Timed(table), sampler, PLAN))]

    table = random_table(1)
    table[..., EOS] = -50.0
    assert len(set(beginnings(0.0))) == 1
    assert len(set(beginnings(40.0))) == 3
