"""TensorFlow Serving's REST interface: requests and replies as its documentation prints them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from serving.clients import Shouting, got, posted
from small_models import COMPILES

# No backend has a part in this.
pytestmark = [pytest.mark.slow] if COMPILES else []

PREDICT = "/v1/models/loud:predict"


def test_status_of_a_model() -> None:
    # The example at the end of https://www.tensorflow.org/tfx/serving/api_rest.
    expected = {
        "model_version_status": [
            {
                "version": "1",
                "state": "AVAILABLE",
                "status": {"error_code": "OK", "error_message": ""},
            }
        ]
    }
    for path in ("/v1/models/loud", "/v1/models/loud/versions/1"):
        reply = got([Shouting()], path)
        assert (reply.status_code, reply.json()) == (200, expected)
        assert reply.headers["content-type"] == "application/json"


def test_metadata_of_a_model() -> None:
    reply = got([Shouting()], "/v1/models/loud/metadata").json()
    assert reply["model_spec"] == {"name": "loud", "signature_name": "", "version": "1"}
    signatures = reply["metadata"]["signature_def"]["signature_def"]
    assert set(signatures) == {"serving_default", "one", "pair"}
    assert signatures["serving_default"]["inputs"]["text"] == {
        "dtype": "DT_STRING",
        "tensor_shape": {"dim": [{"size": "-1", "name": ""}], "unknown_rank": False},
        "name": "serving_default_text:0",
    }
    assert signatures["serving_default"]["outputs"]["scores"]["dtype"] == "DT_FLOAT"
    assert signatures["pair"]["inputs"]["ids"]["dtype"] == "DT_INT32"
    assert signatures["one"]["method_name"] == "tensorflow/serving/predict"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        # Rows: one named output has no name, several are objects.
        (
            {"signature_name": "one", "instances": ["foo", "bar", "baz"]},
            {"predictions": ["FOO", "BAR", "BAZ"]},
        ),
        (
            {"instances": ["foo", {"text": "bar"}, {"b64": "YmF6"}]},
            {"predictions": [{"text": t, "scores": -0.5} for t in ("FOO", "BAR", "BAZ")]},
        ),
        # Columns.
        ({"signature_name": "one", "inputs": ["foo", "bar"]}, {"outputs": ["FOO", "BAR"]}),
        (
            {"inputs": {"text": ["foo", "bar"]}},
            {"outputs": {"text": ["FOO", "BAR"], "scores": [-0.5, -0.5]}},
        ),
        (
            {"signature_name": "pair", "instances": [{"ids": [1, 2], "tag": "a"}]},
            {"predictions": [{"ids": [1, 2], "tag": "a"}]},
        ),
        (
            {"signature_name": "pair", "inputs": {"tag": ["a", "b"], "ids": [[1], [2]]}},
            {"outputs": {"tag": ["a", "b"], "ids": [[1], [2]]}},
        ),
        ({"signature_name": "one", "instances": []}, {"predictions": []}),
        ({"inputs": {"text": []}}, {"outputs": {"text": [], "scores": []}}),
        (
            {"signature_name": "one", "instances": ["한국어\n😀", ""]},
            {"predictions": ["한국어\n😀", ""]},
        ),
    ],
)
def test_predict(body: dict[str, Any], expected: dict[str, Any]) -> None:
    for path in (PREDICT, "/v1/models/loud/versions/1:predict"):
        reply = posted(Shouting(), path, body)
        assert (reply.status_code, reply.json()) == (200, expected)


def refused(body: Any, status: int = 400, path: str = PREDICT, **limits: Any) -> str:
    reply = posted(Shouting(), path, body, **limits)
    assert reply.status_code == status, reply.text
    assert set(reply.json()) == {"error"}
    return reply.json()["error"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "Missing 'inputs' or 'instances' key"),
        ({"instances": ["a"], "inputs": ["a"]}, "Not more than one of 'inputs' or 'instances'"),
        ({"instances": "a"}, "'instances' is a JSON String; expected a list of rows"),
        ({"instances": [1]}, "element: 0 of 'instances' list. Input 'text': JSON Value: '1' Type"),
        ({"instances": ["a", None]}, "Type: Null is not of expected type: string"),
        ({"instances": ["a", ["b"]]}, "element: 1 of 'instances'"),
        ({"instances": [{"txt": "a"}]}, "Input 'txt' is unknown; did you mean 'text'?"),
        ({"instances": [{}]}, "element: 0 of 'instances' list. Missing input 'text'"),
        ({"instances": [{"b64": "?"}]}, "b64 is no base64"),
        ({"instances": [{"b64": "/w=="}]}, "b64 is no base64 of UTF-8 text"),
        ({"inputs": {"text": "a"}}, "input 'text' is a JSON String; expected a list"),
        ({"inputs": "a"}, "input 'text' is a JSON String"),
        ({"signature_name": "two", "instances": ["a"]}, 'Serving signature name: "two" not found'),
        ({"signature_name": "pair", "instances": ["a"]}, "expected an object with the inputs"),
        (
            {"signature_name": "pair", "inputs": {"tag": ["a"], "ids": [[1], [2]]}},
            "different numbers of rows: {'tag': 1, 'ids': 2}",
        ),
        (
            {"signature_name": "pair", "instances": [{"tag": "a", "ids": [1.5]}]},
            "Type: Number is not of expected type: int32",
        ),
        ({"signature_name": "pair", "instances": [{"tag": "a", "ids": [True]}]}, "Type: Boolean"),
        ({"signature_name": "pair", "instances": [{"tag": "a", "ids": [2**31]}]}, "does not fit"),
        ({"signature_name": "pair", "instances": [{"tag": "a", "ids": 3}]}, "list of int32"),
        ({"instances": ["a"], "signature": "one"}, "'signature' is unknown; did you mean"),
        ({"instances": ["a"], "parameters": {"num_beam": 2}}, "did you mean 'num_beams'?"),
        ({"instances": ["a"], "parameters": {"num_beams": 17}}, "too many beams; at most 16"),
        ({"instances": ["a"], "parameters": {"num_beams": "4"}}, "num_beams='4'"),
        ({"instances": ["a"], "parameters": {"max_length": 10**9}}, "ids of a result"),
        ({"instances": ["a"], "parameters": {"processors": []}}, "'processors' is unknown"),
        ({"instances": ["a"], "parameters": {"glossary": "/etc/passwd"}}, "files are not read"),
        ({"instances": ["a"], "parameters": {"shortlist": "/etc/passwd"}}, "true or false"),
        ({"instances": ["a"], "parameters": [1]}, "parameters is [1]; expected an object"),
        ({"instances": ["ok", "bad"]}, "a text is bad"),
        ({"instances": ["\ud800"]}, "no Unicode text"),
        ([1], "the body is a JSON list; expected an object"),
        (b'{"instances": ["a"', "JSON Parse error: Expecting ',' delimiter at offset: 18"),
        (b"", "JSON Parse error"),
        (b'{"instances": ["\xff"]}', "the body is not UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"instances": [' + b"1" * 5000 + b"]}", "JSON Parse error"),
        (b'{"instances": ["a"], "instances": ["b"]}', "key 'instances' is there more than once"),
    ],
)
def test_what_is_refused(body: Any, message: str) -> None:
    assert message in refused(body)


def test_addresses_that_do_not_exist() -> None:
    model = Shouting()
    # As the documentation prints it.
    assert refused({"instances": ["a"]}, 404, "/v1/models/half:predict") == (
        "Servable not found for request: Latest(half)"
    )
    assert refused({"instances": ["a"]}, 404, "/v1/models/loud/versions/7:predict") == (
        "Servable not found for request: Specific(loud, 7)"
    )
    for path, status, message in (
        ("/v1/models/half", 404, "Could not find any versions of model half"),
        ("/v1/models/loud/versions/7", 404, "Could not find version 7 of model loud"),
        ("/v1/models/half/metadata", 404, "Servable not found for request: Latest(half)"),
        (PREDICT, 400, f"Malformed request: GET {PREDICT}"),
        ("/v1/models/loud/versions/x", 400, "Malformed request: GET"),
        ("/nowhere", 404, "there is no /nowhere on this server"),
        ("/translate", 405, "GET is not a method of /translate"),
    ):
        reply = got([model], path)
        assert reply.status_code == status
        assert message in reply.json()["error"]
    assert "Malformed request: POST" in refused({}, 400, "/v1/models/loud:classify")
    assert "Malformed request: POST" in refused({}, 400, "/v1/models/loud")


def test_limits_on_rows_and_lengths() -> None:
    assert "has 3 rows; at most 2" in refused({"instances": ["a"] * 3}, 413, max_rows=2)
    assert "has 3 rows; at most 2" in refused({"inputs": {"text": ["a"] * 3}}, 413, max_rows=2)
    message = refused({"instances": ["a", "b" * 6]}, 413, max_characters=5)
    assert message == "text 1 of instances has 6 characters; at most 5 are taken"
    reply = posted(Shouting(), PREDICT, {"instances": ["a", "b" * 5]}, max_rows=2, max_characters=5)
    assert reply.status_code == 200


def test_a_defect_is_logged_and_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    message = refused({"instances": ["broken"]}, 500)
    assert message == "model loud: unexpected RuntimeError; the server's log has more"
    assert "a defect" in caplog.text


def test_an_unknown_content_type_is_no_matter() -> None:
    # `curl -d` sends a form's.
    reply = posted(Shouting(), PREDICT, json.dumps({"instances": ["a"]}).encode())
    assert reply.status_code == 200
