"""TensorFlow Serving's REST interface: `/v1/models/NAME`, `/metadata`, `:predict`.

Requests, replies and errors have the form of https://www.tensorflow.org/tfx/serving/api_rest.
Two things are added: `parameters` with generation options, for models that are no SavedModel,
and `:stream` (`event_stream.py`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from keras_s2s.config.nearest import did_you_mean
from keras_s2s.export.saved_model.graph_model import ERROR, NO_SCORE
from keras_s2s.serving.errors import RequestError
from keras_s2s.serving.interfaces.body import read_body, read_json
from keras_s2s.serving.interfaces.event_stream import event_stream
from keras_s2s.serving.interfaces.parameters import read_parameters
from keras_s2s.serving.interfaces.replies import Handler, json_reply
from keras_s2s.serving.interfaces.tensor_json import check_fields, read_rows, reply, signature_json
from keras_s2s.serving.limits import Limits
from keras_s2s.serving.models.hosting import Host, Serving, row_message
from keras_s2s.serving.models.served_model import DEFAULT_SIGNATURE, Row, ServedModel, TensorInfo

#: What stands after `/v1/models/`.
ADDRESS = re.compile(
    r"(?P<name>[^/:]+)(?:/versions/(?P<version>\d{1,18}))?(?P<what>/metadata|:\w+)?", re.ASCII
)
#: Route in the metrics of a verb.
VERBS = (":predict", ":stream")


def model_handlers(serving: Serving) -> tuple[Handler, Handler]:
    """Returns the handlers of GET and POST requests below `/v1/models/`."""

    async def get(request: Request) -> Response:
        match, host = _find(serving, request)
        if match["what"] is None:
            return json_reply(_status(host.model))
        if match["what"] == "/metadata":
            return json_reply(_metadata(host.model))
        raise _malformed(request)

    async def post(request: Request) -> Response:
        match = ADDRESS.fullmatch(request.path_params["address"])
        if match is None or match["what"] not in VERBS:
            raise _malformed(request)
        _, host = _find(serving, request)
        host.batcher.noticed()
        body = read_json(await read_body(request, serving.limits))
        check_fields(body)
        rows, signature = read_request(body, host.model, serving.limits)
        parameters = read_parameters(body.get("parameters"), serving.limits)
        if match["what"] == ":stream":
            if signature != DEFAULT_SIGNATURE or "inputs" in body:
                raise RequestError(
                    400, f"a stream takes 'instances' of the signature {DEFAULT_SIGNATURE}"
                )
            return await event_stream(serving, host.model, rows, parameters)
        prepared = host.model.prepare(signature, rows, parameters)
        results: Sequence[Row | Exception]
        if ERROR in host.model.signatures[signature].outputs and host.model.divides:
            results = await host.compute_each(request, prepared)
        else:
            results = await host.compute(request, prepared)
        columns = to_columns(host.model, signature, results)
        return json_reply(reply(columns, by_rows="instances" in body))

    return get, post


def read_request(
    body: Mapping[str, Any], model: ServedModel, limits: Limits
) -> tuple[list[Row], str]:
    """Returns the rows of a request, and the name of their signature.

    Args:
        body: of the request.
        model: that it is for.
        limits: of the server.

    Raises:
        RequestError: 400 for rows or a signature that the model does not have; 413 for too many
            rows, or texts that are too long.
    """
    name = body.get("signature_name")
    if name is None or name == "":
        name = DEFAULT_SIGNATURE
    if not isinstance(name, str) or name not in model.signatures:
        hint = did_you_mean(str(name), model.signatures) or f"there are {_known(model)}"
        raise RequestError(
            400, f'Serving signature name: "{name}" not found in signature def; {hint}'
        )
    signature = model.signatures[name]
    field = "instances" if "instances" in body else "inputs"
    given = body.get(field)
    # Before the rows are read: there may be a million.
    columns = given.values() if isinstance(given, dict) else [given]
    limits.check_rows(max((len(c) for c in columns if isinstance(c, list)), default=0), field)
    rows = read_rows(body, signature)
    for key in ("text", *(k for k, i in signature.inputs.items() if i.dtype == "string")):
        texts = [row[key] for row in rows if isinstance(row.get(key), str)]
        limits.check_texts(texts, field)
    return rows, name


def to_columns(
    model: ServedModel, signature: str, results: Sequence[Row | Exception]
) -> dict[str, Sequence[Any]]:
    """Returns the values of each output of a request, from the results of its rows.

    A row that has none is filled with empty values, beside its error.
    """
    outputs = model.signatures[signature].outputs
    good: Row = next((each for each in results if not isinstance(each, Exception)), {})
    columns: dict[str, Sequence[Any]] = {
        name: model.column(
            name,
            [
                _empty(model, name, outputs[name], good.get(name))
                if isinstance(each, Exception)
                else each[name]
                for each in results
            ],
        )
        for name in good or outputs
        if name != ERROR
    }
    if ERROR in outputs and model.divides:
        columns[ERROR] = [
            row_message(each) if isinstance(each, Exception) else "" for each in results
        ]
    return columns


def _empty(model: ServedModel, name: str, info: TensorInfo, like: Any) -> Any:
    """Returns the value of an output of a row that has no result, as exported graphs have it.

    Args:
        model: that the row was for.
        name, info: the output.
        like: its value in another row; None where there is none.
    """
    shape = [size or 0 for size in info.shape[1:]] if like is None else np.shape(like)
    if info.dtype == "string":
        return np.full(shape, "", object).tolist()
    if name in ("scores", "log_probs"):
        return np.full(shape, NO_SCORE, info.dtype)
    return np.full(shape, model.pad if name == "token_ids" else 0, info.dtype)


def _known(model: ServedModel) -> str:
    return ", ".join(model.signatures)


def _find(serving: Serving, request: Request) -> tuple[re.Match[str], Host]:
    match = ADDRESS.fullmatch(request.path_params["address"])
    if match is None:
        raise _malformed(request)
    host = serving.hosts.get(match["name"])
    version = match["version"]
    if host is not None and (version is None or int(version) == host.model.version):
        return match, host
    if request.method == "GET" and match["what"] is None:
        wanted = f" {version}" if version else ""
        raise RequestError(
            404,
            f"Could not find version{wanted} of model {match['name']}"
            if wanted
            else f"Could not find any versions of model {match['name']}",
        )
    which = f"Specific({match['name']}, {version})" if version else f"Latest({match['name']})"
    raise RequestError(404, f"Servable not found for request: {which}")


def _malformed(request: Request) -> RequestError:
    return RequestError(400, f"Malformed request: {request.method} {request.url.path}")


def _status(model: ServedModel) -> dict[str, Any]:
    return {
        "model_version_status": [
            {
                "version": str(model.version),
                "state": "AVAILABLE",
                "status": {"error_code": "OK", "error_message": ""},
            }
        ]
    }


def _metadata(model: ServedModel) -> dict[str, Any]:
    return {
        "model_spec": {
            "name": model.name,
            "signature_name": "",
            "version": str(model.version),
        },
        "metadata": {"signature_def": {"signature_def": signature_json(model.signatures)}},
    }
