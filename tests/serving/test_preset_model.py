"""A `Seq2SeqLM` behind the server gives what it gives in Python, whatever it is batched with."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from cli.small_folder import save_small_model
from serving.clients import posted, using
from serving.test_server import events

from keras_s2s import Seq2SeqLM
from keras_s2s.serving.limits import Limits
from keras_s2s.serving.models.languages import ModelLanguages
from keras_s2s.serving.models.preset_model import PresetModel

PREDICT = "/v1/models/small:predict"
TEXTS = ["ab c", "abc", "가나", "c", "bca b", "a a a"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seq2SeqLM]:
    yield Seq2SeqLM.from_preset(save_small_model(tmp_path_factory.mktemp("small") / "small"))


def served(model: Seq2SeqLM, **options: Any) -> PresetModel:
    return PresetModel("small", model, options, ModelLanguages.declared("en:de"))


def predicted(model: PresetModel, **body: Any) -> Any:
    reply = posted(model, PREDICT, body)
    assert reply.status_code == 200, reply.text
    return reply.json()


def test_the_outputs_of_a_request(model: Seq2SeqLM) -> None:
    expected = model.generate(TEXTS, return_output=True)
    found = predicted(served(model), inputs=TEXTS)["outputs"]
    assert list(found) == ["text", "token_ids", "lengths", "scores", "error"]
    assert found["text"] == expected.texts
    np.testing.assert_array_equal(found["token_ids"], expected.token_ids)
    np.testing.assert_array_equal(found["lengths"], expected.lengths)
    np.testing.assert_allclose(found["scores"], expected.scores, rtol=1e-5)


def test_n_best(model: Seq2SeqLM) -> None:
    options = {"num_beams": 3, "num_return_sequences": 2}
    expected = model.generate(TEXTS, return_output=True, **options)
    every = {"signature_name": "generate", "inputs": TEXTS}
    for found in (
        predicted(served(model), **every, parameters=options)["outputs"],
        predicted(served(model, **options), **every)["outputs"],
    ):
        assert found["text"] == expected.texts
        np.testing.assert_array_equal(found["token_ids"], expected.token_ids)
    best = predicted(served(model, **options), inputs=TEXTS)["outputs"]
    assert best["text"] == [texts[0] for texts in expected.texts]
    assert best["lengths"] == expected.lengths[:, 0].tolist()
    signatures = served(model, **options).signatures
    assert signatures["generate"].outputs["token_ids"].shape == (None, 2, None)
    assert signatures["serving_default"].outputs["token_ids"].shape == (None, None)
    single = predicted(served(model), **every)["outputs"]
    assert single["text"] == [[text] for text in model.generate(TEXTS)]


def test_a_glossary_of_a_request(model: Seq2SeqLM) -> None:
    """A row whose terms have no room has an error of its own."""
    glossary = {"c": "ab", "b": "ab" * 20}
    given = {"glossary": glossary, "max_length": 12}
    found = predicted(served(model), inputs=["a c", "ab", "b c a", "a"], parameters=given)[
        "outputs"
    ]
    expected = model.generate(["a c", "a"], glossary=glossary, max_length=12)
    assert [found["text"][row] for row in (0, 3)] == expected
    assert "ab" in expected[0]
    for row in (1, 2):
        # "ab" holds no "b" of its own, "b c a" does.
        assert bool(found["error"][row]) == (row == 2)
    assert "leaves room for 11" in found["error"][2]


def test_max_length_of_a_request(model: Seq2SeqLM) -> None:
    every = {"signature_name": "generate"}
    rows = [{"text": text, "max_length": 4} for text in TEXTS]
    found = predicted(served(model), **every, instances=rows)["predictions"]
    assert [row["text"] for row in found] == [[t] for t in model.generate(TEXTS, max_length=4)]
    rows[0]["max_length"] = 5
    reply = posted(served(model), PREDICT, {**every, "instances": rows})
    assert reply.status_code == 400 and "different max_length: [4, 5]" in reply.json()["error"]
    body = {**every, "instances": rows[1:], "parameters": {"max_length": 3}}
    reply = posted(served(model), PREDICT, body)
    assert reply.status_code == 400 and "exclude each other" in reply.json()["error"]


def test_ids(model: Seq2SeqLM) -> None:
    assert model.preprocessor is not None
    rows = model.preprocessor.encode_source(TEXTS)
    expected = model.generate(TEXTS, return_output=True)
    instances = [{"encoder_token_ids": row} for row in rows]
    found = predicted(served(model), signature_name="ids", instances=instances)["predictions"]
    assert [each["token_ids"] for each in found] == expected.token_ids.tolist()
    longest = max(map(len, rows))
    columns = {
        "encoder_token_ids": [row + [0] * (longest - len(row)) for row in rows],
        "encoder_padding_mask": [[i < len(row) for i in range(longest)] for row in rows],
    }
    again = predicted(served(model), signature_name="ids", inputs=columns)["outputs"]
    assert again["token_ids"] == expected.token_ids.tolist()
    columns["encoder_padding_mask"][0] = [False, *[True] * (longest - 1)]
    reply = posted(served(model), PREDICT, {"signature_name": "ids", "inputs": columns})
    assert reply.status_code == 400
    assert "True for the first" in reply.json()["error"]


def test_a_model_without_a_tokenizer_reads_ids(model: Seq2SeqLM) -> None:
    assert model.preprocessor is not None
    rows = model.preprocessor.encode_source(TEXTS)
    expected = model.generate(TEXTS, return_output=True).token_ids.tolist()
    preprocessor, model.preprocessor = model.preprocessor, None
    try:
        without = PresetModel("small", model)
        found = predicted(without, instances=rows)["predictions"]
        assert [each["token_ids"] for each in found] == expected
        reply = posted(without, "/v1/models/small:stream", {"instances": rows[:1]})
        assert "cannot be streamed" in reply.json()["error"]
    finally:
        model.preprocessor = preprocessor


def together(model: PresetModel, bodies: list[dict[str, Any]], **limits: Any) -> list[Any]:
    """The replies to requests that come at the same time."""

    async def use(client: httpx.AsyncClient) -> list[httpx.Response]:
        return await asyncio.gather(*(client.post(PREDICT, json=body) for body in bodies))

    return [reply.json() for reply in using([model], use, Limits(max_wait=0.2, **limits))]


def test_results_do_not_depend_on_the_batch(model: Seq2SeqLM) -> None:
    draws = {"do_sample": True, "temperature": 2.0}
    bodies: list[dict[str, Any]] = [
        {"instances": ["ab c"]},
        {"instances": ["abc", "가나", "bca b"]},
        {"instances": [TEXTS[i % 6] for i in range(7)]},
        {"instances": ["abc"], "parameters": {"num_beams": 3}},
        {"instances": ["abc", "c"], "parameters": {**draws, "seed": 5}},
        {
            "instances": [{"text": "abc", "seeds": 5}, {"text": "c", "seeds": 6}],
            "parameters": draws,
        },
        {"instances": ["ab c"], "parameters": {"num_beams": 3}},
        {"instances": ["a" * 40]},
    ]
    alone = [together(served(model), [body])[0] for body in bodies]
    for size in (4, 32):
        found = together(served(model), bodies, max_batch_size=size)
        for one, other in zip(alone, found, strict=True):
            if "error" in one:
                assert other == one
                continue
            for row, again in zip(one["predictions"], other["predictions"], strict=True):
                assert again["scores"] == pytest.approx(row["scores"], rel=1e-4)
                assert {**again, "scores": 0} == {**row, "scores": 0}
    (bad,) = alone[-1]["predictions"]
    assert bad["error"].startswith("the source has 41 ids")
    assert "--overlong truncate" in bad["error"]
    # A seed is that of `generate`.
    assert alone[4] == alone[5]
    expected = model.generate(["abc", "c"], seed=[5, 6], **draws)
    assert [each["text"] for each in alone[4]["predictions"]] == expected


def test_a_row_that_is_too_long_does_not_fail_the_others(model: Seq2SeqLM) -> None:
    texts = ["a", "ab", "b" * 50, "abc", "c", "a" * 40]
    good = [text for text in texts if len(text) < 40]
    for size in (2, 32):
        reply = together(served(model), [{"instances": texts}], max_batch_size=size)[0]
        rows = reply["predictions"]
        assert [row["error"][:23] for row in rows if row["error"]] == [
            "the source has 51 ids, ",
            "the source has 41 ids, ",
        ]
        assert [row["text"] for row in rows if not row["error"]] == model.generate(good)
        for row in (rows[2], rows[5]):
            assert row["text"] == "" and row["lengths"] == 0 and row["scores"] < -1e38
            assert set(row["token_ids"]) == {model.special_ids.target.pad}


def test_a_pair_that_is_too_long_has_an_error(model: Seq2SeqLM) -> None:
    body = {"signature_name": "score", "inputs": {"source": ["a" * 40], "target": ["a"]}}
    outputs = posted(served(model), PREDICT, body).json()["outputs"]
    assert outputs["error"][0].startswith("the source has 41 ids")
    assert outputs["target_lengths"] == [0] and outputs["token_log_probs"] == [[]]


def test_sources_that_are_too_long_can_be_cut(model: Seq2SeqLM) -> None:
    cutting = PresetModel("small", model, overlong="truncate")
    found = predicted(cutting, inputs=["a" * 40])["outputs"]["text"]
    assert found == [model.generate("a" * 40, overlong="truncate")]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"seed": 3}, "seed=[3] has no effect"),
        ({"num_beams": 2, "num_return_sequences": 3}, "num_return_sequences"),
        ({"do_sample": True, "seed": [1, 2]}, "2 seeds for 1 rows"),
        ({"sampler": "beem"}, "sampler"),
    ],
)
def test_parameters_that_do_not_fit(
    model: Seq2SeqLM, parameters: dict[str, Any], message: str
) -> None:
    reply = posted(served(model), PREDICT, {"instances": ["a"], "parameters": parameters})
    assert reply.status_code == 400
    assert message in reply.json()["error"]


def test_streams(model: Seq2SeqLM) -> None:
    for parameters in (
        {"sampler": "greedy"},
        {"sampler": "random", "seed": 4},
        {"num_beams": 3},
    ):
        body = {"instances": TEXTS[:3], "parameters": parameters}
        reply = posted(served(model), "/v1/models/small:stream", body)
        texts = ["", "", ""]
        for kind, data in events(reply.text):
            if not kind:
                texts[data["index"]] += data["text"]
        if "seed" in parameters:
            parameters = {**parameters, "seed": [4, 5, 6]}
        assert texts == model.generate(TEXTS[:3], **parameters)
    body = {"instances": ["a"], "parameters": {"num_beams": 3, "num_return_sequences": 2}}
    assert posted(served(model), "/v1/models/small:stream", body).status_code == 400


def translated(model: PresetModel, **fields: Any) -> Any:
    reply = posted(model, "/translate", {"source": "en", "target": "de", **fields})
    assert reply.status_code == 200, reply.text
    return reply.json()


def test_translations_and_alternatives(model: Seq2SeqLM) -> None:
    found = translated(served(model), q=TEXTS)["translatedText"]
    assert found == [text.strip() for text in model.generate(TEXTS)]
    best = [text.strip() for text in model.generate("abc", num_beams=3, num_return_sequences=3)]
    for options in ({}, {"num_beams": 2}, {"sampler": "greedy"}):
        found = translated(served(model, **options), q="abc", alternatives=2)
        assert [found["translatedText"], *found["alternatives"]] == list(dict.fromkeys(best))
    drawing = served(model, do_sample=True, seed=3)
    assert len(translated(drawing, q="abc", alternatives=2)["alternatives"]) <= 2


def test_documents_are_translated_sentence_by_sentence(model: Seq2SeqLM) -> None:
    pytest.importorskip("sentencex")
    first, second = (text.strip() for text in model.generate(["abc.", "ab c."]))
    text = "abc. ab c.\n\n\tabc.\n"
    served_model = served(model)
    runs: list[int] = []

    def run(key: Any, rows: Any) -> Any:
        runs.append(len(rows))
        return original(key, rows)

    original, served_model.run = served_model.run, run  # type: ignore[method-assign]
    found = translated(served_model, q=[text, " \n", "ab c."])["translatedText"]
    assert found == [f"{first} {second}\n\n\t{first}\n", " \n", second]
    assert runs == [2]  # the sentences of all texts, each once
    found = translated(served_model, q="<p>abc. <i>ab c.</i></p>", format="html")["translatedText"]
    assert found.startswith(f"<p>{first} ") and found.endswith("</p>")
    assert found.count("<i>") == found.count("</i>") == 1
    # A sentence that is longer than the model reads is split, and no more than a queue is asked.
    long = translated(served_model, q="abc " * 20)
    assert long["translatedText"]
    best = translated(served_model, q=text, alternatives=2)
    assert best["translatedText"].count("\n") == 3
    assert all(each.count("\n") == 3 for each in best["alternatives"])


def test_scores_are_those_of_the_model(model: Seq2SeqLM) -> None:
    assert model.preprocessor is not None
    targets = TEXTS[::-1]
    sums, each = model.score(TEXTS, targets, return_token_log_probs=True)
    inputs = {"source": TEXTS, "target": targets}
    found = predicted(served(model), signature_name="score", inputs=inputs)["outputs"]
    assert list(found) == ["log_probs", "token_log_probs", "target_lengths", "error"]
    np.testing.assert_allclose(found["log_probs"], sums, rtol=1e-5)
    assert found["target_lengths"] == [len(row) for row in each]
    width = max(found["target_lengths"])
    for row, expected in zip(found["token_log_probs"], each, strict=True):
        np.testing.assert_allclose(row[: len(expected)], expected, rtol=1e-5)
        assert row[len(expected) :] == [0] * (width - len(expected))

    instances = [
        {"encoder_token_ids": source, "target_ids": target}
        for source, target in zip(
            model.preprocessor.encode_source(TEXTS),
            model.preprocessor.encode_target(targets),
            strict=True,
        )
    ]
    by_ids = predicted(served(model), signature_name="score_ids", instances=instances)
    np.testing.assert_allclose(
        [row["log_probs"] for row in by_ids["predictions"]], found["log_probs"], rtol=1e-5
    )
    body = {"signature_name": "score", "inputs": inputs, "parameters": {"num_beams": 2}}
    refused = posted(served(model), PREDICT, body)
    assert refused.status_code == 400 and "takes no parameters" in refused.json()["error"]
