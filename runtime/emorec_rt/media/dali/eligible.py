"""Files that DALI decodes as PyAV does; PyAV takes all others."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import av.error
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from emorec_rt.media import MediaLimits
from emorec_rt.media.container import open_container
from emorec_rt.media.dali.library import Device
from emorec_rt.media.joins import clock_of, timed_packets
from emorec_rt.media.orientation import IDENTITY, display_matrix
from emorec_rt.media.tracks import choose_video

CODECS: Final[dict[Device, frozenset[str]]] = {
    "cpu": frozenset({"vp8", "vp9", "mjpeg"}),
    "gpu": frozenset({"vp8", "vp9", "mjpeg", "h264", "hevc", "av1", "mpeg4"}),
}
"""FFmpeg's names of what DALI 2.4 decodes."""

_DECODERS: Final = {"libvpx": "vp8", "libvpx-vp9": "vp9", "libdav1d": "av1", "libaom-av1": "av1"}
_EIGHT_BITS: Final = frozenset({"yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p", "nv12"})
_BT601: Final = frozenset({2, 5, 6})
"""FFmpeg's numbers of colour matrices that are BT.601's, and of none: untagged pictures count as BT.601."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """PyAV's findings about a file's video.

    Attributes:
        refusal: Why DALI wouldn't give the same pictures; ``None`` where it does.
        times_seconds: float64 ``[T]``, presentation time of each picture, increasing. DALI estimates how many
            there are, and their times, from some containers' headers; packets say it.
    """

    refusal: str | None
    times_seconds: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))


def judge(path: Path, limits: MediaLimits, device: Device) -> Verdict:
    """Look at a file's first picture, and at its packets' times: it is read once, but not decoded.

    Raises:
        MediaError: It can't be read at all.
    """
    with open_container(path, limits) as container:
        stream = choose_video(container, path, limits, threads=1)
        if stream is None:
            return Verdict("there is no picture to decode")
        if len(container.streams.video) > 1:
            return Verdict("there are several video tracks")
        codec = _DECODERS.get(stream.codec_context.name, stream.codec_context.name)
        if codec not in CODECS[device]:
            return Verdict(f"DALI has no {codec} decoder for a {device.upper()}")
        refusal = _judge_picture(_first(container, stream))
    return Verdict(refusal) if refusal else _judge_times(path, limits)


def _first(container: InputContainer, stream: VideoStream) -> VideoFrame | None:
    try:
        return next(container.decode(stream), None)
    except (av.error.FFmpegError, ValueError):
        return None


def _judge_times(path: Path, limits: MediaLimits) -> Verdict:
    with open_container(path, limits) as container:
        stream, clock = container.streams.video[0], clock_of(container)
        try:
            stamps = [packet.pts for packet in timed_packets(container, {stream.index}, clock)]
        except (av.error.FFmpegError, OSError):
            return Verdict("it is damaged")
        known = [stamp for stamp in stamps if stamp is not None]
        if len(known) < len(stamps) or len(set(known)) < len(known) or stream.time_base is None:
            return Verdict("pictures have no times of their own")
        times = np.array(known, np.float64) * float(stream.time_base)
    if clock.joins:
        return Verdict("its clock is restarted")
    return Verdict(None, np.sort(times))


def _judge_picture(picture: VideoFrame | None) -> str | None:
    if picture is None or picture.pts is None or picture.time is None:
        return "its first picture is damaged or has no time"
    if picture.format.name not in _EIGHT_BITS:
        return f"its pixels are {picture.format.name}"
    if int(picture.colorspace) not in _BT601:
        return "its colours are not BT.601, which is all that DALI converts"
    if display_matrix(picture) != IDENTITY and not _upright(picture):
        return "it is to be shown rotated"
    return None


def _upright(picture: VideoFrame) -> bool:
    a, b, c, d = display_matrix(picture)
    return a > 0 and d > 0 and b == c == 0
