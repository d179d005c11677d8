"""The routes of the server, as an ASGI application."""

from __future__ import annotations

import re

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from keras_s2s.serving.errors import RequestError
from keras_s2s.serving.gate import Gate
from keras_s2s.serving.interfaces.libretranslate_api import (
    ABSENT,
    absent_handler,
    languages_handler,
    settings_handler,
    translate_handler,
)
from keras_s2s.serving.interfaces.page_api import models_handler, page_handlers
from keras_s2s.serving.interfaces.page_files import BELOW, file_handlers
from keras_s2s.serving.interfaces.replies import Handler, error_reply, handled, json_reply
from keras_s2s.serving.interfaces.tf_serving_api import VERBS, model_handlers
from keras_s2s.serving.models.hosting import Serving

MODELS = "/v1/models/"


def make_app(serving: Serving) -> Gate:
    """Returns the ASGI application of a server.

    Args:
        serving: its models.

    Example:
        >>> from keras_s2s.serving.models.hosting import Serving
        >>> from keras_s2s.serving.models.languages import ModelLanguages
        >>> from keras_s2s.serving.models.preset_model import PresetModel
        >>> served = PresetModel("dogs", model, languages=ModelLanguages.declared("de:en"))
        >>> serving = Serving([served])
        >>> app = make_app(serving)  # uvicorn.run(app) serves it
        >>> serving.close()
    """
    get_model, post_model = model_handlers(serving)

    async def health(request: Request) -> Response:
        return json_reply({"status": "ok"})

    async def ready(request: Request) -> Response:
        if gate.stopping:
            return json_reply({"status": "stopping"}, 503)
        return json_reply({"status": "ok", "models": list(serving.hosts)})

    async def metrics(request: Request) -> Response:
        text = serving.metrics.text()
        return Response(text, headers={"Content-Type": serving.metrics.content_type})

    def route(path: str, handler: Handler, method: str = "GET") -> Route:
        return Route(path, handled(handler), methods=[method])

    routes = [
        route("/health", health),
        route("/ready", ready),
        route("/metrics", metrics),
        route(MODELS + "{address:path}", get_model),
        route(MODELS + "{address:path}", post_model, "POST"),
        route("/translate", translate_handler(serving), "POST"),
        route("/languages", languages_handler(serving)),
        route("/frontend/settings", settings_handler(serving)),
        *(route(path, absent_handler(what), "POST") for path, what in ABSENT.items()),
        *(route(path, handler) for path, handler in file_handlers().items()),
        route(BELOW + "models", models_handler(serving)),
        *(route(path, each, "POST") for path, each in page_handlers(serving).items()),
    ]
    paths = {each.path for each in routes if "{" not in each.path}
    app = Starlette(routes=routes, exception_handlers={HTTPException: _no_such_route})

    def label(path: str) -> str:
        """Returns the route of an address; there are few, so that the metrics stay small."""
        if path.startswith(MODELS):
            verb = re.search(r":\w+$", path)
            return "/v1/models" + (verb[0] if verb and verb[0] in VERBS else "")
        return path if path in paths else "other"

    gate = Gate(app, label, serving.metrics)
    serving.metrics.watch_requests(lambda: gate.active, lambda: serving.active_streams)
    return gate


async def _no_such_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path = request.url.path
    if error.status_code == 405:
        message = f"{request.method} is not a method of {path}"
    else:
        message = f"there is no {path} on this server"
    return error_reply(RequestError(error.status_code, message, error.headers))
