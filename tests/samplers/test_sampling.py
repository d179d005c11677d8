"""Draws: their distributions, their independence, and what they may depend on."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import combinations, permutations, product

import numpy as np
import pytest
from fake_moves import Markov, run
from keras import ops
from small_models import covered

from keras_s2s.decoding.seeds import row_seeds
from keras_s2s.samplers import (
    Beam,
    BeamSample,
    DiverseBeam,
    Greedy,
    Plan,
    Random,
    Suppress,
    TopK,
    TopP,
)
from keras_s2s.samplers.warper import LogitsWarper

DRAWS = 100_000
EOS, START, NEVER = 1, 2, -1
PROBABILITIES = np.asarray([0.02, 0.21, 0.05, 0.13, 0.3, 0.01, 0.09, 0.03, 0.16])
V = len(PROBABILITIES)
SAME_ALWAYS = Markov(np.tile(np.log(PROBABILITIES), (V, 1)))


@cache
def many_seeds() -> np.ndarray:
    """What one seed gives `DRAWS` rows."""
    return row_seeds(7, DRAWS)


def plan(steps: int, eos: int = NEVER) -> Plan:
    return Plan(decoder_start=START, eos=eos, pad=0, steps=steps)


def assert_distributed(counts: np.ndarray, probabilities: np.ndarray) -> None:
    """Pearson's chi-square test of observed counts; what is impossible never happens."""
    counts, wanted = np.ravel(counts), np.ravel(probabilities) * np.sum(counts)
    np.testing.assert_allclose(np.sum(wanted), np.sum(counts))
    assert not counts[wanted == 0].any()
    possible = wanted > 0
    statistic = ((counts - wanted)[possible] ** 2 / wanted[possible]).sum()
    # Its 99.99 % point, by Wilson and Hilferty's approximation; nothing varies where one is left.
    degrees = max(possible.sum() - 1, 1)
    spread = 2 / (9 * degrees)
    assert statistic < degrees * (1 - spread + 3.72 * spread**0.5) ** 3


# ------------------------------------------------------------------ random sampling

SETTINGS = [
    {},
    {"temperature": 0.6},
    {"temperature": 1.8},
    {"top_k": 3},
    {"top_k": 1},
    {"top_k": 50},
    {"top_p": 0.75},
    {"top_p": 0.1},
    {"top_p": 1.0},
    {"min_p": 0.35},
    {"temperature": 1.5, "top_k": 6, "top_p": 0.8},
    {"temperature": 0.7, "top_p": 0.9, "min_p": 0.2},
    {"temperature": 2.5, "top_k": 7, "top_p": 0.95, "min_p": 0.3},
    {"top_k": 4, "min_p": 0.5},
    {"typical_p": 0.5},
    {"typical_p": 0.05},
    {"epsilon_cutoff": 0.1},
    {"epsilon_cutoff": 0.9},
    {"eta_cutoff": 0.3},
    {"temperature": 1.5, "top_k": 6, "typical_p": 0.6, "epsilon_cutoff": 0.15, "eta_cutoff": 0.2},
    {"top_p": 0.9, "typical_p": 0.4, "eta_cutoff": 0.1},
]


#: Transformers' class of each option, in the order in which they are applied.
WARPERS = {
    "temperature": "TemperatureLogitsWarper",
    "top_k": "TopKLogitsWarper",
    "top_p": "TopPLogitsWarper",
    "min_p": "MinPLogitsWarper",
    "typical_p": "TypicalLogitsWarper",
    "epsilon_cutoff": "EpsilonLogitsWarper",
    "eta_cutoff": "EtaLogitsWarper",
}


def warped(settings: dict) -> np.ndarray:
    """The distribution that transformers draws from."""
    import torch
    from transformers.generation import logits_process as library

    scores = torch.log(torch.tensor(PROBABILITIES, dtype=torch.float64))[None]
    for name, make in WARPERS.items():
        if name in settings:
            scores = getattr(library, make)(settings[name])(None, scores)
    return torch.softmax(scores, -1)[0].numpy()


@pytest.mark.parametrize("settings", covered(SETTINGS, [SETTINGS[i] for i in (3, 9, 12, 19)]))
def test_draws_follow_transformers_distribution(settings):
    pytest.importorskip("transformers")
    seeds = many_seeds()
    ids = run(SAME_ALWAYS, Random(**settings), plan(1), DRAWS, seeds).token_ids
    assert_distributed(np.bincount(ids.ravel(), minlength=V), warped(settings))


@pytest.mark.parametrize("keep", [1, 2])
@pytest.mark.parametrize("seed", range(3))
def test_shortlists_are_those_of_transformers(seed, keep):
    """Whatever the order of the ids, and where some are forbidden before."""
    library = pytest.importorskip("transformers.generation.logits_process")
    import torch

    rng = np.random.default_rng(seed)
    scores = rng.normal(0, 2, (40, V)).astype("float32")
    scores[rng.random(scores.shape) < 0.3] = -np.inf
    scores[:, seed] = 1.0  # one is left
    kept = {"min_tokens_to_keep": keep}
    for settings in SETTINGS:
        expected = torch.from_numpy(scores.copy())
        for name, make in WARPERS.items():
            if name in settings and (name, settings[name]) != ("top_p", 1.0):
                more = {} if name == "temperature" else kept
                expected = getattr(library, make)(settings[name], **more)(None, expected)
        found, ids = LogitsWarper(**{"temperature": 1.0, **settings}, keep=keep)(
            ops.convert_to_tensor(scores)
        )
        found = ops.convert_to_numpy(found)
        if ids is not None:
            placed = np.full_like(scores, -np.inf)
            np.put_along_axis(placed, ops.convert_to_numpy(ids), found, axis=1)
            found = placed
        np.testing.assert_array_equal(np.isneginf(found), np.isneginf(expected.numpy()))
        np.testing.assert_allclose(found, expected.numpy(), rtol=1e-6)


def test_draws_of_steps_and_sequences_are_independent():
    """Two steps of two sequences, from seeds that lie side by side."""
    probabilities = np.asarray([0.5, 0.2, 0.3])
    moves = Markov(np.tile(np.log(probabilities), (3, 1)))
    sampler = Random(num_return_sequences=2)
    ids = run(moves, sampler, plan(2), DRAWS, np.arange(DRAWS)).token_ids.reshape(DRAWS, 4)
    counts = np.bincount(ids @ 3 ** np.arange(4), minlength=81)
    joint = [np.prod(probabilities[[n // 3**place % 3 for place in range(4)]]) for n in range(81)]
    assert_distributed(counts, np.asarray(joint))


def murmur(x: np.ndarray) -> np.ndarray:
    """MurmurHash3's finaliser over uint32."""
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        x = (x ^ (x >> np.uint32(shift))) * np.uint32(factor)
    return x ^ (x >> np.uint32(16))


def test_draws_are_the_same_on_every_backend():
    """Ids found by inverting the cumulative distribution at hashes computed here."""
    seeds = np.random.default_rng(3).integers(-(2**31), 2**31, 2000).astype("int32")
    ids = run(SAME_ALWAYS, Random(num_return_sequences=2), plan(3), len(seeds), seeds).token_ids
    own = seeds.astype("uint32")
    others = murmur(own + murmur(np.asarray([668265263], "uint32")))
    cumulative, compared = np.cumsum(PROBABILITIES), 0
    for (rank, of_rank), step in product(enumerate((own, others)), range(3)):
        hashes = murmur(of_rank + murmur(np.asarray([step + 0x3C6EF372], "uint32")))
        u = (hashes >> np.uint32(8)) * 2.0**-24
        clear = np.abs(u[:, None] - cumulative).min(1) > 1e-6  # of the sums' own rounding
        expected = (cumulative <= u[:, None]).sum(1)
        np.testing.assert_array_equal(ids[clear, rank, step], expected[clear])
        compared += clear.sum()
    assert compared > 0.99 * ids.size


def test_the_first_of_several_sequences_is_the_single_one():
    seeds = row_seeds(1, 50)
    single = run(SAME_ALWAYS, Random(), plan(6, EOS), 50, seeds)
    several = run(SAME_ALWAYS, Random(num_return_sequences=3), plan(6, EOS), 50, seeds)
    width = single.token_ids.shape[-1]
    np.testing.assert_array_equal(several.token_ids[:, 0, :width], single.token_ids[:, 0])
    np.testing.assert_allclose(several.scores[:, 0], single.scores[:, 0], rtol=1e-6)
    differ = (several.token_ids[:, 0] != several.token_ids[:, 1]).any(-1)
    assert differ.mean() > 0.9 and (several.token_ids[:, 1] != several.token_ids[:, 2]).any()


SAMPLERS = {
    "random": Random(num_return_sequences=2),
    "top_k": TopK(4),
    "top_p": TopP(0.8),
    "beam_sample": BeamSample(3, top_k=5),
}


@pytest.mark.parametrize("name", covered(list(SAMPLERS), ["random", "beam_sample"]))
def test_a_row_draws_alike_alone_in_a_batch_and_permuted(name):
    sampler = SAMPLERS[name]
    seeds = row_seeds(21, 8)
    batch = run(SAME_ALWAYS, sampler, plan(7, EOS), 8, seeds)
    order = np.asarray([3, 1, 7, 0, 5, 2, 6, 4])
    mixed = run(SAME_ALWAYS, sampler, plan(7, EOS), 8, seeds[order])
    alone = run(SAME_ALWAYS, sampler, plan(7, EOS), 1, seeds[5:6])
    again = run(SAME_ALWAYS, sampler, plan(7, EOS), 8, seeds)
    for part, row in ((mixed, np.argsort(order)), (again, slice(None))):
        np.testing.assert_array_equal(part.token_ids[row], batch.token_ids)
        np.testing.assert_allclose(part.scores[row], batch.scores, rtol=1e-5)
    width = alone.token_ids.shape[-1]
    np.testing.assert_array_equal(batch.token_ids[5, :, :width], alone.token_ids[0])
    assert len({row.tobytes() for row in batch.token_ids}) > 2, "rows draw for themselves"


@pytest.mark.parametrize("temperature", covered([1e-4, 1e-12, 1e-39, 1e-300], [1e-39]))
def test_a_cold_draw_is_greedy(temperature):
    seeds = row_seeds(5, 20)
    rules = (Suppress((int(np.argmax(PROBABILITIES)),)),)  # what is forbidden, too
    cold = replace(plan(3), processors=rules)
    drawn = run(SAME_ALWAYS, Random(temperature=temperature), cold, 20, seeds)
    greedy = run(SAME_ALWAYS, Greedy(), cold, 20)
    np.testing.assert_array_equal(drawn.token_ids, greedy.token_ids)
    np.testing.assert_allclose(drawn.scores, greedy.scores, rtol=1e-5)  # the model's own, raw


HOT = [
    Random(temperature=1e9),
    Random(temperature=1e12, top_p=0.99),
    BeamSample(3, temperature=1e9),
]


@pytest.mark.parametrize("sampler", covered(HOT, [HOT[1]]), ids=lambda s: type(s).__name__)
def test_a_hot_draw_obeys_the_rules(sampler):
    allowed = (3, 4, 7)
    rules = (Suppress(tuple(i for i in range(V) if i not in allowed)),)
    hot = replace(plan(3), processors=rules)
    ids = run(SAME_ALWAYS, sampler, hot, 200, row_seeds(5, 200)).token_ids
    assert set(ids.ravel().tolist()) == set(allowed)


def test_no_top_k_is_any_top_k():
    assert Random(top_k=0).key() == Random().key() == Random(top_p=1.0).key()


def test_sequences_of_a_source_are_rows_of_their_own():
    """Nothing is spread over beams that share a cache, and each is done when it ends."""

    class Apart(Markov):
        def spread(self, state, num_beams):
            raise AssertionError("the sequences share a cache")

    moves = Apart(SAME_ALWAYS.table)
    result = run(moves, Random(num_return_sequences=5), plan(9, EOS), 3, row_seeds(5, 3))
    assert result.token_ids.shape[:2] == (3, 5) and len(set(result.lengths.ravel())) > 2


# ------------------------------------------------------------------ beam sampling


def ordered(weights: np.ndarray, places: tuple[int, ...]) -> float:
    """Plackett and Luce: the probability to draw `places` in this order, none put back."""
    left, probability = weights.sum(), 1.0
    for place in places:
        probability *= weights[place] / left
        left -= weights[place]
    return probability


def together(weights: np.ndarray, places: tuple[int, ...]) -> float:
    return sum(ordered(weights, order) for order in permutations(places))


def test_beams_are_drawn_without_replacement():
    """At the limit every candidate ends, and the first K drawn are the K finished ones."""
    weights = np.asarray([0.4, 0.1, 0.25, 0.2, 0.05])
    moves, sampler = Markov(np.tile(np.log(weights), (5, 1))), BeamSample(2, num_return_sequences=2)
    result = run(moves, sampler, plan(1), DRAWS, many_seeds())
    np.testing.assert_allclose(result.scores, np.log(weights)[result.token_ids[..., 0]], rtol=1e-5)
    found = np.sort(result.token_ids[..., 0], axis=1)
    pairs = list(combinations(range(5), 2))
    counts = [(found == pair).all(1).sum() for pair in pairs]
    assert_distributed(np.asarray(counts), np.asarray([together(weights, pair) for pair in pairs]))


def test_continuations_are_drawn_by_accumulated_score():
    """Of four ids all four are drawn, and the best two live on: the second step is exact."""
    table = np.random.default_rng(2).dirichlet(np.full(4, 2.0), size=4)
    table[START] = [0.15, 0.3, 0.2, 0.35]  # 3 and 1 live on
    sampler = BeamSample(2, temperature=2.0, num_return_sequences=2, length_penalty=0.0)
    result = run(Markov(np.log(table)), sampler, plan(2), DRAWS, many_seeds())
    candidates = list(product((3, 1), range(4)))
    logs = np.asarray([np.log(table[START, a]) + np.log(table[a, b]) for a, b in candidates])
    codes = np.sort(result.token_ids[..., 0] * 4 + result.token_ids[..., 1], axis=1)
    pairs = list(combinations(range(8), 2))
    ids = [tuple(sorted(candidates[i][0] * 4 + candidates[i][1] for i in pair)) for pair in pairs]
    counts = np.asarray([(codes == pair).all(1).sum() for pair in ids])
    assert counts.sum() == DRAWS
    assert_distributed(counts, np.asarray([together(np.exp(logs / 2), pair) for pair in pairs]))
    raw = result.token_log_probs.sum(-1)
    np.testing.assert_allclose(result.scores, raw / 2, rtol=1e-5)  # the temperature's, and raw


def test_beam_sampling_keeps_two_ids_of_each_beam():
    """So that one can go on where the other ends, whatever top-p leaves."""
    seeds = many_seeds()[: DRAWS // 10]
    result = run(SAME_ALWAYS, BeamSample(1, top_p=0.01), plan(1), len(seeds), seeds)
    counts = np.bincount(result.token_ids.ravel(), minlength=V)
    kept = np.where(np.isin(np.arange(V), [4, 1]), PROBABILITIES, 0)
    assert_distributed(counts, kept / kept.sum())


@pytest.mark.parametrize(
    ("sampler", "draws", "streams"),
    [
        (Greedy(), False, True),
        (Beam(1), False, True),
        (Beam(2, num_return_sequences=2), False, False),
        (DiverseBeam(2), False, True),
        (Random(), True, True),
        (Random(num_return_sequences=2), True, False),
        (TopK(), True, True),
        (TopP(), True, True),
        (BeamSample(2), True, True),
    ],
    ids=repr,
)
def test_a_sampler_says_whether_it_draws_and_streams(sampler, draws, streams):
    assert (sampler.draws, sampler.streams) == (draws, streams)
