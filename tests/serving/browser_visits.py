"""What `test_page_in_browser.py` serves, and what it sees of the page."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import uvicorn
from serving.clients import Shouting

from keras_s2s.serving.app import make_app
from keras_s2s.serving.limits import Limits
from keras_s2s.serving.models.hosting import Serving
from keras_s2s.serving.models.preset_model import TEXT, PresetModel
from keras_s2s.serving.models.served_model import OFFERS, Row, ServedModel
from keras_s2s.serving.server import open_socket


class Held(PresetModel):
    """A model that can be made to wait before it generates."""

    go = threading.Event()

    def run(self, key: Any, rows: Sequence[Any]) -> list[Row]:
        if key.kind == TEXT:
            assert self.go.wait(30)
        return super().run(key, rows)


class Ids(Shouting):
    """A model without texts."""

    obstacles: Mapping[str, str] = dict.fromkeys(OFFERS, "This model reads ids.")  # type: ignore[assignment]


class Exported(Shouting):
    """A model that does what a SavedModel does."""

    obstacles: Mapping[str, str] = {  # type: ignore[assignment]
        name: f"An exported model has no {name}."
        for name in ("several", "stream", "attention", "documents")
    }


@contextmanager
def running(models: Sequence[ServedModel], limits: Limits) -> Iterator[str]:
    """The address of a server in a thread, on a real connection."""
    with Serving(models, limits) as serving, open_socket("127.0.0.1", 0) as listener:
        config = uvicorn.Config(make_app(serving), log_config=None, lifespan="off", ws="none")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        finally:
            server.should_exit = True
            thread.join(30)


class Visit:
    """A page, what it asked for, and what went wrong in it."""

    def __init__(self, browser: Any, address: str, **options: Any) -> None:
        self.context = browser.new_context(**options)
        self.page = self.context.new_page()
        self.page.set_default_timeout(15_000)
        self.requests: list[str] = []
        self.problems: list[str] = []
        self.context.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("console", self._note)
        self.page.goto(address)
        self.page.wait_for_selector("html[data-ready]")

    def _note(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.problems.append(message.text)

    def generate(self, text: str) -> None:
        self.page.get_by_role("textbox", name="Text").fill(text)
        self.page.get_by_role("button", name="Generate").click()
        self.page.wait_for_selector(".result")

    def texts(self, selector: str) -> list[str]:
        return self.page.locator(selector).all_text_contents()

    def text(self, selector: str) -> str:
        return self.page.locator(selector).inner_text()

    def focused(self) -> str:
        """The id of what has the focus, or the nearest one above it."""
        return self.page.evaluate("document.activeElement.closest('[id]').id")


def bare(text: str) -> str:
    """A text without the marks that isolate its direction."""
    return re.sub("[\u2068\u2069]", "", text)


def luminance(colour: Sequence[int]) -> float:
    """The relative luminance of red, green and blue from 0 to 255, as WCAG defines it."""
    parts = [part / 255 for part in colour]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


#: What the colours of a text and of all that lies behind it look like: painted, and read.
COLOURS = """element => {
    const canvas = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
    const paint = (colour) => {
        canvas.fillStyle = colour;
        canvas.fillRect(0, 0, 1, 1);
        return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
    };
    const around = [];
    for (let each = element; each; each = each.parentElement) around.unshift(each);
    const behind = around.map((each) => paint(getComputedStyle(each).backgroundColor)).pop();
    return [behind, paint(getComputedStyle(element).color)];
}"""


def contrast(page: Any, selector: str) -> float:
    """The contrast of a text with what is behind it, as WCAG defines it."""
    found = page.locator(selector).first.evaluate(COLOURS)
    dark, light = sorted(map(luminance, found))
    return (light + 0.05) / (dark + 0.05)
