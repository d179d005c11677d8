"""Contrastive search against its published algorithm, in plain loops over whole forward passes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from keras import ops
from small_models import (
    covered,
    make_model,
    shrunken_preset,
    slow_where_compiled,
    source_mapping,
)

from keras_s2s.samplers import ContrastiveSearch, Plan, Suppress
from keras_s2s.samplers.strategy_choice import refuse_to_stream

SOURCES = [[5, 6, 7, 8, 9, 3], [4, 5], [9, 8, 7, 3], [6, 6, 4, 10, 3]]
MAX_LENGTH = 9


def forward(
    model: Any, source: list[int], ids: list[int], nexts: list[int], k: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A pass over `ids` and each of the ids that may come next.

    Returns:
        log-probabilities `[V]` after `ids`, the hidden vectors of `ids` `[T, D]`, and those of
        `nexts`, each read after `ids`, `[len(nexts), D]`.
    """
    network = model.network
    rows = [[*ids, candidate] for candidate in nexts] or [ids]
    inputs: dict[str, np.ndarray] = {}
    # All passes have one shape, which is compiled once; what follows `ids` is not seen by them.
    for side, own, length in (
        ("encoder", [source] * k, len(SOURCES[0])),
        ("decoder", rows + rows[:1] * (k - len(rows)), MAX_LENGTH),
    ):
        inputs[f"{side}_token_ids"] = np.array([r + [0] * (length - len(r)) for r in own], "int32")
        lengths = np.array([[len(row)] for row in own])
        inputs[f"{side}_padding_mask"] = np.arange(length)[None] < lengths
    tensors = {name: ops.convert_to_tensor(value) for name, value in inputs.items()}
    hidden = network._decode(tensors)
    logits = np.asarray(ops.convert_to_numpy(network.output(hidden)))[0, len(ids) - 1]
    shifted = logits.astype("float64") - logits.max()
    found = np.asarray(ops.convert_to_numpy(ops.cast(hidden, "float32")))
    read = found[: len(nexts), min(len(ids), MAX_LENGTH - 1)]
    return shifted - np.log(np.exp(shifted).sum()), found[0, : len(ids)], read


def plain_search(
    model: Any, source: list[int], alpha: float, k: int, rules: bool = False
) -> list[int]:
    """The published algorithm: rank the k likeliest ids by probability and degeneration penalty."""
    target = model.special_ids.target
    ids = [target.decoder_start]
    while len(ids) < MAX_LENGTH:
        log_probs, context, _ = forward(model, source, ids, [], k)
        if rules:
            log_probs = rule(ids, log_probs, target.eos)
        candidates = np.argsort(-log_probs, kind="stable")[:k]
        candidates = candidates[np.isfinite(log_probs[candidates])]
        _, _, hidden = forward(model, source, ids, candidates.tolist(), k)
        scores = []
        for candidate, own in zip(candidates, hidden, strict=True):
            cosine = context @ own / np.linalg.norm(context, axis=1) / np.linalg.norm(own)
            scores.append((1 - alpha) * np.exp(log_probs[candidate]) - alpha * cosine.max())
        ids.append(int(candidates[int(np.argmax(scores))]))
        if ids[-1] == target.eos:
            break
    return ids[1:]


def rule(ids: list[int], log_probs: np.ndarray, eos: int) -> np.ndarray:
    """Log-probabilities after the rules of the test below: no id twice, and no end before four."""
    log_probs = log_probs.copy()
    log_probs[ids] = -np.inf  # the decoder start counts
    if len(ids) < 4:
        log_probs[eos] = -np.inf
    return log_probs - np.log(np.exp(log_probs).sum())


NAMES = ["gru_bahdanau", "transformer_tiny"]


@pytest.mark.parametrize(
    ("name", "alpha", "k"),
    covered(
        [(name, alpha, k) for name in NAMES for alpha, k in ((0.6, 4), (0.9, 3))],
        [("transformer_tiny", 0.6, 4)],
    ),
)
def test_search_is_that_of_plain_loops(name, alpha, k):
    model = make_model(shrunken_preset(name), scale=2.0)
    found = model.generate(
        source_mapping(SOURCES),
        sampler=ContrastiveSearch(alpha, k),
        max_length=MAX_LENGTH,
        return_output=True,
    )
    greedy = model.generate(source_mapping(SOURCES), max_length=MAX_LENGTH, num_beams=1)
    expected = [plain_search(model, source, alpha, k) for source in SOURCES]
    for row, (ids, length) in enumerate(zip(found.token_ids, found.lengths, strict=True)):
        assert ids[:length].tolist() == expected[row]
    width = min(greedy.shape[1], found.token_ids.shape[1])
    assert (greedy[:, :width] != found.token_ids[:, :width]).any(), "the penalty decides nothing"
    by_name = model.generate(
        source_mapping(SOURCES),
        sampler="contrastive",
        penalty_alpha=alpha,
        top_k=k,
        max_length=MAX_LENGTH,
    )
    np.testing.assert_array_equal(by_name, found.token_ids)
    scores = model.score(SOURCES, [row for row in expected])
    np.testing.assert_allclose(found.scores, scores, rtol=1e-5, atol=1e-4)


@slow_where_compiled
def test_what_a_rule_forbids_is_no_candidate():
    model = make_model(shrunken_preset("transformer_tiny"), scale=2.0)
    vocabulary = model.preset.architecture.target_vocab_size
    k = vocabulary - 4  # more candidates than the rules leave at the end
    found = model.generate(
        source_mapping(SOURCES),
        sampler=ContrastiveSearch(0.9, k),
        max_length=MAX_LENGTH,
        no_repeat_ngram_size=1,
        min_length=4,
        return_output=True,
    )
    for source, ids, length in zip(SOURCES, found.token_ids, found.lengths, strict=True):
        expected = plain_search(model, source, 0.9, k, rules=True)
        assert ids[:length].tolist() == expected
        assert len(set(expected)) == len(expected)


def test_rules_that_forbid_everything_are_an_error():
    model = make_model(shrunken_preset("gru_bahdanau"))
    with pytest.raises(ValueError, match="forbid every id"):
        model.generate(
            source_mapping(SOURCES),
            sampler="contrastive",
            suppress_tokens=list(range(model.preset.architecture.target_vocab_size)),
        )


def test_a_models_own_top_k_is_for_draws():
    preset = shrunken_preset("gru_bahdanau")
    own = preset.generation.model_copy(update={"top_k": 0})
    models = make_model(preset), make_model(preset.model_copy(update={"generation": own}))
    options = {"sampler": "contrastive", "max_length": 5}
    expected, found = (model.generate(source_mapping(SOURCES), **options) for model in models)
    np.testing.assert_array_equal(found, expected)


def test_it_is_not_streamed():
    with pytest.raises(ValueError, match="ContrastiveSearch"):
        refuse_to_stream(ContrastiveSearch())


def test_partial_results_take_the_step_that_the_search_looks_ahead():
    model = make_model(shrunken_preset("gru_bahdanau"), scale=2.0)
    target = model.special_ids.target
    steps = MAX_LENGTH - 1
    # Without EOS every sequence reaches its limit, whose last id is known one step later.
    plan = Plan(target.decoder_start, target.eos, target.pad, steps, (Suppress((target.eos,)),))
    sampler = ContrastiveSearch(0.6, 4)
    whole = model.generator.generate(SOURCES, sampler, plan)
    *before, last = model.generator.stream(SOURCES, sampler, plan, stride=3)
    assert [int(lengths.max()) for _, lengths in before] == [2, 5]
    ids, lengths = last
    assert (lengths == steps).all() and (whole.lengths == steps).all()
    np.testing.assert_array_equal(ids[:, :steps], whole.token_ids)
