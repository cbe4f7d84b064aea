"""Decode packets and survive the damaged ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Generic, TypeVar, cast

import av.error
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

FrameT = TypeVar("FrameT", VideoFrame, AudioFrame)


class PacketDecoder(Generic[FrameT]):
    """One stream's codec.

    Attributes:
        damaged: Packets that couldn't be decoded so far.
        damaged_in_a_row: Those since the last frame.
        decoded: Frames so far.
    """

    def __init__(self, stream: VideoStream | AudioStream) -> None:
        self._codec = stream.codec_context
        self.damaged = 0
        self.damaged_in_a_row = 0
        self.decoded = 0

    def decode(self, packet: Packet[Any] | None) -> list[FrameT]:
        """Decode a packet, or, with ``None``, what the codec still holds."""
        try:
            frames = cast("list[FrameT]", self._codec.decode(packet))
        except (av.error.FFmpegError, ValueError):
            self.damaged += packet is not None
            self.damaged_in_a_row += 1
            return []
        if frames:
            self.damaged_in_a_row = 0
        self.decoded += len(frames)
        return frames


def packets_of(container: InputContainer, *streams: VideoStream | AudioStream) -> Iterator[Packet[Any]]:
    """Demux streams to the end; the empty packets, which would end a stream for its codec, are left out.

    A track that begins in the middle of a container is unknown to PyAV. Before version 19 it gives an
    ``IndexError`` in its place, once everything has been read.
    """
    with suppress(IndexError):
        for packet in container.demux(*streams):
            if packet.size:
                yield packet
