"""Send a clip over UDP as MPEG-TS in real time, as a camera would; prints each frame's time when it leaves.

python tests/live_sender.py CLIP PORT SECONDS
"""

from __future__ import annotations

import sys
import time
from fractions import Fraction
from pathlib import Path

import av


def send(clip: Path, port: int, seconds: float) -> None:
    """Encode the clip again and again until ``seconds`` have been sent."""
    with av.open(f"udp://127.0.0.1:{port}?pkt_size=1316", "w", format="mpegts") as out:
        video = out.add_stream(
            "libx264", rate=25, options={"tune": "zerolatency", "preset": "ultrafast", "g": "12"}
        )
        audio = out.add_stream("aac", rate=44100, layout="mono")
        video.width, video.height, video.pix_fmt = 320, 240, "yuv420p"
        started = time.perf_counter()
        index, sound = 0, 0
        while index < seconds * 25:
            with av.open(str(clip)) as container:
                for frame in container.decode():
                    if isinstance(frame, av.AudioFrame):
                        frame.pts, sound = sound, sound + frame.samples
                        frame.time_base = Fraction(1, frame.sample_rate)
                        out.mux(audio.encode(frame))
                        continue
                    time.sleep(max(started + index / 25 - time.perf_counter(), 0.0))
                    frame.pts, frame.time_base = index, Fraction(1, 25)
                    frame.pict_type = av.video.frame.PictureType.NONE
                    out.mux(video.encode(frame))
                    sys.stdout.write(f"{index} {time.time():.6f}\n")
                    sys.stdout.flush()
                    index += 1
                    if index >= seconds * 25:
                        break
        out.mux(video.encode(None))


if __name__ == "__main__":
    send(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
