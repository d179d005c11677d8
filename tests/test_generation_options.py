"""Options of `generate` and `stream`: which are refused, which are used, and by whom."""

from __future__ import annotations

from functools import cache
from itertools import product
from typing import Any

import numpy as np
import pytest
from small_models import (
    VOCABULARY,
    attention,
    covered,
    make_model,
    randomise,
    recurrent,
    source_mapping,
    transformer,
    variant,
)
from text_samples import CORPUS

from keras_s2s.config import GenerationConfig
from keras_s2s.decoding.requests.planning import Search, plan_search
from keras_s2s.model import Seq2SeqLM
from keras_s2s.samplers import (
    Beam,
    BeamSample,
    DiverseBeam,
    Greedy,
    MinLength,
    MinNewTokens,
    Random,
    Suppress,
    TopP,
    resolve_sampler,
)
from keras_s2s.samplers.agreement import agreed
from keras_s2s.text import Preprocessor

SOURCES = [[5, 9, 6, 4, 3], [7, 3], [8, 4, 4, 11, 6, 3]]
RECURRENT: dict[str, Any] = {
    "encoder": recurrent("gru"),
    "decoder": recurrent("gru", **attention("dot", "current")),
    "bridge": {"type": "copy"},
}


@pytest.fixture(scope="module")
def model() -> Seq2SeqLM:
    """Ids only, with positions for ten of them."""
    positions = {"positions": "learned", "max_positions": 10}
    return make_model(variant({"shared": transformer(embedding=positions)}), scale=2.0)


# ------------------------------------------------------------------ refused

NOT_MEANT: list[tuple[dict[str, Any], str]] = [
    # Values out of range
    ({"num_beams": 0}, "num_beams=0"),
    ({"num_beams": -1}, "num_beams=-1"),
    ({"num_beams": 2.0}, r"num_beams=2\.0"),
    ({"num_beams": True}, "num_beams=True"),
    ({"num_beams": "4"}, "num_beams='4'"),
    ({"num_beams": 2, "num_return_sequences": 3}, "num_return_sequences=3"),
    ({"num_beams": 2, "num_return_sequences": 0}, "num_return_sequences=0"),
    ({"num_beams": 2, "num_return_sequences": 1.5}, r"num_return_sequences=1\.5"),
    ({"num_beams": 2, "early_stopping": "sometimes"}, "early_stopping='sometimes'"),
    ({"num_beams": 2, "early_stopping": 1}, "early_stopping=1"),
    ({"num_beams": 2, "length_penalty": float("nan")}, "length_penalty=nan"),
    ({"num_beams": 2, "length_penalty": "much"}, "length_penalty='much'"),
    ({"do_sample": True, "top_p": 0}, "top_p=0"),
    ({"do_sample": True, "top_p": 1.1}, r"top_p=1\.1"),
    ({"do_sample": True, "top_p": "0.9"}, r"top_p='0\.9'"),
    ({"do_sample": True, "top_k": -1}, "top_k=-1"),
    ({"do_sample": True, "top_k": 2.5}, r"top_k=2\.5"),
    ({"do_sample": True, "min_p": -0.1}, r"min_p=-0\.1"),
    ({"do_sample": True, "min_p": 1.5}, r"min_p=1\.5"),
    ({"do_sample": True, "temperature": 0}, "temperature=0"),
    ({"do_sample": True, "temperature": float("inf")}, "temperature=inf"),
    ({"do_sample": True, "temperature": "hot"}, "temperature='hot'"),
    ({"do_sample": True, "num_return_sequences": 0}, "num_return_sequences=0"),
    ({"do_sample": "yes"}, "do_sample='yes'"),
    ({"do_sample": True, "num_beams": 2, "top_p": 2}, "top_p=2"),
    ({"num_beams": 4, "num_beam_groups": 3}, "num_beam_groups=3"),
    ({"num_beams": 4, "num_beam_groups": 0}, "num_beam_groups=0"),
    ({"num_beams": 4, "num_beam_groups": 2, "diversity_penalty": -1}, "diversity_penalty=-1"),
    ({"num_beams": 4, "num_beam_groups": 2, "do_sample": True}, "do_sample=True"),
    # Limits
    ({"max_length": 1}, "max_length=1"),
    ({"max_length": 12}, "max_length=12 needs 11 decoder positions"),
    ({"max_length": 8.0}, r"max_length=8\.0"),
    ({"max_length": True}, "max_length=True"),
    ({"max_new_tokens": 0}, "max_new_tokens=0"),
    ({"max_new_tokens": "3"}, "max_new_tokens='3'"),
    ({"max_length": 8, "min_length": 9}, "min_length=9 .*max_length=8"),
    ({"max_length": 8, "min_new_tokens": 8}, "min_new_tokens=8 .*max_length=8"),
    ({"min_length": -1}, "min_length=-1"),
    ({"min_new_tokens": 1.5}, r"min_new_tokens=1\.5"),
    ({"eos_token_id": []}, r"eos_token_id=\[\] has no id"),
    ({"eos_token_id": [3, 16]}, r"eos_token_id\[1\]=16"),
    ({"eos_token_id": "</s>"}, r"eos_token_id\[0\]='</s>'"),
    # Rules
    ({"repetition_penalty": 0}, "repetition_penalty=0"),
    ({"repetition_penalty": "1.2"}, r"repetition_penalty='1\.2'"),
    ({"no_repeat_ngram_size": -2}, "no_repeat_ngram_size=-2"),
    ({"encoder_no_repeat_ngram_size": 2.5}, r"encoder_no_repeat_ngram_size=2\.5"),
    ({"bad_words_ids": [4, 5]}, r"bad_words_ids\[0\]=4"),
    ({"bad_words_ids": [[4], []]}, r"bad_words_ids\[1\] is empty"),
    ({"bad_words_ids": [[4, 99]]}, r"bad_words_ids\[0\]\[1\]=99"),
    ({"suppress_tokens": 4}, "suppress_tokens=4"),
    ({"suppress_tokens": [4, VOCABULARY]}, r"suppress_tokens\[1\]=16"),
    ({"begin_suppress_tokens": "45"}, "begin_suppress_tokens='45'"),
    ({"forced_bos_token_id": -1}, "forced_bos_token_id=-1"),
    ({"forced_eos_token_id": "</s>"}, "forced_eos_token_id='</s>'"),
    ({"prefix_allowed_tokens_fn": [4]}, r"prefix_allowed_tokens_fn=\[4\]"),
    # Options that the strategy has no use for
    ({"temperature": 0.5}, "temperature.*do_sample=True"),
    ({"top_k": 5, "num_beams": 2}, "top_k.*do_sample=True"),
    ({"length_penalty": 0.6}, "length_penalty"),
    ({"early_stopping": True, "do_sample": True}, "early_stopping"),
    ({"num_return_sequences": 2}, "num_return_sequences"),
    ({"num_beams": 2, "diversity_penalty": 1.0}, "diversity_penalty"),
    ({"sampler": "greedy", "num_beams": 2}, "num_beams"),
    ({"sampler": "beam", "top_p": 0.5}, "top_p"),
    ({"sampler": "beam", "do_sample": True}, "do_sample"),
    ({"sampler": Beam(2), "num_beams": 2}, "num_beams"),
    ({"seed": 3}, "seed=3"),
    ({"seed": [1, 2, 3], "num_beams": 2}, "seed=.*Beam draws nothing"),
    ({"seed": [1, 2], "do_sample": True}, "2 seeds for 3 sources"),
    ({"seed": 1.5, "do_sample": True}, r"seed=1\.5"),
    ({"seed": [1, 2.5, 3], "do_sample": True}, r"seed=\[1, 2\.5, 3\] must be a whole number"),
    ({"seed": True, "do_sample": True}, "seed=True must be a whole number"),
    ({"tgt_lang": "de"}, "tgt_lang needs a preprocessor"),
    ({"no_repeat_ngram": 2}, "no_repeat_ngram_size"),
    # Prefixes
    ({"decoder_prefix": [[5] * 7] * 3, "max_length": 8}, "prefix of 7 ids.*max_length=8"),
    ({"decoder_prefix": [[5], [], [6, 7]], "max_length": 8, "min_new_tokens": 6}, "prefix of 2"),
    ({"decoder_prefix": [[5], [6]]}, "one prefix for each of 3 sources"),
    ({"decoder_prefix": [[5], [99], [6]]}, "decoder_prefix 1 holds the id 99"),
    ({"decoder_prefix": ["a", "b", "c"]}, "no preprocessor"),
    ({"decoder_prefix": [5, 6, 7]}, r"decoder_prefix 0 is 5, .* list of integer ids"),
    ({"decoder_prefix": 5}, "decoder_prefix=5"),
    ({"decoder_prefix": [[5], [6.5], []]}, r"decoder_prefix 1 is \[6\.5\]"),
    # How it is run and returned
    ({"batch_size": 0}, "batch_size=0"),
    ({"batch_size": 2.5}, r"batch_size=2\.5"),
    ({"batch_size": "a"}, "batch_size='a'"),
    ({"output_attentions": True}, "return_output=True"),
]


@pytest.mark.parametrize(
    ("options", "message"), NOT_MEANT, ids=[" ".join(map(str, o)) for o, _ in NOT_MEANT]
)
def test_what_cannot_be_meant_is_refused(model, options, message):
    with pytest.raises(ValueError, match=message):
        model.generate(source_mapping(SOURCES), **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"processors": [4]}, "LogitsProcessor objects, not int"),
        ({"processors": Suppress((4,))}, "must be a list of LogitsProcessor objects"),
        ({"sampler": 5}, "sampler=5 must be a name or an object; names are greedy"),
        ({"sampler": Beam}, r"must be a name or an object: Beam\(\)"),
    ],
)
def test_objects_of_the_wrong_kind_are_refused(model, options, message):
    with pytest.raises(TypeError, match=message):
        model.generate(source_mapping(SOURCES), **options)


@pytest.mark.parametrize(
    ("sources", "targets", "options", "message"),
    [
        ([[5, 3]], [[-3, 3]], {}, "target 0 holds the id -3"),
        ([[5, 3], [6, 3]], [[5, 3], [VOCABULARY, 3]], {}, "target 1 holds the id 16.* 0 to 15"),
        ([[5, 99]], [[5, 3]], {}, "source 0 holds the id 99"),
        ([[5.5, 3]], [[5, 3]], {}, r"source 0 is \[5\.5, 3\]"),
        ([[5, 3]], [["a"]], {}, "target 0 is"),
        ([[5, 3]], [7], {}, "target 0 is 7"),
        ([[5, 3]], [[]], {}, "target 0 is empty"),
        ([[5, 3]], [[5] * 11], {}, "target 0 has 11 ids"),
        ([[5, 3]], [[5, 3], [5, 3]], {}, "1 sources but 2 targets"),
        ([[5, 3]], [[5, 3]], {"batch_size": 0}, "batch_size=0"),
    ],
)
def test_what_cannot_be_scored_is_refused(model, sources, targets, options, message):
    with pytest.raises(ValueError, match=message):
        model.score(sources, targets, **options)


def test_scores_of_arrays_and_of_nothing(model):
    sources, targets = [[5, 6, 3], [7, 8, 3]], [[9, 3], [4, 3]]
    found = model.score(np.asarray(sources), np.asarray(targets), batch_size=np.int64(1))
    np.testing.assert_allclose(found, model.score(sources, targets), rtol=1e-5, atol=1e-5)
    assert model.score([], []).shape == (0,)
    with pytest.raises(TypeError, match="all be texts, or all be lists"):
        model.score(["a"], [[5, 3]])


def test_numbers_of_numpy_and_none():
    ids = source_mapping(SOURCES)
    model = make_model(variant(RECURRENT), scale=2.0)
    options = {"num_beams": 2, "max_length": 6, "repetition_penalty": 1.5, "min_length": 3}
    numpy = {"num_beams": np.int64(2), "max_length": np.int32(6), "min_length": np.int64(3)}
    nothing = {"num_return_sequences": None, "do_sample": None, "num_beam_groups": None}
    found = model.generate(ids, **options)
    compiled = model.generator.compilations
    again = model.generate(ids, **{**options, **numpy}, **nothing, temperature=None)
    np.testing.assert_array_equal(again, found)
    assert model.generator.compilations == compiled
    with pytest.raises(ValueError, match="did you mean 'temperature'"):
        model.generate(ids, temperatur=None)


def test_a_source_beyond_the_positions_is_refused(model):
    with pytest.raises(ValueError, match="source 1 has 11 ids, but the model has positions for 10"):
        model.generate(source_mapping([[5, 3], [5] * 10 + [3]]))


def test_a_source_beyond_the_positions_is_cut_on_request(model, caplog):
    long = [[5, 3], [5, 9, 6, 4, 7, 8, 4, 4, 11, 6, 9, 3]]
    cut = [long[0], [*long[1][:9], 3]]
    expected = model.generate(source_mapping(cut), return_output=True)
    found = model.generate(source_mapping(long), return_output=True, overlong="truncate")
    np.testing.assert_array_equal(found.token_ids, expected.token_ids)
    assert "1 of 2 sources were cut to 10 ids (source 1 has 12 ids)" in caplog.text
    scores = model.score(long, long, overlong="truncate")
    np.testing.assert_allclose(scores, model.score(cut, cut), rtol=1e-6)
    message = "target 1 has 12 ids, but the model has positions for 10; .*overlong='truncate'"
    with pytest.raises(ValueError, match=message):
        model.score(cut, long)
    with pytest.raises(ValueError, match="overlong='drop' must be 'error' or 'truncate'"):
        model.generate(source_mapping(cut), overlong="drop")


# ------------------------------------------------------------------ nothing to do


@pytest.mark.parametrize(
    "options",
    [{}, {"decoder_prefix": []}, {"num_beams": 3, "num_return_sequences": 2}, {"do_sample": True}],
)
def test_no_sources_give_an_empty_result(model, options):
    nothing = {
        "encoder_token_ids": np.zeros((0, 4), "int32"),
        "encoder_padding_mask": np.zeros((0, 4), bool),
    }
    before = model.generator.compilations
    output = model.generate(nothing, return_output=True, output_attentions=True, **options)
    n = options.get("num_return_sequences", 1)
    batch = (0,) if n == 1 else (0, n)
    assert output.token_ids.shape == output.token_log_probs.shape == (*batch, 0)
    assert output.lengths.shape == output.scores.shape == batch
    assert output.attentions.shape[: len(batch)] == batch
    assert model.generate(nothing, **options).shape == (*batch, 0)
    assert model.generator.compilations == before


# ------------------------------------------------------------------ who chooses


@pytest.mark.parametrize(
    ("options", "defaults", "expected"),
    [
        ({}, {}, Greedy()),
        ({"num_beams": 1}, {}, Greedy()),
        ({"num_beams": 1, "num_beam_groups": 1, "do_sample": False}, {}, Greedy()),
        ({"do_sample": True}, {}, Random()),
        ({"do_sample": True, "num_beams": 1, "top_k": 4}, {}, Random(top_k=4)),
        ({"num_beams": 3}, {}, Beam(3)),
        ({"num_beams": 3, "do_sample": True}, {}, BeamSample(3)),
        ({"num_beams": 4, "num_beam_groups": 2}, {}, DiverseBeam(4, num_beam_groups=2)),
        # Defaults: used by who has a use for them, and by nobody else
        ({}, {"num_beams": 3, "length_penalty": 0.6, "top_k": 9}, Beam(3, length_penalty=0.6)),
        ({"num_beams": 1}, {"num_beams": 3, "length_penalty": 0.6}, Greedy()),
        ({"length_penalty": 2.0}, {"num_beams": 3}, Beam(3, length_penalty=2.0)),
        (
            {},
            {"do_sample": True, "temperature": 0.5, "top_p": 0.9},
            Random(temperature=0.5, top_p=0.9),
        ),
        ({"do_sample": False}, {"do_sample": True, "temperature": 0.5}, Greedy()),
        ({"num_beams": 2}, {"do_sample": True, "min_p": 0.5}, BeamSample(2, min_p=0.5)),
        ({}, {"sampler": "top_p", "top_p": 0.7}, TopP(0.7)),
        ({"num_beams": 2}, {"sampler": "top_p", "top_p": 0.7}, Beam(2)),
        (
            {},
            {"num_beams": 4, "num_beam_groups": 2, "diversity_penalty": 0.3},
            DiverseBeam(4, num_beam_groups=2, diversity_penalty=0.3),
        ),
        # Defaults that do not go with what the caller says give way
        ({"num_beams": 1, "num_return_sequences": 1}, {}, Greedy()),
        ({"num_beams": 2}, {"num_beams": 5, "num_return_sequences": 4}, Beam(2)),
        (
            {"num_beams": 4},
            {"num_beams": 5, "num_return_sequences": 4},
            Beam(4, num_return_sequences=4),
        ),
        ({"num_beams": 5}, {"num_beams": 4, "num_beam_groups": 2}, Beam(5)),
        ({"num_beams": 1}, {"num_beams": 4, "num_beam_groups": 2}, Greedy()),
        ({"num_beams": 6}, {"num_beams": 4, "num_beam_groups": 2}, DiverseBeam(6)),
        ({"do_sample": True}, {"num_beams": 4, "num_beam_groups": 2}, BeamSample(4)),
        ({"num_beam_groups": 2}, {"num_beams": 4, "do_sample": True}, DiverseBeam(4)),
        ({"top_k": 0}, {"do_sample": True, "top_k": 7}, Random()),
        ({"top_k": None}, {"do_sample": True, "top_k": 7}, Random(top_k=7)),
    ],
)
def test_options_and_defaults_choose_the_strategy(options, defaults, expected):
    assert resolve_sampler(None, options, GenerationConfig(**defaults)).key() == expected.key()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, (MinLength(6),)),
        ({"max_length": 5}, ()),
        ({"max_new_tokens": 4}, ()),
        ({"max_new_tokens": 5}, (MinLength(6),)),
        ({"min_length": 3}, (MinLength(3),)),
        ({"min_new_tokens": 2}, (MinNewTokens(2),)),
        ({"min_length": 0}, ()),
    ],
)
def test_a_presets_shortest_length_gives_way(options, expected):
    model = Seq2SeqLM(variant(RECURRENT, generation={"min_length": 6, "max_length": 8}))
    lengths = [options.pop(name, None) for name in ("max_length", "max_new_tokens")]
    # Also where a longer prefix would leave room: a row does not depend on its batch.
    _, plan, _ = plan_search(model._parts, Search(None, *lengths, (), options), [0, 2])
    assert plan.processors == expected


def test_named_strategies_take_their_own_defaults_only():
    defaults = GenerationConfig(num_beams=3, length_penalty=0.6, top_k=9, diversity_penalty=2.0)
    expected = {
        "greedy": Greedy(),
        "beam": Beam(3, length_penalty=0.6),
        "random": Random(top_k=9),
        "beam_sample": BeamSample(3, length_penalty=0.6, top_k=9),
    }
    for name, sampler in expected.items():
        assert resolve_sampler(name, {}, defaults).key() == sampler.key()


def test_defaults_of_a_preset(tmp_path):
    """Rules and strategy of a folder's generation section, and of the caller's in its place."""
    own = {"num_beams": 3, "no_repeat_ngram_size": 2, "min_length": 5, "max_length": 8, "top_k": 3}
    model = make_model(variant(RECURRENT, generation=own), scale=2.0)
    sources = source_mapping(SOURCES)
    found = model.generate(sources)
    compiled = model.generator.compilations
    del own["top_k"]
    np.testing.assert_array_equal(model.generate(sources, **own), found)
    assert model.generator.compilations == compiled, "the same strategy and rules"
    assert found.shape[1] <= 7
    for row in found:
        pairs = [tuple(row[i : i + 2]) for i in range(6) if 3 not in row[:i]]
        assert len(set(pairs)) == len(pairs) and 3 not in row[:3]

    model.save_to_preset(tmp_path)
    config = GenerationConfig(max_length=5, suppress_tokens=[int(found[0, 0])])
    other = Seq2SeqLM.from_preset(tmp_path, generation=config)
    assert other.generation_config == config
    ids = other.generate(sources)
    assert ids.shape[1] <= 4 and not (ids == found[0, 0]).any()


# ------------------------------------------------------------------ streams


@cache
def text_model(kind: str) -> Seq2SeqLM:
    """Answers nonsense, with characters of several bytes among it."""
    text = Preprocessor.train([(t, t) for t in CORPUS], kind)
    model = Seq2SeqLM.from_architecture(RECURRENT, preprocessor=text)
    randomise(model, seed=4, scale=2.0)
    return model


TEXTS = ["Two men.", "두 젊은 남자", "x"]
DRAWN = {"do_sample": True, "temperature": 1.5, "seed": 3}
STREAMS = list(product(["byte", "sentencepiece_bpe"], [{}, DRAWN]))


@pytest.mark.parametrize(("kind", "options"), covered(STREAMS, [("byte", DRAWN)]))
def test_streams_are_what_generate_returns(kind, options):
    model, options = text_model(kind), {"max_length": 40, **options}
    expected = model.generate(TEXTS, **options)
    for stride in (1, 3):
        parts = list(model.stream(TEXTS, stride=stride, **options))
        assert all(len(part) == len(TEXTS) and any(part) for part in parts)
        assert ["".join(row) for row in zip(*parts, strict=True)] == expected
    single = list(model.stream(TEXTS[0], **options))
    assert "".join(single) == expected[0] and all(single)
    assert len(single) > 3, "a piece at a time"
    assert list(model.stream([])) == []


BEAMS: list[dict[str, Any]] = [
    {"num_beams": 4, "length_penalty": 0.2},
    {"num_beams": 2, "early_stopping": True},
    {"num_beams": 3, "early_stopping": "shrink"},
    {"num_beams": 4, "num_beam_groups": 2, "diversity_penalty": 0.5},
    {"num_beams": 3, "do_sample": True, "top_k": 4, "seed": 5},
    {"num_beams": 3, "force_words_ids": [[9]]},
]


@pytest.mark.parametrize("options", covered(BEAMS, BEAMS[:1]), ids=str)
def test_streams_of_beams(options):
    """What is shown stays, and together it is what `generate` returns."""
    model = text_model("byte")
    options = {"max_length": 40, **options}
    expected = model.generate(TEXTS, **options)
    parts = list(model.stream(TEXTS, **options))
    assert all(any(part) for part in parts)
    assert ["".join(row) for row in zip(*parts, strict=True)] == expected
    assert list(model.stream(TEXTS, stride=7, **options))[-1]


def test_what_beams_agree_on():
    inf = float("-inf")
    ids = np.array([[[5, 6, 7, 0], [5, 6, 8, 0], [9, 9, 9, 0]]] * 4, "int32")
    scores = np.array([[-1, -2, inf], [-1, -2, -3], [-1, inf, inf], [-1, -2, inf]])
    done = np.zeros((4, 3, 4), "int32")
    done[2:, 0] = [5, 3, 0, 0]
    ended = np.zeros((4, 3), bool)
    ended[2:, 0] = True
    search = {
        "live": {"token_ids": ids, "scores": scores},
        "done": {"token_ids": done, "ended": ended, "lengths": np.full((4, 3), 2, "int32")},
        "stopped": np.array([False, False, False, True]),
    }
    found, lengths = agreed([search], 3)
    assert lengths.tolist() == [2, 0, 1, 2]
    assert found[0, :2].tolist() == [5, 6] and found[3, :2].tolist() == [5, 3]


SEARCHES: list[dict[str, Any]] = [
    {"num_beams": 4},
    {"num_beams": 4, "num_return_sequences": 3},
    {"num_beams": 4, "num_beam_groups": 2, "diversity_penalty": 0.5},
    {"sampler": "beam", "length_penalty": 2.0, "early_stopping": True},
    {"sampler": "diverse_beam", "num_beams": 4, "num_beam_groups": 2},
    {"num_beams": 4, "do_sample": True, "top_k": 5},
    {"sampler": "beam_sample", "num_beams": 2, "temperature": 1.5},
    {"sampler": "top_k", "top_k": 3, "num_return_sequences": 2},
]


@pytest.mark.parametrize("defaults", covered(SEARCHES, [{"num_beams": 4}]))
def test_beams_of_the_model_give_way_in_a_stream(defaults):
    before = text_model("byte")
    config = before.preset.model_copy(update={"generation": GenerationConfig(**defaults)})
    model = Seq2SeqLM(config, before.preprocessor)
    model.set_weights(before.get_weights())
    draws = defaults.get("do_sample") or defaults.get("sampler") in ("beam_sample", "top_k")
    drawing = {name: defaults[name] for name in ("temperature", "top_k") if name in defaults}
    common = {"max_length": 12}
    drawn = {**common, "seed": 5, "do_sample": True}
    if draws:
        expected = before.generate(TEXTS, **drawn, **drawing)
        parts = list(model.stream(TEXTS, **common, seed=5))
        assert ["".join(row) for row in zip(*parts, strict=True)] == expected
    else:
        parts = list(model.stream(TEXTS, **common))
        expected = before.generate(TEXTS, **common, num_beams=1)
        assert ["".join(row) for row in zip(*parts, strict=True)] == expected
    parts = list(model.stream(TEXTS, **drawn))
    expected = before.generate(TEXTS, **drawn, **drawing)
    assert ["".join(row) for row in zip(*parts, strict=True)] == expected
    if defaults == {"num_beams": 4}:
        # What transformers does: draws within the model's own beams.
        within = before.generate(TEXTS, **drawn, num_beams=4)
        assert model.generate(TEXTS, **drawn) == within != expected
    parts = list(model.stream(TEXTS, **common, num_beams=1, do_sample=False))
    expected = before.generate(TEXTS, **common, num_beams=1)
    assert ["".join(row) for row in zip(*parts, strict=True)] == expected


def test_streams_that_cannot_be_are_refused_at_once(model):
    for options, message in (
        ({"num_beams": 2, "num_return_sequences": 2}, r"stream.*Beam with num_return_sequences=2"),
        ({"sampler": "contrastive"}, r"stream.*ContrastiveSearch does not say"),
        ({"do_sample": True, "num_return_sequences": 2}, r"stream.*num_return_sequences=2"),
        ({"stride": 0}, "stride=0"),
        ({"stride": 1.5}, r"stride=1\.5"),
        ({"seed": 1}, "seed=1"),
        ({"top_k": 1}, "top_k"),
    ):
        with pytest.raises(ValueError, match=message):
            text_model("byte").stream(TEXTS, **options)
    with pytest.raises(ValueError, match="no preprocessor"):
        model.stream("text")
