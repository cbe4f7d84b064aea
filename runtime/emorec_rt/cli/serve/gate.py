"""A gate at the front: names of this host, pages of this server, holders of the token."""

from __future__ import annotations

import contextlib
import hmac
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from h11 import LocalProtocolError  # what uvicorn speaks HTTP with
from starlette.datastructures import Headers
from starlette.responses import JSONResponse

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

OPEN_PATHS = ("/", "/health", "/openapi.json")
"""Without the token: they tell nothing of anybody."""

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Gate:
    """Refuse what comes by another name, from a page of another server, or without the token.

    A browser runs the pages of any site. Without the first check, such a site could reach a server on this
    machine under a name of its own ("DNS rebinding"); without the second, it could send files to it.

    Args:
        app: What is behind the gate.
        hosts: Names by which clients may call this server; empty allows any.
        token: What clients must show; ``None`` asks for none.
    """

    def __init__(self, app: App, hosts: tuple[str, ...], token: str | None) -> None:
        self._app, self._hosts, self._token = app, hosts, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        send = _unless_broken(send)
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": refusal[1]})
        else:
            status, reason = refusal
            headers = {**HEADERS, **({"WWW-Authenticate": "Bearer"} if status == 401 else {})}
            await JSONResponse({"error": reason}, status, headers)(scope, receive, send)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if self._hosts and _name(host) not in self._hosts:
            return 403, "this server answers to the names of its own machine alone"
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != host:
            return 403, "pages of other servers may not use this one"
        if self._token is None or (scope["type"] == "http" and scope["path"] in OPEN_PATHS):
            return None
        shown = headers.get("authorization", "").removeprefix("Bearer ")
        if scope["type"] == "websocket":  # a browser can't give it headers
            shown = parse_qs(scope["query_string"].decode("latin-1")).get("token", [shown])[0]
        if not hmac.compare_digest(shown.encode(), self._token.encode()):
            return 401, "show the token: Authorization: Bearer TOKEN"
        return None


def _unless_broken(send: Send) -> Send:
    """Send nothing where the client has broken the protocol: its connection is closed without an answer."""

    async def sending(message: MutableMapping[str, Any]) -> None:
        with contextlib.suppress(LocalProtocolError):
            await send(message)

    return sending


def _name(host: str) -> str:
    """The name in a Host header, without the port."""
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0].lower()
