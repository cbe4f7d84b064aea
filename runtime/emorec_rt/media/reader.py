"""The reader of a media file: one pass, flat memory, frames and sound as they come."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import av.error
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from emorec_rt.errors import MediaError, UsageError
from emorec_rt.media.container import open_container
from emorec_rt.media.limits import MediaLimits
from emorec_rt.media.sound import SoundDecoder
from emorec_rt.media.tail import frames_after
from emorec_rt.media.tracks import choose_sound, choose_video, duration_seconds, missing_track
from emorec_rt.media.types import MediaItem
from emorec_rt.media.video import FrameDecoder, stream_fps

MAX_THREADS: Final = 8
"""Each decoding thread holds a picture; more threads than this gain little."""

_EXTRA_PACKETS: Final = 1_000
DEFAULT_LIMITS: Final = MediaLimits()


def open_media(
    path: str | Path,
    *,
    limits: MediaLimits = DEFAULT_LIMITS,
    frames: bool = True,
    sound: bool = True,
    threads: int | None = None,
) -> MediaReader:
    """Open a local media file: a video, a sound file, a still picture.

    Args:
        path: A regular file. Nothing else is opened: no address, no playlist, no file that it points to.
        limits: What is refused before memory is taken.
        frames: Decode the video.
        sound: Decode the sound.
        threads: Decoding threads of the video; ``None`` takes one for each core, up to ``MAX_THREADS``.

    Raises:
        MediaError: It can't be read, or has nothing of what was asked for.
        UsageError: Neither frames nor sound were asked for.
    """
    if not (frames or sound):
        raise UsageError("ask for frames or for sound")
    path = Path(path)
    container = open_container(path, limits)
    try:
        return _choose_tracks(container, path, limits, frames, sound, threads)
    except BaseException:
        container.close()
        raise


def _choose_tracks(
    container: InputContainer, path: Path, limits: MediaLimits, frames: bool, sound: bool, threads: int | None
) -> MediaReader:
    threads = threads or min(os.cpu_count() or 1, MAX_THREADS)
    video = choose_video(container, path, limits, threads) if frames else None
    audio = choose_sound(container, limits) if sound else None
    asked = (("video", frames, video), ("audio", sound, audio))
    complaints = [missing_track(container, kind) for kind, wanted, track in asked if wanted and track is None]
    warnings = [complaint for complaint in complaints if complaint]
    if video is None and audio is None:
        wanted_kinds = " or ".join(name for name, wanted in (("video", frames), ("sound", sound)) if wanted)
        raise MediaError(path, "; ".join(warnings) or f"there is no {wanted_kinds} track in it")
    return MediaReader(path, container, video, audio, limits, warnings)


class MediaReader:
    """A context manager and an iterator of frames and blocks of sound, in about the order of their times.

    Opened by ``open_media``; it can be iterated once. Iterating raises ``MediaError`` at the end if nothing
    could be decoded; damage short of that is skipped and told in ``warnings``.

    Attributes:
        path: The file.
        has_video: Frames will come.
        has_sound: Samples will come.
        duration_seconds: Length that the header tells, not the time of the end; ``None`` if it tells none
            that can be true.
        fps_hint: Frames a second that the header tells; ``None`` if it tells none that can be true. Never
            compute times from it.
        warnings: What was damaged or left out, one line each; complete when the iterator has ended.
    """

    def __init__(
        self,
        path: Path,
        container: InputContainer,
        video: VideoStream | None,
        audio: AudioStream | None,
        limits: MediaLimits,
        warnings: list[str],
    ) -> None:
        self.path = path
        self.warnings = warnings
        self.has_video = video is not None
        self.has_sound = audio is not None
        self._file_bytes = path.stat().st_size
        self.duration_seconds = duration_seconds(container, self._file_bytes)
        self.fps_hint = None if video is None else stream_fps(video)
        self._container = container
        self._limits = limits
        self._frames = None if video is None else FrameDecoder(video)
        self._sound = None if audio is None else SoundDecoder(audio, limits)
        self._streams = [stream for stream in (video, audio) if stream is not None]
        self._by_index: dict[int, FrameDecoder | SoundDecoder] = {
            stream.index: decoder
            for stream, decoder in ((video, self._frames), (audio, self._sound))
            if stream is not None and decoder is not None
        }
        self._items = self._iterate()

    def __enter__(self) -> MediaReader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[MediaItem]:
        return self

    def __next__(self) -> MediaItem:
        return next(self._items)

    def close(self) -> None:
        """Close the file; the iterator ends."""
        self._items.close()
        self._container.close()

    def _iterate(self) -> Generator[MediaItem, None, None]:
        for packet in self._packets():
            yield from self._by_index[packet.stream_index].decode(packet)
        for decoder in self._by_index.values():
            yield from decoder.decode(None)
        yield from self._lost_frames()
        self._conclude()

    def _packets(self) -> Iterator[Packet[Any]]:
        # Each packet has a byte of its own, so a file that gives more packets than bytes repeats itself.
        left = self._file_bytes + _EXTRA_PACKETS
        try:
            for packet in self._container.demux(*self._streams):
                if packet.size:  # an empty one would end the stream for the codec
                    yield packet
                left -= 1
                if left < 0 or self._hopeless():
                    self.warnings.append("reading stopped: the rest of the file is damaged")
                    return
        except (av.error.FFmpegError, OSError) as error:
            self.warnings.append(f"reading stopped before the end of the file: {error.strerror or error}")

    def _hopeless(self) -> bool:
        rows = (decoder.packets.damaged_in_a_row for decoder in self._by_index.values())
        return min(rows) >= self._limits.max_damaged_in_a_row

    def _lost_frames(self) -> Iterator[MediaItem]:
        video = self._frames
        if video is None or video.newest_packet_pts is None or video.newest_frame_pts is None:
            return
        if video.newest_frame_pts < video.newest_packet_pts:
            for picture in frames_after(self.path, self._limits, video.newest_frame_pts):
                yield video.convert(picture)

    def _size_hint(self) -> str:
        # FFmpeg forgets the size of a picture that it refuses.
        if self._frames is None or self._frames.has_size:
            return ""
        return f"; its picture is damaged or over the limit of {self._limits.max_pixels} pixels"

    def _conclude(self) -> None:
        decoders = (("video", self._frames), ("sound", self._sound))
        counts = {name: decoder.packets for name, decoder in decoders if decoder is not None}
        if not any(packets.decoded for packets in counts.values()):
            raise MediaError(
                self.path, f"nothing of its {' and '.join(counts)} can be decoded{self._size_hint()}"
            )
        for name, packets in counts.items():
            if not packets.decoded:
                self.warnings.append(f"nothing of the {name} could be decoded")
            elif packets.damaged:
                plural = "s" if packets.damaged > 1 else ""
                self.warnings.append(f"{packets.damaged} damaged packet{plural} of the {name} skipped")
