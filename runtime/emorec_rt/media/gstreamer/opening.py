"""From an address to a source that GStreamer reads."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import av.error

from emorec_rt.errors import MediaError
from emorec_rt.media.container import open_container
from emorec_rt.media.gstreamer.connection import GStreamerConnection
from emorec_rt.media.gstreamer.library import import_gstreamer
from emorec_rt.media.gstreamer.pipelines import plan
from emorec_rt.media.sources.addresses import endpoint, is_camera, masked, scheme
from emorec_rt.media.sources.base import SourceOptions
from emorec_rt.media.sources.cameras import check_camera
from emorec_rt.media.sources.connection import reason_of
from emorec_rt.media.sources.hosts import check_host
from emorec_rt.media.sources.stream import StreamSource
from emorec_rt.media.sources.transports import Interruption
from emorec_rt.media.tracks import choose_video, duration_seconds

_VAGUE: Final = ("could not", "failed to connect", "nothing came")
RTSP_PORTS: Final = {"rtsp": 554, "rtsps": 322}


def open_gstreamer(address: str, options: SourceOptions) -> StreamSource:
    """Open a file, a camera, an RTSP stream or a pipeline of one's own with GStreamer.

    Args:
        address: See ``plan``.
        options: How.

    Raises:
        DecoderUnavailableError: GStreamer or its Python bindings are missing.
        MediaError: It can't be opened.
    """
    gstreamer = import_gstreamer()
    chosen = plan(address, options, hardware=gstreamer.hardware)
    name = masked(address)
    header = _Header() if chosen.live else _header(Path(address), options)

    def connect(interruption: Interruption) -> GStreamerConnection:
        _check(address, options)
        first_seconds = header.first_seconds
        try:
            return GStreamerConnection(gstreamer, chosen, name, options, interruption, first_seconds)
        except MediaError as error:
            vague = error.reason.startswith(_VAGUE)
            raise MediaError(name, (vague and _refusal(address, options)) or error.reason) from None

    reconnect_seconds = options.reconnect_seconds if chosen.live else 0.0
    source = StreamSource(name, connect, live=chosen.live, reconnect_seconds=reconnect_seconds)
    source.duration_seconds = header.duration_seconds
    return source


@dataclass(frozen=True, slots=True)
class _Header:
    duration_seconds: float | None = None
    first_seconds: float | None = None


def _header(path: Path, options: SourceOptions) -> _Header:
    """Read a file's header with PyAV, which refuses files that point to others or are too large."""
    with open_container(path, options.limits) as container:
        stream = choose_video(container, path, options.limits, threads=1)
        duration = duration_seconds(container, path.stat().st_size)
        try:
            first = None if stream is None else next(container.decode(stream), None)
        except (av.error.FFmpegError, ValueError):
            first = None
        return _Header(duration, None if first is None else first.time)


def _check(address: str, options: SourceOptions) -> None:
    if is_camera(address):
        check_camera(address)
    elif scheme(address) in RTSP_PORTS:
        check_host(address, options.open_seconds)


def _refusal(address: str, options: SourceOptions) -> str | None:
    """Find out why an RTSP server can't be reached, as GStreamer doesn't tell; ``None`` if it can."""
    default_port = RTSP_PORTS.get(scheme(address) or "")
    if default_port is None:
        return None
    place = endpoint(address, default_port)
    try:
        socket.create_connection((place.host, place.port), options.open_seconds).close()
    except OSError as error:
        return reason_of(error)
    return None
