"""Tiny clips, and the program run on them as a process."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import av
import numpy as np

PROGRAM = "from emorec_rt.cli import main; main()"


def write_clip(path: Path, frames: int = 10, side: int = 32) -> Path:
    """Grey pictures that get brighter, without sound."""
    with av.open(str(path), "w") as out:
        video = out.add_stream("mpeg4", rate=25)
        video.width = video.height = side
        video.pix_fmt = "yuv420p"
        for index in range(frames):
            pixels = np.full((side, side, 3), 20 + 3 * index % 200, np.uint8)
            out.mux(video.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
        out.mux(video.encode(None))
    return path


def emorec_command(*arguments: str | Path) -> list[str]:
    """The command line."""
    return [sys.executable, "-c", PROGRAM, *map(str, arguments)]


def environment() -> dict[str, str]:
    """This process's environment, with its module path."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
