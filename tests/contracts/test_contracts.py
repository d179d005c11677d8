"""Every zoo preset, made tiny, and every variant keeps every contract, by being there."""

from __future__ import annotations

import re
from functools import cache

import pytest
from contracts import checks
from rounded_types import EVERY_TYPE
from small_models import (
    VARIANTS,
    Probe,
    architectures,
    checkpoint_of_each_family,
    covered,
    make_model,
    shrunken_preset,
)

from keras_s2s.config import PresetConfig, TransformerConfig
from keras_s2s.samplers import Greedy

PRESETS = architectures()
#: Public checkpoints: one of each family, on the backend that compiles nothing.
FAMILIES = checkpoint_of_each_family()
MODELS = [*PRESETS, *FAMILIES, *VARIANTS]

#: Variants that no preset is close to.
VARIANT_COVER = [
    "gru_luong_without_feeding_zero_bridge",
    "recurrent_encoder_transformer_decoder",
    "transformer_pre_norm_gated_learned",
    "t5_like",
    "t5_like_per_layer_gated",
    "m2m_like",
    "marian_like",
    "ssru_student",
]
GENERATION_COVER = [
    "gru_bahdanau",
    "lstm_luong_concat",
    "ssru_student",
    "t5_like",
    "transformer_tiny",
]
FIT_COVER = ["gru_bahdanau", "lstm_luong_concat", "ssru_student", "transformer_tiny"]
#: Where the usual random weights write no sentence that ends.
SEEDS = {"byt5_small": 2}


def config_of(name: str) -> PresetConfig:
    return VARIANTS[name] if name in VARIANTS else shrunken_preset(name)


@cache
def _probe_of(architecture: str, name: str) -> Probe:
    return Probe(make_model(config_of(name), seed=SEEDS.get(name, 1)))


@cache
def arithmetic_of(name: str) -> str:
    """What a model computes but for its weights: its architecture without rates of dropout."""
    return re.sub(r'"dropout":[^,}]+', "", config_of(name).architecture.model_dump_json())


def twin_of(name: str) -> str:
    """The first model that computes the same: presets may differ in size and dropout alone."""
    return next(other for other in MODELS if arithmetic_of(other) == arithmetic_of(name))


@cache
def probe_of(name: str) -> Probe:
    """The model of a name; those that compute the same share one."""
    return _probe_of(arithmetic_of(name), twin_of(name))


#: Where graphs are traced, models that compute the same are tried once.
PRESET_COVER = [name for name in PRESETS if twin_of(name) == name]


@pytest.fixture(params=covered(MODELS, [*PRESET_COVER, *VARIANT_COVER]))
def probe(request) -> Probe:
    return probe_of(request.param)


def test_walk_finds_the_zoo():
    assert len(PRESETS) >= 9
    assert len(FAMILIES) >= 12
    assert not {*PRESETS, *FAMILIES} & set(VARIANTS)


def test_steps_equal_teacher_forcing(probe):
    checks.check_step_by_step(probe)


def test_several_steps_equal_teacher_forcing(probe):
    if isinstance(probe.model.preset.architecture.decoder, TransformerConfig):
        checks.check_several_steps(probe)
    else:
        assert not probe.network.steps_several


def test_state_follows_reordered_histories(probe):
    checks.check_reorder(probe)


def test_padding_changes_nothing(probe):
    checks.check_padding_invariance(probe)
    checks.check_neighbours(probe)


def test_decoder_is_causal(probe):
    checks.check_causality(probe)


def test_source_reaches_every_position(probe):
    checks.check_source_matters(probe)
    if checks.attends(probe.model):
        checks.check_attention_attached(probe)


@pytest.mark.parametrize("name", covered(MODELS, GENERATION_COVER))
def test_generation(name):
    checks.check_generation(probe_of(name))


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("compute_type", EVERY_TYPE)
def test_generation_in_compute_types(name, compute_type):
    """Rounding follows the last bit of float32: in vectors of `WIDTH` one number rounded the other
    way is seen in the result.
    """
    probe = probe_of(name)
    plain = checks.likely_plan(probe)
    probe.model.compute_type = compute_type
    try:
        checks.check_generation(probe, plan=plain, tolerance=0.03)
    finally:
        probe.model.compute_type = None


@pytest.mark.parametrize(
    "name", covered(["gru_bahdanau", "transformer_tiny", "t5_like"], ["gru_bahdanau"])
)
def test_greedy(name):
    checks.check_greedy(probe_of(name))
    checks.check_generation(probe_of(name), Greedy())


@pytest.mark.parametrize("name", ["gru_bahdanau", "transformer_tiny"])
def test_teacher_forcing_and_loss(name):
    checks.check_teacher_forcing_alignment(probe_of(name).model)
    checks.check_loss_ignores_padding(make_model(config_of(name)))


@pytest.mark.parametrize("name", covered(MODELS, FIT_COVER))
def test_fit_learns(name):
    model = make_model(config_of(name), scale=0.7)
    checks.check_fit_learns(model)
