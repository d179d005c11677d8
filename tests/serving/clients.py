"""Clients of the tests, and the models that they ask."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any

import httpx

from keras_s2s.serving.app import make_app
from keras_s2s.serving.gate import Gate
from keras_s2s.serving.limits import Limits
from keras_s2s.serving.models.hosting import Serving
from keras_s2s.serving.models.languages import ModelLanguages
from keras_s2s.serving.models.served_model import Prepared, Row, ServedModel, Signature, TensorInfo


class Shouting(ServedModel):
    """A model that returns its texts in capitals, and alternatives with `!` after them."""

    def __init__(self, name: str = "loud", languages: str | None = "en:de", **codes: Any) -> None:
        self.name = name
        self.languages = None if languages is None else ModelLanguages.declared(languages)
        self.batches: list[list[Any]] = []
        self.calls: list[tuple[str | None, str | None]] = []

    @property
    def signatures(self) -> Mapping[str, Signature]:
        text = TensorInfo("string", (None,))
        two = {"text": text, "scores": TensorInfo("float32", (None,))}
        ids = TensorInfo("int32", (None, None))
        return {
            "serving_default": Signature({"text": text}, two),
            "one": Signature({"text": text}, {"text": text}),
            "pair": Signature({"ids": ids, "tag": text}, {"ids": ids, "tag": text}),
        }

    def prepare(
        self, signature: str, rows: Sequence[Row], parameters: Mapping[str, Any]
    ) -> Prepared:
        return Prepared((signature, repr(sorted(parameters.items())), 0), list(rows))

    def translate(
        self, texts: Sequence[str], source: str | None, target: str | None, alternatives: int
    ) -> Prepared:
        self.calls.append((source, target))
        return Prepared(("serving_default", "", alternatives), [{"text": text} for text in texts])

    def run(self, key: Any, rows: Sequence[Any]) -> list[Row]:
        signature, _, alternatives = key
        self.batches.append(list(rows))
        if signature == "pair":
            return [dict(row) for row in rows]
        if any(row["text"] == "bad" for row in rows):
            raise ValueError("a text is bad")
        if any(row["text"] == "broken" for row in rows):
            raise RuntimeError("a defect")
        results = []
        for row in rows:
            best = row["text"].upper()
            several = [best + "!" * i for i in range(alternatives + 1)]
            text: Any = several if alternatives else best
            results.append({"text": text, "scores": -0.5} if signature != "one" else {"text": text})
        return results

    def stream(self, rows: Sequence[Row], parameters: Mapping[str, Any]) -> Iterator[list[str]]:
        if any(row["text"] == "bad" for row in rows):
            raise ValueError("a text is bad")
        return self._pieces([row["text"] for row in rows])

    def _pieces(self, texts: list[str]) -> Iterator[list[str]]:
        for i in range(max(map(len, texts))):
            if any(text[i : i + 1] == "#" for text in texts):
                raise RuntimeError("a defect")
            yield [text[i : i + 1].upper() for text in texts]


Use = Callable[[httpx.AsyncClient], Awaitable[Any]]


def using(models: Sequence[ServedModel], use: Use, limits: Limits | None = None) -> Any:
    """What `use` returns with a client of a server of these models."""

    async def run() -> Any:
        with Serving(models, limits or Limits(max_wait=0.0)) as serving:
            return await with_client(make_app(serving), use)

    return asyncio.run(run())


async def with_client(app: Gate, use: Use) -> Any:
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=True)
    async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
        return await use(client)


def posted(model: ServedModel, path: str, body: Any, **limits: Any) -> httpx.Response:
    """The reply to a JSON body, or to bytes."""

    async def use(client: httpx.AsyncClient) -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await client.post(path, content=content, headers=JSON)

    return using([model], use, Limits(max_wait=0.0, **limits))


def got(models: Sequence[ServedModel], path: str) -> httpx.Response:
    return using(models, lambda client: client.get(path))


JSON = {"Content-Type": "application/json"}
