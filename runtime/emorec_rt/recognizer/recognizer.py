"""The streaming recognizer: media in, one prediction for each frame out.

A file is a stream that ends: nothing is loaded whole, and memory doesn't grow with length. Decoding and
cropping run in a thread of their own, ahead of the encoders; batches fill across inputs.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from emorec_rt.bundle import Bundle
from emorec_rt.bundle.manifest import GraphName, tasks_of
from emorec_rt.engines.base import Engine, Tensors
from emorec_rt.errors import MediaError, UsageError
from emorec_rt.media.sources import SourceOptions, masked, open_source, output_stem
from emorec_rt.recognizer.advice import advice
from emorec_rt.recognizer.batchers import Batchers
from emorec_rt.recognizer.clip import Clip
from emorec_rt.recognizer.crop_stream import CropStream
from emorec_rt.recognizer.croppers import Croppers
from emorec_rt.recognizer.events import Event, Failed, Row, Started
from emorec_rt.recognizer.inputs import Readable, as_path, renamed
from emorec_rt.recognizer.live import LiveSession
from emorec_rt.recognizer.options import Options
from emorec_rt.recognizer.run import Input, Run
from emorec_rt.windows.pace import Pace
from emorec_rt.windows.prediction import Prediction
from emorec_rt.windows.schedule import file_schedule, live_schedule
from emorec_rt.windows.speakers import Speakers, read_rttm

if TYPE_CHECKING:
    from emorec_rt.engines.base import Progress

_logger = logging.getLogger(__name__)

DECODE_SECONDS_PER_PIXEL = 2e-9
"""H.264, one thread, measured."""

DECODING_SHARE = 0.25
"""Of the encoder's time for a frame. Some codecs take three times as long; the same thread finds faces."""

TIMED_FRAMES = 3
"""Best of three: the first runs include lazy loading."""


class Recognizer:
    """A bundle's engines, loaded once, for any number of inputs.

    Several streams and runs may be open at once, in one thread or in several: each has its own state, and
    batches fill across them. A process that is forked loads its own.

    Args:
        bundle: An opened bundle.
        options: How to run it.
        progress: Called with each build step, where a graph has to be built for this machine first.

    Raises:
        EmorecError: A graph can't be loaded.
    """

    def __init__(
        self, bundle: Bundle, options: Options | None = None, progress: Progress | None = None
    ) -> None:
        self.bundle = bundle
        self.options = options or Options()
        self._process = os.getpid()
        self._runs: list[Run] = []
        self._croppers = Croppers(self.options, bundle.manifest.preprocessing.vision)
        self._load(progress)

    def reload(self) -> None:
        """Replace the engines, after one has failed: what was under way is lost.

        Raises:
            EmorecError: They can't be loaded any more.
        """
        backend = self.backend
        del self._batchers  # first of all their memory, which may be what they lack
        self._load(backend=backend)

    def _load(self, progress: Progress | None = None, backend: str | None = None) -> None:
        options = self.options if backend is None else replace(self.options, backend=backend)
        self._batchers = Batchers.load(self.bundle, options, progress)
        pixels = _single_thread_pixels(self.engine("vision"))
        self._source_options: SourceOptions = replace(options.source, single_thread_pixels=pixels)

    @property
    def backend(self) -> str:
        """Inference library that runs the engines."""
        return self._batchers.backend

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names in the order of the probabilities."""
        return self.bundle.manifest.labels

    @property
    def measures(self) -> tuple[str, ...]:
        """Names of what rows tell beside the classes, such as ``valence``; empty for most bundles."""
        return tasks_of(self.bundle.manifest).measures

    @property
    def notice(self) -> str:
        """Line of the bundle's maker that every reader should know; may be empty."""
        return self.bundle.manifest.notice

    @property
    def receiving(self) -> bool:
        """Say whether a run has opened an input; before, ``stop`` would wait for the first one."""
        return any(run.receiving for run in self._runs)

    @property
    def frames_encoded(self) -> int:
        """Crops that the vision encoder was given so far."""
        return self._batchers.vision.submitted

    @property
    def batch_sizes(self) -> dict[GraphName, int]:
        """Items of a whole batch of each graph."""
        loaded = self._batchers
        return {
            "vision": loaded.vision.batch_size,
            "audio": loaded.audio.batch_size,
            "fusion": loaded.fusion.batch_size,
        }

    def engine(self, graph: GraphName) -> Engine:
        """One of the loaded engines."""
        return self._batchers.engines[graph]

    def stream(self, source: Readable) -> Iterator[Prediction]:
        """Yield the predictions of one input, as they become final.

        Args:
            source: A media file, a folder of numbered pictures, an address; the number of a camera; the bytes
                of a media file, or a binary file object, which is read to its end first.

        Raises:
            MediaError: It can't be read.
            UsageError: It is none of these.
        """
        with as_path(source) as path:
            for event in self.run([path]):
                if isinstance(event, Failed):
                    raise renamed(event.error, source)
                if isinstance(event, Row):
                    yield event.prediction

    def open(self, *, video: bool = True, sound: bool = True, live: bool = True) -> LiveSession:
        """Open a session for frames and sound that the caller has.

        Args:
            video: Whether frames will be pushed; without, rows follow the sound.
            sound: Whether sound will be pushed; without, rows don't wait for it.
            live: Whether rows shall come within a fraction of a second, from the past alone; else windows are
                cut as for a file.

        Raises:
            UsageError: Neither frames nor sound will come, or this process is a fork of the one that loaded
                the recognizer.
        """
        if not (video or sound):
            raise UsageError("a session needs video or sound")
        self._refuse_fork()
        clip = self._clip(video, sound, self._batchers, live=live, speakers=self._speakers(None))
        return LiveSession(clip, self._batchers, self._croppers.of_frames(), self._refuse_fork)

    def run(self, sources: Iterable[str | Path]) -> Iterator[Event]:
        """Run many inputs, one after the other; one that fails doesn't stop the others.

        Raises:
            EngineError: An engine failed; ``reload`` may help.
            UsageError: This process is a fork of the one that loaded the recognizer.
        """
        self._refuse_fork()
        with self._running() as run:
            for source in map(Path, sources):
                yield from self._run_one(source, run)
                if run.stopping:
                    break
            yield from run.flush()

    def stop(self) -> None:
        """End all runs at their next item. May come from a signal or another thread.

        For a live source that is its end: what was taken in is still given out. A file fails.
        """
        for run in tuple(self._runs):
            run.stopping = True

    @contextmanager
    def _running(self) -> Iterator[Run]:
        run = Run(self._batchers)
        self._runs.append(run)
        try:
            yield run
        finally:
            self._runs.remove(run)

    def _refuse_fork(self) -> None:
        if os.getpid() != self._process:
            raise UsageError(
                "this Recognizer was loaded before fork(), and its threads are not in the child process; "
                "load it in the child, or start processes with the spawn method"
            )

    def _run_one(self, source: Path, run: Run) -> Iterator[Event]:
        try:
            with (
                open_source(source, self._source_options) as media,
                self._croppers.of_source(media) as cropper,
            ):
                run.receiving = True
                yield Started(source, media.duration_seconds, media.live)
                pace = self._pace(live=media.live)
                speakers = self._speakers(source)
                clip = self._clip(
                    media.has_video,
                    media.has_sound,
                    run.batchers,
                    live=media.live,
                    pace=pace,
                    speakers=speakers,
                )
                current = Input(source, clip)
                run.inputs.append(current)
                with CropStream(media, cropper, pace) as items:
                    for item in items:
                        if run.stopping and not media.live:
                            raise MediaError(source, "stopped before its end")
                        if run.stopping or current.closed:
                            break
                        if item is not None:
                            current.clip.push(item)
                            run.batchers.poll()
                        if pace is not None:
                            self._tell_if_stuck(source, pace)
                            if media.live and (item is None or pace.flush_due()):
                                yield from run.flush_pictures()
                        yield from run.settled()
                if not current.closed:
                    cropper.finish(source)
                    current.warnings = (*media.warnings, *items.warnings)
                    current.clip.finish()
        except MediaError as error:
            run.drop(source)
            yield Failed(source, error)
        yield from run.settled()

    def _pace(self, *, live: bool) -> Pace | None:
        """The pace of an input; a file without ``keep_up`` has all the time that it needs."""
        if live:
            return Pace()
        return None if self.options.keep_up is None else Pace(self.options.keep_up)

    def _tell_if_stuck(self, source: Path, pace: Pace) -> None:
        if pace.gives_up():
            line = advice(self.bundle, self.options, self.backend, pace)
            _logger.warning("%s: %s", masked(source), line)

    def _speakers(self, source: Path | None) -> Speakers | None:
        """Turns of the speakers, where everyone is followed; by the mouths alone for a session of own frames.

        Raises:
            MediaError: The file of turns can't be read, or is about other recordings.
        """
        options = self.options
        if options.faces == "main":
            return None
        if options.speakers is None or source is None:
            return Speakers()
        try:
            return Speakers(read_rttm(options.speakers, Path(output_stem(source)).stem))
        except UsageError as error:
            raise MediaError(source, str(error)) from error

    def _clip(
        self,
        has_video: bool,
        has_sound: bool,
        batchers: Batchers,
        *,
        live: bool,
        pace: Pace | None = None,
        speakers: Speakers | None = None,
    ) -> Clip:
        manifest = self.bundle.manifest
        schedule = live_schedule if live else file_schedule
        return Clip(
            manifest,
            schedule(manifest.preprocessing),
            batchers,
            has_video=has_video,
            has_sound=has_sound,
            vision_fps=self.options.vision_fps,
            pace=pace,
            speakers=speakers,
        )


def _single_thread_pixels(vision: Engine) -> int:
    """Largest picture that one thread decodes in a small part of the time that the encoder takes for it.

    More threads would only get into the encoder's way. An engine of one lane leaves the cores alone.
    """
    if vision.lanes == 1:
        return 0
    zeros = {spec.name: np.zeros([max(n, 1) for n in spec.shape], spec.dtype) for spec in vision.inputs}
    frame_seconds = min(_seconds(vision, zeros) for _ in range(TIMED_FRAMES)) / vision.lanes
    return int(frame_seconds * DECODING_SHARE / DECODE_SECONDS_PER_PIXEL)


def _seconds(engine: Engine, feeds: Tensors) -> float:
    started = time.perf_counter()
    engine.run(feeds)
    return time.perf_counter() - started
