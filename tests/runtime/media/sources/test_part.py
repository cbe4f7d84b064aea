"""Part of a source: times as in the whole, and no sound or frame from outside."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from emorec_rt.constants import SAMPLE_RATE_HZ
from emorec_rt.errors import MediaError, UsageError
from emorec_rt.media import Frame, MediaItem, Samples
from emorec_rt.media.sources import SourceOptions, open_source
from emorec_rt.media.sources.part import PartSource, part_of
from pages import ROOT

DEMO = ROOT / "examples" / "demo.mp4"


class Made:
    """Ten seconds of frames and sound, as a source."""

    name, live, has_video, has_sound, duration_seconds = "made", False, True, True, 10.0

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.read = 0
        self._items = self._made()

    def __iter__(self) -> Iterator[MediaItem]:
        return self

    def __next__(self) -> MediaItem:
        self.read += 1
        return next(self._items)

    def _made(self) -> Iterator[MediaItem]:
        for step in range(100):
            yield Frame(step, step / 10, np.full((8, 12, 3), step, np.uint8))
            start = step * SAMPLE_RATE_HZ // 10
            yield Samples(start / SAMPLE_RATE_HZ, np.arange(start, start + 1600, dtype=np.float32))


def part(**options: object) -> PartSource:
    source = part_of(Made(), SourceOptions(**options))  # type: ignore[arg-type]
    assert isinstance(source, PartSource)
    return source


def test_times_and_numbers_are_those_of_the_whole() -> None:
    items = list(part(start_seconds=2.05, end_seconds=3.0))
    frames = [item for item in items if isinstance(item, Frame)]
    assert [frame.index for frame in frames] == list(range(21, 30))
    pcm = np.concatenate([item.pcm for item in items if isinstance(item, Samples)])
    np.testing.assert_array_equal(pcm, np.arange(2.05 * SAMPLE_RATE_HZ, 3 * SAMPLE_RATE_HZ))


def test_nothing_after_the_end_is_read() -> None:
    source = part(end_seconds=1.0)
    list(source)
    assert source._source.read < 25  # type: ignore[attr-defined]
    assert source.duration_seconds == 1.0


def test_a_region_is_cut_out() -> None:
    frame = next(iter(part(region=(4, 2, 100, 3))))
    assert isinstance(frame, Frame)
    assert frame.pixels.shape == (3, 8, 3)
    assert frame.origin == (4, 2)


def test_all_of_it_is_the_source_itself() -> None:
    made = Made()
    assert part_of(made, SourceOptions()) is made


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"start_seconds": 3.0, "end_seconds": 2.0}, "empty"),
        ({"end_seconds": float("nan")}, "empty"),
        ({"region": (-1, 0, 5, 5)}, "region"),
        ({"region": (0, 0, 0, 5)}, "region"),
        ({"region": (0, 0, 5, 5), "decoder": "dali"}, "dali"),
    ],
)
def test_nonsense(options: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        SourceOptions(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "words"),
    [({"start_seconds": 60.0}, "nothing between"), ({"region": (5000, 0, 5, 5)}, "begins outside")],
)
def test_a_part_that_is_not_there(options: dict[str, object], words: str) -> None:
    with open_source(DEMO, SourceOptions(**options)) as source, pytest.raises(MediaError, match=words):  # type: ignore[arg-type]
        list(source)


def test_boxes_are_in_the_whole_picture(tmp_path: Path) -> None:
    import emorec_rt

    region = (5, 10, 250, 220)
    options = {"backend": "onnxruntime"}
    part_options = SourceOptions(start_seconds=1.0, end_seconds=2.0, region=region)
    some = list(emorec_rt.load(source=part_options, **options).stream(DEMO))
    whole_options = SourceOptions(start_seconds=1.0, end_seconds=2.0)
    whole = list(emorec_rt.load(source=whole_options, **options).stream(DEMO))
    assert [row.index for row in some] == [row.index for row in whole] == list(range(25, 50))
    for one, other in zip(some, whole, strict=True):
        assert one.box is not None
        assert other.box is not None
        assert one.box.iou(other.box) > 0.8
