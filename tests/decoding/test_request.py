"""What a call asks for is checked and grouped before anything is computed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small_models import VOCABULARY, make_model, shrunken_preset

import keras_s2s.model
from keras_s2s.decoding.model_parts import ModelParts
from keras_s2s.decoding.requests.planning import Search
from keras_s2s.decoding.requests.request import Request
from keras_s2s.layers.frontends import TokenFrontend

IDS = {
    "encoder_token_ids": np.asarray([[5, 6, 3, 0], [7, 8, 9, 3]], "int32"),
    "encoder_padding_mask": np.asarray([[1, 1, 1, 0], [1, 1, 1, 1]], bool),
}


class NetworkThatMustNotRun:
    """Knows its limits, what its sources are, and no move."""

    frontend = TokenFrontend
    max_source_length = 6
    max_target_length = 8


@pytest.fixture(scope="module")
def model():
    return make_model(shrunken_preset("bart_base"))


@pytest.fixture
def parts(model) -> ModelParts:
    """Parts of a model whose network fails when it is asked for anything but its limits."""
    return ModelParts(model.preset, NetworkThatMustNotRun(), None)  # type: ignore[arg-type]


def test_rows_prefixes_limits_and_seeds_of_a_call_are_known_before_it_runs(parts):
    request = Request.prepare(
        parts, IDS, Search("random", max_new_tokens=3), decoder_prefix=[[4], []], seed=[1, 2]
    )
    assert request.sources == [[5, 6, 3], [7, 8, 9, 3]]
    assert (request.single, request.is_text, request.prefixes) == (False, False, [[4], []])
    assert [group.places for group in request.groups] == [[0, 1]]
    assert request.groups[0].limits == [4, 3]
    assert request.groups[0].plan.steps == 4
    alone = Request.prepare(parts, IDS, Search("random"), seed=[2, 1])
    assert list(request.seeds) == list(alone.seeds[::-1])


@pytest.mark.parametrize(
    ("search", "options", "message"),
    [
        (Search("greedi"), {}, "greedy"),
        (Search(max_length=20), {}, "8"),
        (Search(), {"decoder_prefix": [[VOCABULARY], []]}, "decoder_prefix 0 holds the id"),
        (Search(), {"src_lang": "en"}, "src_lang='en' is for texts"),
        (Search("greedy"), {"seed": 1}, "Greedy draws nothing"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_runs(parts, search, options, message):
    with pytest.raises(ValueError, match=message):
        Request.prepare(parts, IDS, search, **options)


def test_a_request_gives_what_generate_gives(model):
    parts = ModelParts(model.preset, model.network, model.preprocessor)
    request = Request.prepare(parts, IDS, Search(max_length=6))
    ids = request.generate(model.generator).token_ids
    np.testing.assert_array_equal(ids, model.generate(IDS, max_length=6))


def test_the_public_model_is_a_face_only():
    text = Path(keras_s2s.model.__file__).read_text(encoding="utf-8")
    assert len(text.splitlines()) < 500
