"""A camera or stream of the server's own, for people who look at the page from elsewhere.

Its address is given when the server starts; no client names one. A message to the client is a row as text, or
a picture as bytes: the time in seconds as a little-endian float64, width and height of the whole picture as
uint32, and a JPEG, which may be smaller.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

import anyio
import cv2
import numpy as np
from starlette.websockets import WebSocket, WebSocketDisconnect

from emorec_rt.cli.serve.live import NORMAL, End, InThread, close, send_rows
from emorec_rt.errors import MediaError, UsageError
from emorec_rt.media import Frame, Samples
from emorec_rt.media.sources import Source, open_source
from emorec_rt.recognizer.live import LiveSession
from emorec_rt.recognizer.recognizer import Recognizer

LONGER_SIDE: Final = 640
PICTURE_SECONDS: Final = 0.05
"""Time from one picture for the page to the next; every frame is recognised all the same."""

_HEAD: Final = struct.Struct("<dII")


async def watch(
    socket: WebSocket, recognizer: Recognizer, address: str, in_thread: InThread, most_seconds: float
) -> None:
    """Show an accepted client the camera until it leaves, the camera ends, or the time is up.

    Raises:
        MediaError: The camera can't be opened.
    """
    with await in_thread(partial(open_source, Path(address), recognizer.options.source)) as source:
        opened = partial(recognizer.open, video=source.has_video, sound=source.has_sound)
        session = await in_thread(opened)
        end = End(NORMAL, f"the longest time of {most_seconds:g} s is up")
        try:
            with anyio.move_on_after(most_seconds):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(send_rows, socket, session, recognizer, end, tasks.cancel_scope)
                    tasks.start_soon(_until_left, socket, end, tasks.cancel_scope)
                    await _show(socket, pictures(session, source), in_thread, end)
                    await in_thread(session.close)
                    tasks.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                source.close()
                await in_thread(session.close)
    if end.reason:
        await close(socket, end)


def pictures(session: LiveSession, source: Source) -> Iterator[bytes]:
    """Hand everything to the session, and yield a message for some of the frames."""
    shown_seconds = -PICTURE_SECONDS
    for item in source:
        try:
            if isinstance(item, Samples):
                session.push_sound(item.pcm, item.pts_seconds)
            elif isinstance(item, Frame):
                session.push_frame(item.pixels, item.pts_seconds)
        except UsageError:
            continue  # a clock that has jumped back
        if isinstance(item, Frame) and item.pts_seconds - shown_seconds >= PICTURE_SECONDS:
            shown_seconds = item.pts_seconds
            yield _message(item)


def _message(frame: Frame) -> bytes:
    height, width = frame.pixels.shape[:2]
    scale = min(LONGER_SIDE / max(height, width), 1.0)
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    small = cv2.resize(frame.pixels, size, interpolation=cv2.INTER_AREA)
    _, jpeg = cv2.imencode(".jpg", np.ascontiguousarray(small[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, 80])
    return _HEAD.pack(frame.pts_seconds, width, height) + jpeg.tobytes()


async def _show(socket: WebSocket, messages: Iterator[bytes], in_thread: InThread, end: End) -> None:
    try:
        while (message := await in_thread(partial(next, messages, None))) is not None:
            await socket.send_bytes(message)
        end.reason = "the camera has ended"
    except MediaError as error:
        end.reason = error.reason[:100]
    except (WebSocketDisconnect, RuntimeError):
        end.reason = ""


async def _until_left(socket: WebSocket, end: End, scope: anyio.CancelScope) -> None:
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass
    end.reason = ""
    scope.cancel()
