"""Clips as files: mp4 (H.264, AAC), labels as csv, sheets as png; each appears whole or not at all."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Final, Protocol

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from emorec_rt.constants import EXPRESSIONS, SAMPLE_RATE_HZ
from emorec_rt.errors import OutputError
from emorec_rt.files import WholeFile
from emorec_train.data.synthetic.types import Clip, ClipSpec

_VIDEO_OPTIONS: Final = {"crf": "23", "preset": "veryfast"}
_AUDIO_BIT_RATE: Final = 64_000


class DrawnClip(Protocol):
    """Common part of ``Clip`` and ``ClipPlan``."""

    @property
    def spec(self) -> ClipSpec:
        """Request for the clip."""
        ...

    @property
    def times_seconds(self) -> NDArray[np.float64]:
        """float64 ``[T]``."""
        ...

    @property
    def pcm(self) -> NDArray[np.float32]:
        """float32 ``[N]``."""
        ...

    @property
    def labels(self) -> NDArray[np.int64]:
        """int64 ``[T]``."""
        ...

    def iter_frames(self) -> Iterator[NDArray[np.uint8]]:
        """Yield uint8 ``[H, W, 3]``."""
        ...


def write_clip(clip: DrawnClip, path: Path | str) -> None:
    """Write an mp4 with H.264 video and, where the clip has sound, AAC audio.

    Args:
        clip: A ``Clip``, or a ``ClipPlan`` whose frames are then drawn one at a time.
        path: The file; an existing one is replaced.

    Raises:
        OutputError: The file can't be written.
    """
    _write_whole(Path(path), lambda beside: _encode(clip, beside))


def write_labels(clip: DrawnClip, path: Path | str) -> None:
    """Write the truth about each frame as csv with the columns frame, time_seconds and label.

    Raises:
        OutputError: The file can't be written.
    """
    _write_whole(Path(path), lambda beside: _write_rows(clip, beside))


def write_sheet(clip: Clip, path: Path | str, columns: int = 6, rows: int = 2) -> None:
    """Write a png with evenly spaced frames and their labels, for a person to look at.

    Raises:
        OutputError: The file can't be written.
    """
    picks = np.linspace(0, len(clip.frames) - 1, columns * rows).round().astype(int)
    tiles = [_captioned(clip.frames[pick], EXPRESSIONS[clip.labels[pick]]) for pick in picks]
    lines = [np.concatenate(tiles[row * columns : (row + 1) * columns], axis=1) for row in range(rows)]
    sheet = cv2.cvtColor(np.concatenate(lines), cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".png", sheet)
    _write_whole(Path(path), lambda beside: beside.write_bytes(data.tobytes()))


def _captioned(frame: NDArray[np.uint8], caption: str) -> NDArray[np.uint8]:
    tile: NDArray[np.uint8] = frame.copy()
    for colour, width in (((0.0, 0.0, 0.0), 3), ((255.0, 255.0, 255.0), 1)):
        cv2.putText(tile, caption, (5, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.5, colour, width, cv2.LINE_AA)
    return tile


def _write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a file beside ``path``, then rename it; leave nothing behind when it fails."""
    try:
        with WholeFile(path) as file:
            write(file.part)
    except av.FFmpegError as error:
        raise OutputError(path, str(error)) from error


def _write_rows(clip: DrawnClip, path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(("frame", "time_seconds", "label"))
        for index, (time, label) in enumerate(zip(clip.times_seconds, clip.labels, strict=True)):
            rows.writerow((index, f"{time:.6f}", EXPRESSIONS[label]))


def _encode(clip: DrawnClip, path: Path) -> None:
    with av.open(path, "w", format="mp4", options={"movflags": "+faststart"}) as container:
        video = container.add_stream(
            "libx264", Fraction(clip.spec.fps).limit_denominator(1001), _VIDEO_OPTIONS
        )
        video.width, video.height, video.pix_fmt = clip.spec.width, clip.spec.height, "yuv420p"
        audio = container.add_stream("aac", SAMPLE_RATE_HZ, layout="mono") if len(clip.pcm) else None
        for pixels in clip.iter_frames():
            container.mux(video.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(video.encode())
        if audio is not None:
            audio.bit_rate = _AUDIO_BIT_RATE
            container.mux(audio.encode(_audio_frame(clip.pcm)))
            container.mux(audio.encode())


def _audio_frame(pcm: NDArray[np.float32]) -> av.AudioFrame:
    frame = av.AudioFrame.from_ndarray(pcm[None], format="fltp", layout="mono")
    frame.sample_rate = SAMPLE_RATE_HZ
    frame.pts = 0
    frame.time_base = Fraction(1, SAMPLE_RATE_HZ)
    return frame
