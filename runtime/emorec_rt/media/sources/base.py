"""Protocol and options of sources."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Literal, Protocol, get_args

from emorec_rt.errors import UsageError
from emorec_rt.media import MediaItem, MediaLimits
from emorec_rt.media.tracks import BEST, Tracks

Decoder = Literal["pyav", "dali", "gstreamer"]
DECODERS: Final[tuple[Decoder, ...]] = get_args(Decoder)


class Source(Protocol):
    """A context manager and an iterator of media items, in about the order of their times.

    It can be iterated once, in any one thread. ``close`` may be called from another: the iterator then ends.
    """

    @property
    def name(self) -> str:
        """Name for messages; never with a password in it."""

    @property
    def live(self) -> bool:
        """Items come in real time and don't wait: a slow consumer drops the oldest."""

    @property
    def has_video(self) -> bool:
        """Frames will come."""

    @property
    def has_sound(self) -> bool:
        """Samples will come."""

    @property
    def duration_seconds(self) -> float | None:
        """Length that is told beforehand; ``None`` where none is."""

    @property
    def warnings(self) -> list[str]:
        """Damage, losses and interruptions, a line each; complete when the iterator has ended."""

    def __enter__(self) -> Source: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    def __iter__(self) -> Iterator[MediaItem]: ...

    def __next__(self) -> MediaItem: ...

    def close(self) -> None:
        """End the iterator, from any thread; may be called twice."""


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """Options for opening a source; each kind takes those that concern it.

    Attributes:
        fps: Frames a second of a folder of pictures.
        camera_size: Width and height to ask a camera for; ``None`` takes its own.
        camera_fps: Frames a second to ask a camera for; ``None`` takes its own.
        rtsp_transport: How an RTSP server sends: ``tcp`` loses nothing, ``udp`` is what some cameras need.
        open_seconds: How long the first frame or sound of a connection may take.
        read_seconds: A connection on which nothing comes for this long counts as lost.
        reconnect_seconds: How long to try to get a lost connection back; 0 ends the source with it.
        threads: Decoding threads; ``None`` takes one for a live source, as each delays frames by one, and one
            for each core otherwise.
        single_thread_pixels: A file's picture of up to so many pixels is decoded in one thread where
            ``threads`` is ``None``; the recogniser sets it where the encoders need the cores.
        decoder: Who decodes. ``pyav`` reads everything; ``dali`` takes files, and leaves
            to PyAV what it doesn't decode to the same pictures; ``gstreamer`` takes files, cameras and RTSP.
        limits: What is refused before memory is taken.
        start_seconds: Presentation time at which to begin; ``None`` begins with the source.
        end_seconds: Presentation time before which to end; ``None`` ends with the source.
        region: Left, top, width and height in pixels of the part of the picture to look at.
        video_track: Number of the video track, from 1; ``None`` takes one that goes on.
        audio_track: Number of the sound track, from 1; ``None`` takes one that can be heard.
    """

    fps: float = 30.0
    camera_size: tuple[int, int] | None = None
    camera_fps: float | None = None
    rtsp_transport: Literal["tcp", "udp"] = "tcp"
    open_seconds: float = 10.0
    read_seconds: float = 5.0
    reconnect_seconds: float = 30.0
    threads: int | None = None
    single_thread_pixels: int = 0
    decoder: Decoder = "pyav"
    limits: MediaLimits = field(default_factory=MediaLimits)
    start_seconds: float | None = None
    end_seconds: float | None = None
    region: tuple[int, int, int, int] | None = None
    video_track: int | None = None
    audio_track: int | None = None

    @property
    def tracks(self) -> Tracks:
        """The tracks that are asked for."""
        return Tracks(self.video_track, self.audio_track)

    def __post_init__(self) -> None:
        for name in ("fps", "camera_fps", "open_seconds", "read_seconds"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise UsageError(f"{name} is {value}; it must be above 0")
        if not self.reconnect_seconds >= 0:
            raise UsageError(f"reconnect_seconds is {self.reconnect_seconds}; it must be 0 or more")
        if self.camera_size is not None and min(self.camera_size) < 1:
            raise UsageError(f"camera_size is {self.camera_size}; it must be width and height in pixels")
        self._check_tracks()
        self._check_part()
        if self.decoder not in DECODERS:
            raise UsageError(f"unknown decoder {self.decoder}; there are {', '.join(DECODERS)}")
        if self.rtsp_transport not in ("tcp", "udp"):
            raise UsageError(f"rtsp_transport is {self.rtsp_transport}; it must be tcp or udp")

    def _check_tracks(self) -> None:
        for name in ("video_track", "audio_track"):
            number = getattr(self, name)
            if number is not None and number < 1:
                raise UsageError(f"{name} is {number}; tracks are counted from 1")
        if self.decoder == "gstreamer" and self.tracks != BEST:
            raise UsageError("the decoder gstreamer takes the first track of each kind; leave --decoder out")

    @property
    def part_seconds(self) -> tuple[float | None, float | None]:
        """Presentation times between which the source is read; ``None`` for an open end."""
        return self.start_seconds, self.end_seconds

    def _check_part(self) -> None:
        start, end = self.start_seconds or 0.0, self.end_seconds
        if not math.isfinite(start) or (end is not None and not end > start):
            raise UsageError(
                f"the part from {start:g} to {end} s is empty; the end must come after the start"
            )
        if self.region is not None and (min(self.region[:2]) < 0 or min(self.region[2:]) < 1):
            raise UsageError(f"region is {self.region}; it must be left, top, width and height in pixels")
        if self.region is not None and self.decoder == "dali":
            raise UsageError(
                "a region needs frames in the machine's own memory; take another decoder than dali"
            )
