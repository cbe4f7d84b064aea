"""``mp4``: the input once more, with face box, label and probabilities on each frame, and its sound.

The input is decoded a second time when its rows are complete: the same reader gives the same frames with the
same times. The picture is H.264, each frame at its own presentation time (variable frame rates stay), counted
from the container's start, as for subtitles.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any, Final, cast

import av
import av.error
import cv2
import numpy as np
from av.container import OutputContainer
from av.packet import Packet
from av.video.reformatter import ColorRange, Colorspace
from av.video.stream import VideoStream
from numpy.typing import NDArray

from emorec_rt.errors import EmorecError, MediaError, OutputError
from emorec_rt.files import WholeFile
from emorec_rt.media import Frame, MediaReader, open_media
from emorec_rt.media.container import open_container
from emorec_rt.media.sources import is_address
from emorec_rt.media.tracks import choose_sound, choose_video
from emorec_rt.windows.prediction import Prediction
from emorec_rt.writers.base import Target
from emorec_rt.writers.overlay import BACKGROUND, Overlay, enlargement
from emorec_rt.writers.row_buffer import RowBuffer
from emorec_rt.writers.segments import FrameClock
from emorec_rt.writers.sound_track import sound_track
from emorec_rt.writers.source import start_seconds

TICK: Final = Fraction(1, 90_000)
"""The video's time base: every common frame rate is a whole number of ticks."""

KEY_FRAME_SECONDS: Final = 2.0
ENCODER_OPTIONS: Final = {"preset": "veryfast", "crf": "20"}
MUXER_OPTIONS: Final = {"movie_timescale": str(TICK.denominator)}
"""A late track's start is told in these units; FFmpeg's default of milliseconds is too coarse."""

_BT709: Final = 1
_LIMITED_RANGE: Final = 1


class AnnotatedWriter:
    """Keeps rows, and draws them when they are complete.

    Args:
        target: What to write.

    Raises:
        OutputError: The input has no picture to draw on, or the target can't be written.
    """

    def __init__(self, target: Target) -> None:
        _refuse_sound_alone(target)
        self._target = target
        self._file = WholeFile(target.path)
        self._rows = RowBuffer(target.labels)
        self._rendered = False

    def go_live(self) -> None:
        """Nothing to show before the end."""

    def write(self, prediction: Prediction) -> None:
        """Keep the next row."""
        self._rows.append(prediction)

    def render(self) -> Iterator[float]:
        """Decode the input again, draw and encode; give the share that is done, in [0, 1], after each frame.

        Raises:
            OutputError: It can't be written.
            MediaError: The input can't be read any more.
        """
        self._rendered = True
        try:
            yield from _render(self._target, self._rows, self._file.part)
        except EmorecError:
            raise
        except (av.error.FFmpegError, OSError) as error:
            raise OutputError(self._target.path, f"can't be written ({error.strerror or error})") from error

    def commit(self) -> None:
        """Make the file appear; render it first, where ``render`` was not called."""
        if not self._rendered:
            for _ in self.render():
                pass
        self._file.commit()
        self._rows.close()

    def discard(self) -> None:
        """Leave nothing."""
        self._file.discard()
        self._rows.close()


def _refuse_sound_alone(target: Target) -> None:
    if is_address(target.source):
        raise OutputError(target.path, "a stream can't be read a second time to draw on; record it to a file")
    if target.source.is_dir():
        raise OutputError(target.path, f"{target.source} is a folder of pictures, not a video to draw on")
    with (
        contextlib.suppress(MediaError),
        open_media(target.source, limits=target.limits, tracks=target.tracks, threads=1) as media,
    ):
        if not media.has_video:
            raise OutputError(target.path, f"{target.source} has no video to draw on")


def _render(target: Target, rows: RowBuffer, path: Path) -> Iterator[float]:
    limits, tracks = target.limits, target.tracks
    begin, end = target.part_seconds
    start = max(start_seconds(target.source), -math.inf if begin is None else begin)
    with (
        open_media(target.source, sound=False, limits=limits, tracks=tracks) as media,
        open_container(target.source, limits) as side,
        av.open(str(path), "w", format="mp4", container_options=MUXER_OPTIONS) as out,
    ):
        frames = _between(cast("Iterator[Frame]", media), begin, end)
        if target.notice:
            out.metadata["comment"] = target.notice
        first = next(frames, None)
        if first is None:
            raise OutputError(target.path, "no frame lies between --start and --end")
        picture = choose_video(side, target.source, limits, threads=1, number=tracks.video)
        video = _VideoTrack(out, first, target.labels, media, picture, target.notice)
        heard = choose_sound(side, target.source, limits, tracks.audio)
        sound = sound_track(side, heard, out, start, skips=begin is not None)
        for frame, found in _paired(first, frames, rows):
            video.add(frame, found, frame.pts_seconds - start)
            sound.advance(frame.pts_seconds - start)
            yield (frame.index + 1) / max(rows.count, frame.index + 1)
        video.finish()
        if end is None:
            sound.finish()
        else:
            sound.cut()


def _between(frames: Iterator[Frame], begin: float | None, end: float | None) -> Iterator[Frame]:
    for frame in frames:
        if end is not None and frame.pts_seconds >= end:
            return
        if begin is None or frame.pts_seconds >= begin:
            yield frame


def _paired(
    first: Frame, others: Iterator[Frame], rows: RowBuffer
) -> Iterator[tuple[Frame, list[Prediction]]]:
    """Each frame with its rows, by number; a frame without one stays bare."""
    predictions = rows.rows()
    row = next(predictions, None)
    for frame in chain([first], others):
        found = []
        while row is not None and row.index <= frame.index:
            if row.index == frame.index:
                found.append(row)
            row = next(predictions, None)
        yield frame, found


class _Canvas:
    """Brings every frame to the first one's size, enlarged where it is small; bars below, sides even."""

    def __init__(self, labels: tuple[str, ...], height: int, width: int, notice: str) -> None:
        self.scale = enlargement(height, width)
        self.height, self.width = height * self.scale, width * self.scale
        self.overlay = Overlay(labels, self.height, self.width, notice)
        total = self.height + self.overlay.panel_height
        self.even_height, self.even_width = total + total % 2, self.width + self.width % 2

    def paint(self, frame: Frame, found: list[Prediction]) -> NDArray[np.uint8]:
        """Frame and overlay, uint8 ``[even_height, even_width, 3]``."""
        height, width = frame.pixels.shape[:2]
        picture = self._enlarged(frame.pixels, height, width)
        for prediction in found:
            self.overlay.mark(picture, prediction, picture.shape[1] / width)
        if picture.shape[:2] != (self.height, self.width):  # the stream has changed its size
            picture = _resized(picture, self.height, self.width)
        painted = np.full((self.even_height, self.even_width, 3), BACKGROUND, np.uint8)
        painted[: self.height, : self.width] = picture
        painted[: self.height, self.width :] = picture[:, -1:]
        if found:
            self.overlay.fill(painted[self.height :], max(found, key=_face_size))
        return painted

    def _enlarged(self, pixels: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
        if self.scale == 1:
            return np.array(pixels)
        return _resized(pixels, height * self.scale, width * self.scale)


def _face_size(prediction: Prediction) -> float:
    """The bars are those of the largest face."""
    return 0.0 if prediction.box is None else prediction.box.size


def _resized(pixels: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


class _VideoTrack:
    """Draws and encodes frames."""

    def __init__(
        self,
        out: OutputContainer,
        first: Frame,
        labels: tuple[str, ...],
        media: MediaReader,
        picture: VideoStream | None,
        notice: str,
    ) -> None:
        height, width = first.pixels.shape[:2]
        self._canvas = _Canvas(labels, height, width, notice)
        self._out = out
        self._clock = FrameClock()
        self._last_pts: int | None = None
        self._durations: dict[int, int] = {}
        fps = Fraction(media.fps_hint or 25).limit_denominator(1001)
        self._stream = out.add_stream("libx264", rate=fps, options=dict(ENCODER_OPTIONS))
        codec = self._stream.codec_context
        codec.width, codec.height = self._canvas.even_width, self._canvas.even_height
        codec.pix_fmt = "yuv420p"
        codec.time_base = self._stream.time_base = TICK
        codec.gop_size = max(round(KEY_FRAME_SECONDS * fps), 1)
        codec.colorspace = codec.color_primaries = codec.color_trc = _BT709
        codec.color_range = _LIMITED_RANGE
        codec.sample_aspect_ratio = _pixel_shape(picture, width, height)

    def add(self, frame: Frame, found: list[Prediction], seconds: float) -> None:
        """Draw and encode a frame that is shown ``seconds`` after the start."""
        pixels = self._canvas.paint(frame, found)
        picture = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(
            format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG, threads=1
        )
        picture.pts, picture.time_base = round(seconds / TICK), TICK
        if self._last_pts is not None:
            self._durations[self._last_pts] = picture.pts - self._last_pts
        self._last_pts = picture.pts
        self._clock.tick(seconds)
        self._mux(self._stream.encode(picture))

    def finish(self) -> None:
        """Encode what the codec still holds."""
        if self._last_pts is not None:
            self._durations[self._last_pts] = round(self._clock.end_seconds / TICK) - self._last_pts
        self._mux(self._stream.encode(None))

    def _mux(self, packets: list[Packet[Any]]) -> None:
        for packet in packets:
            # MP4 takes the last frame's length from its packet.
            packet.duration = self._durations.pop(packet.pts or 0, packet.duration or 0)
            self._out.mux(packet)


def _pixel_shape(picture: VideoStream | None, width: int, height: int) -> Fraction:
    """Width of a pixel over its height, for the upright picture."""
    shape = None if picture is None else picture.sample_aspect_ratio
    if picture is None or not shape:
        return Fraction(1)
    turned = (picture.codec_context.width, picture.codec_context.height) == (height, width) != (width, height)
    return 1 / shape if turned else shape
