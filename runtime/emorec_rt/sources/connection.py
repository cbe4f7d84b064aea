"""One connection: a container that is read once, front to back, and what it is read from."""

from __future__ import annotations

import errno
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
from emorec_rt.media.segment import BLOCK_SECONDS, LIVE_BLOCK_SECONDS
from emorec_rt.sources.base import SourceOptions
from emorec_rt.sources.transports import Interruption, Transport

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
        warnings: What can't be decoded of it.
        lost: Why it ended before the sender's end; ``None`` as long as nothing says so.
    """

    def __init__(
        self,
        container: InputContainer,
        decoders: TrackDecoders,
        warnings: list[str],
        transport: Transport | None = None,
    ) -> None:
        self.has_video = decoders.frames is not None
        self.has_sound = decoders.sound is not None
        self._decoders = decoders
        self.warnings = warnings
        self.lost: str | None = None
        self._container = container
        self._transport = transport

    def items(self) -> Iterator[MediaItem]:
        """Decode until it ends, for whatever reason."""
        try:
            for packet in self._decoders.packets():
                yield from self._decoders.decode(packet)
                if self._decoders.hopeless:
                    self.lost = "all that comes is damaged"
                    return
        except (av.error.FFmpegError, OSError) as error:
            self.lost = reason_of(error)
        if self._transport is not None and self._transport.cut_short:
            self.lost = self.lost or "less came than was announced"
        yield from self._decoders.finish()

    @property
    def complete(self) -> bool:
        """Whether the sender said that this was all."""
        return self._transport is not None and self._transport.complete

    @property
    def counts(self) -> dict[str, PacketCounts]:
        """How the packets of each track have done so far."""
        return self._decoders.counts

    def damage(self, source: str, counts: Mapping[str, PacketCounts]) -> list[str]:
        """What was damaged, a line each; see ``TrackDecoders.damage``.

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
    """Open what a transport brings; it is closed if that fails.

    Args:
        transport: Where bytes come from.
        name: What messages call it.
        options: The source's options.
        interruption: Ends the transport's reads.
        threads: Decoding threads.
        live: Whether it comes in real time.
        open_seconds: How long recognising the format may take; ``None`` waits.
        demuxer_options: FFmpeg's, for the demuxer.

    Raises:
        MediaError: It is no media of an accepted format.
    """
    interruption.watch(transport)
    transport.open_by = None if open_seconds is None else time.monotonic() + open_seconds
    try:
        container = open_bytes(transport, options.limits, demuxer_options)
    except OPEN_ERRORS as error:
        transport.close()
        if transport.cancelled is not None:
            raise transport.cancelled from None
        raise MediaError(name, _bytes_reason(transport, error)) from error
    except BaseException:
        transport.close()
        raise
    transport.open_by = None
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
        name: What messages call it.
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
            options={"max_pixels": str(options.limits.max_pixels)},
            container_options=dict(demuxer_options),
            metadata_errors="replace",
            timeout=(options.open_seconds, options.read_seconds),
        )
    except OPEN_ERRORS as error:
        raise MediaError(name, _ffmpeg_reason(error, options)) from None  # the cause has the password in it
    return _decoding(container, name, options, threads, None, live=True)


def reason_of(error: Exception) -> str:
    """What happened, in words, without FFmpeg's repetition of the address."""
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
    block_seconds = LIVE_BLOCK_SECONDS if live else BLOCK_SECONDS
    try:
        decoders, warnings = open_decoders(
            container, name, options.limits, threads=threads, block_seconds=block_seconds
        )
        return Connection(container, decoders, warnings, transport)
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
        return "what comes is no media of a known format"
    if isinstance(error, OSError) and error.errno == errno.ENOTTY:
        return "this is no camera"
    return reason_of(error)
