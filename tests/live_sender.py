"""Send a clip as MPEG-TS in real time, as a camera would; prints each frame's number and time when it leaves.

python tests/live_sender.py CLIP ADDRESS SECONDS
ADDRESS is FFmpeg's: udp://127.0.0.1:5000?pkt_size=1316, or tcp://127.0.0.1:5000?listen=1 to wait for a reader
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av

FPS = 25
RATE_HZ = 44_100
LOW_DELAY = {"tune": "zerolatency", "preset": "ultrafast", "g": "12"}


def looped(clip: Path) -> Iterator[av.AudioFrame | av.VideoFrame]:
    """Frames and sound of the clip, again and again."""
    while True:
        with av.open(str(clip)) as container:
            for frame in container.decode():
                if isinstance(frame, av.AudioFrame | av.VideoFrame):
                    yield frame


def send(clip: Path, address: str, seconds: float) -> None:
    """Encode the clip until ``seconds`` have been sent."""
    with av.open(address, "w", format="mpegts") as out:
        video = out.add_stream("libx264", rate=FPS, options=LOW_DELAY)
        audio = out.add_stream("aac", rate=RATE_HZ, layout="mono")
        video.width, video.height, video.pix_fmt = 320, 240, "yuv420p"
        started = time.perf_counter()
        index, sound = 0, 0
        for frame in looped(clip):
            if isinstance(frame, av.AudioFrame):
                frame.pts, frame.time_base = sound, Fraction(1, frame.sample_rate)
                sound += frame.samples
                out.mux(audio.encode(frame))
                continue
            time.sleep(max(started + index / FPS - time.perf_counter(), 0.0))
            frame.pts, frame.time_base = index, Fraction(1, FPS)
            frame.pict_type = av.video.frame.PictureType.NONE
            out.mux(video.encode(frame))
            sys.stdout.write(f"{index} {time.time():.6f}\n")
            sys.stdout.flush()
            index += 1
            if index >= seconds * FPS:
                break
        out.mux(video.encode(None))
        out.mux(audio.encode(None))


if __name__ == "__main__":
    send(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]))
