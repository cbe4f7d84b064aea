"""Which recordings are run, and which parts of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emorec_calib import excerpts
from emorec_calib.excerpts import EXCERPT_SECONDS, choose, cut, media_files
from emorec_rt.errors import UsageError
from emorec_rt.media.types import Frame, MediaItem, Samples

Durations = dict[Path, float]


@pytest.fixture
def durations(monkeypatch: pytest.MonkeyPatch) -> Durations:
    """Files that are only as long as this says."""
    found: Durations = {}
    monkeypatch.setattr(excerpts, "_duration_seconds", lambda path: found[path])
    return found


def test_what_fits_is_taken_whole(durations: Durations) -> None:
    durations |= {Path("a"): 30.0, Path("b"): 20.0}
    assert choose(durations, 50.0, 0) == {Path("a"): (), Path("b"): ()}


def test_long_recordings_give_more_and_all_give_something(durations: Durations) -> None:
    durations |= {Path("film"): 6000.0, Path("talk"): 600.0, Path("short"): 9.0}
    chosen = choose(durations, 800.0, 0)
    assert chosen == choose(durations, 800.0, 0)
    assert chosen != choose(durations, 800.0, 1)
    counts = {path.name: len(parts) for path, parts in chosen.items()}
    assert sum(counts.values()) == 100
    assert counts["film"] > 8 * counts["talk"] > 0
    starts = [start for start, _ in chosen[Path("film")]]
    assert starts == sorted(set(starts))
    assert max(np.diff([0.0, *starts, 6000.0])) < 4 * 6600 / 100, "no long stretch is passed over"
    for path, parts in chosen.items():
        assert all(0 <= start < end <= durations[path] for start, end in parts)


@given(
    lengths=st.lists(st.floats(0.1, 5000.0), min_size=1, max_size=8),
    seconds=st.floats(1.0, 5000.0),
    seed=st.integers(0, 9),
)
def test_never_more_than_was_asked_for(lengths: list[float], seconds: float, seed: int) -> None:
    found = {Path(str(index)): length for index, length in enumerate(lengths)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(excerpts, "_duration_seconds", lambda path: found[path])
        chosen = choose(found, seconds, seed)
    taken = sum(end - start for parts in chosen.values() for start, end in parts)
    assert taken <= max(seconds + EXCERPT_SECONDS / 2, EXCERPT_SECONDS)
    assert chosen
    for parts in chosen.values():
        assert len({start for start, _ in parts}) == len(parts)


def _frame(time: float) -> Frame:
    return Frame(round(time * 10), time, np.zeros((1, 1, 3), np.uint8))


def _sound(time: float) -> Samples:
    return Samples(time, np.zeros(1600, np.float32))


def _times(part: Iterator[MediaItem], kind: type) -> list[float]:
    return [round(item.pts_seconds, 3) for item in part if isinstance(item, kind)]


def test_excerpts_of_frames_with_sound_that_lags() -> None:
    items: list[MediaItem] = []
    for k in range(100):
        items.append(_frame(3.0 + k / 10))
        if k >= 3:
            items.append(_sound(3.0 + (k - 3) / 10))
    parts = [list(part) for part in cut(items, [(1.0, 2.0), (2.0, 3.0), (8.0, 99.0)], has_video=True)]
    assert _times(iter(parts[0]), Frame) == [round(4.0 + k / 10, 3) for k in range(10)]
    assert _times(iter(parts[1]), Frame) == [round(5.0 + k / 10, 3) for k in range(10)]
    assert _times(iter(parts[2]), Frame) == [round(11.0 + k / 10, 3) for k in range(20)]
    assert _times(iter(parts[0]), Samples)[0] == 4.0
    assert all(4.0 <= time < 5.0 for time in _times(iter(parts[0]), Samples))


def test_excerpts_of_sound_alone_and_past_the_end() -> None:
    items = [_sound(k / 10) for k in range(30)]
    parts = [_times(part, Samples) for part in cut(items, [(0.5, 1.0), (7.0, 9.0)], has_video=False)]
    assert parts == [[0.5, 0.6, 0.7, 0.8, 0.9], []]


def test_nothing_but_the_excerpt_is_held() -> None:
    read = 0

    def stream() -> Iterator[MediaItem]:
        nonlocal read
        for k in range(1000):
            read += 1
            yield _frame(k / 10)

    first = next(cut(stream(), [(10.0, 12.0)], has_video=True))
    next(first)
    assert read == 101
    assert len(list(first)) == 19
    assert read == 121


def test_files_and_folders(tmp_path: Path) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    for name in ("in/b.MP4", "in/deep/a.mkv", "in/notes.txt", "odd.bin"):
        (tmp_path / name).touch()
    found = media_files([tmp_path / "odd.bin", tmp_path / "in", tmp_path / "in" / "b.MP4"])
    assert [str(path.relative_to(tmp_path)) for path in found] == ["odd.bin", "in/b.MP4", "in/deep/a.mkv"]
    with pytest.raises(UsageError, match="no recordings in"):
        media_files([])
    with pytest.raises(UsageError, match="no such file or folder"):
        media_files([tmp_path / "absent"])
