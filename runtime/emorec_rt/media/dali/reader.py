"""A media file whose pictures DALI decodes, and whose sound PyAV does."""

from __future__ import annotations

import heapq
import logging
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from emorec_rt.media import Frame, MediaItem, MediaLimits, MediaReader, open_media
from emorec_rt.media.dali.eligible import Verdict, judge
from emorec_rt.media.dali.library import Device, dali_device, import_dali
from emorec_rt.media.dali.pipelines import Pictures, ReaderPipeline, reason_of
from emorec_rt.media.reading import Reading
from emorec_rt.media.tracks import BEST, Tracks

DEFAULT_LIMITS: Final = MediaLimits()
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DeviceFrame(Frame):
    """A frame whose ``pixels`` are a small copy; the picture itself is on the GPU.

    Attributes:
        picture: DALI's tensor, uint8 ``[H, W, 3]``.
        height: Its height in pixels.
        width: Its width in pixels.
    """

    picture: Any
    height: int
    width: int


def open_dali(
    path: str | Path,
    *,
    limits: MediaLimits = DEFAULT_LIMITS,
    tracks: Tracks = BEST,
    threads: int | None = None,
) -> MediaReader | DaliReader:
    """Open a media file; PyAV reads what DALI wouldn't decode to the same pictures.

    Args:
        path: A regular file.
        limits: What is refused before memory is taken.
        tracks: The tracks to take.
        threads: Decoding threads of PyAV.

    Raises:
        DecoderUnavailableError: DALI isn't installed.
        MediaError: It can't be read.
    """
    import_dali()
    path = Path(path)
    media = open_media(path, limits=limits, tracks=tracks, threads=threads)
    device = dali_device()
    try:
        verdict = judge(path, limits, device)
        refusal = verdict.refusal
        if refusal is None:
            pipeline = ReaderPipeline(path, device)
            refusal = _miscounted(pipeline, verdict)
    except RuntimeError as error:
        refusal = reason_of(error)
    except BaseException:
        media.close()
        raise
    if refusal is not None:
        _tell(refusal)
        _logger.info("%s: PyAV decodes it: %s", path, refusal)
        return media
    return DaliReader(path, pipeline, media, verdict.times_seconds, device, limits, tracks)


@cache
def _tell(refusal: str) -> None:
    """Once for each reason: who asked for DALI wants to know why it isn't faster."""
    _logger.warning("PyAV decodes in DALI's place: %s", refusal)


class DaliReader(Reading):
    """Frames and blocks of sound of a file, in about the order of their times.

    Each of DALI's pictures is yielded. Where it gives up, PyAV goes on with the next one.

    Attributes:
        name: The file's path.
        live: Never.
        has_video: Always.
        has_sound: Samples will come.
        duration_seconds: Length that the header tells; ``None`` if it tells none that can be true.
        warnings: What was damaged, complete when the iterator has ended.
    """

    live = False
    has_video = True

    def __init__(
        self,
        path: Path,
        pipeline: ReaderPipeline,
        media: MediaReader,
        times_seconds: NDArray[np.float64],
        device: Device,
        limits: MediaLimits,
        tracks: Tracks,
    ) -> None:
        self.name = str(path)
        self.has_sound = media.has_sound
        self.duration_seconds = media.duration_seconds
        self.warnings: list[str] = []
        self._path = path
        self._pipeline = pipeline
        self._times_seconds = times_seconds.tolist()
        self._device = device
        self._limits = limits
        self._tracks = tracks
        super().__init__()
        media.close()  # it has told what there is; its tracks are read by two others

    def _iterate(self) -> Generator[MediaItem, None, None]:
        if not self.has_sound:
            yield from self._frames()
            return
        with open_media(self._path, limits=self._limits, tracks=self._tracks, frames=False) as sound:
            yield from heapq.merge(self._frames(), sound, key=lambda item: item.pts_seconds)
            self.warnings.extend(sound.warnings)

    def _frames(self) -> Iterator[Frame]:
        index = 0
        try:
            while index < len(self._times_seconds):
                pictures = self._pipeline.read()
                for k in range(min(len(pictures.numbers), len(self._times_seconds) - index)):
                    if pictures.numbers[k] != index:
                        raise RuntimeError(f"it gave picture {pictures.numbers[k]} for {index}")
                    yield self._frame(index, pictures, k)
                    index += 1
        except RuntimeError as error:
            self.warnings.append(f"DALI stopped after {index} frames, PyAV goes on: {reason_of(error)}")
            yield from self._rest(index)

    def _frame(self, index: int, pictures: Pictures, k: int) -> Frame:
        seconds = self._times_seconds[index]
        if self._device == "cpu":
            return Frame(index, seconds, pictures.previews[k])
        height, width = pictures.pixels.shape()[k][:2]
        return DeviceFrame(index, seconds, pictures.previews[k], pictures.pixels[k], height, width)

    def _rest(self, index: int) -> Iterator[Frame]:
        with open_media(self._path, limits=self._limits, sound=False) as media:
            for item in media:
                if isinstance(item, Frame) and item.index >= index:
                    yield item
            self.warnings.extend(media.warnings)


def _miscounted(pipeline: ReaderPipeline, verdict: Verdict) -> str | None:
    wanted, found = len(verdict.times_seconds), pipeline.length
    return None if found == wanted else f"DALI counts {found} pictures where there are {wanted}"
