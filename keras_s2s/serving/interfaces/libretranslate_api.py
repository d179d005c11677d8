"""LibreTranslate's interface: `/translate`, `/languages`, `/frontend/settings`.

Requests and replies have the form of https://libretranslate.com/docs. Where several models are
served, the first one that has both languages of a request translates it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from keras_s2s.config.nearest import did_you_mean
from keras_s2s.serving.errors import RequestError
from keras_s2s.serving.interfaces.body import (
    FORM,
    MULTIPART,
    read_body,
    read_form,
    read_json,
    read_multipart,
)
from keras_s2s.serving.interfaces.replies import Handler, json_reply
from keras_s2s.serving.interfaces.text_formats import FORMATS, TextJob, splits_documents
from keras_s2s.serving.limits import Limits
from keras_s2s.serving.models.hosting import Host, Serving, explained
from keras_s2s.serving.models.languages import AUTO, language_name

#: Fields of a request.
FIELDS = ("q", "source", "target", "format", "alternatives")
#: What clients send beside them: this server asks for no key and no secret.
UNUSED = ("api_key", "secret", "apiKey")
#: Header of a reply, with the names of fields that were not read.
IGNORED = "X-Ignored-Fields"

#: Most names in that header.
IGNORED_NAMED = 10

#: Addresses of LibreTranslate that this server does not have, and what they are for.
ABSENT = {
    "/detect": "language detection",
    "/suggest": "suggestions",
    "/translate_file": "translation of files",
}


@dataclass(frozen=True)
class Translation:
    """A request to translate.

    Attributes:
        texts: to translate.
        single: `q` was a text, and not a list.
        source, target: languages, as the client names them.
        format: a key of `FORMATS`.
        alternatives: further results wanted for each text.
    """

    texts: list[str]
    single: bool
    source: str
    target: str
    format: str
    alternatives: int


def translate_handler(serving: Serving) -> Handler:
    """Returns the handler of `POST /translate`."""

    async def translate(request: Request) -> Response:
        body = await read_body(request, serving.limits)
        fields = _fields(request, body)
        wanted = read_translation(fields, serving.limits)
        host, source, target = _route(serving, wanted)
        if not splits_documents(host.model):
            serving.limits.check_texts(wanted.texts, "q")

        job = TextJob.of_request(
            request,
            host,
            wanted.texts,
            source,
            target,
            alternatives=wanted.alternatives,
            at_a_time=serving.limits.max_rows,
        )
        try:
            results = await FORMATS[wanted.format](job)
        except (ValueError, TypeError) as error:
            raise explained(error, host.model.name) from None
        best = [each[0] for each in results]
        reply: dict[str, Any] = {"translatedText": best[0] if wanted.single else best}
        if wanted.source == AUTO and source[0] != AUTO:
            # The only language that the model reads; nothing was detected.
            language = {"confidence": 0.0, "language": source[0]}
            reply["detectedLanguage"] = language if wanted.single else [language] * len(best)
        if wanted.alternatives:
            others = [each[1 : 1 + wanted.alternatives] for each in results]
            reply["alternatives"] = others[0] if wanted.single else others
        response = json_reply(reply)
        if ignored := ignored_fields(fields):
            response.headers[IGNORED] = ", ".join(map(quote, ignored[:IGNORED_NAMED]))
        return response

    return translate


def languages_handler(serving: Serving) -> Handler:
    """Returns the handler of `GET /languages`: source languages, and the targets of each."""

    async def languages(request: Request) -> Response:
        targets: dict[str, list[str]] = {}
        for model in serving.models():
            if model.languages is not None:
                for source in model.languages.sources:
                    known = targets.setdefault(source, [])
                    known += [
                        code
                        for code in model.languages.targets
                        if code not in known and code != source
                    ]
        return json_reply(
            [
                {"code": code, "name": language_name(code), "targets": targets[code]}
                for code in targets
            ]
        )

    return languages


def settings_handler(serving: Serving) -> Handler:
    """Returns the handler of `GET /frontend/settings`."""

    async def settings(request: Request) -> Response:
        default: dict[str, Any] = {"source": None, "target": None}
        documents = any(splits_documents(model) for model in serving.models())
        limits = serving.limits
        for model in serving.models():
            if model.languages is not None:
                source = next(iter(model.languages.sources))
                target = next((code for code in model.languages.targets if code != source), source)
                default = {
                    side: {"code": code, "name": language_name(code)}
                    for side, code in (("source", source), ("target", target))
                }
                break
        return json_reply(
            {
                "apiKeys": False,
                "charLimit": limits.max_body_bytes if documents else limits.max_characters,
                "filesTranslation": False,
                "frontendTimeout": 500,
                "keyRequired": False,
                "language": default,
                "suggestions": False,
                "supportedFilesFormat": [],
            }
        )

    return settings


def absent_handler(what: str) -> Handler:
    """Returns the handler of an address that this server does not have.

    Args:
        what: it is for, in words.
    """

    async def absent(request: Request) -> Response:
        raise RequestError(403, f"{what} is not available on this server")

    return absent


# --------------------------------------------------------------------------------------
# Requests
# --------------------------------------------------------------------------------------


def _fields(request: Request, body: bytes) -> dict[str, Any]:
    """Returns the fields of a JSON object or a form."""
    whole = request.headers.get("content-type", "")
    kind = whole.partition(";")[0].strip().lower()
    if kind in ("", "application/json") or kind.endswith("+json"):
        return read_json(body)
    if kind == FORM:
        return read_form(body, lists=("q",))
    if kind == MULTIPART:
        return read_multipart(body, whole, lists=("q",))
    raise RequestError(400, f"Content-Type is {kind}; send application/json, {FORM} or {MULTIPART}")


def read_translation(fields: Mapping[str, Any], limits: Limits) -> Translation:
    """Reads a request of `/translate`.

    Args:
        fields: of the request.
        limits: of the server.

    Raises:
        RequestError: 400 for fields that are missing, misspelt or of another type; 413 for too
            many texts, or texts that are too long.

    A field that LibreTranslate does not have is ignored, as there, unless it is nearly one that it
    has: `fromat` would otherwise translate the tags of a page.

    Example:
        >>> read_translation({"q": "ein Hund", "source": "de", "target": "en"}, Limits()).single
        True
    """
    for name in ignored_fields(fields):
        # `q` is too short to be misspelt.
        missing = [field for field in FIELDS[1:] if field not in fields]
        if hint := did_you_mean(name, missing):
            raise RequestError(400, f"Invalid request: field {name!r} is unknown; {hint}")
    for name in ("q", "source", "target"):
        if fields.get(name) is None:
            raise RequestError(400, f"Invalid request: missing {name} parameter")
    q = fields["q"]
    texts = [q] if isinstance(q, str) else q
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise RequestError(400, "Invalid request: q must be a text or a list of texts")
    limits.check_rows(len(texts), "q")
    # Documents are as long as a body may be.
    limits.check_texts(texts, "q", limits.max_body_bytes)
    for name in ("source", "target"):
        if not isinstance(fields[name], str):
            raise RequestError(400, f"Invalid request: {name} must be a language code")
    format_ = fields.get("format")
    if format_ is None or format_ == "":
        format_ = "text"
    if not isinstance(format_, str) or format_ not in FORMATS:
        raise RequestError(
            400, f"Invalid request: format is {format_!r}; expected {' or '.join(FORMATS)}"
        )
    return Translation(
        texts=list(texts),
        single=isinstance(q, str),
        source=fields["source"],
        target=fields["target"],
        format=format_,
        alternatives=_alternatives(fields.get("alternatives"), limits),
    )


def ignored_fields(fields: Mapping[str, Any]) -> list[str]:
    """Returns the names of fields that are not read, but for keys.

    Example:
        >>> ignored_fields({"q": "a", "api_key": "x", "glossary": 3})
        ['glossary']
    """
    return [name for name in fields if name not in FIELDS and name not in UNUSED]


def _alternatives(value: Any, limits: Limits) -> int:
    if value is None or value == "":
        return 0
    if isinstance(value, str) and value.isdecimal() and len(value) < 10:
        value = int(value)
    most = limits.max_beams - 1
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise RequestError(400, f"Invalid request: alternatives is {value!r}; expected 0 to {most}")
    return value


def _route(
    serving: Serving, wanted: Translation
) -> tuple[Host, tuple[str, str | None], tuple[str, str | None]]:
    """Returns the model for a request, and the languages as clients and as the model name them."""
    sources = targets = False
    spoken = [h for h in serving.hosts.values() if h.model.languages is not None]
    for host in spoken:
        languages = host.model.languages
        assert languages is not None
        source, target = languages.source(wanted.source), languages.target(wanted.target)
        sources, targets = sources or source is not None, targets or target is not None
        if source is not None and target is not None:
            return host, source, target
    if not spoken:
        raise RequestError(
            400,
            "no model of this server has languages; start it with --languages, e.g. "
            "--languages en:de, for a model that translates a single pair",
        )
    if not sources and wanted.source == AUTO:
        raise RequestError(400, "this server does not detect languages; name the source language")
    if not sources or not targets:
        code = wanted.target if sources else wanted.source
        raise RequestError(400, f"{code} is not supported; GET /languages lists what is")
    raise RequestError(
        400, f"{wanted.target} is not available as a target language from {wanted.source}"
    )
