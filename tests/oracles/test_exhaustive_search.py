"""A beam as wide as all sequences finds exactly what enumeration finds, in real models."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from small_models import (
    Probe,
    attention,
    covered,
    make_model,
    model_inputs,
    recurrent,
    transformer,
    variant,
)

from keras_s2s.samplers import Beam, Plan

VOCABULARY, START, EOS, PAD, STEPS = 4, 2, 3, 0, 4
SOURCE = [1, 2, 1, 3]
MODELS = {
    "recurrent": {
        "encoder": recurrent("gru"),
        "decoder": recurrent("gru", **attention("general", "current", input_feeding=True)),
        "bridge": {"type": "dense"},
    },
    "transformer": {"encoder": transformer(), "decoder": transformer()},
}
PENALTIES = [-1.0, 0.0, 0.6, 2.0]


def enumerate_sequences(probe: Probe) -> dict[tuple[int, ...], float]:
    """Log-probability of every sequence that ends in EOS within the limit or is cut there."""
    others = [i for i in range(VOCABULARY) if i != EOS]
    prefixes = list(product(others, repeat=STEPS - 1))
    histories = [[START, *prefix] for prefix in prefixes]
    inputs = model_inputs([SOURCE] * len(histories), histories, probe.model.special_ids)
    logits = probe.logits(inputs).astype("float64")
    log_probs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    found = {}
    for prefix, row in zip(prefixes, log_probs, strict=True):
        for length in range(1, STEPS + 1):
            total = sum(row[t, prefix[t]] for t in range(length - 1))
            ends = range(VOCABULARY) if length == STEPS else (EOS,)
            for last in ends:
                found[(*prefix[: length - 1], last)] = total + row[length - 1, last]
    # 1 + 3 + 9 sequences end early; 27 prefixes take any of 4 last ids.
    assert len(found) == 1 + 3 + 9 + 27 * 4
    np.testing.assert_allclose(np.exp(list(found.values())).sum(), 1, rtol=1e-5, atol=1e-5)
    return found


@pytest.fixture(scope="module", params=list(MODELS))
def probe(request) -> Probe:
    sizes = {"source_vocab_size": VOCABULARY, "target_vocab_size": VOCABULARY}
    return Probe(make_model(variant({**sizes, **MODELS[request.param]}), seed=2, scale=1.5))


@pytest.mark.parametrize("penalty", covered(PENALTIES, [0.6]))
def test_widest_beam_is_enumeration(probe, penalty):
    sequences = enumerate_sequences(probe)
    ranked = sorted(
        ((total / len(ids) ** penalty, ids) for ids, total in sequences.items()), reverse=True
    )
    beams, best = 120, 12
    output = probe.model.generator.generate(
        [SOURCE],
        Beam(beams, length_penalty=penalty, early_stopping="never", num_return_sequences=best),
        Plan(START, EOS, PAD, STEPS),
    )
    found = [
        tuple(ids[:size].tolist())
        for ids, size in zip(output.token_ids[0], output.lengths[0], strict=True)
    ]
    assert found == [ids for _, ids in ranked[:best]]
    # Where length is punished, or not rewarded much, short sequences are among the best.
    assert penalty > 1 or len({len(ids) for ids in found}) > 1
    np.testing.assert_allclose(output.scores[0], [s for s, _ in ranked[:best]], atol=1e-4)
