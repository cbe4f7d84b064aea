"""One person of an input: encode -> window -> fuse -> stitch -> rows."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import replace

from emorec_rt.bundle.manifest import Manifest, tasks_of
from emorec_rt.engines.batching import Pending
from emorec_rt.faces.cropped import CroppedFrame
from emorec_rt.media.types import Samples
from emorec_rt.recognizer.batchers import Batchers
from emorec_rt.windows.builder import WindowBuilder
from emorec_rt.windows.decode import FrameRow, RowBuilder, Stitcher, side_by_side
from emorec_rt.windows.pace import Pace
from emorec_rt.windows.prediction import Prediction
from emorec_rt.windows.schedule import Schedule
from emorec_rt.windows.sound import SoundStream
from emorec_rt.windows.speakers import Speakers
from emorec_rt.windows.window import Window


class PersonStream:
    """Windows and rows of one person.

    Args:
        manifest: The bundle's.
        schedule: When windows are cut.
        batchers: The engines.
        sound: The input's sound.
        has_video: Whether frames are to be expected.
        vision_fps: Frames encoded in a second, at most; ``None`` sets no limit.
        pace: How often to encode; ``None`` keeps the schedule.
        speakers: Who speaks when, where several people may be in the picture.

    Attributes:
        seen_seconds: Time of the last frame that shows the person.
        done: All rows were given.
    """

    def __init__(
        self,
        manifest: Manifest,
        schedule: Schedule,
        batchers: Batchers,
        sound: SoundStream,
        *,
        has_video: bool,
        vision_fps: float | None,
        pace: Pace | None = None,
        speakers: Speakers | None = None,
    ) -> None:
        spec = manifest.preprocessing
        self.seen_seconds = float("-inf")
        self.done = False
        self._fusion = batchers.fusion
        self._builder = WindowBuilder(
            spec,
            schedule,
            batchers.vision,
            sound,
            has_video=has_video,
            vision_fps=vision_fps,
            pace=pace,
            speakers=speakers,
        )
        self._fusing: deque[tuple[Window, Pending]] = deque()
        self._stitcher = Stitcher(spec.window.steps)
        tasks = tasks_of(manifest)
        self._outputs = ("logits", *tasks.outputs)
        self._rows = RowBuilder(
            manifest.labels,
            manifest.decoding,
            tasks,
            causal=schedule.causal_smoothing,
            thinned=pace is not None or vision_fps is not None,
        )
        self._finished = False

    @property
    def person(self) -> int:
        """Identity, from 1; 0 where only the main face is followed, and before anybody was seen."""
        return self._builder.person

    @person.setter
    def person(self, identity: int) -> None:
        self._builder.person = identity

    @property
    def oldest_seconds(self) -> float:
        """Time of the first step that a later window may take."""
        return self._builder.oldest_seconds

    @property
    def finished(self) -> bool:
        """Say whether ``finish`` was called."""
        return self._finished

    def see(self, frame: CroppedFrame, *, row: bool = True) -> None:
        """Take a frame; ``row`` says whether the person gets a row for it."""
        if frame.crop.found:
            self.seen_seconds = frame.pts_seconds
        if row:
            crop = frame.crop
            self._rows.add_frame(FrameRow(frame.index, frame.pts_seconds, crop.found, crop.box))
        self._builder.push(frame)

    def hear(self, block: Samples) -> None:
        """Take a block of sound, after the input's ``SoundStream``."""
        self._builder.push(block)

    def finish(self) -> None:
        """End the stream, after the sound where the input ends too."""
        if not self._finished:
            self._builder.finish()
        self._finished = True

    def fuse(self) -> None:
        """Submit the windows that have become complete.

        Raises:
            EngineError: An encoder failed.
        """
        for window in self._builder.ready():
            self._fusing.append((window, self._fusion.submit(window.feeds())))

    def settled(self) -> Iterator[Prediction]:
        """Yield the rows that have become final, each once. ``done`` is set with the last ones.

        Raises:
            EngineError: The fusion failed.
            MismatchError: It gave values that are not finite.
        """
        while self._fusing and (outputs := self._fusing[0][1].outputs) is not None:
            window, _ = self._fusing.popleft()
            given = side_by_side([outputs[name] for name in self._outputs])
            yield from self._owned(self._rows.add(self._stitcher.add(window, given)))
        if self._finished and self._builder.done and not self._fusing and not self.done:
            self.done = True
            yield from self._owned(self._rows.finish())

    def _owned(self, rows: list[Prediction]) -> Iterator[Prediction]:
        for row in rows:
            yield replace(row, person=self.person) if row.face and self.person else row
