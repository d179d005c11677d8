"""Recorded steps of PyTorch give what steps in Python give.

A captured step is replaced by a function that runs it again, since a CUDA graph needs a GPU.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from contracts.test_contracts import MODELS, config_of
from keras import ops
from rounded_types import PAIRS, trained_model
from small_models import COMPILES, make_model, shrunken_preset, source_mapping

import keras_s2s as s2s
from keras_s2s.decoding.drivers import recorded_driver
from keras_s2s.decoding.drivers.recorded_driver import RecordedDriver
from keras_s2s.options.strategies import STRATEGIES
from keras_s2s.samplers.processors import LogitsProcessor

pytestmark = pytest.mark.skipif(COMPILES, reason="steps are recorded on PyTorch")

SOURCES = [[5, 9, 6, 4, 3], [7, 3], [8, 4, 4, 11, 6, 10, 9, 3], [6, 12, 3]]

#: Models whose steps differ in kind; the others are slow tests.
COVER = [
    "gru_bahdanau",
    "lstm_luong_concat",
    "recurrent_encoder_transformer_decoder",
    "ssru_student",
    "t5_like",
    "transformer_tiny",
]

#: Options that reach what a step computes, beside its strategy.
OPTIONS: list[dict[str, Any]] = [
    {"repetition_penalty": 1.3, "no_repeat_ngram_size": 2},
    {"min_length": 6, "num_beams": 3, "length_penalty": 0.6},
    {"suppress_tokens": [5], "begin_suppress_tokens": [6], "forced_eos_token_id": 3},
    {"num_beams": 3, "num_return_sequences": 3, "early_stopping": True},
    {"num_beams": 2, "decoder_prefix": [[5], [], [6, 7], [8]]},
    {"num_beams": 2, "coverage_penalty": 0.3},
    {"num_beams": 4, "num_beam_groups": 2, "diversity_penalty": 0.5},
    {"num_beams": 3, "force_words_ids": [[[5, 6]]]},
    {"sampler": "random", "num_return_sequences": 2, "temperature": 0.7, "seed": 3},
    {"max_length_ratio": 1.5},
    {"exponential_decay_length_penalty": (3, 1.2)},
]


def repeated(function: Any) -> Any:
    """What a captured function is on a device that can capture nothing: itself."""
    function()
    return function


@pytest.fixture
def captured(monkeypatch) -> None:
    monkeypatch.setattr(recorded_driver, "capture_for", lambda variables: repeated)


@pytest.fixture(params=["listed", "captured"])
def both_ways(request) -> None:
    if request.param == "captured":
        request.getfixturevalue("captured")


def model_of(name: str) -> Any:
    return make_model(config_of(name) if name in MODELS else shrunken_preset(name), seed=1)


def record(model: Any) -> Any:
    """Makes a model record its steps, on whatever device."""
    model.generator._forget()
    model.generator._cuda_graphs = True
    return model


def drivers(model: Any) -> list[Any]:
    return list(model.generator._drivers.values())


def generate(model: Any, batch_size: int = 3, **options: Any) -> Any:
    options = {"max_length": 21, **options}
    return model.generate(
        source_mapping(SOURCES), batch_size=batch_size, return_output=True, **options
    )


def assert_same(found: Any, expected: Any) -> None:
    np.testing.assert_array_equal(found.token_ids, expected.token_ids)
    np.testing.assert_array_equal(found.lengths, expected.lengths)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-5, rtol=1e-5)
    np.testing.assert_allclose(found.token_log_probs, expected.token_log_probs, atol=1e-5)


@pytest.mark.parametrize(
    "name",
    [name if name in COVER else pytest.param(name, marks=pytest.mark.slow) for name in MODELS],
)
def test_every_model(name):
    model = model_of(name)
    searches = ({"suppress_tokens": [3]}, {"num_beams": 2})
    expected = [generate(model, **options) for options in searches]
    record(model)
    for options, wanted in zip(searches, expected, strict=True):
        assert_same(generate(model, **options), wanted)
    assert {type(driver) for driver in drivers(model)} == {RecordedDriver}
    assert len(expected[0].token_ids[0]) == 20, "a capacity that has grown"


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy(strategy, captured):
    model = model_of("gru_bahdanau" if strategy == "beam" else "transformer_tiny")
    more: dict[str, Any] = {"seed": 3} if STRATEGIES[strategy].draws else {}
    if STRATEGIES[strategy].phrases:
        more["force_words_ids"] = [[[5]]]
    expected = generate(model, sampler=strategy, **more)
    assert_same(generate(record(model), sampler=strategy, **more), expected)
    (driver,) = drivers(model)
    assert isinstance(driver, RecordedDriver) == (strategy != "prompt_lookup")
    assert bool(model.generator.compilations) == (strategy != "prompt_lookup")


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_options(options, captured):
    model = model_of("transformer_tiny")
    expected = generate(model, **options)
    assert_same(generate(record(model), **options), expected)
    assert {type(driver) for driver in drivers(model)} == {RecordedDriver}


def test_batches_of_one_shape_that_wait_for_each_other(both_ways):
    """Two batches use the same recorded step in turn, and each has its own state."""
    model = model_of("transformer_tiny")
    rng = np.random.default_rng(0)
    rows = [[*map(int, rng.integers(4, 16, size=6)), 3] for _ in range(24)]
    options = {"max_length": 40, "batch_size": 8, "return_output": True, "sampler": "random"}
    options["seed"] = 1
    expected = model.generate(source_mapping(rows), **options)
    assert len(set(expected.lengths.tolist())) > 3, "rows end at different steps"
    assert_same(record(model).generate(source_mapping(rows), **options), expected)


def test_streams(both_ways):
    model = trained_model()
    text, wanted = PAIRS[0]
    try:
        assert "".join(record(model).stream(text)) == wanted
        assert {type(driver) for driver in drivers(model)} == {RecordedDriver}
    finally:
        model.cuda_graphs = False


@pytest.mark.parametrize("in_place", [False, True], ids=["assign", "memory"])
def test_changed_weights_are_used(in_place, both_ways):
    """Matrices, biases and gains, of which the kernels and the recording may have copies."""
    model = record(model_of("transformer_tiny"))
    before = generate(model)
    for factor, rank in ((-1.0, 2), (2.0, 1)):
        for variable in model.weights:
            if len(variable.shape) == rank:
                values = ops.convert_to_numpy(variable.value) * factor
                if in_place:
                    variable.value.data.numpy()[...] = values
                else:
                    variable.assign(values)
        found = generate(model)
        fresh = model_of("transformer_tiny")
        for ours, theirs in zip(fresh.weights, model.weights, strict=True):
            ours.assign(ops.convert_to_numpy(theirs.value))
        assert_same(found, generate(fresh))
        assert np.abs(found.scores - before.scores).max() > 1e-3
        before = found


def test_few_shapes_are_recorded():
    model = record(model_of("transformer_tiny"))
    rng = np.random.default_rng(0)
    for length in range(2, 40, 3):
        row = [*map(int, rng.integers(4, 16, size=length - 1)), 3]
        model.generate(source_mapping([row]), max_length=12)
    assert model.generator.compilations <= 7  # lengths of 8, 16, 24, 32, 40 and one more


def test_no_operation_reads_constants_alone():
    """What copies a number from the host at each step cannot be part of a CUDA graph."""
    model = record(model_of("t5_like"))
    generate(model, num_beams=2, min_length=4, repetition_penalty=1.1)
    (driver,) = drivers(model)
    assert driver._steps
    for steps in driver._steps.values():
        nodes = steps.step.module.graph.nodes
        varying = {node for node in nodes if node.op == "placeholder"}
        for node in nodes:
            if node.op == "call_function" and node.all_input_nodes:
                weights = {
                    source
                    for source in node.all_input_nodes
                    if source.op == "get_attr" and "_folded" not in source.target
                }
                assert varying.intersection(node.all_input_nodes) or weights, node.format_node()
                varying.add(node)
                assert str(node.target) not in (
                    "aten.lift_fresh_copy.default",
                    "aten._local_scalar_dense.default",
                )


def test_rules_on_the_host_run_step_by_step():
    model = model_of("transformer_tiny")

    def allowed(place: int, ids: Any) -> list[int]:
        return [5, 6, 3]

    expected = generate(model, prefix_allowed_tokens_fn=allowed)
    assert_same(generate(record(model), prefix_allowed_tokens_fn=allowed), expected)
    assert model.generator.compilations == 0


@dataclass(frozen=True)
class Peeks(LogitsProcessor):
    """A rule that decides in Python by the value of a score."""

    how: str

    def __call__(self, scores: Any, step: Any, plan: Any) -> Any:
        first = scores[0, 0]
        seen = {"bool": bool, "item": lambda x: x.item(), "numpy": lambda x: x.detach().numpy()}
        return scores + 1 if seen[self.how](first) else scores


@pytest.mark.parametrize("how", ["bool", "item", "numpy"])
def test_a_rule_that_reads_values_is_refused(how):
    model = record(model_of("transformer_tiny"))
    with pytest.raises(ValueError, match=r"reads values of tensors in Python.*cuda_graphs"):
        generate(model, processors=[Peeks(how)])


def test_a_machine_without_a_gpu_refuses_them_before_anything_is_read():
    with pytest.raises(ValueError, match="for NVIDIA GPUs, and PyTorch finds none here"):
        s2s.Seq2SeqLM.from_preset("no such model", cuda_graphs=True)


def test_a_model_on_the_cpu_refuses_them(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    model = model_of("transformer_tiny")
    with pytest.raises(ValueError, match=r"for NVIDIA GPUs, and the weights .* on the device cpu"):
        model.cuda_graphs = True
    assert model.cuda_graphs is False
    with pytest.raises(ValueError, match="expected True or False"):
        model.cuda_graphs = "yes"
    model.cuda_graphs = False
