"""What a generator keeps between its calls, and what makes it look again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops
from quantising import quantise
from small_models import (
    COMPILES,
    covered,
    make_model,
    model_inputs,
    slow_where_compiled,
    source_mapping,
    to_numpy,
    transformer,
    variant,
)

from keras_s2s import generation
from keras_s2s.model import Seq2SeqLM
from keras_s2s.samplers import AllowedTokens, Greedy, LogitsProcessor, Plan

SOURCES = [[5, 9, 6, 4, 3], [7, 3], [8, 4, 4, 11, 6, 3]]
TIED = variant({"shared": transformer(), "share_embeddings": True, "output": {"bias": False}})


def tied_model(seed: int = 0) -> Seq2SeqLM:
    """With a matrix of every kind that a backend lays out in its own way."""
    return make_model(TIED, seed, scale=2.0)


def assert_current(model: Seq2SeqLM) -> np.ndarray:
    """Generated ids have the log-probabilities that the model's layers give them now."""
    found = model.generate(source_mapping(SOURCES), max_length=6, return_output=True)
    target = model.special_ids.target
    ids = [row[:size].tolist() for row, size in zip(found.token_ids, found.lengths, strict=True)]
    begun = [[target.decoder_start, *row[:-1]] for row in ids]
    logits = to_numpy(model(model_inputs(SOURCES, begun, model.special_ids))).astype("float64")
    log_probs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    sums = [sum(p[t, i] for t, i in enumerate(row)) for p, row in zip(log_probs, ids, strict=True)]
    np.testing.assert_allclose(found.scores, sums, atol=1e-4)
    np.testing.assert_allclose(model.score(SOURCES, ids), sums, atol=1e-4)
    return found.scores


# ------------------------------------------------------------------ weights and layers


def reverse_inside(values: np.ndarray) -> None:
    """Rows change places, but for the first row and column."""
    values[1:, 1:] = values[1:, 1:][::-1].copy()


def reverse_columns_inside(values: np.ndarray) -> None:
    values[1:, 1:] = values[1:, 1:][:, ::-1].copy()


def negate_inside(values: np.ndarray) -> None:
    values[1:, 1:] *= -1


@pytest.mark.parametrize(
    "change",
    covered([reverse_inside, reverse_columns_inside, negate_inside], [reverse_inside]),
)
def test_weights_that_were_assigned_are_used(change):
    model = tied_model()
    before = assert_current(model)
    compiled = model.generator.compilations
    for variable in model.weights:
        if len(variable.shape) == 2:
            values = to_numpy(variable.value).copy()
            change(values)
            variable.assign(values)
    assert (np.abs(assert_current(model) - before) > 1e-3).all()
    assert model.generator.compilations == compiled


def test_layers_that_compute_otherwise_are_used():
    model = tied_model()
    before = assert_current(model)
    rng = np.random.default_rng(3)
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.Dense):
            layer.enable_lora(2)
            layer.lora_kernel_b.assign(rng.normal(size=layer.lora_kernel_b.shape))
    adapted = assert_current(model)
    assert (np.abs(adapted - before) > 1e-3).all()
    compiled = model.generator.compilations
    assert_current(model)
    assert model.generator.compilations == compiled, "once is enough"


@slow_where_compiled  # for long, and seen as the layers above are
def test_a_model_that_is_quantised_later_is_used():
    model = tied_model()
    before = assert_current(model)
    quantise(model, "int8")
    assert (np.abs(assert_current(model) - before) > 1e-6).any()


# ------------------------------------------------------------------ what is kept


def test_limits_are_no_part_of_a_program():
    model, sources = tied_model(), source_mapping(SOURCES)
    for options in ({}, {"num_beams": 2}):
        model.generate(sources, max_length=6, **options)
        compiled = model.generator.compilations
        assert bool(compiled) == COMPILES
        for length in (5, 9, 14):
            found = model.generate(sources, max_length=length, **options)
            assert found.shape[1] <= length - 1
        assert model.generator.compilations == compiled
    prefixed = [model.generate(sources, max_new_tokens=3, decoder_prefix=[[5]] * 3)]
    compiled = model.generator.compilations
    for count in (2, 5):
        prefixes = [[5] * count, [], [6]]
        prefixed.append(model.generate(sources, max_new_tokens=3, decoder_prefix=prefixes))
    assert [ids.shape[1] for ids in prefixed] <= [4, 5, 8]
    assert model.generator.compilations == compiled


@pytest.mark.parametrize("options", covered([{}, {"num_beams": 2}], [{}]))
def test_a_far_limit_compiles_for_what_is_reached(options):
    """Sizes are powers of two, whatever the limit: two callers of other limits share them."""
    model, sources = tied_model(), source_mapping(SOURCES)
    endless = {"suppress_tokens": [3], **options}
    assert model.generate(sources, max_length=41, **endless).shape[1] == 40
    compiled = model.generator.compilations
    assert model.generate(sources, max_length=50, **endless).shape[1] == 49
    assert model.generator.compilations == compiled


@slow_where_compiled  # for long, and a matter of keys
def test_programs_that_were_not_used_for_long_are_forgotten(monkeypatch):
    monkeypatch.setattr(generation, "KEPT_DRIVERS", 2)
    model, sources = tied_model(), source_mapping(SOURCES[:1])

    def compiled_by(**options: Any) -> bool:
        before = model.generator.compilations
        model.generate(sources, max_length=4, **options)
        return model.generator.compilations > before

    one, two, three = ({"min_length": n} for n in (2, 3, 4))
    assert [compiled_by(**o) for o in (one, two, one, three)] == [
        COMPILES,
        COMPILES,
        False,
        COMPILES,
    ]
    assert not compiled_by(**one), "used more lately than the other"
    assert compiled_by(**two) == COMPILES
    assert len(model.generator._drivers) == 2


@slow_where_compiled  # for long, and a matter of keys
def test_a_class_of_the_same_name_is_another():
    """As in a notebook, where a cell is changed and run again."""
    model, found = tied_model(), []
    for best in (ops.argmax, ops.argmin):

        class Mine(Greedy):
            def choose(self, scores, index, sources, best=best):
                return ops.cast(best(scores, axis=-1), "int32")

        found.append(model.generate(source_mapping(SOURCES), sampler=Mine(), max_length=5))
    np.testing.assert_array_equal(found[0], model.generate(source_mapping(SOURCES), max_length=5))
    assert found[1].shape != found[0].shape or (found[1] != found[0]).any()


class Idle(LogitsProcessor):
    def __call__(self, scores, step, plan):
        return scores


@dataclass
class Unfrozen(Idle):
    token: int


@dataclass(frozen=True)
class Listed(Idle):
    tokens: list[int]


class ListedSampler(Greedy):
    def __init__(self) -> None:
        self.tokens = [3]


@pytest.mark.parametrize(
    "options",
    [
        {"processors": [Unfrozen(3)]},
        {"processors": [Listed([3])]},
        {"sampler": ListedSampler()},
    ],
)
def test_what_has_no_hash_is_refused(options):
    with pytest.raises(TypeError, match=r"(Unfrozen|Listed|ListedSampler) has no hash .*tuples"):
        tied_model().generate(source_mapping(SOURCES), **options)


# ------------------------------------------------------------------ limits of a row's own


STRATEGIES: dict[str, dict[str, Any]] = {
    "greedy": {},
    "beam": {"num_beams": 3, "num_return_sequences": 2},
    "never": {"num_beams": 3, "early_stopping": "never", "length_penalty": 2.0},
    "random": {"do_sample": True, "num_return_sequences": 2},
    "beam_sample": {"num_beams": 3, "do_sample": True},
    "diverse_beam": {"num_beams": 4, "num_beam_groups": 2},
}
PREFIXES: list[list[int]] = [[5, 6, 7, 8], [], [9, 4]]


@pytest.mark.parametrize("ending", covered([{}, {"forced_eos_token_id": 3}], [{}]))
@pytest.mark.parametrize("name", covered(list(STRATEGIES), ["never"]))
def test_new_tokens_are_counted_after_each_rows_own_prefix(name, ending):
    model = tied_model()
    options = {**STRATEGIES[name], **ending, "max_new_tokens": 3, "return_output": True}
    draws = {"seed": [4, 5, 6]} if "do_sample" in options else {}
    if not ending:
        options["suppress_tokens"] = [3]
    whole = model.generate(source_mapping(SOURCES), decoder_prefix=PREFIXES, **options, **draws)
    n = options.get("num_return_sequences", 1)
    lengths = whole.lengths.reshape(3, n)
    assert (lengths.max(1) <= [7, 3, 5]).all() and (lengths.max(1) == [7, 3, 5]).any()
    if not ending:
        np.testing.assert_array_equal(lengths, np.repeat([[7], [3], [5]], n, axis=1))
    for i, (source, prefix) in enumerate(zip(SOURCES, PREFIXES, strict=True)):
        own = {"seed": [draws["seed"][i]]} if draws else {}
        alone = model.generate(source_mapping([source]), decoder_prefix=[prefix], **options, **own)
        np.testing.assert_array_equal(alone.lengths[0], whole.lengths[i])
        width = alone.token_ids.shape[-1]
        np.testing.assert_array_equal(alone.token_ids[0], whole.token_ids[i][..., :width])
        np.testing.assert_allclose(alone.scores[0], whole.scores[i], rtol=1e-5, atol=1e-5)
        if ending:
            ids, sizes = whole.token_ids[i].reshape(n, -1), lengths[i]
            assert all(row[size - 1] == 3 for row, size in zip(ids, sizes, strict=True))


def test_rules_are_told_the_places_of_rows_in_parts_of_a_batch():
    target = TIED.special_ids.target
    rule = AllowedTokens(lambda row, ids: [5 + row])
    plan = Plan(target.decoder_start, target.eos, target.pad, 2, (rule,))
    # Longer sources come later inside, as they do in a batch of any other.
    found = tied_model().generator.generate(SOURCES, Greedy(), plan, places=[4, 0, 7])
    np.testing.assert_array_equal(found.token_ids, [[9, 9], [5, 5], [12, 12]])


# ------------------------------------------------------------------ attention


def test_attention_of_hypotheses_that_are_missing_is_empty():
    """One id that is forced to be EOS: of three hypotheses there is one."""
    found = tied_model().generate(
        source_mapping(SOURCES),
        num_beams=3,
        num_return_sequences=3,
        max_length=2,
        forced_eos_token_id=3,
        batch_size=1,
        return_output=True,
        output_attentions=True,
    )
    assert found.lengths.tolist() == [[1, 0, 0]] * 3
    assert found.attentions.shape == (3, 3, 1, 6)
    np.testing.assert_allclose(found.attentions.sum((2, 3)), [[1, 0, 0]] * 3, rtol=1e-5, atol=1e-5)
