"""Choose the video and the sound track of a container."""

from __future__ import annotations

from pathlib import Path
from typing import Final, TypeVar

import av.error
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from emorec_rt.errors import MediaError
from emorec_rt.media.limits import MediaLimits
from emorec_rt.media.sound import sane_sound

StreamT = TypeVar("StreamT", VideoStream, AudioStream)

MIN_BITS_PER_SECOND: Final = 100.0
"""A header whose duration would mean less than this for the file's size isn't believed."""

_SLICE_THREADS: Final = frozenset({"vp9"})
"""Decoders that give a damaged picture all the same with slice threads, and lose it with any other."""

_STILLS: Final = Disposition.attached_pic | Disposition.timed_thumbnails


def choose_video(
    container: InputContainer,
    source: str | Path,
    limits: MediaLimits,
    threads: int,
    single_thread_pixels: int = 0,
) -> VideoStream | None:
    """Pick the video track: not empty, then the default one, then the largest, then the first.

    Cover pictures are no video. The codec is opened with ``threads`` threads, or with one for a picture of up
    to ``single_thread_pixels``.

    Raises:
        MediaError: The picture is larger than the limits allow.
    """
    for stream in sorted(container.streams.video, key=_video_rank, reverse=True):
        if stream.codec_context is None or stream.disposition & _STILLS:
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


def choose_sound(container: InputContainer, limits: MediaLimits) -> AudioStream | None:
    """Pick the sound track: not empty, then the default one, then the first."""
    for stream in sorted(container.streams.audio, key=_rank, reverse=True):
        codec = stream.codec_context
        if codec is None or not sane_sound(codec.sample_rate, codec.layout.nb_channels, limits):
            continue
        # Sound decodes fast; without threads the codec loses nothing around damage.
        codec.thread_type = "NONE"
        if _opens(stream):
            return stream
    return None


def missing_track(container: InputContainer, kind: str) -> str | None:
    """Say why no track of ``kind`` (``video`` or ``audio``) was chosen, ``None`` if there is none."""
    streams = [s for s in container.streams if s.type == kind and not s.disposition & _STILLS]
    if not streams:
        return None
    names = {s.codec_context.name if s.codec_context is not None else "unknown" for s in streams}
    return f"the {'video' if kind == 'video' else 'sound'} ({', '.join(sorted(names))}) can't be decoded"


def duration_seconds(container: InputContainer, file_bytes: int) -> float | None:
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


def _rank(stream: VideoStream | AudioStream) -> tuple[bool, bool]:
    return stream.frames > 0, bool(stream.disposition & Disposition.default)


def _video_rank(stream: VideoStream) -> tuple[bool, bool, int]:
    codec = stream.codec_context
    return *_rank(stream), 0 if codec is None else codec.width * codec.height
