"""Send a clip as MPEG-TS in real time, as a camera would, over and over until the time is up.

python benchmarks/live_sender.py CLIP ADDRESS SECONDS
ADDRESS is FFmpeg's: udp://127.0.0.1:5000?pkt_size=1316, or tcp://127.0.0.1:5000?listen=1 to wait for a reader

Each frame's number goes to standard output, with the machine's monotonic time in seconds before its encoding:
that, as in a camera, is part of the delay.
"""

from __future__ import annotations

import heapq
import sys
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Final, cast

import av
from av.container import OutputContainer

FPS: Final = 25
LOW_DELAY: Final = {"tune": "zerolatency", "preset": "ultrafast", "g": "12"}
START_SECONDS: Final = 1
"""Of the stream's clock: an encoder's first packet of sound lies before it."""

AT_ONCE: Final = {"flush_packets": "1", "max_interleave_delta": "100000", "pes_payload_size": "0"}
"""For the muxer: nothing waits for a full buffer, no picture longer than 0.1 s for sound, and no sound for
more sound, of which FFmpeg would otherwise put up to half a second into one packet."""


def looped(clip: Path) -> Iterator[av.AudioFrame | av.VideoFrame]:
    """Frames and sound of the clip in the order of their times, whatever the file's is, again and again."""
    while True:
        yield from heapq.merge(_track(clip, "video"), _track(clip, "audio"), key=_time_seconds)


def _time_seconds(frame: av.AudioFrame | av.VideoFrame) -> float:
    return frame.time or 0.0


def _track(clip: Path, kind: str) -> Iterator[av.AudioFrame | av.VideoFrame]:
    with av.open(str(clip)) as container:
        for stream in [stream for stream in container.streams if stream.type == kind][:1]:
            for packet in container.demux(stream):
                yield from cast("list[av.AudioFrame | av.VideoFrame]", packet.decode())


class LiveEncoder:
    """One video and one sound stream, each on a clock that never goes back.

    Args:
        out: An open container.
        clip: The clip whose sizes and rates are taken.
    """

    def __init__(self, out: OutputContainer, clip: Path) -> None:
        with av.open(str(clip)) as container:
            picture, sound = container.streams.video[0], container.streams.audio
            self._out = out
            self._video = out.add_stream("libx264", rate=FPS, options=LOW_DELAY)
            self._video.width, self._video.height = picture.width, picture.height
            self._video.pix_fmt = "yuv420p"
            self._sound = out.add_stream("aac", rate=sound[0].rate, layout="mono") if sound else None
        self._samples = 0

    def picture(self, frame: av.VideoFrame, index: int) -> None:
        """Send frame number ``index``."""
        frame.pts, frame.time_base = START_SECONDS * FPS + index, Fraction(1, FPS)
        frame.pict_type = av.video.frame.PictureType.NONE
        self._out.mux(self._video.encode(frame))

    def sound(self, frame: av.AudioFrame) -> None:
        """Send the next block of sound."""
        if self._sound is None:
            return
        frame.time_base = Fraction(1, frame.sample_rate)
        frame.pts = START_SECONDS * frame.sample_rate + self._samples
        self._samples += frame.samples
        self._out.mux(self._sound.encode(frame))

    def finish(self) -> None:
        """Send what the encoders still hold."""
        self._out.mux(self._video.encode(None))
        if self._sound is not None:
            self._out.mux(self._sound.encode(None))


def send(clip: Path, address: str, seconds: float) -> None:
    """Send the clip until ``seconds`` are over."""
    with av.open(address, "w", format="mpegts", container_options=AT_ONCE) as out:
        encoder = LiveEncoder(out, clip)
        started, index = time.monotonic(), 0
        for frame in looped(clip):
            if isinstance(frame, av.AudioFrame):
                encoder.sound(frame)
                continue
            time.sleep(max(started + index / FPS - time.monotonic(), 0.0))
            sys.stdout.write(f"{index} {time.monotonic():.6f}\n")
            encoder.picture(frame, index)
            sys.stdout.flush()
            index += 1
            if index >= seconds * FPS:
                break
        encoder.finish()


if __name__ == "__main__":
    send(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]))
