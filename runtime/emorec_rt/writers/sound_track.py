"""The input's sound into an MP4 file: packets as they are where MP4 can hold the codec, else as AAC."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Final, Protocol

import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet

from emorec_rt.media.downmix import planes_of
from emorec_rt.media.joins import clock_of, timed_packets
from emorec_rt.media.packets import PacketDecoder
from emorec_rt.media.sound import GAP_SECONDS
from emorec_rt.media.timeline import Timeline

COPIED_CODECS: Final = frozenset({"aac", "ac3", "alac", "eac3", "flac", "mp3", "mp3float", "opus", "libopus"})
"""Codecs that MP4 holds and common players play from it (FFmpeg's decoder names)."""

_NEEDS_EXTRADATA: Final = frozenset({"alac", "flac", "opus", "libopus"})
_MP3_MIN_RATE_HZ: Final = 16_000  # MP4 knows no slower MP3
_AAC_RATES_HZ: Final = (
    96_000,
    88_200,
    64_000,
    48_000,
    44_100,
    32_000,
    24_000,
    22_050,
    16_000,
    12_000,
    11_025,
)
_AAC_FRAME: Final = 1024
_BITS_PER_CHANNEL: Final = 96_000


class SoundTrack(Protocol):
    """Writes the sound up to a time; ``finish`` writes the rest, ``cut`` leaves it out."""

    def advance(self, until_seconds: float) -> None:
        """Write what starts before ``until_seconds``, counted from the container's start."""
        ...

    def finish(self) -> None:
        """Write the rest."""
        ...

    def cut(self) -> None:
        """End the track where it is."""
        ...


def sound_track(
    source: InputContainer,
    sound: AudioStream | None,
    out: OutputContainer,
    start_seconds: float,
    *,
    skips: bool = False,
) -> SoundTrack:
    """Make the track for ``sound``; without sound one that does nothing.

    Args:
        source: Where packets come from.
        sound: Its stream.
        out: Where they go.
        start_seconds: Time that the track counts from.
        skips: Whether sound before that is left out.
    """
    if sound is None:
        return _Silent()
    packets = timed_packets(source, {sound.index}, clock_of(source))
    if _can_be_copied(sound):
        return _Copied(packets, sound, out, start_seconds, skips=skips)
    return _Encoded(packets, sound, out, start_seconds, skips=skips)


def _can_be_copied(sound: AudioStream) -> bool:
    codec = sound.codec_context
    if codec.name in _NEEDS_EXTRADATA and not codec.extradata:
        return False
    if codec.name.startswith("mp3") and codec.sample_rate < _MP3_MIN_RATE_HZ:
        return False
    return codec.name in COPIED_CODECS


class _Silent:
    def advance(self, until_seconds: float) -> None: ...

    def finish(self) -> None: ...

    def cut(self) -> None: ...


class _Copied:
    """Packets with their own times, but for a restarted clock, which goes on as the decoder lets it."""

    def __init__(
        self,
        packets: Iterator[Packet[Any]],
        sound: AudioStream,
        out: OutputContainer,
        start_seconds: float,
        *,
        skips: bool,
    ) -> None:
        self._packets = packets
        self._out = out
        self._stream = out.add_stream_from_template(sound)
        self._tick = sound.time_base or Fraction(1, sound.codec_context.sample_rate)
        self._timeline = Timeline(sound.time_base)
        self._start_seconds = start_seconds
        self._skips = skips
        self._end_seconds: float | None = None
        self._last_dts: int | None = None
        self._reached_seconds = -np.inf

    def advance(self, until_seconds: float) -> None:
        while self._reached_seconds < until_seconds:
            packet = next(self._packets, None)
            if packet is None:
                self._reached_seconds = np.inf
            else:
                self._copy(packet)

    def finish(self) -> None:
        self.advance(np.inf)

    def cut(self) -> None: ...

    def _copy(self, packet: Packet[Any]) -> None:
        end = self._end_seconds
        seconds = self._timeline.resolve(packet.pts, earliest=end, expected=end or 0.0)
        self._end_seconds = seconds + float((packet.duration or 0) * self._tick)
        self._reached_seconds = seconds - self._start_seconds
        if self._skips and self._reached_seconds < 0:
            return
        pts = round(self._reached_seconds / self._tick)
        if self._last_dts is not None and pts <= self._last_dts:
            return  # heard already; MP4 can't hold it twice
        packet.pts = packet.dts = self._last_dts = pts
        packet.stream = self._stream
        self._out.mux(packet)


class _Encoded:
    """Decoded and encoded as AAC; gaps become silence, so that the sound stays at its times."""

    def __init__(
        self,
        packets: Iterator[Packet[Any]],
        sound: AudioStream,
        out: OutputContainer,
        start_seconds: float,
        *,
        skips: bool,
    ) -> None:
        codec = sound.codec_context
        self._packets = packets
        self._decoder = PacketDecoder[AudioFrame](sound)
        self._timeline = Timeline(sound.time_base)
        self._start_seconds = start_seconds
        self._skips = skips
        self._end_seconds: float | None = None
        self._rate_hz = codec.sample_rate if codec.sample_rate in _AAC_RATES_HZ else 48_000
        self._layout = "mono" if codec.layout.nb_channels == 1 else "stereo"
        self._out = out
        self._stream = out.add_stream("aac", rate=self._rate_hz, layout=self._layout)
        self._stream.codec_context.bit_rate = _BITS_PER_CHANNEL * min(codec.layout.nb_channels, 2)
        self._resampler: AudioResampler | None = None
        self._resampler_input: tuple[str, str, int] | None = None
        self._next_pts: int | None = None
        self._reached_seconds = -np.inf

    def advance(self, until_seconds: float) -> None:
        while self._reached_seconds < until_seconds:
            packet = next(self._packets, None)
            for frame in self._decoder.decode(packet):
                self._add(frame)
            if packet is None:
                self._reached_seconds = np.inf

    def finish(self) -> None:
        self.advance(np.inf)
        self.cut()

    def cut(self) -> None:
        self._flush()
        self._out.mux(self._stream.encode(None))

    def _add(self, frame: AudioFrame) -> None:
        if not frame.samples or not frame.sample_rate:
            return
        end = self._end_seconds
        start = self._timeline.resolve(frame.pts, earliest=end, expected=end or 0.0)
        if self._skips and end is None and start < self._start_seconds:
            self._reached_seconds = start - self._start_seconds
            return
        if end is None:
            self._next_pts = round((start - self._start_seconds) * self._rate_hz)
        elif start - end > GAP_SECONDS:
            self._push(_silence(frame, round((start - end) * frame.sample_rate)))
        elif end - start > frame.samples / frame.sample_rate / 2 and end - start > GAP_SECONDS:
            return  # heard already
        else:
            start = end  # timestamps may jitter
        self._push(frame)
        self._end_seconds = start + frame.samples / frame.sample_rate
        self._reached_seconds = self._end_seconds - self._start_seconds

    def _push(self, frame: AudioFrame) -> None:
        shape = (frame.format.name, frame.layout.name, frame.sample_rate)
        if self._resampler is None or shape != self._resampler_input:
            self._flush()
            self._resampler = AudioResampler(
                format="fltp", layout=self._layout, rate=self._rate_hz, frame_size=_AAC_FRAME
            )
            self._resampler_input = shape
        frame.pts = None  # counted in samples instead
        self._encode(self._resampler.resample(frame))

    def _flush(self) -> None:
        if self._resampler is not None:
            self._encode(self._resampler.resample(None))
            self._resampler = None

    def _encode(self, frames: list[AudioFrame]) -> None:
        for frame in frames:
            frame.pts, frame.time_base = self._next_pts, Fraction(1, self._rate_hz)
            self._next_pts = (self._next_pts or 0) + frame.samples
            self._out.mux(self._stream.encode(frame))


def _silence(like: AudioFrame, samples: int) -> AudioFrame:
    frame = AudioFrame(format=like.format.name, layout=like.layout.name, samples=samples)
    middle = 128 if like.format.name.startswith("u8") else 0
    for plane in planes_of(frame):
        plane.update(bytes([middle]) * plane.buffer_size)
    frame.sample_rate = like.sample_rate
    return frame
