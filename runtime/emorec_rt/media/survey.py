"""Survey of a file with several tracks: those that go on, and those that can be heard.

Headers don't tell. Screen recorders write a silent first sound track beside the microphone's, and cameras a
second video track of a few pictures.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import av.error
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from emorec_rt.media.container import open_container
from emorec_rt.media.downmix import channels_of
from emorec_rt.media.limits import MediaLimits
from emorec_rt.media.packets import PacketDecoder, packets_of

PLACES: Final = 4
"""Places of a file that are looked at, evenly apart, the first at its start."""

PLACE_SECONDS: Final = 15.0
MAX_PACKETS: Final = 20_000
"""Packets of one place, at most."""


@dataclass(slots=True)
class TrackContent:
    """Findings about one track.

    Attributes:
        packets: Packets in the places that were looked at.
        peak: The highest sample there, in [0, 1]; 0 for a video.
    """

    packets: int = 0
    peak: float = 0.0


def survey(path: Path, limits: MediaLimits) -> dict[int, TrackContent]:
    """Look at the tracks of a file, by their index.

    Raises:
        MediaError: It can't be read.
    """
    info = path.stat()
    return _survey(path, limits, info.st_size, info.st_mtime_ns)


@lru_cache(maxsize=16)
def _survey(path: Path, limits: MediaLimits, _size: int, _mtime: int) -> dict[int, TrackContent]:
    with open_container(path, limits) as container:
        streams: list[VideoStream | AudioStream] = [*container.streams.video, *container.streams.audio]
        found = {stream.index: TrackContent() for stream in streams}
        decoders = {stream.index: PacketDecoder[AudioFrame](stream) for stream in container.streams.audio}
        with suppress(av.error.FFmpegError, OSError):  # what was found before the damage is enough
            for packet in _sampled(container, streams):
                content = found[packet.stream_index]
                content.packets += 1
                if packet.stream_index in decoders:
                    content.peak = max(content.peak, _peak(decoders[packet.stream_index], packet))
    return found


def _sampled(container: InputContainer, streams: list[VideoStream | AudioStream]) -> Iterator[Packet[Any]]:
    """Packets of some places of a container; of a short one, its start."""
    duration = container.duration or 0  # in microseconds, whatever the tracks count in
    yield from _place(container, streams)
    if duration > PLACES * PLACE_SECONDS * 1_000_000:
        for place in range(1, PLACES):
            container.seek(place * duration // PLACES)
            yield from _place(container, streams)


def _place(container: InputContainer, streams: list[VideoStream | AudioStream]) -> Iterator[Packet[Any]]:
    begin: float | None = None
    for count, packet in enumerate(packets_of(container, *streams)):
        if packet.dts is not None and packet.time_base:
            seconds = float(packet.dts * packet.time_base)
            begin = seconds if begin is None else begin
            if seconds > begin + PLACE_SECONDS:
                return
        if count >= MAX_PACKETS:
            return
        yield packet


def _peak(decoder: PacketDecoder[AudioFrame], packet: Packet[Any]) -> float:
    peaks = (np.abs(np.nan_to_num(channels_of(frame))).max(initial=0.0) for frame in decoder.decode(packet))
    return max(map(float, peaks), default=0.0)
