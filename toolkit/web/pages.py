"""The web application: one page, its script and style, and the updates it asks for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from toolkit.web.access import Access
from toolkit.web.updates import Updates

__all__ = ["live_app"]

_Answering = Callable[[Request], Awaitable[Response]]
_FILES = Path(__file__).parent
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self' blob: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",  # the address holds the token
    "X-Content-Type-Options": "nosniff",
}


def live_app(updates: Updates, access: Access) -> ASGIApp:
    """Return the application; every request passes `access` first."""
    routes = [
        Route("/{token}/", _file("live.html", "text/html")),
        Route("/{token}/live.css", _file("live.css", "text/css")),
        Route("/{token}/live.js", _file("live.js", "text/javascript")),
        Route("/{token}/update", _updating(updates)),
    ]
    return _guarded(Starlette(routes=routes), access)


def _guarded(app: ASGIApp, access: Access) -> ASGIApp:
    async def guard(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        if refusal := access.refusal(scope["path"], headers):
            status, reason = refusal
            await PlainTextResponse(reason, status, headers=_HEADERS)(scope, receive, send)
            return
        await app(scope, receive, send)

    return guard


def _file(name: str, kind: str) -> _Answering:
    content = (_FILES / name).read_bytes()

    async def answer(_: Request) -> Response:
        return Response(content, media_type=kind, headers=_HEADERS)

    return answer


def _updating(updates: Updates) -> _Answering:
    async def answer(request: Request) -> Response:
        asked = request.query_params
        try:
            after, picture = int(asked.get("after", "-1")), int(asked.get("picture", "-1"))
        except ValueError:
            return PlainTextResponse("after and picture are numbers", 400, headers=_HEADERS)
        content = updates.update(
            viewer=asked.get("viewer", "")[:32],
            run=asked.get("run", ""),
            after=after,
            picture=picture,
        )
        return Response(content, media_type="application/octet-stream", headers=_HEADERS)

    return answer
