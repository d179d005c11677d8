"""Sources that leave and capacity that grows change nothing of what is found."""

from __future__ import annotations

from collections import Counter
from functools import cache
from itertools import product
from typing import Any

import keras
import numpy as np
import pytest
from small_models import (
    VOCABULARY,
    attention,
    covered,
    make_model,
    recurrent,
    source_mapping,
    transformer,
    variant,
)

from keras_s2s.decoding import segments
from keras_s2s.decoding.drivers.driver_choice import DRIVERS
from keras_s2s.model import Seq2SeqLM
from keras_s2s.samplers.output import GenerationOutput

DRIVER = DRIVERS[keras.backend.backend()]

CONFIGS = {
    "recurrent": {
        "encoder": recurrent("gru", bidirectional=True),
        "decoder": recurrent("lstm", **attention("general", "current", input_feeding=True)),
        "bridge": {"type": "dense"},
    },
    "transformer": {"shared": transformer(embedding={"positions": "sinusoidal"})},
}
OPTIONS: dict[str, dict[str, Any]] = {
    "greedy": {},
    "beam": {"num_beams": 4, "num_return_sequences": 3},
    "random": {"do_sample": True, "num_return_sequences": 2, "seed": [5, 9, 2, 7, 1, 8, 4, 6]},
    "beam_sample": {"num_beams": 3, "do_sample": True, "seed": [5, 9, 2, 7, 1, 8, 4, 6]},
    "diverse_beam": {"num_beams": 4, "num_beam_groups": 2, "num_return_sequences": 4},
}
MAX_LENGTH = 13


@cache
def model(kind: str) -> Seq2SeqLM:
    """One that ends some sources at once and others never."""
    seed, scale, likelier = {"recurrent": (11, 5.0, 0.0), "transformer": (6, 2.0, 1.5)}[kind]
    model = make_model(variant(CONFIGS[kind]), seed, scale)
    (bias,) = [weight for weight in model.weights if weight.path.endswith("logits/bias")]
    eos = np.arange(VOCABULARY) == model.special_ids.target.eos
    bias.assign(bias + likelier * eos)
    return model


def rows(count: int = 8) -> list[list[int]]:
    rng = np.random.default_rng(1)
    return [[*rng.integers(4, 16, rng.integers(1, 7)).tolist(), 3] for _ in range(count)]


@pytest.fixture
def events(monkeypatch) -> Counter:
    """How often sources left and capacity grew."""
    counts: Counter = Counter()

    def counted(name: str) -> Any:
        method = getattr(DRIVER, name)

        def call(self: Any, *arguments: Any) -> Any:
            counts[name] += 1
            return method(self, *arguments)

        return call

    for name in ("select", "grow", "segment"):
        monkeypatch.setattr(DRIVER, name, counted(name))
    return counts


def generate(kind, sources, monkeypatch, first: int, steps: int, **options) -> GenerationOutput:
    """With `first` as the first capacity and a look at what has finished every `steps`."""
    monkeypatch.setattr(segments, "FIRST_CAPACITY", first)
    monkeypatch.setattr(DRIVER, "segment_steps", steps)
    options = {"max_length": MAX_LENGTH, **options}
    return model(kind).generate(source_mapping(sources), return_output=True, **options)


def assert_equal(
    found: GenerationOutput,
    expected: GenerationOutput,
    row: Any = slice(None),
    atol: float = 5e-5,  # programs of other sizes round otherwise
) -> None:
    np.testing.assert_array_equal(found.lengths, expected.lengths[row])
    width = found.token_ids.shape[-1]
    np.testing.assert_array_equal(found.token_ids, expected.token_ids[row][..., :width])
    # A score is a sum of tokens: its rounding grows with it.
    np.testing.assert_allclose(found.scores, expected.scores[row], rtol=1e-5, atol=atol)
    np.testing.assert_allclose(
        found.token_log_probs, expected.token_log_probs[row][..., :width], atol=atol
    )


CASES = list(product(CONFIGS, OPTIONS))


@pytest.mark.parametrize(("kind", "name"), covered(CASES, [("recurrent", "random")]))
def test_segments_change_nothing(kind, name, events, monkeypatch):
    options, sources = OPTIONS[name], rows()
    whole = generate(kind, sources, monkeypatch, MAX_LENGTH, MAX_LENGTH, **options)
    assert not events["select"] and not events["grow"] and events["segment"] == 1
    lengths = whole.lengths.reshape(len(sources), -1)
    assert lengths.max(1).min() < 4 and lengths.max() == MAX_LENGTH - 1, "all end together"

    parts = generate(kind, sources, monkeypatch, 6, 2, **options)
    assert events["select"] and events["grow"] == 1 and events["segment"] > 5
    assert_equal(parts, whole)

    seeds = options.get("seed")
    for chosen, first in (([1], MAX_LENGTH), ([6, 2, 7, 0, 4, 1, 5, 3], 6)):
        own = {**options, "seed": [seeds[i] for i in chosen]} if seeds else options
        part = generate(kind, [sources[i] for i in chosen], monkeypatch, first, 2, **own)
        assert_equal(part, whole, chosen)


#: The source stops at its third finished hypothesis, so that all three tell when it stopped.
STOPPING = {"num_beams": 3, "num_return_sequences": 3, "early_stopping": True}


@pytest.mark.parametrize("options", covered([{}, STOPPING], [{}]))
def test_a_larger_limit_changes_nothing(options, events, monkeypatch):
    sources = rows()
    near = generate("recurrent", sources, monkeypatch, 6, 16, **options)
    stopped = near.lengths.reshape(len(sources), -1).max(1) < MAX_LENGTH - 1
    assert 1 < stopped.sum() < len(sources)
    early = [row for row, stop in zip(sources, stopped, strict=True) if stop]
    before = events["segment"]
    limit = 4 * MAX_LENGTH
    far = generate("recurrent", early, monkeypatch, 6, 16, **options, max_length=limit)
    assert_equal(far, near, np.flatnonzero(stopped))
    assert events["segment"] - before <= 2, "steps that nobody needs are not taken"


@pytest.mark.parametrize("kind", covered(list(CONFIGS), ["recurrent"]))
def test_compilations_are_few_and_kept(kind, monkeypatch):
    generator = model(kind).generator
    options = {"max_length": 11, "min_length": 2}  # nobody else's rule
    before = generator.compilations
    first = generate(kind, rows(), monkeypatch, 6, 2, **options)
    compiled = generator.compilations
    # TensorFlow traces five graphs. JAX compiles a start, segments of two capacities, the
    # growth between them and the end; with one beam each it never leaves eight rows.
    most = {"torch": 0, "tensorflow": 5, "jax": 1 + 2 + 1 + 1}
    assert compiled - before == most[keras.backend.backend()]
    assert_equal(generate(kind, rows(), monkeypatch, 6, 2, **options), first)
    generate(kind, rows()[:7], monkeypatch, 6, 2, **options)  # padded to the same sizes
    assert generator.compilations == compiled
