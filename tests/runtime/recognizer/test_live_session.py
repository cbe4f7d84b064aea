"""Own frames and sound: rows of what a program pushes, from threads and asyncio, and wrong calls."""

from __future__ import annotations

import asyncio
import io
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import emorec_rt
from emorec_rt.media import Frame, MediaItem, open_media
from emorec_rt.recognizer.live import LiveSession

CLIP = Path(__file__).parents[3] / "examples" / "demo.mp4"


@pytest.fixture(scope="module")
def recognizer() -> emorec_rt.Recognizer:
    return emorec_rt.load(backend="onnxruntime", threads=1)


@pytest.fixture(scope="module")
def items() -> list[MediaItem]:
    """Four seconds of the talk, in the order of their times."""
    with open_media(CLIP) as media:
        return sorted((item for item in media if item.pts_seconds < 4.0), key=lambda item: item.pts_seconds)


def push(session: LiveSession, item: MediaItem) -> None:
    if isinstance(item, Frame):
        session.push_frame(item.pixels, item.pts_seconds)
    elif not hasattr(item, "index"):
        session.push_sound(item.pcm, item.pts_seconds)


def test_pushed_as_a_file_it_gives_the_rows_of_the_file(
    recognizer: emorec_rt.Recognizer, items: list[MediaItem]
) -> None:
    whole = list(recognizer.stream(CLIP))
    with recognizer.open(live=False) as session:
        for item in items:
            push(session, item)
        rows = session.rows() + session.close()
    frames = [item for item in items if isinstance(item, Frame)]
    assert [(row.index, row.time_seconds, row.box) for row in rows] == [
        (row.index, row.time_seconds, row.box) for row in whole[: len(frames)]
    ]
    same = [one.label == other.label for one, other in zip(rows[:40], whole, strict=False)]
    assert np.mean(same) > 0.9  # the file goes on after the fourth second


def test_live_rows_come_soon_and_each_frame_has_one(
    recognizer: emorec_rt.Recognizer, items: list[MediaItem]
) -> None:
    rows, behind = [], []
    with recognizer.open() as session:
        for item in items:
            push(session, item)
            rows += session.rows()
            if rows:
                behind.append(item.pts_seconds - rows[-1].time_seconds)
        rows += session.close()
    frames = [item for item in items if isinstance(item, Frame)]
    assert [row.index for row in rows] == list(range(len(frames)))
    assert max(behind) < 1.5
    assert session.rows() == session.close() == []


def test_another_thread_pushes_while_this_one_iterates(
    recognizer: emorec_rt.Recognizer, items: list[MediaItem]
) -> None:
    session = recognizer.open()

    def feed() -> None:
        with session:
            for item in items:
                push(session, item)

    thread = threading.Thread(target=feed)
    thread.start()
    rows = list(session)
    thread.join()
    assert [row.index for row in rows] == list(range(sum(isinstance(item, Frame) for item in items)))


def test_asyncio_iterates(recognizer: emorec_rt.Recognizer, items: list[MediaItem]) -> None:
    async def run() -> list[emorec_rt.Prediction]:
        session = recognizer.open()

        async def feed() -> None:
            with session:
                for item in items:
                    await asyncio.to_thread(push, session, item)

        task = asyncio.create_task(feed())
        rows = [row async for row in session]
        await task
        return rows

    rows = asyncio.run(run())
    assert [row.index for row in rows] == list(range(sum(isinstance(item, Frame) for item in items)))


@pytest.mark.parametrize("rate_hz", [8_000, 44_100, 48_000])
@pytest.mark.parametrize("kind", [np.int16, np.float64])
def test_sound_of_any_rate_and_kind(recognizer: emorec_rt.Recognizer, rate_hz: int, kind: Any) -> None:
    wave = np.sin(2 * np.pi * 440 * np.arange(2 * rate_hz) / rate_hz) * 0.5
    stereo = np.stack([wave, wave], axis=1)
    samples = (stereo * 32767).astype(np.int16) if kind is np.int16 else stereo
    with recognizer.open(video=False) as session:
        for start in range(0, len(samples), rate_hz // 10):
            session.push_sound(samples[start : start + rate_hz // 10], start / rate_hz, rate_hz)
        rows = session.close()
    assert abs(len(rows) / 25 - 2.0) < 0.2
    assert all(row.sound for row in rows[5:-5])


def test_frames_of_changing_size(recognizer: emorec_rt.Recognizer) -> None:
    with recognizer.open(sound=False) as session:
        for k, size in enumerate([(120, 160), (240, 320), (121, 63), (1, 1), (480, 640)]):
            session.push_frame(np.zeros((*size, 3), np.uint8), k / 25)
        session.push_frame(np.zeros((90, 90), np.uint8), 0.2)
        assert len(session.close()) == 6


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda s: s.push_frame("frame", 0.0), "this is str"),
        (lambda s: s.push_frame(np.zeros((4, 4, 3)), 0.0), r"this is float64 \[4, 4, 3\]"),
        (lambda s: s.push_frame(np.zeros((4, 4, 4), np.uint8), 0.0), r"this is uint8 \[4, 4, 4\]"),
        (lambda s: s.push_frame(np.zeros((0, 4, 3), np.uint8), 0.0), r"this is uint8 \[0, 4, 3\]"),
        (lambda s: s.push_frame(np.zeros((4, 4, 3), np.uint8), float("nan")), "a number of seconds"),
        (lambda s: s.push_frame(np.zeros((4, 4, 3), np.uint8), 0.5), "times must grow"),
        (lambda s: s.push_sound(np.zeros(4, np.int64), 0.0), r"this is int64 \[4\]"),
        (lambda s: s.push_sound(np.zeros((4, 99), np.float32), 0.0), "1 to 64 channels"),
        (lambda s: s.push_sound(np.zeros(4, np.float32), 0.0, rate_hz=0), "rate_hz is 0"),
        (lambda s: s.push_sound(np.zeros(4, np.float32), -5.0), "times go backwards"),
    ],
)
def test_wrong_calls_are_one_line_and_lose_nothing(
    recognizer: emorec_rt.Recognizer, call: Any, words: str
) -> None:
    with recognizer.open() as session:
        session.push_frame(np.zeros((4, 4, 3), np.uint8), 1.0)
        session.push_sound(np.zeros(1600, np.float32), 0.0)
        with pytest.raises(emorec_rt.UsageError, match=words):
            call(session)
        session.push_frame(np.zeros((4, 4, 3), np.uint8), 2.0)
        assert [row.time_seconds for row in session.close()] == [1.0, 2.0]
    with pytest.raises(emorec_rt.UsageError, match="closed"):
        session.push_frame(np.zeros((4, 4, 3), np.uint8), 3.0)


def test_a_session_needs_something(recognizer: emorec_rt.Recognizer) -> None:
    with pytest.raises(emorec_rt.UsageError, match="video or sound"):
        recognizer.open(video=False, sound=False)


@pytest.mark.parametrize("make", [Path.read_bytes, lambda path: io.BytesIO(path.read_bytes()), Path.as_posix])
def test_bytes_and_files_are_inputs(recognizer: emorec_rt.Recognizer, make: Any) -> None:
    assert [row.index for row in recognizer.stream(make(CLIP))][-1] == 499


@pytest.mark.parametrize(
    ("source", "error", "words"),
    [
        (b"nothing", emorec_rt.MediaError, "the bytes given: "),
        (io.StringIO("text"), emorec_rt.UsageError, "binary mode"),
        (None, emorec_rt.UsageError, "this is NoneType"),
        (-1, emorec_rt.UsageError, "camera -1"),
        (99, emorec_rt.MediaError, "/dev/video99"),
    ],
)
def test_other_inputs_are_one_line(
    recognizer: emorec_rt.Recognizer, source: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        list(recognizer.stream(source))
