"""Which files DALI decodes as PyAV does; all others are PyAV's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import av.error
from av.container import InputContainer
from av.video.frame import VideoFrame

from emorec_rt.dali.library import Device
from emorec_rt.media import MediaLimits
from emorec_rt.media.container import open_container
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
    """What the first picture says.

    Attributes:
        refusal: Why DALI wouldn't give the same pictures; ``None`` where it does.
        first_seconds: Presentation time of the first picture.
    """

    refusal: str | None
    first_seconds: float = 0.0


def judge(path: Path, limits: MediaLimits, device: Device) -> Verdict:
    """Look at a file's first picture.

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
        return _judge_picture(_first(container))


def _first(container: InputContainer) -> VideoFrame | None:
    try:
        return next(container.decode(video=0), None)
    except (av.error.FFmpegError, ValueError):
        return None


def _judge_picture(picture: VideoFrame | None) -> Verdict:
    if picture is None or picture.pts is None or picture.time is None:
        return Verdict("its first picture is damaged or has no time")
    if picture.format.name not in _EIGHT_BITS:
        return Verdict(f"its pixels are {picture.format.name}")
    if int(picture.colorspace) not in _BT601:
        return Verdict("its colours are not BT.601, which is all that DALI converts")
    if display_matrix(picture) != IDENTITY and not _upright(picture):
        return Verdict("it is to be shown rotated")
    return Verdict(None, picture.time)


def _upright(picture: VideoFrame) -> bool:
    a, b, c, d = display_matrix(picture)
    return a > 0 and d > 0 and b == c == 0
