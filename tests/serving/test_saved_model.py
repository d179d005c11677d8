"""SavedModels behind the server: names and results are those of the model that was exported."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from cli.small_folder import save_small_model
from serving.clients import got, posted, using
from small_models import COMPILES

from keras_s2s import Seq2SeqLM
from keras_s2s.serving.limits import Limits
from keras_s2s.serving.models.loading import ModelArgument, load_served
from keras_s2s.serving.models.preset_model import PresetModel
from keras_s2s.serving.models.saved_model import newest_version
from keras_s2s.serving.models.served_model import ServedModel

pytest.importorskip("tensorflow_text")
# Exports take long, and TensorFlow runs them whichever backend wrote them.
pytestmark = [pytest.mark.slow, pytest.mark.skipif(COMPILES, reason="once is enough")]

PREDICT = "/v1/models/small:predict"
TEXTS = ["ab c", "abc", "가나", "c", "bca b", "a a a"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seq2SeqLM]:
    yield Seq2SeqLM.from_preset(save_small_model(tmp_path_factory.mktemp("small") / "small"))


@pytest.fixture(scope="module")
def folder(model: Seq2SeqLM, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two versions: greedy search, and beam search with two results."""
    directory = tmp_path_factory.mktemp("exported")
    model.export(directory, version=1, sampler="greedy", verify=False)
    model.export(directory, version=12, num_beams=3, num_return_sequences=2, verify=False)
    return directory


@pytest.fixture(scope="module")
def greedy(folder: Path) -> ServedModel:
    return load_served(ModelArgument("small", str(folder / "1")), {}, "en:de")


def test_the_highest_version_is_served(folder: Path, model: Seq2SeqLM) -> None:
    assert newest_version(folder) == (folder / "12", 12)
    assert newest_version(folder / "1") == (folder / "1", 1)
    assert newest_version(folder.parent / "nowhere") is None
    served = load_served(ModelArgument("small", str(folder)), {}, "en:de")
    assert got([served], "/v1/models/small/versions/12").status_code == 200
    assert got([served], "/v1/models/small/versions/1").status_code == 404
    options: dict[str, Any] = {"num_beams": 3, "num_return_sequences": 2}
    expected = model.generate(TEXTS, **options)
    reply = posted(served, PREDICT, {"instances": TEXTS}).json()
    assert [row["text"] for row in reply["predictions"]] == [texts[0] for texts in expected]
    body: dict[str, Any] = {"instances": TEXTS, "signature_name": "generate"}
    reply = posted(served, PREDICT, body).json()
    assert [row["text"] for row in reply["predictions"]] == expected
    body = {"q": TEXTS, "source": "en", "target": "de", "alternatives": 1}
    found = posted(served, "/translate", body).json()
    # A text is a document there: the space around it is the source's.
    stripped = [[text.strip() for text in texts] for texts in expected]
    assert found["translatedText"] == [texts[0] for texts in stripped]
    assert found["alternatives"] == [list(dict.fromkeys(texts))[1:] for texts in stripped]


def test_names_and_results_are_those_of_the_model(greedy: ServedModel, model: Seq2SeqLM) -> None:
    preset = PresetModel("small", model, {"sampler": "greedy"})
    assert list(greedy.signatures["serving_default"].inputs) == ["text"]
    required = {
        name: info
        for name, info in preset.signatures["serving_default"].inputs.items()
        if info.required
    }
    assert dict(greedy.signatures["serving_default"].inputs) == required
    assert set(greedy.signatures) == set(preset.signatures)
    for name in preset.signatures:
        ours, theirs = preset.signatures[name].outputs, greedy.signatures[name].outputs
        assert dict(ours) == dict(theirs)
        assert greedy.signatures[name].batches
    a, b = (posted(each, PREDICT, {"inputs": TEXTS}).json()["outputs"] for each in (greedy, preset))
    assert a.keys() == b.keys()
    assert {k: v for k, v in a.items() if k != "scores"} == {
        k: v for k, v in b.items() if k != "scores"
    }
    np.testing.assert_allclose(a["scores"], b["scores"], rtol=1e-4)
    body = {"q": "abc", "source": "en", "target": "de"}
    assert posted(greedy, "/translate", body).json() == {
        "translatedText": model.generate("abc", sampler="greedy")
    }


def test_ids(greedy: ServedModel, model: Seq2SeqLM) -> None:
    assert model.preprocessor is not None
    rows = model.preprocessor.encode_source(["abc", "cab"])
    inputs = {
        "encoder_token_ids": rows,
        "encoder_padding_mask": [[True] * len(row) for row in rows],
    }
    reply = posted(greedy, PREDICT, {"signature_name": "ids", "inputs": inputs}).json()
    expected = model.generate(["abc", "cab"], sampler="greedy", return_output=True)
    assert reply["outputs"]["token_ids"] == expected.token_ids.tolist()
    shorter = rows[0][:-1]
    inputs["encoder_token_ids"][0] = shorter
    inputs["encoder_padding_mask"][0] = [True] * len(shorter)
    reply = posted(greedy, PREDICT, {"signature_name": "ids", "inputs": inputs}).json()
    source = {
        "encoder_token_ids": np.array([shorter]),
        "encoder_padding_mask": np.ones((1, len(shorter)), bool),
    }
    first = model.generate(source, sampler="greedy")[0]
    found = reply["outputs"]["token_ids"][0]
    assert found[: len(first)] == first.tolist() and not reply["outputs"]["error"][0]
    inputs["encoder_padding_mask"][0] = [True]
    reply = posted(greedy, PREDICT, {"signature_name": "ids", "inputs": inputs}).json()
    assert "encoder_padding_mask of row 0 has 1 values for" in reply["error"]


def test_masks_may_be_left_out(greedy: ServedModel, model: Seq2SeqLM) -> None:
    assert model.preprocessor is not None
    rows = model.preprocessor.encode_source(["abc", "cabba", "c"])
    target = model.preprocessor.encode_target(["ab", "c", "가"])
    preset = PresetModel("small", model, {"sampler": "greedy"})
    for name in ("ids", "generate_ids", "score_ids"):
        theirs, ours = (dict(each.signatures[name].inputs) for each in (greedy, preset))
        ours.pop("seeds", None)
        assert theirs == ours
    for body in (
        {"signature_name": "ids", "inputs": rows},
        {
            "signature_name": "score_ids",
            "inputs": {"encoder_token_ids": rows, "target_ids": target},
        },
    ):
        a, b = (posted(each, PREDICT, body).json()["outputs"] for each in (greedy, preset))
        assert a.keys() == b.keys()
        assert a["error"] == b["error"] == ["", "", ""]
        for name in a.keys() - {"error"}:
            np.testing.assert_allclose(a[name], b[name], rtol=1e-4, atol=1e-5)
    body = {"signature_name": "ids", "instances": rows}
    a, b = (posted(each, PREDICT, body).json()["predictions"] for each in (greedy, preset))
    assert [row["token_ids"] for row in a] == [row["token_ids"] for row in b]


def test_a_row_that_is_too_long_is_reported_alike(greedy: ServedModel, model: Seq2SeqLM) -> None:
    preset = PresetModel("small", model, {"sampler": "greedy"})
    for name in ("serving_default", "generate"):
        body = {"signature_name": name, "instances": ["abc", "a" * 40, "c"]}
        a, b = (posted(each, PREDICT, body).json()["predictions"] for each in (greedy, preset))
        assert [bool(row["error"]) for row in a] == [False, True, False]
        for theirs, ours in zip(a, b, strict=True):
            assert ours.keys() == theirs.keys()
            assert ours["error"].split(";")[0] == theirs["error"].split(";")[0]
            for key in ours.keys() - {"error", "scores"}:
                assert ours[key] == theirs[key]
            np.testing.assert_allclose(ours["scores"], theirs["scores"], rtol=1e-4)


def test_batches_do_not_change_results_and_errors_do_not_spread(
    greedy: ServedModel, model: Seq2SeqLM
) -> None:
    bodies: list[list[str]] = [["ab c"], TEXTS, ["a" * 40], ["abc", "c"], ["가나"]]

    async def use(client: httpx.AsyncClient) -> list[httpx.Response]:
        return await asyncio.gather(
            *(client.post(PREDICT, json={"instances": body}) for body in bodies)
        )

    for size in (2, 32):
        replies = using([greedy], use, Limits(max_wait=0.2, max_batch_size=size))
        for body, reply in zip(bodies, replies, strict=True):
            if body == ["a" * 40]:
                (row,) = reply.json()["predictions"]
                assert row["error"].startswith("the source has 4")
                assert "but the model has positions for" in row["error"]
                assert "\n" not in row["error"] and row["text"] == "" and row["lengths"] == 0
                continue
            expected = model.generate(body, sampler="greedy", return_output=True)
            rows = reply.json()["predictions"]
            assert [row["text"] for row in rows] == expected.texts
            assert [row["token_ids"] for row in rows] == expected.token_ids.tolist()


def test_what_a_saved_model_does_not_take(greedy: ServedModel, folder: Path) -> None:
    body = {"instances": ["a"], "parameters": {"num_beams": 2}}
    reply = posted(greedy, PREDICT, body)
    assert reply.status_code == 400
    assert "the search of a SavedModel is fixed" in reply.json()["error"]
    assert posted(greedy, "/v1/models/small:stream", {"instances": ["a"]}).status_code == 400
    with pytest.raises(ValueError, match="leave num_beams out"):
        load_served(ModelArgument("small", str(folder)), {"num_beams": 2})


def test_a_sampler_that_draws_asks_for_seeds(model: Seq2SeqLM, tmp_path: Path) -> None:
    model.export(tmp_path / "drawing", version=1, sampler="random", verify=False)
    served = load_served(ModelArgument("small", str(tmp_path / "drawing")), {}, "en:de")
    body = {"instances": [{"text": "abc", "seeds": 3}, {"text": "abc", "seeds": 3}]}
    rows = posted(served, PREDICT, body).json()["predictions"]
    assert rows[0]["token_ids"] == rows[1]["token_ids"]
    seeds = [3, 8, 2**31 - 1]
    body = {"instances": [{"text": "abc", "seeds": seed} for seed in seeds]}
    found = [row["text"] for row in posted(served, PREDICT, body).json()["predictions"]]
    assert found == model.generate(["abc"] * 3, sampler="random", seed=seeds)
    reply = posted(served, PREDICT, {"instances": ["abc"]})
    assert "expected an object with the inputs" in reply.json()["error"]
    translation = {"q": "abc", "source": "en", "target": "de"}
    assert posted(served, "/translate", json.dumps(translation).encode()).status_code == 200


def test_the_page_of_a_saved_model(folder: Path, greedy: ServedModel, model: Seq2SeqLM) -> None:
    told = got([greedy], "/page/models").json()["models"][0]["obstacles"]
    assert sorted(told) == ["attention", "several", "stream"]
    body = {"model": "small", "text": "ab c"}
    expected = model.generate(["ab c"], sampler="greedy", return_output=True)
    (found,) = posted(greedy, "/page/generate", body).json()["results"]
    assert found["text"] == expected.texts[0]
    assert found["score"] == pytest.approx(expected.scores[0], rel=1e-4)
    assert found["ids"] == expected.token_ids[0, : expected.lengths[0]].tolist()
    for what, further in (("stream", {}), ("attention", {"output": "c"})):
        assert posted(greedy, f"/page/{what}", {**body, **further}).status_code == 400
    # The number of results is that of the export.
    two = load_served(ModelArgument("small", str(folder)), {})
    results = posted(two, "/page/generate", body).json()["results"]
    options: dict[str, Any] = {"num_beams": 3, "num_return_sequences": 2}
    assert [each["text"] for each in results] == model.generate("ab c", **options)
