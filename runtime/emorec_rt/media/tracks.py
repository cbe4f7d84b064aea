"""Choose the video and the sound track of a container."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import av.error
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from emorec_rt.errors import MediaError
from emorec_rt.media.limits import MediaLimits
from emorec_rt.media.sound import AUDIBLE_PEAK, sane_sound
from emorec_rt.media.survey import TrackContent, survey

StreamT = TypeVar("StreamT", VideoStream, AudioStream)

SPARSE: Final = 10
"""A video track with so many times fewer pictures than another is left out."""

MIN_BITS_PER_SECOND: Final = 100.0
"""A header whose duration would mean less than this for the file's size isn't believed."""

_SLICE_THREADS: Final = frozenset({"vp9"})
"""Decoders that give a damaged picture all the same with slice threads, and lose it with any other."""

STILLS: Final = Disposition.attached_pic | Disposition.timed_thumbnails
"""Tracks that hold a cover picture or thumbnails, not a video."""


@dataclass(frozen=True, slots=True)
class Tracks:
    """Tracks to take, numbered from 1 among those of their kind; cover pictures don't count.

    Attributes:
        video: Number of the video track; ``None`` chooses by what the tracks hold.
        audio: Number of the sound track; likewise.
    """

    video: int | None = None
    audio: int | None = None


BEST: Final = Tracks()


def choose_video(
    container: InputContainer,
    source: str | Path,
    limits: MediaLimits,
    threads: int,
    single_thread_pixels: int = 0,
    number: int | None = None,
) -> VideoStream | None:
    """Pick the video track: one that goes on, then not empty, then the default one, the largest, the first.

    The codec is opened with ``threads`` threads, or with one for a picture of up to ``single_thread_pixels``.

    Args:
        container: An open container.
        source: What messages call it; the path of a local file lets its tracks be looked at.
        limits: What is refused.
        threads: Decoding threads.
        single_thread_pixels: Largest picture that gets one thread.
        number: The track that is asked for.

    Raises:
        MediaError: The picture is larger than the limits allow, or there is no such track.
    """
    for stream in _candidates(videos(container), source, limits, number, "video"):
        if stream.codec_context is None:
            continue
        width, height = stream.codec_context.width, stream.codec_context.height
        if width * height > limits.max_pixels:
            reason = f"the picture has {width}x{height} pixels, over the limit of {limits.max_pixels} pixels"
            raise MediaError(source, reason)
        if width * height <= single_thread_pixels:
            threads = 1
        sliced = stream.codec_context.name in _SLICE_THREADS
        stream.codec_context.thread_type = "SLICE" if sliced else "AUTO"
        stream.codec_context.thread_count = max(threads, 2) if sliced else threads
        stream.codec_context.options = {"max_pixels": str(limits.max_pixels)}
        if _opens(stream):
            return stream
    return None


def choose_sound(
    container: InputContainer, source: str | Path, limits: MediaLimits, number: int | None = None
) -> AudioStream | None:
    """Pick the sound track: one that can be heard, then not empty, then the default one, then the first.

    Args:
        container: An open container.
        source: What messages call it; the path of a local file lets its tracks be listened to.
        limits: What is refused.
        number: The track that is asked for.

    Raises:
        MediaError: There is no such track.
    """
    for stream in _candidates(sounds(container), source, limits, number, "sound"):
        codec = stream.codec_context
        if codec is None or not sane_sound(codec.sample_rate, codec.layout.nb_channels, limits):
            continue
        # Sound decodes fast; without threads the codec loses nothing around damage.
        codec.thread_type = "NONE"
        if _opens(stream):
            return stream
    return None


def videos(container: InputContainer) -> list[VideoStream]:
    """List the video tracks; cover pictures are none."""
    return [stream for stream in container.streams.video if not stream.disposition & STILLS]


def sounds(container: InputContainer) -> list[AudioStream]:
    """List the sound tracks."""
    return list(container.streams.audio)


def left_out(container: InputContainer, chosen: VideoStream | AudioStream) -> str | None:
    """Say that there are other tracks of a kind than the chosen one; ``None`` where there are none."""
    video = isinstance(chosen, VideoStream)
    indices = [stream.index for stream in (videos(container) if video else sounds(container))]
    if len(indices) < 2:
        return None
    kind, option = ("video", "--video-track") if video else ("sound", "--audio-track")
    return f"the {kind} is track {indices.index(chosen.index) + 1} of {len(indices)}; {option} takes another"


def _candidates(
    streams: list[StreamT], source: str | Path, limits: MediaLimits, number: int | None, kind: str
) -> list[StreamT]:
    """The tracks of a kind, the best first; of a number, that one alone."""
    if number is not None:
        if not streams or number > len(streams):
            there = f"there are {len(streams)}" if len(streams) != 1 else "there is 1"
            raise MediaError(source, f"there is no {kind} track {number}; {there}")
        return [streams[number - 1]]
    if len(streams) < 2 or not isinstance(source, Path):
        return sorted(streams, key=_rank, reverse=True)
    content = survey(source, limits)
    most = max((content[stream.index].packets for stream in streams if stream.index in content), default=0)

    def held(stream: StreamT) -> bool:
        found = content.get(stream.index, TrackContent())
        if isinstance(stream, AudioStream):
            return found.peak >= AUDIBLE_PEAK
        return found.packets * SPARSE >= most

    return sorted(streams, key=lambda stream: (held(stream), *_rank(stream)), reverse=True)


def missing_track(container: InputContainer, kind: str) -> str | None:
    """Say why no track of ``kind`` (``video`` or ``audio``) was chosen, ``None`` if there is none."""
    streams = [s for s in container.streams if s.type == kind and not s.disposition & STILLS]
    if not streams:
        return None
    names = {s.codec_context.name if s.codec_context is not None else "unknown" for s in streams}
    return f"the {'video' if kind == 'video' else 'sound'} ({', '.join(sorted(names))}) can't be decoded"


def duration_seconds(container: InputContainer, file_bytes: float) -> float | None:
    """Length in seconds that the header tells, ``None`` where it tells none or an absurd one."""
    tracks = [s for s in (*container.streams.video, *container.streams.audio) if s.duration and s.time_base]
    container_seconds = (container.duration or 0) / 1_000_000
    longest_track = max(
        (float(s.duration * s.time_base) for s in tracks if s.duration and s.time_base), default=0.0
    )
    for seconds in (container_seconds, longest_track):
        if seconds > 0 and file_bytes * 8 / seconds >= MIN_BITS_PER_SECOND:
            return seconds
    return None


def _opens(stream: VideoStream | AudioStream) -> bool:
    try:
        stream.codec_context.open(strict=False)
    except (av.error.FFmpegError, ValueError):
        return False
    return True


def _rank(stream: VideoStream | AudioStream) -> tuple[bool, bool, int]:
    pixels = 0
    if isinstance(stream, VideoStream) and stream.codec_context is not None:
        pixels = stream.codec_context.width * stream.codec_context.height
    return stream.frames > 0, bool(stream.disposition & Disposition.default), pixels
