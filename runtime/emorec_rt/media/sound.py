"""Sound of an audio stream: decoded, mono, 16 kHz, in blocks at their true times."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.packet import Packet

from emorec_rt.media.downmix import Downmix
from emorec_rt.media.limits import MediaLimits
from emorec_rt.media.packets import PacketDecoder
from emorec_rt.media.segment import BLOCK_SECONDS, Segment
from emorec_rt.media.timeline import Timeline
from emorec_rt.media.types import Samples

AUDIBLE_PEAK: Final = 4 / 2**15
"""A track without a sample of this height, four steps of 16 bits or -78 dB of full scale, is silent."""

GAP_SECONDS: Final = 0.040
"""Timestamps may jitter by less (containers round them); more is a gap or an overlap."""


class SoundDecoder:
    """Decode one audio stream into blocks of samples.

    A gap in the timestamps and a change of rate start a new block at its own time. Sound that overlaps what
    was heard is cut off. But timestamps that go on by less than half of the sound between them are not a
    clock, and the sound is continued instead. FFmpeg cuts off the encoder's priming, as the container says.
    """

    def __init__(
        self, stream: AudioStream, limits: MediaLimits, block_seconds: float = BLOCK_SECONDS
    ) -> None:
        self._block_seconds = block_seconds
        self.packets = PacketDecoder[AudioFrame](stream)
        self._limits = limits
        self._downmix = Downmix()
        self._timeline = Timeline(stream.time_base)
        self._segment: Segment | None = None
        self._last_start_seconds = 0.0
        self._last_length_seconds = 0.0

    @property
    def opposed(self) -> bool:
        """Say whether two channels have cancelled each other out; see ``Downmix``."""
        return self._downmix.opposed

    def decode(self, packet: Packet[Any] | None) -> Iterator[Samples]:
        """Decode a packet; ``None`` ends the stream."""
        for frame in self.packets.decode(packet):
            if frame.samples and self._sane(frame):
                yield from self._add(frame)
        if packet is None and self._segment is not None:
            yield from self._segment.finish()
            self._segment = None

    def _add(self, frame: AudioFrame) -> Iterator[Samples]:
        segment = self._segment
        start = self._place(frame, None if segment is None else segment.end_seconds)
        ahead = 0.0 if segment is None else start - segment.end_seconds
        if segment is None or ahead > GAP_SECONDS or segment.rate_hz != frame.sample_rate:
            if segment is not None:
                yield from segment.finish()
            segment = self._segment = Segment(start - min(ahead, 0.0), frame.sample_rate, self._block_seconds)
        heard = round(-ahead * frame.sample_rate) if ahead < -GAP_SECONDS else 0
        yield from segment.push(self._downmix.mono(frame)[heard:])

    def _place(self, frame: AudioFrame, end: float | None) -> float:
        start = self._timeline.resolve(frame.pts, earliest=end, expected=end or 0.0)
        stuck = start - self._last_start_seconds < self._last_length_seconds / 2
        if end is not None and frame.pts is not None and stuck:
            start = self._timeline.follow(frame.pts, end)
        self._last_start_seconds = start
        self._last_length_seconds = frame.samples / frame.sample_rate
        return start

    def _sane(self, frame: AudioFrame) -> bool:
        return sane_sound(frame.sample_rate, frame.layout.nb_channels, self._limits)


def sane_sound(rate_hz: int, channels: int, limits: MediaLimits) -> bool:
    """Say whether a stream's rate and channels are within the limits."""
    rate_ok = limits.min_sample_rate_hz <= rate_hz <= limits.max_sample_rate_hz
    return rate_ok and 0 < channels <= limits.max_channels
