"""Several streams of one recognizer at once: each gives the rows that it gives alone."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from emorec_rt.bundle import open_bundle
from emorec_rt.errors import MediaError, UsageError
from emorec_rt.recognizer.options import Options
from emorec_rt.recognizer.recognizer import Recognizer
from emorec_rt.windows.prediction import Prediction

CLIP = Path(__file__).parents[3] / "examples" / "demo.mp4"
FRAMES = 60


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Four parts of the demo clip, with picture and sound."""
    import av

    folder = tmp_path_factory.mktemp("parts")
    parts = []
    for number in range(4):
        part = folder / f"{number}.mkv"
        with av.open(str(CLIP)) as source, av.open(str(part), "w") as target:
            streams = {s.index: target.add_stream_from_template(s) for s in source.streams}
            source.seek(round(number * 3 * av.time_base))
            for packet in source.demux():
                if packet.dts is None or packet.pts * packet.time_base > number * 3 + 3:
                    continue
                packet.stream = streams[packet.stream.index]
                target.mux(packet)
        parts.append(part)
    return parts


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    return Recognizer(open_bundle(), Options(backend="onnxruntime", threads=1))


@pytest.fixture(scope="module")
def alone(recognizer: Recognizer, clips: list[Path]) -> dict[Path, list[Prediction]]:
    return {clip: list(recognizer.stream(clip)) for clip in clips}


def same(rows: list[Prediction], expected: list[Prediction]) -> None:
    assert [(p.index, p.time_seconds, p.label, p.box) for p in rows] == [
        (p.index, p.time_seconds, p.label, p.box) for p in expected
    ]
    np.testing.assert_allclose(
        [p.probabilities for p in rows], [p.probabilities for p in expected], atol=1e-5
    )


def in_threads(work: Callable[[int], None], count: int) -> None:
    errors: list[BaseException] = []

    def guarded(number: int) -> None:
        try:
            work(number)
        except BaseException as error:  # noqa: BLE001 - raised again below
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120.0)
    assert not any(thread.is_alive() for thread in threads), "a stream hangs"
    for error in errors:
        raise error


def test_threads_give_the_rows_of_one_after_the_other(
    recognizer: Recognizer, clips: list[Path], alone: dict[Path, list[Prediction]]
) -> None:
    found: dict[int, list[Prediction]] = {}

    def work(number: int) -> None:
        found[number] = list(recognizer.stream(clips[number % len(clips)]))

    in_threads(work, 8)
    for number, rows in found.items():
        assert rows
        same(rows, alone[clips[number % len(clips)]])


def test_open_generators_in_one_thread_take_turns(
    recognizer: Recognizer, clips: list[Path], alone: dict[Path, list[Prediction]]
) -> None:
    streams = {clip: recognizer.stream(clip) for clip in clips}
    rows: dict[Path, list[Prediction]] = {clip: [] for clip in clips}
    while streams:
        for clip, stream in list(streams.items()):
            row = next(stream, None)
            if row is None:
                del streams[clip]
            else:
                rows[clip].append(row)
    for clip in clips:
        same(rows[clip], alone[clip])


def test_tasks_of_asyncio(
    recognizer: Recognizer, clips: list[Path], alone: dict[Path, list[Prediction]]
) -> None:
    async def all_of_them() -> list[list[Prediction]]:
        return await asyncio.gather(*(asyncio.to_thread(list, recognizer.stream(c)) for c in clips))

    for clip, rows in zip(clips, asyncio.run(all_of_them()), strict=True):
        same(rows, alone[clip])


def test_a_bad_input_fails_its_own_thread_alone(recognizer: Recognizer, clips: list[Path], alone) -> None:
    def work(number: int) -> None:
        if number % 2:
            with pytest.raises(MediaError, match="missing"):
                list(recognizer.stream("missing.mp4"))
        else:
            same(list(recognizer.stream(clips[0])), alone[clips[0]])

    in_threads(work, 6)


def test_stop_ends_the_streams_that_are_open_and_no_later_one(
    recognizer: Recognizer, clips: list[Path], alone: dict[Path, list[Prediction]]
) -> None:
    first, second = recognizer.stream(CLIP), recognizer.stream(CLIP)
    next(first), next(second)
    recognizer.stop()
    for stream in (first, second):
        with pytest.raises(MediaError, match="stopped before its end"):
            list(stream)
    same(list(recognizer.stream(clips[2])), alone[clips[2]])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_fork_is_refused_in_words(recognizer: Recognizer) -> None:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            list(recognizer.stream(CLIP))
            os.write(writer, b"no error")
        except UsageError as error:
            os.write(writer, str(error).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    assert "loaded before fork()" in said
    assert "load it in the child" in said
