"""Values of other types, halves of characters, huge numbers: refused with a reason, in no time."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from cli.small_folder import save_small_model
from serving.clients import Shouting, got, posted

from keras_s2s import Seq2SeqLM
from keras_s2s.serving.errors import RequestError
from keras_s2s.serving.interfaces.body import read_json
from keras_s2s.serving.limits import Limits
from keras_s2s.serving.models.languages import ModelLanguages
from keras_s2s.serving.models.preset_model import PresetModel

TRANSLATION = {"q": "abc", "source": "en", "target": "de"}
PREDICT = "/v1/models/small:predict"
HALF = "\\ud800"
OTHERS: list[Any] = [[], {}, ["a"], {"a": 1}, [None], 1, True]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> PresetModel:
    model = Seq2SeqLM.from_preset(save_small_model(tmp_path_factory.mktemp("small") / "small"))
    return PresetModel("small", model, {}, ModelLanguages.declared("en:de"))


def refused(reply: Any) -> str:
    assert reply.status_code == 400, (reply.status_code, reply.text)
    return reply.json()["error"]


@pytest.mark.parametrize("value", OTHERS)
def test_names_of_another_type(value: Any) -> None:
    assert "format is" in refused(
        posted(Shouting(), "/translate", {**TRANSLATION, "format": value})
    )
    body = {"instances": ["a"], "signature_name": value}
    assert "not found" in refused(posted(Shouting(), "/v1/models/loud:predict", body))


def test_halves_of_characters() -> None:
    for field in ("source", "target"):
        body = json.dumps({**TRANSLATION, field: "?"}).replace("?", HALF).encode()
        refused(posted(Shouting(), "/translate", body))
    body = json.dumps({"instances": ["a"], "signature_name": "?"}).replace("?", HALF).encode()
    assert "not found" in refused(posted(Shouting(), "/v1/models/loud:predict", body))


def test_numbers_of_thousands_of_digits() -> None:
    digits = "9" * 5000
    body = {**TRANSLATION, "alternatives": digits}
    assert "alternatives is" in refused(posted(Shouting(), "/translate", body))
    refused(got([Shouting()], f"/v1/models/loud/versions/{digits}"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seed", {}),
        ("seed", {"a": 1}),
        ("seed", 1.5),
        ("seed", "7"),
        ("seed", [1, None]),
        ("seed", True),
        ("no_repeat_ngram_size", 10**100),
        ("no_repeat_ngram_size", -(10**100)),
    ],
)
def test_parameters(served: PresetModel, name: str, value: Any) -> None:
    body = {"instances": ["abc"], "parameters": {name: value}}
    assert name in refused(posted(served, PREDICT, body))
    for number in ("1e400", "NaN"):
        text = json.dumps({"instances": ["abc"], "parameters": {"seed": "?"}})
        assert "seed" in refused(posted(served, PREDICT, text.replace('"?"', number).encode()))


def test_seeds_that_are_whole_numbers_are_taken(served: PresetModel) -> None:
    for seed in (0, -5, 2**40, [7]):
        body = {"instances": ["abc"], "parameters": {"do_sample": True, "seed": seed}}
        assert posted(served, PREDICT, body).status_code == 200


def test_many_keys_are_read_in_linear_time() -> None:
    def seconds(count: int) -> float:
        names = ",".join(f'"{i:x}": 0' for i in range(count))
        body = f'{{{names}, "z": 0, "z": 0}}'.encode()
        begin = time.process_time()
        with pytest.raises(RequestError, match="key 'z' is there more than once"):
            read_json(body)
        return time.process_time() - begin

    # Sixteen times the keys; quadratic time would be 256 times as long.
    short = max(min(seconds(4_000) for _ in range(3)), 1e-3)
    assert seconds(64_000) < 100 * short


def test_a_page_of_three_hundred_sentences(served: PresetModel) -> None:
    pytest.importorskip("sentencex")
    page = "".join(f"<p>ab c <b>b{i % 3}</b> &amp; ab<!-- c --> ba. </p>\n" for i in range(300))
    assert len(page) > Limits().max_characters
    reply = posted(served, "/translate", {**TRANSLATION, "q": page, "format": "html"})
    assert reply.status_code == 200, reply.text
    found = reply.json()["translatedText"]
    assert found.count("<p>") == found.count("</p>") == found.count("<!-- c -->") == 300
    assert found != page
    settings = got([served], "/frontend/settings").json()
    assert settings["charLimit"] == Limits().max_body_bytes
    whole = {"instances": [page]}
    assert posted(served, PREDICT, whole).status_code == 413
