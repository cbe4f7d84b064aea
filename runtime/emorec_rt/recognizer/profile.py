"""Time of each stage of the chain alone, then of the whole chain as it really runs."""

from __future__ import annotations

import resource
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emorec_rt.engines.base import Engine, Tensors
from emorec_rt.engines.batching import Batcher
from emorec_rt.faces import Crop, FaceCropper
from emorec_rt.faces.cropped import cropped_items
from emorec_rt.media import MediaItem, open_media
from emorec_rt.media.types import Frame
from emorec_rt.recognizer.recognizer import Recognizer
from emorec_rt.windows.iterate import iter_windows
from emorec_rt.writers.jsonl import JsonlFormat


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage's share.

    Attributes:
        name: ``decode``, ``face``, ``vision``, ``audio``, ``fusion`` or ``write``.
        calls: How often it ran: frames, batches or rows.
        total_seconds: Time in it.
        p50_ms: Median of a call.
        p95_ms: 95th percentile of a call.
    """

    name: str
    calls: int
    total_seconds: float
    p50_ms: float
    p95_ms: float


@dataclass(frozen=True, slots=True)
class Profile:
    """Report of ``emorec-rt bench``.

    Attributes:
        stages: Each stage alone, one after the other in one thread.
        lanes: How many batches the whole chain runs at once, each on its share of the cores.
        frames: Rows of the input.
        media_seconds: Their span.
        wall_seconds: Time of the whole chain as it really runs, engines loaded.
        times_real_time: ``media_seconds / wall_seconds``.
        peak_memory_mib: Peak resident memory of the process.
    """

    stages: tuple[Stage, ...]
    lanes: int
    frames: int
    media_seconds: float
    wall_seconds: float
    times_real_time: float
    peak_memory_mib: float


class _Watch:
    """Durations by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = defaultdict(list)

    def engine(self, name: str, engine: Engine) -> Engine:
        return _TimedEngine(self.seconds[name], engine)

    def items(self, items: Iterator[MediaItem]) -> Iterator[MediaItem]:
        while True:
            started = time.perf_counter()
            item = next(items, None)
            if item is None:
                return
            self.seconds["decode"].append(time.perf_counter() - started)
            yield item

    def stages(self) -> tuple[Stage, ...]:
        return tuple(
            Stage(name, len(spent), sum(spent), *(1e3 * np.percentile(spent, [50, 95])).tolist())
            for name, spent in self.seconds.items()
            if spent
        )


class _TimedEngine(Engine):
    def __init__(self, spent: list[float], engine: Engine) -> None:
        self.inputs = engine.inputs
        self.outputs = engine.outputs
        self._spent = spent
        self._engine = engine

    def run(self, feeds: Tensors) -> dict[str, NDArray[Any]]:
        started = time.perf_counter()
        outputs = self._engine.run(feeds)
        self._spent.append(time.perf_counter() - started)
        return outputs


class _TimedCropper(FaceCropper):
    """A cropper that notes what each frame took."""

    spent: list[float]

    def process(self, frame: Frame) -> Crop:
        started = time.perf_counter()
        crop = super().process(frame)
        self.spent.append(time.perf_counter() - started)
        return crop


def profile(recognizer: Recognizer, source: Path) -> Profile:
    """Run an input twice: stage by stage, then as a whole.

    Raises:
        MediaError: It can't be read.
    """
    started = time.perf_counter()
    rows = list(recognizer.stream(source))
    wall_seconds = time.perf_counter() - started
    watch = _Watch()
    _run_stages(recognizer, source, watch)
    writer = JsonlFormat(recognizer.labels, source.stem)
    for row in rows:
        began = time.perf_counter()
        writer.row(row)
        watch.seconds["write"].append(time.perf_counter() - began)
    media_seconds = rows[-1].time_seconds - rows[0].time_seconds if rows else 0.0
    return Profile(
        stages=watch.stages(),
        lanes=recognizer.engine("vision").lanes,
        frames=len(rows),
        media_seconds=media_seconds,
        wall_seconds=wall_seconds,
        times_real_time=media_seconds / wall_seconds,
        peak_memory_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    )


def _run_stages(recognizer: Recognizer, source: Path, watch: _Watch) -> None:
    spec = recognizer.bundle.manifest.preprocessing
    vision, audio, fusion = (
        watch.engine(name, recognizer.engine(name)) for name in ("vision", "audio", "fusion")
    )
    cropper = _TimedCropper(
        recognizer.options.face,
        model=recognizer.options.face_model,
        size=spec.vision.crop_size,
        margin=spec.vision.margin,
        interpolation=spec.vision.interpolation,
    )
    cropper.spent = watch.seconds["face"]
    sizes = recognizer.batch_sizes
    fusions = Batcher(fusion, sizes["fusion"])
    options = recognizer.options.source
    with open_media(source, limits=options.limits, tracks=options.tracks) as media:
        windows = iter_windows(
            cropped_items(watch.items(media), cropper),
            spec,
            vision,
            audio,
            has_video=media.has_video,
            has_sound=media.has_sound,
            vision_batch=sizes["vision"],
            audio_batch=sizes["audio"],
        )
        for window in windows:
            fusions.submit(window.feeds())
    fusions.flush()
