"""Several ids that end a result, in every strategy."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from fake_moves import Markov, run
from small_models import covered, make_model, randomise, source_mapping, transformer, variant

from keras_s2s.checkpoints.errors import CheckpointError
from keras_s2s.checkpoints.single_end import check_single_end
from keras_s2s.config import GenerationConfig
from keras_s2s.documents.translation import GeneratedPart
from keras_s2s.model import Seq2SeqLM
from keras_s2s.samplers import Beam, Plan
from keras_s2s.text import Preprocessor

PAD, START, STEPS, V = 0, 2, 4, 7
ENDS = (1, 5, 6)
SOURCES = [[5, 9, 6, 4, 3], [7, 3], [8, 4, 4, 11, 6, 3]]
STRATEGIES: list[dict[str, Any]] = [
    {},
    {"num_beams": 3, "num_return_sequences": 3},
    {"do_sample": True, "seed": 4, "num_return_sequences": 2},
    {"num_beams": 2, "do_sample": True, "top_k": 2, "seed": 1},
    {"num_beams": 4, "num_beam_groups": 2, "num_return_sequences": 4},
    {"force_words_ids": [[6]], "num_beams": 3, "num_return_sequences": 3},
    {"sampler": "contrastive"},
]


@pytest.fixture(scope="module")
def model() -> Any:
    return make_model(variant({"shared": transformer()}), scale=2.0)


def table(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, (V, V))
    logits[:, [PAD, START]] = -1e9
    return logits - np.log(np.exp(logits).sum(1, keepdims=True))


def every_result() -> list[tuple[int, ...]]:
    letters = [i for i in range(V) if i not in (PAD, START, *ENDS)]
    found: list[tuple[int, ...]] = list(itertools.product(letters, repeat=STEPS))
    for length in range(STEPS):
        begun = itertools.product(letters, repeat=length)
        found += [(*ids, end) for ids, end in itertools.product(begun, ENDS)]
    return found


@pytest.mark.parametrize("seed", range(3))
def test_a_wide_search_finds_the_best_of_all(seed):
    logs = table(seed)

    def score(ids: tuple[int, ...]) -> float:
        return float(sum(logs[a, b] for a, b in itertools.pairwise((START, *ids)))) / len(ids)

    best = sorted(every_result(), key=score, reverse=True)[:5]
    sampler = Beam(48, num_return_sequences=5, early_stopping="never")
    plan = Plan(START, ENDS[0], PAD, STEPS, ends=ENDS)
    found = run(Markov(logs), sampler, plan)
    rows = zip(found.token_ids[0], found.lengths[0], strict=True)
    assert [tuple(ids[:length].tolist()) for ids, length in rows] == best
    np.testing.assert_allclose(found.scores[0], [score(ids) for ids in best], rtol=1e-5)


@pytest.mark.parametrize("options", covered(STRATEGIES, STRATEGIES[1:3]), ids=str)
def test_every_strategy_ends_there(model, options):
    ends = [3, 8, 9, 12]
    output = model.generate(
        source_mapping(SOURCES), eos_token_id=ends, max_length=12, return_output=True, **options
    )
    rows = output.token_ids.reshape(-1, output.token_ids.shape[-1])
    shown = set()
    for ids, length in zip(rows, output.lengths.reshape(-1), strict=True):
        assert not np.isin(ids[: length - 1], ends).any()
        assert length == 11 or ids[length - 1] in ends
        assert (ids[length:] == PAD).all()
        shown.add(int(ids[length - 1]))
    assert shown & {8, 9, 12}, "the model's own EOS alone has ended results"


def test_one_id_that_is_not_eos_is_a_model_with_that_eos(model):
    free = model.generate(source_mapping(SOURCES), max_length=12)
    other = make_model(
        variant(
            {"shared": transformer()},
            special_ids={
                "source": {"pad": 0, "eos": 3},
                "target": {"pad": 0, "decoder_start": 2, "eos": 8},
            },
        ),
        scale=2.0,
    )
    for before, after in zip(model.weights, other.weights, strict=True):
        after.assign(before.value)
    options = {"num_beams": 3, "max_length": 12}
    found = model.generate(source_mapping(SOURCES), eos_token_id=8, **options)
    expected = other.generate(source_mapping(SOURCES), **options)
    np.testing.assert_array_equal(found, expected)
    assert not np.array_equal(found, free)


def test_those_of_the_model_give_way_to_those_of_the_call():
    model = make_model(variant({"shared": transformer()}, generation={"eos_token_id": [3, 5]}))
    given = model.generate(source_mapping([[5, 3]]), max_length=12, eos_token_id=3)
    alone = make_model(variant({"shared": transformer()}))
    np.testing.assert_array_equal(alone.generate(source_mapping([[5, 3]]), max_length=12), given)


def test_a_stream_ends_with_what_generate_returns():
    text = Preprocessor.train([("abcde", "edcba")] * 3, "character")
    architecture = variant({"shared": transformer()}).architecture.model_dump()
    model = Seq2SeqLM.from_architecture(architecture, preprocessor=text)
    randomise(model, seed=2, scale=2.0)
    ends = text.encode_target_prefix("a") + text.encode_target_prefix("c")
    whole = model.generate(["abc", "dd"], eos_token_id=ends, max_length=20)
    pieces = list(model.stream(["abc", "dd"], eos_token_id=ends, max_length=20))
    assert ["".join(each) for each in zip(*pieces, strict=True)] == whole
    assert all(not set(each[:-1]) & {"a", "c"} for each in whole)


def test_documents_know_what_has_ended():
    assert not GeneratedPart.of_result("a", [4, 7], (3, 7)).unfinished
    assert GeneratedPart.of_result("a", [4, 5], (3, 7)).unfinished


@pytest.mark.parametrize(
    ("ends", "refused"), [(None, False), (3, False), ([3], False), ([3, 5], 1)]
)
def test_formats_with_one_end_refuse_several(ends, refused):
    config = variant({"shared": transformer()})
    config = config.model_copy(update={"generation": GenerationConfig(eos_token_id=ends)})
    if not refused:
        return check_single_end(config, "Marian")
    with pytest.raises(CheckpointError, match=r"eos_token_id is \[3, 5\], but files of Marian"):
        check_single_end(config, "Marian")
