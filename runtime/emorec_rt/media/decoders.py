"""The chosen tracks of a container, decoded as their packets come."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from emorec_rt.errors import MediaError
from emorec_rt.media.joins import clock_of, timed_packets
from emorec_rt.media.limits import MediaLimits
from emorec_rt.media.segment import BLOCK_SECONDS, LIVE_BLOCK_SECONDS
from emorec_rt.media.sound import SoundDecoder
from emorec_rt.media.tracks import BEST, Tracks, choose_sound, choose_video, left_out, missing_track
from emorec_rt.media.types import MediaItem
from emorec_rt.media.video import FrameDecoder, stream_fps


@dataclass(frozen=True, slots=True)
class PacketCounts:
    """Counts of decoded frames or blocks of sound, and of packets that couldn't be decoded."""

    decoded: int = 0
    damaged: int = 0

    def __add__(self, other: PacketCounts) -> PacketCounts:
        return PacketCounts(self.decoded + other.decoded, self.damaged + other.damaged)


class TrackDecoders:
    """One decoder for the video, one for the sound.

    Attributes:
        frames: Decoder of the video; ``None`` without one.
        sound: Decoder of the sound; ``None`` without one.
        fps_hint: Frames a second that the header tells; ``None`` if it tells none that can be true.
        clock: The container's clock.
    """

    def __init__(
        self,
        container: InputContainer,
        video: VideoStream | None,
        audio: AudioStream | None,
        limits: MediaLimits,
        *,
        live: bool = False,
    ) -> None:
        block_seconds = LIVE_BLOCK_SECONDS if live else BLOCK_SECONDS
        self.frames = None if video is None else FrameDecoder(video)
        self.sound = None if audio is None else SoundDecoder(audio, limits, block_seconds)
        self.fps_hint = None if video is None else stream_fps(video)
        self._container = container
        self._limits = limits
        self.clock = clock_of(container, live=live)
        self._by_index: dict[int, FrameDecoder | SoundDecoder] = {
            stream.index: decoder
            for stream, decoder in ((video, self.frames), (audio, self.sound))
            if stream is not None and decoder is not None
        }

    def packets(self) -> Iterator[Packet[Any]]:
        """Demux the tracks, on the container's one clock."""
        return timed_packets(self._container, set(self._by_index), self.clock)

    def decode(self, packet: Packet[Any]) -> Iterator[MediaItem]:
        """Decode one packet."""
        yield from self._by_index[packet.stream_index].decode(packet)

    def finish(self) -> Iterator[MediaItem]:
        """Decode what the codecs still hold."""
        for decoder in self._by_index.values():
            yield from decoder.decode(None)

    @property
    def hopeless(self) -> bool:
        """Say whether more packets failed in a row than the limits allow, in every track."""
        rows = (decoder.packets.damaged_in_a_row for decoder in self._by_index.values())
        return min(rows) >= self._limits.max_damaged_in_a_row

    @property
    def counts(self) -> dict[str, PacketCounts]:
        """Packets of each track, ``video`` and ``sound``, so far."""
        decoders = (("video", self.frames), ("sound", self.sound))
        return {
            name: PacketCounts(decoder.packets.decoded, decoder.packets.damaged)
            for name, decoder in decoders
            if decoder is not None
        }

    def damage(self, source: str, counts: Mapping[str, PacketCounts] | None = None) -> list[str]:
        """Describe the damage, a line each.

        Args:
            source: Name for messages.
            counts: Of each track; ``None`` takes these decoders' own.

        Raises:
            MediaError: Nothing at all could be decoded.
        """
        counts = self.counts if counts is None else counts
        if not any(packets.decoded for packets in counts.values()):
            raise MediaError(
                source, f"nothing of its {' and '.join(counts)} can be decoded{self._size_hint()}"
            )
        lines = []
        for name, packets in counts.items():
            if not packets.decoded:
                lines.append(f"nothing of the {name} could be decoded")
            elif packets.damaged:
                plural = "s" if packets.damaged > 1 else ""
                lines.append(f"{packets.damaged} damaged packet{plural} of the {name} skipped")
        if self.sound is not None and self.sound.opposed:
            lines.append("the two channels of the sound cancel each other out; one was turned round")
        return lines

    def _size_hint(self) -> str:
        # FFmpeg forgets the size of a picture that it refuses.
        if self.frames is None or self.frames.has_size:
            return ""
        return f"; its picture is damaged or over the limit of {self._limits.max_pixels} pixels"


def open_decoders(
    container: InputContainer,
    source: str | Path,
    limits: MediaLimits,
    *,
    tracks: Tracks = BEST,
    frames: bool = True,
    sound: bool = True,
    threads: int = 1,
    single_thread_pixels: int = 0,
    live: bool = False,
) -> tuple[TrackDecoders, list[str]]:
    """Choose the tracks and open their codecs.

    Args:
        container: An open container.
        source: Name for messages; the path of a local file lets its tracks be looked at.
        limits: What is refused.
        tracks: The tracks that are asked for.
        frames: Decode the video.
        sound: Decode the sound.
        threads: Decoding threads of the video; each delays the frames by one.
        single_thread_pixels: A picture of up to so many pixels gets one thread, whatever ``threads`` is.
        live: Whether the container is read in real time.

    Returns:
        The decoders, and a line for each kind of which no track can be decoded, or others are left out.

    Raises:
        MediaError: It has nothing of what was asked for.
    """
    video = (
        choose_video(container, source, limits, threads, single_thread_pixels, tracks.video)
        if frames
        else None
    )
    audio = choose_sound(container, source, limits, tracks.audio) if sound else None
    asked = (("video", frames, video), ("audio", sound, audio))
    lines = [
        missing_track(container, kind) if track is None else left_out(container, track)
        for kind, wanted, track in asked
        if wanted
    ]
    warnings = [line for line in lines if line]
    if video is None and audio is None:
        wanted_kinds = " or ".join(name for name, wanted in (("video", frames), ("sound", sound)) if wanted)
        raise MediaError(source, "; ".join(warnings) or f"there is no {wanted_kinds} track in it")
    return TrackDecoders(container, video, audio, limits, live=live), warnings
