"""The files of the page at `/`: HTML, CSS and JavaScript in `keras_s2s/serving/page/`."""

from __future__ import annotations

from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from keras_s2s.serving.interfaces.replies import Handler

FOLDER = Path(__file__).resolve().parents[1] / "page"

#: Address of the page's own files and requests.
BELOW = "/page/"

#: Name of the file that `/` shows.
INDEX = "index.html"

#: Files by their names, and the media types that they are sent with.
FILES = {
    INDEX: "text/html; charset=utf-8",
    "page.css": "text/css; charset=utf-8",
    "icon.svg": "image/svg+xml",
    "main.js": "text/javascript; charset=utf-8",
    "elements.js": "text/javascript; charset=utf-8",
    "requests.js": "text/javascript; charset=utf-8",
    "text_panel.js": "text/javascript; charset=utf-8",
    "attention.js": "text/javascript; charset=utf-8",
    "document_panel.js": "text/javascript; charset=utf-8",
}

#: Nothing is read from anywhere but this server, nothing inline is run, and no other page can show
#: this one in a frame.
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)

HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    # Another version of the package has another page.
    "Cache-Control": "no-cache",
}


def file_handlers() -> dict[str, Handler]:
    """Returns a handler for the address of each file: `/`, `/page/page.css`, ...

    Example:
        >>> list(file_handlers())[:2]
        ['/', '/page/page.css']
    """
    return {
        "/" if name == INDEX else BELOW + name: _handler(FOLDER / name, kind)
        for name, kind in FILES.items()
    }


def _handler(path: Path, kind: str) -> Handler:
    content = path.read_bytes()

    async def send(request: Request) -> Response:
        return Response(content, headers={**HEADERS, "Content-Type": kind})

    return send
