"""Times of a video's frames without decoding them, for data sets whose pictures lie beside the video.

The decoder gives each frame the timestamp of its packet, so the packets' sorted timestamps are the frames'
times. That holds for whole files of plain codecs in MP4 and Matroska, which are taken here; for anything else
the answer is ``None``, and the video is decoded.
A frame that is damaged keeps its number and its time.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import av.error
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

from emorec_rt.errors import MediaError
from emorec_rt.media.container import open_file
from emorec_rt.media.limits import MediaLimits
from emorec_rt.media.timeline import LEAP_SECONDS
from emorec_rt.media.tracks import choose_video

FORMATS: Final = frozenset({"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm"})
CODECS: Final = frozenset({"h264", "hevc", "mpeg4", "mjpeg"})
"""A packet is a frame: no hidden frames as in VP8 and VP9, no packed ones as in AVI."""


@dataclass(frozen=True, slots=True)
class FrameTimes:
    """Frames of a video.

    Attributes:
        seconds: float64 ``[F]``, ascending presentation times.
        has_sound: Whether the file has a sound track.
    """

    seconds: NDArray[np.float64]
    has_sound: bool


def demuxed_times(path: Path, limits: MediaLimits | None = None) -> FrameTimes | None:
    """Read the times of a video's frames from its packets; ``None`` where only decoding tells them."""
    try:
        container, _ = open_file(path, limits or MediaLimits())
        with closing(container):
            stream = choose_video(container, path, limits or MediaLimits(), 1)
            if stream is None or not _plain(container, stream):
                return None
            seconds = _packet_times(container, stream)
            return None if seconds is None else FrameTimes(seconds, bool(container.streams.audio))
    except (av.error.FFmpegError, MediaError, OSError, ValueError):
        return None  # whoever decodes it says why


def _plain(container: InputContainer, stream: VideoStream) -> bool:
    return container.format.name in FORMATS and stream.codec_context.name in CODECS


def _packet_times(container: InputContainer, stream: VideoStream) -> NDArray[np.float64] | None:
    pts: list[int] = []
    for packet in container.demux(stream):
        if packet.size == 0:
            continue  # the end
        if packet.pts is None or packet.is_corrupt or packet.is_discard or not (pts or packet.is_keyframe):
            return None
        pts.append(packet.pts)
    base = stream.time_base
    if not pts or base is None:
        return None
    seconds = np.array([float(own * base) for own in sorted(pts)])
    gaps = np.diff(seconds)
    return seconds if (gaps > 0.0).all() and (gaps < LEAP_SECONDS).all() else None
