"""Prompt lookup: results are those of greedy search, in fewer steps.

The models are random and copy nothing. So that drafts are taken, most tests draft what greedy
search has found, with an error here and there.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cache
from typing import Any

import keras
import numpy as np
import pytest
from fake_moves import Markov
from keras import ops
from rounded_types import EVERY_TYPE
from small_models import (
    VARIANTS,
    VOCABULARY,
    covered,
    make_model,
    recurrent,
    slow_where_compiled,
    source_mapping,
    transformer,
    variant,
)

from keras_s2s.decoding import segments
from keras_s2s.decoding.drivers.driver_choice import DRIVERS, make_driver
from keras_s2s.decoding.segments import RunningBatch, gathered
from keras_s2s.export import ExportError
from keras_s2s.layers.state import State
from keras_s2s.model import Seq2SeqLM
from keras_s2s.samplers import Greedy, LogitsProcessor, Plan, PromptLookup
from keras_s2s.samplers.gather import gather
from keras_s2s.samplers.stop_strings import StopStrings
from keras_s2s.samplers.strategy_choice import resolve_sampler
from keras_s2s.text.shortlists.shortlist import from_lists

DRIVER = DRIVERS[keras.backend.backend()]
MAX_LENGTH = 19
DRAFTED = 3
#: Most that a log-probability depends on how many positions are read at once, where the inputs of
#: products are rounded: float32 around them differs in its last bit.
NOISE = {"int8": 5e-3, "bfloat16": 2e-2}


class Guesses(PromptLookup):
    """Drafts from a table of guesses `[N, L]`, a row for each source; 1 to 3 ids at a step."""

    def __init__(self, guesses: Any) -> None:
        super().__init__(DRAFTED)
        self.guesses = tuple(map(tuple, np.asarray(guesses).tolist()))

    def draft(self, search, plan, sources, vocabulary):
        draft = super().draft(search, plan, sources, vocabulary)
        rows = ops.take(np.asarray(self.guesses, "int32"), sources.places, axis=0)
        places = draft.starts[:, None] + ops.arange(DRAFTED, dtype="int32")
        ids = gather(rows, ops.clip(places, 0, rows.shape[1] - 1))
        counts = 1 + (draft.starts + sources.places) % DRAFTED
        counts = ops.where(search["finished"][:, 0], 0, counts)
        return draft._replace(ids=ids, counts=counts)


def corrupted(ids: np.ndarray) -> np.ndarray:
    """Guesses of which every fifth is wrong."""
    wrong = (np.arange(ids.shape[1]) + np.arange(len(ids))[:, None]) % 5 == 4
    return np.where(wrong, (ids + 1) % VOCABULARY, ids)


#: Seeds and what is added to the bias of EOS, with which some results end early and others never.
WEIGHTS = {
    "sinusoidal": (6, 1.5),
    "learned": (2, 1.5),
    "t5_like": (11, 0.0),
    "m2m_like": (3, 0.0),
    "marian_like": (4, 0.0),
}
CONFIGS = {
    "sinusoidal": variant({"shared": transformer(embedding={"positions": "sinusoidal"})}),
    "learned": VARIANTS["transformer_pre_norm_gated_learned"],
    "t5_like": VARIANTS["t5_like"],
    "m2m_like": VARIANTS["m2m_like"],
    "marian_like": VARIANTS["marian_like"],
}


@cache
def model(kind: str) -> Seq2SeqLM:
    seed, likelier = WEIGHTS[kind]
    model = make_model(CONFIGS[kind], seed, 2.0)
    for weight in model.weights:
        if weight.path.endswith("logits/bias") and likelier:
            eos = np.arange(weight.shape[0]) == model.special_ids.target.eos
            weight.assign(weight + likelier * eos)
    return model


def rows(count: int = 8) -> list[list[int]]:
    rng = np.random.default_rng(1)
    return [[*rng.integers(4, 16, rng.integers(1, 12)).tolist(), 3] for _ in range(count)]


@pytest.fixture
def steps(monkeypatch) -> list[int]:
    """The number of steps at each end of a segment."""
    found: list[int] = []
    advance = RunningBatch.advance

    def counted(self: RunningBatch, steps: int) -> None:
        before = self.index
        advance(self, steps)
        found.append(self.index - before)

    monkeypatch.setattr(RunningBatch, "advance", counted)
    return found


def generate(kind: str, sources: Any, **options: Any) -> Any:
    options = {"max_length": MAX_LENGTH, "return_output": True, **options}
    return model(kind).generate(source_mapping(sources), **options)


def assert_equal(found: Any, expected: Any, atol: float = 5e-5) -> None:
    """Scores are those of other programs, which round otherwise."""
    np.testing.assert_array_equal(found.lengths, expected.lengths)
    np.testing.assert_array_equal(found.token_ids, expected.token_ids)
    np.testing.assert_allclose(found.token_log_probs, expected.token_log_probs, atol=atol)
    np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-5, atol=atol)


def both(kind: str, sources: Any, **options: Any) -> tuple[Any, Any]:
    """What drafts of good guesses find, and what greedy search does."""
    expected = generate(kind, sources, **options)
    sampler = Guesses(corrupted(expected.token_ids))
    return generate(kind, sources, sampler=sampler, **options), expected


# --------------------------------------------------------------------------------------
# Results
# --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", covered(list(CONFIGS), ["sinusoidal", "t5_like"]))
def test_results_are_those_of_greedy_search(kind, steps):
    found, expected = both(kind, rows(), eos_token_id=[3, 10])
    assert_equal(found, expected)
    assert len(set(expected.lengths.tolist())) > 2 and expected.lengths.max() == MAX_LENGTH - 1


@slow_where_compiled
@pytest.mark.parametrize("kind", CONFIGS)
def test_drafts_of_the_source_change_nothing(kind):
    expected = generate(kind, rows(16))
    for count, size in ((1, 1), (4, 2), (11, 3)):
        lookup = {"prompt_lookup_num_tokens": count, "max_matching_ngram_size": size}
        assert_equal(generate(kind, rows(16), **lookup), expected)


@pytest.mark.parametrize("compute_type", EVERY_TYPE)
def test_compute_types(compute_type):
    """A position that is read with others is rounded as one that is read alone."""
    here = model("marian_like")
    here.compute_type = compute_type
    try:
        found, expected = both("marian_like", rows())
    finally:
        here.compute_type = None
    assert_equal(found, expected, NOISE[compute_type])
    assert not np.array_equal(expected.scores, generate("marian_like", rows()).scores)


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "float16"])
def test_half_precision(dtype):
    """As above, of a model whose numbers are rounded."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(dtype)
    try:
        small = make_model(CONFIGS["t5_like"], 11, 2.0)
    finally:
        keras.config.set_dtype_policy(before)
    options: dict[str, Any] = {"max_length": MAX_LENGTH, "return_output": True}
    expected = small.generate(source_mapping(rows()), **options)
    sampler = Guesses(corrupted(expected.token_ids))
    found = small.generate(source_mapping(rows()), sampler=sampler, **options)
    assert_equal(found, expected, 0.05)


def test_steps_are_fewer(steps):
    sources = rows()
    expected = generate("sinusoidal", sources)
    plain = sum(steps)
    steps.clear()
    found = generate("sinusoidal", sources, sampler=Guesses(corrupted(expected.token_ids)))
    assert_equal(found, expected)
    assert plain == MAX_LENGTH - 1 and sum(steps) < 0.7 * plain


@pytest.mark.parametrize("size", [1, 3])
def test_sources_that_leave_and_join_and_room_that_grows(size, monkeypatch):
    sources = rows(12)
    expected = generate("sinusoidal", sources)
    counts = Counter[str]()

    def counted(name: str) -> Any:
        move = getattr(DRIVER, name)

        def call(self: Any, *arguments: Any) -> Any:
            counts[name] += 1
            return move(self, *arguments)

        return call

    for name in ("select", "join", "grow"):
        monkeypatch.setattr(DRIVER, name, counted(name))
    monkeypatch.setattr(segments, "FIRST_CAPACITY", 2)
    monkeypatch.setattr(DRIVER, "segment_steps", 2)
    monkeypatch.setattr(DRIVER, "capacity_for", lambda self, steps, limit: min(steps, limit))
    monkeypatch.setattr(DRIVER, "rows_worth_keeping", lambda self, live, size: live)
    sampler = Guesses(corrupted(expected.token_ids))
    assert_equal(generate("sinusoidal", sources, sampler=sampler, batch_size=4 * size), expected)
    assert counts["select"] and counts["grow"] > 2, counts
    if size == 1:
        assert counts["join"], counts


@slow_where_compiled
def test_a_source_alone_and_in_a_batch():
    sources = rows()
    _, expected = both("sinusoidal", sources)
    for place, source in enumerate(sources):
        found = generate("sinusoidal", [source], prompt_lookup_num_tokens=4)
        length = expected.lengths[place]
        assert found.lengths[0] == length
        np.testing.assert_array_equal(found.token_ids[0], expected.token_ids[place, :length])


@slow_where_compiled
@pytest.mark.parametrize("max_length", range(2, 12))
def test_a_maximum_length_within_a_draft(max_length):
    """Guesses go on behind it."""
    guesses = generate("sinusoidal", rows()).token_ids
    expected = generate("sinusoidal", rows(), max_length=max_length)
    found = generate("sinusoidal", rows(), max_length=max_length, sampler=Guesses(guesses))
    assert_equal(found, expected)
    assert found.token_ids.shape[1] == max_length - 1


@slow_where_compiled
def test_an_end_within_a_draft():
    """Guesses of the same model without EOS go on behind it."""
    expected = generate("sinusoidal", rows())
    guesses = expected.token_ids.copy()
    for row, length in zip(guesses, expected.lengths, strict=True):
        row[length:] = 7
    assert_equal(generate("sinusoidal", rows(), sampler=Guesses(guesses)), expected)


@slow_where_compiled
def test_learned_positions_end_within_a_draft():
    """The longest result takes all positions of the model; a draft would go beyond."""
    kind = "learned"
    most = model(kind).network.max_target_length
    expected = generate(kind, rows(), max_length=most + 1)
    assert expected.lengths.max() == most
    found = generate(kind, rows(), max_length=most + 1, sampler=Guesses(expected.token_ids))
    assert_equal(found, expected)
    found = generate(kind, rows(), max_length=most + 1, prompt_lookup_num_tokens=40)
    assert_equal(found, expected)


@pytest.mark.parametrize("drafts", ["guesses", "source"])
def test_prefixes(drafts):
    prefixes = [[5, 9], [], [7], [4, 4, 6, 12, 3, 8], [11], [], [9, 9, 9], [6]]
    options = {"decoder_prefix": prefixes}
    expected = generate("sinusoidal", rows(), **options)
    more = {"prompt_lookup_num_tokens": 3}
    if drafts == "guesses":
        more = {"sampler": Guesses(corrupted(expected.token_ids))}
    assert_equal(generate("sinusoidal", rows(), **options, **more), expected)


#: Every rule that has an option, two at least at a time.
RULES: list[dict[str, Any]] = [
    {"repetition_penalty": 1.7, "min_length": 6, "bad_words_ids": [[6], [9, 4], [5, 8, 8]]},
    {"no_repeat_ngram_size": 2, "min_new_tokens": 5, "encoder_repetition_penalty": 1.4},
    {"no_repeat_ngram_size": 1, "max_length": 9},
    {"encoder_no_repeat_ngram_size": 2, "min_length_ratio": 1.2, "max_length_ratio": 1.6},
    {"forced_bos_token_id": 9, "forced_eos_token_id": 3, "begin_suppress_tokens": [5, 6, 12]},
    {"exponential_decay_length_penalty": (4, 1.3), "suppress_tokens": [11, 14]},
    {"eos_token_id": [3, 8, 13], "renormalize_logits": True, "temperature": None},
    {"decoder_prefix": [[5, 9]] * 8, "no_repeat_ngram_size": 3, "min_new_tokens": 4},
]


@pytest.mark.parametrize("rules", covered(RULES, RULES[1:4:2]))
def test_rules(rules):
    assert_equal(*both("sinusoidal", rows(), **rules))


@slow_where_compiled
def test_stop_strings():
    """They end where greedy search ends; strings lie across the ids of a draft."""
    letters = [bytes([97 + i]) for i in range(VOCABULARY)]
    free = generate("sinusoidal", rows())
    long = int(free.lengths.argmax())
    string = b"".join(letters[i] for i in free.token_ids[long][4:7]).decode()
    stops = StopStrings.of([string], letters, VOCABULARY)
    network = model("sinusoidal")
    target = network.special_ids.target
    plan = Plan(target.decoder_start, target.eos, target.pad, MAX_LENGTH - 1, stops=stops)
    expected = network.generator.generate(rows(), Greedy(), plan)
    assert expected.lengths[long] <= 7 < free.lengths[long]
    guesses = Guesses(corrupted(free.token_ids))
    assert_equal(network.generator.generate(rows(), guesses, plan), expected)


@pytest.mark.parametrize("kind", covered(["sinusoidal", "marian_like"], ["marian_like"]))
def test_shortlists(kind):
    lists = {i: [(3 * i + 5 * k) % VOCABULARY for k in range(4)] for i in range(VOCABULARY)}
    shortlist = from_lists(lists, [3, 4], target_size=model(kind).network.vocabulary_size)
    assert_equal(*both(kind, rows(), shortlist=shortlist))


@slow_where_compiled
def test_fillers():
    """Nine sources, which JAX fills up to sixteen."""
    assert_equal(*both("sinusoidal", rows(9), batch_size=9))


# --------------------------------------------------------------------------------------
# What is drafted
# --------------------------------------------------------------------------------------


class Copies(Markov):
    """The next id is the one after the last, so that a source may hold whole results."""

    vocabulary_size = 40
    steps_several = True

    def __init__(self) -> None:
        table = np.full((40, 40), -9.0)
        table[np.arange(39), np.arange(1, 40)] = 0.0
        super().__init__(table)
        self.reads = 0

    def step_several(self, tokens: Any, state: State, starts: Any) -> Any:
        self.reads += 1
        return ops.take(ops.convert_to_tensor(self.table), tokens, axis=0), state


def copied(source: list[int], length: int, drafted: int, size: int = 2) -> tuple[list[int], int]:
    """The ids 3, 4, ... up to a length from a source, and how many steps they took."""
    moves, plan = Copies(), Plan(2, eos=39, pad=0, steps=length)
    sampler = PromptLookup(drafted, size)
    one = np.zeros(1, "int32")
    inputs = {
        "encoder_token_ids": np.asarray([source], "int32"),
        "encoder_padding_mask": np.ones((1, len(source)), bool),
        **{"places": one, "seeds": one, "prefix": one[None], "prefix_lengths": one},
        "limits": np.asarray([length], "int32"),
    }
    driver = make_driver(moves, sampler, plan, [])
    batch = RunningBatch(driver, np.arange(1), inputs, length + drafted)
    while batch.live.size:
        batch.advance(1)
    result = gathered(batch.done(), 1, sampler, 0)
    return result.token_ids[0, 0].tolist(), batch.index


CASES = {
    # A source as the result: four drafted ids and the one after them at each step.
    "copy": ([*range(3, 23)], 20, 4, 4),
    # One id was replaced: the result goes on behind it with the next step.
    "replaced": ([*range(3, 13), 30, *range(14, 23)], 20, 20, 2),
    # Two ids less and two more: found again by the last ids of the result.
    "left out": ([*range(3, 8), *range(10, 23)], 20, 20, 4),
    "put in": ([*range(3, 8), 31, 32, *range(8, 23)], 20, 20, 2),
    # Nothing to copy: a step for each id.
    "nothing": ([33, 35, 37, 33], 8, 4, 8),
}


@pytest.mark.parametrize("name", covered(list(CASES), ["copy"]))
def test_what_stands_in_the_source_takes_fewer_steps(name):
    source, length, drafted, expected = CASES[name]
    ids, taken = copied(source, length, drafted)
    assert ids == list(range(3, 3 + length))
    assert taken == expected


@slow_where_compiled
def test_a_longer_match_comes_first():
    """7 stands twice in the source; behind the first the text goes on otherwise."""
    source = [20, 7, 30, 31, 32, 33, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]
    assert copied(source, 10, 10, 2)[1] < copied(source[:6] + [35] * 20, 10, 10, 2)[1]


@slow_where_compiled
def test_ids_that_the_target_lacks_end_a_draft():
    ids, taken = copied([3, 4, 5, 4000, 7, 8], 6, 5)
    assert ids == [3, 4, 5, 6, 7, 8] and taken < 6


# --------------------------------------------------------------------------------------
# Calls
# --------------------------------------------------------------------------------------


def test_streams():
    network = model("sinusoidal")
    expected = generate("sinusoidal", rows())
    sampler = resolve_sampler(None, {"prompt_lookup_num_tokens": 3}, network.preset.generation)
    assert sampler.streams
    target = network.special_ids.target
    plan = Plan(target.decoder_start, target.eos, target.pad, MAX_LENGTH - 1)
    *_, (ids, lengths) = network.generator.stream(rows(), sampler, plan)
    np.testing.assert_array_equal(lengths, expected.lengths)
    np.testing.assert_array_equal(ids[:, : MAX_LENGTH - 1], expected.token_ids)


@dataclass(frozen=True)
class Nothing(LogitsProcessor):
    def __call__(self, scores, step, plan):
        return scores


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"num_beams": 4}, "does not go with num_beams=4"),
    ({"do_sample": True}, "does not go with do_sample=True"),
    ({"sampler": "beam"}, "'beam' has no use for prompt_lookup_num_tokens"),
    ({"sampler": "random"}, "'random' has no use for prompt_lookup_num_tokens"),
    ({"sampler": Greedy()}, "Greedy is already configured"),
    ({"force_words_ids": [[5]]}, "has no use for prompt_lookup_num_tokens"),
    ({"processors": [Nothing()]}, "prompt_lookup_num_tokens=3 .* Nothing is not made for"),
    ({"prefix_allowed_tokens_fn": lambda i, ids: [3]}, "AllowedTokens is not made for"),
    ({"max_matching_ngram_size": 0}, "max_matching_ngram_size=0 must be"),
    ({"prompt_lookup_num_tokens": 0}, "prompt_lookup_num_tokens=0 must be"),
]


@slow_where_compiled
@pytest.mark.parametrize(("options", "message"), REFUSED)
def test_what_does_not_go_with_it_is_refused(options, message):
    options = {"prompt_lookup_num_tokens": 3, **options}
    with pytest.raises(ValueError, match=message):
        model("sinusoidal").generate(source_mapping(rows()), **options)


@slow_where_compiled
def test_the_size_alone_is_refused():
    with pytest.raises(ValueError, match="max_matching_ngram_size belongs to 'prompt_lookup'"):
        model("sinusoidal").generate(source_mapping(rows()), max_matching_ngram_size=3)


@slow_where_compiled
@pytest.mark.parametrize("name", ["ssru_student", "recurrent"])
def test_decoders_that_cannot_go_back_are_refused(name):
    config = VARIANTS.get(name) or variant(
        {"encoder": recurrent("gru"), "decoder": recurrent("gru"), "bridge": {"type": "copy"}}
    )
    with pytest.raises(ValueError, match=r"prompt_lookup_num_tokens=3.* cannot; leave"):
        make_model(config).generate(source_mapping(rows()), prompt_lookup_num_tokens=3)


@slow_where_compiled
def test_sources_that_are_no_ids_are_refused():
    architecture = {
        "frontend": {"type": "features", "feature_dim": 4},
        "source_vocab_size": None,
        "shared": transformer(),
    }
    network = make_model(variant(architecture))
    with pytest.raises(ValueError, match="encoder_features; leave prompt_lookup_num_tokens out"):
        network.generate([np.zeros((5, 4), "float32")], prompt_lookup_num_tokens=3)


@slow_where_compiled
def test_it_is_not_exported(tmp_path):
    with pytest.raises(ExportError, match="sampler='greedy'"):
        model("sinusoidal").export(tmp_path / "out", sampler="prompt_lookup")


@slow_where_compiled
def test_a_call_chooses_it_before_a_models_own_search():
    defaults = model("sinusoidal").preset.generation.model_copy(update={"num_beams": 4})
    found = resolve_sampler(None, {"prompt_lookup_num_tokens": 7}, defaults)
    assert type(found) is PromptLookup and found.drafts == 7
    assert found.max_matching_ngram_size == 2
    assert resolve_sampler("prompt_lookup", {}, defaults).key() == PromptLookup(10).key()


@slow_where_compiled
def test_attention_of_the_results():
    lookup = generate("sinusoidal", rows(), prompt_lookup_num_tokens=3, output_attentions=True)
    expected = generate("sinusoidal", rows(), output_attentions=True)
    np.testing.assert_allclose(lookup.attentions, expected.attentions, atol=1e-5)


@slow_where_compiled
def test_logits_that_are_not_finite_are_found():
    network = make_model(CONFIGS["sinusoidal"], 6, 2.0)
    weight = next(v for v in network.weights if "decoder" in v.path and "kernel" in v.path)
    weight.assign(np.full(weight.shape, np.nan))
    with pytest.raises(ValueError, match="are not finite"):
        network.generate(source_mapping(rows()), prompt_lookup_num_tokens=3)


def test_programs_are_few():
    network = make_model(CONFIGS["sinusoidal"], 6, 2.0)
    sources = source_mapping(rows(4))
    network.generate(sources, prompt_lookup_num_tokens=3, max_length=MAX_LENGTH)
    before = network.generator.compilations
    network.generate(sources, prompt_lookup_num_tokens=3, max_length=MAX_LENGTH - 1)
    assert network.generator.compilations == before
