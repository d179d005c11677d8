"""A server that takes the best of several results gives what `minimum_bayes_risk` gives."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from cli.small_folder import save_small_model
from serving.clients import posted
from small_models import COMPILES

from keras_s2s import Seq2SeqLM, minimum_bayes_risk
from keras_s2s.reranking import RankedTexts
from keras_s2s.serving.models.languages import ModelLanguages
from keras_s2s.serving.models.loading import ModelArgument, load_served
from keras_s2s.serving.models.preset_model import PresetModel

# What is tested here begins where generation ends.
pytestmark = [pytest.mark.slow] if COMPILES else []

PREDICT = "/v1/models/small:predict"
TEXTS = ["ab c", "abc", "가나", "c", "bca b"]
SAMPLES: dict[str, Any] = {"num_samples": 8, "utility": "exact_match"}
SEEDS = [3, 4, 5, 6, 7]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seq2SeqLM]:
    yield Seq2SeqLM.from_preset(save_small_model(tmp_path_factory.mktemp("small") / "small"))


def served(model: Seq2SeqLM, **options: Any) -> PresetModel:
    rank = functools.partial(minimum_bayes_risk, return_output=True, **SAMPLES)
    return PresetModel("small", model, options, ModelLanguages.declared("en:de"), rank=rank)


@pytest.fixture(scope="module")
def expected(model: Seq2SeqLM) -> RankedTexts:
    found = minimum_bayes_risk(model, TEXTS, seed=SEEDS, return_output=True, **SAMPLES)
    assert isinstance(found, RankedTexts)
    return found


def outputs(model: PresetModel, **body: Any) -> Any:
    reply = posted(model, PREDICT, body)
    assert reply.status_code == 200, reply.text
    return reply.json()["outputs"]


def test_the_best_of_each_row(model: Seq2SeqLM, expected: RankedTexts) -> None:
    given = {"inputs": {"text": TEXTS, "seeds": SEEDS}}
    found = outputs(served(model), **given)
    assert list(found) == ["text", "token_ids", "lengths", "scores", "error"]
    assert found["text"] == expected.texts
    np.testing.assert_allclose(found["scores"], [v[0] for v in expected.values], rtol=1e-6)
    for row, length, ids in zip(
        found["token_ids"], found["lengths"], expected.token_ids, strict=True
    ):
        assert row[:length] == ids[0].tolist()


def test_all_results_of_each_row(model: Seq2SeqLM, expected: RankedTexts) -> None:
    """As many as were asked for; where there are fewer candidates, places are empty."""
    given = {"inputs": {"text": TEXTS, "seeds": SEEDS}, "signature_name": "generate"}
    found = outputs(served(model), **given, parameters={"num_return_sequences": 10})
    several = [len(each) for each in expected.candidates]
    assert max(several) < 10
    for i, n in enumerate(several):
        assert found["text"][i] == expected.candidates[i] + [""] * (10 - n)
        assert np.count_nonzero(found["lengths"][i]) == n
        assert found["scores"][i][n:] == [np.finfo("float32").min] * (10 - n)
    single = outputs(served(model), **given)
    assert single["text"] == [[text] for text in expected.texts]


def test_translations(model: Seq2SeqLM) -> None:
    best = minimum_bayes_risk(model, "abc", seed=[4], return_output=True, **SAMPLES)
    assert isinstance(best, RankedTexts)
    texts = list(dict.fromkeys(text.strip() for text in best.candidates[0][:3]))
    given = {"q": "abc", "source": "en", "target": "de", "alternatives": 2}
    reply = posted(served(model, seed=4), "/translate", given).json()
    assert [reply["translatedText"], *reply["alternatives"]] == texts
    # More than there are candidates: none of them is an empty text.
    reply = posted(served(model, seed=4), "/translate", {**given, "alternatives": 12}).json()
    assert [reply["translatedText"], *reply["alternatives"]] == list(
        dict.fromkeys(text.strip() for text in best.candidates[0])
    )


def test_what_it_does_not_do(model: Seq2SeqLM) -> None:
    chosen = served(model)
    ids = {"signature_name": "ids", "instances": [{"encoder_token_ids": [4, 5]}]}
    for address, body, message in (
        (PREDICT, ids, "ids: results are chosen by their texts; send text"),
        ("/v1/models/small:stream", {"instances": ["a"]}, "chooses among several results"),
        (PREDICT, {"instances": ["a"], "parameters": {"num_beams": 4}}, "is more than num_beams=4"),
    ):
        reply = posted(chosen, address, body)
        assert (reply.status_code, message in reply.json()["error"]) == (400, True), reply.text
    assert set(chosen.obstacles) == {"stream"}
    # When the server starts, and not at the first request.
    with pytest.raises(ValueError, match="num_samples=8 is more than num_beams=4"):
        served(model, num_beams=4)


def test_a_saved_model_has_its_own_search(tmp_path) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "saved_model.pb").write_bytes(b"")
    rank = functools.partial(minimum_bayes_risk, return_output=True)
    with pytest.raises(ValueError, match="leave minimum_bayes_risk out"):
        load_served(ModelArgument("small", str(tmp_path)), {}, rank=rank)
