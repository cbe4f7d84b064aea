"""Frames that a threaded decoder loses at the end of a damaged video.

Decoding threads run ahead of the frames they give. When one of the last packets is damaged, FFmpeg reports it
while the codec is drained, and PyAV then gives up what is still behind. Those frames are decoded once more,
without threads, from the key frame before them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av.error
from av.video.frame import VideoFrame

from emorec_rt.media.container import open_container
from emorec_rt.media.limits import MediaLimits
from emorec_rt.media.packets import PacketDecoder
from emorec_rt.media.tracks import choose_video


def frames_after(path: Path, limits: MediaLimits, number: int | None, pts: int) -> Iterator[VideoFrame]:
    """Decode the pictures of a video track whose timestamp is after ``pts``, in the track's time base."""
    with open_container(path, limits) as container:
        stream = choose_video(container, path, limits, threads=1, number=number)
        if stream is None:
            return
        decoder = PacketDecoder[VideoFrame](stream)
        try:
            container.seek(pts, stream=stream)
            for packet in container.demux(stream):
                yield from _newer(decoder.decode(packet if packet.size else None), pts)
        except av.error.FFmpegError:
            return


def _newer(frames: list[VideoFrame], pts: int) -> Iterator[VideoFrame]:
    return (frame for frame in frames if frame.pts is not None and frame.pts > pts)
