"""Pictures of a video stream: decoded, upright, RGB, in the order of their times."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from emorec_rt.media.orientation import Orientation, upright
from emorec_rt.media.packets import PacketDecoder
from emorec_rt.media.pyav import ONE_THREAD
from emorec_rt.media.timeline import Timeline
from emorec_rt.media.types import Frame

MIN_STEP_SECONDS: Final = 0.001
"""Frames that the container shows at the same time, or backwards, are this far apart."""

DEFAULT_FPS: Final = 25.0
_PLAUSIBLE_FPS: Final = (0.01, 480.0)


class FrameDecoder:
    """Decode one video stream into frames.

    Every decoded frame is yielded, and times strictly increase. A frame without a time follows its
    predecessor at the stream's rate; one whose time isn't after its predecessor's comes
    ``MIN_STEP_SECONDS`` later, until the container's times are ahead again; after a restart of the clock the
    stream goes on as if joined.

    Colours are converted as the stream is tagged (BT.601, BT.709, limited, full); untagged pictures count as
    BT.601 limited, FFmpeg's rule. Pixels are as stored: the sample aspect ratio is not applied, and
    interlaced pictures stay as they are.

    Attributes:
        packets: The codec, with its counts.
        newest_packet_pts: Latest timestamp that came in, in units of the stream's time base.
        newest_frame_pts: Latest timestamp that came out.
        has_size: The header tells a picture size within the limits.
    """

    def __init__(self, stream: VideoStream) -> None:
        self.packets = PacketDecoder[VideoFrame](stream)
        self.newest_packet_pts: int | None = None
        self.newest_frame_pts: int | None = None
        self.has_size = bool(stream.codec_context.width)
        self._timeline = Timeline(stream.time_base)
        self._rgb = VideoReformatter()
        self._orientation = Orientation()
        self._step_seconds = 1.0 / (stream_fps(stream) or DEFAULT_FPS)
        self._last_seconds: float | None = None
        self._count = 0

    def decode(self, packet: Packet[Any] | None) -> Iterator[Frame]:
        """Decode a packet; ``None`` ends the stream."""
        if packet is not None and packet.pts is not None and not packet.is_discard:
            self.newest_packet_pts = max(packet.pts, self.newest_packet_pts or packet.pts)
        for picture in self.packets.decode(packet):
            yield self.convert(picture)

    def convert(self, picture: VideoFrame) -> Frame:
        """Turn a decoded picture into the stream's next frame."""
        if picture.pts is not None:
            self.newest_frame_pts = max(picture.pts, self.newest_frame_pts or picture.pts)
        frame = Frame(self._count, self._place(picture.pts), self._pixels(picture))
        self._count += 1
        return frame

    def _place(self, pts: int | None) -> float:
        last = self._last_seconds
        expected = 0.0 if last is None else last + self._step_seconds
        seconds = self._timeline.resolve(pts, earliest=last, expected=expected)
        if last is not None and seconds <= last:
            seconds = last + MIN_STEP_SECONDS
        self._last_seconds = seconds
        return seconds

    def _pixels(self, picture: VideoFrame) -> NDArray[np.uint8]:
        matrix = self._orientation.matrix(picture)
        # One thread: a picture converts in a millisecond, and the cores are busy decoding.
        rgb = self._rgb.reformat(picture, format="rgb24", **ONE_THREAD).to_ndarray()
        return upright(np.asarray(rgb, dtype=np.uint8), matrix)


def stream_fps(stream: VideoStream) -> float | None:
    """Frames a second as the header says, ``None`` where that isn't plausible."""
    for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate):
        if rate and _PLAUSIBLE_FPS[0] <= rate <= _PLAUSIBLE_FPS[1]:
            return float(rate)
    return None
