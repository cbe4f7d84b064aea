"""Windows of one clip, as training, calibration and export take them; serving builds them the same way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from emorec_rt.bundle.manifest import Preprocessing
from emorec_rt.constants import CPU_BATCH, OFFLINE_AUDIO_BATCH
from emorec_rt.engines.base import Engine
from emorec_rt.engines.batching import Batcher
from emorec_rt.faces.cropped import CroppedFrame
from emorec_rt.media.types import Samples
from emorec_rt.windows.builder import WindowBuilder
from emorec_rt.windows.schedule import file_schedule
from emorec_rt.windows.sound import SoundStream
from emorec_rt.windows.window import Window


def iter_windows(
    items: Iterable[CroppedFrame | Samples],
    preprocessing: Preprocessing,
    vision: Engine,
    audio: Engine,
    *,
    has_video: bool = True,
    has_sound: bool = True,
    vision_batch: int = CPU_BATCH,
    audio_batch: int = OFFLINE_AUDIO_BATCH,
) -> Iterator[Window]:
    """Yield the windows of one clip: encode, put on one clock, cut.

    Args:
        items: Cropped frames and samples, interleaved or one after the other.
        preprocessing: The checkpoint's.
        vision: Vision encoder. Batches end with the clip, so that no clip depends on another.
        audio: Audio encoder, likewise.
        has_video: Whether the clip has frames.
        has_sound: Whether the clip has sound.
        vision_batch: Frames in a batch.
        audio_batch: Chunks of sound in a batch.
    """
    schedule = file_schedule(preprocessing)
    frames, chunks = Batcher(vision, vision_batch), Batcher(audio, audio_batch)
    sound = SoundStream(preprocessing.audio, schedule, chunks, has_sound=has_sound)
    builder = WindowBuilder(preprocessing, schedule, frames, sound, has_video=has_video)
    for item in items:
        if isinstance(item, Samples):
            sound.push(item)
        builder.push(item)
        yield from builder.ready()
        sound.forget(builder.oldest_seconds)
    sound.finish()
    builder.finish()
    frames.flush()
    chunks.flush()
    yield from builder.ready()
