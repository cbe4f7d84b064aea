"""The reader of a media file: one pass, flat memory, frames and sound as they come."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, Final

import av.error
from av.container import InputContainer
from av.packet import Packet

from emorec_rt.errors import UsageError
from emorec_rt.machine.cores import usable_cores
from emorec_rt.media.container import LocalFile, open_file
from emorec_rt.media.decoders import TrackDecoders, open_decoders
from emorec_rt.media.limits import MediaLimits
from emorec_rt.media.lost_frames import frames_after
from emorec_rt.media.reading import Reading
from emorec_rt.media.tracks import BEST, Tracks, duration_seconds
from emorec_rt.media.types import MediaItem

MAX_THREADS: Final = 8
"""Each decoding thread holds a picture; more threads than this gain little."""

_EXTRA_PACKETS: Final = 1_000
DEFAULT_LIMITS: Final = MediaLimits()


def open_media(
    path: str | Path,
    *,
    limits: MediaLimits = DEFAULT_LIMITS,
    tracks: Tracks = BEST,
    frames: bool = True,
    sound: bool = True,
    threads: int | None = None,
    single_thread_pixels: int = 0,
) -> MediaReader:
    """Open a local media file: a video, a sound file, a still picture.

    Args:
        path: A regular file. Nothing else is opened: no address, no playlist, no file that it points to.
        limits: What is refused before memory is taken.
        tracks: The tracks to take; one that isn't told is chosen by what the tracks hold.
        frames: Decode the video.
        sound: Decode the sound.
        threads: Decoding threads of the video; ``None`` takes one for each core, up to ``MAX_THREADS``, and
            one for a picture of up to ``single_thread_pixels``.
        single_thread_pixels: Below it the cores have something better to do.

    Raises:
        MediaError: It can't be read, or has nothing of what was asked for.
        UsageError: Neither frames nor sound were asked for.
    """
    if not (frames or sound):
        raise UsageError("ask for frames or for sound")
    path = Path(path)
    container, file = open_file(path, limits)
    try:
        decoders, warnings = open_decoders(
            container,
            path,
            limits,
            tracks=tracks,
            frames=frames,
            sound=sound,
            threads=threads or min(usable_cores(), MAX_THREADS),
            single_thread_pixels=0 if threads else single_thread_pixels,
        )
        return MediaReader(path, file, container, decoders, limits, tracks, warnings)
    except BaseException:
        container.close()
        raise


class MediaReader(Reading):
    """Frames and blocks of sound of a file, in about the order of their times.

    Opened by ``open_media``; it can be iterated once. Iterating raises ``MediaError`` at the end if nothing
    could be decoded; damage short of that is skipped and told in ``warnings``.

    Attributes:
        path: The file.
        name: The file's path, for messages.
        live: Never: a file waits until it is read.
        has_video: Frames will come.
        has_sound: Samples will come.
        duration_seconds: Length that the header tells, not the time of the end; ``None`` if it tells none
            that can be true.
        fps_hint: Frames a second that the header tells; ``None`` if it tells none that can be true. Never
            compute times from it.
        warnings: What was damaged or left out, one line each; complete when the iterator has ended.
    """

    live = False

    def __init__(
        self,
        path: Path,
        file: LocalFile,
        container: InputContainer,
        decoders: TrackDecoders,
        limits: MediaLimits,
        tracks: Tracks,
        warnings: list[str],
    ) -> None:
        self.path = path
        self.name = str(path)
        self.warnings = warnings
        self.has_video = decoders.frames is not None
        self.has_sound = decoders.sound is not None
        self.fps_hint = decoders.fps_hint
        self._file_bytes = path.stat().st_size
        self.duration_seconds = duration_seconds(container, self._file_bytes)
        self._file = file
        self._container = container
        self._limits = limits
        self._tracks = tracks
        self._decoders = decoders
        super().__init__()

    def _close_now(self) -> None:
        super()._close_now()
        self._container.close()

    def _iterate(self) -> Generator[MediaItem, None, None]:
        for packet in self._packets():
            yield from self._decoders.decode(packet)
        yield from self._decoders.finish()
        yield from self._lost_frames()
        self.warnings.extend(self._decoders.damage(self.name))

    def _packets(self) -> Iterator[Packet[Any]]:
        # Each packet has a byte of its own, so a file that gives more packets than bytes repeats itself.
        left = self._file_bytes + _EXTRA_PACKETS
        try:
            for packet in self._decoders.packets():
                yield packet
                left -= 1
                if left < 0 or self._decoders.hopeless:
                    self.warnings.append("reading stopped: the rest of the file is damaged")
                    return
            if self._file.failure is not None:
                raise self._file.failure
        except (av.error.FFmpegError, OSError) as error:
            self.warnings.append(f"reading stopped before the end of the file: {error.strerror or error}")

    def _lost_frames(self) -> Iterator[MediaItem]:
        video = self._decoders.frames
        if video is None or video.newest_packet_pts is None or video.newest_frame_pts is None:
            return
        if self._decoders.clock.joins:
            return  # the file can't be searched for these times
        if video.newest_frame_pts < video.newest_packet_pts:
            for picture in frames_after(self.path, self._limits, self._tracks.video, video.newest_frame_pts):
                yield video.convert(picture)
