"""The public model: what `generate` and `score` return, refuse, and compile."""

from __future__ import annotations

import dataclasses
import math

import keras
import numpy as np
import pytest
from contracts import checks
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_models import (
    COMPILES,
    PresetConfig,
    Probe,
    covered,
    make_model,
    model_inputs,
    padded,
    shrunken_preset,
    source_mapping,
    variant,
    with_special_ids,
)

from keras_s2s.config import ConfigError
from keras_s2s.decoding.requests.planning import Search, plan_search
from keras_s2s.model import Seq2SeqLM
from keras_s2s.samplers import Beam, GenerationOutput
from keras_s2s.text import Preprocessor

SOURCES = [[5, 9, 6, 4, 3], [7, 3], [8, 4, 4, 11, 6, 10, 3]]


@pytest.fixture(scope="module")
def model() -> Seq2SeqLM:
    """Ids only; EOS is what the model likes to write now and then."""
    config = shrunken_preset("gru_bahdanau")
    likely = checks.likely_plan(Probe(make_model(config, seed=1))).eos
    return make_model(with_special_ids(config, eos=likely), seed=1)


@pytest.fixture(scope="module")
def text_model() -> Seq2SeqLM:
    pairs = [("ein Hund", "a dog"), ("zwei Katzen", "two cats")]
    text = Preprocessor.train(pairs, "character")
    sizes = {
        "source_vocab_size": text.source.vocabulary_size,
        "target_vocab_size": text.target.vocabulary_size,
    }
    config = shrunken_preset("gru_bahdanau").model_dump()
    config["architecture"].update(sizes)
    config["special_ids"] = text.special_ids.model_dump()
    model = make_model(PresetConfig.model_validate(config))
    model.preprocessor = text
    return model


# --------------------------------------------------------------------------------------
# What comes back
# --------------------------------------------------------------------------------------


def test_ids_for_ids(model):
    ids = model.generate(source_mapping(SOURCES), max_length=8)
    assert isinstance(ids, np.ndarray) and ids.dtype == np.int32
    assert ids.shape[0] == 3 and 1 <= ids.shape[1] <= 7, "max_length counts the decoder start"


def test_output_of_n_best(model):
    output = model.generate(
        source_mapping(SOURCES),
        num_beams=3,
        num_return_sequences=2,
        max_length=8,
        return_output=True,
        output_attentions=True,
    )
    assert isinstance(output, GenerationOutput)
    longest = output.token_ids.shape[-1]
    assert output.token_ids.shape == output.token_log_probs.shape == (3, 2, longest)
    assert output.lengths.shape == output.scores.shape == (3, 2)
    assert output.lengths.max() == longest
    assert output.texts is None
    assert output.attentions.shape == (3, 2, longest, 7)
    for b, source in enumerate(SOURCES):
        for n in range(2):
            weights = output.attentions[b, n, : output.lengths[b, n]]
            np.testing.assert_allclose(weights[:, : len(source)].sum(-1), 1, rtol=1e-5, atol=1e-5)
            assert not weights[:, len(source) :].any()


def test_attention_is_that_of_the_forced_pass(model):
    output = model.generate(
        source_mapping(SOURCES[:1]), max_length=6, return_output=True, output_attentions=True
    )
    size = output.lengths[0]
    history = [model.special_ids.target.decoder_start, *output.token_ids[0, : size - 1].tolist()]
    inputs = model_inputs(SOURCES[:1], [history], model.special_ids)
    _, expected = Probe(model).logits_and_attention(inputs)
    np.testing.assert_allclose(output.attentions[0, :size], expected[0], rtol=1e-5, atol=1e-5)


def test_rules_may_leave_fewer_hypotheses_than_asked_for(model):
    output = model.generate(
        source_mapping(SOURCES),
        num_beams=3,
        num_return_sequences=3,
        max_length=2,
        forced_bos_token_id=7,
        return_output=True,
    )
    assert output.token_ids.tolist() == [[[7], [0], [0]]] * 3
    assert output.lengths.tolist() == [[1, 0, 0]] * 3
    assert (output.scores[:, 1:] < -1e8).all()


def test_max_new_tokens_leaves_out_the_start(model):
    sources = source_mapping(SOURCES)
    same = model.generate(sources, max_new_tokens=5)
    np.testing.assert_array_equal(same, model.generate(sources, max_length=6))
    assert model.generate(sources, max_length=2).shape == (3, 1)


def test_texts_for_texts(text_model):
    one = text_model.generate("ein Hund", max_length=8)
    assert isinstance(one, str)
    several = text_model.generate(["ein Hund", "zwei Katzen"], max_length=8)
    assert several[0] == one
    n_best = text_model.generate(
        ["ein Hund"], num_beams=2, num_return_sequences=2, max_length=8, return_output=True
    )
    assert len(n_best.texts) == 1 and len(n_best.texts[0]) == 2
    ids = text_model.preprocessor.encode_source(["ein Hund"])
    found = text_model.generate(source_mapping(ids), max_length=8)
    assert isinstance(found, np.ndarray), "ids for ids, also where there is a tokenizer"


def test_no_sources_no_results(model, text_model):
    output = model.generate(
        {"encoder_token_ids": np.zeros((0, 4), "int32"), "encoder_padding_mask": np.zeros((0, 4))},
        max_length=8,
        return_output=True,
    )
    assert output.token_ids.shape[0] == output.lengths.shape[0] == output.scores.shape[0] == 0
    assert text_model.generate([]) == []
    assert text_model.generate([], num_beams=2, num_return_sequences=2) == []
    assert model.score([], []).shape == (0,)


def test_score_is_the_sum_of_log_probabilities(model):
    special = model.special_ids
    eos = special.target.eos
    targets = [[5, 6, eos], [7, eos], [8, 4, 11, 6, eos]]
    scores, each = model.score(SOURCES, targets, return_token_log_probs=True)
    start = special.target.decoder_start
    inputs = model_inputs(SOURCES, [[start, *row[:-1]] for row in targets], special)
    logits = Probe(model).logits(inputs).astype("float64")
    log_probs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    for b, row in enumerate(targets):
        expected = log_probs[b, np.arange(len(row)), row]
        np.testing.assert_allclose(each[b], expected, rtol=1e-5, atol=1e-5)
        assert scores[b] == pytest.approx(expected.sum(), abs=1e-5)
    alone = model.score(SOURCES[:1], targets[:1])
    np.testing.assert_allclose(alone, scores[:1], rtol=1e-5, atol=1e-5)


def test_score_returns_attention_when_asked(model):
    special = model.special_ids
    eos, start = special.target.eos, special.target.decoder_start
    targets = [[5, 6, eos], [7, eos], [8, 4, 11, 6, eos]]
    scores, attention = model.score(SOURCES, targets, return_attention=True)
    np.testing.assert_allclose(scores, model.score(SOURCES, targets), rtol=1e-6)
    inputs = model_inputs(SOURCES, [[start, *row[:-1]] for row in targets], special)
    _, expected = Probe(model).logits_and_attention(inputs)
    assert [part.shape for part in attention] == [(3, 5), (2, 2), (5, 7)]
    for part, whole in zip(attention, expected, strict=True):
        np.testing.assert_allclose(part, whole[: part.shape[0], : part.shape[1]], atol=1e-5)
    parts = model.score(SOURCES, targets, return_token_log_probs=True, return_attention=True)
    assert [len(part) for part in parts] == [3, 3, 3]
    assert [row.shape for row in parts[1]] == [(3,), (2,), (5,)]
    without = make_model(shrunken_preset("lstm_seq2seq"))
    with pytest.raises(ValueError, match="no attention to show"):
        without.score(SOURCES, targets, return_attention=True)


def test_score_of_texts(text_model):
    one = text_model.score("ein Hund", "a dog")
    assert isinstance(one, float) and one < 0
    several = text_model.score(["ein Hund", "zwei Katzen"], ["a dog", "two cats"])
    assert several[0] == pytest.approx(one, abs=1e-5)


def test_seeds_belong_to_rows(model):
    options = {"sampler": "top_k", "top_k": 8, "max_length": 9}
    together = model.generate(source_mapping(SOURCES), seed=[4, 5, 6], **options)
    alone = model.generate(source_mapping(SOURCES[1:2]), seed=[5], **options)
    np.testing.assert_array_equal(together[1, : alone.shape[1]], alone[0])
    again = model.generate(source_mapping(SOURCES), seed=[4, 5, 6], **options)
    np.testing.assert_array_equal(together, again)
    one = model.generate(source_mapping(SOURCES), seed=1, **options)
    np.testing.assert_array_equal(
        one, model.generate(source_mapping(SOURCES), seed=1, batch_size=2, **options)
    )


# --------------------------------------------------------------------------------------
# What is refused
# --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sampler": "greeedy"}, "did you mean 'greedy'"),
        ({"num_beams": 0}, "num_beams=0"),
        ({"sampler": "greedy", "num_beams": 2}, "no use for num_beams"),
        ({"lenght_penalty": 2.0}, "length_penalty"),
        ({"sampler": Beam(2), "length_penalty": 2.0}, "already configured"),
        ({"max_length": 1}, "max_length=1 must be a whole number of at least 2"),
        ({"max_new_tokens": 0}, "max_new_tokens=0 must be a whole number of at least 1"),
        ({"max_length": 5, "max_new_tokens": 4}, "say the same thing twice"),
        ({"max_length": 5, "min_length": 6}, "min_length=6"),
        ({"forced_bos_token_id": 99}, "forced_bos_token_id=99 is no id of a vocabulary of 16"),
        ({"sampler": "top_k", "seed": [1, 2], "max_length": 4}, "2 seeds for 3 sources"),
    ],
)
def test_options_that_cannot_be_meant(model, options, message):
    with pytest.raises(ValueError, match=message):
        model.generate(source_mapping(SOURCES), **options)


def test_sources_that_cannot_be_read(model):
    ids, mask = padded(SOURCES, 0)
    empty = mask.copy()
    empty[1] = False
    with pytest.raises(ValueError, match="row 1 has no real position"):
        model.generate({"encoder_token_ids": ids, "encoder_padding_mask": empty})
    left = mask.copy()
    left[0] = left[0, ::-1]
    with pytest.raises(ValueError, match="row 0 is not padded at its end only"):
        model.generate({"encoder_token_ids": ids, "encoder_padding_mask": left})
    with pytest.raises(ValueError, match="share one shape"):
        model.generate({"encoder_token_ids": ids, "encoder_padding_mask": mask[:, :3]})
    with pytest.raises(ValueError, match="lacks encoder_padding_mask"):
        model.generate({"encoder_token_ids": ids})
    with pytest.raises(ValueError, match="no preprocessor"):
        model.generate("text")
    with pytest.raises(TypeError, match="element 1 is a int"):
        model.generate(["text", 3])


def test_score_refuses_what_does_not_pair(model):
    with pytest.raises(ValueError, match="3 sources but 1 targets"):
        model.score(SOURCES, [[5, 3]])
    with pytest.raises(ValueError, match="target 1 is empty"):
        model.score(SOURCES[:2], [[5, 3], []])
    with pytest.raises(ValueError, match="source 0 is empty"):
        model.score([[]], [[5, 3]])
    with pytest.raises(TypeError, match="both be a text"):
        model.score("a", ["b"])
    inputs = model.network.frontend.batch(SOURCES)
    with pytest.raises(TypeError, match="sources is a mapping of encoder_token_ids"):
        model.score(inputs, [[5, 3]] * len(inputs))


def test_a_mapping_is_not_scored_as_texts(text_model):
    """Its keys would be texts."""
    names = ("encoder_token_ids", "encoder_padding_mask")
    with pytest.raises(TypeError, match="sources is a mapping"):
        text_model.score(dict.fromkeys(names), list(names))


def test_learned_positions_limit_lengths():
    side = {
        "type": "transformer",
        "hidden_dim": 8,
        "num_heads": 2,
        "intermediate_dim": 8,
        "num_layers": 1,
        "embedding": {"positions": "learned", "max_positions": 6},
    }
    model = Seq2SeqLM(variant({"encoder": side, "decoder": side}))
    sources = source_mapping(SOURCES[:1])
    assert model.generate(sources).shape[1] <= 6, "the default limit gives way to the positions"
    with pytest.raises(ValueError, match="the longest possible max_length is 7"):
        model.generate(sources, max_length=8)
    with pytest.raises(ValueError, match="source 0 has 7 ids, but the model has positions for 6"):
        model.generate(source_mapping(SOURCES[2:]))
    with pytest.raises(ValueError, match="target 0 has 8 ids"):
        model.score(SOURCES[:1], [[5] * 8])


def test_presets_and_architectures_that_are_wrong():
    with pytest.raises(ConfigError, match="gru_bahdanau"):
        Seq2SeqLM.from_preset("gru_bahdanou")
    with pytest.warns(UserWarning, match="random"):
        Seq2SeqLM.from_preset(
            "gru_bahdanau",
            architecture={"shared": {"hidden_dim": 8}, "source_vocab_size": 9},
        )
    with pytest.raises(ConfigError, match="hidden_dim"):
        Seq2SeqLM.from_preset(
            "gru_bahdanau", load_weights=False, architecture={"encoder": {"hiden_dim": 8}}
        )


# --------------------------------------------------------------------------------------
# Training and generating in turn
# --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", covered(["gru_bahdanau", "transformer_tiny"], ["gru_bahdanau"]))
def test_generate_fit_generate(name):
    """New weights are used, and nothing is compiled anew."""
    model = make_model(shrunken_preset(name), seed=1)
    sources = source_mapping(SOURCES)

    def scores() -> np.ndarray:
        output = model.generate(sources, num_beams=2, max_length=6, return_output=True)
        eos = model.special_ids.target.eos
        return np.concatenate([output.scores, model.score(SOURCES, [[5, 6, eos]] * 3)])

    before = scores()
    compiled, traces = model.generator.compilations, real_compilations(model)
    model.compile(optimizer=keras.optimizers.SGD(0.5))
    model.fit(checks.copy_batches(model), epochs=1, verbose=0)
    after = scores()
    assert (np.abs(after - before) > 1e-4).all(), "the old weights were used"
    assert model.generator.compilations == compiled
    assert real_compilations(model) == traces

    # A fresh loop over the same weights agrees, so all of the new weights are seen.
    model._generator = None
    np.testing.assert_allclose(scores(), after, rtol=1e-5, atol=1e-5)


def real_compilations(model: Seq2SeqLM) -> int:
    """What the backend itself says it has compiled or traced for this model's loops."""
    backend = keras.backend.backend()
    generator = model.generator
    assert generator._drivers and generator._forced
    if backend == "torch":
        return 0
    programs: list = []
    for driver in generator._drivers.values():
        if backend == "jax":
            programs += driver._programs.values()
        else:
            graphs = (driver._start, driver._segment, driver._select, driver._grow, driver._finish)
            programs += [graph._graph for graph in graphs if graph._graph is not None]
    if backend == "tensorflow":
        return len(programs)
    return sum(program.programs() for program in programs)


# --------------------------------------------------------------------------------------
# Any combination of options
# --------------------------------------------------------------------------------------


@st.composite
def searches(draw):
    strategy = draw(st.sampled_from(["greedy", "beam", "top_k"]))
    options = {"sampler": strategy, "max_length": draw(st.integers(2, 9))}
    if strategy == "beam":
        options["num_beams"] = draw(st.integers(1, 5))
        options["num_return_sequences"] = draw(st.integers(1, options["num_beams"]))
        options["length_penalty"] = draw(st.sampled_from([-1.0, 0.0, 0.6, 2.0]))
        options["early_stopping"] = draw(st.sampled_from([True, False, "never"]))
    elif strategy == "top_k":
        options["top_k"] = draw(st.integers(1, 20))
        options["temperature"] = draw(st.sampled_from([0.3, 1.0, 3.0]))
        options["seed"] = draw(st.integers(0, 9))
    if draw(st.booleans()):
        options["min_length"] = draw(st.integers(0, options["max_length"]))
    if draw(st.booleans()):
        options["forced_bos_token_id"] = draw(st.integers(4, 9))
    if draw(st.booleans()):
        options["forced_eos_token_id"] = draw(st.sampled_from([3, 5]))
    return options


EXAMPLES = 3 if COMPILES else 25


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(options=searches(), pad=st.sampled_from(["own", "eos", "start"]))
def test_any_search_ends_and_is_well_formed(model, options, pad):
    target = model.special_ids.target
    options = dict(options)
    name, length, seed = options.pop("sampler"), options.pop("max_length"), options.pop("seed", 0)
    sampler, plan, _ = plan_search(
        model._parts, Search(name, length, options=options), [0] * len(SOURCES)
    )
    fill = {"own": target.pad, "eos": target.eos, "start": target.decoder_start}[pad]
    plan = dataclasses.replace(plan, pad=fill)
    output = model.generator.generate(SOURCES, sampler, plan, seed=seed)
    n = options.get("num_return_sequences", 1)
    ids = output.token_ids.reshape(len(SOURCES) * n, -1)
    lengths = output.lengths.reshape(-1)
    # Rules may leave fewer sequences than were asked for; what is missing is empty.
    missing = lengths == 0
    assert (missing == (output.scores.reshape(-1) < -1e8)).all()
    assert not missing[::n].any() and (ids[missing] == plan.pad).all()
    ids, lengths = ids[~missing], lengths[~missing]
    checks.check_well_formed(ids, lengths, plan)
    assert np.isfinite(output.scores).all()
    if "forced_bos_token_id" in options and not (
        "forced_eos_token_id" in options and plan.steps == 1
    ):
        assert (ids[:, 0] == options["forced_bos_token_id"]).all()
    if "forced_eos_token_id" in options:
        full = lengths == plan.steps
        ends = ids[full, plan.steps - 1] if full.any() else np.asarray([])
        assert np.isin(ends, [options["forced_eos_token_id"]]).all()
    shortest = options.get("min_length", 0)
    ended = np.asarray([row[size - 1] == plan.eos for row, size in zip(ids, lengths, strict=True)])
    forced = (
        options.get("forced_bos_token_id") == plan.eos
        or options.get("forced_eos_token_id") == plan.eos
    )
    assert forced or (lengths[ended] + 1 >= min(shortest, plan.steps + 1)).all()
    if sampler.num_return_sequences > 1:
        ranked = output.scores
        assert (np.diff(ranked, axis=1) <= 1e-6).all()
        for batch, sizes in zip(output.token_ids, output.lengths, strict=True):
            rows = [tuple(row[:size].tolist()) for row, size in zip(batch, sizes, strict=True)]
            rows = [row for row in rows if row]
            assert len(set(rows)) == len(rows), "a hypothesis comes twice"
    assert not math.isnan(float(output.token_log_probs.sum()))
