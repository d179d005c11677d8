"""What holds for every combination of options: the loop ends, and results are well-formed."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_models import (
    COMPILES,
    VOCABULARY,
    attention,
    make_model,
    recurrent,
    source_mapping,
    transformer,
    variant,
    with_special_ids,
)

from keras_s2s.model import Seq2SeqLM
from keras_s2s.samplers.strategies.beam import EMPTY

RECURRENT = {
    "encoder": recurrent("gru"),
    "decoder": recurrent("gru", **attention("additive", "previous", units=4)),
    "bridge": {"type": "dense"},
}
MODELS: dict[str, tuple[dict[str, Any], dict[str, int]]] = {
    "recurrent": (RECURRENT, {}),
    "recurrent_pad_is_start": (RECURRENT, {"pad": 0, "decoder_start": 0}),
    "transformer": ({"shared": transformer()}, {}),
    "transformer_pad_is_eos": ({"shared": transformer()}, {"pad": 3}),
    "transformer_start_is_eos": ({"shared": transformer()}, {"decoder_start": 3}),
}


@cache
def model(name: str) -> Seq2SeqLM:
    architecture, special = MODELS[name]
    return make_model(with_special_ids(variant(architecture), **special), seed=7, scale=2.5)


# ------------------------------------------------------------------ option combinations

IDS = st.integers(0, VOCABULARY - 1)
FEW = st.lists(IDS, min_size=1, max_size=3)
SEARCH = {
    "length_penalty": st.sampled_from([-1.0, 0.0, 0.6, 1.0, 2.0]),
    "early_stopping": st.sampled_from([True, False, "never", "shrink"]),
}
DRAWING = {
    "temperature": st.sampled_from([0.3, 1.0, 4.0]),
    "top_k": st.integers(1, 30),
    "top_p": st.sampled_from([0.01, 0.5, 1.0]),
    "min_p": st.sampled_from([0.0, 0.2, 1.0]),
    "typical_p": st.sampled_from([0.1, 0.7, 1.0]),
    "epsilon_cutoff": st.sampled_from([0.0, 0.1, 0.9]),
    "eta_cutoff": st.sampled_from([0.0, 0.1, 0.9]),
}
RULES = {
    "repetition_penalty": st.sampled_from([0.5, 1.5, 20.0]),
    "encoder_repetition_penalty": st.sampled_from([0.5, 1.5]),
    "exponential_decay_length_penalty": st.sampled_from([(0, 1.1), (3, 2.0)]),
    "no_repeat_ngram_size": st.integers(0, 4),
    "encoder_no_repeat_ngram_size": st.integers(2, 3),
    "bad_words_ids": st.lists(FEW, min_size=1, max_size=3),
    "min_length": st.integers(0, 7),
    "min_new_tokens": st.integers(0, 5),
    "suppress_tokens": FEW,
    "begin_suppress_tokens": FEW,
    "forced_bos_token_id": IDS,
    "forced_eos_token_id": IDS,
}


def optional(choices: dict[str, Any]) -> Any:
    return st.fixed_dictionaries({}, optional=choices)


@st.composite
def strategies(draw: Any) -> dict[str, Any]:
    kind = draw(st.sampled_from(["greedy", "beam", "diverse_beam", "random", "beam_sample"]))
    options: dict[str, Any] = {"sampler": kind}
    if kind in ("beam", "diverse_beam", "beam_sample"):
        options |= {"num_beams": draw(st.sampled_from([2, 4]))} | draw(optional(SEARCH))
        options["num_return_sequences"] = draw(st.integers(1, options["num_beams"]))
    if kind == "diverse_beam":
        options |= {"num_beam_groups": 2, "diversity_penalty": draw(st.sampled_from([0.0, 5.0]))}
    if kind in ("random", "beam_sample"):
        options |= draw(optional(DRAWING)) | {"seed": draw(st.integers(0, 99))}
    if kind == "random":
        options["num_return_sequences"] = draw(st.integers(1, 3))
    return options


@st.composite
def requests(draw: Any) -> tuple[dict[str, Any], list[list[int]] | None]:
    """Options that go together, and prefixes or None."""
    options = draw(strategies()) | {"max_length": draw(st.integers(2, 9))}
    room, prefixes = options["max_length"] - 1, None
    if room > 1 and draw(st.booleans()):
        ids = st.lists(IDS, max_size=min(3, room - 1))
        prefixes = draw(st.lists(ids, min_size=3, max_size=3))
        room -= max(map(len, prefixes))
    rules = draw(optional(RULES))
    for name, limit in (("min_length", options["max_length"]), ("min_new_tokens", room)):
        if name in rules:
            rules[name] = min(rules[name], limit)
    # A forced id that may never stand there would leave nothing.
    for name in ("suppress_tokens", "begin_suppress_tokens"):
        forced = {rules.get("forced_bos_token_id"), rules.get("forced_eos_token_id")}
        rules[name] = [i for i in rules.get(name, []) if i not in forced]
    return options | rules, prefixes


# ------------------------------------------------------------------ what holds

SOURCES = [[5, 6, 7, 8, 9, 3], [4, 3], [9, 9, 12, 3]]


@settings(
    max_examples=3 if COMPILES else 120,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(name=st.sampled_from(sorted(MODELS)), request=requests())
def test_results_are_well_formed(name, request):
    (options, prefixes), subject = request, model(name)
    target = subject.special_ids.target
    output = subject.generate(
        source_mapping(SOURCES), decoder_prefix=prefixes, return_output=True, **options
    )
    n = options.get("num_return_sequences", 1)
    ids = output.token_ids.reshape(len(SOURCES), n, -1)
    lengths, scores = output.lengths.reshape(-1, n), output.scores.reshape(-1, n)
    log_probs = output.token_log_probs.reshape(ids.shape)
    assert ids.shape[-1] == lengths.max() <= options["max_length"] - 1
    assert np.isfinite(scores).all() and (log_probs <= 1e-6).all()
    searched = options["sampler"] in ("beam", "diverse_beam", "beam_sample")
    if searched:
        assert (np.diff(scores, axis=1) <= 0).all(), "best first"

    pairs, sums = [], []
    for source, rank in np.ndindex(lengths.shape):
        row, length = ids[source, rank].tolist(), lengths[source, rank]
        given = prefixes[source] if prefixes else []
        assert row[length:] == [target.pad] * (len(row) - length)
        assert not log_probs[source, rank, length:].any()
        if length == 0:  # rules left fewer sequences than were asked for
            assert searched and rank > 0 and scores[source, rank] == EMPTY
            continue
        assert length > len(given) and row[: len(given)] == given
        assert target.eos not in row[len(given) : length - 1]
        assert row[length - 1] == target.eos or length == options["max_length"] - 1
        pairs.append((SOURCES[source], row[:length]))
        sums.append(log_probs[source, rank].sum())
    expected = subject.score(*map(list, zip(*pairs, strict=True)))
    np.testing.assert_allclose(sums, expected, atol=1e-4, rtol=1e-5)
    if options["sampler"] in ("greedy", "random"):
        np.testing.assert_allclose(scores.ravel(), sums, rtol=1e-5)
