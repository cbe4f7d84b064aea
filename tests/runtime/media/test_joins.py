"""A clock that restarts or skips in the middle of a container: all tracks go on together."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest

from emorec_rt.media import Frame, Samples, open_media
from emorec_rt.media.joins import ContainerClock

FPS = 25
RATE_HZ = 16_000
PART_SECONDS = 2.0
SOUND_SECONDS = 1.6
"""Sound of a part: shorter than its picture, as in most segments."""


def part(format_name: str, sound_codec: str = "mp2", start_seconds: float = 0.0) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format=format_name) as container:
        video = container.add_stream("mpeg2video", rate=FPS)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        sound = container.add_stream(sound_codec, rate=RATE_HZ, layout="mono")
        for number in range(round(PART_SECONDS * FPS)):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), number, np.uint8), format="rgb24")
            frame.pts, frame.time_base = number + round(start_seconds * FPS), Fraction(1, FPS)
            container.mux(video.encode(frame))
            if number / FPS < SOUND_SECONDS:
                block = av.AudioFrame.from_ndarray(
                    np.full((1, RATE_HZ // FPS), 3000, np.int16), format="s16", layout="mono"
                )
                block.sample_rate, block.time_base = RATE_HZ, Fraction(1, RATE_HZ)
                block.pts = (number + round(start_seconds * FPS)) * RATE_HZ // FPS
                container.mux(sound.encode(block))
        container.mux(video.encode(None))
        container.mux(sound.encode(None))
    return file.getvalue()


def read(path: Path, **kinds: bool) -> tuple[list[float], list[tuple[float, float]]]:
    """Times of the frames, and start and end of each run of sound."""
    frames, runs = [], []
    with open_media(path, **kinds) as media:
        for item in media:
            if isinstance(item, Frame):
                frames.append(item.pts_seconds)
            elif isinstance(item, Samples):
                end = item.pts_seconds + len(item.pcm) / RATE_HZ
                if runs and item.pts_seconds - runs[-1][1] < 0.01:
                    runs[-1] = runs[-1][0], end
                else:
                    runs.append((item.pts_seconds, end))
    return frames, runs


@pytest.mark.parametrize(("format_name", "suffix"), [("mpegts", "ts"), ("vob", "vob")])
def test_sound_stays_with_its_picture_over_joins(tmp_path: Path, format_name: str, suffix: str) -> None:
    path = tmp_path / f"joined.{suffix}"
    parts = 5
    path.write_bytes(part(format_name) * parts)
    frames, runs = read(path)
    over_joins = np.diff(frames)[round(PART_SECONDS * FPS) - 1 :: round(PART_SECONDS * FPS)]
    assert len(frames) == parts * PART_SECONDS * FPS
    assert len(over_joins) == parts - 1
    assert over_joins.min() > 0.03
    assert over_joins.max() < 0.09
    assert len(runs) == parts
    for number, (start, _) in enumerate(runs):
        picture = frames[round(number * PART_SECONDS * FPS)]
        assert start == pytest.approx(picture + runs[0][0] - frames[0], abs=0.06)


def test_a_clock_that_skips_ahead_is_no_pause(tmp_path: Path) -> None:
    path = tmp_path / "joined.ts"
    path.write_bytes(part("mpegts") + part("mpegts", start_seconds=3600.0))
    frames, runs = read(path)
    assert frames[-1] - frames[0] == pytest.approx(2 * PART_SECONDS, abs=0.1)
    assert runs[-1][1] - runs[0][0] == pytest.approx(PART_SECONDS + SOUND_SECONDS, abs=0.15)


def test_times_do_not_depend_on_what_is_read_beside(tmp_path: Path) -> None:
    path = tmp_path / "joined.ts"
    path.write_bytes(part("mpegts") * 3)
    frames, runs = read(path)
    assert read(path, sound=False)[0] == frames
    assert read(path, frames=False)[1] == runs


def packet(stream: int, seconds: float, duration: float = 0.04) -> Any:
    return SimpleNamespace(
        stream_index=stream,
        time_base=Fraction(1, 1000),
        pts=round(seconds * 1000),
        dts=round(seconds * 1000),
        duration=round(duration * 1000),
    )


def place(clock: ContainerClock, stream: int, seconds: float) -> float:
    moved = packet(stream, seconds)
    clock.place(moved)
    assert moved.pts == moved.dts
    return moved.dts / 1000


def test_a_steady_clock_is_left_alone() -> None:
    clock = ContainerClock()
    for k in range(100):
        assert place(clock, k % 2, 5.0 + k) == 5.0 + k
    assert clock.joins == 0


def test_the_last_packets_of_a_part_may_come_after_the_join() -> None:
    clock = ContainerClock(0.1, 10.0)
    for k in range(50):
        place(clock, 0, k / 25)
        if k < 45:
            place(clock, 1, k / 25)
    assert place(clock, 0, 0.0) == 2.0
    assert place(clock, 1, 45 / 25) == pytest.approx(1.8)
    assert place(clock, 1, 46 / 25) == pytest.approx(1.84)
    assert place(clock, 1, 0.0) == pytest.approx(2.0)
    assert place(clock, 0, 0.04) == pytest.approx(2.04)
    assert clock.joins == 1


def test_a_pause_of_one_track_is_no_skip() -> None:
    clock = ContainerClock(0.1, 10.0)
    place(clock, 1, 0.0)
    for k in range(1000):
        place(clock, 0, k / 25)
    assert place(clock, 1, 40.0) == 40.0
    assert clock.joins == 0


def test_a_live_clock_may_only_go_ahead_as_time_does() -> None:
    now = [0.0]
    clock = ContainerClock(0.1, live=True, now=lambda: now[0])
    place(clock, 0, 100.0)
    now[0] = 20.0
    assert place(clock, 0, 120.0) == 120.0
    now[0] = 20.04
    assert place(clock, 0, 3720.0) == pytest.approx(120.04)
    assert place(clock, 1, 3720.0) == pytest.approx(120.04)
    assert clock.joins == 1


def test_a_damaged_timestamp_moves_nothing_for_long() -> None:
    clock = ContainerClock(0.1, 10.0)
    place(clock, 0, 0.0)
    place(clock, 0, 5000.0)
    assert place(clock, 0, 0.08) == pytest.approx(0.08)
