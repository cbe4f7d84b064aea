"""The application: a page, uploads, a live connection, a health check and the description of it all."""

from __future__ import annotations

import contextlib
import math
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import PurePath
from typing import Any, Final

import anyio
from anyio import to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket

from emorec_rt import __version__
from emorec_rt.cli.serve.gate import HEADERS, App, Gate
from emorec_rt.cli.serve.live import AGAIN_LATER, FAILED, converse
from emorec_rt.cli.serve.openapi import description
from emorec_rt.cli.serve.uploads import Asked, Lines, explained, receive
from emorec_rt.cli.serve.watch import watch
from emorec_rt.errors import EmorecError, MediaError
from emorec_rt.recognizer.recognizer import Recognizer
from emorec_rt.writers.base import MIN_SEGMENT_SECONDS
from emorec_rt.writers.page import asset, fill
from emorec_rt.writers.palette import colours

NDJSON: Final = "application/x-ndjson"
LONGEST_NAME: Final = 200
PAGE_POLICY: Final = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; "
    "img-src data: blob:; media-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@dataclass(frozen=True, slots=True)
class Settings:
    """Limits of a server.

    Attributes:
        max_bytes: Largest upload.
        max_seconds: Longest time for an upload, its recognition, or a camera.
        max_at_once: Uploads and cameras at the same time.
        token: What clients must show; ``None`` asks for none.
        hosts: Names by which clients may call it; empty allows any.
        camera: Address of a camera of the server's own for the page; ``None`` offers none.
    """

    max_bytes: int = 512 << 20
    max_seconds: float = 3600.0
    max_at_once: int = 8
    token: str | None = None
    hosts: tuple[str, ...] = ()
    camera: str | None = None


class Server:
    """Handlers over one recognizer.

    Args:
        recognizer: Loaded engines; all clients share them.
        settings: Limits.
    """

    def __init__(self, recognizer: Recognizer, settings: Settings) -> None:
        self.recognizer = recognizer
        self.settings = settings
        self.running = 0
        self._camera = anyio.Lock()
        self._threads = anyio.CapacityLimiter(settings.max_at_once + 4)

    @contextlib.contextmanager
    def place(self) -> Iterator[None]:
        """Take one of the places.

        Raises:
            HTTPException: All are taken (503).
        """
        if self.running >= self.settings.max_at_once:
            raise HTTPException(503, "all places are taken; come again", {"Retry-After": "5"})
        self.running += 1
        try:
            yield
        finally:
            self.running -= 1

    async def in_thread(self, work: Any) -> Any:
        """Make a blocking call, while other clients are served."""
        return await to_thread.run_sync(work, limiter=self._threads)

    async def page(self, _: Request) -> Response:
        """The page for people."""
        return HTMLResponse(
            _page(self.recognizer, self.settings), headers={"Content-Security-Policy": PAGE_POLICY}
        )

    async def health(self, _: Request) -> Response:
        """State of the server, and how much it has to do."""
        return JSONResponse(
            {
                "status": "ok",
                "version": __version__,
                "backend": self.recognizer.backend,
                "labels": self.recognizer.labels,
                "notice": self.recognizer.notice,
                "running": self.running,
                "places": self.settings.max_at_once,
            }
        )

    async def openapi(self, _: Request) -> Response:
        """The description of the interface."""
        return JSONResponse(description(self.settings.token is not None))

    async def upload(self, request: Request) -> Response:
        """Rows or segments of an upload, a line each, as they are made."""
        asked = _asked(request)
        stack = contextlib.AsyncExitStack()
        async with stack:
            stack.enter_context(self.place())
            path = await receive(request, self.settings.max_bytes, self.settings.max_seconds)
            lines = Lines(self.recognizer, path, asked, self.settings.max_seconds)
            stack.push_async_callback(self._close, lines)
            try:
                first = await self.in_thread(lines.first)
            except EmorecError as error:
                raise explained(error) from error
            kept = stack.pop_all()  # the body gives the place back
            return StreamingResponse(self._body(kept, first, lines), media_type=NDJSON)
        raise AssertionError("unreachable")

    async def live(self, socket: WebSocket) -> None:
        """A client's camera and microphone."""
        await socket.accept()
        try:
            with self.place():
                await converse(socket, self.recognizer, self.in_thread, self.settings.max_seconds)
        except HTTPException as refusal:
            await socket.close(AGAIN_LATER, refusal.detail)

    async def watch(self, socket: WebSocket) -> None:
        """The server's own camera."""
        await socket.accept()
        camera = self.settings.camera
        if camera is None or self._camera.locked():
            await socket.close(
                AGAIN_LATER, "someone watches already" if camera else "this server has no camera"
            )
            return
        try:
            async with self._camera:
                with self.place():
                    await watch(socket, self.recognizer, camera, self.in_thread, self.settings.max_seconds)
        except HTTPException as refusal:
            await socket.close(AGAIN_LATER, refusal.detail)
        except MediaError as error:
            await socket.close(FAILED, error.reason[:100])

    async def _body(self, kept: contextlib.AsyncExitStack, first: str, lines: Lines) -> AsyncIterator[str]:
        async with kept:
            yield first
            try:
                while text := await self.in_thread(lines.take):
                    yield text
            except EmorecError:
                yield '{"error":"the engines have failed; try again"}\n'

    async def _close(self, lines: Lines) -> None:
        with anyio.CancelScope(shield=True):
            await self.in_thread(lines.close)


def create(recognizer: Recognizer, settings: Settings | None = None) -> App:
    """Make the application, an ASGI callable.

    Args:
        recognizer: Loaded engines.
        settings: Limits; ``None`` takes the defaults.
    """
    limits = settings or Settings()
    server = Server(recognizer, limits)
    routes: list[BaseRoute] = [
        Route("/", server.page),
        Route("/health", server.health),
        Route("/openapi.json", server.openapi),
        Route("/rows", server.upload, methods=["POST", "PUT"]),
        Route("/segments", server.upload, methods=["POST", "PUT"]),
        WebSocketRoute("/live", server.live),
        WebSocketRoute("/watch", server.watch),
    ]
    app = Starlette(routes=routes, exception_handlers={HTTPException: _refused})
    return Gate(_with_headers(app), limits.hosts, limits.token)


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for nothing else
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)


def _with_headers(app: App) -> App:
    async def wrapped(scope: Any, receive: Any, send: Any) -> None:
        async def sending(message: Any) -> None:
            if message["type"] == "http.response.start":
                extra = [(key.lower().encode(), value.encode()) for key, value in HEADERS.items()]
                message["headers"] = [*message.get("headers", []), *extra]
            await send(message)

        await app(scope, receive, sending if scope["type"] == "http" else send)

    return wrapped


def _asked(request: Request) -> Asked:
    """Read the query.

    Raises:
        HTTPException: It says something else (422).
    """
    query, kind = request.query_params, request.url.path.strip("/")
    known = {"rows": {"name", "every"}, "segments": {"name", "min_segment"}}[kind]
    if len(query.multi_items()) != len(query) or not set(query) <= known:
        raise HTTPException(422, f"the query may have {', '.join(sorted(known))}, once each")
    name = query.get("name", "upload")
    if not 1 <= len(name) <= LONGEST_NAME or not name.isprintable():
        raise HTTPException(422, f"name must have 1 to {LONGEST_NAME} printable characters")
    every = _number(query.get("every"), "every", 0.001, 86_400.0)
    shortest = _number(query.get("min_segment"), "min_segment", 0.0, 3600.0)
    return Asked(
        kind, PurePath(name).stem or name, every, MIN_SEGMENT_SECONDS if shortest is None else shortest
    )


def _number(text: str | None, name: str, least: float, most: float) -> float | None:
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not least <= value <= most:
        raise HTTPException(422, f"{name} must be a number of seconds from {least:g} to {most:g}")
    return value


def _page(recognizer: Recognizer, settings: Settings) -> str:
    import msgspec

    folder = files("emorec_rt.cli.serve") / "assets"
    data = {
        "labels": recognizer.labels,
        "colours": ["#{:02x}{:02x}{:02x}".format(*colour) for colour in colours(recognizer.labels)],
        "notice": recognizer.notice,
        "token": settings.token is not None,
        "camera": settings.camera is not None,
        "maxBytes": settings.max_bytes,
    }
    parts = {
        "style": asset("base.css") + asset("page.css") + (folder / "serve.css").read_text("utf-8"),
        "script": (folder / "serve.js").read_text("utf-8"),
        "data": msgspec.json.encode(data).decode().replace("<", "\\u003c"),
    }
    return fill((folder / "serve.html").read_text("utf-8"), parts)
