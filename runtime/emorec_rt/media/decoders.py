"""The chosen tracks of a container, decoded as their packets come."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from emorec_rt.errors import MediaError
from emorec_rt.media.limits import MediaLimits
from emorec_rt.media.segment import BLOCK_SECONDS
from emorec_rt.media.sound import SoundDecoder
from emorec_rt.media.tracks import choose_sound, choose_video, missing_track
from emorec_rt.media.types import MediaItem
from emorec_rt.media.video import FrameDecoder, stream_fps


@dataclass(frozen=True, slots=True)
class PacketCounts:
    """How many frames or blocks of sound were decoded, and how many packets couldn't be."""

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
    """

    def __init__(
        self,
        container: InputContainer,
        video: VideoStream | None,
        audio: AudioStream | None,
        limits: MediaLimits,
        block_seconds: float = BLOCK_SECONDS,
    ) -> None:
        self.frames = None if video is None else FrameDecoder(video)
        self.sound = None if audio is None else SoundDecoder(audio, limits, block_seconds)
        self.fps_hint = None if video is None else stream_fps(video)
        self._container = container
        self._limits = limits
        self._streams = [stream for stream in (video, audio) if stream is not None]
        self._by_index: dict[int, FrameDecoder | SoundDecoder] = {
            stream.index: decoder
            for stream, decoder in ((video, self.frames), (audio, self.sound))
            if stream is not None and decoder is not None
        }

    def packets(self) -> Iterator[Packet[Any]]:
        """Demux the tracks; the empty packets, which would end a stream for its codec, are left out."""
        return (packet for packet in self._container.demux(*self._streams) if packet.size)

    def decode(self, packet: Packet[Any]) -> Iterator[MediaItem]:
        """Decode one packet."""
        yield from self._by_index[packet.stream_index].decode(packet)

    def finish(self) -> Iterator[MediaItem]:
        """Give what the codecs still hold."""
        for decoder in self._by_index.values():
            yield from decoder.decode(None)

    @property
    def hopeless(self) -> bool:
        """Whether more packets failed in a row than the limits allow, in every track."""
        rows = (decoder.packets.damaged_in_a_row for decoder in self._by_index.values())
        return min(rows) >= self._limits.max_damaged_in_a_row

    @property
    def counts(self) -> dict[str, PacketCounts]:
        """How the packets of each track, ``video`` and ``sound``, have done so far."""
        decoders = (("video", self.frames), ("sound", self.sound))
        return {
            name: PacketCounts(decoder.packets.decoded, decoder.packets.damaged)
            for name, decoder in decoders
            if decoder is not None
        }

    def damage(self, source: str, counts: Mapping[str, PacketCounts] | None = None) -> list[str]:
        """What was damaged, a line each.

        Args:
            source: What messages call it.
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
        return lines

    def _size_hint(self) -> str:
        # FFmpeg forgets the size of a picture that it refuses.
        if self.frames is None or self.frames.has_size:
            return ""
        return f"; its picture is damaged or over the limit of {self._limits.max_pixels} pixels"


def open_decoders(
    container: InputContainer,
    source: str,
    limits: MediaLimits,
    *,
    frames: bool = True,
    sound: bool = True,
    threads: int = 1,
    single_thread_pixels: int = 0,
    block_seconds: float = BLOCK_SECONDS,
) -> tuple[TrackDecoders, list[str]]:
    """Choose the tracks and open their codecs.

    Args:
        container: An open container.
        source: What messages call it.
        limits: What is refused.
        frames: Decode the video.
        sound: Decode the sound.
        threads: Decoding threads of the video; each delays the frames by one.
        single_thread_pixels: A picture of up to so many pixels gets one thread, whatever ``threads`` is.
        block_seconds: Sound that a block has at least.

    Returns:
        The decoders, and a line for each track that was asked for and can't be decoded.

    Raises:
        MediaError: It has nothing of what was asked for.
    """
    video = choose_video(container, source, limits, threads, single_thread_pixels) if frames else None
    audio = choose_sound(container, limits) if sound else None
    asked = (("video", frames, video), ("audio", sound, audio))
    complaints = [missing_track(container, kind) for kind, wanted, track in asked if wanted and track is None]
    warnings = [complaint for complaint in complaints if complaint]
    if video is None and audio is None:
        wanted_kinds = " or ".join(name for name, wanted in (("video", frames), ("sound", sound)) if wanted)
        raise MediaError(source, "; ".join(warnings) or f"there is no {wanted_kinds} track in it")
    return TrackDecoders(container, video, audio, limits, block_seconds), warnings
