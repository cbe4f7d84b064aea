"""One connection: a container that is read once, front to back, and its transport."""

from __future__ import annotations

import errno
import math
import time
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

import av
import av.error
import av.logging
from av.container import InputContainer

from emorec_rt.errors import MediaError
from emorec_rt.media import MediaItem
from emorec_rt.media.container import OPEN_ERRORS, open_bytes
from emorec_rt.media.decoders import PacketCounts, TrackDecoders, open_decoders
from emorec_rt.media.pyav import UNDECODABLE_TAGS, probe_options
from emorec_rt.media.sources.base import SourceOptions
from emorec_rt.media.sources.transports import Interruption, Transport
from emorec_rt.media.tracks import duration_seconds

_MPEG4_BOX: Final = b"ftyp"
_INDEX_BEHIND: Final = (
    "its index is at the end or missing, so it can't be read front to back; give the file itself"
)
NO_OPTIONS: Final[Mapping[str, str]] = MappingProxyType({})


class Connection:
    """An open container with its decoders.

    Attributes:
        has_video: Frames will come.
        has_sound: Samples will come.
        live: Items come in real time.
        warnings: Tracks that can't be decoded, a line each.
        lost: Reason for an end before the sender's; ``None`` as long as there is none.
    """

    def __init__(
        self,
        container: InputContainer,
        decoders: TrackDecoders,
        warnings: list[str],
        transport: Transport | None = None,
        *,
        live: bool = True,
    ) -> None:
        self.live = live
        self.has_video = decoders.frames is not None
        self.has_sound = decoders.sound is not None
        self._decoders = decoders
        self.warnings = warnings
        self.lost: str | None = None
        self._container = container
        self._transport = transport

    def items(self) -> Iterator[MediaItem]:
        """Decode until it ends, for any reason."""
        try:
            for packet in self._decoders.packets():
                yield from self._decoders.decode(packet)
                if self._decoders.hopeless:
                    self.lost = "all that comes is damaged"
                    return
        except (av.error.FFmpegError, OSError) as error:
            self.lost = reason_of(error)
        if self._transport is not None:
            self._look_at(self._transport)
        yield from self._decoders.finish()

    def _look_at(self, transport: Transport) -> None:
        """Find out why nothing more came."""
        failure = transport.failure
        if isinstance(failure, Exception):
            self.lost = reason_of(failure)
        elif failure is not None:
            raise failure
        elif transport.cut_short:
            self.lost = self.lost or "less came than was announced"

    @property
    def complete(self) -> bool:
        """Say whether the sender said that this was all."""
        return self._transport is not None and self._transport.complete

    @property
    def counts(self) -> dict[str, PacketCounts]:
        """Packets of each track so far, decoded and damaged."""
        return self._decoders.counts

    def damage(self, source: str, counts: Mapping[str, PacketCounts]) -> list[str]:
        """Describe the damage, a line each; see ``TrackDecoders.damage``.

        Raises:
            MediaError: Nothing at all could be decoded.
        """
        try:
            return self._decoders.damage(source, counts)
        except MediaError:
            if self._transport is not None and self._transport.head[4:8] == _MPEG4_BOX:
                raise MediaError(source, _INDEX_BEHIND) from None
            raise

    def close(self) -> None:
        """Close it; no other thread may be reading. May be called twice."""
        self._container.close()
        if self._transport is not None:
            self._transport.close()


def connect_bytes(
    transport: Transport,
    name: str,
    options: SourceOptions,
    interruption: Interruption,
    *,
    threads: int,
    live: bool = False,
    open_seconds: float | None = None,
    demuxer_options: Mapping[str, str] = NO_OPTIONS,
) -> Connection:
    """Open the container that a transport brings; the transport is closed if that fails.

    Args:
        transport: Source of the bytes.
        name: Name for messages.
        options: The source's options.
        interruption: Ends the transport's reads.
        threads: Decoding threads.
        live: Whether it comes in real time, unless its header tells how long it is.
        open_seconds: How long recognising the format may take; ``None`` waits.
        demuxer_options: FFmpeg's, for the demuxer.

    Raises:
        MediaError: It is not media of an accepted format.
    """
    interruption.watch(transport)
    transport.open_by = None if open_seconds is None else time.monotonic() + open_seconds
    try:
        container = open_bytes(transport, options.limits, demuxer_options)
    except OPEN_ERRORS as error:
        transport.close()
        raise MediaError(name, _bytes_reason(transport, error)) from error
    except BaseException:
        transport.close()
        raise
    transport.open_by = None
    live = live and duration_seconds(container, math.inf) is None
    return _decoding(container, name, options, threads, transport, live=live)


def connect_ffmpeg(
    address: str,
    name: str,
    options: SourceOptions,
    *,
    format_name: str | None,
    demuxer_options: Mapping[str, str],
    threads: int,
) -> Connection:
    """Open an address with FFmpeg itself: a protocol or a device that only FFmpeg speaks.

    Args:
        address: For FFmpeg, passwords and all.
        name: Name for messages.
        options: The source's options.
        format_name: The demuxer; ``None`` lets FFmpeg find out.
        demuxer_options: FFmpeg's, the whitelists among them.
        threads: Decoding threads.

    Raises:
        MediaError: No connection, or no media.
    """
    av.logging.set_level(None)  # FFmpeg's log would show passwords, and can deadlock with decoding threads
    try:
        container = av.open(
            address,
            mode="r",
            format=format_name,
            options=probe_options(options.limits),
            container_options=dict(demuxer_options),
            timeout=(options.open_seconds, options.read_seconds),
            **UNDECODABLE_TAGS,
        )
    except OPEN_ERRORS as error:
        raise MediaError(name, _ffmpeg_reason(error, options)) from None  # the cause has the password in it
    return _decoding(container, name, options, threads, None, live=True)


def reason_of(error: Exception) -> str:
    """Describe an error in words, without FFmpeg's repetition of the address."""
    if isinstance(error, av.error.ExitError):
        return "nothing came for too long"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused; nothing listens there"
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return text[:1].lower() + text[1:]


def _decoding(
    container: InputContainer,
    name: str,
    options: SourceOptions,
    threads: int,
    transport: Transport | None,
    *,
    live: bool,
) -> Connection:
    try:
        decoders, warnings = open_decoders(
            container, name, options.limits, tracks=options.tracks, threads=threads, live=live
        )
        return Connection(container, decoders, warnings, transport, live=live)
    except BaseException:
        container.close()
        if transport is not None:
            transport.close()
        raise


def _bytes_reason(transport: Transport, error: Exception) -> str:
    if not transport.bytes_read and not isinstance(error, TimeoutError):
        return "it ended before anything came"
    if transport.head[4:8] == _MPEG4_BOX:
        return _INDEX_BEHIND
    if transport.head.startswith(b"#EXTM3U"):
        return "this is a playlist; playlists are not followed, give the stream's own address"
    if isinstance(error, OSError) and not isinstance(error, av.error.FFmpegError):
        return reason_of(error)
    return "not media of a known format, or damaged from its start"


def _ffmpeg_reason(error: Exception, options: SourceOptions) -> str:
    if isinstance(error, av.error.ExitError):
        return f"nothing came for {options.open_seconds:g} s"
    if isinstance(error, av.error.ProtocolNotFoundError):
        return "the installed PyAV can't speak this protocol"
    if isinstance(error, av.error.HTTPUnauthorizedError):
        return "the server asks for another user or password (401)"
    if isinstance(error, av.error.InvalidDataError):
        return "what comes is not media of a known format"
    if isinstance(error, OSError) and error.errno == errno.ENOTTY:
        return "this is not a camera"
    return reason_of(error)
