"""A machine that is slower than its input, on a clock that only its encoders move: the same result each time.

Exact mode takes ``load`` seconds for a second of the input. A chunk of sound takes as long as some frames, as
at full size. What decoding, faces and the fusion take isn't counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from numpy.typing import NDArray

from emorec_rt.bundle import Bundle
from emorec_rt.bundle.manifest import GraphName
from emorec_rt.constants import AUDIO_BATCH, CPU_BATCH, FUSION_BATCH, SAMPLE_RATE_HZ, TOKEN_RATE_HZ
from emorec_rt.engines.base import Engine, Tensors
from emorec_rt.engines.batching import Batcher
from emorec_rt.faces import FaceCropper
from emorec_rt.faces.cropped import CroppedFrame, cropped_items
from emorec_rt.media import open_media
from emorec_rt.media.types import Samples
from emorec_rt.recognizer.batchers import Batchers
from emorec_rt.recognizer.clip import Clip
from emorec_rt.recognizer.events import Event, Row
from emorec_rt.recognizer.run import Input, Run
from emorec_rt.windows.pace import Pace
from emorec_rt.windows.prediction import Prediction
from emorec_rt.windows.schedule import LIVE_HOP_SECONDS, file_schedule, live_schedule

FPS: Final = 25.0
CHUNK_FRAMES: Final = 12.0
"""Frames that take as long as a chunk: ViT-B/32 and wav2vec 2.0 base in INT8 (``LOG.md``)."""


@dataclass
class Clock:
    """Seconds that pass when somebody says so."""

    seconds: float = 0.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.seconds


class CostlyEngine(Engine):
    """An engine whose items take time on a clock of their own."""

    def __init__(self, engine: Engine, clock: Clock, item_seconds: float) -> None:
        self.inputs, self.outputs = engine.inputs, engine.outputs
        self._engine, self._clock, self._item_seconds = engine, clock, item_seconds

    def run(self, feeds: Tensors) -> dict[str, NDArray[Any]]:
        """Run the engine, and let its time pass."""
        outputs = self._engine.run(feeds)
        self._clock.seconds += self._item_seconds * len(next(iter(outputs.values())))
        return outputs


@dataclass(frozen=True)
class Recording:
    """A clip whose faces have been cropped.

    Attributes:
        name: Its file.
        has_video: Whether it has pictures.
        has_sound: Whether it has sound.
        items: Crops and sound, in order.
    """

    name: str
    has_video: bool
    has_sound: bool
    items: tuple[CroppedFrame | Samples, ...]

    @property
    def begin_seconds(self) -> float:
        """Time of the first item."""
        return self.items[0].pts_seconds if self.items else 0.0

    @cached_property
    def times_seconds(self) -> list[float]:
        """Times of the items, from the first on; of a block of sound its end, when a microphone gives it."""
        return [_end_seconds(item) - self.begin_seconds for item in self.items]

    def as_it_comes(self) -> Recording:
        """The items in the order of their times: a file may hold sound a second after its pictures."""
        return replace(self, items=tuple(sorted(self.items, key=_end_seconds)))

    @classmethod
    def read(cls, path: Path, bundle: Bundle) -> Recording:
        """Decode and crop.

        Raises:
            MediaError: It can't be read.
        """
        vision = bundle.manifest.preprocessing.vision
        cropper = FaceCropper(
            "auto", size=vision.crop_size, margin=vision.margin, interpolation=vision.interpolation
        )
        with open_media(path) as media:
            return cls(path.name, media.has_video, media.has_sound, tuple(cropped_items(media, cropper)))


def _end_seconds(item: CroppedFrame | Samples) -> float:
    length = len(item.pcm) / SAMPLE_RATE_HZ if isinstance(item, Samples) else 0.0
    return item.pts_seconds + length


@dataclass
class Outcome:
    """What came of one recording.

    Attributes:
        rows: Its rows.
        encoded: Frames that were encoded.
        age_seconds: Of each row of a live source, when it was given.
    """

    rows: list[Prediction] = field(default_factory=list)
    encoded: int = 0
    age_seconds: list[float] = field(default_factory=list)

    def take(self, events: Iterable[Event], clock: Clock, recording: Recording) -> None:
        """Take the rows among events that come now."""
        for event in events:
            if isinstance(event, Row):
                came_at = event.prediction.time_seconds - recording.begin_seconds
                self.rows.append(event.prediction)
                self.age_seconds.append(clock.seconds - came_at)


class SteadyPace(Pace):
    """A pace that never changes."""

    def note(self, pts_seconds: float, age_seconds: float, *, newest: bool = False) -> None:
        """Change nothing."""


@dataclass
class Machine:
    """A machine that runs a bundle.

    Args:
        bundle: What it runs.
        engines: The bundle's, loaded.
        live: Whether its input comes in real time.
        load: Seconds that exact mode takes for a second of the input.
    """

    bundle: Bundle
    engines: dict[GraphName, Engine]
    live: bool
    load: float

    def exact(self, recording: Recording) -> Outcome:
        """Recognise a recording with nothing left out, however long it takes."""
        return self._run(recording, None, Clock())

    def kept_up(self, recording: Recording) -> Outcome:
        """Recognise a recording as fast as it plays."""
        clock = Clock()
        return self._run(recording, Pace(now=clock), clock)

    def thinned(self, recording: Recording, stretch: float) -> Outcome:
        """Recognise a recording at one pace."""
        clock = Clock()
        pace = SteadyPace(now=clock)
        pace.stretch = stretch
        return self._run(recording, pace, clock)

    def _run(self, recording: Recording, pace: Pace | None, clock: Clock) -> Outcome:
        recording = recording.as_it_comes() if self.live else recording
        batchers = self._batchers(clock)
        run = Run(batchers, [Input(Path(recording.name), self._clip(recording, batchers, pace))])
        clip, outcome = run.inputs[0].clip, Outcome()
        for position, item in enumerate(recording.items):
            newest = self.live and self._wait(recording.times_seconds, position, clock)
            flush = newest
            if pace is not None:
                if isinstance(item, CroppedFrame) or not recording.has_video:
                    late = clock.seconds - recording.times_seconds[position]
                    pace.note(item.pts_seconds, late, newest=newest)
                flush = newest or (self.live and pace.flush_due())
                pace.begin()
            clip.push(item)
            outcome.take(run.flush_pictures() if flush else run.settled(), clock, recording)
            if pace is not None:
                pace.rest()
        clip.finish()
        for _ in range(2):  # windows, then the last of them
            outcome.take(run.flush(), clock, recording)
        outcome.encoded = batchers.vision.submitted
        return outcome

    def _wait(self, times_seconds: Sequence[float], position: int, clock: Clock) -> bool:
        """Wait until an item comes; say whether the next one hasn't come yet."""
        clock.seconds = max(clock.seconds, times_seconds[position])
        return position + 1 == len(times_seconds) or times_seconds[position + 1] > clock.seconds

    def _batchers(self, clock: Clock) -> Batchers:
        audio = self.bundle.manifest.preprocessing.audio
        core_seconds = (audio.chunk_tokens - 2 * audio.context_tokens) / TOKEN_RATE_HZ
        hop_seconds = LIVE_HOP_SECONDS if self.live else core_seconds
        frame_seconds = self.load / (FPS + CHUNK_FRAMES / hop_seconds)
        costs = {"vision": frame_seconds, "audio": CHUNK_FRAMES * frame_seconds, "fusion": 0.0}
        costly: dict[GraphName, Engine] = {
            name: CostlyEngine(engine, clock, costs[name]) for name, engine in self.engines.items()
        }
        sizes: dict[GraphName, int] = {"vision": CPU_BATCH, "audio": AUDIO_BATCH, "fusion": FUSION_BATCH}
        vision, sound, fusion = (Batcher(costly[name], size) for name, size in sizes.items())
        return Batchers("simulated", costly, vision, sound, fusion)

    def _clip(self, recording: Recording, batchers: Batchers, pace: Pace | None) -> Clip:
        manifest = self.bundle.manifest
        return Clip(
            manifest,
            (live_schedule if self.live else file_schedule)(manifest.preprocessing),
            batchers,
            has_video=recording.has_video,
            has_sound=recording.has_sound,
            vision_fps=None,
            pace=pace,
        )
