"""A live source on a machine that is slower than the schedule: rows keep coming, and stay young."""

from __future__ import annotations

import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any

import numpy as np
import pytest

import emorec_rt
from emorec_rt.constants import SAMPLE_RATE_HZ
from emorec_rt.engines.base import Engine
from emorec_rt.media import Frame, MediaItem, Samples
from emorec_rt.recognizer import recognizer as module
from emorec_rt.recognizer.events import Done, Row

FPS = 25
SECONDS = 12
CHUNK_SECONDS = 0.4
"""What the audio encoder takes for a chunk: twice the time from one to the next by the schedule."""

FRAME_SECONDS = 0.09
"""More than twice the time from one frame to the next: two batches at once are too slow as well."""


class Camera:
    """Frames and sound in real time."""

    name, live, has_video, has_sound, duration_seconds = "camera", True, True, True, None

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.began = time.monotonic()
        self._items = self._made()

    def __enter__(self) -> Camera:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    def __iter__(self) -> Iterator[MediaItem]:
        return self._items

    def close(self) -> None: ...

    def _made(self) -> Iterator[MediaItem]:
        rng = np.random.default_rng(0)
        picture = rng.integers(0, 255, (64, 64, 3), np.uint8)
        for number in range(SECONDS * FPS):
            seconds = number / FPS
            time.sleep(max(self.began + seconds + 1 / FPS - time.monotonic(), 0.0))
            yield Frame(number, seconds, picture)
            yield Samples(seconds, rng.uniform(-0.1, 0.1, SAMPLE_RATE_HZ // FPS).astype(np.float32))


def slow_down(monkeypatch: pytest.MonkeyPatch, engine: Engine, seconds_per_item: float) -> None:
    run = engine.run

    def slow(feeds: Any) -> Any:
        time.sleep(seconds_per_item * len(next(iter(feeds.values()))))
        return run(feeds)

    monkeypatch.setattr(engine, "run", slow)


def test_rows_stay_young_and_none_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    recognizer = emorec_rt.load(face="off", backend="onnxruntime")
    slow_down(monkeypatch, recognizer.engine("audio"), CHUNK_SECONDS)
    slow_down(monkeypatch, recognizer.engine("vision"), FRAME_SECONDS)
    cameras: list[Camera] = []

    def opened(*_: object) -> Camera:
        cameras.append(Camera())
        return cameras[-1]

    monkeypatch.setattr(module, "open_source", opened)
    ages, heard, warnings = [], 0, ()
    for event in recognizer.run(["camera"]):
        if isinstance(event, Row):
            ages.append(time.monotonic() - cameras[0].began - event.prediction.time_seconds)
            heard += event.prediction.sound
        elif isinstance(event, Done):
            warnings = event.warnings
    assert len(ages) >= 0.9 * SECONDS * FPS
    assert np.percentile(ages, 95) < 3.0
    assert max(ages) < 4.5
    assert heard > 0.6 * len(ages)
    assert any("slower than the source" in line for line in warnings), warnings
