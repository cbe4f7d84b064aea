"""A live connection: pictures and sound come in over a WebSocket, rows go out as they become final.

A message from the client is binary: a byte that tells its kind, the time in seconds as a little-endian
float64, then the content: ``1`` a JPEG; ``2`` the rate in Hz as uint32 and mono sound as int16. A message
from the server is a row as in ``jsonl``.
"""

from __future__ import annotations

import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import anyio
import cv2
import numpy as np
from numpy.typing import NDArray
from starlette.websockets import WebSocket, WebSocketDisconnect

from emorec_rt.errors import EmorecError, UsageError
from emorec_rt.recognizer.live import LiveSession
from emorec_rt.recognizer.recognizer import Recognizer
from emorec_rt.writers.jsonl import JsonlFormat

MOST_PIXELS: Final = 1920 * 1080
NORMAL, WRONG, AGAIN_LATER, FAILED = 1000, 1007, 1013, 1011
"""Codes with which a WebSocket closes (RFC 6455, 7.4.1; 1013 is registered with IANA)."""

_HEAD: Final = struct.Struct("<Bd")
_RATE: Final = struct.Struct("<I")
_PICTURE, _SOUND = 1, 2
_START_OF_FRAME: Final = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_STANDALONE: Final = frozenset({0x01, *range(0xD0, 0xD9)})

InThread = Callable[[Callable[[], Any]], Awaitable[Any]]


@dataclass
class End:
    """Code and reason with which a connection closes; no reason where the client has left."""

    code: int = NORMAL
    reason: str = ""


async def converse(
    socket: WebSocket, recognizer: Recognizer, in_thread: InThread, most_seconds: float
) -> None:
    """Serve one accepted client until it leaves, something is wrong, or its time is up."""
    sound = socket.query_params.get("sound", "1") != "0"
    session = await in_thread(partial(recognizer.open, sound=sound))
    end = End(NORMAL, f"the longest time of {most_seconds:g} s is up")
    try:
        with anyio.move_on_after(most_seconds):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(send_rows, socket, session, recognizer, end, tasks.cancel_scope)
                await _receive(socket, session, in_thread, end)
                await in_thread(session.close)  # ends the sender, after the last rows
    finally:
        with anyio.CancelScope(shield=True):
            await in_thread(session.close)
    if end.reason:
        await close(socket, end)


async def send_rows(
    socket: WebSocket, session: LiveSession, recognizer: Recognizer, end: End, scope: anyio.CancelScope
) -> None:
    """Send rows until the session is closed; where they can't be made or sent, end the scope."""
    lines = JsonlFormat(recognizer.labels, "camera")
    try:
        async for row in session:
            await socket.send_text(lines.row(row).rstrip("\n"))
    except EmorecError:
        end.code, end.reason = FAILED, "the engines have failed; try again"
        scope.cancel()
    except (WebSocketDisconnect, RuntimeError):
        end.reason = ""
        scope.cancel()


async def _receive(socket: WebSocket, session: LiveSession, in_thread: InThread, end: End) -> None:
    """Take messages until the client leaves, or one of them is wrong."""
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            end.reason = ""
            return
        try:
            await in_thread(partial(push, session, message.get("bytes") or b""))
        except UsageError as error:
            end.code, end.reason = WRONG, str(error)[:100]
            return


def push(session: LiveSession, message: bytes) -> None:
    """Hand one message to the session.

    Raises:
        UsageError: It is neither a picture nor sound, or its time goes backwards.
    """
    if len(message) < _HEAD.size:
        raise UsageError("a message is too short")
    kind, seconds = _HEAD.unpack_from(message)
    content = message[_HEAD.size :]
    if kind == _PICTURE:
        session.push_frame(decoded(content), seconds)
    elif kind == _SOUND and len(content) > _RATE.size and (len(content) - _RATE.size) % 2 == 0:
        samples = np.frombuffer(content, "<i2", offset=_RATE.size).astype(np.int16)
        session.push_sound(samples, seconds, _RATE.unpack_from(content)[0])
    else:
        raise UsageError("a message is neither a picture nor sound")


def decoded(jpeg: bytes) -> NDArray[np.uint8]:
    """A picture, uint8 ``[H, W, 3]``, RGB; its size is looked at before memory is taken for it.

    Raises:
        UsageError: It is no JPEG, or too large.
    """
    width, height = jpeg_size(jpeg)
    if not 0 < width * height <= MOST_PIXELS:
        raise UsageError(f"a picture of {width}x{height} is too large")
    pixels = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    if pixels is None:
        raise UsageError("a picture is no JPEG")
    return np.ascontiguousarray(pixels[..., ::-1]).astype(np.uint8, copy=False)


def jpeg_size(jpeg: bytes) -> tuple[int, int]:
    """Width and height that a JPEG's header tells (ITU-T T.81, B.2.2).

    Raises:
        UsageError: It tells none.
    """
    at = 2 if jpeg.startswith(b"\xff\xd8") else len(jpeg)
    while at + 9 <= len(jpeg) and jpeg[at] == 0xFF:
        marker = jpeg[at + 1]
        if marker in _START_OF_FRAME:
            height, width = struct.unpack_from(">HH", jpeg, at + 5)
            return width, height
        alone = marker in _STANDALONE or marker == 0xFF
        at += (1 if marker == 0xFF else 2) if alone else 2 + struct.unpack_from(">H", jpeg, at + 2)[0]
    raise UsageError("a picture is no JPEG")


async def close(socket: WebSocket, end: End) -> None:
    """Close a connection with code and reason."""
    try:
        await socket.close(end.code, end.reason)
    except RuntimeError:  # the client was faster
        return
