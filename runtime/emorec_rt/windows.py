"""From media items to windows: the part of the chain that training, calibration and serving share.

items -> crops, chunks -> encoders -> steps and tokens on one clock -> windows
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

from emorec_rt.batching import Batcher
from emorec_rt.engines.base import Engine
from emorec_rt.faces import Crop, FaceCropper
from emorec_rt.manifest import Preprocessing
from emorec_rt.media.types import Frame, MediaItem, MissingFrame, Samples
from emorec_rt.schedule import file_schedule
from emorec_rt.window import CroppedFrame, Window
from emorec_rt.window_builder import WindowBuilder

__all__ = ["BatchCropper", "CroppedFrame", "Window", "cropped", "cropped_items", "iter_windows"]

VISION_BATCH = 16
AUDIO_BATCH = 2


def iter_windows(
    items: Iterable[MediaItem],
    preprocessing: Preprocessing,
    vision: Engine,
    audio: Engine,
    cropper: FaceCropper,
    *,
    has_video: bool = True,
    has_sound: bool = True,
    vision_batch: int = VISION_BATCH,
    audio_batch: int = AUDIO_BATCH,
) -> Iterator[Window]:
    """Windows of one clip, for training and calibration; serving builds them the same way.

    Args:
        items: Frames and samples, interleaved or one after the other.
        preprocessing: The checkpoint's.
        vision: The vision encoder, behind the engine protocol.
        audio: The audio encoder, likewise.
        cropper: A cropper of its own for this clip.
        has_video: Whether the clip has frames.
        has_sound: Whether the clip has sound.
        vision_batch: Frames in a batch.
        audio_batch: Chunks of sound in a batch.
    """
    ready: deque[Window] = deque()
    batchers = (Batcher(vision, vision_batch), Batcher(audio, audio_batch))
    builder = WindowBuilder(
        preprocessing,
        file_schedule(preprocessing),
        *batchers,
        has_video=has_video,
        has_sound=has_sound,
        emit=ready.append,
    )
    for item in items:
        builder.push(cropped(item, cropper))
        while ready:
            yield ready.popleft()
    builder.finish()
    for batcher in batchers:
        batcher.flush()
    yield from ready


class BatchCropper(Protocol):
    """A cropper that works on several frames at once."""

    def crops(self, items: Iterable[MediaItem]) -> Iterator[CroppedFrame | Samples]:
        """Reduce each frame to its face, in order; sound passes."""

    def finish(self, source: str | Path) -> None:
        """End of the input; see ``FaceCropper.finish``."""


def cropped_items(
    items: Iterable[MediaItem], cropper: FaceCropper | BatchCropper
) -> Iterator[CroppedFrame | Samples]:
    """Reduce each frame to its face, one at a time or as the cropper likes it."""
    if isinstance(cropper, FaceCropper):
        return (cropped(item, cropper) for item in items)
    return cropper.crops(items)


def cropped(item: MediaItem, cropper: FaceCropper) -> CroppedFrame | Samples:
    """Reduce a frame to its face; a missing frame has none, and sound passes."""
    if isinstance(item, Frame):
        return CroppedFrame(item.index, item.pts_seconds, cropper.process(item))
    if isinstance(item, MissingFrame):
        return CroppedFrame(item.index, item.pts_seconds, Crop(None, None, 0.0))
    return item
