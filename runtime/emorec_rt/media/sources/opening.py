"""From an address to a source."""

from __future__ import annotations

import os
import stat
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from emorec_rt.errors import MediaError
from emorec_rt.machine.cores import usable_cores
from emorec_rt.media import open_media
from emorec_rt.media.reader import MAX_THREADS
from emorec_rt.media.sources.addresses import STDIN, endpoint, is_camera, masked, normalised, scheme
from emorec_rt.media.sources.base import Source, SourceOptions
from emorec_rt.media.sources.cameras import check_camera
from emorec_rt.media.sources.connection import Connection, connect_bytes, connect_ffmpeg, reason_of
from emorec_rt.media.sources.hosts import check_host
from emorec_rt.media.sources.http import MULTIPART, HttpTransport
from emorec_rt.media.sources.part import part_of
from emorec_rt.media.sources.pictures import PictureFolder
from emorec_rt.media.sources.stream import Connect, SourceEndedError, StreamSource
from emorec_rt.media.sources.transports import (
    Interruption,
    PipeTransport,
    TcpTransport,
    Transport,
    UdpTransport,
)

LIVE_THREADS: Final = 1
_RTSP_FORMATS: Final = "rtsp,rtp,mpegts,asf"
TransportT = TypeVar("TransportT", bound=Transport)
_DEFAULT_OPTIONS: Final = SourceOptions()


def open_source(address: str | Path, options: SourceOptions = _DEFAULT_OPTIONS) -> Source:
    """Open the source that an address names, or the part of it that the options ask for.

    Args:
        address: A media file, a folder of numbered pictures, ``-`` for standard input, a camera's device file
            (``/dev/video0``), or an address: ``rtsp://``, ``rtsps://``, ``http://``, ``https://``, ``tcp://``,
            ``udp://``, ``srt://``, ``gst:`` and a GStreamer pipeline, ``csi://0`` for a Jetson's camera.
        options: How.

    Raises:
        MediaError: It can't be opened.
        DecoderUnavailableError: It needs GStreamer or DALI, which isn't installed.
    """
    return part_of(_open_whole(address, options), options)


def _open_whole(address: str | Path, options: SourceOptions) -> Source:
    text = normalised(address)
    if text == STDIN:
        return _open_stdin(options)
    if scheme(text) in ("gst", "csi") or (options.decoder == "gstreamer" and not Path(address).is_dir()):
        from emorec_rt.media.gstreamer import open_gstreamer

        return open_gstreamer(text, options)
    if is_camera(text):
        return _live(text, partial(_connect_camera, text, options), options)
    kind = scheme(text)
    if kind is None:
        path = Path(address)
        if path.is_dir():
            return PictureFolder(path, options.fps, options.limits)
        return _open_file(path, options)
    opener = _OPENERS.get(kind)
    if opener is None:
        known = ", ".join(f"{name}://" for name in (*_OPENERS, "csi"))
        raise MediaError(masked(text), f"{kind}:// is not supported; there are {known}")
    return opener(text, options)


def _open_file(path: Path, options: SourceOptions) -> Source:
    if options.decoder == "dali":
        from emorec_rt.media.dali.reader import open_dali

        return open_dali(path, limits=options.limits, tracks=options.tracks, threads=options.threads)
    return open_media(
        path,
        limits=options.limits,
        tracks=options.tracks,
        threads=options.threads,
        single_thread_pixels=options.single_thread_pixels,
    )


def _open_stdin(options: SourceOptions) -> Source:
    name = "standard input"
    try:
        descriptor = sys.stdin.fileno()
        mode = os.fstat(descriptor).st_mode
    except (AttributeError, OSError, ValueError):
        raise MediaError(name, "it is closed; pipe media into it") from None
    if os.isatty(descriptor) or stat.S_ISDIR(mode):
        raise MediaError(name, "it is not a pipe or file; pipe media into it")
    if stat.S_ISREG(mode) and os.lseek(descriptor, 0, os.SEEK_CUR) == 0:
        file = Path(f"/dev/fd/{descriptor}")  # ``< talk.mp4``: a file whose index may stand at its end
        if file.exists():
            return _open_file(file, options)

    def connect(interruption: Interruption) -> Connection:
        transport = PipeTransport(descriptor)
        return connect_bytes(transport, name, options, interruption, threads=_file_threads(options))

    return StreamSource(name, connect, live=False)


def _open_tcp(address: str, options: SourceOptions) -> Source:
    place = endpoint(address)
    seconds = options.open_seconds, options.read_seconds
    connect = partial(_connect_bytes, address, options, lambda: TcpTransport(place, *seconds))
    reconnect_seconds = options.reconnect_seconds
    return StreamSource(masked(address), connect, live=None, reconnect_seconds=reconnect_seconds)


def _open_udp(address: str, options: SourceOptions) -> Source:
    place = endpoint(address)
    seconds = options.read_seconds
    return _live(
        address, partial(_connect_bytes, address, options, lambda: UdpTransport(place, seconds)), options
    )


def _open_http(address: str, options: SourceOptions) -> Source:
    transports: list[HttpTransport] = []

    def connect(interruption: Interruption) -> Connection:
        def opened() -> HttpTransport:
            transports.append(HttpTransport(address, options.open_seconds, options.read_seconds))
            return transports[-1]

        connection = _connect_bytes(address, options, opened, interruption)
        *before, transport = transports
        transports[:] = [transport]
        if before and transport.repeats(before[-1]):
            connection.close()
            raise SourceEndedError(masked(address), "the server sends the same again")
        return connection

    reconnect_seconds = options.reconnect_seconds
    return StreamSource(masked(address), connect, live=None, reconnect_seconds=reconnect_seconds, paced=True)


def _connect_bytes(
    address: str, options: SourceOptions, open_transport: Callable[[], Transport], interruption: Interruption
) -> Connection:
    until = time.monotonic() + options.open_seconds
    check_host(address, options.open_seconds)
    transport = _opened(address, open_transport)
    finite, demuxer = False, {}
    if isinstance(transport, HttpTransport):
        finite = transport.is_file and transport.content_type != MULTIPART
        if transport.content_type == MULTIPART:
            # Pictures that replace one another carry no times: when they come is when they were taken.
            demuxer["use_wallclock_as_timestamps"] = "1"
    return connect_bytes(
        transport,
        masked(address),
        options,
        interruption,
        threads=_file_threads(options) if finite else options.threads or LIVE_THREADS,
        live=not finite,
        open_seconds=until - time.monotonic(),
        demuxer_options=demuxer,
    )


def _open_rtsp(address: str, options: SourceOptions) -> Source:
    demuxer = {
        "rtsp_transport": options.rtsp_transport,
        "timeout": str(round(options.read_seconds * 1_000_000)),
        "protocol_whitelist": "rtsp,rtp,rtcp,udp,tcp" + (",tls" if scheme(address) == "rtsps" else ""),
        "format_whitelist": _RTSP_FORMATS,
    }
    return _live(address, partial(_connect_ffmpeg, address, options, "rtsp", demuxer), options)


def _open_srt(address: str, options: SourceOptions) -> Source:
    endpoint(address)
    demuxer = {"protocol_whitelist": "srt,udp", "format_whitelist": "mpegts"}
    return _live(address, partial(_connect_ffmpeg, address, options, "mpegts", demuxer), options)


def _connect_camera(device: str, options: SourceOptions, interruption: Interruption) -> Connection:
    check_camera(device)
    demuxer = {"format_whitelist": "v4l2,video4linux2"}
    if options.camera_size is not None:
        demuxer["video_size"] = "{}x{}".format(*options.camera_size)
    if options.camera_fps is not None:
        demuxer["framerate"] = f"{options.camera_fps:g}"
    return _connect_ffmpeg(device, options, "v4l2", demuxer, interruption)


def _connect_ffmpeg(
    address: str,
    options: SourceOptions,
    format_name: str,
    demuxer_options: dict[str, str],
    _interruption: Interruption,  # FFmpeg's own reads end by their timeout alone
) -> Connection:
    check_host(address, options.open_seconds)
    return connect_ffmpeg(
        address,
        masked(address),
        options,
        format_name=format_name,
        demuxer_options=demuxer_options,
        threads=options.threads or LIVE_THREADS,
    )


def _live(address: str, connect: Connect, options: SourceOptions) -> Source:
    return StreamSource(masked(address), connect, live=True, reconnect_seconds=options.reconnect_seconds)


def _file_threads(options: SourceOptions) -> int:
    return options.threads or min(usable_cores(), MAX_THREADS)


def _opened(address: str, open_transport: Callable[[], TransportT]) -> TransportT:
    try:
        return open_transport()
    except MediaError:
        raise
    except OSError as error:
        raise MediaError(masked(address), reason_of(error)) from None


_OPENERS: Final[dict[str, Callable[[str, SourceOptions], Source]]] = {
    "rtsp": _open_rtsp,
    "rtsps": _open_rtsp,
    "http": _open_http,
    "https": _open_http,
    "tcp": _open_tcp,
    "udp": _open_udp,
    "srt": _open_srt,
}
