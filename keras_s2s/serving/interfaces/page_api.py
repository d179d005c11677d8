"""What the page at `/` asks of the server: models, results, attention and documents.

These requests belong to the page, and change with it. Programs have the interfaces of
`tf_serving_api.py` and `libretranslate_api.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from importlib.util import find_spec
from typing import Any, get_args

import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from keras_s2s.analysis.pieces import AttendedPieces
from keras_s2s.config.nearest import did_you_mean, either
from keras_s2s.documents import DocumentFormat
from keras_s2s.serving.errors import RequestError
from keras_s2s.serving.interfaces.body import read_body, read_json
from keras_s2s.serving.interfaces.event_stream import Tell, event_stream, progress_stream
from keras_s2s.serving.interfaces.page_files import BELOW
from keras_s2s.serving.interfaces.replies import Handler, json_reply
from keras_s2s.serving.interfaces.text_formats import SPLITTER, TextJob, documents
from keras_s2s.serving.models.hosting import Host, Serving
from keras_s2s.serving.models.languages import AUTO, NamedLanguage, language_name
from keras_s2s.serving.models.served_model import Row, ServedModel, count_results

#: Formats of documents.
FORMATS: tuple[str, ...] = get_args(DocumentFormat)

#: Decimals of attention weights; a heatmap shows no more.
DECIMALS = 5


def models_handler(serving: Serving) -> Handler:
    """Returns the handler of `GET /page/models`: what is served, and what each model can do."""

    async def models(request: Request) -> Response:
        limits = serving.limits
        return json_reply(
            {
                "models": [_description(model) for model in serving.models()],
                "most_results": limits.max_beams,
                "most_characters": limits.max_characters,
                "most_bytes": limits.max_body_bytes,
            }
        )

    return models


def page_handlers(serving: Serving) -> dict[str, Handler]:
    """Returns the handlers of the page's POST requests, by their addresses.

    Each takes a JSON object with `model`, `text` and, where the model has languages, `source` and
    `target`.
    """

    async def generate(request: Request) -> Response:
        """Returns the best results of a text, of which there are `results`."""
        body, host, source, target = await _read(request, serving, {"results": int})
        count = body.get("results", 1)
        most = serving.limits.max_beams
        if isinstance(count, bool) or not 1 <= count <= most:
            raise RequestError(400, f"results is {count!r}; expected 1 to {most}")
        model = host.model
        (row,) = await host.compute(
            request, model.translate([body["text"]], source[1], target[1], count - 1)
        )
        found = _results(row)
        return json_reply({"results": found if "several" in model.obstacles else found[:count]})

    async def stream(request: Request) -> Response:
        """Sends a result of greedy search while it is generated."""
        body, host, source, target = await _read(request, serving)
        row = {"text": body["text"], "src_lang": source[1], "tgt_lang": target[1]}
        return await event_stream(serving, host.model, [row], host.model.draft_parameters)

    async def attention(request: Request) -> Response:
        """Returns the attention between a text and a result: a text, or the ids of one."""
        body, host, source, target = await _read(
            request, serving, {"output": str, "output_ids": list}
        )
        output = body.get("output_ids", body.get("output"))
        if output is None or ("output" in body and "output_ids" in body):
            raise RequestError(400, "expected either output, a text, or output_ids, a list")
        if isinstance(output, str):
            serving.limits.check_texts([output], "output")
        elif not all(isinstance(i, int) and not isinstance(i, bool) for i in output):
            raise RequestError(400, "output_ids must be a list of ids")
        prepared = host.model.attend(body["text"], output, source[1], target[1])
        (row,) = await host.compute(request, prepared)
        return json_reply(_attention(row["pieces"]))

    async def document(request: Request) -> Response:
        """Sends how many sentences of a document are done, then the document in the other language
        and what each sentence came from.
        """
        body, host, source, target = await _read(
            request, serving, {"format": str}, most=serving.limits.max_body_bytes
        )
        format_ = body.get("format", "text")
        if format_ not in FORMATS:
            hint = did_you_mean(format_, FORMATS) or f"expected {either(FORMATS)}"
            raise RequestError(400, f"format is {format_!r}; {hint}")
        if (why := _obstacles(host.model).get("documents")) is not None:
            raise RequestError(400, why)
        job = TextJob.of_request(
            request, host, [body["text"]], source, target, at_a_time=serving.limits.max_batch_size
        )

        async def work(tell: Tell) -> dict[str, Any]:
            ((found,),) = await documents(job, format_, tell)
            return {
                "text": found.text,
                "sentences": [asdict(s) for s in found.sentences],
                "markup": found.markup,
            }

        return await progress_stream(work, host.model.name)

    return {BELOW + each.__name__: each for each in (generate, stream, attention, document)}


# --------------------------------------------------------------------------------------
# Replies
# --------------------------------------------------------------------------------------


def _description(model: ServedModel) -> dict[str, Any]:
    languages = model.languages

    def named(codes: Mapping[str, Any]) -> list[dict[str, str]]:
        return [{"code": code, "name": language_name(code)} for code in codes]

    return {
        "name": model.name,
        "version": model.version,
        "obstacles": _obstacles(model),
        "languages": languages
        and {
            "sources": named(languages.sources),
            "targets": named(languages.targets),
            "any_source": languages.any_source,
        },
    }


def _obstacles(model: ServedModel) -> dict[str, str]:
    found = dict(model.obstacles)
    if model.reads_documents and find_spec(SPLITTER) is None:
        found["documents"] = (
            f"Documents need {SPLITTER}, which this server does not have: "
            'pip install "keras-s2s[documents]".'
        )
    return found


def _results(row: Row) -> list[dict[str, Any]]:
    """Returns the results of a text, best first, from the outputs of its row."""
    texts = [row["text"]] if isinstance(row["text"], str) else row["text"]
    there = count_results(row)
    results: list[dict[str, Any]] = [{"text": text} for text in texts]
    scores, lengths = (np.ravel(row.get(name, ())) for name in ("scores", "lengths"))
    # A SavedModel of another program may have none of these, or something else by their names.
    if scores.size == len(texts):
        for result, score in zip(results, scores, strict=True):
            result["score"] = float(score)
    if lengths.size == len(texts) and "token_ids" in row:
        ids = np.atleast_2d(row["token_ids"])
        for result, own, length in zip(results, ids, lengths, strict=True):
            result["ids"] = own[: int(length)].tolist()
    return results[:there]


def _attention(pieces: AttendedPieces) -> dict[str, Any]:
    weights = np.round(pieces.attention.astype("float64"), DECIMALS)
    return {
        "source": pieces.source._asdict(),
        "output": pieces.target._asdict(),
        "attention": weights.tolist(),
    }


# --------------------------------------------------------------------------------------
# Requests
# --------------------------------------------------------------------------------------


async def _read(
    request: Request,
    serving: Serving,
    others: Mapping[str, type] | None = None,
    most: int | None = None,
) -> tuple[dict[str, Any], Host, NamedLanguage, NamedLanguage]:
    """Reads a request of the page; returns its fields, the model, and the languages.

    Args:
        request: whose body was not read yet.
        serving: the server.
        others: optional fields beside those that every request has, and their types.
        most: most characters of the text; None is the limit of the server.
    """
    body = read_json(await read_body(request, serving.limits))
    known: dict[str, type] = {"model": str, "text": str, "source": str, "target": str}
    known.update(others or {})
    for name, value in body.items():
        if name not in known:
            hint = did_you_mean(name, known) or f"expected {', '.join(known)}"
            raise RequestError(400, f"field {name!r} is unknown; {hint}")
        if not isinstance(value, known[name]):
            raise RequestError(400, f"{name} must be a JSON {_JSON[known[name]]}")
    for name in ("model", "text"):
        if name not in body:
            raise RequestError(400, f"field {name!r} is missing")
    host = serving.hosts.get(body["model"])
    if host is None:
        raise RequestError(404, f"there is no model {body['model']!r} on this server")
    if "text" in host.model.obstacles:
        raise RequestError(400, host.model.obstacles["text"])
    serving.limits.check_texts([body["text"]], "the request", most)
    source, target = _languages(host.model, body)
    return body, host, source, target


_JSON = {str: "string", int: "number", list: "array"}


def _languages(model: ServedModel, body: Mapping[str, Any]) -> tuple[NamedLanguage, NamedLanguage]:
    """Returns the languages of a request as clients and as the model name them."""
    known = model.languages
    given = [name for name in ("source", "target") if name in body]
    if known is None:
        if given:
            raise RequestError(400, f"model {model.name} has no languages; leave {given[0]} out")
        return (AUTO, None), (AUTO, None)
    source = known.source(body.get("source", AUTO))
    if source is None:
        raise _no_language(model, "source", body, known.sources)
    single = next(iter(known.targets)) if len(known.targets) == 1 else ""
    target = known.target(body.get("target", single))
    if target is None:
        raise _no_language(model, "target", body, known.targets)
    return source, target


def _no_language(
    model: ServedModel, side: str, body: Mapping[str, Any], codes: Mapping[str, Any]
) -> RequestError:
    if side not in body:
        return RequestError(400, f"model {model.name} has several languages; name the {side}")
    hint = did_you_mean(body[side], codes) or f"GET {BELOW}models lists them"
    return RequestError(
        400, f"{body[side]!r} is not a {side} language of model {model.name}; {hint}"
    )
